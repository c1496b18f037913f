// Unicode's normalization form C, by our own tables, so that token ids do not change with a system
// library. Pure functions; linear time up to a logarithm.
#pragma once

#include <string>
#include <string_view>

namespace larder {

/// True if NormalizeNfc would give the text back for sure, which one quick look decides; nearly
/// all texts are.
bool IsSurelyNfc(std::string_view text);

/// The text in form C (The Unicode Standard, section 3.11). Bytes that are not valid UTF-8 stay as
/// they are, and nothing combines across them.
std::string NormalizeNfc(std::string_view text);

}  // namespace larder
