// The tests: what may stand behind `is`.
#include <fmt/format.h>

#include "text/jinja_interpreter.h"
#include "text/jinja_parser.h"
#include "text/python_text.h"

namespace larder::jinja {
namespace {

struct TestCall {
  Interpreter& interpreter;
  Meter& meter;
  const Value& value;
  const Value& other;  // of the tests that compare
};

struct Test {
  std::string_view name;
  bool compares;
  bool (*run)(const TestCall& call);
};

bool HasRest(const TestCall& call, const Value& divisor, std::int64_t rest) {
  const Value modulo = Arithmetic(call.interpreter, ExprKind::kModulo, call.value, divisor);
  return Equal(call.meter, modulo, Value::Int(rest));
}

bool IsSequenceLike(const Value& value) {
  return value.is(Kind::kUndefined) || value.is(Kind::kString) || value.IsSequence() ||
         value.is(Kind::kDict) || value.is(Kind::kRange);
}

bool IsSame(const Value& a, const Value& b) {
  if (a.kind() != b.kind()) return false;
  if (a.IsInteger()) return a.integer() == b.integer();
  return !a.is(Kind::kFloat) && a.object() == b.object();
}

bool IsCallable(const Value& value) {
  return value.is(Kind::kCallable) || value.is(Kind::kLoop) || value.is(Kind::kUndefined);
}

bool IsKnown(const TestCall& call, bool (*known)(std::string_view)) {
  Hash(call.meter, call.value);  // as Python looks it up: what has no hash is an error
  return call.value.is(Kind::kString) && known(call.value.text());
}

bool IsBoolean(const TestCall& call, bool wanted) {
  return call.value.is(Kind::kBool) && (call.value.integer() != 0) == wanted;
}

constexpr Test kTests[] = {
    {"defined", false, [](const TestCall& c) { return !c.value.is(Kind::kUndefined); }},
    {"undefined", false, [](const TestCall& c) { return c.value.is(Kind::kUndefined); }},
    {"none", false, [](const TestCall& c) { return c.value.is(Kind::kNone); }},
    {"boolean", false, [](const TestCall& c) { return c.value.is(Kind::kBool); }},
    {"true", false, [](const TestCall& c) { return IsBoolean(c, true); }},
    {"false", false, [](const TestCall& c) { return IsBoolean(c, false); }},
    {"integer", false, [](const TestCall& c) { return c.value.is(Kind::kInt); }},
    {"float", false, [](const TestCall& c) { return c.value.is(Kind::kFloat); }},
    {"number", false, [](const TestCall& c) { return c.value.IsNumber(); }},
    {"string", false, [](const TestCall& c) { return c.value.is(Kind::kString); }},
    {"mapping", false, [](const TestCall& c) { return c.value.is(Kind::kDict); }},
    {"sequence", false, [](const TestCall& c) { return IsSequenceLike(c.value); }},
    {"iterable", false, [](const TestCall& c) { return IsIterable(c.value); }},
    {"callable", false, [](const TestCall& c) { return IsCallable(c.value); }},
    {"escaped", false,
     [](const TestCall& c) { return c.value.is(Kind::kString) && c.value.string().markup; }},
    {"odd", false, [](const TestCall& c) { return HasRest(c, Value::Int(2), 1); }},
    {"even", false, [](const TestCall& c) { return HasRest(c, Value::Int(2), 0); }},
    {"divisibleby", true, [](const TestCall& c) { return HasRest(c, c.other, 0); }},
    {"lower", false,
     [](const TestCall& c) { return TestText(ToStr(c.meter, c.value), CharTest::kLower); }},
    {"upper", false,
     [](const TestCall& c) { return TestText(ToStr(c.meter, c.value), CharTest::kUpper); }},
    {"filter", false, [](const TestCall& c) { return IsKnown(c, IsFilterName); }},
    {"test", false, [](const TestCall& c) { return IsKnown(c, IsTestName); }},
    {"sameas", true, [](const TestCall& c) { return IsSame(c.value, c.other); }},
    {"in", true, [](const TestCall& c) { return Contains(c.meter, c.other, c.value); }},
    {"==", true, [](const TestCall& c) { return Equal(c.meter, c.value, c.other); }},
    {"eq", true, [](const TestCall& c) { return Equal(c.meter, c.value, c.other); }},
    {"equalto", true, [](const TestCall& c) { return Equal(c.meter, c.value, c.other); }},
    {"!=", true, [](const TestCall& c) { return !Equal(c.meter, c.value, c.other); }},
    {"ne", true, [](const TestCall& c) { return !Equal(c.meter, c.value, c.other); }},
    {"<", true, [](const TestCall& c) { return Less(c.meter, c.value, c.other); }},
    {"lt", true, [](const TestCall& c) { return Less(c.meter, c.value, c.other); }},
    {"lessthan", true, [](const TestCall& c) { return Less(c.meter, c.value, c.other); }},
    {">", true, [](const TestCall& c) { return Less(c.meter, c.other, c.value); }},
    {"gt", true, [](const TestCall& c) { return Less(c.meter, c.other, c.value); }},
    {"greaterthan", true, [](const TestCall& c) { return Less(c.meter, c.other, c.value); }},
    {"<=", true, [](const TestCall& c) { return LessOrEqual(c.meter, c.value, c.other); }},
    {"le", true, [](const TestCall& c) { return LessOrEqual(c.meter, c.value, c.other); }},
    {">=", true, [](const TestCall& c) { return LessOrEqual(c.meter, c.other, c.value); }},
    {"ge", true, [](const TestCall& c) { return LessOrEqual(c.meter, c.other, c.value); }},
};

const Test* FindTest(std::string_view name) {
  for (const Test& test : kTests) {
    if (test.name == name) return &test;
  }
  return nullptr;
}

}  // namespace

bool IsTestName(std::string_view name) { return FindTest(name) != nullptr; }

bool Interpreter::ApplyTest(std::string_view name, const Value& value, const Arguments& arguments) {
  const Test* test = FindTest(name);
  if (test == nullptr) Fail(Fault::kRuntime, fmt::format("there is no test '{}'", name));
  const std::vector<Value> bound =
      BindArguments(name, test->compares ? "other" : "", test->compares ? 1 : 0, arguments);
  const Value other = test->compares ? bound[0] : Value();
  return test->run({*this, meter_, value, other});
}

}  // namespace larder::jinja
