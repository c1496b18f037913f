// The statement half of the parser, and its helpers.
#include "text/jinja_parser.h"

#include <fmt/format.h>

#include <algorithm>

namespace larder::jinja {
namespace {

template <typename Node>
void CheckDepth(const Node& node) {
  if (node.depth > kMaxNodeDepth) {
    Fail(Fault::kLimit, "the template nests too deep, or has too long a chain of operators",
         node.line);
  }
}

void Deepen(int* depth, const ExprPtr& expr) {
  if (expr != nullptr) *depth = std::max(*depth, expr->depth + 1);
}

void Deepen(int* depth, const Body& body) {
  for (const StmtPtr& stmt : body) *depth = std::max(*depth, stmt->depth + 1);
}

// Whether an assignment's target has the name anywhere.
bool Stores(const Expr& target, NameId name) {
  if (target.kind == ExprKind::kName) return target.name == name;
  for (const ExprPtr& child : target.children) {
    if (Stores(*child, name)) return true;
  }
  return false;
}

}  // namespace

Template ParseTemplate(std::string_view source) { return Parser(Tokenize(source)).Run(); }

Template Parser::Run() {
  made_.body = ParseBody({});
  if (!unknown_.empty()) throw unknown_[0];
  return std::move(made_);
}

Token Parser::Next() {
  Token token = tokens_[at_];
  if (at_ + 1 < tokens_.size()) ++at_;
  return token;
}

bool Parser::SkipName(std::string_view name) {
  if (!IsName(name)) return false;
  Next();
  return true;
}

bool Parser::SkipOperator(std::string_view text) {
  if (!IsOperator(text)) return false;
  Next();
  return true;
}

std::string Parser::Describe(const Token& token) {
  switch (token.kind) {
    case TokenKind::kData:
      return "text";
    case TokenKind::kBlockBegin:
      return "a tag";
    case TokenKind::kBlockEnd:
      return "the end of the tag";
    case TokenKind::kVariableBegin:
      return "'{{'";
    case TokenKind::kVariableEnd:
      return "'}}'";
    case TokenKind::kString:
      return "a string";
    case TokenKind::kInteger:
    case TokenKind::kFloat:
      return "a number";
    case TokenKind::kEnd:
      return "the end of the template";
    default:
      return fmt::format("'{}'", token.text);
  }
}

void Parser::FailHere(const std::string& message) const {
  Fail(Fault::kSyntax, message, Current().line);
}

Token Parser::ExpectName() {
  if (Current().kind != TokenKind::kName) FailHere("expected a name, got " + Describe(Current()));
  return Next();
}

void Parser::ExpectNamed(std::string_view name) {
  if (!SkipName(name)) FailHere(fmt::format("expected '{}', got {}", name, Describe(Current())));
}

void Parser::ExpectOperator(std::string_view text) {
  if (!SkipOperator(text)) {
    FailHere(fmt::format("expected '{}', got {}", text, Describe(Current())));
  }
}

void Parser::Expect(TokenKind kind) {
  if (Current().kind != kind) FailHere("unexpected " + Describe(Current()));
  Next();
}

NameId Parser::Intern(const std::string& name) {
  const auto [at, is_new] = made_.name_ids.emplace(name, static_cast<NameId>(made_.names.size()));
  if (is_new) made_.names.push_back(name);
  return at->second;
}

std::unique_ptr<Expr> Parser::MakeExpr(ExprKind kind, int line) const {
  auto expr = std::make_unique<Expr>();
  expr->kind = kind;
  expr->line = line;
  return expr;
}

std::unique_ptr<Stmt> Parser::MakeStmt(StmtKind kind, int line) const {
  auto stmt = std::make_unique<Stmt>();
  stmt->kind = kind;
  stmt->line = line;
  return stmt;
}

ExprPtr Parser::Finish(std::unique_ptr<Expr> expr) {
  for (const ExprPtr& child : expr->children) Deepen(&expr->depth, child);
  for (const ExprPtr& argument : expr->call.positional) Deepen(&expr->depth, argument);
  for (const auto& argument : expr->call.named) Deepen(&expr->depth, argument.second);
  Deepen(&expr->depth, expr->call.star);
  Deepen(&expr->depth, expr->call.star_star);
  CheckDepth(*expr);
  return expr;
}

StmtPtr Parser::Finish(std::unique_ptr<Stmt> stmt) {
  for (const ExprPtr& expr : stmt->exprs) Deepen(&stmt->depth, expr);
  for (const Body& body : stmt->bodies) Deepen(&stmt->depth, body);
  for (const ExprPtr& expr : stmt->macro.defaults) Deepen(&stmt->depth, expr);
  Deepen(&stmt->depth, stmt->macro.body);
  CheckDepth(*stmt);
  return stmt;
}

ExprPtr Parser::Binary(ExprKind kind, ExprPtr left, ExprPtr right, int line) const {
  auto expr = MakeExpr(kind, line);
  expr->children.push_back(std::move(left));
  expr->children.push_back(std::move(right));
  return Finish(std::move(expr));
}

ExprPtr Parser::LoadName(const std::string& name, int line) {
  // A macro that reads one of these gets it as a parameter, and so do the macros around it.
  for (MacroParts* macro : open_macros_) {
    macro->uses_caller = macro->uses_caller || name == "caller";
    macro->uses_kwargs = macro->uses_kwargs || name == "kwargs";
    macro->uses_varargs = macro->uses_varargs || name == "varargs";
  }
  auto expr = MakeExpr(ExprKind::kName, line);
  expr->name = Intern(name);
  return Finish(std::move(expr));
}

Body Parser::ParseBody(const std::vector<std::string_view>& end_tags) {
  Body body;
  std::unique_ptr<Stmt> output;
  const auto flush = [&] {
    if (output != nullptr) body.push_back(Finish(std::move(output)));
    output = nullptr;
  };
  const auto add = [&](ExprPtr expr) {
    if (output == nullptr) output = MakeStmt(StmtKind::kOutput, expr->line);
    output->exprs.push_back(std::move(expr));
  };
  while (Current().kind != TokenKind::kEnd) {
    if (Current().kind == TokenKind::kData) {
      const Token token = Next();
      auto data = MakeExpr(ExprKind::kData, token.line);
      data->constant = Value::Constant(token.text);
      add(Finish(std::move(data)));
    } else if (Current().kind == TokenKind::kVariableBegin) {
      Next();
      add(ParseTuple(true, ""));
      Expect(TokenKind::kVariableEnd);
    } else {
      flush();
      Expect(TokenKind::kBlockBegin);
      const bool ends = std::any_of(end_tags.begin(), end_tags.end(),
                                    [this](std::string_view tag) { return IsName(tag); });
      if (ends) return body;
      body.push_back(ParseStatement());
      Expect(TokenKind::kBlockEnd);
    }
  }
  flush();
  return body;
}

Body Parser::ParseBlockBody(const std::vector<std::string_view>& end_tags, bool drop_end) {
  SkipOperator(":");
  Expect(TokenKind::kBlockEnd);
  if (++depth_ > kMaxNodeDepth) Fail(Fault::kLimit, "the template nests too deep", Current().line);
  Body body = ParseBody(end_tags);
  --depth_;
  if (Current().kind == TokenKind::kEnd) {
    FailHere(fmt::format("the template ends where '{}' is due", fmt::join(end_tags, "' or '")));
  }
  if (drop_end) Next();
  return body;
}

Body Parser::ParseInner(Place place, std::string_view end_tag) {
  std::swap(place, place_);
  Body body = ParseBlockBody({end_tag}, true);
  place_ = place;
  return body;
}

StmtPtr Parser::ParseStatement() {
  if (Current().kind != TokenKind::kName) FailHere("expected the name of a tag");
  const std::string tag = Current().text;
  using Parse = StmtPtr (Parser::*)();
  static constexpr std::pair<std::string_view, Parse> kTags[] = {
      {"set", &Parser::ParseSet},        {"if", &Parser::ParseIf},
      {"for", &Parser::ParseFor},        {"macro", &Parser::ParseMacro},
      {"call", &Parser::ParseCallBlock}, {"filter", &Parser::ParseFilterBlock},
      {"with", &Parser::ParseWith},      {"generation", &Parser::ParseGeneration},
      {"block", &Parser::ParseBlock},    {"print", &Parser::ParsePrint},
      {"include", &Parser::ParseLoad},   {"import", &Parser::ParseLoad},
      {"from", &Parser::ParseLoad},      {"extends", &Parser::ParseLoad}};
  for (const auto& [name, parse] : kTags) {
    if (tag == name) return (this->*parse)();
  }
  if (tag == "break") return ParseLoopControl(StmtKind::kBreak);
  if (tag == "continue") return ParseLoopControl(StmtKind::kContinue);
  if (tag == "autoescape") {
    Fail(Fault::kUnsupported,
         "the tag 'autoescape' is not supported; chat templates escape nothing", Current().line);
  }
  FailHere(fmt::format("unknown tag '{}', or one that closes what is not open", tag));
}

StmtPtr Parser::ParseSet() {
  const int line = Next().line;
  auto stmt = MakeStmt(StmtKind::kSet, line);
  stmt->exprs.push_back(ParseTarget(true, ""));
  if (n_open_fors_ > 0 && Stores(*stmt->exprs[0], Intern("loop"))) {
    Fail(Fault::kSyntax, "the loop variable of a for cannot be set", line);
  }
  if (SkipOperator("=")) {
    stmt->exprs.push_back(ParseTuple(true, ""));
    return Finish(std::move(stmt));
  }
  stmt->kind = StmtKind::kSetBlock;
  const Place inner{false, place_.n_loops};
  Place outer = place_;
  place_ = inner;
  stmt->exprs.push_back(ParseFilterChain(nullptr));
  place_ = outer;
  stmt->bodies.push_back(ParseInner(inner, "endset"));
  return Finish(std::move(stmt));
}

StmtPtr Parser::ParseFor() {
  auto stmt = MakeStmt(StmtKind::kFor, Next().line);
  const Place outer = place_;
  stmt->exprs.push_back(ParseTarget(false, "in"));
  if (Stores(*stmt->exprs[0], Intern("loop"))) {
    Fail(Fault::kSyntax, "the loop variable of a for cannot be set", stmt->line);
  }
  ExpectNamed("in");
  stmt->exprs.push_back(ParseTuple(false, "recursive"));
  place_ = {false, outer.n_loops};
  stmt->exprs.push_back(SkipName("if") ? ParseExpression() : nullptr);
  stmt->recursive = SkipName("recursive");
  place_.n_loops = outer.n_loops + 1;
  ++n_open_fors_;
  stmt->bodies.push_back(ParseBlockBody({"endfor", "else"}, false));
  place_.n_loops = outer.n_loops;
  const bool has_else = Next().text == "else";
  stmt->bodies.push_back(has_else ? ParseBlockBody({"endfor"}, true) : Body());
  --n_open_fors_;
  place_ = outer;
  return Finish(std::move(stmt));
}

StmtPtr Parser::ParseIf() {
  auto stmt = MakeStmt(StmtKind::kIf, Next().line);
  const Place outer = place_;
  place_.soft = true;
  while (true) {
    stmt->exprs.push_back(ParseTuple(false, ""));
    stmt->bodies.push_back(ParseBlockBody({"elif", "else", "endif"}, false));
    const Token end = Next();
    if (end.text == "elif") continue;
    if (end.text == "else") stmt->bodies.push_back(ParseBlockBody({"endif"}, true));
    break;
  }
  place_ = outer;
  return Finish(std::move(stmt));
}

StmtPtr Parser::ParseWith() {
  auto stmt = MakeStmt(StmtKind::kWith, Next().line);
  while (Current().kind != TokenKind::kBlockEnd) {
    if (!stmt->exprs.empty()) ExpectOperator(",");
    stmt->exprs.push_back(ParseTarget(false, ""));
    ExpectOperator("=");
    stmt->exprs.push_back(ParseExpression());
  }
  stmt->bodies.push_back(ParseInner({false, place_.n_loops}, "endwith"));
  return Finish(std::move(stmt));
}

void Parser::ParseSignature(MacroParts* macro) {
  ExpectOperator("(");
  while (!IsOperator(")")) {
    if (!macro->parameters.empty()) ExpectOperator(",");
    const Token name = ExpectName();
    const bool again = std::find(macro->parameter_names.begin(), macro->parameter_names.end(),
                                 name.text) != macro->parameter_names.end();
    if (again) Fail(Fault::kSyntax, "a macro names a parameter twice", name.line);
    macro->parameters.push_back(Intern(name.text));
    macro->parameter_names.push_back(name.text);
    if (SkipOperator("=")) {
      macro->defaults.push_back(ParseExpression());
    } else if (!macro->defaults.empty()) {
      FailHere("a parameter without default follows one with default");
    }
  }
  ExpectOperator(")");
}

void Parser::ParseMacroBody(MacroParts* macro, std::string_view end_tag) {
  open_macros_.push_back(macro);
  macro->body = ParseInner({false, 0}, end_tag);
  open_macros_.pop_back();
}

void Parser::CheckMacro(const MacroParts& macro, int line) const {
  const auto& names = macro.parameter_names;
  const auto at = std::find(names.begin(), names.end(), "caller");
  if (!macro.uses_caller || at == names.end()) return;
  const auto from_end = static_cast<std::size_t>(names.end() - at);
  if (from_end > macro.defaults.size()) {
    Fail(Fault::kSyntax, "the parameter 'caller' of a macro needs a default", line);
  }
}

StmtPtr Parser::ParseMacro() {
  auto stmt = MakeStmt(StmtKind::kMacro, Next().line);
  const Token name = ExpectName();
  stmt->macro.name = name.text;
  stmt->macro.name_id = Intern(name.text);
  const bool was_soft = place_.soft;
  place_.soft = false;
  ParseSignature(&stmt->macro);
  place_.soft = was_soft;
  ParseMacroBody(&stmt->macro, "endmacro");
  CheckMacro(stmt->macro, stmt->line);
  return Finish(std::move(stmt));
}

StmtPtr Parser::ParseCallBlock() {
  auto stmt = MakeStmt(StmtKind::kCall, Next().line);
  stmt->macro.name = "caller";
  if (IsOperator("(")) ParseSignature(&stmt->macro);
  ExprPtr call = ParseExpression();
  if (call->kind != ExprKind::kCall) Fail(Fault::kSyntax, "expected a call", stmt->line);
  for (const auto& argument : call->call.named) {
    if (argument.first == "caller") {
      Fail(Fault::kSyntax, "a call block passes 'caller' itself", stmt->line);
    }
  }
  stmt->exprs.push_back(std::move(call));
  ParseMacroBody(&stmt->macro, "endcall");
  CheckMacro(stmt->macro, stmt->line);
  return Finish(std::move(stmt));
}

StmtPtr Parser::ParseFilterBlock() {
  auto stmt = MakeStmt(StmtKind::kFilter, Next().line);
  const Place outer = place_;
  place_.soft = false;
  ExprPtr filter = ParseFilterChain(ParseFilter(nullptr));
  place_ = outer;
  stmt->exprs.push_back(std::move(filter));
  stmt->bodies.push_back(ParseInner({false, place_.n_loops}, "endfilter"));
  return Finish(std::move(stmt));
}

StmtPtr Parser::ParseGeneration() {
  auto stmt = MakeStmt(StmtKind::kScope, Next().line);
  stmt->bodies.push_back(ParseInner({false, 0}, "endgeneration"));
  return Finish(std::move(stmt));
}

StmtPtr Parser::ParseBlock() {
  auto stmt = MakeStmt(StmtKind::kBlock, Next().line);
  stmt->text = ExpectName().text;
  stmt->scoped = SkipName("scoped");
  if (SkipName("required")) {
    Fail(Fault::kUnsupported, "required blocks are not supported", stmt->line);
  }
  if (std::find(block_names_.begin(), block_names_.end(), stmt->text) != block_names_.end()) {
    Fail(Fault::kSyntax, fmt::format("block '{}' is defined twice", stmt->text), stmt->line);
  }
  block_names_.push_back(stmt->text);
  stmt->bodies.push_back(ParseInner({false, 0}, "endblock"));
  SkipName(stmt->text);
  return Finish(std::move(stmt));
}

StmtPtr Parser::ParsePrint() {
  auto stmt = MakeStmt(StmtKind::kOutput, Next().line);
  while (Current().kind != TokenKind::kBlockEnd) {
    if (!stmt->exprs.empty()) ExpectOperator(",");
    stmt->exprs.push_back(ParseExpression());
  }
  return Finish(std::move(stmt));
}

StmtPtr Parser::ParseLoopControl(StmtKind kind) {
  if (place_.n_loops == 0) FailHere(fmt::format("'{}' outside a loop", Current().text));
  return Finish(MakeStmt(kind, Next().line));
}

StmtPtr Parser::ParseLoad() {
  auto stmt = MakeStmt(StmtKind::kLoad, Current().line);
  stmt->text = Current().text;
  while (Current().kind != TokenKind::kBlockEnd && Current().kind != TokenKind::kEnd) Next();
  return Finish(std::move(stmt));
}

}  // namespace larder::jinja
