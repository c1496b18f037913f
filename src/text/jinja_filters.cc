// Finding and calling filters; filters on numbers and single values.
#include "text/jinja_filters.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "text/jinja_json.h"
#include "text/jinja_parser.h"
#include "text/python_text.h"

namespace larder::jinja {
namespace {

Value Default(const FilterCall& call) {
  const bool absent =
      call.value.is(Kind::kUndefined) || (FlagArgument(call[1], false) && !IsTrue(call.value));
  if (!absent) return call.value;
  return call[0].IsMissing() ? call.interpreter.Text("") : call[0];
}

Value Abs(const FilterCall& call) {
  const Value& value = call.value;
  if (value.is(Kind::kFloat)) return Value::Float(std::fabs(value.real()));
  if (!value.IsInteger()) {
    Fail(Fault::kType, fmt::format("bad operand type for abs(): '{}'", TypeName(value)));
  }
  return value.integer() < 0 ? Negate(value, true) : Value::Int(value.integer());
}

Value Attr(const FilterCall& call) {
  return call.interpreter.GetAttribute(call.value, TextArgument(call[0], "attribute name"), false);
}

Value ToInteger(const Value& value, std::int64_t base) {
  if (value.is(Kind::kString)) return Value::Int(ParseInteger(value.text(), base));
  if (value.IsInteger()) return Value::Int(value.integer());
  if (value.is(Kind::kFloat)) return Value::Int(TruncateToInteger(value.real()));
  if (value.is(Kind::kUndefined)) FailUndefined(value);
  Fail(Fault::kType, "no number");
}

double ToFloat(const Value& value) {
  if (value.is(Kind::kString)) return ParseFloat(value.text());
  if (value.IsNumber()) return value.AsDouble();
  if (value.is(Kind::kUndefined)) FailUndefined(value);
  Fail(Fault::kType, "no number");
}

Value Int(const FilterCall& call) {
  const Value fallback = call[0].IsMissing() ? Value::Int(0) : call[0];
  const std::int64_t base = call.value.is(Kind::kString) ? IntegerArgument(call[1], 10) : 10;
  try {
    return ToInteger(call.value, base);
  } catch (const Error& error) {
    if (error.fault != Fault::kType && error.fault != Fault::kValue) throw;
  }
  try {
    return Value::Int(TruncateToInteger(ToFloat(call.value)));  // so that "42.23" gives 42
  } catch (const Error& error) {
    const bool expected = error.fault == Fault::kType || error.fault == Fault::kValue ||
                          error.fault == Fault::kOverflow;
    if (!expected) throw;
    return fallback;
  }
}

Value Float(const FilterCall& call) {
  try {
    return Value::Float(ToFloat(call.value));
  } catch (const Error& error) {
    if (error.fault != Fault::kType && error.fault != Fault::kValue) throw;
    return call[0].IsMissing() ? Value::Float(0) : call[0];
  }
}

// round(x, n): the decimal text rounds exactly, ties on the exact binary value to even.
double RoundDouble(double value, std::int64_t n_digits) {
  if (!std::isfinite(value) || n_digits > 330) return value;
  if (n_digits < -330) return std::copysign(0.0, value);
  if (n_digits < 0) {
    const double unit = std::pow(10.0, static_cast<double>(-n_digits));
    return std::nearbyint(value / unit) * unit;
  }
  char text[800];
  std::snprintf(text, sizeof text, "%.*f", static_cast<int>(n_digits), value);
  return std::strtod(text, nullptr);
}

Value RoundInteger(std::int64_t value, std::int64_t n_digits) {
  if (n_digits >= 0) return Value::Int(value);
  if (n_digits < -18) return Value::Int(0);
  std::int64_t unit = 1;
  for (std::int64_t i = n_digits; i < 0; ++i) unit *= 10;
  std::int64_t rest = value % unit;
  if (rest < 0) rest += unit;
  const std::int64_t down = value - rest;
  const bool up = rest * 2 > unit || (rest * 2 == unit && (down / unit) % 2 != 0);
  return Value::Int(up ? down + unit : down);
}

Value Round(const FilterCall& call) {
  const std::string method = call[1].is(Kind::kString) ? call[1].text() : "";
  if (!call[1].IsMissing() && method != "common" && method != "ceil" && method != "floor") {
    Fail(Fault::kRuntime, "the method of round must be common, ceil or floor");
  }
  const Value& value = call.value;
  if (value.is(Kind::kUndefined)) FailUndefined(value);
  if (!value.IsNumber()) {
    Fail(Fault::kType, fmt::format("type {} cannot be rounded", TypeName(value)));
  }
  const bool common = method.empty() || method == "common";
  if (common && !call[0].IsMissing() && call[0].is(Kind::kNone)) {
    return Value::Int(TruncateToInteger(std::nearbyint(value.AsDouble())));
  }
  const std::int64_t n_digits = IntegerArgument(call[0], 0);
  if (common) {
    return value.IsInteger() ? RoundInteger(value.integer(), n_digits)
                             : Value::Float(RoundDouble(value.real(), n_digits));
  }
  const double unit = std::pow(10.0, static_cast<double>(n_digits));
  const double scaled = value.AsDouble() * unit;
  const double whole = method == "ceil" ? std::ceil(scaled) : std::floor(scaled);
  return Value::Float(static_cast<double>(TruncateToInteger(whole)) / unit);
}

Value Length(const FilterCall& call) {
  const std::int64_t length = LengthOf(call.value);
  if (length < 0) {
    Fail(Fault::kType, fmt::format("object of type '{}' has no len()", TypeName(call.value)));
  }
  return Value::Int(length);
}

Value ToJson(const FilterCall& call) {
  return call.interpreter.Text(
      DumpJson(call.meter, call.value, ReadJsonStyle(call.meter, call.bound)));
}

Value FileSize(const FilterCall& call) {
  const double bytes = ToFloat(call.value);
  const bool binary = FlagArgument(call[0], false);
  const double base = binary ? 1024 : 1000;
  if (bytes == 1) return call.interpreter.Text("1 Byte");
  if (bytes < base) {
    return call.interpreter.Text(fmt::format("{} Bytes", TruncateToInteger(bytes)));
  }
  double unit = base;
  constexpr std::string_view kPrefixes = "kMGTPEZY";
  std::size_t i = 0;
  while (i + 1 < kPrefixes.size() && bytes >= unit * base) {
    unit *= base;
    ++i;
  }
  char prefix = kPrefixes[i];
  if (binary && prefix == 'k') prefix = 'K';
  return call.interpreter.Text(
      fmt::format("{:.1f} {}{}B", base * bytes / (unit * base), prefix, binary ? "i" : ""));
}

Value NotSupported(const FilterCall& call) {
  Fail(Fault::kUnsupported, fmt::format("the filter '{}' is not supported", call.name));
}

constexpr Filter kValueFilters[] = {
    {"default", "default_value boolean", 0, Default},
    {"d", "default_value boolean", 0, Default},
    {"abs", "", 0, Abs},
    {"attr", "name", 1, Attr},
    {"int", "default base", 0, Int},
    {"float", "default", 0, Float},
    {"round", "precision method", 0, Round},
    {"length", "", 0, Length},
    {"count", "", 0, Length},
    {"tojson", "ensure_ascii indent separators sort_keys", 0, ToJson},
    {"filesizeformat", "binary", 0, FileSize},
    {"pprint", "*", 0, NotSupported},
    {"random", "*", 0, NotSupported},
    {"striptags", "*", 0, NotSupported},
    {"urlencode", "*", 0, NotSupported},
    {"urlize", "*", 0, NotSupported},
    {"wordwrap", "*", 0, NotSupported},
    {"xmlattr", "*", 0, NotSupported},
};

const Filter* FindFilter(std::string_view name) {
  for (const std::span<const Filter> filters :
       {std::span<const Filter>(kValueFilters), TextFilters(), SequenceFilters(), OrderFilters()}) {
    for (const Filter& filter : filters) {
      if (filter.name == name) return &filter;
    }
  }
  return nullptr;
}

std::vector<Value> AttributeParts(Meter& meter, const Value& attribute) {
  if (!IsSet(attribute)) return {};
  if (!attribute.is(Kind::kString)) return {attribute};
  std::vector<Value> parts;
  std::string_view rest = attribute.text();
  while (true) {
    const std::size_t dot = rest.find('.');
    const std::string part(rest.substr(0, dot));
    const bool digits = TestText(part, CharTest::kDigit);
    parts.push_back(digits ? Value::Int(ParseInteger(part, 10)) : MakeString(meter, part));
    if (dot == std::string_view::npos) return parts;
    rest.remove_prefix(dot + 1);
  }
}

}  // namespace

bool IsFilterName(std::string_view name) { return FindFilter(name) != nullptr; }

Value Interpreter::ApplyFilter(std::string_view name, const Value& value,
                               const Arguments& arguments) {
  const Filter* filter = FindFilter(name);
  if (filter == nullptr) Fail(Fault::kRuntime, fmt::format("there is no filter '{}'", name));
  if (value.is(Kind::kString)) meter_.StepBytes(value.text().size());
  FilterCall call{*this, meter_, value, arguments, {}, filter->name};
  if (filter->parameters != "*") {
    call.bound = BindArguments(name, filter->parameters, filter->n_required, arguments);
  }
  return filter->run(call);
}

Getter AttributeGetter(Interpreter& interpreter, const Value& attribute, bool ignore_case,
                       const Value& fallback) {
  std::vector<Value> parts = AttributeParts(interpreter.meter(), attribute);
  return [&interpreter, parts = std::move(parts), ignore_case, fallback](const Value& given) {
    Value item = given;
    for (const Value& part : parts) {
      item = interpreter.GetItem(item, part);
      if (item.is(Kind::kUndefined) && IsSet(fallback)) item = fallback;
    }
    if (ignore_case && item.is(Kind::kString)) return interpreter.Text(Lower(item.text()));
    return item;
  };
}

Value SoftStr(Meter& meter, const Value& value) {
  return value.is(Kind::kString) ? value : MakeString(meter, ToStr(meter, value));
}

}  // namespace larder::jinja
