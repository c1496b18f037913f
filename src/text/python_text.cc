// Case and character tests by binary search in the tables; everything ASCII takes a short way.
#include "text/python_text.h"

#include <cstring>

#include "text/python_unicode_tables.h"
#include "text/utf8.h"

namespace larder::jinja {
namespace {

template <typename Range>
const Range* FindRange(const Range* ranges, std::size_t n_ranges, std::uint32_t c) {
  std::size_t low = 0, high = n_ranges;
  while (low < high) {
    const std::size_t middle = (low + high) / 2;
    if (ranges[middle].last < c) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  if (low == n_ranges || c < ranges[low].first) return nullptr;
  return (c - ranges[low].first) % ranges[low].stride == 0 ? &ranges[low] : nullptr;
}

bool In(const ClassRange* ranges, std::size_t n_ranges, std::uint32_t c) {
  return FindRange(ranges, n_ranges, c) != nullptr;
}

bool IsUpperChar(std::uint32_t c) { return In(kUppercase, kUppercaseCount, c); }
bool IsLowerChar(std::uint32_t c) { return In(kLowercase, kLowercaseCount, c); }
bool IsTitleChar(std::uint32_t c) { return In(kTitlecase, kTitlecaseCount, c); }
bool IsCased(std::uint32_t c) { return IsUpperChar(c) || IsLowerChar(c) || IsTitleChar(c); }
bool IsAlpha(std::uint32_t c) { return In(kAlphabetic, kAlphabeticCount, c); }
bool IsDigit(std::uint32_t c) { return IsDecimal(c) || In(kDigits, kDigitsCount, c); }
bool IsNumeric(std::uint32_t c) { return IsDigit(c) || In(kNumeric, kNumericCount, c); }

enum class Case : std::uint32_t { kUpper, kLower, kTitle };

void AppendSpecial(const SpecialCase& special, std::string& out) {
  for (const std::uint32_t to : special.to) {
    if (to != 0) AppendUtf8(to, out);
  }
}

void AppendCase(std::uint32_t c, Case to, std::string& out) {
  if (c < 0x80) {
    const bool upper = to != Case::kLower;
    if (upper && c >= 'a' && c <= 'z') c -= 32;
    if (!upper && c >= 'A' && c <= 'Z') c += 32;
    out += static_cast<char>(c);
    return;
  }
  for (std::size_t i = 0; i < kSpecialCaseCount; ++i) {
    const SpecialCase& special = kSpecialCase[i];
    if (special.code_point == c && special.kind == static_cast<std::uint32_t>(to)) {
      return AppendSpecial(special, out);
    }
  }
  const CaseRange* range = nullptr;
  if (to == Case::kLower) {
    range = FindRange(kLowerMappings, kLowerMappingsCount, c);
  } else {
    if (to == Case::kTitle) range = FindRange(kTitleMappings, kTitleMappingsCount, c);
    if (range == nullptr) {
      // A title form that is not in its own tables is the upper form, which can be special too.
      for (std::size_t i = 0; to == Case::kTitle && i < kSpecialCaseCount; ++i) {
        if (kSpecialCase[i].code_point == c && kSpecialCase[i].kind == 0) {
          return AppendSpecial(kSpecialCase[i], out);
        }
      }
      range = FindRange(kUpperMappings, kUpperMappingsCount, c);
    }
  }
  const std::int32_t delta = range == nullptr ? 0 : range->delta;
  AppendUtf8(static_cast<std::uint32_t>(static_cast<std::int32_t>(c) + delta), out);
}

constexpr std::uint32_t kSigma = 0x3a3, kFinalSigma = 0x3c2;

// A sigma ends a word (Unicode's Final_Sigma): a cased letter before it, none after it, with
// ignorable characters skipped.
bool IsFinalSigma(std::string_view text, std::size_t position, std::size_t n_bytes) {
  const auto ignorable = [](std::uint32_t c) { return In(kCaseIgnorable, kCaseIgnorableCount, c); };
  bool cased_before = false;
  for (std::size_t at = position; at > 0;) {
    do --at;
    while (at > 0 && (static_cast<unsigned char>(text[at]) & 0xc0) == 0x80);
    const std::uint32_t c = DecodeUtf8(text, at).code_point;
    if (ignorable(c)) continue;
    cased_before = IsCased(c);
    break;
  }
  if (!cased_before) return false;
  for (std::size_t at = position + n_bytes; at < text.size();) {
    const Utf8Char c = DecodeUtf8(text, at);
    at += c.n_bytes;
    if (ignorable(c.code_point)) continue;
    return !IsCased(c.code_point);
  }
  return true;
}

void AppendLower(std::string_view text, std::size_t at, const Utf8Char& c, std::string& out) {
  if (c.code_point == kSigma && IsFinalSigma(text, at, c.n_bytes)) {
    AppendUtf8(kFinalSigma, out);
  } else {
    AppendCase(c.code_point, Case::kLower, out);
  }
}

std::string MapAll(std::string_view text, Case to) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Char c = DecodeUtf8(text, at);
    if (to == Case::kLower) {
      AppendLower(text, at, c, out);
    } else {
      AppendCase(c.code_point, to, out);
    }
    at += c.n_bytes;
  }
  return out;
}

bool TestChar(std::uint32_t c, CharTest test) {
  switch (test) {
    case CharTest::kAlpha:
      return IsAlpha(c);
    case CharTest::kDecimal:
      return IsDecimal(c);
    case CharTest::kDigit:
      return IsDigit(c);
    case CharTest::kNumeric:
      return IsNumeric(c);
    case CharTest::kAlnum:
      return IsAlpha(c) || IsNumeric(c);
    default:
      return IsSpace(c);
  }
}

// isupper, islower and istitle want one cased character at least and none of the wrong case.
bool TestCase(std::string_view text, CharTest test) {
  bool any = false, previous_cased = false;
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Char c = DecodeUtf8(text, at);
    at += c.n_bytes;
    const bool upper = IsUpperChar(c.code_point), lower = IsLowerChar(c.code_point);
    const bool title = IsTitleChar(c.code_point);
    if (test == CharTest::kUpper && (lower || title)) return false;
    if (test == CharTest::kLower && (upper || title)) return false;
    if (test == CharTest::kUpper ? upper : test == CharTest::kLower && lower) any = true;
    if (test != CharTest::kTitle) continue;
    if ((upper || title) && previous_cased) return false;
    if (lower && !previous_cased) return false;
    previous_cased = upper || lower || title;
    any = any || previous_cased;
  }
  return any;
}

}  // namespace

std::size_t CountChars(std::string_view text) {
  std::size_t n = 0;
  for (const char c : text) n += (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  return n;
}

std::size_t ByteOffset(std::string_view text, std::size_t index) {
  std::size_t at = 0;
  for (; at < text.size(); ++at) {
    if ((static_cast<unsigned char>(text[at]) & 0xc0) == 0x80) continue;
    if (index == 0) return at;
    --index;
  }
  return at;
}

bool IsSpace(std::uint32_t c) {
  if (c < 0x80) return (c >= 9 && c <= 13) || (c >= 0x1c && c <= 0x20);
  return In(kSpaces, kSpacesCount, c);
}
bool IsDecimal(std::uint32_t c) { return In(kDecimalDigits, kDecimalDigitsCount, c); }

std::string WithAsciiDigits(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Char c = DecodeUtf8(text, at);
    const ClassRange* range = c.code_point < 0x80
                                  ? nullptr
                                  : FindRange(kDecimalDigits, kDecimalDigitsCount, c.code_point);
    // Unicode has the digits of a script in order, and a range holds whole sets of ten.
    if (range != nullptr) {
      out += static_cast<char>('0' + (c.code_point - range->first) % 10);
    } else {
      out += text.substr(at, c.n_bytes);
    }
    at += c.n_bytes;
  }
  return out;
}

bool IsPrintable(std::uint32_t c) {
  if (c < 0x7f) return c >= 0x20;
  return !In(kUnprintable, kUnprintableCount, c);
}
bool IsWordChar(std::uint32_t c) { return c == '_' || IsAlpha(c) || IsNumeric(c); }

bool TestText(std::string_view text, CharTest test) {
  if (test >= CharTest::kUpper) return TestCase(text, test);
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Char c = DecodeUtf8(text, at);
    if (!TestChar(c.code_point, test)) return false;
    at += c.n_bytes;
  }
  return !text.empty();
}

std::string Upper(std::string_view text) { return MapAll(text, Case::kUpper); }
std::string Lower(std::string_view text) { return MapAll(text, Case::kLower); }

std::string Capitalize(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Char c = DecodeUtf8(text, at);
    if (at == 0) {
      AppendCase(c.code_point, Case::kTitle, out);
    } else {
      AppendLower(text, at, c, out);
    }
    at += c.n_bytes;
  }
  return out;
}

std::string Title(std::string_view text) {
  std::string out;
  bool previous_cased = false;
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Char c = DecodeUtf8(text, at);
    if (previous_cased) {
      AppendLower(text, at, c, out);
    } else {
      AppendCase(c.code_point, Case::kTitle, out);
    }
    previous_cased = IsCased(c.code_point);
    at += c.n_bytes;
  }
  return out;
}

std::string SwapCase(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Char c = DecodeUtf8(text, at);
    if (IsUpperChar(c.code_point)) {
      AppendLower(text, at, c, out);
    } else if (IsLowerChar(c.code_point)) {
      AppendCase(c.code_point, Case::kUpper, out);
    } else {
      out.append(text.substr(at, c.n_bytes));
    }
    at += c.n_bytes;
  }
  return out;
}

}  // namespace larder::jinja
