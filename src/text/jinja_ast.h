// The parsed template: statements and expressions as trees of plain nodes. Immutable once parsed
// and shared between threads. No path from a root is longer than kMaxNodeDepth, so walks and
// destructors need little stack.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "text/jinja_value.h"

namespace larder::jinja {

inline constexpr int kMaxNodeDepth = 200;

/// A variable's name by its number in Template::names.
using NameId = std::uint32_t;

struct Expr;
struct Stmt;
using ExprPtr = std::unique_ptr<const Expr>;
using StmtPtr = std::unique_ptr<const Stmt>;
using Body = std::vector<StmtPtr>;

enum class ExprKind : std::uint8_t {
  kData,       // text between tags: constant
  kConstant,   // constant
  kName,       // name
  kSlotRef,    // name, text: `ns.attribute` as an assignment's target
  kTuple,      // children
  kList,       // children
  kDict,       // children: key, value, key, value, ...
  kAttribute,  // children[0] . text
  kItem,       // children[0] [ children[1] ]
  kSlice,      // children[0] [ children[1] : children[2] : children[3] ], each may be null
  kCall,       // children[0] ( call )
  kFilter,     // children[0] | text ( call ); children[0] is null in a filter block
  kTest,       // children[0] is text ( call )
  kCondition,  // children[1] if children[0] else children[2], which may be null
  kCompare,    // children[0] operators[0] children[1] operators[1] children[2] ...
  kConcat,     // children, joined as texts
  kAnd,
  kOr,
  kNot,
  kAdd,
  kSubtract,
  kMultiply,
  kDivide,
  kFloorDivide,
  kModulo,
  kPower,
  kNegate,
  kPlus,
};

enum class CompareOp : std::uint8_t { kEq, kNe, kLt, kLe, kGt, kGe, kIn, kNotIn };

struct CallParts {
  std::vector<ExprPtr> positional;
  std::vector<std::pair<std::string, ExprPtr>> named;
  ExprPtr star;       // *args
  ExprPtr star_star;  // **kwargs
};

struct Expr {
  ExprKind kind = ExprKind::kConstant;
  int line = 0;
  int depth = 1;
  NameId name = 0;
  std::string text;
  Value constant;
  std::vector<ExprPtr> children;
  std::vector<CompareOp> operators;
  CallParts call;
};

enum class StmtKind : std::uint8_t {
  kOutput,    // exprs
  kIf,        // exprs[i] -> bodies[i]; one more body is the else
  kFor,       // exprs: target, iterable, condition or null; bodies: body, else
  kSet,       // exprs: target, value
  kSetBlock,  // exprs: target, filter or null; bodies[0]
  kMacro,     // macro
  kCall,      // exprs[0] is a kCall; macro is the caller
  kFilter,    // exprs[0] is a kFilter; bodies[0]
  kWith,      // exprs: target, value, target, value, ...; bodies[0]
  kScope,     // bodies[0]: a generation block
  kBlock,     // name, bodies[0]
  kBreak,
  kContinue,
  kLoad,  // include, import, extends: text
};

struct MacroParts {
  std::string name;
  NameId name_id = 0;
  std::vector<NameId> parameters;
  std::vector<std::string> parameter_names;
  std::vector<ExprPtr> defaults;  // of the last parameters
  Body body;
  bool uses_caller = false, uses_kwargs = false, uses_varargs = false;
};

struct Stmt {
  StmtKind kind = StmtKind::kOutput;
  int line = 0;
  int depth = 1;
  bool recursive = false;  // of a for
  bool scoped = false;     // of a block
  NameId name = 0;
  std::string text;
  std::vector<ExprPtr> exprs;
  std::vector<Body> bodies;
  MacroParts macro;
};

struct Template {
  Body body;
  std::vector<std::string> names;
  std::map<std::string, NameId, std::less<>> name_ids;
};

}  // namespace larder::jinja
