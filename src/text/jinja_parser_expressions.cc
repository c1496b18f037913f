// The expression half of the parser.
#include <fmt/format.h>

#include "text/jinja_parser.h"

namespace larder::jinja {

// Guards the recursion of the parser itself.
class Parser::Nesting {
 public:
  explicit Nesting(Parser* parser) : parser_(parser) {
    if (++parser_->depth_ > kMaxNodeDepth) {
      Fail(Fault::kLimit, "the template nests too deep", parser_->Current().line);
    }
  }
  ~Nesting() { --parser_->depth_; }
  Nesting(const Nesting&) = delete;
  Nesting& operator=(const Nesting&) = delete;

 private:
  Parser* parser_;
};

namespace {

bool IsReserved(std::string_view name) {
  return name == "true" || name == "True" || name == "false" || name == "False" || name == "none" ||
         name == "None";
}

}  // namespace

bool IsAssignable(const Expr& target) {
  if (target.kind == ExprKind::kName) return true;  // true, none and the like are constants
  if (target.kind == ExprKind::kSlotRef) return true;
  if (target.kind != ExprKind::kTuple) return false;
  for (const ExprPtr& child : target.children) {
    if (!IsAssignable(*child)) return false;
  }
  return true;
}

bool Parser::IsTupleEnd(std::string_view end_name) const {
  const TokenKind kind = Current().kind;
  if (kind == TokenKind::kVariableEnd || kind == TokenKind::kBlockEnd) return true;
  return IsOperator(")") || (!end_name.empty() && IsName(end_name));
}

ExprPtr Parser::ParseTuple(bool with_condition, std::string_view end_name, bool parenthesized) {
  auto tuple = MakeExpr(ExprKind::kTuple, Current().line);
  bool is_tuple = false;
  while (true) {
    if (!tuple->children.empty()) ExpectOperator(",");
    if (IsTupleEnd(end_name)) break;
    tuple->children.push_back(ParseExpression(with_condition));
    if (!IsOperator(",")) break;
    is_tuple = true;
  }
  if (is_tuple) return Finish(std::move(tuple));
  if (!tuple->children.empty()) return std::move(tuple->children[0]);
  if (!parenthesized) FailHere("expected an expression, got " + Describe(Current()));
  return Finish(std::move(tuple));
}

ExprPtr Parser::ParseTarget(bool with_slots, std::string_view end_name) {
  const int line = Current().line;
  auto tuple = MakeExpr(ExprKind::kTuple, line);
  bool is_tuple = false;
  while (true) {
    if (!tuple->children.empty()) ExpectOperator(",");
    if (IsTupleEnd(end_name)) break;
    tuple->children.push_back(ParsePrimary(with_slots));
    if (!IsOperator(",")) break;
    is_tuple = true;
  }
  if (tuple->children.empty()) FailHere("expected a name, got " + Describe(Current()));
  ExprPtr target = is_tuple ? Finish(std::move(tuple)) : std::move(tuple->children[0]);
  if (!IsAssignable(*target)) Fail(Fault::kSyntax, "cannot assign to that", line);
  return target;
}

ExprPtr Parser::ParseExpression(bool with_condition) {
  const Nesting nesting(this);
  return with_condition ? ParseCondition() : ParseOr();
}

ExprPtr Parser::ParseCondition() {
  const Nesting nesting(this);
  int line = Current().line;
  const std::size_t n_unknown = unknown_.size();
  ExprPtr value = ParseOr();
  while (IsName("if")) {
    Next();
    auto condition = MakeExpr(ExprKind::kCondition, line);
    condition->children.push_back(ParseOr());
    condition->children.push_back(std::move(value));
    condition->children.push_back(SkipName("else") ? ParseCondition() : nullptr);
    value = Finish(std::move(condition));
    line = Current().line;
    // In a conditional expression an unknown filter fails only when it is reached.
    unknown_.resize(n_unknown);
  }
  return value;
}

ExprPtr Parser::ParseOr() {
  int line = Current().line;
  ExprPtr left = ParseAnd();
  while (SkipName("or")) {
    left = Binary(ExprKind::kOr, std::move(left), ParseAnd(), line);
    line = Current().line;
  }
  return left;
}

ExprPtr Parser::ParseAnd() {
  int line = Current().line;
  ExprPtr left = ParseNot();
  while (SkipName("and")) {
    left = Binary(ExprKind::kAnd, std::move(left), ParseNot(), line);
    line = Current().line;
  }
  return left;
}

ExprPtr Parser::ParseNot() {
  if (!IsName("not")) return ParseCompare();
  const Nesting nesting(this);
  auto expr = MakeExpr(ExprKind::kNot, Next().line);
  expr->children.push_back(ParseNot());
  return Finish(std::move(expr));
}

ExprPtr Parser::ParseCompare() {
  static constexpr std::pair<std::string_view, CompareOp> kOperators[] = {
      {"==", CompareOp::kEq}, {"!=", CompareOp::kNe}, {"<", CompareOp::kLt},
      {"<=", CompareOp::kLe}, {">", CompareOp::kGt},  {">=", CompareOp::kGe}};
  auto compare = MakeExpr(ExprKind::kCompare, Current().line);
  compare->children.push_back(ParseSum());
  while (true) {
    std::size_t n_before = compare->operators.size();
    for (const auto& [text, op] : kOperators) {
      if (compare->operators.size() == n_before && SkipOperator(text)) {
        compare->operators.push_back(op);
      }
    }
    if (compare->operators.size() == n_before) {
      if (SkipName("in")) {
        compare->operators.push_back(CompareOp::kIn);
      } else if (IsName("not") && Ahead().Is(TokenKind::kName, "in")) {
        at_ += 2;
        compare->operators.push_back(CompareOp::kNotIn);
      } else {
        break;
      }
    }
    compare->children.push_back(ParseSum());
  }
  if (compare->operators.empty()) return std::move(compare->children[0]);
  return Finish(std::move(compare));
}

ExprPtr Parser::ParseSum() {
  int line = Current().line;
  ExprPtr left = ParseConcat();
  while (IsOperator("+") || IsOperator("-")) {
    const ExprKind kind = Next().text == "+" ? ExprKind::kAdd : ExprKind::kSubtract;
    left = Binary(kind, std::move(left), ParseConcat(), line);
    line = Current().line;
  }
  return left;
}

ExprPtr Parser::ParseConcat() {
  auto concat = MakeExpr(ExprKind::kConcat, Current().line);
  concat->children.push_back(ParseProduct());
  while (SkipOperator("~")) concat->children.push_back(ParseProduct());
  if (concat->children.size() == 1) return std::move(concat->children[0]);
  return Finish(std::move(concat));
}

ExprPtr Parser::ParseProduct() {
  int line = Current().line;
  ExprPtr left = ParsePower();
  while (true) {
    ExprKind kind = ExprKind::kMultiply;
    if (IsOperator("/")) {
      kind = ExprKind::kDivide;
    } else if (IsOperator("//")) {
      kind = ExprKind::kFloorDivide;
    } else if (IsOperator("%")) {
      kind = ExprKind::kModulo;
    } else if (!IsOperator("*")) {
      return left;
    }
    Next();
    left = Binary(kind, std::move(left), ParsePower(), line);
    line = Current().line;
  }
}

ExprPtr Parser::ParsePower() {
  int line = Current().line;
  ExprPtr left = ParseUnary();
  while (SkipOperator("**")) {
    left = Binary(ExprKind::kPower, std::move(left), ParseUnary(), line);
    line = Current().line;
  }
  return left;
}

ExprPtr Parser::ParseUnary(bool with_filter) {
  const Nesting nesting(this);
  ExprPtr expr;
  if (IsOperator("-") || IsOperator("+")) {
    const Token sign = Next();
    auto unary = MakeExpr(sign.text == "-" ? ExprKind::kNegate : ExprKind::kPlus, sign.line);
    unary->children.push_back(ParseUnary(false));
    expr = Finish(std::move(unary));
  } else {
    expr = ParsePrimary(false);
  }
  expr = ParsePostfix(std::move(expr));
  return with_filter ? ParseFilters(std::move(expr)) : std::move(expr);
}

ExprPtr Parser::ParseNamePrimary(bool with_slots) {
  const Token token = Next();
  if (IsReserved(token.text)) {
    auto constant = MakeExpr(ExprKind::kConstant, token.line);
    const char first = static_cast<char>(token.text[0] | 0x20);
    constant->constant = first == 'n' ? Value::None() : Value::Bool(first == 't');
    return Finish(std::move(constant));
  }
  if (with_slots && SkipOperator(".")) {
    auto slot = MakeExpr(ExprKind::kSlotRef, token.line);
    slot->name = Intern(token.text);
    slot->text = ExpectName().text;
    return Finish(std::move(slot));
  }
  return LoadName(token.text, token.line);
}

ExprPtr Parser::ParsePrimary(bool with_slots) {
  const int line = Current().line;
  if (Current().kind == TokenKind::kName) return ParseNamePrimary(with_slots);
  auto constant = MakeExpr(ExprKind::kConstant, line);
  switch (Current().kind) {
    case TokenKind::kString: {
      std::string text = Next().text;
      while (Current().kind == TokenKind::kString) text += Next().text;
      constant->constant = Value::Constant(std::move(text));
      return Finish(std::move(constant));
    }
    case TokenKind::kInteger:
      constant->constant = Value::Int(Next().integer);
      return Finish(std::move(constant));
    case TokenKind::kFloat:
      constant->constant = Value::Float(Next().real);
      return Finish(std::move(constant));
    default:
      break;
  }
  if (SkipOperator("(")) {
    ExprPtr inner = ParseTuple(true, "", true);
    ExpectOperator(")");
    return inner;
  }
  if (IsOperator("[")) return ParseList();
  if (IsOperator("{")) return ParseDict();
  FailHere("unexpected " + Describe(Current()));
}

ExprPtr Parser::ParseList() {
  auto list = MakeExpr(ExprKind::kList, Next().line);
  while (!IsOperator("]")) {
    if (!list->children.empty()) ExpectOperator(",");
    if (IsOperator("]")) break;
    list->children.push_back(ParseExpression());
  }
  ExpectOperator("]");
  return Finish(std::move(list));
}

ExprPtr Parser::ParseDict() {
  auto dict = MakeExpr(ExprKind::kDict, Next().line);
  while (!IsOperator("}")) {
    if (!dict->children.empty()) ExpectOperator(",");
    if (IsOperator("}")) break;
    dict->children.push_back(ParseExpression());
    ExpectOperator(":");
    dict->children.push_back(ParseExpression());
  }
  ExpectOperator("}");
  return Finish(std::move(dict));
}

ExprPtr Parser::ParsePostfix(ExprPtr expr) {
  while (true) {
    if (IsOperator(".") || IsOperator("[")) {
      expr = ParseSubscript(std::move(expr));
    } else if (IsOperator("(")) {
      expr = ParseCall(std::move(expr));
    } else {
      return expr;
    }
  }
}

ExprPtr Parser::ParseFilters(ExprPtr expr) {
  while (true) {
    if (IsOperator("|")) {
      expr = ParseFilterChain(std::move(expr));
    } else if (IsName("is")) {
      expr = ParseTest(std::move(expr));
    } else if (IsOperator("(")) {
      expr = ParseCall(std::move(expr));
    } else {
      return expr;
    }
  }
}

ExprPtr Parser::ParseFilterChain(ExprPtr expr) {
  while (SkipOperator("|")) expr = ParseFilter(std::move(expr));
  return expr;
}

std::string Parser::ParseDottedName() {
  std::string name = ExpectName().text;
  while (SkipOperator(".")) name += "." + ExpectName().text;
  return name;
}

// The filter's name and what follows, behind its "|".
ExprPtr Parser::ParseFilter(ExprPtr expr) {
  auto filter = MakeExpr(ExprKind::kFilter, Current().line);
  filter->text = ParseDottedName();
  if (!place_.soft && !IsFilterName(filter->text)) {
    unknown_.push_back(
        {Fault::kSyntax, fmt::format("there is no filter '{}'", filter->text), filter->line});
  }
  filter->children.push_back(std::move(expr));
  if (IsOperator("(")) filter->call = ParseArguments();
  return Finish(std::move(filter));
}

ExprPtr Parser::ParseTest(ExprPtr expr) {
  auto test = MakeExpr(ExprKind::kTest, Next().line);
  const int line = test->line;
  const bool negated = SkipName("not");
  test->text = ParseDottedName();
  if (!place_.soft && !IsTestName(test->text)) {
    unknown_.push_back({Fault::kSyntax, fmt::format("there is no test '{}'", test->text), line});
  }
  test->children.push_back(std::move(expr));
  const TokenKind kind = Current().kind;
  const bool opens = IsOperator("[") || IsOperator("{");
  const bool operand = kind == TokenKind::kName || kind == TokenKind::kString ||
                       kind == TokenKind::kInteger || kind == TokenKind::kFloat || opens;
  if (IsOperator("(")) {
    test->call = ParseArguments();
  } else if (operand && !IsName("else") && !IsName("or") && !IsName("and")) {
    if (IsName("is")) FailHere("tests cannot be chained with is");
    ExprPtr argument = ParsePrimary(false);
    test->call.positional.push_back(ParsePostfix(std::move(argument)));
  }
  ExprPtr made = Finish(std::move(test));
  if (!negated) return made;
  auto inverse = MakeExpr(ExprKind::kNot, line);
  inverse->children.push_back(std::move(made));
  return Finish(std::move(inverse));
}

ExprPtr Parser::ParseSubscript(ExprPtr expr) {
  const Token token = Next();
  if (token.text == "[") return ParseBracket(std::move(expr), token.line);
  const Token name = Next();
  if (name.kind == TokenKind::kName) {
    auto attribute = MakeExpr(ExprKind::kAttribute, token.line);
    attribute->text = name.text;
    attribute->children.push_back(std::move(expr));
    return Finish(std::move(attribute));
  }
  if (name.kind != TokenKind::kInteger) {
    Fail(Fault::kSyntax, "expected a name or a number after '.'", name.line);
  }
  auto item = MakeExpr(ExprKind::kItem, token.line);
  auto index = MakeExpr(ExprKind::kConstant, name.line);
  index->constant = Value::Int(name.integer);
  item->children.push_back(std::move(expr));
  item->children.push_back(Finish(std::move(index)));
  return Finish(std::move(item));
}

ExprPtr Parser::ParseBracket(ExprPtr expr, int line) {
  const auto at_end = [this] { return IsOperator("]") || IsOperator(","); };
  auto slice = MakeExpr(ExprKind::kSlice, line);
  slice->children.push_back(std::move(expr));
  if (IsOperator("]")) FailHere("expected a subscript");
  ExprPtr start = IsOperator(":") ? nullptr : ParseExpression();
  if (!IsOperator(":")) {
    if (IsOperator(",")) {
      auto tuple = MakeExpr(ExprKind::kTuple, line);
      tuple->children.push_back(std::move(start));
      while (!IsOperator("]")) {
        ExpectOperator(",");
        tuple->children.push_back(ParseExpression());
      }
      start = Finish(std::move(tuple));
    }
    ExpectOperator("]");
    slice->kind = ExprKind::kItem;
    slice->children.push_back(std::move(start));
    return Finish(std::move(slice));
  }
  Next();
  slice->children.push_back(std::move(start));
  slice->children.push_back(IsOperator(":") || at_end() ? nullptr : ParseExpression());
  slice->children.push_back(SkipOperator(":") && !at_end() ? ParseExpression() : nullptr);
  ExpectOperator("]");
  return Finish(std::move(slice));
}

ExprPtr Parser::ParseCall(ExprPtr expr) {
  auto call = MakeExpr(ExprKind::kCall, Current().line);
  call->children.push_back(std::move(expr));
  call->call = ParseArguments();
  return Finish(std::move(call));
}

CallParts Parser::ParseArguments() {
  const int line = Current().line;
  ExpectOperator("(");
  CallParts parts;
  bool comma_due = false;
  while (!IsOperator(")")) {
    if (comma_due) {
      ExpectOperator(",");
      if (IsOperator(")")) break;
    }
    ParseArgument(&parts, line);
    comma_due = true;
  }
  ExpectOperator(")");
  return parts;
}

void Parser::ParseArgument(CallParts* parts, int line) {
  const auto ensure = [line](bool holds) {
    if (!holds) Fail(Fault::kSyntax, "invalid syntax for a call's arguments", line);
  };
  if (SkipOperator("*")) {
    ensure(parts->star == nullptr && parts->star_star == nullptr);
    parts->star = ParseExpression();
  } else if (SkipOperator("**")) {
    ensure(parts->star_star == nullptr);
    parts->star_star = ParseExpression();
  } else if (Current().kind == TokenKind::kName && Ahead().Is(TokenKind::kOperator, "=")) {
    ensure(parts->star_star == nullptr);
    std::string name = Current().text;
    at_ += 2;
    for (const auto& [given, value] : parts->named) ensure(given != name);
    parts->named.emplace_back(std::move(name), ParseExpression());
  } else {
    ensure(parts->star == nullptr && parts->star_star == nullptr && parts->named.empty());
    parts->positional.push_back(ParseExpression());
  }
}

}  // namespace larder::jinja
