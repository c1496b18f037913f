// One table of names per kind of keyword.
#include "sample/schema_keywords.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <set>
#include <string_view>

namespace larder {

namespace {

constexpr std::uint32_t kMostCounted = 1000000;  // larger sizes are no limit in practice
constexpr std::size_t kMaxNameBytes = 512;

// Words about a schema that say nothing about values.
const std::set<std::string_view>& Annotations() {
  static const std::set<std::string_view> names = {
      "title",   "description", "default",    "example",          "examples",
      "$schema", "$comment",    "deprecated", "readOnly",         "writeOnly",
      "$defs",   "definitions", "$id",        "contentMediaType", "contentEncoding"};
  return names;
}

Status WrongType(const std::string& name, const std::string& path, std::string_view wanted) {
  return InvalidArgument("the schema's \"{}\" at {} must be {}", name, path, wanted);
}

std::uint32_t KindOf(const std::string& type) {
  if (type == "null") return kNullKind;
  if (type == "boolean") return kBoolKind;
  if (type == "integer") return kIntegerKind;
  if (type == "number") return kIntegerKind | kFractionKind;
  if (type == "string") return kStringKind;
  if (type == "array") return kArrayKind;
  return type == "object" ? kObjectKind : 0u;
}

Status CheckProperties(const JsonValue& word, const std::string& path) {
  if (!word.is_object()) return WrongType("properties", path, "an object of schemas");
  for (const auto& [name, schema] : word.members) {
    if (name.size() <= kMaxNameBytes) continue;
    return InvalidArgument("the schema has a property name of {} bytes at {}; {} are the limit",
                           name.size(), path, kMaxNameBytes);
  }
  return Status::Ok();
}

Status CheckRequired(const JsonValue& word, const std::string& path) {
  if (!word.is_array()) return WrongType("required", path, "a list of names");
  for (const JsonValue& name : word.items) {
    if (!name.is_string()) return WrongType("required", path, "a list of names");
    if (name.text.size() > kMaxNameBytes) {
      return InvalidArgument("the schema requires a name of {} bytes at {}; {} are the limit",
                             name.text.size(), path, kMaxNameBytes);
    }
  }
  return Status::Ok();
}

}  // namespace

Status SchemaLimits::Add(const JsonValue& schema, const std::string& path, UnheldWords unheld) {
  const std::uint32_t kinds_before = kinds;
  for (const auto& [name, word] : schema.members) {
    const Status added = AddKeyword(name, word, path);
    if (added.code() == StatusCode::kUnsupported && unheld == UnheldWords::kPassedOver) continue;
    LARDER_RETURN_IF_ERROR(added);
  }
  // OpenAPI's word, which schemas of tools have though JSON Schema does not.
  const JsonValue* nullable = schema.Find("nullable");
  const bool or_null = nullable != nullptr && nullable->is_bool() && nullable->boolean;
  if (or_null && unheld == UnheldWords::kPassedOver) kinds |= kinds_before & kNullKind;
  return Status::Ok();
}

std::uint32_t SchemaLimits::Kinds() const { return typed || meant == 0 ? kinds : kinds & meant; }

Status SchemaLimits::AddKeyword(const std::string& name, const JsonValue& word,
                                const std::string& path) {
  if (name.rfind("x-", 0) == 0) return Status::Ok();
  if (name == "$id" && path != "#") {
    return Unsupported("the schema uses \"$id\" at {}; Larder supports it at the root only", path);
  }
  if (Annotations().count(name) != 0) return Status::Ok();
  if (name == "type") return AddType(word, path);
  if (name == "$ref") {
    return word.is_string() ? Status::Ok() : WrongType(name, path, "a string");
  }
  if (name == "allOf" || name == "anyOf" || name == "oneOf" || name == "prefixItems") {
    if (name == "prefixItems") meant |= kArrayKind;
    return word.is_array() && !word.items.empty()
               ? Status::Ok()
               : WrongType(name, path, "a list of at least one schema");
  }
  if (name == "enum" && !word.is_array()) return WrongType(name, path, "a list of values");
  if (name == "enum" || name == "const") {
    choices.push_back(&word);
    return Status::Ok();
  }
  if (name == "items" || name == "uniqueItems") meant |= kArrayKind;
  if (name == "items") {
    return word.is_object() || word.is_bool()
               ? Status::Ok()
               : WrongType(name, path, "one schema (for a list of schemas use prefixItems)");
  }
  if (name == "uniqueItems") {
    if (!word.is_bool()) return WrongType(name, path, "true or false");
    unique_items = unique_items || word.boolean;
    return Status::Ok();
  }
  const bool of_objects =
      name == "properties" || name == "additionalProperties" || name == "required";
  if (of_objects) meant |= kObjectKind;
  if (name == "properties") return CheckProperties(word, path);
  if (name == "required") return CheckRequired(word, path);
  if (name == "additionalProperties") {
    return word.is_object() || word.is_bool() ? Status::Ok() : WrongType(name, path, "a schema");
  }
  if (name.rfind("min", 0) == 0 || name.rfind("max", 0) == 0 || name.rfind("exclusive", 0) == 0) {
    return AddSize(name, word, path);
  }
  return Unsupported("the schema uses \"{}\" at {}, which Larder does not support", name, path);
}

Status SchemaLimits::AddSize(const std::string& name, const JsonValue& word,
                             const std::string& path) {
  struct Size {
    std::string_view name;
    std::uint32_t kind;
    std::uint32_t* least;
    std::uint32_t* most;
  };
  const std::array<Size, 6> sizes = {{{"minLength", kStringKind, &min_chars, nullptr},
                                      {"maxLength", kStringKind, nullptr, &max_chars},
                                      {"minItems", kArrayKind, &min_items, nullptr},
                                      {"maxItems", kArrayKind, nullptr, &max_items},
                                      {"minProperties", kObjectKind, &min_members, nullptr},
                                      {"maxProperties", kObjectKind, nullptr, &max_members}}};
  const auto size = std::find_if(sizes.begin(), sizes.end(),
                                 [&name](const Size& one) { return one.name == name; });
  if (size == sizes.end()) return AddBound(name, word, path);
  if (!word.is_number() || word.number < 0 || word.number != std::floor(word.number)) {
    return WrongType(name, path, "a whole number from 0 upwards");
  }
  meant |= size->kind;
  const bool counted = word.number <= kMostCounted;
  if (size->least != nullptr && !counted) {
    return InvalidArgument("the schema's \"{}\" at {} is {}; {} is the limit", name, path,
                           word.text, kMostCounted);
  }
  const auto number = static_cast<std::uint32_t>(counted ? word.number : 0);
  if (size->least != nullptr) *size->least = std::max(*size->least, number);
  if (size->most != nullptr && counted) *size->most = std::min(*size->most, number);
  return Status::Ok();
}

Status SchemaLimits::AddBound(const std::string& name, const JsonValue& word,
                              const std::string& path) {
  const bool open = name == "exclusiveMinimum" || name == "exclusiveMaximum";
  const bool low = name == "minimum" || name == "exclusiveMinimum";
  if (!low && name != "maximum" && name != "exclusiveMaximum") {
    return Unsupported("the schema uses \"{}\" at {}, which Larder does not support", name, path);
  }
  if (!word.is_number()) return WrongType(name, path, "a number");
  meant |= kIntegerKind | kFractionKind;
  const Decimal bound = DecimalOf(word);
  low ? numbers.RaiseLow(bound, open) : numbers.LowerHigh(bound, open);
  return Status::Ok();
}

Status SchemaLimits::AddType(const JsonValue& word, const std::string& path) {
  std::uint32_t named = 0;
  const auto add = [&](const JsonValue& one) -> Status {
    const std::uint32_t kind = one.is_string() ? KindOf(one.text) : 0;
    if (kind == 0) {
      return WrongType("type", path,
                       "null, boolean, integer, number, string, array or object, or a list of "
                       "these");
    }
    named |= kind;
    return Status::Ok();
  };
  if (word.is_array()) {
    for (const JsonValue& one : word.items) LARDER_RETURN_IF_ERROR(add(one));
  } else {
    LARDER_RETURN_IF_ERROR(add(word));
  }
  kinds &= named;
  typed = true;
  return Status::Ok();
}

}  // namespace larder
