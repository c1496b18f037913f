// Filters that walk over sequences. Like jinja2's, those that give generators do their work when
// they are read, and can be read once.
#include <fmt/format.h>

#include <algorithm>

#include "text/jinja_filters.h"
#include "text/jinja_parser.h"

namespace larder::jinja {
namespace {

int DepthOf(const FilterCall& call) {
  int depth = call.value.depth();
  for (const Value& value : call.arguments.positional) depth = std::max(depth, value.depth());
  for (const auto& named : call.arguments.named) depth = std::max(depth, named.second.depth());
  return depth;
}

Value Generator(const FilterCall& call, Iterator::Next next) {
  return MakeIterator(call.meter, "generator", DepthOf(call), std::move(next));
}

// Iteration over the call's value, begun when the generator is first read.
class LazyIteration {
 public:
  LazyIteration(Meter& meter, Value value) : meter_(meter), value_(std::move(value)) {}
  bool Next(Value* item) {
    if (iteration_ == nullptr) iteration_ = std::make_unique<Iteration>(meter_, value_);
    return iteration_->Next(item);
  }
  /// select and map give nothing for a value that is not true, whatever it is.
  bool NextIfTrue(Value* item) {
    if (iteration_ == nullptr && !IsTrue(value_)) return false;
    return Next(item);
  }

 private:
  Meter& meter_;
  Value value_;
  std::unique_ptr<Iteration> iteration_;
};

std::shared_ptr<LazyIteration> Lazy(const FilterCall& call) {
  return std::make_shared<LazyIteration>(call.meter, call.value);
}

Value List(const FilterCall& call) {
  return MakeList(call.meter, ToVector(call.meter, call.value));
}

Value First(const FilterCall& call) {
  Iteration iteration(call.meter, call.value);
  Value item;
  return iteration.Next(&item) ? item
                               : call.interpreter.Undefined("no first item, the sequence is empty");
}

bool IsReversible(const Value& value) {
  return !value.is(Kind::kIterator) && !value.is(Kind::kLoop) && IsIterable(value);
}

Value Last(const FilterCall& call) {
  if (!IsReversible(call.value)) {
    Fail(Fault::kType, fmt::format("'{}' object is not reversible", TypeName(call.value)));
  }
  if (call.value.IsSequence() && !call.value.items().empty()) return call.value.items().back();
  std::vector<Value> items = ToVector(call.meter, call.value);
  return items.empty() ? call.interpreter.Undefined("no last item, the sequence is empty")
                       : items.back();
}

Value Reverse(const FilterCall& call) {
  if (call.value.is(Kind::kString)) {
    return Slice(call.meter, call.value, Value::None(), Value::None(), Value::Int(-1));
  }
  if (!IsIterable(call.value)) Fail(Fault::kRuntime, "the value of reverse must be iterable");
  std::vector<Value> items = ToVector(call.meter, call.value);
  std::reverse(items.begin(), items.end());
  Value list = MakeList(call.meter, std::move(items));
  if (!IsReversible(call.value)) return list;
  auto source = std::make_shared<Iteration>(call.meter, list);
  return MakeIterator(call.meter, "list_reverseiterator", list.depth(),
                      [source](Value* item) { return source->Next(item); });
}

Value Items(const FilterCall& call) {
  if (call.value.is(Kind::kUndefined)) {
    return Generator(call, [](Value*) { return false; });
  }
  if (!call.value.is(Kind::kDict)) {
    return Generator(
        call, [](Value*) -> bool { Fail(Fault::kType, "can only get item pairs from a mapping"); });
  }
  const Value view(Kind::kView,
                   std::make_shared<View>(&call.meter, call.value, View::Part::kItems));
  auto source = std::make_shared<Iteration>(call.meter, view);
  return Generator(call, [source](Value* item) { return source->Next(item); });
}

Value Join(const FilterCall& call) {
  const std::string separator = call[0].IsMissing() ? "" : ToStr(call.meter, call[0]);
  const Getter getter = AttributeGetter(call.interpreter, call[1], false);
  Iteration iteration(call.meter, call.value);
  std::string text;
  Value item;
  for (bool first = true; iteration.Next(&item); first = false) {
    if (!first) text += separator;
    call.meter.StepBytes(separator.size());
    AppendStr(call.meter, getter(item), text);
    call.meter.CheckRoom(text.size());
  }
  return call.interpreter.Text(std::move(text));
}

Value Sum(const FilterCall& call) {
  const Getter getter = AttributeGetter(call.interpreter, call[0], false);
  Value sum = call[1].IsMissing() ? Value::Int(0) : call[1];
  if (sum.is(Kind::kString)) Fail(Fault::kType, "sum cannot add strings");
  Iteration iteration(call.meter, call.value);
  Value item;
  while (iteration.Next(&item)) sum = Add(call.meter, sum, getter(item));
  return sum;
}

Value Batch(const FilterCall& call) {
  if (!call[0].IsNumber()) Fail(Fault::kType, "batch needs a number of items");
  const double n_wanted = call[0].AsDouble();
  auto source = Lazy(call);
  auto row = std::make_shared<std::vector<Value>>();
  auto done = std::make_shared<bool>(false);
  const Value fill = call[1];
  Meter& meter = call.meter;
  return Generator(call, [=, &meter](Value* item) {
    Value next;
    while (!*done && source->Next(&next)) {
      const bool full = static_cast<double>(row->size()) == n_wanted;
      if (full) {
        *item = MakeList(meter, std::move(*row));
        *row = {next};
        return true;
      }
      row->push_back(next);
      if (row->size() % 1024 == 0) meter.Reserve(row->size() * sizeof(Value));
    }
    *done = true;
    if (row->empty()) return false;
    if (IsSet(fill) && static_cast<double>(row->size()) < n_wanted) {
      meter.Reserve(static_cast<std::size_t>(std::min(n_wanted, 1e15)) * sizeof(Value));
      row->resize(static_cast<std::size_t>(n_wanted), fill);
    }
    *item = MakeList(meter, std::move(*row));
    row->clear();
    return true;
  });
}

Value SliceInto(const FilterCall& call) {
  const std::int64_t n_slices = IntegerArgument(call[0], 1);
  if (n_slices == 0) Fail(Fault::kZeroDivision, "slice into 0 parts");
  const std::vector<Value> items = ToVector(call.meter, call.value);
  const auto n_items = static_cast<std::int64_t>(items.size());
  std::vector<Value> slices;
  std::int64_t at = 0;
  for (std::int64_t i = 0; i < n_slices; ++i) {
    const bool extra = i < n_items % n_slices;
    const std::int64_t end = at + n_items / n_slices + (extra ? 1 : 0);
    std::vector<Value> slice(items.begin() + at, items.begin() + end);
    if (IsSet(call[1]) && !extra) slice.push_back(call[1]);
    slices.push_back(MakeList(call.meter, std::move(slice)));
    at = end;
  }
  const Value list = MakeList(call.meter, std::move(slices));
  auto source = std::make_shared<Iteration>(call.meter, list);
  return MakeIterator(call.meter, "generator", list.depth(),
                      [source](Value* item) { return source->Next(item); });
}

// The arguments behind the first n positional ones.
Arguments Behind(const Arguments& arguments, std::size_t n) {
  Arguments rest = arguments;
  rest.positional.erase(rest.positional.begin(),
                        rest.positional.begin() + static_cast<std::ptrdiff_t>(n));
  return rest;
}

Getter MapFunction(const FilterCall& call) {
  const Value* attribute = call.arguments.FindNamed("attribute");
  Interpreter& interpreter = call.interpreter;
  if (call.arguments.positional.empty() && attribute != nullptr) {
    const Value* fallback = call.arguments.FindNamed("default");
    if (call.arguments.named.size() > (fallback == nullptr ? 1u : 2u)) {
      Fail(Fault::kRuntime, "map got an unexpected keyword argument");
    }
    return AttributeGetter(interpreter, *attribute, false,
                           fallback == nullptr ? Value() : *fallback);
  }
  if (call.arguments.positional.empty()) {
    Fail(Fault::kRuntime, "map requires a filter's name, or attribute=");
  }
  const std::string name = TextArgument(call.arguments.positional[0], "the name of a filter");
  return [&interpreter, name, rest = Behind(call.arguments, 1)](const Value& item) {
    return interpreter.ApplyFilter(name, item, rest);
  };
}

// What map would do wrong is said when its first item is asked for, as in jinja2.
Value Map(const FilterCall& call) {
  auto source = Lazy(call);
  auto function = std::make_shared<Getter>();
  auto held = std::make_shared<std::pair<Value, Arguments>>(call.value, call.arguments);
  Interpreter& interpreter = call.interpreter;
  return Generator(call, [=, &interpreter](Value* item) {
    Value next;
    if (!source->NextIfTrue(&next)) return false;
    if (*function == nullptr) {
      *function =
          MapFunction({interpreter, interpreter.meter(), held->first, held->second, {}, "map"});
    }
    *item = (*function)(next);
    return true;
  });
}

template <bool by_attribute, bool keeps>
Value Select(const FilterCall& call) {
  Getter getter = [](const Value& item) { return item; };
  const auto& positional = call.arguments.positional;
  if (by_attribute) {
    if (positional.empty()) Fail(Fault::kRuntime, "the attribute's name is missing");
    getter = AttributeGetter(call.interpreter, positional[0], false);
  }
  constexpr std::size_t kNameAt = by_attribute ? 1 : 0;
  const bool has_test = positional.size() > kNameAt;
  std::string test;
  if (has_test) test = TextArgument(positional[kNameAt], "the name of a test");
  const Arguments rest = has_test ? Behind(call.arguments, kNameAt + 1) : Arguments();
  auto source = Lazy(call);
  Interpreter& interpreter = call.interpreter;
  return Generator(call, [=, &interpreter](Value* item) {
    while (source->NextIfTrue(item)) {
      const Value value = getter(*item);
      const bool holds = has_test ? interpreter.ApplyTest(test, value, rest) : IsTrue(value);
      if (holds == keeps) return true;
    }
    return false;
  });
}

constexpr Filter kFilters[] = {
    {"list", "", 0, List},
    {"first", "", 0, First},
    {"last", "", 0, Last},
    {"reverse", "", 0, Reverse},
    {"items", "", 0, Items},
    {"join", "d attribute", 0, Join},
    {"sum", "attribute start", 0, Sum},
    {"batch", "linecount fill_with", 1, Batch},
    {"slice", "slices fill_with", 1, SliceInto},
    {"map", "*", 0, Map},
    {"select", "*", 0, Select<false, true>},
    {"reject", "*", 0, Select<false, false>},
    {"selectattr", "*", 0, Select<true, true>},
    {"rejectattr", "*", 0, Select<true, false>},
};

}  // namespace

std::span<const Filter> SequenceFilters() { return kFilters; }

}  // namespace larder::jinja
