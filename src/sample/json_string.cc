// The table, filled range by range.
#include "sample/json_string.h"

#include <string_view>

namespace larder {

namespace {

struct Filler {
  StringTable table;

  constexpr Filler() : table() {
    for (auto& row : table) row.fill(kStringBreaks);
  }
  constexpr void Range(int phase, int low, int high, int next) {
    for (int byte = low; byte <= high; ++byte) {
      table[static_cast<std::size_t>(phase)][static_cast<std::size_t>(byte)] =
          static_cast<std::uint8_t>(next);
    }
  }
  constexpr void Letters(int phase, char low, char high, int next) {
    Range(phase, low, high, next);
    Range(phase, low - 'a' + 'A', high - 'a' + 'A', next);
  }
  constexpr void Hex(int phase, int next) {
    Range(phase, '0', '9', next);
    Letters(phase, 'a', 'f', next);
  }
};

constexpr StringTable MakeTable() {
  Filler fill;
  fill.Range(kBody, 0x20, 0x7f, kBody);
  fill.Range(kBody, '"', '"', kStringCloses);
  fill.Range(kBody, '\\', '\\', kEscape);
  fill.Range(kBody, 0xc2, 0xdf, kRest1);
  fill.Range(kBody, 0xe0, 0xef, kRest2);
  fill.Range(kBody, 0xe0, 0xe0, kAfterE0);
  fill.Range(kBody, 0xed, 0xed, kAfterEd);
  fill.Range(kBody, 0xf0, 0xf0, kAfterF0);
  fill.Range(kBody, 0xf1, 0xf3, kRest3);
  fill.Range(kBody, 0xf4, 0xf4, kAfterF4);
  fill.Range(kRest1, 0x80, 0xbf, kBody);
  fill.Range(kRest2, 0x80, 0xbf, kRest1);
  fill.Range(kRest3, 0x80, 0xbf, kRest2);
  fill.Range(kAfterE0, 0xa0, 0xbf, kRest1);
  fill.Range(kAfterEd, 0x80, 0x9f, kRest1);
  fill.Range(kAfterF0, 0x90, 0xbf, kRest2);
  fill.Range(kAfterF4, 0x80, 0x8f, kRest2);
  for (const char c : std::string_view("\"\\/bfnrt")) fill.Range(kEscape, c, c, kBody);
  fill.Range(kEscape, 'u', 'u', kHex4);
  fill.Hex(kHex4, kHex3);
  fill.Letters(kHex4, 'd', 'd', kHexD);
  fill.Hex(kHex3, kHex2);
  fill.Hex(kHex2, kHex1);
  fill.Hex(kHex1, kBody);
  fill.Range(kHexD, '0', '7', kHex2);
  fill.Range(kHexD, '8', '9', kPairHex2);
  fill.Letters(kHexD, 'a', 'b', kPairHex2);
  fill.Hex(kPairHex2, kPairHex1);
  fill.Hex(kPairHex1, kPairBackslash);
  fill.Range(kPairBackslash, '\\', '\\', kPairU);
  fill.Range(kPairU, 'u', 'u', kPairD);
  fill.Letters(kPairD, 'd', 'd', kPairC);
  fill.Letters(kPairC, 'c', 'f', kHex2);
  return fill.table;
}

}  // namespace

constexpr StringTable kFilled = MakeTable();
const StringTable kStringTable = kFilled;

}  // namespace larder
