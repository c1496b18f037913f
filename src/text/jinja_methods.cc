// Methods of lists, tuples and dicts, and the binding of all methods.
#include "text/jinja_methods.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace larder::jinja {
namespace {

Value Count(const MethodCall& call) {
  std::int64_t n = 0;
  for (const Value& item : ToVector(call.meter, call.self)) n += Equal(call.meter, item, call[0]);
  return Value::Int(n);
}

Value Index(const MethodCall& call) {
  const std::int64_t length = LengthOf(call.self);
  const auto bound = [&](const Value& value, std::int64_t fallback) {
    std::int64_t at = IntegerArgument(value, fallback);
    if (at < 0) at += length;
    return std::max<std::int64_t>(at, 0);
  };
  const std::int64_t stop = std::min(bound(call[2], length), length);
  for (std::int64_t i = bound(call[1], 0); i < stop; ++i) {
    const Value key = Value::Int(i);
    if (Equal(call.meter, call.interpreter.GetItem(call.self, key), call[0])) return key;
  }
  Fail(Fault::kValue, fmt::format("the value is not in the {}", TypeName(call.self)));
}

Value Copy(const MethodCall& call) {
  return call.self.is(Kind::kList) ? MakeList(call.meter, call.self.items()) : call.self;
}

Value Get(const MethodCall& call) {
  const Value* found = call.self.dict().Find(call.meter, call[0]);
  if (found != nullptr) return *found;
  return call[1].IsMissing() ? Value::None() : call[1];
}

template <View::Part part>
Value MakeView(const MethodCall& call) {
  return Value(Kind::kView, std::make_shared<View>(&call.meter, call.self, part));
}

Value FromKeys(const MethodCall& call) {
  auto dict = std::make_shared<Dict>(&call.meter);
  const Value value = call[1].IsMissing() ? Value::None() : call[1];
  Iteration iteration(call.meter, call[0]);
  Value key;
  while (iteration.Next(&key)) dict->Set(call.meter, key, value);
  return MakeDict(std::move(dict));
}

constexpr Method kSequenceMethods[] = {
    {"count", "value", 1, Count},
    {"index", "value start stop", 1, Index},
};
constexpr Method kListMethods[] = {{"copy", "", 0, Copy}};
constexpr Method kDictMethods[] = {
    {"get", "key default", 1, Get},
    {"keys", "", 0, MakeView<View::Part::kKeys>},
    {"values", "", 0, MakeView<View::Part::kValues>},
    {"items", "", 0, MakeView<View::Part::kItems>},
    {"copy", "", 0, Copy},
    {"fromkeys", "iterable value", 1, FromKeys},
};

constexpr std::string_view kListChanges[] = {"append", "clear",  "extend",  "insert",
                                             "pop",    "remove", "reverse", "sort"};
constexpr std::string_view kDictChanges[] = {"clear", "pop", "popitem", "setdefault", "update"};

template <typename Names>
bool IsAmong(const Names& names, std::string_view name) {
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

const Method* FindIn(std::span<const Method> methods, std::string_view name) {
  for (const Method& method : methods) {
    if (method.name == name) return &method;
  }
  return nullptr;
}

const Method* FindMethod(const Value& self, std::string_view name) {
  const Method* found = nullptr;
  switch (self.kind()) {
    case Kind::kString:
      found = FindIn(StrMethods(), name);
      return found != nullptr ? found : FindIn(StrCuttingMethods(), name);
    case Kind::kList:
      found = FindIn(kListMethods, name);
      return found != nullptr ? found : FindIn(kSequenceMethods, name);
    case Kind::kTuple:
    case Kind::kRange:
      return FindIn(kSequenceMethods, name);
    case Kind::kDict:
      return FindIn(kDictMethods, name);
    default:
      return nullptr;
  }
}

Value RunMethod(const Method& method, const Value& self, Interpreter& interpreter,
                const Arguments& arguments) {
  if (self.is(Kind::kString)) interpreter.meter().StepBytes(self.text().size());
  for (const Value& argument : arguments.positional) {
    if (argument.is(Kind::kString)) interpreter.meter().StepBytes(argument.text().size());
  }
  MethodCall call{interpreter, interpreter.meter(), self, arguments, {}, method.name};
  if (method.parameters != "*") {
    call.bound = BindArguments(method.name, method.parameters, method.n_required, arguments);
  }
  return method.run(call);
}

}  // namespace

Value MethodCall::Result(std::string text) const {
  return MakeString(meter, std::move(text), self.string().markup);
}

Value BindMethod(Meter& meter, const Value& self, std::string_view name, bool* unsafe) {
  *unsafe = (self.is(Kind::kList) && IsAmong(kListChanges, name)) ||
            (self.is(Kind::kDict) && IsAmong(kDictChanges, name));
  const Method* method = FindMethod(self, name);
  if (*unsafe || method == nullptr) return Value();
  const auto run = [self, method](Interpreter& interpreter, Arguments& arguments) {
    return RunMethod(*method, self, interpreter, arguments);
  };
  auto bound =
      std::make_shared<Callable>(&meter, "builtin_function_or_method", "", self.depth(), run);
  bound->self = self.object();
  bound->method = name;
  return Value(Kind::kCallable, std::move(bound));
}

}  // namespace larder::jinja
