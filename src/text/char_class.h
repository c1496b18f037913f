// The class of a character as a set of flags, by table: one load for a character of the text.
// Constant data built once, about 80 KiB.
#pragma once

#include <cstdint>

namespace larder {

enum CharFlags : std::uint16_t {
  kCharLetter = 1,     // \p{L}
  kCharNumber = 2,     // \p{N}
  kCharMark = 4,       // \p{M}
  kCharSpace = 8,      // \s, line ends too
  kCharLineEnd = 16,   // \r and \n
  kCharNumeric = 32,   // \p{N} of the newest Unicode version
  kCharDsLetter = 64,  // the last three: deepseek-llm's own classes
  kCharDsPunct = 128,
  kCharDsCjk = 256,
};

/// Flags of a code point; 0 for kInvalidCodePoint and everything beyond Unicode.
std::uint16_t CharClass(std::uint32_t code_point);

/// The flags of the 128 ASCII characters, for loops that look at nothing else most of the time.
const std::uint16_t* AsciiClasses();

}  // namespace larder
