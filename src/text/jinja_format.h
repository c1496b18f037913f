// What the two ways of formatting (% and str.format) share.
#pragma once

#include <string>
#include <string_view>

#include "text/jinja_interpreter.h"

namespace larder::jinja {

/// [[fill]align][sign][#][0][width][grouping][.precision][type]; '\0', "" and -1 where absent.
struct FormatStyle {
  std::string fill;
  char align = '\0';
  char sign = '\0';
  bool alternate = false;
  bool zero = false;  // the alignment comes from a leading 0
  std::int64_t width = -1;
  char group = '\0';
  std::int64_t precision = -1;
  char type = '\0';
};

/// Throws kValue for what Python refuses.
FormatStyle ParseFormatSpec(std::string_view spec);
std::string PadText(const FormatStyle& style, std::string_view text, char default_align);
/// An int, bool or float.
std::string FormatNumber(const FormatStyle& style, const Value& value);

}  // namespace larder::jinja
