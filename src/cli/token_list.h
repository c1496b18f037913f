// Token ids as people write them, and whole texts from files and stdin.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace larder {

/// "1,2,3" (commas or white space between ids), or "@FILE" with the same inside. kInvalidArgument
/// names the first word that is no id.
Result<std::vector<std::int32_t>> ParseTokenIds(const std::string& text);

/// FILE of such an "@FILE", else "".
std::string TokensFile(const std::string& text);

/// All bytes of stdin.
Result<std::string> ReadStdin();

/// kInvalidArgument for a text that is not UTF-8: chat templates take nothing else. `what` begins
/// the sentence.
Status CheckUtf8(std::string_view text, std::string_view what);

/// All bytes of a file; missing and unreadable files are told apart.
Result<std::string> ReadTextFile(const std::string& path);

/// The same for files named in the middle of a chat: pipes and devices, which may never end, are
/// refused unopened, and so is what is larger than `most_bytes`.
Result<std::string> ReadRegularFile(const std::string& path, std::uint64_t most_bytes);

}  // namespace larder
