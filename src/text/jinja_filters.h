// The filters, by table: those on texts (jinja_filters_text.cc), on numbers and single values
// (jinja_filters.cc), on sequences (jinja_filters_sequence.cc, jinja_filters_order.cc).
#pragma once

#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "text/jinja_interpreter.h"

namespace larder::jinja {

struct FilterCall {
  Interpreter& interpreter;
  Meter& meter;
  const Value& value;
  const Arguments& arguments;  // as given, without the value
  std::vector<Value> bound;    // matched to `parameters`; missing where not given
  std::string_view name;

  const Value& operator[](std::size_t i) const { return bound[i]; }
};

struct Filter {
  std::string_view name;
  std::string_view parameters;  // as BindArguments; "*" takes the arguments as they are
  std::size_t n_required;
  Value (*run)(const FilterCall& call);
};

std::span<const Filter> TextFilters();
std::span<const Filter> SequenceFilters();
std::span<const Filter> OrderFilters();

/// Looks up "name", "name.other.0" or a number in a value; an absent attribute (None) is the value
/// itself. `fallback` replaces what is undefined on the way.
using Getter = std::function<Value(const Value&)>;
Getter AttributeGetter(Interpreter& interpreter, const Value& attribute, bool ignore_case,
                       const Value& fallback = Value());

/// str(value) unless it is one; keeps what is marked as safe.
Value SoftStr(Meter& meter, const Value& value);

/// The value is given and not none.
inline bool IsSet(const Value& value) { return !value.IsMissing() && !value.is(Kind::kNone); }

/// int(text, base) and float(text); kValue when the text is no number, kUnsupported for integers
/// beyond 64 bits.
std::int64_t ParseInteger(std::string_view text, std::int64_t base);
double ParseFloat(std::string_view text);
/// int(value) of a number: towards zero.
std::int64_t TruncateToInteger(double value);

}  // namespace larder::jinja
