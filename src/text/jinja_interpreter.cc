// Statements, scopes, macros.
#include "text/jinja_interpreter.h"

#include <fmt/format.h>

#include <algorithm>

namespace larder::jinja {

// Statements and expressions inside each other, macros that call themselves included. Each level
// is two frames of a few hundred bytes.
constexpr int kMaxDepth = 1200;

class Interpreter::Depth {
 public:
  explicit Depth(int* depth) : depth_(depth) {
    if (++*depth_ > kMaxDepth) Fail(Fault::kLimit, "the template recurses too deep");
  }
  ~Depth() { --*depth_; }
  Depth(const Depth&) = delete;
  Depth& operator=(const Depth&) = delete;

 private:
  int* depth_;
};

void Scope::Set(NameId name, Value value) {
  for (auto& [known, old] : variables_) {
    if (known != name) continue;
    old = std::move(value);
    return;
  }
  Grow(48, 0);
  variables_.emplace_back(name, std::move(value));
}

const Value* Scope::Find(NameId name) const {
  for (const Scope* scope = this; scope != nullptr; scope = scope->parent_.get()) {
    for (const auto& [known, value] : scope->variables_) {
      if (known == name) return &value;
    }
  }
  return nullptr;
}

Interpreter::Interpreter(const Template& source, const RenderLimits& limits,
                         std::optional<std::tm> now)
    : meter_(limits), template_(source), now_(now) {}

Interpreter::~Interpreter() {
  // Each kept object is held by the list while the others let go of it, so no release runs deep.
  for (const ScopePtr& scope : kept_scopes_) scope->Clear();
  for (const auto& space : namespaces_) space->attributes.Clear();
}

ScopePtr Interpreter::NewScope(ScopePtr parent) {
  return std::make_shared<Scope>(&meter_, std::move(parent));
}

void Interpreter::Keep(const ScopePtr& scope) {
  if (scope->kept) return;
  scope->kept = true;
  kept_scopes_.push_back(scope);
}

Value Interpreter::NewNamespace() {
  namespaces_.push_back(std::make_shared<Namespace>(&meter_));
  return Value(Kind::kNamespace, namespaces_.back());
}

std::string Interpreter::Render(const Value& variables) {
  const ScopePtr globals = NewScope(nullptr);
  for (NameId id = 0; id < template_.names.size(); ++id) {
    Value function = GlobalFunction(meter_, template_.names[id]);
    if (!function.IsMissing()) globals->Set(id, std::move(function));
  }
  const ScopePtr context = NewScope(globals);
  for (const auto& [key, value] : variables.dict().items()) {
    const auto at = template_.name_ids.find(key.text());
    if (at != template_.name_ids.end()) context->Set(at->second, value);
  }
  root_ = scope_ = NewScope(context);
  Keep(root_);
  std::string text;
  out_ = &text;
  Execute(template_.body);
  return text;
}

Interpreter::Flow Interpreter::Execute(const Body& body) {
  for (const StmtPtr& stmt : body) {
    const Flow flow = Execute(*stmt);
    if (flow != Flow::kNext) return flow;
  }
  return Flow::kNext;
}

Interpreter::Flow Interpreter::Execute(const Stmt& stmt) {
  const Depth depth(&depth_);
  meter_.Step();
  line_ = stmt.line;
  switch (stmt.kind) {
    case StmtKind::kOutput:
      Output(stmt);
      break;
    case StmtKind::kIf:
      return ExecuteIf(stmt);
    case StmtKind::kFor:
      return ExecuteFor(stmt);
    case StmtKind::kSet:
      Assign(*stmt.exprs[0], Evaluate(*stmt.exprs[1]));
      break;
    case StmtKind::kSetBlock:
      return ExecuteSetBlock(stmt);
    case StmtKind::kMacro:
      scope_->Set(stmt.macro.name_id, MakeMacro(stmt.macro));
      break;
    case StmtKind::kCall:
      ExecuteCall(stmt);
      break;
    case StmtKind::kFilter:
      return ExecuteFilter(stmt);
    case StmtKind::kWith:
      return ExecuteWith(stmt);
    case StmtKind::kScope:
      return ExecuteInner(stmt.bodies[0], scope_);
    case StmtKind::kBlock:
      return ExecuteInner(stmt.bodies[0], stmt.scoped ? scope_ : root_);
    case StmtKind::kBreak:
      return Flow::kBreak;
    case StmtKind::kContinue:
      return Flow::kContinue;
    case StmtKind::kLoad:
      Fail(Fault::kUnsupported,
           fmt::format("'{}' reads another template, and a chat template has none", stmt.text));
  }
  return Flow::kNext;
}

Interpreter::Flow Interpreter::ExecuteIf(const Stmt& stmt) {
  for (std::size_t i = 0; i < stmt.exprs.size(); ++i) {
    if (IsTrue(Evaluate(*stmt.exprs[i]))) return Execute(stmt.bodies[i]);
  }
  return stmt.bodies.size() > stmt.exprs.size() ? Execute(stmt.bodies.back()) : Flow::kNext;
}

Interpreter::Flow Interpreter::ExecuteFor(const Stmt& stmt) {
  const Value iterable = Evaluate(*stmt.exprs[1]);
  const ScopePtr outer = scope_;
  if (!stmt.recursive) return RunLoop(stmt, outer, iterable, 0);
  std::string* const outer_out = out_;
  std::string text;
  out_ = &text;
  const Flow flow = RunLoop(stmt, outer, iterable, 0);
  out_ = outer_out;
  Write(Text(std::move(text)));
  return flow;
}

// for ... in iterable if condition: the items that pass, tested as they are asked for.
Value Interpreter::Filtered(const Stmt& stmt, const ScopePtr& outer, const Value& iterable) {
  Keep(outer);
  auto source = std::make_shared<Iteration>(meter_, iterable);
  const auto next = [this, &stmt, outer, source](Value* item) {
    while (source->Next(item)) {
      const ScopePtr before = std::exchange(scope_, NewScope(outer));
      Assign(*stmt.exprs[0], *item);
      const bool passes = IsTrue(Evaluate(*stmt.exprs[2]));
      scope_ = before;
      if (passes) return true;
    }
    return false;
  };
  return MakeIterator(meter_, "generator", iterable.depth(), next);
}

Interpreter::Flow Interpreter::RunLoop(const Stmt& stmt, const ScopePtr& outer,
                                       const Value& iterable, int depth0) {
  const Value items = stmt.exprs[2] == nullptr ? iterable : Filtered(stmt, outer, iterable);
  LoopState::Recurse recurse;
  if (stmt.recursive) {
    Keep(outer);
    recurse = [this, &stmt, outer](Interpreter&, const Value& inner, int depth) {
      const Depth guard(&depth_);
      const ScopePtr before = scope_;
      std::string text;
      std::string* const out_before = std::exchange(out_, &text);
      RunLoop(stmt, outer, inner, depth);
      out_ = out_before;
      scope_ = before;
      return Text(std::move(text));
    };
  }
  const auto state = std::make_shared<LoopState>(meter_, items, depth0, std::move(recurse));
  const Value loop(Kind::kLoop, state);
  const auto loop_id = template_.name_ids.find("loop");
  bool any = false;
  Flow flow = Flow::kNext;
  while (flow != Flow::kBreak && state->Advance()) {
    scope_ = NewScope(outer);
    Assign(*stmt.exprs[0], state->current());
    if (loop_id != template_.name_ids.end()) scope_->Set(loop_id->second, loop);
    flow = Execute(stmt.bodies[0]);
    // Python sets its mark that the body ran at the body's end, which continue and break skip.
    any = any || flow == Flow::kNext;
  }
  scope_ = outer;
  if (any || stmt.bodies[1].empty()) return Flow::kNext;
  scope_ = NewScope(outer);
  flow = Execute(stmt.bodies[1]);
  scope_ = outer;
  return flow;
}

void Interpreter::Write(const Value& value) {
  AppendStr(meter_, value, *out_);
  meter_.CheckOutput(out_->size());
}

void Interpreter::Output(const Stmt& stmt) {
  for (const ExprPtr& expr : stmt.exprs) {
    if (expr->kind == ExprKind::kData) {
      Write(expr->constant);
    } else {
      Write(Evaluate(*expr));
    }
  }
}

Interpreter::Flow Interpreter::Capture(const Body& body, std::string* text) {
  std::string* const before = std::exchange(out_, text);
  const Flow flow = Execute(body);
  out_ = before;
  return flow;
}

Interpreter::Flow Interpreter::ExecuteSetBlock(const Stmt& stmt) {
  const ScopePtr outer = std::exchange(scope_, NewScope(scope_));
  std::string text;
  const Flow flow = Capture(stmt.bodies[0], &text);
  Value value = Text(std::move(text));
  if (flow == Flow::kNext && stmt.exprs[1] != nullptr) {
    filter_input_ = value;
    value = Evaluate(*stmt.exprs[1]);
  }
  scope_ = outer;
  if (flow == Flow::kNext) Assign(*stmt.exprs[0], value);
  return flow;
}

Interpreter::Flow Interpreter::ExecuteFilter(const Stmt& stmt) {
  const ScopePtr outer = std::exchange(scope_, NewScope(scope_));
  std::string text;
  const Flow flow = Capture(stmt.bodies[0], &text);
  filter_input_ = Text(std::move(text));
  Value value;
  if (flow == Flow::kNext) value = Evaluate(*stmt.exprs[0]);
  scope_ = outer;
  if (flow == Flow::kNext) Write(value);
  return flow;
}

Interpreter::Flow Interpreter::ExecuteWith(const Stmt& stmt) {
  const ScopePtr outer = scope_;
  const ScopePtr inner = NewScope(outer);
  for (std::size_t i = 0; i < stmt.exprs.size(); i += 2) {
    const Value value = Evaluate(*stmt.exprs[i + 1]);
    scope_ = inner;
    Assign(*stmt.exprs[i], value);
    scope_ = outer;
  }
  scope_ = inner;
  const Flow flow = Execute(stmt.bodies[0]);
  scope_ = outer;
  return flow;
}

Interpreter::Flow Interpreter::ExecuteInner(const Body& body, ScopePtr parent) {
  const ScopePtr outer = std::exchange(scope_, NewScope(std::move(parent)));
  const Flow flow = Execute(body);
  scope_ = outer;
  return flow;
}

void Interpreter::ExecuteCall(const Stmt& stmt) {
  const Expr& call = *stmt.exprs[0];
  const Value caller = MakeMacro(stmt.macro);
  const Value callee = Evaluate(*call.children[0]);
  Arguments arguments = EvaluateArguments(call.call);
  if (arguments.FindNamed("caller") != nullptr) {
    Fail(Fault::kType, "got multiple values for keyword argument 'caller'");
  }
  arguments.named.emplace_back("caller", caller);
  Write(Call(callee, arguments));
}

void Interpreter::Assign(const Expr& target, const Value& value) {
  if (target.kind == ExprKind::kName) return scope_->Set(target.name, value);
  if (target.kind == ExprKind::kSlotRef) {
    const Value* space = scope_->Find(target.name);
    if (space == nullptr || !space->is(Kind::kNamespace)) {
      Fail(Fault::kRuntime, "cannot assign an attribute of what is no namespace");
    }
    if (target.text[0] == '_') {
      Fail(Fault::kSecurity, "a namespace holds no attribute that begins with an underscore");
    }
    space->space().attributes.Set(meter_, Text(target.text), value);
    return;
  }
  const std::vector<Value> items = ToVector(meter_, value);
  if (items.size() != target.children.size()) {
    Fail(Fault::kValue,
         fmt::format("expected {} values to unpack, got {}", target.children.size(), items.size()));
  }
  for (std::size_t i = 0; i < items.size(); ++i) Assign(*target.children[i], items[i]);
}

Value Interpreter::MakeMacro(const MacroParts& macro) {
  const ScopePtr scope = scope_;
  Keep(scope);
  const auto run = [&macro, scope](Interpreter& interpreter, Arguments& arguments) {
    return interpreter.CallMacro(macro, scope, arguments);
  };
  auto made =
      std::make_shared<Callable>(&meter_, "Macro", fmt::format("<Macro '{}'>", macro.name), 0, run);
  std::vector<Value> names;
  for (const std::string& name : macro.parameter_names) names.push_back(Text(name));
  made->attributes = {{"name", Text(macro.name)},
                      {"arguments", MakeTuple(meter_, std::move(names))},
                      {"caller", Value::Bool(macro.uses_caller)},
                      {"catch_kwargs", Value::Bool(macro.uses_kwargs)},
                      {"catch_varargs", Value::Bool(macro.uses_varargs)}};
  return Value(Kind::kCallable, std::move(made));
}

namespace {

// Takes a named argument out of the list; missing when it is not there.
Value TakeNamed(Arguments& arguments, std::string_view name) {
  for (auto at = arguments.named.begin(); at != arguments.named.end(); ++at) {
    if (at->first != name) continue;
    Value value = at->second;
    arguments.named.erase(at);
    return value;
  }
  return Value();
}

}  // namespace

void Interpreter::BindMacro(const MacroParts& macro, Arguments& arguments, Scope* scope) {
  const std::size_t n_parameters = macro.parameters.size();
  bool found_caller = false;
  for (std::size_t i = 0; i < n_parameters; ++i) {
    const bool given = i < arguments.positional.size();
    found_caller = found_caller || macro.parameter_names[i] == "caller";
    scope->Set(macro.parameters[i],
               given ? arguments.positional[i] : TakeNamed(arguments, macro.parameter_names[i]));
  }
  const auto set_special = [&](std::string_view name, Value value) {
    const auto& names = macro.parameter_names;
    if (std::find(names.begin(), names.end(), name) != names.end()) return;
    scope->Set(template_.name_ids.find(name)->second, std::move(value));
  };
  if (macro.uses_caller && !found_caller) {
    Value caller = TakeNamed(arguments, "caller");
    set_special("caller", caller.IsMissing() ? Undefined("no caller is defined") : caller);
  }
  if (macro.uses_kwargs) {
    auto rest = std::make_shared<Dict>(&meter_);
    for (const auto& [name, value] : arguments.named) rest->Set(meter_, Text(name), value);
    set_special("kwargs", MakeDict(std::move(rest)));
  } else if (!arguments.named.empty()) {
    Fail(Fault::kType, fmt::format("macro '{}' takes no keyword argument '{}'", macro.name,
                                   arguments.named[0].first));
  }
  const auto n_given = arguments.positional.size();
  if (macro.uses_varargs) {
    const auto rest =
        arguments.positional.begin() + static_cast<std::ptrdiff_t>(std::min(n_given, n_parameters));
    set_special("varargs", MakeTuple(meter_, {rest, arguments.positional.end()}));
  } else if (n_given > n_parameters) {
    Fail(Fault::kType,
         fmt::format("macro '{}' takes not more than {} argument(s)", macro.name, n_parameters));
  }
}

Value Interpreter::CallMacro(const MacroParts& macro, const ScopePtr& scope, Arguments& arguments) {
  const Depth depth(&depth_);
  const ScopePtr inner = NewScope(scope);
  BindMacro(macro, arguments, inner.get());
  const ScopePtr before = std::exchange(scope_, inner);
  const std::size_t n_required = macro.parameters.size() - macro.defaults.size();
  for (std::size_t i = 0; i < macro.parameters.size(); ++i) {
    if (!inner->Find(macro.parameters[i])->IsMissing()) continue;
    inner->Set(macro.parameters[i], i < n_required
                                        ? Undefined(fmt::format("parameter '{}' was not provided",
                                                                macro.parameter_names[i]))
                                        : Evaluate(*macro.defaults[i - n_required]));
  }
  std::string text;
  Capture(macro.body, &text);
  scope_ = before;
  return Text(std::move(text));
}

Value Interpreter::Evaluate(const Expr& expr) {
  const Depth depth(&depth_);
  meter_.Step();
  line_ = expr.line;
  return EvaluateNode(expr);
}

}  // namespace larder::jinja
