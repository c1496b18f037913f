// Token ids as people write them, and whole texts from files and stdin.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"

namespace larder {

/// "1,2,3" (commas or white space between ids), or "@FILE" with the same inside. kInvalidArgument
/// names the first word that is no id.
Result<std::vector<std::int32_t>> ParseTokenIds(const std::string& text);

/// All bytes of stdin.
Result<std::string> ReadStdin();

/// All bytes of a file; missing and unreadable files are told apart.
Result<std::string> ReadTextFile(const std::string& path);

}  // namespace larder
