// AvailableMemoryBytes of base/memory.h with files from elsewhere, for tests.
#pragma once

#include <cstdint>
#include <string>

namespace larder {

/// What a process may still take as the files under `root` say, which stands before /proc and /sys.
/// What another program holds for itself is not in it.
std::uint64_t AvailableMemoryBytesUnder(const std::string& root);

}  // namespace larder
