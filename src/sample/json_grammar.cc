// Objects write their properties in the given order: a chain with one node per property for "this
// one or a later one", once for the first and once for those after a comma.
#include "sample/json_grammar.h"

#include <algorithm>
#include <set>

#include "sample/json_number.h"
#include "text/utf8.h"

namespace larder {

namespace {

constexpr std::uint32_t kLastCodePoint = 0x10ffff;

// The name up to the first character that would be escaped: a further name without escapes cannot
// go on like it from there.
std::u32string Unescaped(const std::string& name) {
  std::u32string unescaped;
  for (std::size_t i = 0; i < name.size();) {
    const Utf8Char c = DecodeUtf8(name, i);
    if (c.code_point < 0x20 || c.code_point == '"' || c.code_point == '\\') break;
    if (c.code_point == kInvalidCodePoint) break;
    unescaped.push_back(c.code_point);
    i += c.n_bytes;
  }
  // Its whole length is what makes it a name that is taken.
  return unescaped;
}

}  // namespace

RuleId JsonGrammar::Blanks() {
  if (blanks_) return *blanks_;
  blanks_ = builder_.AddRule();
  const NodeId start = builder_.RuleStart(*blanks_);
  const NodeId end = builder_.AddNode();
  builder_.Accept(start);
  builder_.Accept(end);
  builder_.AddText(start, " ", end);
  NodeId node = builder_.Then(start, "\n");
  for (std::size_t i = 0; i < kMaxIndent; ++i) {
    builder_.Accept(node);
    const NodeId next = builder_.AddNode();
    builder_.AddText(node, " ", next);
    builder_.AddText(node, "\t", next);
    node = next;
  }
  builder_.Accept(node);
  return *blanks_;
}

RuleId JsonGrammar::Gap() {
  if (gap_) return *gap_;
  gap_ = builder_.AddRule();
  const NodeId start = builder_.RuleStart(*gap_);
  builder_.Accept(start);
  builder_.Accept(builder_.Then(start, " "));
  return *gap_;
}

RuleId JsonGrammar::String(std::uint32_t min_chars, std::uint32_t max_chars) {
  const auto [made, is_new] = strings_.try_emplace({min_chars, max_chars}, RuleId{0});
  if (!is_new) return made->second;
  made->second = builder_.AddRule();
  const NodeId end = builder_.AddNode();
  builder_.Accept(end);
  builder_.AddText(builder_.RuleStart(made->second), "\"",
                   builder_.AddString(min_chars, max_chars, end));
  return made->second;
}

RuleId JsonGrammar::Number(const NumberRange& range, bool integer) {
  const auto [made, is_new] = numbers_.try_emplace((integer ? "i" : "n") + range.Key(), RuleId{0});
  if (!is_new) return made->second;
  made->second = builder_.AddRule();
  const NodeId start = builder_.RuleStart(made->second);
  const NodeId end = builder_.AddNode();
  builder_.Accept(end);
  if (!integer && range.IsEverything()) {
    AddAnyNumber(&builder_, start, end);
  } else {
    AddNumber(&builder_, start, range, integer, end);
  }
  return made->second;
}

RuleId JsonGrammar::AnyValue() {
  if (any_value_) return *any_value_;
  any_value_ = builder_.AddRule();
  const NodeId start = builder_.RuleStart(*any_value_);
  const NodeId end = builder_.AddNode();
  builder_.Accept(end);
  builder_.AddTexts(start, {"null", "true", "false"}, end);
  builder_.AddCall(start, Number(NumberRange(), false), end);
  builder_.AddCall(start, String(0, kUnlimited), end);
  builder_.AddCall(start, AnyObject(), end);
  ArrayShape array;
  array.rest = *any_value_;
  AddArray(start, array, end);
  return *any_value_;
}

RuleId JsonGrammar::AnyObject() {
  if (any_object_) return *any_object_;
  any_object_ = builder_.AddRule();
  ObjectShape object;
  object.others = AnyValue();
  const NodeId end = builder_.AddNode();
  builder_.Accept(end);
  AddObject(builder_.RuleStart(*any_object_), object, end);
  return *any_object_;
}

// A name in quotation marks that is none of `taken`.
RuleId JsonGrammar::FreeKey(const std::vector<std::string>& taken) {
  if (taken.empty()) return String(0, kUnlimited);
  std::set<std::u32string> names;
  for (const std::string& name : taken) {
    std::u32string unescaped = Unescaped(name);
    std::string again;
    for (const char32_t c : unescaped) AppendUtf8(c, again);
    // A mark behind the last character says that the name ends there.
    if (again == name) unescaped.push_back(0);
    names.insert(unescaped);
  }
  const RuleId rule = builder_.AddRule();
  const NodeId end = builder_.AddNode();
  builder_.Accept(end);
  const NodeId body = builder_.AddString(0, kUnlimited, end);
  const NodeId wide = builder_.AddNode();
  builder_.AddCodePoints(wide, 0x80, kLastCodePoint, body);
  AddFreeKey(builder_.Then(builder_.RuleStart(rule), "\""), {names.begin(), names.end()}, 0,
             {body, wide, end});
  return rule;
}

// `taken` share their first `depth` characters, which were read, unescaped, on the way to `node`.
void JsonGrammar::AddFreeKey(NodeId node, const std::vector<std::u32string>& taken,
                             std::size_t depth, const FreeKeyNodes& nodes) {
  std::map<std::uint32_t, std::vector<std::u32string>> longer;
  bool is_taken = false;
  for (const std::u32string& name : taken) {
    if (name.size() > depth && name[depth] == 0) is_taken = true;
    if (name.size() > depth && name[depth] != 0) longer[name[depth]].push_back(name);
  }
  if (!is_taken) builder_.AddText(node, "\"", nodes.end);
  std::set<std::uint32_t> not_free = {'"', '\\'};
  for (const auto& [character, names] : longer) {
    not_free.insert(character);
    if (!builder_.fits()) return;
    const NodeId next = builder_.AddNode();
    builder_.AddCodePoints(node, character, character, next);
    AddFreeKey(next, names, depth + 1, nodes);
  }
  // Most names are ASCII: then all other characters go one way, laid out once.
  const bool all_ascii = *not_free.rbegin() < 0x80;
  const std::uint32_t last = all_ascii ? 0x7f : kLastCodePoint;
  if (all_ascii) builder_.AddNothing(node, nodes.wide);
  std::uint32_t low = 0x20;
  for (const std::uint32_t character : not_free) {
    if (character > low) builder_.AddCodePoints(node, low, character - 1, nodes.body);
    low = character + 1;
  }
  if (low <= last) builder_.AddCodePoints(node, low, last, nodes.body);
}

// The colon and the value behind a name.
NodeId JsonGrammar::AddMember(NodeId after_key, RuleId value) {
  return builder_.ThenRule(builder_.ThenRule(builder_.Then(after_key, ":"), Gap()), value);
}

void JsonGrammar::AddObject(NodeId from, const ObjectShape& shape, NodeId to) {
  GrammarBuilder& b = builder_;
  const std::size_t n = shape.properties.size();
  std::vector<NodeId> first(n + 1);   // nothing written, property i or a later one may come
  std::vector<NodeId> next(n + 1);    // after a comma
  std::vector<NodeId> behind(n + 1);  // a member is written, property i or a later one may come
  for (std::size_t i = 0; i <= n; ++i) {
    first[i] = b.AddNode();
    next[i] = b.AddNode();
    behind[i] = b.AddNode();
  }
  const NodeId last = b.AddNode();
  b.AddText(b.ThenRule(last, Blanks()), "}", to);
  b.AddCall(b.Then(from, "{"), Blanks(), first[0]);
  std::vector<std::string> names;
  bool may_end = true;
  for (std::size_t i = n + 1; i-- > 0;) {
    if (i < n) {
      const ObjectShape::Property& property = shape.properties[i];
      names.push_back(property.name);
      const NodeId key = b.AddNode();
      b.AddNothing(first[i], key);
      b.AddNothing(next[i], key);
      b.AddNothing(AddMember(b.Then(key, JsonQuoted(property.name)), property.value),
                   behind[i + 1]);
      if (property.required) may_end = false;
      if (!property.required) b.AddNothing(first[i], first[i + 1]);
      if (!property.required) b.AddNothing(next[i], next[i + 1]);
    }
    if (may_end) b.AddNothing(behind[i], last);
    if (i < n || shape.others) b.AddCall(b.Then(behind[i], ","), Blanks(), next[i]);
  }
  b.AddText(first[n], "}", to);
  if (!shape.others) return;
  const NodeId key = b.AddNode();
  b.AddNothing(first[n], key);
  b.AddNothing(next[n], key);
  b.AddNothing(AddMember(b.ThenRule(key, FreeKey(names)), *shape.others), behind[n]);
}

void JsonGrammar::AddArray(NodeId from, const ArrayShape& shape, NodeId to) {
  GrammarBuilder& b = builder_;
  const NodeId last = b.AddNode();
  b.AddText(b.ThenRule(last, Blanks()), "]", to);
  const NodeId open = b.ThenRule(b.Then(from, "["), Blanks());
  if (shape.min_items == 0) b.AddText(open, "]", to);
  NodeId item = b.AddNode();
  b.AddNothing(open, item);
  for (std::uint32_t n_items = 0; n_items < shape.max_items && b.fits();) {
    const bool in_first = n_items < shape.first.size();
    if (!in_first && !shape.rest) return;
    const NodeId behind = b.ThenRule(item, in_first ? shape.first[n_items] : *shape.rest);
    ++n_items;
    if (n_items >= shape.min_items) b.AddNothing(behind, last);
    if (n_items == shape.max_items) return;
    const NodeId comma = b.Then(behind, ",");
    if (shape.max_items == kUnlimited && n_items > shape.first.size() &&
        n_items >= shape.min_items) {
      b.AddCall(comma, Blanks(), item);
      return;
    }
    item = b.ThenRule(comma, Blanks());
  }
}

void JsonGrammar::AddValues(NodeId from, const std::vector<const JsonValue*>& values, NodeId to) {
  std::vector<std::string> texts;
  for (const JsonValue* value : values) {
    switch (value->kind) {
      case JsonValue::Kind::kNull:
        texts.emplace_back("null");
        break;
      case JsonValue::Kind::kBool:
        texts.emplace_back(value->boolean ? "true" : "false");
        break;
      case JsonValue::Kind::kNumber:
        texts.push_back(value->text);
        break;
      case JsonValue::Kind::kString:
        texts.push_back(JsonQuoted(value->text));
        break;
      default:
        AddValue(from, *value, to);
    }
  }
  builder_.AddTexts(from, texts, to);
}

void JsonGrammar::AddValue(NodeId from, const JsonValue& value, NodeId to) {
  GrammarBuilder& b = builder_;
  const bool is_object = value.is_object();
  if (!is_object && !value.is_array()) {
    AddValues(from, {&value}, to);
    return;
  }
  const std::size_t n = is_object ? value.members.size() : value.items.size();
  NodeId node = b.Then(from, is_object ? "{" : "[");
  for (std::size_t i = 0; i < n && b.fits(); ++i) {
    if (i > 0) node = b.Then(node, ",");
    node = b.ThenRule(node, Blanks());
    if (is_object) {
      node = b.ThenRule(b.Then(node, JsonQuoted(value.members[i].first) + ":"), Gap());
    }
    const NodeId behind = b.AddNode();
    AddValue(node, is_object ? value.members[i].second : value.items[i], behind);
    node = behind;
  }
  if (n > 0) node = b.ThenRule(node, Blanks());
  b.AddText(node, is_object ? "}" : "]", to);
}

namespace {

Grammar Finished(JsonGrammar* json, RuleId root) {
  std::optional<Grammar> grammar = json->builder().Finish(root);
  LARDER_CHECK(grammar.has_value());
  return *std::move(grammar);
}

}  // namespace

Grammar AnyObjectGrammar() {
  JsonGrammar json;
  const RuleId root = json.AnyObject();
  return Finished(&json, root);
}

Grammar AnyValueGrammar() {
  JsonGrammar json;
  const RuleId root = json.AnyValue();
  return Finished(&json, root);
}

}  // namespace larder
