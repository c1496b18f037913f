// The parts that JSON grammars are made of: blanks, strings, numbers, objects, arrays, fixed
// values. A JsonGrammar owns the builder; parts that are alike are made once. One thread.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "sample/decimal.h"
#include "sample/grammar.h"
#include "text/json_value.h"

namespace larder {

/// Blanks in a row after a line break, and there is one line break at most.
constexpr std::size_t kMaxIndent = 32;

struct ObjectShape {
  struct Property {
    std::string name;  // UTF-8
    bool required = false;
    RuleId value = 0;
  };
  std::vector<Property> properties;  // written in this order
  std::optional<RuleId> others;      // values of further names, behind them; absent: none
};

struct ArrayShape {
  std::vector<RuleId> first;   // the values at the beginning
  std::optional<RuleId> rest;  // those behind them; absent: none
  std::uint32_t min_items = 0;
  std::uint32_t max_items = kUnlimited;
};

class JsonGrammar {
 public:
  GrammarBuilder& builder() { return builder_; }

  /// Between brackets or commas and what is beside them: nothing, a space, or a line break with up
  /// to kMaxIndent spaces or tabs.
  RuleId Blanks();
  /// After a colon: nothing or a space.
  RuleId Gap();
  RuleId String(std::uint32_t min_chars, std::uint32_t max_chars);
  RuleId Number(const NumberRange& range, bool integer);
  RuleId AnyValue();
  RuleId AnyObject();

  /// Each adds one kind of value between two nodes.
  void AddObject(NodeId from, const ObjectShape& shape, NodeId to);
  void AddArray(NodeId from, const ArrayShape& shape, NodeId to);
  /// One of `values`, spelled with JSON's necessary escapes only.
  void AddValues(NodeId from, const std::vector<const JsonValue*>& values, NodeId to);

 private:
  struct FreeKeyNodes {
    NodeId body;  // in a name that can no longer be one of those taken
    NodeId wide;  // reads any character beyond ASCII, then `body`
    NodeId end;   // behind the closing quotation mark
  };

  RuleId FreeKey(const std::vector<std::string>& taken);
  void AddFreeKey(NodeId node, const std::vector<std::u32string>& taken, std::size_t depth,
                  const FreeKeyNodes& nodes);
  NodeId AddMember(NodeId after_key, RuleId value);
  void AddValue(NodeId from, const JsonValue& value, NodeId to);

  GrammarBuilder builder_;
  std::optional<RuleId> blanks_;
  std::optional<RuleId> gap_;
  std::optional<RuleId> any_value_;
  std::optional<RuleId> any_object_;
  std::map<std::pair<std::uint32_t, std::uint32_t>, RuleId> strings_;
  std::map<std::string, RuleId> numbers_;
};

/// Any JSON object, or any JSON value.
Grammar AnyObjectGrammar();
Grammar AnyValueGrammar();

}  // namespace larder
