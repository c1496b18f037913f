// The tables of methods behind BindMethod: what a str (jinja_str_methods.cc,
// jinja_str_cutting.cc) and a container (jinja_methods.cc) can do.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "text/jinja_interpreter.h"

namespace larder::jinja {

struct MethodCall {
  Interpreter& interpreter;
  Meter& meter;
  const Value& self;
  const Arguments& arguments;  // as given
  std::vector<Value> bound;    // matched to `parameters`; missing where not given
  std::string_view method;

  const Value& operator[](std::size_t i) const { return bound[i]; }
  /// A text as the method's result, marked as safe when self is.
  Value Result(std::string text) const;
};

struct Method {
  std::string_view name;
  std::string_view parameters;  // as BindArguments; "*" takes the arguments as they are
  std::size_t n_required;
  Value (*run)(const MethodCall& call);
};

std::span<const Method> StrMethods();
std::span<const Method> StrCuttingMethods();

/// Start and stop arguments of str.find and its kin, as bytes of the text.
struct TextWindow {
  std::size_t begin = 0, end = 0;
  bool valid = false;  // start lies inside the text
};
TextWindow WindowOf(const MethodCall& call, const Value& start, const Value& stop);

/// str.replace; all places when `count` is negative.
std::string ReplaceText(Meter& meter, std::string_view text, std::string_view from,
                        std::string_view to, std::int64_t count);

}  // namespace larder::jinja
