// As jinja2's LoopContext.
#include "text/jinja_loop.h"

#include <fmt/format.h>

namespace larder::jinja {

LoopState::LoopState(Meter& meter, const Value& iterable, int depth0, Recurse recurse)
    : Object(&meter, 400, iterable.depth() + 1),
      meter_(meter),
      iterable_(iterable),
      iteration_(meter, iterable),
      depth0_(depth0),
      recurse_(std::move(recurse)) {}

bool LoopState::Peek() {
  if (!after_.IsMissing()) return true;
  if (!reads_rest_) return iteration_.Next(&after_);
  if (rest_position_ >= rest_.size()) return false;
  after_ = rest_[rest_position_++];
  return true;
}

bool LoopState::Advance() {
  if (!Peek()) return false;
  ++index0_;
  before_ = std::move(current_);
  current_ = std::move(after_);
  after_ = Value();
  return true;
}

std::int64_t LoopState::Length() {
  if (length_ >= 0) return length_;
  length_ = iterable_.is(Kind::kIterator) ? -1 : LengthOf(iterable_);
  if (length_ >= 0) return length_;
  Value item;
  while (iteration_.Next(&item)) {
    Grow(sizeof(Value), item.depth() + 1);
    rest_.push_back(std::move(item));
  }
  reads_rest_ = true;
  length_ = static_cast<std::int64_t>(rest_.size()) + index0_ + 1 + (after_.IsMissing() ? 0 : 1);
  return length_;
}

bool LoopState::IsChanged(const std::vector<Value>& values) {
  bool same = has_changed_ && values.size() == last_changed_.size();
  for (std::size_t i = 0; same && i < values.size(); ++i) {
    same = Equal(meter_, values[i], last_changed_[i]);
  }
  has_changed_ = true;
  if (same) return false;
  int depth = 0;
  for (const Value& value : values) depth = std::max(depth, value.depth());
  Grow(0, depth + 1);
  last_changed_ = values;
  return true;
}

Value LoopState::Attribute(const Value& self, std::string_view name) {
  if (name == "index") return Value::Int(index0_ + 1);
  if (name == "index0") return Value::Int(index0_);
  if (name == "first") return Value::Bool(index0_ == 0);
  if (name == "last") return Value::Bool(!Peek());
  if (name == "length") return Value::Int(Length());
  if (name == "revindex") return Value::Int(Length() - index0_);
  if (name == "revindex0") return Value::Int(Length() - index0_ - 1);
  if (name == "depth") return Value::Int(depth0_ + 1);
  if (name == "depth0") return Value::Int(depth0_);
  if (name == "previtem") {
    return index0_ == 0 ? Value::Undefined(&meter_, "there is no previous item") : before_;
  }
  if (name == "nextitem") {
    return Peek() ? after_ : Value::Undefined(&meter_, "there is no next item");
  }
  if (name == "cycle") {
    return MakeFunction(meter_, "cycle", [self](Interpreter&, Arguments& arguments) {
      if (arguments.positional.empty()) Fail(Fault::kType, "no items for cycling given");
      const auto n = static_cast<std::int64_t>(arguments.positional.size());
      return arguments.positional[static_cast<std::size_t>(self.loop().index0() % n)];
    });
  }
  if (name == "changed") {
    return MakeFunction(meter_, "changed", [self](Interpreter&, Arguments& arguments) {
      return Value::Bool(self.loop().IsChanged(arguments.positional));
    });
  }
  return Value();
}

Value LoopState::Call(Interpreter& interpreter, const Arguments& arguments) {
  if (recurse_ == nullptr) {
    Fail(Fault::kType, "the loop must have the 'recursive' marker to be called recursively");
  }
  const Value iterable = BindArguments("loop", "iterable", 1, arguments)[0];
  return recurse_(interpreter, iterable, depth0_ + 1);
}

}  // namespace larder::jinja
