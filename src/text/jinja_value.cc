// Making values, asking them simple questions, walking over them.
#include "text/jinja_value.h"

#include <fmt/format.h>

#include <cmath>

#include "text/jinja_callable.h"
#include "text/jinja_loop.h"
#include "text/python_text.h"
#include "text/utf8.h"

namespace larder::jinja {
namespace {

constexpr std::size_t kIndexedItems = 8;  // smaller dicts are searched from the front

struct UndefinedHint : Object {
  UndefinedHint(Meter* meter, std::string hint_text, bool is_unsafe)
      : Object(meter, sizeof(UndefinedHint) + hint_text.size(), 0),
        hint(std::move(hint_text)),
        unsafe(is_unsafe) {}
  const std::string hint;
  const bool unsafe;
};

int DeepestOf(const std::vector<Value>& items) {
  int depth = 0;
  for (const Value& item : items) depth = std::max(depth, item.depth());
  return depth;
}

std::size_t HashDouble(double value) {
  constexpr double kLimit = 9.2e18;
  if (value == std::floor(value) && std::abs(value) < kLimit) {
    return std::hash<std::int64_t>()(static_cast<std::int64_t>(value));
  }
  return std::hash<double>()(value);
}

Value ViewItem(Meter& meter, const Dict::Item& item, View::Part part) {
  if (part == View::Part::kKeys) return item.first;
  if (part == View::Part::kValues) return item.second;
  return MakeTuple(meter, {item.first, item.second});
}

}  // namespace

Object::Object(Meter* meter, std::size_t n_bytes, int depth) : meter_(meter) {
  Grow(n_bytes, depth);
}

void Object::Grow(std::size_t n_bytes, int depth) {
  if (depth > kMaxValueDepth) {
    Fail(Fault::kLimit, fmt::format("values nest deeper than {} levels", kMaxValueDepth));
  }
  if (meter_ != nullptr) meter_->Hold(n_bytes);
  n_bytes_ += n_bytes;
  depth_ = std::max(depth_, depth);
}

Object::~Object() {
  if (meter_ != nullptr) meter_->Release(n_bytes_);
}

String::String(Meter* meter, std::string given, bool is_markup)
    : Object(meter, sizeof(String) + given.size(), 0),
      text(std::move(given)),
      markup(is_markup),
      n_chars(CountChars(text)) {}

Sequence::Sequence(Meter* meter, std::vector<Value> given, bool group)
    : Object(meter, sizeof(Sequence) + given.capacity() * sizeof(Value), DeepestOf(given) + 1),
      items(std::move(given)),
      is_group(group) {}

Value Value::Bool(bool value) {
  Value made(Kind::kBool);
  made.number_.integer = value ? 1 : 0;
  return made;
}

Value Value::Int(std::int64_t value) {
  Value made(Kind::kInt);
  made.number_.integer = value;
  return made;
}

Value Value::Float(double value) {
  Value made(Kind::kFloat);
  made.number_.real = value;
  return made;
}

Value Value::Constant(std::string text) {
  return Value(Kind::kString, std::make_shared<String>(nullptr, std::move(text), false));
}

Value Value::Undefined(Meter* meter, std::string hint, bool unsafe) {
  return Value(Kind::kUndefined, std::make_shared<UndefinedHint>(meter, std::move(hint), unsafe));
}

const String& Value::string() const { return static_cast<const String&>(*object_); }
const std::string& Value::text() const { return string().text; }
const std::vector<Value>& Value::items() const {
  return static_cast<const Sequence&>(*object_).items;
}
const Dict& Value::dict() const { return static_cast<const Dict&>(*object_); }
const Range& Value::range() const { return static_cast<const Range&>(*object_); }
const View& Value::view() const { return static_cast<const View&>(*object_); }
Iterator& Value::iterator() const { return static_cast<Iterator&>(*object_); }
Namespace& Value::space() const { return static_cast<Namespace&>(*object_); }
LoopState& Value::loop() const { return static_cast<LoopState&>(*object_); }
const Callable& Value::callable() const { return static_cast<const Callable&>(*object_); }

Dict::Dict(Meter* meter) : Object(meter, sizeof(Dict), 1) {}

void Dict::Set(Meter& meter, Value key, Value value) {
  const std::size_t hash = Hash(meter, key);
  Grow(0, std::max(key.depth(), value.depth()) + 1);
  if (const Value* found = FindHashed(meter, hash, key)) {
    const_cast<Value&>(*found) = std::move(value);
    return;
  }
  Grow(sizeof(Item) + 48, 0);
  items_.emplace_back(std::move(key), std::move(value));
  if (items_.size() < kIndexedItems) return;
  if (items_.size() > kIndexedItems) {
    index_.emplace(hash, static_cast<std::uint32_t>(items_.size() - 1));
    return;
  }
  for (std::uint32_t i = 0; i < items_.size(); ++i) index_.emplace(Hash(meter, items_[i].first), i);
}

const Value* Dict::FindHashed(Meter& meter, std::size_t hash, const Value& key) const {
  if (items_.size() < kIndexedItems) {
    for (const Item& item : items_) {
      if (Equal(meter, item.first, key)) return &item.second;
    }
    return nullptr;
  }
  const auto [begin, end] = index_.equal_range(hash);
  for (auto at = begin; at != end; ++at) {
    if (Equal(meter, items_[at->second].first, key)) return &items_[at->second].second;
  }
  return nullptr;
}

const Value* Dict::Find(Meter& meter, const Value& key) const {
  return FindHashed(meter, Hash(meter, key), key);
}

const Value* Dict::Find(Meter& meter, std::string_view key) const {
  const auto equals = [key](const Value& other) {
    return other.is(Kind::kString) && other.text() == key;
  };
  meter.Step();
  if (items_.size() < kIndexedItems) {
    for (const Item& item : items_) {
      if (equals(item.first)) return &item.second;
    }
    return nullptr;
  }
  const auto [begin, end] = index_.equal_range(std::hash<std::string_view>()(key));
  for (auto at = begin; at != end; ++at) {
    meter.Step();
    if (equals(items_[at->second].first)) return &items_[at->second].second;
  }
  return nullptr;
}

Value MakeString(Meter& meter, std::string text, bool markup) {
  meter.StepBytes(text.size());
  return Value(Kind::kString, std::make_shared<String>(&meter, std::move(text), markup));
}

Value MakeList(Meter& meter, std::vector<Value> items) {
  meter.Step(items.size());
  return Value(Kind::kList, std::make_shared<Sequence>(&meter, std::move(items)));
}

Value MakeTuple(Meter& meter, std::vector<Value> items) {
  meter.Step(items.size());
  return Value(Kind::kTuple, std::make_shared<Sequence>(&meter, std::move(items)));
}

Value MakeDict(std::shared_ptr<Dict> dict) { return Value(Kind::kDict, std::move(dict)); }

Value MakeIterator(Meter& meter, const char* type, int depth, Iterator::Next next) {
  return Value(Kind::kIterator, std::make_shared<Iterator>(&meter, type, depth, std::move(next)));
}

std::string TypeName(const Value& value) {
  switch (value.kind()) {
    case Kind::kMissing:
    case Kind::kUndefined:
      return "Undefined";
    case Kind::kNone:
      return "NoneType";
    case Kind::kBool:
      return "bool";
    case Kind::kInt:
      return "int";
    case Kind::kFloat:
      return "float";
    case Kind::kString:
      return value.string().markup ? "Markup" : "str";
    case Kind::kList:
      return "list";
    case Kind::kTuple:
      return "tuple";
    case Kind::kDict:
      return "dict";
    case Kind::kRange:
      return "range";
    case Kind::kView:
      return value.view().part == View::Part::kKeys     ? "dict_keys"
             : value.view().part == View::Part::kValues ? "dict_values"
                                                        : "dict_items";
    case Kind::kIterator:
      return value.iterator().type;
    case Kind::kNamespace:
      return "Namespace";
    case Kind::kLoop:
      return "LoopContext";
    case Kind::kCallable:
      return value.callable().type;
  }
  return "object";
}

std::string DescribeType(const Value& value) {
  if (value.is(Kind::kNone)) return "None";
  return TypeName(value) + " object";
}

bool IsTrue(const Value& value) {
  switch (value.kind()) {
    case Kind::kMissing:
    case Kind::kUndefined:
    case Kind::kNone:
      return false;
    case Kind::kBool:
    case Kind::kInt:
      return value.integer() != 0;
    case Kind::kFloat:
      return value.real() != 0;
    case Kind::kIterator:
    case Kind::kNamespace:
    case Kind::kCallable:
      return true;
    default:
      return LengthOf(value) != 0;
  }
}

std::size_t Hash(Meter& meter, const Value& value) {
  meter.Step();
  switch (value.kind()) {
    case Kind::kUndefined:
      return 1;
    case Kind::kNone:
      return 2;
    case Kind::kBool:
    case Kind::kInt:
      return std::hash<std::int64_t>()(value.integer());
    case Kind::kFloat:
      return HashDouble(value.real());
    case Kind::kString:
      meter.StepBytes(value.text().size());
      return std::hash<std::string_view>()(value.text());
    case Kind::kTuple: {
      std::size_t hash = value.items().size();
      for (const Value& item : value.items()) hash = hash * 1000003 ^ Hash(meter, item);
      return hash;
    }
    case Kind::kList:
    case Kind::kDict:
      Fail(Fault::kType, fmt::format("unhashable type: '{}'", TypeName(value)));
    case Kind::kView:
      if (value.view().part != View::Part::kValues) {
        Fail(Fault::kType, fmt::format("unhashable type: '{}'", TypeName(value)));
      }
      break;
    case Kind::kRange:
      return static_cast<std::size_t>(value.range().start * 31 + value.range().n_items);
    default:
      break;
  }
  return std::hash<const void*>()(value.object().get());
}

std::int64_t LengthOf(const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
      return 0;
    case Kind::kString:
      return static_cast<std::int64_t>(value.string().n_chars);
    case Kind::kList:
    case Kind::kTuple:
      return static_cast<std::int64_t>(value.items().size());
    case Kind::kDict:
      return static_cast<std::int64_t>(value.dict().items().size());
    case Kind::kRange:
      return value.range().n_items;
    case Kind::kView:
      return static_cast<std::int64_t>(value.view().dict.dict().items().size());
    case Kind::kLoop:
      return value.loop().Length();
    default:
      return -1;
  }
}

bool IsIterable(const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
    case Kind::kIterator:
    case Kind::kLoop:
      return true;
    default:
      return LengthOf(value) >= 0;
  }
}

Iteration::Iteration(Meter& meter, Value iterable) : meter_(meter), iterable_(std::move(iterable)) {
  if (!IsIterable(iterable_)) {
    Fail(Fault::kType, fmt::format("'{}' object is not iterable", TypeName(iterable_)));
  }
}

bool Iteration::Next(Value* item) {
  meter_.Step();
  switch (iterable_.kind()) {
    case Kind::kString: {
      const std::string& text = iterable_.text();
      if (position_ >= text.size()) return false;
      const std::size_t n_bytes = DecodeUtf8(text, position_).n_bytes;
      *item = MakeString(meter_, text.substr(position_, n_bytes));
      position_ += n_bytes;
      return true;
    }
    case Kind::kList:
    case Kind::kTuple:
      if (position_ >= iterable_.items().size()) return false;
      *item = iterable_.items()[position_++];
      return true;
    case Kind::kDict:
      if (position_ >= iterable_.dict().items().size()) return false;
      *item = iterable_.dict().items()[position_++].first;
      return true;
    case Kind::kView: {
      const auto& items = iterable_.view().dict.dict().items();
      if (position_ >= items.size()) return false;
      *item = ViewItem(meter_, items[position_++], iterable_.view().part);
      return true;
    }
    case Kind::kRange: {
      const Range& range = iterable_.range();
      if (position_ >= static_cast<std::size_t>(range.n_items)) return false;
      *item = Value::Int(range.start + static_cast<std::int64_t>(position_++) * range.step);
      return true;
    }
    case Kind::kIterator:
      return iterable_.iterator().next(item);
    case Kind::kLoop: {
      if (!iterable_.loop().Advance()) return false;
      *item = MakeTuple(meter_, {iterable_.loop().current(), iterable_});
      return true;
    }
    default:
      return false;
  }
}

std::vector<Value> ToVector(Meter& meter, const Value& iterable) {
  if (iterable.IsSequence()) {
    meter.Step(iterable.items().size());
    return iterable.items();
  }
  std::vector<Value> items;
  Iteration iteration(meter, iterable);
  Value item;
  while (iteration.Next(&item)) {
    items.push_back(std::move(item));
    // A vector under construction is not yet held by anything.
    if (items.size() % 4096 == 0) meter.Reserve(items.size() * sizeof(Value));
  }
  return items;
}

void FailUndefined(const Value& value) {
  const auto& hint = static_cast<const UndefinedHint&>(*value.object());
  Fail(hint.unsafe ? Fault::kSecurity : Fault::kUndefined, hint.hint);
}

}  // namespace larder::jinja
