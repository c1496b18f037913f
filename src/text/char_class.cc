// A table in pages of 256 code points; pages that are alike are stored once.
#include "text/char_class.h"

#include <array>
#include <map>
#include <span>
#include <vector>

#include "text/unicode_ranges.h"

namespace larder {
namespace {

constexpr std::uint32_t kPageSize = 256;
constexpr std::uint32_t kEndOfUnicode = 0x110000;

// deepseek-llm's punctuation class, which holds the ASCII letters too, as its expression does.
constexpr CodePointRange kDeepseekPunct[] = {{0x21, 0x2f},     {0x3a, 0x7e},     {0x2018, 0x201f},
                                             {0x3000, 0x3002}, {0xff01, 0xff0f}, {0xff1a, 0xff5e}};
constexpr CodePointRange kDeepseekCjk[] = {{0x800, 0x9fa5}, {0xac00, 0xd7ff}};
constexpr CodePointRange kDeepseek3Cjk[] = {{0x3040, 0x30ff}, {0x4e00, 0x9fa5}};
constexpr CodePointRange kLineEnds[] = {{'\n', '\n'}, {'\r', '\r'}};

class ClassTable {
 public:
  ClassTable() {
    std::vector<std::uint16_t> flags(kEndOfUnicode);
    Mark(LetterRanges(), kCharLetter, flags);
    Mark(NumberRanges(), kCharNumber | kCharNumeric, flags);
    Mark(NewNumberRanges(), kCharNumeric, flags);
    Mark(MarkRanges(), kCharMark, flags);
    Mark(SpaceRanges(), kCharSpace, flags);
    Mark(kLineEnds, kCharLineEnd, flags);
    Mark(DeepseekLetterRanges(), kCharDsLetter, flags);
    Mark(kDeepseekPunct, kCharDsPunct, flags);
    Mark(kDeepseekCjk, kCharDsCjk, flags);
    Mark(kDeepseek3Cjk, kCharDs3Cjk, flags);
    Mark(PunctuationRanges(), kCharPunct, flags);
    Mark(SymbolRanges(), kCharSymbol, flags);
    Mark(UpperRanges(), kCharUpper, flags);
    Mark(LowerRanges(), kCharLower, flags);
    Mark(HanRanges(), kCharHan, flags);
    Mark(UnstableRanges(), kCharUnstable, flags);
    std::map<std::vector<std::uint16_t>, std::uint16_t> pages;
    for (std::uint32_t page = 0; page < kEndOfUnicode / kPageSize; ++page) {
      const auto begin = flags.begin() + page * kPageSize;
      const auto [it, added] = pages.emplace(std::vector<std::uint16_t>(begin, begin + kPageSize),
                                             static_cast<std::uint16_t>(pages.size()));
      if (added) data_.insert(data_.end(), begin, begin + kPageSize);
      page_of_[page] = it->second;
    }
    data_.shrink_to_fit();
  }

  // Page 0 is the first one stored.
  const std::uint16_t* ascii() const { return data_.data(); }

  std::uint16_t Find(std::uint32_t code_point) const {
    if (code_point >= kEndOfUnicode) return 0;
    return data_[page_of_[code_point / kPageSize] * kPageSize + code_point % kPageSize];
  }

 private:
  static void Mark(std::span<const CodePointRange> ranges, unsigned flag,
                   std::vector<std::uint16_t>& flags) {
    for (const CodePointRange& range : ranges) {
      for (std::uint32_t c = range.first; c <= range.last; ++c) {
        flags[c] = static_cast<std::uint16_t>(flags[c] | flag);
      }
    }
  }

  std::array<std::uint16_t, kEndOfUnicode / kPageSize> page_of_{};
  std::vector<std::uint16_t> data_;
};

const ClassTable& Table() {
  static const ClassTable table;
  return table;
}

}  // namespace

std::uint16_t CharClass(std::uint32_t code_point) { return Table().Find(code_point); }

const std::uint16_t* AsciiClasses() { return Table().ascii(); }

}  // namespace larder
