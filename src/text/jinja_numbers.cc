// int() and float() of texts, as Python reads them.
#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <cstdlib>

#include "text/jinja_filters.h"
#include "text/python_text.h"

namespace larder::jinja {
namespace {

[[noreturn]] void FailNumber(const char* what, std::string_view text) {
  std::string shown;
  AppendTextRepr(text.substr(0, 100), shown);
  Fail(Fault::kValue, fmt::format("could not convert string to {}: {}", what, shown));
}

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

int DigitOf(char c) {
  if (IsDigit(c)) return c - '0';
  if (c >= 'a' && c <= 'z') return c - 'a' + 10;
  if (c >= 'A' && c <= 'Z') return c - 'A' + 10;
  return 99;
}

// 0x, 0o and 0b where the base asks for them or allows them.
bool TakePrefix(std::string_view* digits, std::int64_t* base) {
  if (digits->size() < 2 || (*digits)[0] != '0') return false;
  const char letter = static_cast<char>((*digits)[1] | 0x20);
  const std::int64_t meant = letter == 'x' ? 16 : letter == 'o' ? 8 : letter == 'b' ? 2 : 0;
  if (meant == 0 || (*base != 0 && *base != meant)) return false;
  *base = meant;
  digits->remove_prefix(2);
  return true;
}

// Takes out single underscores between digits; an empty result for any other underscore.
std::string WithoutUnderscores(std::string_view text, bool (*is_digit)(char)) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '_') {
      out += text[i];
      continue;
    }
    const bool between =
        i > 0 && is_digit(text[i - 1]) && i + 1 < text.size() && is_digit(text[i + 1]);
    if (!between) return "";
  }
  return out;
}

}  // namespace

std::int64_t ParseInteger(std::string_view text, std::int64_t base) {
  if (base != 0 && (base < 2 || base > 36)) {
    Fail(Fault::kValue, "int() base must be >= 2 and <= 36, or 0");
  }
  const std::string ascii = WithAsciiDigits(text);
  std::string_view digits = StripSpace(ascii, kBoth);
  bool negative = false;
  if (!digits.empty() && (digits[0] == '-' || digits[0] == '+')) {
    negative = digits[0] == '-';
    digits.remove_prefix(1);
  }
  const bool automatic = base == 0;
  if (TakePrefix(&digits, &base) && !digits.empty() && digits[0] == '_') digits.remove_prefix(1);
  if (base == 0) base = 10;
  const std::string plain = WithoutUnderscores(digits, [](char c) { return DigitOf(c) < 36; });
  if (plain.empty()) FailNumber("int", text);
  // int("010", 0) is an error in Python, int("00", 0) is not.
  bool zero = true;
  for (const char c : plain) {
    if (DigitOf(c) >= base) FailNumber("int", text);
    zero = zero && c == '0';
  }
  if (automatic && base == 10 && plain[0] == '0' && !zero) FailNumber("int", text);
  std::int64_t value = 0;
  for (const char c : plain) {
    const bool wide = __builtin_mul_overflow(value, base, &value) ||
                      __builtin_sub_overflow(value, DigitOf(c), &value);
    if (wide || (!negative && value == INT64_MIN)) {
      Fail(Fault::kUnsupported, "an integer of the template needs more than 64 bits");
    }
  }
  return negative ? value : -value;
}

double ParseFloat(std::string_view text) {
  const std::string ascii = WithAsciiDigits(text);
  const std::string_view stripped = StripSpace(ascii, kBoth);
  const std::string plain = WithoutUnderscores(stripped, IsDigit);
  std::string_view body = plain;
  if (!body.empty() && (body[0] == '-' || body[0] == '+')) body.remove_prefix(1);
  if (body.empty()) FailNumber("float", text);
  const std::string lower = Lower(body);
  const bool word = lower == "inf" || lower == "infinity" || lower == "nan";
  // strtod also takes hexadecimal numbers and words that Python does not.
  const bool starts = IsDigit(body[0]) || (body[0] == '.' && body.size() > 1 && IsDigit(body[1]));
  if (!word && (!starts || body.find_first_of("xXpPnN") != std::string_view::npos)) {
    FailNumber("float", text);
  }
  if (body[0] == '+' || body[0] == '-') FailNumber("float", text);
  char* end = nullptr;
  const double value = std::strtod(plain.c_str(), &end);
  if (end != plain.c_str() + plain.size()) FailNumber("float", text);
  return value;
}

std::int64_t TruncateToInteger(double value) {
  if (std::isnan(value)) Fail(Fault::kValue, "cannot convert float NaN to integer");
  if (std::isinf(value)) Fail(Fault::kOverflow, "cannot convert float infinity to integer");
  if (value >= 9223372036854775808.0 || value < -9223372036854775808.0) {
    Fail(Fault::kUnsupported, "an integer of the template needs more than 64 bits");
  }
  return static_cast<std::int64_t>(value);
}

}  // namespace larder::jinja
