// Only the neighbourhoods of characters that form C may change are taken apart, put in order and
// composed again: from the character before the first such one to the one behind the last.
#include "text/normalize.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "text/char_class.h"
#include "text/normalization_tables.h"
#include "text/unicode_ranges.h"
#include "text/utf8.h"

namespace larder {
namespace {

// Hangul syllables by arithmetic (The Unicode Standard, section 3.12).
constexpr std::uint32_t kSyllables = 0xac00, kLeads = 0x1100, kVowels = 0x1161, kTails = 0x11a7;
constexpr std::uint32_t kLeadCount = 19, kVowelCount = 21, kTailCount = 28;
constexpr std::uint32_t kSyllableCount = kLeadCount * kVowelCount * kTailCount;

bool InBlock(std::uint32_t c, std::uint32_t first, std::uint32_t n) {
  return c >= first && c - first < n;
}

template <typename Entry>
const Entry* FindEntry(std::span<const Entry> table, std::uint32_t c) {
  const auto it = std::lower_bound(
      table.begin(), table.end(), c,
      [](const Entry& entry, std::uint32_t value) { return entry.code_point < value; });
  return it != table.end() && it->code_point == c ? &*it : nullptr;
}

std::uint8_t CombiningClass(std::uint32_t c) {
  const auto table = CombiningRanges();
  const auto it = std::upper_bound(
      table.begin(), table.end(), c,
      [](std::uint32_t value, const CombiningRange& range) { return value < range.first; });
  return it != table.begin() && c <= (it - 1)->last ? (it - 1)->combining_class : 0;
}

bool OnlyDecomposes(std::uint32_t c) {
  const auto table = NotComposed();
  return std::binary_search(table.begin(), table.end(), c);
}

std::uint64_t PairKey(std::uint32_t first, std::uint32_t second) {
  return std::uint64_t{first} << 32 | second;
}

std::unordered_map<std::uint64_t, std::uint32_t> MakeCompositions() {
  std::unordered_map<std::uint64_t, std::uint32_t> compositions;
  for (const CanonicalPair& pair : CanonicalPairs()) {
    if (!OnlyDecomposes(pair.code_point)) {
      compositions[PairKey(pair.first, pair.second)] = pair.code_point;
    }
  }
  return compositions;
}

std::optional<std::uint32_t> Compose(std::uint32_t first, std::uint32_t second) {
  if (InBlock(first, kLeads, kLeadCount) && InBlock(second, kVowels, kVowelCount)) {
    return kSyllables + ((first - kLeads) * kVowelCount + (second - kVowels)) * kTailCount;
  }
  if (InBlock(first, kSyllables, kSyllableCount) && (first - kSyllables) % kTailCount == 0 &&
      InBlock(second, kTails + 1, kTailCount - 1)) {
    return first + (second - kTails);
  }
  static const std::unordered_map<std::uint64_t, std::uint32_t> compositions = MakeCompositions();
  const auto it = compositions.find(PairKey(first, second));
  return it != compositions.end() ? std::optional(it->second) : std::nullopt;
}

struct Point {
  std::uint32_t code_point;
  std::uint8_t combining_class;
};

void Decompose(std::uint32_t c, std::vector<Point>& out) {
  if (InBlock(c, kSyllables, kSyllableCount)) {
    const std::uint32_t i = c - kSyllables;
    out.push_back({kLeads + i / (kVowelCount * kTailCount), 0});
    out.push_back({kVowels + i % (kVowelCount * kTailCount) / kTailCount, 0});
    if (i % kTailCount != 0) out.push_back({kTails + i % kTailCount, 0});
  } else if (const CanonicalPair* pair = FindEntry(CanonicalPairs(), c)) {
    Decompose(pair->first, out);
    Decompose(pair->second, out);
  } else if (const CanonicalSingle* single = FindEntry(CanonicalSingles(), c)) {
    Decompose(single->other, out);
  } else {
    out.push_back({c, CombiningClass(c)});
  }
}

// Marks between characters of class 0 stand by ascending class, those of one class as they came.
void Reorder(std::vector<Point>& points) {
  for (auto begin = points.begin(); begin != points.end();) {
    const auto is_starter = [](const Point& point) { return point.combining_class == 0; };
    const auto end = std::find_if(begin, points.end(), is_starter);
    std::stable_sort(begin, end, [](const Point& a, const Point& b) {
      return a.combining_class < b.combining_class;
    });
    begin = end == points.end() ? end : end + 1;
  }
}

// Appends the points, each joined to the last character of class 0 where nothing between blocks it.
void AppendComposed(const std::vector<Point>& points, std::string& out) {
  std::vector<std::uint32_t> composed;
  std::optional<std::size_t> starter;
  std::uint8_t last_class = 0;
  for (const Point& point : points) {
    const bool adjacent = starter && *starter + 1 == composed.size();
    if (starter && (adjacent || (last_class != 0 && last_class < point.combining_class))) {
      const auto joined = Compose(composed[*starter], point.code_point);
      if (joined) {
        composed[*starter] = *joined;
        continue;
      }
    }
    composed.push_back(point.code_point);
    last_class = point.combining_class;
    if (point.combining_class == 0) starter = composed.size() - 1;
  }
  for (const std::uint32_t c : composed) AppendUtf8(c, out);
}

std::vector<CodePointRange> MakeUnstable() {
  std::vector<CodePointRange> ranges = {{kVowels, kVowels + kVowelCount - 1},
                                        {kTails + 1, kTails + kTailCount - 1}};
  for (const CombiningRange& range : CombiningRanges()) ranges.push_back({range.first, range.last});
  for (const CanonicalSingle& single : CanonicalSingles()) {
    ranges.push_back({single.code_point, single.code_point});
  }
  for (const CanonicalPair& pair : CanonicalPairs()) {
    const std::uint32_t c = OnlyDecomposes(pair.code_point) ? pair.code_point : pair.second;
    ranges.push_back({c, c});
  }
  return ranges;
}

}  // namespace

std::span<const CodePointRange> UnstableRanges() {
  static const std::vector<CodePointRange> ranges = MakeUnstable();
  return ranges;
}

bool IsSurelyNfc(std::string_view text) {
  for (std::size_t position = 0; position < text.size();) {
    if (static_cast<unsigned char>(text[position]) < 0x80) {
      ++position;
      continue;
    }
    const Utf8Char c = DecodeUtf8(text, position);
    if ((CharClass(c.code_point) & kCharUnstable) != 0) return false;
    position += c.n_bytes;
  }
  return true;
}

std::string NormalizeNfc(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  std::vector<Point> points;
  std::string_view before;  // the bytes of a stable character that what follows may change
  const auto finish = [&] {
    if (points.empty()) {
      out += before;
    } else {
      Reorder(points);
      AppendComposed(points, out);
    }
    points.clear();
    before = {};
  };
  for (std::size_t position = 0; position < text.size();) {
    const Utf8Char c = DecodeUtf8(text, position);
    const std::string_view bytes = text.substr(position, c.n_bytes);
    position += c.n_bytes;
    if (c.code_point == kInvalidCodePoint) {
      finish();
      out += bytes;
    } else if ((CharClass(c.code_point) & kCharUnstable) == 0) {
      finish();
      before = bytes;
    } else {
      if (points.empty() && !before.empty()) Decompose(DecodeUtf8(before, 0).code_point, points);
      Decompose(c.code_point, points);
    }
  }
  finish();
  return out;
}

}  // namespace larder
