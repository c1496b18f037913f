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
  kCharDsLetter = 64,  // these three: deepseek-llm's own classes
  kCharDsPunct = 128,
  kCharDsCjk = 256,
  kCharPunct = 512,         // \p{P}
  kCharSymbol = 1024,       // \p{S}
  kCharUpper = 2048,        // \p{Lu} and \p{Lt}
  kCharLower = 4096,        // \p{Ll}
  kCharHan = 8192,          // \p{Han}
  kCharDs3Cjk = 16384,      // deepseek-v3's class of Chinese characters and Kana
  kCharUnstable = 1 << 15,  // may be other than itself in a text's normalization form C
};

/// Flags of a code point; 0 for kInvalidCodePoint and everything beyond Unicode.
std::uint16_t CharClass(std::uint32_t code_point);

/// The flags of the 128 ASCII characters, for loops that look at nothing else most of the time.
const std::uint16_t* AsciiClasses();

}  // namespace larder
