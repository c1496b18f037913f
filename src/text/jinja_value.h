// The values of a template: Python's, as far as templates can see. Strings, lists, tuples and
// dicts never change once made (the sandbox forbids it), so they are shared; only namespaces and
// iterators have state. Containers know how deep they nest, and refuse more than kMaxValueDepth, so
// that no walk over a value and no destructor can run out of stack. One thread per rendering;
// constants of a parsed template are shared between threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "text/jinja_meter.h"

namespace larder::jinja {

inline constexpr int kMaxValueDepth = 200;

enum class Kind : std::uint8_t {
  kMissing,  // no value at all: an argument not given, a name not yet set
  kUndefined,
  kNone,
  kBool,
  kInt,
  kFloat,
  kString,
  kList,
  kTuple,
  kDict,
  kRange,
  kView,      // dict.keys(), .values(), .items()
  kIterator,  // a generator: runs once
  kNamespace,
  kLoop,
  kCallable,
};

/// What a Value points to; counted by the meter while it lives. Constants have none.
class Object {
 public:
  Object(Meter* meter, std::size_t n_bytes, int depth);
  virtual ~Object();
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;
  int depth() const { return depth_; }

 protected:
  void Grow(std::size_t n_bytes, int depth);

 private:
  Meter* meter_;
  std::size_t n_bytes_ = 0;
  int depth_ = 0;
};

struct String;
struct Sequence;
class Dict;
struct Range;
struct View;
struct Iterator;
struct Namespace;
class LoopState;
struct Callable;

class Value {
 public:
  Value() = default;
  Value(Kind kind, std::shared_ptr<Object> object) : kind_(kind), object_(std::move(object)) {}

  static Value None() { return Value(Kind::kNone); }
  static Value Bool(bool value);
  static Value Int(std::int64_t value);
  static Value Float(double value);
  /// A string outside any rendering.
  static Value Constant(std::string text);
  /// `hint` is the sentence that an operation on it fails with.
  static Value Undefined(Meter* meter, std::string hint, bool unsafe = false);

  Kind kind() const { return kind_; }
  bool is(Kind kind) const { return kind_ == kind; }
  bool IsMissing() const { return kind_ == Kind::kMissing; }
  bool IsSequence() const { return kind_ == Kind::kList || kind_ == Kind::kTuple; }
  /// int or bool, which Python takes as one of them.
  bool IsInteger() const { return kind_ == Kind::kInt || kind_ == Kind::kBool; }
  bool IsNumber() const { return IsInteger() || kind_ == Kind::kFloat; }

  std::int64_t integer() const { return number_.integer; }  // of kInt, kBool
  double real() const { return number_.real; }              // of kFloat
  double AsDouble() const { return IsInteger() ? static_cast<double>(integer()) : real(); }
  const std::string& text() const;  // of kString
  const String& string() const;
  const std::vector<Value>& items() const;  // of kList, kTuple
  const Dict& dict() const;
  const Range& range() const;
  const View& view() const;
  Iterator& iterator() const;
  Namespace& space() const;
  LoopState& loop() const;
  const Callable& callable() const;
  const std::shared_ptr<Object>& object() const { return object_; }
  int depth() const { return object_ == nullptr ? 0 : object_->depth(); }

 private:
  explicit Value(Kind kind) : kind_(kind) {}

  Kind kind_ = Kind::kMissing;
  union {
    std::int64_t integer;
    double real;
  } number_ = {0};
  std::shared_ptr<Object> object_;
};

struct String : Object {
  String(Meter* meter, std::string given, bool is_markup);
  const std::string text;  // valid UTF-8
  const bool markup;       // marked as safe: escapes what it is joined with
  const std::size_t n_chars;
  bool is_ascii() const { return n_chars == text.size(); }
};

struct Sequence : Object {
  Sequence(Meter* meter, std::vector<Value> given, bool group = false);
  const std::vector<Value> items;
  const bool is_group;  // of the filter groupby: a tuple whose items have names
};

/// Keys in the order of their first insertion; equal keys (1, 1.0 and True) are one.
class Dict : public Object {
 public:
  using Item = std::pair<Value, Value>;
  explicit Dict(Meter* meter);

  /// Only while the dict is being made, and for the attributes of namespaces.
  void Set(Meter& meter, Value key, Value value);
  void Clear() { items_.clear(), index_.clear(); }

  /// nullptr when missing; kType for a key that has no hash.
  const Value* Find(Meter& meter, const Value& key) const;
  const Value* Find(Meter& meter, std::string_view key) const;
  const std::vector<Item>& items() const { return items_; }

 private:
  const Value* FindHashed(Meter& meter, std::size_t hash, const Value& key) const;

  std::vector<Item> items_;
  std::unordered_multimap<std::size_t, std::uint32_t> index_;
};

struct Range : Object {
  Range(Meter* meter, std::int64_t first, std::int64_t end, std::int64_t by, std::int64_t n)
      : Object(meter, sizeof(Range), 1), start(first), stop(end), step(by), n_items(n) {}
  const std::int64_t start, stop, step, n_items;
};

struct View : Object {
  enum class Part { kKeys, kValues, kItems };
  View(Meter* meter, Value of, Part which)
      : Object(meter, sizeof(View), of.depth() + 1), dict(std::move(of)), part(which) {}
  const Value dict;
  const Part part;
};

struct Iterator : Object {
  using Next = std::function<bool(Value*)>;
  /// `depth`: of what the function holds. Chains of iterators count eightfold, as each one calls
  /// the next.
  Iterator(Meter* meter, const char* type_name, int depth, Next function)
      : Object(meter, 160, depth + 8), type(type_name), next(std::move(function)) {}
  const char* const type;
  const Next next;
};

struct Namespace : Object {
  explicit Namespace(Meter* meter) : Object(meter, sizeof(Namespace), 1), attributes(meter) {}
  Dict attributes;
};

Value MakeString(Meter& meter, std::string text, bool markup = false);
Value MakeList(Meter& meter, std::vector<Value> items);
Value MakeTuple(Meter& meter, std::vector<Value> items);
Value MakeDict(std::shared_ptr<Dict> dict);
Value MakeIterator(Meter& meter, const char* type, int depth, Iterator::Next next);

/// "str", "dict", "NoneType": Python's name of the type.
std::string TypeName(const Value& value);
/// For "'dict object' has no attribute 'x'".
std::string DescribeType(const Value& value);

bool IsTrue(const Value& value);
bool Equal(Meter& meter, const Value& a, const Value& b);
/// Whether a < b, as Python orders them; kType when it does not.
bool Less(Meter& meter, const Value& a, const Value& b);
bool LessOrEqual(Meter& meter, const Value& a, const Value& b);
std::size_t Hash(Meter& meter, const Value& value);

/// str() and repr().
void AppendStr(Meter& meter, const Value& value, std::string& out);
void AppendRepr(Meter& meter, const Value& value, std::string& out);
std::string ToStr(Meter& meter, const Value& value);
std::string ToRepr(Meter& meter, const Value& value);

/// len(); -1 where Python has none.
std::int64_t LengthOf(const Value& value);

/// for x in value; kType when the value is not iterable.
class Iteration {
 public:
  Iteration(Meter& meter, Value iterable);
  bool Next(Value* item);

 private:
  Meter& meter_;
  Value iterable_;
  std::size_t position_ = 0;  // item, or byte of a string
};

bool IsIterable(const Value& value);
std::vector<Value> ToVector(Meter& meter, const Value& iterable);

/// Fails with UndefinedError (or SecurityError) and the value's own sentence.
[[noreturn]] void FailUndefined(const Value& value);

}  // namespace larder::jinja
