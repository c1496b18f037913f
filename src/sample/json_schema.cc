// A schema becomes a list of alternatives, each a list of schemas that must hold together ("allOf",
// "$ref" and what stands beside them); the value's rule is the sum of the alternatives. What
// belongs to a part of a value (a property, an item) is again a list of schemas that must hold
// together, and each such list is compiled once: so recursion ends.
#include "sample/json_schema.h"

#include <algorithm>
#include <deque>
#include <map>
#include <set>

#include "sample/json_match.h"

namespace larder {

namespace {

constexpr std::size_t kMaxAlternatives = 512;
constexpr std::size_t kMaxReferences = 200;  // one through the other, without a value between
constexpr std::size_t kMaxWork = 300000;     // schemas looked at

using Schemas = std::vector<const JsonValue*>;
using Properties = std::map<std::string_view, const JsonValue*>;

class SchemaCompiler {
 public:
  SchemaCompiler(JsonGrammar* json, const JsonValue& root, UnheldWords unheld)
      : json_(*json), builder_(json->builder()), root_(root), unheld_(unheld) {}

  Result<RuleId> Compile(const JsonValue& schema) {
    paths_[&schema] = "#";
    const RuleId rule = RuleFor({&schema});
    while (!queue_.empty()) {
      const Schemas schemas = queue_.front();
      queue_.pop_front();
      LARDER_RETURN_IF_ERROR(CompileRule(rules_.at(schemas), schemas));
      if (!builder_.fits()) return SchemaTooLarge();
    }
    return rule;
  }

 private:
  RuleId RuleFor(const Schemas& schemas) {
    if (schemas.empty()) return json_.AnyValue();
    const auto [made, is_new] = rules_.try_emplace(schemas, RuleId{0});
    if (is_new) {
      made->second = builder_.AddRule();
      queue_.push_back(schemas);
    }
    return made->second;
  }

  // The part `name` of `schema`, with its path for messages.
  const JsonValue* Part(const JsonValue& schema, std::string_view name) {
    const JsonValue* part = schema.Find(name);
    if (part != nullptr) paths_.try_emplace(part, paths_[&schema] + "/" + std::string(name));
    return part;
  }

  const JsonValue* Item(const JsonValue& list, std::size_t index) {
    const JsonValue* item = &list.items[index];
    paths_.try_emplace(item, fmt::format("{}/{}", paths_[&list], index));
    return item;
  }

  static void Append(Schemas* to, const Schemas& from) {
    for (const JsonValue* one : from) {
      if (std::find(to->begin(), to->end(), one) == to->end()) to->push_back(one);
    }
  }

  Result<std::vector<Schemas>> AllTogether(const std::vector<Schemas>& left,
                                           const std::vector<Schemas>& right) {
    if (left.size() * right.size() > kMaxAlternatives) return TooManyAlternatives();
    std::vector<Schemas> both;
    for (const Schemas& a : left) {
      for (const Schemas& b : right) {
        both.push_back(a);
        Append(&both.back(), b);
      }
    }
    return both;
  }

  static Status TooManyAlternatives() {
    return InvalidArgument(
        "the schema combines more than {} alternatives in one place; use fewer anyOf and oneOf",
        kMaxAlternatives);
  }

  // The lists of schemas, one of which a value must satisfy as a whole; none for `false`.
  Result<std::vector<Schemas>> Alternatives(const JsonValue& schema) {
    if (schema.is_bool()) return std::vector<Schemas>(schema.boolean ? 1 : 0);
    const std::string path = paths_[&schema];
    if (!schema.is_object()) {
      return InvalidArgument(
          "the schema has {} at {} where a schema belongs: an object, true or "
          "false",
          JsonKindName(schema.kind), path);
    }
    if (++work_ > kMaxWork) return SchemaTooLarge();
    if (std::find(open_.begin(), open_.end(), &schema) != open_.end()) {
      return InvalidArgument("the schema at {} refers to itself without a value in between", path);
    }
    if (open_.size() >= kMaxReferences) {
      return InvalidArgument("the schema at {} is reached through more than {} others", path,
                             kMaxReferences);
    }
    open_.push_back(&schema);
    Result<std::vector<Schemas>> found = Expand(schema, path);
    open_.pop_back();
    return found;
  }

  Result<std::vector<Schemas>> Expand(const JsonValue& schema, const std::string& path) {
    LARDER_RETURN_IF_ERROR(SchemaLimits().Add(schema, path, unheld_));
    std::vector<Schemas> found = {{&schema}};
    if (const JsonValue* reference = Part(schema, "$ref")) {
      const JsonValue* target = ResolveReference(root_, reference->text);
      if (target == nullptr) {
        return InvalidArgument(
            "the schema's \"$ref\" at {} is {}, which is nowhere in it; references look like "
            "\"#/$defs/name\"",
            path, JsonQuoted(std::string_view(reference->text).substr(0, 200)));
      }
      paths_.try_emplace(target, reference->text);
      LARDER_ASSIGN_OR_RETURN(const std::vector<Schemas> more, Alternatives(*target));
      LARDER_ASSIGN_OR_RETURN(found, AllTogether(found, more));
    }
    if (const JsonValue* all = Part(schema, "allOf")) {
      for (std::size_t i = 0; i < all->items.size(); ++i) {
        LARDER_ASSIGN_OR_RETURN(const std::vector<Schemas> more, Alternatives(*Item(*all, i)));
        LARDER_ASSIGN_OR_RETURN(found, AllTogether(found, more));
      }
    }
    for (const char* name : {"anyOf", "oneOf"}) {
      const JsonValue* any = Part(schema, name);
      if (any == nullptr) continue;
      std::vector<Schemas> sum;
      for (std::size_t i = 0; i < any->items.size(); ++i) {
        LARDER_ASSIGN_OR_RETURN(const std::vector<Schemas> more, Alternatives(*Item(*any, i)));
        sum.insert(sum.end(), more.begin(), more.end());
        if (sum.size() > kMaxAlternatives) return TooManyAlternatives();
      }
      LARDER_ASSIGN_OR_RETURN(found, AllTogether(found, sum));
    }
    return found;
  }

  Status CompileRule(RuleId rule, const Schemas& schemas) {
    std::vector<Schemas> alternatives(1);
    for (const JsonValue* schema : schemas) {
      LARDER_ASSIGN_OR_RETURN(const std::vector<Schemas> more, Alternatives(*schema));
      LARDER_ASSIGN_OR_RETURN(alternatives, AllTogether(alternatives, more));
    }
    const NodeId end = builder_.AddNode();
    builder_.Accept(end);
    for (const Schemas& together : alternatives) {
      LARDER_RETURN_IF_ERROR(AddValue(builder_.RuleStart(rule), together, end));
    }
    return Status::Ok();
  }

  Status AddValue(NodeId start, const Schemas& together, NodeId end) {
    SchemaLimits limits;
    for (const JsonValue* schema : together) {
      LARDER_RETURN_IF_ERROR(limits.Add(*schema, paths_[schema], unheld_));
    }
    if (!limits.choices.empty()) {
      AddChoices(start, limits, together, end);
      return Status::Ok();
    }
    if (!limits.typed && limits.meant == 0) {
      builder_.AddCall(start, json_.AnyValue(), end);
      return Status::Ok();
    }
    const std::uint32_t kinds = limits.Kinds();
    if ((kinds & kNullKind) != 0) builder_.AddText(start, "null", end);
    if ((kinds & kBoolKind) != 0) builder_.AddTexts(start, {"true", "false"}, end);
    if ((kinds & (kIntegerKind | kFractionKind)) != 0) {
      builder_.AddCall(start, json_.Number(limits.numbers, (kinds & kFractionKind) == 0), end);
    }
    if ((kinds & kStringKind) != 0 && limits.min_chars <= limits.max_chars) {
      builder_.AddCall(start, json_.String(limits.min_chars, limits.max_chars), end);
    }
    if ((kinds & kArrayKind) != 0) LARDER_RETURN_IF_ERROR(AddArray(start, limits, together, end));
    if ((kinds & kObjectKind) != 0) {
      LARDER_RETURN_IF_ERROR(AddObject(start, limits, together, end));
    }
    return Status::Ok();
  }

  // The values of the first list that everything else allows.
  void AddChoices(NodeId start, const SchemaLimits& limits, const Schemas& together, NodeId end) {
    const JsonValue& first = *limits.choices[0];
    const bool is_list = std::any_of(together.begin(), together.end(), [&](const JsonValue* one) {
      return one->Find("enum") == &first;
    });
    std::vector<const JsonValue*> allowed;
    for (std::size_t i = 0; i < (is_list ? first.items.size() : 1); ++i) {
      const JsonValue* value = is_list ? &first.items[i] : &first;
      work_ += together.size();
      if (work_ > kMaxWork) return;
      if (std::all_of(together.begin(), together.end(), [&](const JsonValue* schema) {
            return JsonMatches(*value, *schema, root_);
          })) {
        allowed.push_back(value);
      }
    }
    json_.AddValues(start, allowed, end);
  }

  Status AddArray(NodeId start, const SchemaLimits& limits, const Schemas& together, NodeId end) {
    if (limits.unique_items && limits.max_items > 1 && unheld_ == UnheldWords::kRefused) {
      return Unsupported(
          "the schema uses \"uniqueItems\" at {}, which Larder does not support (an enum per item "
          "in prefixItems is one way to say it)",
          paths_[together[0]]);
    }
    ArrayShape shape;
    shape.min_items = limits.min_items;
    shape.max_items = limits.max_items;
    std::size_t n_first = 0;
    for (const JsonValue* schema : together) {
      const JsonValue* first = Part(*schema, "prefixItems");
      if (first != nullptr) n_first = std::max(n_first, first->items.size());
    }
    for (std::size_t i = 0; i <= n_first && i < limits.max_items; ++i) {
      Schemas item;
      for (const JsonValue* schema : together) {
        const JsonValue* first = Part(*schema, "prefixItems");
        const JsonValue* rest = Part(*schema, "items");
        const bool in_first = first != nullptr && i < first->items.size();
        if (in_first) Append(&item, {Item(*first, i)});
        if (!in_first && rest != nullptr) Append(&item, {rest});
      }
      const RuleId rule = RuleFor(item);
      i < n_first ? shape.first.push_back(rule) : static_cast<void>(shape.rest = rule);
    }
    json_.AddArray(start, shape, end);
    return Status::Ok();
  }

  // What `schema` says of names that it does not declare; where it speaks of patterns of names
  // too, which are not held: nothing.
  const JsonValue* OtherNames(const JsonValue& schema) {
    if (schema.Find("patternProperties") != nullptr) return nullptr;
    return Part(schema, "additionalProperties");
  }

  // Each schema's properties by name.
  std::vector<Properties> PropertiesOf(const Schemas& together) {
    std::vector<Properties> all;
    for (const JsonValue* schema : together) {
      Properties& own = all.emplace_back();
      const JsonValue* properties = Part(*schema, "properties");
      if (properties == nullptr) continue;
      const std::string path = paths_[properties] + "/";
      for (const auto& [name, declared] : properties->members) {
        paths_.try_emplace(&declared, path + name);
        own.emplace(name, &declared);
      }
    }
    return all;
  }

  // What the value under `name` must satisfy.
  Schemas Member(const Schemas& together, const std::vector<Properties>& properties,
                 const std::string& name) {
    Schemas member;
    for (std::size_t i = 0; i < together.size(); ++i) {
      const auto found = properties[i].find(name);
      const JsonValue* declared =
          found != properties[i].end() ? found->second : OtherNames(*together[i]);
      if (declared != nullptr) Append(&member, {declared});
    }
    return member;
  }

  // Further names: where a schema says so, or where none says anything about names.
  bool IsOpen(const Schemas& together, bool has_names) {
    bool asked = false;
    for (const JsonValue* schema : together) {
      asked = asked || schema->Find("patternProperties") != nullptr;
      const JsonValue* others = OtherNames(*schema);
      if (others == nullptr) continue;
      if (others->is_bool() && !others->boolean) return false;
      asked = true;
    }
    return asked || !has_names;
  }

  Status AddObject(NodeId start, const SchemaLimits& limits, const Schemas& together, NodeId end) {
    std::vector<std::string> names;
    std::set<std::string> seen;
    std::set<std::string> required;
    for (const JsonValue* schema : together) {
      const JsonValue* properties = Part(*schema, "properties");
      if (properties == nullptr) continue;
      for (const auto& [name, unused] : properties->members) {
        if (seen.insert(name).second) names.push_back(name);
      }
    }
    for (const JsonValue* schema : together) {
      const JsonValue* list = Part(*schema, "required");
      if (list == nullptr) continue;
      for (const JsonValue& name : list->items) {
        required.insert(name.text);
        if (seen.insert(name.text).second) names.push_back(name.text);
      }
    }
    const std::vector<Properties> properties = PropertiesOf(together);
    ObjectShape shape;
    for (const std::string& name : names) {
      if (++work_ > kMaxWork) return SchemaTooLarge();
      shape.properties.push_back(
          {name, required.count(name) != 0, RuleFor(Member(together, properties, name))});
    }
    if (IsOpen(together, !names.empty())) shape.others = RuleFor(Others(together));
    LARDER_RETURN_IF_ERROR(CheckMemberCount(limits, shape, required.size(), together));
    json_.AddObject(start, shape, end);
    return Status::Ok();
  }

  Schemas Others(const Schemas& together) {
    Schemas others;
    for (const JsonValue* schema : together) {
      const JsonValue* one = OtherNames(*schema);
      if (one != nullptr) Append(&others, {one});
    }
    return others;
  }

  // Members are not counted: the limits must hold by themselves.
  Status CheckMemberCount(const SchemaLimits& limits, const ObjectShape& shape,
                          std::size_t n_required, const Schemas& together) {
    const bool enough = n_required >= limits.min_members;
    const bool few = limits.max_members == kUnlimited ||
                     (!shape.others && shape.properties.size() <= limits.max_members);
    if ((enough && few) || unheld_ == UnheldWords::kPassedOver) return Status::Ok();
    return Unsupported(
        "the schema uses \"{}\" at {}, which Larder supports only where the {} keep it anyway",
        enough ? "maxProperties" : "minProperties", paths_[together[0]],
        enough ? "declared properties" : "required ones");
  }

  JsonGrammar& json_;
  GrammarBuilder& builder_;
  const JsonValue& root_;
  UnheldWords unheld_;
  std::map<Schemas, RuleId> rules_;
  std::deque<Schemas> queue_;
  std::map<const JsonValue*, std::string> paths_;
  Schemas open_;
  std::size_t work_ = 0;
};

}  // namespace

Status SchemaTooLarge() {
  return InvalidArgument("the schema is too large: its automaton would pass {} nodes",
                         kMaxGrammarNodes);
}

Result<RuleId> AddJsonSchema(JsonGrammar* json, const JsonValue& schema, const JsonValue& root,
                             UnheldWords unheld) {
  return SchemaCompiler(json, root, unheld).Compile(schema);
}

Result<RuleId> AddJsonSchema(JsonGrammar* json, std::string_view schema, std::string_view what) {
  JsonLimits limits;
  limits.max_bytes = kMaxSchemaBytes;
  LARDER_ASSIGN_OR_RETURN(const JsonValue root, ParseJsonValue(schema, what, limits));
  return AddJsonSchema(json, root, root);
}

Result<Grammar> CompileJsonSchema(std::string_view schema) {
  JsonGrammar json;
  LARDER_ASSIGN_OR_RETURN(const RuleId rule, AddJsonSchema(&json, schema));
  std::optional<Grammar> grammar = json.builder().Finish(rule);
  if (!grammar) {
    return InvalidArgument(
        "no JSON text satisfies the schema, or only one that nests deeper than {} levels",
        kMaxGrammarDepth);
  }
  return *std::move(grammar);
}

}  // namespace larder
