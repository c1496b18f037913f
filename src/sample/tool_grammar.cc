// The free text is an automaton that looks for the openings of calls, byte by byte; it is there
// that special tokens count as their text.
#include "sample/tool_grammar.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "sample/json_grammar.h"
#include "sample/json_match.h"
#include "sample/json_schema.h"

namespace larder {

namespace {

constexpr std::string_view kParameterEnd = "\n</parameter>";
constexpr std::uint32_t kMostTextChars = 1000;  // counted inside XML, where each is an automaton
// Names that readers of calls take, and of one that no schema names, in any characters, so many.
constexpr std::size_t kMostNameBytes = 255;
constexpr std::size_t kMostNameChars = 60;
constexpr int kMaxReferences = 200;

std::string_view Opening(CallFormat format) {
  switch (format) {
    case CallFormat::kDeepseek:
      return "<｜tool▁call▁begin｜>";
    case CallFormat::kHarmony:
      return "<|channel|>commentary to=functions.";
    default:
      return "<tool_call>";
  }
}

std::string_view Closing(CallFormat format) {
  return format == CallFormat::kDeepseek ? "<｜tool▁call▁end｜>" : "</tool_call>";
}

// The schema `true`.
JsonValue Anything() {
  JsonValue schema;
  schema.kind = JsonValue::Kind::kBool;
  schema.boolean = true;
  return schema;
}

class ToolCompiler {
 public:
  explicit ToolCompiler(CallFormat format) : format_(format), b_(json_.builder()) {}

  Result<Grammar> Compile(const std::vector<ToolDefinition>& tools, CallChoice choice,
                          std::string_view text_schema) {
    if (!CanHoldCalls(format_)) {
      return Unsupported("calls in the format {} cannot be held to a schema",
                         CallFormatName(format_));
    }
    if (tools.empty()) return InvalidArgument("there is no tool that a call could be held to");
    const RuleId root = b_.AddRule();
    const NodeId called = b_.AddNode();
    const NodeId behind = b_.AddNode();
    if (choice == CallChoice::kFree && text_schema.empty()) {
      AddTextAndCalls(b_.RuleStart(root), called, behind);
    } else {
      AddCallsOnly(b_.RuleStart(root), called, behind);
    }
    if (choice == CallChoice::kFree && !text_schema.empty()) {
      LARDER_RETURN_IF_ERROR(AddJsonText(b_.RuleStart(root), text_schema));
    }
    for (const ToolDefinition& tool : tools) {
      const Status added = AddCall(called, tool, behind);
      if (!added.ok()) return added.WithContext("tool " + tool.name);
      if (!b_.fits()) return SchemaTooLarge();
    }
    std::optional<Grammar> grammar = b_.Finish(root);
    if (!grammar) return InvalidArgument("no arguments satisfy the schema of any tool");
    return *std::move(grammar);
  }

 private:
  // Free text from `begin` on, and behind the calls.
  void AddTextAndCalls(NodeId begin, NodeId called, NodeId text) {
    if (format_ != CallFormat::kHarmony) {
      AddFreeText(text, {{std::string(Opening(format_)), called}});
      return b_.AddNothing(begin, text);
    }
    // A recipient counts in a header only, and an answer begins in one.
    const NodeId header = b_.AddNode();
    AddFreeText(text, {{"<|channel|>", header}, {"<|start|>", header}});
    AddFreeText(header, {{"to=functions.", called}, {"<|message|>", text}});
    b_.AddNothing(begin, header);
  }

  // One call at once, and behind each at most another.
  void AddCallsOnly(NodeId begin, NodeId called, NodeId behind) {
    b_.MarkFreeText(begin);
    b_.AddText(begin, Opening(format_), called);
    b_.Accept(behind);
    b_.MarkFreeText(behind);
    if (format_ == CallFormat::kHarmony) {
      const NodeId header = b_.Then(behind, "<|start|>assistant");
      b_.MarkFreeText(header);
      b_.AddText(header, Opening(format_), called);
      return;
    }
    b_.AddText(behind, Opening(format_), called);
    const NodeId next_line = b_.Then(behind, "\n");
    b_.Accept(next_line);
    b_.MarkFreeText(next_line);
    b_.AddText(next_line, Opening(format_), called);
    if (format_ != CallFormat::kDeepseek) return;
    const NodeId section = b_.Then(begin, "<｜tool▁calls▁begin｜>");
    b_.MarkFreeText(section);
    b_.AddText(section, Opening(format_), called);
    b_.Accept(b_.Then(behind, "<｜tool▁calls▁end｜>"));
  }

  // An answer in harmony says first that it is one.
  Status AddJsonText(NodeId begin, std::string_view schema) {
    LARDER_ASSIGN_OR_RETURN(const RuleId text, AddJsonSchema(&json_, schema));
    if (format_ == CallFormat::kHarmony) {
      const NodeId channel = b_.Then(begin, "<|channel|>final");
      b_.MarkFreeText(channel);
      begin = b_.Then(channel, "<|message|>");
    }
    b_.Accept(b_.ThenRule(begin, text));
    return Status::Ok();
  }

  // From `root` any bytes; behind each of the openings it goes on at that opening's node (Aho and
  // Corasick).
  void AddFreeText(NodeId root, const std::map<std::string, NodeId>& openings) {
    std::map<std::string, NodeId> nodes = {{"", root}};  // by what was read of an opening
    for (const auto& [opening, unused] : openings) {
      for (std::size_t n = 1; n < opening.size(); ++n) {
        if (nodes.count(opening.substr(0, n)) == 0) nodes[opening.substr(0, n)] = b_.AddNode();
      }
    }
    const auto after = [&](const std::string& read, unsigned byte) {
      std::string text = read + static_cast<char>(byte);
      for (;; text.erase(0, 1)) {
        if (const auto whole = openings.find(text); whole != openings.end()) return whole->second;
        if (const auto part = nodes.find(text); part != nodes.end()) return part->second;
      }
    };
    for (const auto& [read, node] : nodes) {
      b_.Accept(node);
      b_.MarkFreeText(node);
      for (unsigned byte = 0; byte < 256;) {
        const NodeId to = after(read, byte);
        unsigned last = byte;
        while (last < 255 && after(read, last + 1) == to) ++last;
        b_.AddBytes(node, static_cast<std::uint8_t>(byte), static_cast<std::uint8_t>(last), to);
        byte = last + 1;
      }
    }
  }

  // How much of `wanted` has been read when `byte` follows its first n_read bytes.
  static std::size_t AfterByte(std::string_view wanted, std::size_t n_read, unsigned byte) {
    std::string text(wanted.substr(0, n_read));
    text += static_cast<char>(byte);
    while (wanted.substr(0, text.size()) != text) text.erase(0, 1);
    return text.size();
  }

  Status AddCall(NodeId called, const ToolDefinition& tool, NodeId to) {
    JsonLimits limits;
    limits.max_bytes = kMaxSchemaBytes;
    LARDER_ASSIGN_OR_RETURN(
        JsonValue schema,
        ParseJsonValue(tool.parameters_json, "the schema of its parameters", limits));
    if (format_ == CallFormat::kQwenXml) return AddXmlCall(called, tool.name, schema, to);
    LARDER_ASSIGN_OR_RETURN(const RuleId arguments, Arguments(std::move(schema)));
    if (format_ == CallFormat::kHarmony) return AddHarmonyCall(called, tool.name, arguments, to);
    if (format_ == CallFormat::kDeepseek) return AddDeepseekCall(called, tool.name, arguments, to);
    const RuleId name = b_.AddRule();
    const NodeId name_end = b_.AddNode();
    b_.Accept(name_end);
    b_.AddText(b_.RuleStart(name), JsonQuoted(tool.name), name_end);
    ObjectShape call;
    call.properties = {{"name", true, name}, {"arguments", true, arguments}};
    const NodeId end = b_.AddNode();
    json_.AddObject(b_.ThenRule(called, json_.Blanks()), call, end);
    AddClosing(b_.ThenRule(end, json_.Blanks()), to);
    return Status::Ok();
  }

  // V3.1's way, and that of V3 and R1.
  Status AddDeepseekCall(NodeId called, const std::string& name, RuleId arguments, NodeId to) {
    const std::string separator = "<｜tool▁sep｜>";
    const NodeId named = b_.Then(called, name);
    b_.MarkFreeText(named);
    AddClosing(b_.ThenRule(b_.Then(named, separator), arguments), to);
    const NodeId kind = b_.Then(called, "function");
    b_.MarkFreeText(kind);
    const NodeId fenced = b_.Then(kind, separator + name + "\n```json\n");
    AddClosing(b_.Then(b_.ThenRule(fenced, arguments), "\n```"), to);
    return Status::Ok();
  }

  // What may stand between a recipient and its message: the channel, unless it stood before, and
  // that the arguments are JSON. The end token <|call|> ends the answer, <|end|> only this part.
  Status AddHarmonyCall(NodeId called, const std::string& name, RuleId arguments, NodeId to) {
    const NodeId named = b_.Then(called, name);
    const NodeId channel = b_.Then(named, "<|channel|>commentary");
    const NodeId spaced = b_.AddNode();
    const NodeId typed = b_.AddNode();
    const NodeId message = b_.AddNode();
    for (const NodeId node : {named, channel}) {
      b_.AddText(node, " ", spaced);
      b_.AddText(node, "<|constrain|>", typed);
      b_.AddNothing(node, message);
    }
    b_.AddText(spaced, "<|constrain|>", typed);
    b_.AddNothing(spaced, typed);
    b_.AddNothing(spaced, message);
    b_.AddText(typed, "json", message);
    const NodeId end = b_.ThenRule(b_.Then(message, "<|message|>"), arguments);
    b_.Accept(end);
    b_.AddText(end, "<|end|>", to);
    b_.AddText(end, "<|call|>", to);
    for (const NodeId node : {named, channel, spaced, message, end}) b_.MarkFreeText(node);
    return Status::Ok();
  }

  void AddClosing(NodeId from, NodeId to) {
    b_.MarkFreeText(from);
    b_.AddText(from, Closing(format_), to);
  }

  // Arguments are an object, whatever the schema forgot to say.
  Result<RuleId> Arguments(JsonValue schema) {
    if (schema.is_object() && schema.members.empty()) return json_.AnyObject();
    if (schema.is_object() && schema.Find("type") == nullptr) {
      JsonValue type;
      type.kind = JsonValue::Kind::kString;
      type.text = "object";
      schema.members.emplace_back("type", std::move(type));
    }
    return AddJsonSchema(&json_, schema, schema, UnheldWords::kPassedOver);
  }

  struct XmlParameters {
    std::vector<std::pair<std::string, const JsonValue*>> named;  // with their schemas
    std::set<std::string> required;
    const JsonValue* others = nullptr;  // the schema of further ones; nullptr: there are none
  };

  // Further names come where the schema says so, where it declares none, and where it speaks of
  // them in words that are not held.
  XmlParameters ParametersOf(const JsonValue& schema) const {
    const auto has = [&schema](const char* word) { return schema.Find(word) != nullptr; };
    const JsonValue* rest =
        has("patternProperties") ? nullptr : schema.Find("additionalProperties");
    const JsonValue* other = rest == nullptr ? &anything_ : rest;
    XmlParameters parameters;
    std::set<std::string> declared;
    if (const JsonValue* properties = schema.Find("properties")) {
      for (const auto& [key, value] : properties->members) {
        parameters.named.emplace_back(key, &value);
        declared.insert(key);
      }
    }
    if (const JsonValue* list = schema.Find("required")) {
      for (const JsonValue& one : list->items) {
        if (!one.is_string()) continue;
        parameters.required.insert(one.text);
        if (declared.insert(one.text).second) parameters.named.emplace_back(one.text, other);
      }
    }
    const bool more = has("patternProperties") || has("anyOf") || has("oneOf") || has("allOf");
    const bool closed = rest != nullptr && rest->is_bool() && !rest->boolean;
    if (!closed && (rest != nullptr || more || declared.empty())) parameters.others = other;
    return parameters;
  }

  // Declared parameters come in the schema's order, required ones that are not declared behind
  // them, others last.
  Status AddXmlCall(NodeId called, const std::string& name, const JsonValue& root, NodeId to) {
    const JsonValue* schema = Target(root, root);
    if (schema == nullptr || (!schema->is_object() && !schema->is_bool())) {
      return InvalidArgument("the schema of its parameters is no object");
    }
    const XmlParameters parameters = ParametersOf(*schema);
    NodeId node = b_.Then(b_.ThenRule(called, json_.Blanks()), "<function=" + name + ">\n");
    for (const auto& [key, value] : parameters.named) {
      const bool is_required = parameters.required.count(key) != 0;
      if (!IsName(key) && is_required) {
        return Unsupported("the schema of its parameters requires a name that XML cannot have");
      }
      if (!IsName(key)) continue;
      const NodeId behind = b_.AddNode();
      const NodeId begun = b_.Then(node, "<parameter=" + key + ">\n");
      const NodeId end = b_.AddNode();
      LARDER_RETURN_IF_ERROR(AddParameter(begun, *value, root, end));
      b_.AddText(end, std::string(kParameterEnd) + "\n", behind);
      if (!is_required) b_.AddNothing(node, behind);
      node = behind;
    }
    if (parameters.others != nullptr) {
      const NodeId begun = b_.AddNode();
      const NodeId end = b_.AddNode();
      AddOtherName(b_.Then(node, "<parameter="), parameters, begun);
      LARDER_RETURN_IF_ERROR(AddParameter(b_.Then(begun, ">\n"), *parameters.others, root, end));
      b_.AddText(end, std::string(kParameterEnd) + "\n", node);
    }
    AddClosing(b_.Then(node, "</function>\n"), to);
    return Status::Ok();
  }

  // May this byte be a part of a parameter's name?
  static bool InName(unsigned char byte) { return byte >= 0x20 && byte != '>'; }

  // Is it a name that readers of calls take?
  static bool IsName(const std::string& name) {
    return !name.empty() && name.size() <= kMostNameBytes &&
           std::all_of(name.begin(), name.end(), InName);
  }

  // From `root` any name but the declared ones (of those, that are ASCII); then `to`.
  void AddOtherName(NodeId root, const XmlParameters& parameters, NodeId to) {
    const NodeId other = b_.AddNode();  // in a name that is none of them any more
    b_.AddCall(other, RestOfName(), to);
    std::map<NodeId, std::map<unsigned, NodeId>> next = {{root, {}}};
    std::set<NodeId> no_ends = {root};
    for (const auto& [name, unused] : parameters.named) {
      const auto is_ascii = [](unsigned char byte) { return byte < 0x80; };
      if (!IsName(name) || !std::all_of(name.begin(), name.end(), is_ascii)) continue;
      NodeId node = root;
      for (const unsigned char byte : name) {
        const auto [child, is_new] = next[node].try_emplace(byte, 0);
        if (is_new) child->second = b_.AddNode();
        node = child->second;
      }
      next.try_emplace(node);
      no_ends.insert(node);
    }
    for (const auto& [node, children] : next) {
      if (no_ends.count(node) == 0) b_.AddNothing(node, to);
      b_.AddCodePoints(node, 0x80, 0x10ffff, other);
      for (unsigned byte = 0x20; byte < 0x80;) {
        const auto child = children.lower_bound(byte);
        const unsigned stop = child == children.end() ? 0x80 : child->first;
        AddNameBytes(node, byte, stop, other);
        if (stop < 0x80) AddNameBytes(node, stop, stop + 1, child->second);
        byte = stop + 1;
      }
    }
  }

  // None to kMostNameChars characters of a name, in UTF-8.
  RuleId RestOfName() {
    if (rest_of_name_) return *rest_of_name_;
    rest_of_name_ = b_.AddRule();
    NodeId node = b_.RuleStart(*rest_of_name_);
    for (std::size_t count = 0; count < kMostNameChars; ++count) {
      b_.Accept(node);
      const NodeId next = b_.AddNode();
      AddNameBytes(node, 0x20, 0x80, next);
      b_.AddCodePoints(node, 0x80, 0x10ffff, next);
      node = next;
    }
    b_.Accept(node);
    return *rest_of_name_;
  }

  // From `low` to below `end`, without the bytes that are in no name.
  void AddNameBytes(NodeId from, unsigned low, unsigned end, NodeId to) {
    while (low < end) {
      unsigned stop = low;
      while (stop < end && InName(static_cast<unsigned char>(stop))) ++stop;
      if (low < stop) {
        b_.AddBytes(from, static_cast<std::uint8_t>(low), static_cast<std::uint8_t>(stop - 1), to);
      }
      low = stop + 1;
    }
  }

  // What a chain of references ends at; nullptr when it does not.
  static const JsonValue* Target(const JsonValue& schema, const JsonValue& root) {
    const JsonValue* at = &schema;
    for (int i = 0; i < kMaxReferences && at != nullptr; ++i) {
      const JsonValue* reference = at->Find("$ref");
      if (reference == nullptr) return at;
      at = ResolveReference(root, reference->text);
    }
    return nullptr;
  }

  // May a value be a string that no list of values limits?
  static bool MayBeText(const JsonValue& schema, const JsonValue& root, int depth = 0) {
    const JsonValue* at = Target(schema, root);
    if (at == nullptr || depth > 20) return false;
    if (at->is_bool()) return at->boolean;
    if (at->Find("enum") != nullptr || at->Find("const") != nullptr) return false;
    if (const JsonValue* type = at->Find("type")) {
      const auto is_string = [](const JsonValue& one) { return one.text == "string"; };
      return is_string(*type) || std::any_of(type->items.begin(), type->items.end(), is_string);
    }
    bool branches = false;
    for (const char* word : {"anyOf", "oneOf", "allOf"}) {
      const JsonValue* list = at->Find(word);
      if (list == nullptr) continue;
      branches = true;
      for (const JsonValue& one : list->items) {
        if (MayBeText(one, root, depth + 1)) return true;
      }
    }
    const bool structured = at->Find("properties") != nullptr || at->Find("items") != nullptr;
    return !branches && !structured;
  }

  Status AddParameter(NodeId from, const JsonValue& schema, const JsonValue& root, NodeId to) {
    if (MayBeText(schema, root)) {
      AddText(from, *Target(schema, root), to);
      return Status::Ok();
    }
    const JsonValue* at = Target(schema, root);
    const JsonValue* choices = at == nullptr ? nullptr : at->Find("enum");
    const bool strings = choices != nullptr && choices->is_array() &&
                         std::all_of(choices->items.begin(), choices->items.end(),
                                     [](const JsonValue& one) { return one.is_string(); });
    const JsonValue* constant = at == nullptr ? nullptr : at->Find("const");
    std::vector<std::string> texts;
    if (strings) {
      for (const JsonValue& one : choices->items) texts.push_back(one.text);
    } else if (constant != nullptr && constant->is_string()) {
      texts.push_back(constant->text);
    }
    texts.erase(std::remove_if(texts.begin(), texts.end(),
                               [](const std::string& text) {
                                 return text.find(kParameterEnd) != std::string::npos;
                               }),
                texts.end());
    if (!texts.empty()) {
      b_.AddTexts(from, texts, to);
      return Status::Ok();
    }
    LARDER_ASSIGN_OR_RETURN(const RuleId rule,
                            AddJsonSchema(&json_, schema, root, UnheldWords::kPassedOver));
    b_.AddCall(from, rule, to);
    return Status::Ok();
  }

  // Lengths beyond kMostTextChars are not held.
  void AddText(NodeId from, const JsonValue& schema, NodeId to) {
    const auto chars = [&schema](const char* name, std::uint32_t otherwise) {
      const JsonValue* word = schema.Find(name);
      return word == nullptr || !(word->number >= 0 && word->number <= kMostTextChars)
                 ? otherwise
                 : static_cast<std::uint32_t>(word->number);
    };
    b_.AddCall(from, PlainText(chars("minLength", 0), chars("maxLength", kUnlimited)), to);
  }

  // Characters that do not contain the end of a parameter, in UTF-8.
  RuleId PlainText(std::uint32_t min_chars, std::uint32_t max_chars) {
    const auto [made, is_new] = texts_.try_emplace({min_chars, max_chars}, RuleId{0});
    if (!is_new) return made->second;
    made->second = b_.AddRule();
    const bool counted = max_chars != kUnlimited;
    const std::uint32_t n_counts = (counted ? max_chars : min_chars) + 1;
    const std::size_t n_read = kParameterEnd.size();  // so much of it was read: 0 to n_read - 1
    std::vector<NodeId> nodes(n_counts * n_read);
    for (NodeId& node : nodes) node = b_.AddNode();
    for (std::uint32_t count = 0; count < n_counts && b_.fits(); ++count) {
      const std::uint32_t next = counted ? count + 1 : std::min(count + 1, min_chars);
      const NodeId wide = b_.AddNode();
      if (next < n_counts) b_.AddCodePoints(wide, 0x80, 0x10ffff, nodes[next * n_read]);
      for (std::size_t read = 0; read < n_read; ++read) {
        const NodeId node = nodes[count * n_read + read];
        if (count >= min_chars) b_.Accept(node);
        if (next >= n_counts) continue;
        b_.AddNothing(node, wide);
        AddAscii(node, read, &nodes[next * n_read]);
      }
    }
    b_.AddNothing(b_.RuleStart(made->second), nodes[0]);
    return made->second;
  }

  void AddAscii(NodeId node, std::size_t read, const NodeId* next) {
    for (unsigned byte = 0; byte < 0x80;) {
      const bool blank = byte == '\t' || byte == '\n' || byte == '\r';
      const std::size_t after = AfterByte(kParameterEnd, read, byte);
      unsigned last = byte;
      const auto same = [&](unsigned other) {
        return other < 0x80 && (other >= 0x20) == (byte >= 0x20) && other >= 0x20 &&
               AfterByte(kParameterEnd, read, other) == after;
      };
      while (same(last + 1)) ++last;
      if ((byte >= 0x20 || blank) && after < kParameterEnd.size()) {
        b_.AddBytes(node, static_cast<std::uint8_t>(byte), static_cast<std::uint8_t>(last),
                    next[after]);
      }
      byte = last + 1;
    }
  }

  CallFormat format_;
  const JsonValue anything_ = Anything();
  JsonGrammar json_;
  GrammarBuilder& b_;
  std::map<std::pair<std::uint32_t, std::uint32_t>, RuleId> texts_;
  std::optional<RuleId> rest_of_name_;
};

}  // namespace

Result<Grammar> CompileToolCalls(CallFormat format, const std::vector<ToolDefinition>& tools,
                                 CallChoice choice, std::string_view text_schema) {
  return ToolCompiler(format).Compile(tools, choice, text_schema);
}

bool CanHoldCalls(CallFormat format) {
  return format == CallFormat::kHermesJson || format == CallFormat::kQwenXml ||
         format == CallFormat::kDeepseek || format == CallFormat::kHarmony;
}

}  // namespace larder
