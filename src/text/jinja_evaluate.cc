// Expressions.
#include <fmt/format.h>

#include "text/jinja_interpreter.h"

namespace larder::jinja {

Value Interpreter::EvaluateNode(const Expr& expr) {
  switch (expr.kind) {
    case ExprKind::kData:
    case ExprKind::kConstant:
      return expr.constant;
    case ExprKind::kName:
      return EvaluateName(expr);
    case ExprKind::kSlotRef:
      break;
    case ExprKind::kTuple:
      return MakeTuple(meter_, EvaluateAll(expr.children));
    case ExprKind::kList:
      return MakeList(meter_, EvaluateAll(expr.children));
    case ExprKind::kDict:
      return EvaluateDict(expr);
    case ExprKind::kAttribute:
      return GetAttribute(Evaluate(*expr.children[0]), expr.text);
    case ExprKind::kItem: {
      const Value value = Evaluate(*expr.children[0]);
      return GetItem(value, Evaluate(*expr.children[1]));
    }
    case ExprKind::kSlice:
      return EvaluateSlice(expr);
    case ExprKind::kCall: {
      const Value callee = Evaluate(*expr.children[0]);
      Arguments arguments = EvaluateArguments(expr.call);
      line_ = expr.line;
      return Call(callee, arguments);
    }
    case ExprKind::kFilter:
      return EvaluateFilter(expr);
    case ExprKind::kTest:
      return EvaluateTest(expr);
    case ExprKind::kCondition:
      return EvaluateCondition(expr);
    case ExprKind::kCompare:
      return EvaluateCompare(expr);
    case ExprKind::kConcat:
      return EvaluateConcat(expr);
    case ExprKind::kAnd:
    case ExprKind::kOr: {
      Value left = Evaluate(*expr.children[0]);
      const bool decided = IsTrue(left) == (expr.kind == ExprKind::kOr);
      return decided ? left : Evaluate(*expr.children[1]);
    }
    case ExprKind::kNot:
    case ExprKind::kNegate:
    case ExprKind::kPlus:
      return EvaluateUnary(expr);
    default: {
      const Value left = Evaluate(*expr.children[0]);
      const Value right = Evaluate(*expr.children[1]);
      line_ = expr.line;
      if (expr.kind == ExprKind::kAdd) return Add(meter_, left, right);
      return Arithmetic(*this, expr.kind, left, right);
    }
  }
  return Value::None();
}

Value Interpreter::EvaluateName(const Expr& expr) {
  const Value* value = scope_->Find(expr.name);
  if (value != nullptr && !value->IsMissing()) return *value;
  return Undefined(fmt::format("'{}' is undefined", template_.names[expr.name]));
}

std::vector<Value> Interpreter::EvaluateAll(const std::vector<ExprPtr>& exprs) {
  std::vector<Value> values;
  values.reserve(exprs.size());
  for (const ExprPtr& expr : exprs) values.push_back(Evaluate(*expr));
  return values;
}

Value Interpreter::EvaluateDict(const Expr& expr) {
  auto dict = std::make_shared<Dict>(&meter_);
  for (std::size_t i = 0; i < expr.children.size(); i += 2) {
    Value key = Evaluate(*expr.children[i]);
    dict->Set(meter_, std::move(key), Evaluate(*expr.children[i + 1]));
  }
  return MakeDict(std::move(dict));
}

Value Interpreter::EvaluateSlice(const Expr& expr) {
  const Value value = Evaluate(*expr.children[0]);
  Value bounds[3];
  for (std::size_t i = 0; i < 3; ++i) {
    const ExprPtr& bound = expr.children[i + 1];
    bounds[i] = bound == nullptr ? Value::None() : Evaluate(*bound);
  }
  return Slice(meter_, value, bounds[0], bounds[1], bounds[2]);
}

Value Interpreter::EvaluateCompare(const Expr& expr) {
  Value left = Evaluate(*expr.children[0]);
  for (std::size_t i = 0; i < expr.operators.size(); ++i) {
    Value right = Evaluate(*expr.children[i + 1]);
    line_ = expr.line;
    bool holds = false;
    switch (expr.operators[i]) {
      case CompareOp::kEq:
        holds = Equal(meter_, left, right);
        break;
      case CompareOp::kNe:
        holds = !Equal(meter_, left, right);
        break;
      case CompareOp::kLt:
        holds = Less(meter_, left, right);
        break;
      case CompareOp::kGt:
        holds = Less(meter_, right, left);
        break;
      case CompareOp::kLe:
        holds = LessOrEqual(meter_, left, right);
        break;
      case CompareOp::kGe:
        holds = LessOrEqual(meter_, right, left);
        break;
      case CompareOp::kIn:
        holds = Contains(meter_, right, left);
        break;
      case CompareOp::kNotIn:
        holds = !Contains(meter_, right, left);
        break;
    }
    if (!holds) return Value::Bool(false);
    left = std::move(right);
  }
  return Value::Bool(true);
}

Value Interpreter::EvaluateConcat(const Expr& expr) {
  std::vector<Value> values = EvaluateAll(expr.children);
  std::string text;
  for (const Value& value : values) {
    AppendStr(meter_, value, text);
    meter_.CheckRoom(text.size());
  }
  return Text(std::move(text));
}

Value Interpreter::EvaluateFilter(const Expr& expr) {
  const Value value = expr.children[0] == nullptr ? filter_input_ : Evaluate(*expr.children[0]);
  const Arguments arguments = EvaluateArguments(expr.call);
  line_ = expr.line;
  return ApplyFilter(expr.text, value, arguments);
}

Value Interpreter::EvaluateTest(const Expr& expr) {
  const Value value = Evaluate(*expr.children[0]);
  const Arguments arguments = EvaluateArguments(expr.call);
  line_ = expr.line;
  return Value::Bool(ApplyTest(expr.text, value, arguments));
}

Value Interpreter::EvaluateCondition(const Expr& expr) {
  if (IsTrue(Evaluate(*expr.children[0]))) return Evaluate(*expr.children[1]);
  if (expr.children[2] != nullptr) return Evaluate(*expr.children[2]);
  return Undefined("the inline if-expression was false and has no else");
}

Value Interpreter::EvaluateUnary(const Expr& expr) {
  const Value value = Evaluate(*expr.children[0]);
  line_ = expr.line;
  if (expr.kind == ExprKind::kNot) return Value::Bool(!IsTrue(value));
  return Negate(value, expr.kind == ExprKind::kNegate);
}

Arguments Interpreter::EvaluateArguments(const CallParts& parts) {
  Arguments arguments;
  arguments.positional = EvaluateAll(parts.positional);
  if (parts.star != nullptr) {
    for (Value& value : ToVector(meter_, Evaluate(*parts.star))) {
      arguments.positional.push_back(std::move(value));
    }
  }
  for (const auto& [name, expr] : parts.named) arguments.named.emplace_back(name, Evaluate(*expr));
  if (parts.star_star == nullptr) return arguments;
  const Value named = Evaluate(*parts.star_star);
  if (!named.is(Kind::kDict)) {
    Fail(Fault::kType, fmt::format("argument after ** must be a mapping, not {}", TypeName(named)));
  }
  for (const auto& [key, value] : named.dict().items()) {
    meter_.Step();
    if (!key.is(Kind::kString)) Fail(Fault::kType, "keywords must be strings");
    if (arguments.FindNamed(key.text()) != nullptr) {
      Fail(Fault::kType, fmt::format("got multiple values for keyword argument '{}'", key.text()));
    }
    arguments.named.emplace_back(key.text(), value);
  }
  return arguments;
}

Value Interpreter::Call(const Value& callee, Arguments& arguments) {
  if (callee.is(Kind::kCallable)) return callee.callable().function(*this, arguments);
  if (callee.is(Kind::kLoop)) return callee.loop().Call(*this, arguments);
  if (callee.is(Kind::kUndefined)) FailUndefined(callee);
  Fail(Fault::kType, fmt::format("'{}' object is not callable", TypeName(callee)));
}

}  // namespace larder::jinja
