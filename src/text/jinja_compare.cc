// Equality, order, str and repr of values. Every walk counts its steps: shared parts can make a
// small value large to walk.
#include <fmt/format.h>

#include <cmath>

#include "text/jinja_callable.h"
#include "text/jinja_loop.h"
#include "text/jinja_value.h"
#include "text/python_text.h"

namespace larder::jinja {
namespace {

// Compares an int with a float without rounding the int: -1, 0 or 1; 2 when the float is no number.
int CompareIntFloat(std::int64_t a, double b) {
  if (std::isnan(b)) return 2;
  if (b >= 9223372036854775808.0) return -1;
  if (b < -9223372036854775808.0) return 1;
  const double whole = std::floor(b);
  const auto b_whole = static_cast<std::int64_t>(whole);
  if (a != b_whole) return a < b_whole ? -1 : 1;
  return b > whole ? -1 : 0;
}

// -1, 0, 1, or 2 when one of the two is not a number.
int CompareNumbers(const Value& a, const Value& b) {
  if (a.IsInteger() && b.IsInteger()) {
    return a.integer() < b.integer() ? -1 : a.integer() > b.integer() ? 1 : 0;
  }
  if (a.IsInteger()) return CompareIntFloat(a.integer(), b.real());
  if (b.IsInteger()) {
    const int reversed = CompareIntFloat(b.integer(), a.real());
    return reversed == 2 ? 2 : -reversed;
  }
  if (std::isnan(a.real()) || std::isnan(b.real())) return 2;
  return a.real() < b.real() ? -1 : a.real() > b.real() ? 1 : 0;
}

bool EqualItems(Meter& meter, const std::vector<Value>& a, const std::vector<Value>& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (!Equal(meter, a[i], b[i])) return false;
  }
  return true;
}

bool EqualDicts(Meter& meter, const Dict& a, const Dict& b) {
  if (a.items().size() != b.items().size()) return false;
  for (const auto& [key, value] : a.items()) {
    const Value* other = b.Find(meter, key);
    if (other == nullptr || !Equal(meter, value, *other)) return false;
  }
  return true;
}

bool EqualRanges(const Range& a, const Range& b) {
  if (a.n_items != b.n_items) return false;
  if (a.n_items == 0) return true;
  return a.start == b.start && (a.n_items == 1 || a.step == b.step);
}

// dict.keys() and .items() are sets.
bool EqualViews(Meter& meter, const Value& a, const Value& b) {
  if (a.object() == b.object()) return true;
  const View& x = a.view();
  const View& y = b.view();
  if (x.part == View::Part::kValues || x.part != y.part) return false;
  if (x.part == View::Part::kItems) return EqualDicts(meter, x.dict.dict(), y.dict.dict());
  if (LengthOf(a) != LengthOf(b)) return false;
  for (const auto& item : x.dict.dict().items()) {
    if (y.dict.dict().Find(meter, item.first) == nullptr) return false;
  }
  return true;
}

bool LessItems(Meter& meter, const std::vector<Value>& a, const std::vector<Value>& b) {
  const std::size_t n = std::min(a.size(), b.size());
  for (std::size_t i = 0; i < n; ++i) {
    if (!Equal(meter, a[i], b[i])) return Less(meter, a[i], b[i]);
  }
  return a.size() < b.size();
}

void AppendItems(Meter& meter, const std::vector<Value>& items, std::string& out) {
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (i > 0) out += ", ";
    AppendRepr(meter, items[i], out);
  }
}

void AppendDict(Meter& meter, const Dict& dict, std::string& out) {
  out += '{';
  const char* separator = "";
  for (const auto& [key, value] : dict.items()) {
    out += separator;
    AppendRepr(meter, key, out);
    out += ": ";
    AppendRepr(meter, value, out);
    separator = ", ";
  }
  out += '}';
}

void AppendView(Meter& meter, const Value& value, std::string& out) {
  out += TypeName(value) + "([";
  AppendItems(meter, ToVector(meter, value), out);
  out += "])";
}

void AppendRange(const Range& range, std::string& out) {
  out += range.step == 1 ? fmt::format("range({}, {})", range.start, range.stop)
                         : fmt::format("range({}, {}, {})", range.start, range.stop, range.step);
}

}  // namespace

bool Equal(Meter& meter, const Value& a, const Value& b) {
  meter.Step();
  if (a.IsNumber() && b.IsNumber()) return CompareNumbers(a, b) == 0;
  if (a.kind() != b.kind()) return false;
  if (a.object() == b.object()) return true;
  switch (a.kind()) {
    case Kind::kUndefined:
      return true;
    case Kind::kString:
      if (a.text().size() != b.text().size()) return false;
      meter.StepBytes(a.text().size());
      return a.text() == b.text();
    case Kind::kList:
    case Kind::kTuple:
      return EqualItems(meter, a.items(), b.items());
    case Kind::kDict:
      return EqualDicts(meter, a.dict(), b.dict());
    case Kind::kRange:
      return EqualRanges(a.range(), b.range());
    case Kind::kView:
      return EqualViews(meter, a, b);
    case Kind::kCallable:
      return SameMethod(a.callable(), b.callable());
    default:
      return false;
  }
}

bool Less(Meter& meter, const Value& a, const Value& b) {
  meter.Step();
  if (a.IsNumber() && b.IsNumber()) return CompareNumbers(a, b) == -1;
  if (a.is(Kind::kUndefined)) FailUndefined(a);
  if (b.is(Kind::kUndefined)) FailUndefined(b);
  if (a.is(Kind::kString) && b.is(Kind::kString)) {
    meter.StepBytes(std::min(a.text().size(), b.text().size()));
    return a.text() < b.text();  // the order of code points is that of their UTF-8 bytes
  }
  if (a.IsSequence() && a.kind() == b.kind()) return LessItems(meter, a.items(), b.items());
  Fail(Fault::kType, fmt::format("'<' not supported between instances of '{}' and '{}'",
                                 TypeName(a), TypeName(b)));
}

bool LessOrEqual(Meter& meter, const Value& a, const Value& b) {
  if (a.IsNumber() && b.IsNumber()) {
    const int order = CompareNumbers(a, b);
    return order == -1 || order == 0;
  }
  if (a.is(Kind::kString) && b.is(Kind::kString)) return !Less(meter, b, a);
  if (a.IsSequence() && a.kind() == b.kind()) {
    const std::size_t n = std::min(a.items().size(), b.items().size());
    for (std::size_t i = 0; i < n; ++i) {
      if (!Equal(meter, a.items()[i], b.items()[i])) {
        return LessOrEqual(meter, a.items()[i], b.items()[i]);
      }
    }
    return a.items().size() <= b.items().size();
  }
  return Less(meter, a, b);  // which fails
}

void AppendStr(Meter& meter, const Value& value, std::string& out) {
  if (value.is(Kind::kUndefined)) return;
  if (!value.is(Kind::kString)) return AppendRepr(meter, value, out);
  meter.StepBytes(value.text().size());
  out += value.text();
}

void AppendRepr(Meter& meter, const Value& value, std::string& out) {
  meter.Step();
  meter.CheckRoom(out.size());
  switch (value.kind()) {
    case Kind::kNone:
      out += "None";
      break;
    case Kind::kBool:
      out += value.integer() != 0 ? "True" : "False";
      break;
    case Kind::kInt:
      out += std::to_string(value.integer());
      break;
    case Kind::kFloat:
      out += FloatRepr(value.real());
      break;
    case Kind::kString:
      meter.StepBytes(value.text().size());
      if (value.string().markup) out += "Markup(";
      AppendTextRepr(value.text(), out);
      if (value.string().markup) out += ")";
      break;
    case Kind::kList:
      out += '[';
      AppendItems(meter, value.items(), out);
      out += ']';
      break;
    case Kind::kTuple:
      out += '(';
      AppendItems(meter, value.items(), out);
      out += value.items().size() == 1 ? ",)" : ")";
      break;
    case Kind::kDict:
      AppendDict(meter, value.dict(), out);
      break;
    case Kind::kRange:
      AppendRange(value.range(), out);
      break;
    case Kind::kView:
      AppendView(meter, value, out);
      break;
    case Kind::kNamespace:
    case Kind::kIterator:
      Fail(Fault::kUnsupported, fmt::format("a {} cannot be printed", TypeName(value)));
    case Kind::kLoop:
      out += fmt::format("<LoopContext {}/{}>", value.loop().index0() + 1, value.loop().Length());
      break;
    case Kind::kCallable:
      if (value.callable().repr.empty()) {
        Fail(Fault::kUnsupported, fmt::format("a {} cannot be printed", TypeName(value)));
      }
      out += value.callable().repr;
      break;
    default:
      out += "Undefined";
  }
}

std::string ToStr(Meter& meter, const Value& value) {
  std::string out;
  AppendStr(meter, value, out);
  return out;
}

std::string ToRepr(Meter& meter, const Value& value) {
  std::string out;
  AppendRepr(meter, value, out);
  return out;
}

}  // namespace larder::jinja
