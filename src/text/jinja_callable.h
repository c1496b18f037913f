// What a template can call: functions, macros, bound methods of values; and the arguments it calls
// them with.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/jinja_value.h"

namespace larder::jinja {

class Interpreter;

struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;

  const Value* FindNamed(std::string_view name) const;
};

struct Callable : Object {
  using Function = std::function<Value(Interpreter&, Arguments&)>;
  /// `depth`: of what the function holds.
  Callable(Meter* meter, const char* type_name, std::string repr_text, int depth, Function given)
      : Object(meter, 192, depth + 1),
        type(type_name),
        repr(std::move(repr_text)),
        function(std::move(given)) {}
  const char* const type;  // Python's name of its type
  const std::string repr;  // empty where Python prints an address: not to be printed
  const Function function;
  // Attributes ("name" of a macro), and what makes two bound methods the same.
  std::vector<std::pair<std::string, Value>> attributes;
  std::shared_ptr<Object> self;
  std::string method;
};

bool SameMethod(const Callable& a, const Callable& b);

Value MakeFunction(Meter& meter, std::string_view name, Callable::Function function);

/// Matches arguments to parameter names; those not given are missing. `names` is "s old new
/// count", the first `n_required` of them must be given. kType names what is too much or lacking.
std::vector<Value> BindArguments(std::string_view function, std::string_view names,
                                 std::size_t n_required, const Arguments& arguments);

/// Arguments as numbers and flags, as Python's C functions take them. Missing gives the fallback.
std::int64_t IntegerArgument(const Value& value, std::int64_t fallback);
bool FlagArgument(const Value& value, bool fallback);
const std::string& TextArgument(const Value& value, std::string_view what);

}  // namespace larder::jinja
