// Digits moved about the point by the exponent.
#include "sample/decimal.h"

#include <fmt/format.h>

#include <cstdlib>

namespace larder {

namespace {

int CompareSizes(const Decimal& a, const Decimal& b) {
  if (a.digits.size() != b.digits.size()) return a.digits.size() < b.digits.size() ? -1 : 1;
  if (a.digits != b.digits) return a.digits < b.digits ? -1 : 1;
  return a.fraction.compare(b.fraction);
}

}  // namespace

Decimal DecimalOf(const JsonValue& number) {
  const std::string text = number.integer ? number.text : fmt::format("{}", number.number);
  Decimal decimal;
  decimal.negative = text[0] == '-';
  const std::size_t exponent_at = text.find_first_of("eE");
  const std::string mantissa =
      text.substr(decimal.negative ? 1 : 0, exponent_at == std::string::npos
                                                ? std::string::npos
                                                : exponent_at - (decimal.negative ? 1 : 0));
  // A double's exponent has three digits at most.
  long exponent = exponent_at == std::string::npos
                      ? 0
                      : std::strtol(text.c_str() + exponent_at + 1, nullptr, 10);
  const std::size_t point = mantissa.find('.');
  std::string digits = mantissa.substr(0, point);
  std::string fraction = point == std::string::npos ? "" : mantissa.substr(point + 1);
  for (; exponent > 0; --exponent) {
    digits += fraction.empty() ? '0' : fraction[0];
    if (!fraction.empty()) fraction.erase(0, 1);
  }
  for (; exponent < 0; ++exponent) {
    fraction.insert(fraction.begin(), digits.empty() ? '0' : digits.back());
    if (!digits.empty()) digits.pop_back();
  }
  while (!fraction.empty() && fraction.back() == '0') fraction.pop_back();
  const std::size_t first = digits.find_first_not_of('0');
  decimal.digits = first == std::string::npos ? "0" : digits.substr(first);
  decimal.fraction = fraction;
  if (decimal.IsZero()) decimal.negative = false;
  return decimal;
}

int Compare(const Decimal& a, const Decimal& b) {
  if (a.negative != b.negative) return a.negative ? -1 : 1;
  const int sizes = CompareSizes(a, b);
  return a.negative ? -sizes : sizes;
}

std::string ToText(const Decimal& number) {
  return (number.negative ? "-" : "") + number.digits +
         (number.fraction.empty() ? "" : "." + number.fraction);
}

void NumberRange::RaiseLow(const Decimal& bound, bool open) {
  const int order = low ? Compare(bound, *low) : 1;
  if (order > 0) low = bound;
  if (order > 0) low_open = open;
  if (order == 0) low_open = low_open || open;
}

void NumberRange::LowerHigh(const Decimal& bound, bool open) {
  const int order = high ? Compare(bound, *high) : -1;
  if (order < 0) high = bound;
  if (order < 0) high_open = open;
  if (order == 0) high_open = high_open || open;
}

std::string NumberRange::Key() const {
  return (low ? ToText(*low) : "") + (low_open ? "(" : "[") + "," + (high ? ToText(*high) : "") +
         (high_open ? ")" : "]");
}

}  // namespace larder
