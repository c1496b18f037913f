// Python's str: cutting, stripping, finding, and the reprs of str and float.
#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <cstring>

#include "text/python_text.h"
#include "text/utf8.h"

namespace larder::jinja {
namespace {

bool IsContinuation(char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; }

// The character that ends at `end` > 0.
Utf8Char CharBefore(std::string_view text, std::size_t end) {
  std::size_t at = end - 1;
  while (at > 0 && IsContinuation(text[at])) --at;
  return DecodeUtf8(text, at);
}

template <typename Test>
std::string_view Strip(std::string_view text, Sides sides, const Test& goes) {
  std::size_t begin = 0, end = text.size();
  while ((sides & kLeft) != 0 && begin < end) {
    const Utf8Char c = DecodeUtf8(text, begin);
    if (!goes(c)) break;
    begin += c.n_bytes;
  }
  while ((sides & kRight) != 0 && end > begin) {
    const Utf8Char c = CharBefore(text, end);
    if (!goes(c)) break;
    end -= c.n_bytes;
  }
  return text.substr(begin, end - begin);
}

bool IsLineEnd(std::uint32_t c) {
  return (c >= 0x0a && c <= 0x0d) || (c >= 0x1c && c <= 0x1e) || c == 0x85 || c == 0x2028 ||
         c == 0x2029;
}

void AppendEscaped(std::uint32_t c, std::string& out) {
  if (c == '\n') {
    out += "\\n";
  } else if (c == '\r') {
    out += "\\r";
  } else if (c == '\t') {
    out += "\\t";
  } else if (c < 0x100) {
    out += fmt::format("\\x{:02x}", c);
  } else if (c < 0x10000) {
    out += fmt::format("\\u{:04x}", c);
  } else {
    out += fmt::format("\\U{:08x}", c);
  }
}

}  // namespace

std::string_view StripSpace(std::string_view text, Sides sides) {
  return Strip(text, sides, [](const Utf8Char& c) { return IsSpace(c.code_point); });
}

std::string_view StripChars(std::string_view text, std::string_view chars, Sides sides) {
  return Strip(text, sides, [chars](const Utf8Char& c) {
    std::string one;
    AppendUtf8(c.code_point, one);
    return chars.find(one) != std::string_view::npos;
  });
}

std::vector<std::string_view> SplitSpace(std::string_view text, std::int64_t max_splits) {
  std::vector<std::string_view> parts;
  text = StripSpace(text, kLeft);
  while (!text.empty()) {
    if (max_splits >= 0 && static_cast<std::int64_t>(parts.size()) == max_splits) {
      parts.push_back(StripSpace(text, kRight));
      break;
    }
    std::size_t end = 0;
    while (end < text.size()) {
      const Utf8Char c = DecodeUtf8(text, end);
      if (IsSpace(c.code_point)) break;
      end += c.n_bytes;
    }
    parts.push_back(text.substr(0, end));
    text = StripSpace(text.substr(end), kLeft);
  }
  return parts;
}

std::vector<std::string_view> RSplitSpace(std::string_view text, std::int64_t max_splits) {
  std::vector<std::string_view> parts;
  text = StripSpace(text, kRight);
  while (!text.empty()) {
    if (max_splits >= 0 && static_cast<std::int64_t>(parts.size()) == max_splits) {
      parts.push_back(StripSpace(text, kLeft));
      break;
    }
    std::size_t begin = text.size();
    while (begin > 0) {
      const Utf8Char c = CharBefore(text, begin);
      if (IsSpace(c.code_point)) break;
      begin -= c.n_bytes;
    }
    parts.push_back(text.substr(begin));
    text = StripSpace(text.substr(0, begin), kRight);
  }
  return {parts.rbegin(), parts.rend()};
}

std::vector<std::string_view> SplitLines(std::string_view text, bool keep_ends) {
  std::vector<std::string_view> lines;
  std::size_t begin = 0;
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Char c = DecodeUtf8(text, at);
    const std::size_t line_end = at;
    at += c.n_bytes;
    if (!IsLineEnd(c.code_point)) continue;
    if (c.code_point == '\r' && at < text.size() && text[at] == '\n') ++at;
    lines.push_back(text.substr(begin, (keep_ends ? at : line_end) - begin));
    begin = at;
  }
  if (begin < text.size()) lines.push_back(text.substr(begin));
  return lines;
}

std::size_t FindText(std::string_view text, std::string_view part, std::size_t from) {
  if (from > text.size()) return std::string_view::npos;
  if (part.empty()) return from;
  // Two-way search; std::string_view::find is quadratic at worst.
  const void* found = memmem(text.data() + from, text.size() - from, part.data(), part.size());
  if (found == nullptr) return std::string_view::npos;
  return static_cast<std::size_t>(static_cast<const char*>(found) - text.data());
}

void AppendTextRepr(std::string_view text, std::string& out) {
  const bool has_single = text.find('\'') != std::string_view::npos;
  const bool has_double = text.find('"') != std::string_view::npos;
  const char quote = has_single && !has_double ? '"' : '\'';
  out += quote;
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Char c = DecodeUtf8(text, at);
    if (c.code_point == static_cast<unsigned char>(quote) || c.code_point == '\\') {
      out += '\\';
      out += static_cast<char>(c.code_point);
    } else if (IsPrintable(c.code_point)) {
      out.append(text.substr(at, c.n_bytes));
    } else {
      AppendEscaped(c.code_point, out);
    }
    at += c.n_bytes;
  }
  out += quote;
}

std::string FloatRepr(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  char buffer[40];
  const auto made =
      std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific);
  std::string_view text(buffer, static_cast<std::size_t>(made.ptr - buffer));
  std::string out;
  if (text.front() == '-') {
    out = "-";
    text.remove_prefix(1);
  }
  const std::size_t e = text.find('e');
  const int exponent = std::atoi(std::string(text.substr(e + 1)).c_str());
  std::string digits(1, text[0]);
  if (e > 2) digits.append(text.substr(2, e - 2));
  const int n_digits = static_cast<int>(digits.size());
  if (exponent < -4 || exponent >= 16) {
    out += digits[0];
    if (n_digits > 1) out += "." + digits.substr(1);
    return out + fmt::format("e{}{:02}", exponent < 0 ? '-' : '+', std::abs(exponent));
  }
  if (exponent < 0)
    return out + "0." + std::string(static_cast<std::size_t>(-exponent - 1), '0') + digits;
  if (n_digits <= exponent + 1) {
    return out + digits + std::string(static_cast<std::size_t>(exponent + 1 - n_digits), '0') +
           ".0";
  }
  const auto point = static_cast<std::size_t>(exponent + 1);
  return out + digits.substr(0, point) + "." + digits.substr(point);
}

}  // namespace larder::jinja
