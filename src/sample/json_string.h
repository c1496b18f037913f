// What may follow inside a JSON string, byte by byte: escapes, surrogate pairs and UTF-8 (RFC 8259,
// The Unicode Standard, table 3-7) as one small table. Constants only.
#pragma once

#include <array>
#include <cstdint>

namespace larder {

/// Where inside a character a string's text is. kBody: between characters.
enum StringPhase : std::uint8_t {
  kBody = 0,
  kEscape,  // after a backslash
  kHex4,    // after \u
  kHex3,    // digits left of an escape that is one character
  kHex2,
  kHex1,
  kHexD,      // after \ud: a character or the first half of a pair
  kPairHex2,  // digits left of the first half
  kPairHex1,
  kPairBackslash,
  kPairU,
  kPairD,
  kPairC,  // c to f: the second half
  kRest1,  // UTF-8 bytes left
  kRest2,
  kRest3,
  kAfterE0,
  kAfterEd,
  kAfterF0,
  kAfterF4,
  kStringPhases,
  kStringCloses = 0xfe,
  kStringBreaks = 0xff,
};

using StringTable = std::array<std::array<std::uint8_t, 256>, kStringPhases>;

/// [phase][byte]: the next phase, kStringCloses or kStringBreaks. Reaching kBody is one character
/// more.
extern const StringTable kStringTable;

}  // namespace larder
