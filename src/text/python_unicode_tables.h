// The character tables behind python_text.h: sorted ranges of code points, made by
// tools/make_python_unicode.py. Constant data.
#pragma once

#include <cstddef>
#include <cstdint>

namespace larder::jinja {

/// Every `stride`-th code point from first to last maps to itself plus delta.
struct CaseRange {
  std::uint32_t first, last, stride;
  std::int32_t delta;
};

/// A mapping to two or three characters. kind: 0 upper, 1 lower, 2 title.
struct SpecialCase {
  std::uint32_t code_point, kind, to[3];
};

struct ClassRange {
  std::uint32_t first, last, stride;
};

extern const CaseRange kUpperMappings[], kLowerMappings[], kTitleMappings[];
extern const std::size_t kUpperMappingsCount, kLowerMappingsCount, kTitleMappingsCount;
extern const SpecialCase kSpecialCase[];
extern const std::size_t kSpecialCaseCount;

extern const ClassRange kUppercase[], kLowercase[], kTitlecase[], kDecimalDigits[], kDigits[],
    kNumeric[], kAlphabetic[], kSpaces[], kUnprintable[], kCaseIgnorable[];
extern const std::size_t kUppercaseCount, kLowercaseCount, kTitlecaseCount, kDecimalDigitsCount,
    kDigitsCount, kNumericCount, kAlphabeticCount, kSpacesCount, kUnprintableCount,
    kCaseIgnorableCount;

}  // namespace larder::jinja
