// Runs a parsed template over its variables. One Interpreter is one rendering, on one thread; it
// owns the meter, and whatever could hold itself (scopes that macros remember, namespaces) is taken
// apart by its destructor. Failures are thrown as Error.
#pragma once

#include <ctime>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/jinja_ast.h"
#include "text/jinja_callable.h"
#include "text/jinja_loop.h"
#include "text/jinja_meter.h"
#include "text/jinja_value.h"

namespace larder::jinja {

/// Variables of one block, with those around it behind. Blocks that make a scope: for (one per
/// item), macro, call, set block, filter block, with, generation, block.
class Scope : public Object {
 public:
  Scope(Meter* meter, std::shared_ptr<Scope> parent)
      : Object(meter, sizeof(Scope), 0), parent_(std::move(parent)) {}
  void Set(NameId name, Value value);
  /// nullptr when no scope has the name.
  const Value* Find(NameId name) const;
  void Clear() { variables_.clear(); }
  bool kept = false;

 private:
  std::shared_ptr<Scope> parent_;
  std::vector<std::pair<NameId, Value>> variables_;
};
using ScopePtr = std::shared_ptr<Scope>;

class Interpreter {
 public:
  Interpreter(const Template& source, const RenderLimits& limits, std::optional<std::tm> now);
  ~Interpreter();
  Interpreter(const Interpreter&) = delete;
  Interpreter& operator=(const Interpreter&) = delete;

  /// `variables` is a dict with texts as keys, made with this interpreter's meter.
  std::string Render(const Value& variables);

  Meter& meter() { return meter_; }
  const std::optional<std::tm>& now() const { return now_; }
  int line() const { return line_; }

  /// value.name and value[key], by the rules of jinja2's sandbox.
  Value GetAttribute(const Value& value, std::string_view name, bool or_item = true);
  Value GetItem(const Value& value, const Value& key);
  Value Call(const Value& callee, Arguments& arguments);
  Value ApplyFilter(std::string_view name, const Value& value, const Arguments& arguments);
  bool ApplyTest(std::string_view name, const Value& value, const Arguments& arguments);
  Value NewNamespace();
  Value Text(std::string text) { return MakeString(meter_, std::move(text)); }
  Value Undefined(std::string hint) { return Value::Undefined(&meter_, std::move(hint)); }

 private:
  enum class Flow { kNext, kBreak, kContinue };
  class Depth;

  ScopePtr NewScope(ScopePtr parent);
  void Keep(const ScopePtr& scope);
  void SetGlobals(const ScopePtr& globals);

  Flow Execute(const Body& body);
  Flow Execute(const Stmt& stmt);
  Flow ExecuteIf(const Stmt& stmt);
  Flow ExecuteFor(const Stmt& stmt);
  Flow RunLoop(const Stmt& stmt, const ScopePtr& outer, const Value& iterable, int depth0);
  Value Filtered(const Stmt& stmt, const ScopePtr& outer, const Value& iterable);
  void Output(const Stmt& stmt);
  Flow ExecuteSetBlock(const Stmt& stmt);
  void ExecuteCall(const Stmt& stmt);
  Flow ExecuteFilter(const Stmt& stmt);
  Flow ExecuteWith(const Stmt& stmt);
  Flow ExecuteInner(const Body& body, ScopePtr parent);
  Flow Capture(const Body& body, std::string* text);
  void Write(const Value& value);
  void Assign(const Expr& target, const Value& value);
  Value MakeMacro(const MacroParts& macro);
  Value CallMacro(const MacroParts& macro, const ScopePtr& scope, Arguments& arguments);
  void BindMacro(const MacroParts& macro, Arguments& arguments, Scope* scope);

  Value Evaluate(const Expr& expr);
  Value EvaluateNode(const Expr& expr);
  Value EvaluateName(const Expr& expr);
  Value EvaluateDict(const Expr& expr);
  Value EvaluateSlice(const Expr& expr);
  Value EvaluateCompare(const Expr& expr);
  Value EvaluateConcat(const Expr& expr);
  Value EvaluateFilter(const Expr& expr);
  Value EvaluateTest(const Expr& expr);
  Value EvaluateCondition(const Expr& expr);
  Value EvaluateUnary(const Expr& expr);
  std::vector<Value> EvaluateAll(const std::vector<ExprPtr>& exprs);
  Arguments EvaluateArguments(const CallParts& parts);

  Meter meter_;
  const Template& template_;
  std::optional<std::tm> now_;
  ScopePtr root_;
  ScopePtr scope_;
  std::vector<ScopePtr> kept_scopes_;
  std::vector<std::shared_ptr<Namespace>> namespaces_;
  std::string* out_ = nullptr;
  Value filter_input_;  // what a filter block hands to its filter
  int line_ = 1;
  int depth_ = 0;
};

/// Binary operators and indexing (jinja_operators.cc, jinja_access.cc).
Value Add(Meter& meter, const Value& a, const Value& b);
Value Arithmetic(Interpreter& interpreter, ExprKind kind, const Value& a, const Value& b);
Value Negate(const Value& value, bool minus);
bool Contains(Meter& meter, const Value& container, const Value& item);
Value Slice(Meter& meter, const Value& value, const Value& start, const Value& stop,
            const Value& step);

/// A method of a str, list, tuple, dict bound to it; missing when there is none. `unsafe` is set
/// for one that the sandbox forbids.
Value BindMethod(Meter& meter, const Value& self, std::string_view name, bool* unsafe);

/// range, namespace, dict, raise_exception, strftime_now, joiner, cycler; missing for other names.
Value GlobalFunction(Meter& meter, std::string_view name);

/// "..." % values and "...".format(...) (jinja_format.cc, jinja_str_format.cc).
std::string PercentFormat(Interpreter& interpreter, std::string_view format, const Value& values);
std::string StrFormat(Interpreter& interpreter, std::string_view format,
                      const Arguments& arguments);
/// format(value, spec) of a value.
std::string FormatSpec(Interpreter& interpreter, const Value& value, std::string_view spec);

}  // namespace larder::jinja
