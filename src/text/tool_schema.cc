// Reading types out of a JSON schema.
#include "text/tool_schema.h"

#include "text/output_stream.h"

namespace larder {

namespace {

constexpr int kMaxDepth = 16;

void AddNamed(const std::string& name, ValueTypes* types) {
  if (name == "string") types->string = true;
  if (name == "number" || name == "integer") types->number = true;
  if (name == "boolean") types->boolean = true;
  if (name == "null") types->null = true;
  if (name == "object") types->object = true;
  if (name == "array") types->array = true;
}

ValueTypes TypesOf(const OrderedJson& value) {
  ValueTypes types;
  types.string = value.is_string();
  types.number = value.is_number();
  types.boolean = value.is_boolean();
  types.null = value.is_null();
  types.object = value.is_object();
  types.array = value.is_array();
  return types;
}

void Join(const ValueTypes& other, ValueTypes* types) {
  types->string |= other.string;
  types->number |= other.number;
  types->boolean |= other.boolean;
  types->null |= other.null;
  types->object |= other.object;
  types->array |= other.array;
}

const OrderedJson* Resolve(const OrderedJson& root, const std::string& reference) {
  if (reference.empty() || reference[0] != '#') return nullptr;
  try {
    const OrderedJson::json_pointer pointer(reference.substr(1));
    return root.contains(pointer) ? &root.at(pointer) : nullptr;
  } catch (const nlohmann::json::exception&) {
    return nullptr;
  }
}

ValueTypes SchemaTypes(const OrderedJson& root, const OrderedJson& schema, int depth) {
  ValueTypes types;
  if (!schema.is_object() || depth > kMaxDepth) return types;
  if (const auto ref = schema.find("$ref"); ref != schema.end() && ref->is_string()) {
    const OrderedJson* target = Resolve(root, ref->get<std::string>());
    return target == nullptr ? types : SchemaTypes(root, *target, depth + 1);
  }
  if (const auto type = schema.find("type"); type != schema.end()) {
    if (type->is_string()) AddNamed(type->get<std::string>(), &types);
    if (type->is_array()) {
      for (const OrderedJson& one : *type) {
        if (one.is_string()) AddNamed(one.get<std::string>(), &types);
      }
    }
    const auto nullable = schema.find("nullable");
    if (nullable != schema.end() && *nullable == true && !types.any()) types.null = true;
    return types;
  }
  if (const auto one = schema.find("const"); one != schema.end()) return TypesOf(*one);
  if (const auto values = schema.find("enum"); values != schema.end() && values->is_array()) {
    for (const OrderedJson& one : *values) Join(TypesOf(one), &types);
    return types;
  }
  for (const char* key : {"anyOf", "oneOf", "allOf"}) {
    const auto parts = schema.find(key);
    if (parts == schema.end() || !parts->is_array()) continue;
    for (const OrderedJson& one : *parts) {
      const ValueTypes part = SchemaTypes(root, one, depth + 1);
      if (part.any() && key[1] != 'l') return part;  // one branch allows all
      Join(part, &types);
    }
    return types;
  }
  return types;
}

bool Allows(const ValueTypes& types, const OrderedJson& value) {
  if (value.is_string()) return false;  // a quoted text is a text with quotes
  if (types.any()) return true;
  if (value.is_number()) return types.number;
  if (value.is_boolean()) return types.boolean;
  if (value.is_null()) return types.null;
  return value.is_object() ? types.object : types.array;
}

}  // namespace

ValueTypes ParameterTypes(const OrderedJson& parameters, std::string_view name) {
  if (!parameters.is_object()) return {};
  const auto properties = parameters.find("properties");
  if (properties != parameters.end() && properties->is_object()) {
    const auto found = properties->find(std::string(name));
    if (found != properties->end()) return SchemaTypes(parameters, *found, 0);
  }
  if (parameters.contains("patternProperties")) return {};  // which may speak of this name
  const auto others = parameters.find("additionalProperties");
  return others == parameters.end() ? ValueTypes() : SchemaTypes(parameters, *others, 0);
}

std::string ValueToJson(std::string_view value, ValueTypes types) {
  if (types.only_string()) return JsonText(OrderedJson(std::string(value)));
  std::string_view bare = value.substr(CountBlanks(value));
  bare = bare.substr(0, bare.find_last_not_of(" \t\r\n") + 1);
  if (types.boolean && bare == "True") return "true";
  if (types.boolean && bare == "False") return "false";
  if (types.null && bare == "None") return "null";
  const Result<OrderedJson> json = ParseJson(bare, "a value");
  if (json.ok() && Allows(types, *json)) return std::string(bare);
  return JsonText(OrderedJson(std::string(value)));
}

ToolSchemas::ToolSchemas(const std::vector<ToolDefinition>& tools) {
  for (const ToolDefinition& tool : tools) {
    const Result<OrderedJson> parameters = ParseJson(tool.parameters_json, "a tool's parameters");
    tools_.push_back({tool.name, parameters.ok() ? *parameters : OrderedJson::object()});
  }
}

bool ToolSchemas::Has(std::string_view tool) const {
  for (const Tool& one : tools_) {
    if (one.name == tool) return true;
  }
  return false;
}

ValueTypes ToolSchemas::Types(std::string_view tool, std::string_view parameter) const {
  for (const Tool& one : tools_) {
    if (one.name == tool) return ParameterTypes(one.parameters, parameter);
  }
  return {};
}

}  // namespace larder
