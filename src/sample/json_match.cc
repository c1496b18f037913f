// Keyword by keyword; each says nothing about values of another type.
#include "sample/json_match.h"

#include <algorithm>
#include <functional>

#include "sample/decimal.h"

namespace larder {

namespace {

constexpr int kMaxDepth = 400;

class Matcher {
 public:
  explicit Matcher(const JsonValue& root) : root_(root) {}

  bool Matches(const JsonValue& value, const JsonValue& schema) {
    if (schema.is_bool()) return schema.boolean;
    if (!schema.is_object() || depth_ >= kMaxDepth) return false;
    ++depth_;
    const bool all = std::all_of(
        schema.members.begin(), schema.members.end(),
        [&](const auto& member) { return Keyword(value, schema, member.first, member.second); });
    --depth_;
    return all;
  }

 private:
  bool Keyword(const JsonValue& value, const JsonValue& schema, const std::string& name,
               const JsonValue& word) {
    if (name == "$ref") {
      const JsonValue* target = ResolveReference(root_, word.text);
      return target != nullptr && Matches(value, *target);
    }
    if (name == "type") return OfType(value, word);
    if (name == "const") return JsonEqual(value, word);
    if (name == "enum") {
      return IsItemOf(value, word) ||
             std::any_of(word.items.begin(), word.items.end(),
                         [&](const JsonValue& one) { return JsonEqual(value, one); });
    }
    const auto branch = [&](const JsonValue& one) { return Matches(value, one); };
    if (name == "allOf") return std::all_of(word.items.begin(), word.items.end(), branch);
    if (name == "anyOf" || name == "oneOf") {
      return std::any_of(word.items.begin(), word.items.end(), branch);
    }
    switch (value.kind) {
      case JsonValue::Kind::kNumber:
        return NumberKeyword(value, name, word);
      case JsonValue::Kind::kString:
        return SizeKeyword(JsonStringLength(value.text), name, "minLength", "maxLength", word);
      case JsonValue::Kind::kArray:
        return ArrayKeyword(value, schema, name, word);
      case JsonValue::Kind::kObject:
        return ObjectKeyword(value, schema, name, word);
      default:
        return true;
    }
  }

  // By address: a long list's own values, when all of them are judged, are not searched for.
  static bool IsItemOf(const JsonValue& value, const JsonValue& list) {
    const JsonValue* first = list.items.data();
    const std::less<const JsonValue*> before;
    return !before(&value, first) && before(&value, first + list.items.size());
  }

  static bool OfType(const JsonValue& value, const JsonValue& type) {
    if (type.is_array()) {
      return std::any_of(type.items.begin(), type.items.end(),
                         [&](const JsonValue& one) { return OfType(value, one); });
    }
    if (type.text == "integer") return value.is_number() && DecimalOf(value).fraction.empty();
    return type.text == JsonKindName(value.kind);
  }

  static bool NumberKeyword(const JsonValue& value, const std::string& name,
                            const JsonValue& word) {
    const bool lower = name == "minimum" || name == "exclusiveMinimum";
    if (!lower && name != "maximum" && name != "exclusiveMaximum") return true;
    const int order = Compare(DecimalOf(value), DecimalOf(word));
    if (order == 0) return name == "minimum" || name == "maximum";
    return lower == (order > 0);
  }

  static bool SizeKeyword(std::size_t size, const std::string& name, std::string_view least,
                          std::string_view most, const JsonValue& word) {
    if (name == least) return static_cast<double>(size) >= word.number;
    if (name == most) return static_cast<double>(size) <= word.number;
    return true;
  }

  bool ArrayKeyword(const JsonValue& value, const JsonValue& schema, const std::string& name,
                    const JsonValue& word) {
    const std::vector<JsonValue>& items = value.items;
    if (name == "prefixItems") {
      for (std::size_t i = 0; i < std::min(items.size(), word.items.size()); ++i) {
        if (!Matches(items[i], word.items[i])) return false;
      }
      return true;
    }
    if (name == "items") {
      const JsonValue* first = schema.Find("prefixItems");
      for (std::size_t i = first == nullptr ? 0 : first->items.size(); i < items.size(); ++i) {
        if (!Matches(items[i], word)) return false;
      }
      return true;
    }
    if (name == "uniqueItems" && word.boolean) {
      for (std::size_t i = 0; i < items.size(); ++i) {
        for (std::size_t j = 0; j < i; ++j) {
          if (JsonEqual(items[i], items[j])) return false;
        }
      }
      return true;
    }
    return SizeKeyword(items.size(), name, "minItems", "maxItems", word);
  }

  bool ObjectKeyword(const JsonValue& value, const JsonValue& schema, const std::string& name,
                     const JsonValue& word) {
    if (name == "required") {
      return std::all_of(word.items.begin(), word.items.end(),
                         [&](const JsonValue& one) { return value.Find(one.text) != nullptr; });
    }
    // Patterns of names are not held; so what is said of the names beside them is not either.
    if (name == "additionalProperties" && schema.Find("patternProperties") != nullptr) return true;
    const JsonValue* properties = schema.Find("properties");
    for (const auto& [key, member] : value.members) {
      const JsonValue* declared = properties == nullptr ? nullptr : properties->Find(key);
      if (name == "properties" && declared != nullptr && !Matches(member, *declared)) return false;
      if (name == "additionalProperties" && declared == nullptr && !Matches(member, word)) {
        return false;
      }
    }
    return SizeKeyword(value.members.size(), name, "minProperties", "maxProperties", word);
  }

  const JsonValue& root_;
  int depth_ = 0;
};

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

std::string PercentDecoded(std::string_view text) {
  std::string decoded;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool whole = text[i] == '%' && i + 2 < text.size();
    const int high = whole ? HexDigit(text[i + 1]) : -1;
    const int low = whole ? HexDigit(text[i + 2]) : -1;
    decoded += high >= 0 && low >= 0 ? static_cast<char>(high * 16 + low) : text[i];
    if (high >= 0 && low >= 0) i += 2;
  }
  return decoded;
}

std::string PointerUnescaped(std::string_view part) {
  std::string name;
  for (std::size_t i = 0; i < part.size(); ++i) {
    const bool escape = part[i] == '~' && i + 1 < part.size();
    if (escape && (part[i + 1] == '0' || part[i + 1] == '1')) {
      name += part[++i] == '0' ? '~' : '/';
    } else {
      name += part[i];
    }
  }
  return name;
}

const JsonValue* Child(const JsonValue& value, const std::string& name) {
  if (!value.is_array()) return value.Find(name);
  std::size_t index = 0;
  for (const char c : name) {
    if (c < '0' || c > '9' || index > value.items.size()) return nullptr;
    index = index * 10 + static_cast<std::size_t>(c - '0');
  }
  return name.empty() || index >= value.items.size() ? nullptr : &value.items[index];
}

}  // namespace

const JsonValue* ResolveReference(const JsonValue& root, std::string_view reference) {
  if (reference.empty() || reference[0] != '#') return nullptr;
  const std::string pointer = PercentDecoded(reference.substr(1));
  if (!pointer.empty() && pointer[0] != '/') return nullptr;
  const JsonValue* at = &root;
  for (std::size_t i = 0; i < pointer.size() && at != nullptr;) {
    const std::size_t end = std::min(pointer.find('/', i + 1), pointer.size());
    at = Child(*at, PointerUnescaped(std::string_view(pointer).substr(i + 1, end - i - 1)));
    i = end;
  }
  return at;
}

bool JsonMatches(const JsonValue& value, const JsonValue& schema, const JsonValue& root) {
  return Matcher(root).Matches(value, schema);
}

std::size_t JsonStringLength(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
}

}  // namespace larder
