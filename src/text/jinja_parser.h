// Tokens to trees, by jinja2's grammar and precedence. What jinja2 refuses when it compiles (an
// unknown filter outside an `if`, a `break` outside a loop) is refused here.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "text/jinja_ast.h"
#include "text/jinja_lexer.h"

namespace larder::jinja {

/// Throws Error: kSyntax or kUnsupported with a line.
Template ParseTemplate(std::string_view source);

/// The parser's state; its two halves are jinja_parser.cc (statements) and
/// jinja_parser_expressions.cc.
class Parser {
 public:
  explicit Parser(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}
  Template Run();

 private:
  // Where a node stands, for what may appear there. `soft`: directly inside an if, where an unknown
  // filter fails only when it is reached. `loops`: for statements around, up to a macro.
  struct Place {
    bool soft = false;
    int n_loops = 0;
  };
  class Nesting;

  const Token& Current() const { return tokens_[at_]; }
  const Token& Ahead() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  Token Next();
  bool IsName(std::string_view name) const { return Current().Is(TokenKind::kName, name); }
  bool IsOperator(std::string_view text) const { return Current().Is(TokenKind::kOperator, text); }
  bool SkipName(std::string_view name);
  bool SkipOperator(std::string_view text);
  Token ExpectName();
  void ExpectNamed(std::string_view name);
  void ExpectOperator(std::string_view text);
  void Expect(TokenKind kind);
  [[noreturn]] void FailHere(const std::string& message) const;
  static std::string Describe(const Token& token);

  NameId Intern(const std::string& name);
  std::unique_ptr<Expr> MakeExpr(ExprKind kind, int line) const;
  std::unique_ptr<Stmt> MakeStmt(StmtKind kind, int line) const;
  static ExprPtr Finish(std::unique_ptr<Expr> expr);
  static StmtPtr Finish(std::unique_ptr<Stmt> stmt);
  ExprPtr Binary(ExprKind kind, ExprPtr left, ExprPtr right, int line) const;
  ExprPtr LoadName(const std::string& name, int line);

  // Statements.
  Body ParseBody(const std::vector<std::string_view>& end_tags);
  Body ParseBlockBody(const std::vector<std::string_view>& end_tags, bool drop_end);
  Body ParseInner(Place place, std::string_view end_tag);
  StmtPtr ParseStatement();
  StmtPtr ParseSet();
  StmtPtr ParseFor();
  StmtPtr ParseIf();
  StmtPtr ParseWith();
  StmtPtr ParseMacro();
  StmtPtr ParseCallBlock();
  StmtPtr ParseFilterBlock();
  StmtPtr ParseGeneration();
  StmtPtr ParseBlock();
  StmtPtr ParsePrint();
  StmtPtr ParseLoopControl(StmtKind kind);
  StmtPtr ParseLoad();
  void ParseSignature(MacroParts* macro);
  void ParseMacroBody(MacroParts* macro, std::string_view end_tag);
  void CheckMacro(const MacroParts& macro, int line) const;

  // Expressions, from the loosest binding to the tightest.
  ExprPtr ParseTuple(bool with_condition, std::string_view end_name, bool parenthesized = false);
  ExprPtr ParseTarget(bool with_slots, std::string_view end_name);
  bool IsTupleEnd(std::string_view end_name) const;
  ExprPtr ParseExpression(bool with_condition = true);
  ExprPtr ParseCondition();
  ExprPtr ParseOr();
  ExprPtr ParseAnd();
  ExprPtr ParseNot();
  ExprPtr ParseCompare();
  ExprPtr ParseSum();
  ExprPtr ParseConcat();
  ExprPtr ParseProduct();
  ExprPtr ParsePower();
  ExprPtr ParseUnary(bool with_filter = true);
  ExprPtr ParsePrimary(bool with_slots);
  ExprPtr ParseNamePrimary(bool with_slots);
  ExprPtr ParseList();
  ExprPtr ParseDict();
  ExprPtr ParsePostfix(ExprPtr expr);
  ExprPtr ParseFilters(ExprPtr expr);
  ExprPtr ParseFilter(ExprPtr expr);
  ExprPtr ParseFilterChain(ExprPtr expr);
  ExprPtr ParseTest(ExprPtr expr);
  ExprPtr ParseSubscript(ExprPtr expr);
  ExprPtr ParseBracket(ExprPtr expr, int line);
  ExprPtr ParseCall(ExprPtr expr);
  CallParts ParseArguments();
  void ParseArgument(CallParts* parts, int line);
  std::string ParseDottedName();

  std::vector<Token> tokens_;
  std::size_t at_ = 0;
  int depth_ = 0;
  Place place_;
  int n_open_fors_ = 0;
  std::vector<MacroParts*> open_macros_;
  std::vector<Error> unknown_;  // filters and tests that are not there, outside an if
  std::vector<std::string> block_names_;
  Template made_;
};

/// Whether an expression may be assigned to; "loop" is left to the caller.
bool IsAssignable(const Expr& target);

/// Names known to the interpreter (jinja_filters.cc, jinja_tests.cc).
bool IsFilterName(std::string_view name);
bool IsTestName(std::string_view name);

}  // namespace larder::jinja
