// The functions that every template has.
#include <fmt/format.h>

#include <ctime>
#include <memory>

#include "text/jinja_interpreter.h"

namespace larder::jinja {
namespace {

constexpr std::int64_t kMaxRange = 100000;  // of jinja2's sandbox

Value MakeRange(Interpreter& interpreter, Arguments& arguments) {
  const auto& given = arguments.positional;
  if (!arguments.named.empty()) Fail(Fault::kType, "range() takes no keyword arguments");
  if (given.empty() || given.size() > 3) Fail(Fault::kType, "range() takes 1 to 3 arguments");
  for (const Value& value : given) {
    if (value.is(Kind::kUndefined)) FailUndefined(value);
  }
  const std::int64_t start = given.size() == 1 ? 0 : IntegerArgument(given[0], 0);
  const std::int64_t stop = IntegerArgument(given[given.size() == 1 ? 0 : 1], 0);
  const std::int64_t step = given.size() == 3 ? IntegerArgument(given[2], 1) : 1;
  if (step == 0) Fail(Fault::kValue, "range() arg 3 must not be zero");
  const bool empty = step > 0 ? start >= stop : start <= stop;
  std::int64_t n = 0;
  if (!empty) {
    const auto distance = static_cast<std::uint64_t>(step > 0 ? stop : start) -
                          static_cast<std::uint64_t>(step > 0 ? start : stop);
    const std::uint64_t stride =
        step > 0 ? static_cast<std::uint64_t>(step) : -static_cast<std::uint64_t>(step);
    const std::uint64_t n_items = (distance - 1) / stride + 1;
    if (n_items > static_cast<std::uint64_t>(kMaxRange)) {
      Fail(Fault::kOverflow, fmt::format("a range may have at most {} items", kMaxRange));
    }
    n = static_cast<std::int64_t>(n_items);
  }
  return Value(Kind::kRange, std::make_shared<Range>(&interpreter.meter(), start, stop, step, n));
}

// dict(mapping or pairs, name=value, ...)
void FillDict(Meter& meter, const Arguments& arguments, Dict* dict) {
  if (arguments.positional.size() > 1) Fail(Fault::kType, "dict expected at most 1 argument");
  if (!arguments.positional.empty()) {
    const Value& source = arguments.positional[0];
    if (source.is(Kind::kUndefined)) FailUndefined(source);
    if (source.is(Kind::kDict)) {
      for (const auto& [key, value] : source.dict().items()) dict->Set(meter, key, value);
    } else {
      Iteration iteration(meter, source);
      Value pair;
      while (iteration.Next(&pair)) {
        const std::vector<Value> items = ToVector(meter, pair);
        if (items.size() != 2) Fail(Fault::kValue, "a dict is made of pairs");
        dict->Set(meter, items[0], items[1]);
      }
    }
  }
  for (const auto& [name, value] : arguments.named) {
    dict->Set(meter, MakeString(meter, name), value);
  }
}

Value MakeDictOf(Interpreter& interpreter, Arguments& arguments) {
  auto dict = std::make_shared<Dict>(&interpreter.meter());
  FillDict(interpreter.meter(), arguments, dict.get());
  return MakeDict(std::move(dict));
}

Value MakeNamespace(Interpreter& interpreter, Arguments& arguments) {
  Value space = interpreter.NewNamespace();
  Dict& attributes = space.space().attributes;
  FillDict(interpreter.meter(), arguments, &attributes);
  for (const auto& item : attributes.items()) {
    if (item.first.is(Kind::kString) && item.first.text().substr(0, 1) == "_") {
      Fail(Fault::kSecurity, "a namespace holds no attribute that begins with an underscore");
    }
  }
  return space;
}

Value RaiseException(Interpreter& interpreter, Arguments& arguments) {
  const Value message = BindArguments("raise_exception", "message", 1, arguments)[0];
  Fail(Fault::kRaised, ToStr(interpreter.meter(), message).substr(0, 2000));
}

Value StrftimeNow(Interpreter& interpreter, Arguments& arguments) {
  std::string format = TextArgument(BindArguments("strftime_now", "format", 1, arguments)[0],
                                    "the format of strftime_now");
  if (format.size() > 1000) Fail(Fault::kLimit, "the format of strftime_now is too long");
  if (format.find('\0') != std::string::npos) Fail(Fault::kValue, "embedded null character");
  std::tm now{};
  if (interpreter.now()) {
    now = *interpreter.now();
  } else {
    const std::time_t seconds = std::time(nullptr);
    localtime_r(&seconds, &now);
  }
  // What Python does itself: the time has no zone, and microseconds are not shown here.
  std::string plain;
  for (std::size_t i = 0; i < format.size(); ++i) {
    const char next = format[i] == '%' && i + 1 < format.size() ? format[i + 1] : '\0';
    if (next == '\0') {
      plain += format[i] == '%' ? std::string("%%") : std::string(1, format[i]);
      continue;
    }
    ++i;
    if (next == 'f') plain += "000000";
    if (next == 'f' || next == 'z' || next == 'Z') continue;
    plain += '%';
    plain += next;
  }
  if (plain.empty()) return interpreter.Text("");
  // A mark at the end tells an empty result from one that did not fit.
  plain += '.';
  std::string text(plain.size() * 64 + 256, '\0');
  const std::size_t n = std::strftime(text.data(), text.size(), plain.c_str(), &now);
  if (n == 0) Fail(Fault::kValue, "the format of strftime_now is not valid");
  text.resize(n - 1);
  return interpreter.Text(std::move(text));
}

Value MakeJoiner(Interpreter& interpreter, Arguments& arguments) {
  const Value given = BindArguments("joiner", "sep", 0, arguments)[0];
  const Value separator = given.IsMissing() ? interpreter.Text(", ") : given;
  auto used = std::make_shared<bool>(false);
  const auto run = [separator, used](Interpreter& inner, Arguments&) {
    if (*used) return separator;
    *used = true;
    return inner.Text("");
  };
  return Value(Kind::kCallable, std::make_shared<Callable>(&interpreter.meter(), "Joiner", "",
                                                           separator.depth(), run));
}

Value MakeCycler(Interpreter& interpreter, Arguments& arguments) {
  if (arguments.positional.empty()) Fail(Fault::kRuntime, "at least one item has to be provided");
  const Value items = MakeTuple(interpreter.meter(), arguments.positional);
  Meter& meter = interpreter.meter();
  // The cycler's state lives in a namespace of its own, shown as `current`. The methods lie in that
  // namespace, so they must not own it; it outlives any call of them.
  Value space = interpreter.NewNamespace();
  Namespace* own = &space.space();
  auto at = std::make_shared<std::size_t>(0);
  const auto show = [own, items, at](Interpreter& inner) {
    own->attributes.Set(inner.meter(), MakeString(inner.meter(), "current"), items.items()[*at]);
  };
  const auto method = [&](const char* name, Callable::Function run) {
    space.space().attributes.Set(
        meter, MakeString(meter, name),
        Value(Kind::kCallable,
              std::make_shared<Callable>(&meter, "method", "", items.depth(), std::move(run))));
  };
  method("next", [items, at, show](Interpreter& inner, Arguments&) {
    const Value current = items.items()[*at];
    *at = (*at + 1) % items.items().size();
    show(inner);
    return current;
  });
  method("reset", [at, show](Interpreter& inner, Arguments&) {
    *at = 0;
    show(inner);
    return Value::None();
  });
  show(interpreter);
  return space;
}

Value NotSupported(Interpreter&, Arguments&) {
  Fail(Fault::kUnsupported, "the function lipsum is not supported");
}

constexpr std::pair<std::string_view, Value (*)(Interpreter&, Arguments&)> kGlobals[] = {
    {"range", MakeRange},          {"dict", MakeDictOf},
    {"namespace", MakeNamespace},  {"raise_exception", RaiseException},
    {"strftime_now", StrftimeNow}, {"joiner", MakeJoiner},
    {"cycler", MakeCycler},        {"lipsum", NotSupported},
};

}  // namespace

Value GlobalFunction(Meter& meter, std::string_view name) {
  for (const auto& [known, function] : kGlobals) {
    if (known == name) return MakeFunction(meter, name, function);
  }
  return Value();
}

}  // namespace larder::jinja
