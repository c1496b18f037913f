// Arithmetic and membership as Python has them. Integers are 64 bits wide: what needs more is
// refused, never wrapped.
#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "text/jinja_interpreter.h"
#include "text/jinja_markup.h"
#include "text/python_text.h"

namespace larder::jinja {
namespace {

const char* SymbolOf(ExprKind kind) {
  switch (kind) {
    case ExprKind::kAdd:
      return "+";
    case ExprKind::kSubtract:
      return "-";
    case ExprKind::kMultiply:
      return "*";
    case ExprKind::kDivide:
      return "/";
    case ExprKind::kFloorDivide:
      return "//";
    case ExprKind::kModulo:
      return "%";
    default:
      return "**";
  }
}

[[noreturn]] void FailOperands(ExprKind kind, const Value& a, const Value& b) {
  if (a.is(Kind::kUndefined)) FailUndefined(a);
  if (b.is(Kind::kUndefined)) FailUndefined(b);
  if (kind == ExprKind::kSubtract && (a.is(Kind::kView) || b.is(Kind::kView))) {
    Fail(Fault::kUnsupported, "sets are not supported");
  }
  Fail(Fault::kType, fmt::format("unsupported operand types for {}: '{}' and '{}'", SymbolOf(kind),
                                 TypeName(a), TypeName(b)));
}

[[noreturn]] void FailWide() {
  Fail(Fault::kUnsupported, "an integer of the template needs more than 64 bits");
}

[[noreturn]] void FailZero(const char* what) {
  Fail(Fault::kZeroDivision, fmt::format("{} by zero", what));
}

std::int64_t FloorDivide(std::int64_t a, std::int64_t b) {
  if (b == 0) FailZero("integer division or modulo");
  if (b == -1) {
    if (a == std::numeric_limits<std::int64_t>::min()) FailWide();
    return -a;
  }
  const std::int64_t quotient = a / b;
  return a % b != 0 && (a < 0) != (b < 0) ? quotient - 1 : quotient;
}

std::int64_t Modulo(std::int64_t a, std::int64_t b) {
  if (b == 0) FailZero("integer division or modulo");
  if (b == -1) return 0;
  const std::int64_t rest = a % b;
  return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

// Python's float modulo has the sign of the divisor.
double ModuloDouble(double a, double b) {
  if (b == 0) FailZero("float modulo");
  double rest = std::fmod(a, b);
  if (rest != 0) {
    if ((b < 0) != (rest < 0)) rest += b;
    return rest;
  }
  return std::copysign(0.0, b);
}

double FloorDivideDouble(double a, double b) {
  if (b == 0) FailZero("float floor division");
  double rest = std::fmod(a, b);
  double quotient = (a - rest) / b;
  if (rest != 0 && (b < 0) != (rest < 0)) quotient -= 1.0;
  if (quotient == 0) return std::copysign(0.0, a / b);
  const double floor = std::floor(quotient);
  return quotient - floor > 0.5 ? floor + 1.0 : floor;
}

Value IntegerPower(std::int64_t base, std::int64_t exponent) {
  if (exponent < 0) {
    if (base == 0) Fail(Fault::kZeroDivision, "0.0 cannot be raised to a negative power");
    return Value::Float(std::pow(static_cast<double>(base), static_cast<double>(exponent)));
  }
  std::int64_t result = 1, factor = base;
  for (std::int64_t left = exponent; left > 0; left >>= 1) {
    if ((left & 1) != 0 && __builtin_mul_overflow(result, factor, &result)) FailWide();
    if (left > 1 && __builtin_mul_overflow(factor, factor, &factor)) FailWide();
  }
  return Value::Int(result);
}

Value IntegerArithmetic(ExprKind kind, std::int64_t a, std::int64_t b) {
  std::int64_t result = 0;
  switch (kind) {
    case ExprKind::kAdd:
      if (__builtin_add_overflow(a, b, &result)) FailWide();
      return Value::Int(result);
    case ExprKind::kSubtract:
      if (__builtin_sub_overflow(a, b, &result)) FailWide();
      return Value::Int(result);
    case ExprKind::kMultiply:
      if (__builtin_mul_overflow(a, b, &result)) FailWide();
      return Value::Int(result);
    case ExprKind::kDivide:
      if (b == 0) FailZero("division");
      return Value::Float(DivideIntegers(a, b));
    case ExprKind::kFloorDivide:
      return Value::Int(FloorDivide(a, b));
    case ExprKind::kModulo:
      return Value::Int(Modulo(a, b));
    default:
      return IntegerPower(a, b);
  }
}

Value FloatPower(double a, double b) {
  if (a == 0 && b < 0) Fail(Fault::kZeroDivision, "0.0 cannot be raised to a negative power");
  if (a < 0 && std::isfinite(a) && std::isfinite(b) && b != std::floor(b)) {
    Fail(Fault::kUnsupported, "a complex number is not supported");
  }
  const double result = std::pow(a, b);
  if (std::isinf(result) && std::isfinite(a) && std::isfinite(b)) {
    Fail(Fault::kOverflow, "the result of ** is too large");
  }
  return Value::Float(result);
}

Value FloatArithmetic(ExprKind kind, double a, double b) {
  switch (kind) {
    case ExprKind::kAdd:
      return Value::Float(a + b);
    case ExprKind::kSubtract:
      return Value::Float(a - b);
    case ExprKind::kMultiply:
      return Value::Float(a * b);
    case ExprKind::kDivide:
      if (b == 0) FailZero("float division");
      return Value::Float(a / b);
    case ExprKind::kFloorDivide:
      return Value::Float(FloorDivideDouble(a, b));
    case ExprKind::kModulo:
      return Value::Float(ModuloDouble(a, b));
    default:
      return FloatPower(a, b);
  }
}

// "ab" * 3, [1] * 3
Value Repeat(Meter& meter, const Value& value, std::int64_t times) {
  const auto n = static_cast<std::size_t>(std::max<std::int64_t>(times, 0));
  const std::size_t n_items = value.is(Kind::kString) ? value.text().size() : value.items().size();
  const std::size_t item_bytes = value.is(Kind::kString) ? 1 : sizeof(Value);
  if (n_items > 0) {
    if (n > std::numeric_limits<std::uint32_t>::max()) meter.Reserve(std::size_t{1} << 62);
    meter.Reserve(n * n_items * item_bytes);
  }
  if (value.is(Kind::kString)) {
    std::string text;
    text.reserve(n * n_items);
    for (std::size_t i = 0; i < n && n_items > 0; ++i) text += value.text();
    return MakeString(meter, std::move(text), value.string().markup);
  }
  std::vector<Value> items;
  items.reserve(n * n_items);
  for (std::size_t i = 0; i < n && n_items > 0; ++i) {
    items.insert(items.end(), value.items().begin(), value.items().end());
  }
  return value.is(Kind::kList) ? MakeList(meter, std::move(items))
                               : MakeTuple(meter, std::move(items));
}

bool IsRepeatable(const Value& value) { return value.is(Kind::kString) || value.IsSequence(); }

Value AddStrings(Meter& meter, const Value& a, const Value& b) {
  const bool markup = a.string().markup || b.string().markup;
  meter.Reserve(a.text().size() + b.text().size());
  if (!markup) return MakeString(meter, a.text() + b.text());
  const auto part = [&meter](const Value& value) {
    return value.string().markup ? value.text() : EscapeHtml(meter, value.text());
  };
  return MakeString(meter, part(a) + part(b), true);
}

}  // namespace

double DivideIntegers(std::int64_t a, std::int64_t b) {
  constexpr std::int64_t kExact = std::int64_t{1} << 53;
  if (std::llabs(a / 2) <= kExact / 2 && std::llabs(b / 2) <= kExact / 2) {
    return static_cast<double>(a) / static_cast<double>(b);
  }
  return static_cast<double>(static_cast<long double>(a) / static_cast<long double>(b));
}

Value Add(Meter& meter, const Value& a, const Value& b) {
  if (a.IsInteger() && b.IsInteger()) {
    return IntegerArithmetic(ExprKind::kAdd, a.integer(), b.integer());
  }
  if (a.IsNumber() && b.IsNumber()) return Value::Float(a.AsDouble() + b.AsDouble());
  if (a.is(Kind::kString) && b.is(Kind::kString)) return AddStrings(meter, a, b);
  if (a.IsSequence() && a.kind() == b.kind()) {
    meter.Reserve((a.items().size() + b.items().size()) * sizeof(Value));
    std::vector<Value> items = a.items();
    items.insert(items.end(), b.items().begin(), b.items().end());
    return a.is(Kind::kList) ? MakeList(meter, std::move(items))
                             : MakeTuple(meter, std::move(items));
  }
  FailOperands(ExprKind::kAdd, a, b);
}

Value Arithmetic(Interpreter& interpreter, ExprKind kind, const Value& a, const Value& b) {
  if (kind == ExprKind::kModulo && a.is(Kind::kString)) {
    if (a.string().markup) Fail(Fault::kUnsupported, "% on a safe string is not supported");
    return interpreter.Text(PercentFormat(interpreter, a.text(), b));
  }
  if (kind == ExprKind::kMultiply) {
    if (IsRepeatable(a) && b.IsInteger()) return Repeat(interpreter.meter(), a, b.integer());
    if (IsRepeatable(b) && a.IsInteger()) return Repeat(interpreter.meter(), b, a.integer());
  }
  if (a.IsInteger() && b.IsInteger()) return IntegerArithmetic(kind, a.integer(), b.integer());
  if (a.IsNumber() && b.IsNumber()) return FloatArithmetic(kind, a.AsDouble(), b.AsDouble());
  FailOperands(kind, a, b);
}

Value Negate(const Value& value, bool minus) {
  if (value.IsInteger()) {
    if (!minus) return Value::Int(value.integer());
    if (value.integer() == std::numeric_limits<std::int64_t>::min()) FailWide();
    return Value::Int(-value.integer());
  }
  if (value.is(Kind::kFloat)) return Value::Float(minus ? -value.real() : value.real());
  if (value.is(Kind::kUndefined)) FailUndefined(value);
  Fail(Fault::kType,
       fmt::format("bad operand type for unary {}: '{}'", minus ? '-' : '+', TypeName(value)));
}

bool Contains(Meter& meter, const Value& container, const Value& item) {
  if (container.is(Kind::kString)) {
    if (!item.is(Kind::kString)) {
      Fail(Fault::kType,
           fmt::format("'in <string>' requires a string as left operand, not {}", TypeName(item)));
    }
    meter.StepBytes(container.text().size() + item.text().size());
    return FindText(container.text(), item.text()) != std::string_view::npos;
  }
  if (container.is(Kind::kDict)) return container.dict().Find(meter, item) != nullptr;
  if (container.is(Kind::kView) && container.view().part == View::Part::kKeys) {
    return container.view().dict.dict().Find(meter, item) != nullptr;
  }
  if (!IsIterable(container)) {
    Fail(Fault::kType, fmt::format("argument of type '{}' is not iterable", TypeName(container)));
  }
  Iteration iteration(meter, container);
  Value one;
  while (iteration.Next(&one)) {
    const bool same = one.object() != nullptr && one.object() == item.object();
    if (same || Equal(meter, one, item)) return true;
  }
  return false;
}

}  // namespace larder::jinja
