// Matching of arguments to parameters.
#include "text/jinja_callable.h"

#include <fmt/format.h>

namespace larder::jinja {
namespace {

std::vector<std::string_view> Words(std::string_view names) {
  std::vector<std::string_view> words;
  while (!names.empty()) {
    const std::size_t end = std::min(names.find(' '), names.size());
    words.push_back(names.substr(0, end));
    names.remove_prefix(std::min(end + 1, names.size()));
  }
  return words;
}

}  // namespace

const Value* Arguments::FindNamed(std::string_view name) const {
  for (const auto& [given, value] : named) {
    if (given == name) return &value;
  }
  return nullptr;
}

bool SameMethod(const Callable& a, const Callable& b) {
  return a.self != nullptr && a.self == b.self && a.method == b.method;
}

Value MakeFunction(Meter& meter, std::string_view name, Callable::Function function) {
  auto made = std::make_shared<Callable>(&meter, "function", "", 0, std::move(function));
  made->method = name;
  return Value(Kind::kCallable, std::move(made));
}

std::vector<Value> BindArguments(std::string_view function, std::string_view names,
                                 std::size_t n_required, const Arguments& arguments) {
  const std::vector<std::string_view> parameters = Words(names);
  if (arguments.positional.size() > parameters.size()) {
    Fail(Fault::kType, fmt::format("{}() takes at most {} arguments ({} given)", function,
                                   parameters.size(), arguments.positional.size()));
  }
  std::vector<Value> bound(parameters.size());
  for (std::size_t i = 0; i < arguments.positional.size(); ++i) bound[i] = arguments.positional[i];
  for (const auto& [name, value] : arguments.named) {
    std::size_t at = 0;
    while (at < parameters.size() && parameters[at] != name) ++at;
    if (at == parameters.size()) {
      Fail(Fault::kType,
           fmt::format("{}() got an unexpected keyword argument '{}'", function, name));
    }
    if (!bound[at].IsMissing()) {
      Fail(Fault::kType, fmt::format("{}() got multiple values for argument '{}'", function, name));
    }
    bound[at] = value;
  }
  for (std::size_t i = 0; i < n_required; ++i) {
    if (bound[i].IsMissing()) {
      Fail(Fault::kType,
           fmt::format("{}() lacks its argument '{}'", function, std::string(parameters[i])));
    }
  }
  return bound;
}

std::int64_t IntegerArgument(const Value& value, std::int64_t fallback) {
  if (value.IsMissing()) return fallback;
  if (value.IsInteger()) return value.integer();
  Fail(Fault::kType,
       fmt::format("'{}' object cannot be interpreted as an integer", TypeName(value)));
}

bool FlagArgument(const Value& value, bool fallback) {
  return value.IsMissing() ? fallback : IsTrue(value);
}

const std::string& TextArgument(const Value& value, std::string_view what) {
  if (!value.is(Kind::kString)) {
    Fail(Fault::kType, fmt::format("{} must be str, not {}", what, TypeName(value)));
  }
  return value.text();
}

}  // namespace larder::jinja
