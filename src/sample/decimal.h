// Decimal numbers without rounding, as the bounds of a schema need them. Values.
#pragma once

#include <optional>
#include <string>

#include "text/json_value.h"

namespace larder {

/// sign * digits.fraction
struct Decimal {
  bool negative = false;     // false for zero
  std::string digits = "0";  // without leading zeros
  std::string fraction;      // without trailing zeros

  bool IsZero() const { return digits == "0" && fraction.empty(); }
};

/// The number as every reader of JSON sees it: integers exactly, others rounded to a double first.
Decimal DecimalOf(const JsonValue& number);

/// Negative, zero or positive as a is below, equal to or above b.
int Compare(const Decimal& a, const Decimal& b);

/// The digits as JSON; what DecimalOf reads back.
std::string ToText(const Decimal& number);

/// From low to high, each included unless open; absent: unlimited.
struct NumberRange {
  std::optional<Decimal> low;
  std::optional<Decimal> high;
  bool low_open = false;
  bool high_open = false;

  bool IsEverything() const { return !low && !high; }
  void RaiseLow(const Decimal& bound, bool open);
  void LowerHigh(const Decimal& bound, bool open);
  /// Equal ranges have equal keys.
  std::string Key() const;
};

}  // namespace larder
