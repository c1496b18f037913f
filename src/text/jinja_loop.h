// The `loop` of a for statement: where it stands, its neighbours, its length. Looks one item ahead
// when asked; the length of an iterator is found by reading it to its end, as in jinja2.
#pragma once

#include <functional>
#include <vector>

#include "text/jinja_callable.h"
#include "text/jinja_value.h"

namespace larder::jinja {

class LoopState : public Object {
 public:
  /// Renders the loop's body over another iterable, one level deeper.
  using Recurse = std::function<Value(Interpreter&, const Value& iterable, int depth0)>;

  LoopState(Meter& meter, const Value& iterable, int depth0, Recurse recurse);

  /// Steps to the next item; false after the last.
  bool Advance();
  const Value& current() const { return current_; }
  std::int64_t index0() const { return index0_; }
  std::int64_t Length();

  /// An attribute (index, last, nextitem, ...); missing when there is none of that name. `self` is
  /// the value that holds this state.
  Value Attribute(const Value& self, std::string_view name);
  /// loop(iterable)
  Value Call(Interpreter& interpreter, const Arguments& arguments);

 private:
  bool Peek();
  bool IsChanged(const std::vector<Value>& values);

  Meter& meter_;
  Value iterable_;
  Iteration iteration_;
  Value before_, current_, after_;  // after_ is missing until it was looked at
  std::vector<Value> rest_;         // what Length() read from an iterator
  std::size_t rest_position_ = 0;
  bool reads_rest_ = false;
  std::int64_t index0_ = -1;
  std::int64_t length_ = -1;
  int depth0_;
  Recurse recurse_;
  std::vector<Value> last_changed_;
  bool has_changed_ = false;
};

}  // namespace larder::jinja
