// value.name, value[key] and value[a:b:c], by the rules of jinja2's immutable sandbox: names that
// begin with an underscore and methods that change a value are there, but unusable.
#include <fmt/format.h>

#include <limits>
#include <set>
#include <string_view>

#include "text/jinja_interpreter.h"
#include "text/python_text.h"

namespace larder::jinja {
namespace {

bool IsDunder(std::string_view name) {
  return name.size() > 4 && name.substr(0, 2) == "__" && name.substr(name.size() - 2) == "__";
}

// The names of that kind that jinja2's own undefined values have.
bool IsDunderOfUndefined(std::string_view name) {
  static const std::set<std::string_view> kNames = {"__add__",
                                                    "__aiter__",
                                                    "__bool__",
                                                    "__call__",
                                                    "__class__",
                                                    "__complex__",
                                                    "__delattr__",
                                                    "__dir__",
                                                    "__div__",
                                                    "__doc__",
                                                    "__eq__",
                                                    "__float__",
                                                    "__floordiv__",
                                                    "__format__",
                                                    "__ge__",
                                                    "__getattr__",
                                                    "__getattribute__",
                                                    "__getitem__",
                                                    "__getstate__",
                                                    "__gt__",
                                                    "__hash__",
                                                    "__init__",
                                                    "__init_subclass__",
                                                    "__int__",
                                                    "__iter__",
                                                    "__le__",
                                                    "__len__",
                                                    "__lt__",
                                                    "__mod__",
                                                    "__module__",
                                                    "__mul__",
                                                    "__ne__",
                                                    "__neg__",
                                                    "__new__",
                                                    "__pos__",
                                                    "__pow__",
                                                    "__radd__",
                                                    "__rdiv__",
                                                    "__reduce__",
                                                    "__reduce_ex__",
                                                    "__repr__",
                                                    "__rfloordiv__",
                                                    "__rmod__",
                                                    "__rmul__",
                                                    "__rpow__",
                                                    "__rsub__",
                                                    "__rtruediv__",
                                                    "__setattr__",
                                                    "__sizeof__",
                                                    "__slots__",
                                                    "__str__",
                                                    "__sub__",
                                                    "__subclasshook__",
                                                    "__truediv__"};
  return kNames.count(name) > 0;
}

Value NumberAttribute(const Value& value, std::string_view name) {
  if (name == "real") return value.is(Kind::kFloat) ? value : Value::Int(value.integer());
  if (name == "imag") return value.is(Kind::kFloat) ? Value::Float(0) : Value::Int(0);
  if (!value.IsInteger()) return Value();
  if (name == "numerator") return Value::Int(value.integer());
  return name == "denominator" ? Value::Int(1) : Value();
}

Value RangeAttribute(const Range& range, std::string_view name) {
  if (name == "start") return Value::Int(range.start);
  if (name == "stop") return Value::Int(range.stop);
  return name == "step" ? Value::Int(range.step) : Value();
}

// getattr(): missing when there is no such attribute. Names beginning with an underscore are only
// said to be unsafe where Python has them.
Value PlainAttribute(Meter& meter, const Value& value, std::string_view name, bool* unsafe) {
  *unsafe = false;
  switch (value.kind()) {
    case Kind::kNamespace: {
      const Value* found = value.space().attributes.Find(meter, name);
      *unsafe = IsDunder(name);
      return found == nullptr ? Value() : *found;
    }
    case Kind::kLoop:
      *unsafe = name[0] == '_';
      return value.loop().Attribute(value, name);
    case Kind::kTuple:
      if (static_cast<const Sequence&>(*value.object()).is_group) {
        if (name == "grouper") return value.items()[0];
        if (name == "list") return value.items()[1];
      }
      break;
    case Kind::kCallable:
      for (const auto& [known, attribute] : value.callable().attributes) {
        if (known == name) return attribute;
      }
      break;
    case Kind::kBool:
    case Kind::kInt:
    case Kind::kFloat: {
      Value number = NumberAttribute(value, name);
      if (!number.IsMissing()) return number;
      break;
    }
    case Kind::kRange: {
      Value number = RangeAttribute(value.range(), name);
      if (!number.IsMissing()) return number;
      break;
    }
    default:
      break;
  }
  if (IsDunder(name)) {
    *unsafe = true;
    return Value();
  }
  return BindMethod(meter, value, name, unsafe);
}

// obj[key] where that works; missing where Python raises TypeError or LookupError.
Value PlainItem(Meter& meter, const Value& value, const Value& key) {
  if (value.is(Kind::kDict)) {
    try {
      const Value* found = value.dict().Find(meter, key);
      return found == nullptr ? Value() : *found;
    } catch (const Error& error) {
      if (error.fault != Fault::kType) throw;  // a key without a hash is only not there
      return Value();
    }
  }
  if (!key.IsInteger()) return Value();
  const bool indexed = value.is(Kind::kString) || value.IsSequence() || value.is(Kind::kRange);
  if (!indexed) return Value();
  const std::int64_t length = LengthOf(value);
  std::int64_t index = key.integer();
  if (index < 0) index += length;
  if (index < 0 || index >= length) return Value();
  if (value.IsSequence()) return value.items()[static_cast<std::size_t>(index)];
  if (value.is(Kind::kRange)) return Value::Int(value.range().start + index * value.range().step);
  const String& string = value.string();
  auto at = static_cast<std::size_t>(index);
  std::size_t n_bytes = 1;
  if (!string.is_ascii()) {
    meter.StepBytes(string.text.size());
    const std::size_t begin = ByteOffset(string.text, at);
    n_bytes = ByteOffset(std::string_view(string.text).substr(begin), 1);
    at = begin;
  }
  return MakeString(meter, string.text.substr(at, n_bytes), string.markup);
}

Value Unsafe(Meter& meter, const Value& value, std::string_view name) {
  return Value::Undefined(
      &meter,
      fmt::format("the template may not use the attribute '{}' of a {}", name, TypeName(value)),
      true);
}

Value NoAttribute(Meter& meter, const Value& value, std::string_view name) {
  return Value::Undefined(&meter,
                          fmt::format("'{}' has no attribute '{}'", DescribeType(value), name));
}

// slice.indices(): what a Python slice means for a sequence of this length.
struct SliceBounds {
  std::int64_t start, stop, step, n_items;
};

std::int64_t SliceIndex(const Value& value) {
  if (value.IsInteger()) return value.integer();
  Fail(Fault::kType, "slice indices must be integers or none");
}

SliceBounds ResolveSlice(std::int64_t length, const Value& start, const Value& stop,
                         const Value& step) {
  SliceBounds bounds{};
  bounds.step = step.is(Kind::kNone) ? 1 : SliceIndex(step);
  if (bounds.step == 0) Fail(Fault::kValue, "slice step cannot be zero");
  const bool backward = bounds.step < 0;
  const std::int64_t low = backward ? -1 : 0, high = backward ? length - 1 : length;
  const auto resolve = [&](const Value& value, std::int64_t fallback) {
    if (value.is(Kind::kNone)) return fallback;
    std::int64_t index = SliceIndex(value);
    if (index < 0) index += length;
    return std::min(std::max(index, low), high);
  };
  bounds.start = resolve(start, backward ? high : low);
  bounds.stop = resolve(stop, backward ? low : high);
  const std::int64_t distance = backward ? bounds.start - bounds.stop : bounds.stop - bounds.start;
  // A step far larger than the length: one item, and no arithmetic that could overflow.
  bounds.step = std::min(std::max(bounds.step, -length - 1), length + 1);
  const std::int64_t stride = backward ? -bounds.step : bounds.step;
  bounds.n_items = distance <= 0 ? 0 : (distance - 1) / stride + 1;
  return bounds;
}

Value SliceString(Meter& meter, const String& string, const SliceBounds& bounds) {
  meter.StepBytes(string.text.size());
  const std::string& text = string.text;
  const auto start = static_cast<std::size_t>(std::max<std::int64_t>(bounds.start, 0));
  const auto n = static_cast<std::size_t>(bounds.n_items);
  if (bounds.step == 1) {
    if (string.is_ascii()) return MakeString(meter, text.substr(start, n), string.markup);
    const std::size_t begin = ByteOffset(text, start);
    const std::string_view rest = std::string_view(text).substr(begin);
    return MakeString(meter, std::string(rest.substr(0, ByteOffset(rest, n))), string.markup);
  }
  std::vector<std::size_t> begins;  // of the characters
  meter.Reserve(text.size() * sizeof(std::size_t));
  for (std::size_t i = 0; i < text.size(); ++i) {
    if ((static_cast<unsigned char>(text[i]) & 0xc0) != 0x80) begins.push_back(i);
  }
  begins.push_back(text.size());
  std::string out;
  for (std::int64_t i = 0; i < bounds.n_items; ++i) {
    const auto at = static_cast<std::size_t>(bounds.start + i * bounds.step);
    out.append(text, begins[at], begins[at + 1] - begins[at]);
  }
  return MakeString(meter, std::move(out), string.markup);
}

}  // namespace

Value Interpreter::GetAttribute(const Value& value, std::string_view name, bool or_item) {
  bool unsafe = false;
  if (value.is(Kind::kUndefined)) {
    if (!IsDunderOfUndefined(name)) FailUndefined(value);
    return NoAttribute(meter_, value, name);
  }
  Value attribute = PlainAttribute(meter_, value, name, &unsafe);
  if (unsafe || (!attribute.IsMissing() && name[0] == '_')) return Unsafe(meter_, value, name);
  if (!attribute.IsMissing()) return attribute;
  if (or_item && value.is(Kind::kDict)) {
    const Value* item = value.dict().Find(meter_, name);
    if (item != nullptr) return *item;
  }
  return NoAttribute(meter_, value, name);
}

Value Interpreter::GetItem(const Value& value, const Value& key) {
  if (value.is(Kind::kUndefined)) FailUndefined(value);
  Value item = PlainItem(meter_, value, key);
  if (!item.IsMissing()) return item;
  if (!key.is(Kind::kString)) {
    return Undefined(fmt::format("'{}' has no element {}", DescribeType(value),
                                 ToRepr(meter_, key).substr(0, 80)));
  }
  const std::string& name = key.text();
  if (name.empty()) return NoAttribute(meter_, value, name);
  bool unsafe = false;
  Value attribute = PlainAttribute(meter_, value, name, &unsafe);
  if (unsafe || (!attribute.IsMissing() && name[0] == '_')) return Unsafe(meter_, value, name);
  return attribute.IsMissing() ? NoAttribute(meter_, value, name) : attribute;
}

Value Slice(Meter& meter, const Value& value, const Value& start, const Value& stop,
            const Value& step) {
  if (value.is(Kind::kUndefined)) FailUndefined(value);
  const bool sliced = value.is(Kind::kString) || value.IsSequence() || value.is(Kind::kRange);
  if (!sliced) Fail(Fault::kType, fmt::format("'{}' object cannot be sliced", TypeName(value)));
  const SliceBounds bounds = ResolveSlice(LengthOf(value), start, stop, step);
  if (value.is(Kind::kString)) return SliceString(meter, value.string(), bounds);
  if (value.is(Kind::kRange)) {
    const Range& range = value.range();
    return Value(Kind::kRange,
                 std::make_shared<Range>(&meter, range.start + bounds.start * range.step,
                                         range.start + bounds.stop * range.step,
                                         range.step * bounds.step, bounds.n_items));
  }
  std::vector<Value> items;
  meter.Reserve(static_cast<std::size_t>(bounds.n_items) * sizeof(Value));
  items.reserve(static_cast<std::size_t>(bounds.n_items));
  for (std::int64_t i = 0; i < bounds.n_items; ++i) {
    items.push_back(value.items()[static_cast<std::size_t>(bounds.start + i * bounds.step)]);
  }
  return value.is(Kind::kList) ? MakeList(meter, std::move(items))
                               : MakeTuple(meter, std::move(items));
}

}  // namespace larder::jinja
