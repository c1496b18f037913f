// Sizes as people write them: a number with K, M or G, 1024 each.
#pragma once

#include <cstdint>
#include <string>

#include "base/status.h"

namespace larder {

/// "8G", "512M", "1.5G", "4096" in bytes; suffixes K, M, G, T of 1024, either case, an optional
/// "iB" or "B" behind them. Anything else, a negative or an overflowing number is kInvalidArgument.
Result<std::uint64_t> ParseSize(const std::string& text);

/// For people: "7.94 GiB", "3.1 MiB", "512 bytes".
std::string FormatBytes(std::uint64_t size_bytes);

/// A size that ParseSize reads back as at least `size_bytes`, rounded up to at most three digits
/// behind the point of G, or to whole K or M when small: "6.21G".
std::string SizeToPaste(std::uint64_t size_bytes);

}  // namespace larder
