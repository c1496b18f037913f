// Built from the events of nlohmann's parser, which hands over numbers as they are written and
// recurses nowhere.
#include "text/json_value.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

namespace larder {

namespace {

using Json = nlohmann::json;

class TreeBuilder : public nlohmann::json_sax<Json> {
 public:
  TreeBuilder(std::string_view what, const JsonLimits& limits) : what_(what), limits_(limits) {}

  bool null() override { return Add(JsonValue::Kind::kNull) != nullptr; }
  bool boolean(bool value) override {
    JsonValue* added = Add(JsonValue::Kind::kBool);
    if (added != nullptr) added->boolean = value;
    return added != nullptr;
  }
  bool number_integer(number_integer_t value) override {
    return AddNumber(static_cast<double>(value), std::to_string(value), true);
  }
  bool number_unsigned(number_unsigned_t value) override {
    return AddNumber(static_cast<double>(value), std::to_string(value), true);
  }
  bool number_float(number_float_t value, const string_t& written) override {
    return AddNumber(value, written, written.find_first_of(".eE") == std::string::npos);
  }
  bool string(string_t& value) override {
    JsonValue* added = Add(JsonValue::Kind::kString);
    if (added != nullptr) added->text = std::move(value);
    return added != nullptr;
  }
  bool binary(binary_t&) override { return false; }
  bool start_object(std::size_t) override { return Open(JsonValue::Kind::kObject); }
  bool start_array(std::size_t) override { return Open(JsonValue::Kind::kArray); }
  bool key(string_t& value) override {
    if (!names_.back().insert(value).second) {
      return Refuse(fmt::format("{} has the name {} twice in one object", what_,
                                JsonQuoted(std::string_view(value).substr(0, 80))));
    }
    open_.back()->members.emplace_back(std::move(value), JsonValue());
    return true;
  }
  bool end_object() override { return Close(); }
  bool end_array() override { return Close(); }
  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception& error) override {
    // Overflowing numbers arrive here too.
    const bool range = error.id == 406;
    return Refuse(fmt::format("{} is no valid JSON: {} at byte {}", what_,
                              range ? "a number too large" : "it breaks", position));
  }

  Status status() const { return status_; }
  JsonValue TakeRoot() { return std::move(root_); }

 private:
  bool Refuse(std::string sentence) {
    if (status_.ok()) status_ = Status(StatusCode::kInvalidArgument, std::move(sentence));
    return false;
  }

  // Where the next value belongs; nullptr beyond the limit.
  JsonValue* Add(JsonValue::Kind kind) {
    if (++n_values_ > limits_.max_values) {
      Refuse(fmt::format("{} has more than {} values", what_, limits_.max_values));
      return nullptr;
    }
    JsonValue* place = &root_;
    if (!open_.empty() && open_.back()->is_array()) {
      place = &open_.back()->items.emplace_back();
    } else if (!open_.empty()) {
      place = &open_.back()->members.back().second;
    }
    place->kind = kind;
    return place;
  }

  bool AddNumber(double value, std::string written, bool integer) {
    JsonValue* added = Add(JsonValue::Kind::kNumber);
    if (added == nullptr) return false;
    added->number = value;
    added->text = std::move(written);
    added->integer = integer;
    return true;
  }

  bool Open(JsonValue::Kind kind) {
    if (open_.size() >= limits_.max_depth) {
      return Refuse(fmt::format("{} nests deeper than {} levels", what_, limits_.max_depth));
    }
    JsonValue* added = Add(kind);
    if (added == nullptr) return false;
    open_.push_back(added);
    names_.emplace_back();
    return true;
  }

  bool Close() {
    open_.pop_back();
    names_.pop_back();
    return true;
  }

  std::string what_;
  JsonLimits limits_;
  JsonValue root_;
  std::vector<JsonValue*> open_;  // a container does not move while it is the last of its parent
  std::vector<std::set<std::string>> names_;
  std::size_t n_values_ = 0;
  Status status_;
};

}  // namespace

JsonValue::JsonValue() = default;
JsonValue::~JsonValue() = default;
JsonValue::JsonValue(const JsonValue& other) = default;
JsonValue::JsonValue(JsonValue&& other) noexcept = default;
JsonValue& JsonValue::operator=(const JsonValue& other) = default;
JsonValue& JsonValue::operator=(JsonValue&& other) noexcept = default;

const JsonValue* JsonValue::Find(std::string_view name) const {
  for (const auto& member : members) {
    if (member.first == name) return &member.second;
  }
  return nullptr;
}

Result<JsonValue> ParseJsonValue(std::string_view text, std::string_view what,
                                 const JsonLimits& limits) {
  if (text.size() > limits.max_bytes) {
    return InvalidArgument("{} has {} bytes; {} are the limit", what, text.size(),
                           limits.max_bytes);
  }
  TreeBuilder builder(what, limits);
  bool done = false;
  try {
    done = Json::sax_parse(text.begin(), text.end(), &builder);
  } catch (const Json::exception& error) {
    return InvalidArgument("{} is no valid JSON: {}", what, error.what());
  }
  LARDER_RETURN_IF_ERROR(builder.status());
  if (!done) return InvalidArgument("{} is no valid JSON", what);
  return builder.TakeRoot();
}

std::string JsonQuoted(std::string_view text) {
  std::string quoted = "\"";
  for (const char c : text) {
    switch (c) {
      case '"':
        quoted += "\\\"";
        break;
      case '\\':
        quoted += "\\\\";
        break;
      case '\n':
        quoted += "\\n";
        break;
      case '\t':
        quoted += "\\t";
        break;
      case '\r':
        quoted += "\\r";
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) {
          quoted += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
        } else {
          quoted += c;
        }
    }
  }
  return quoted + '"';
}

bool JsonEqual(const JsonValue& a, const JsonValue& b) {
  if (a.kind != b.kind) return false;
  switch (a.kind) {
    case JsonValue::Kind::kNull:
      return true;
    case JsonValue::Kind::kBool:
      return a.boolean == b.boolean;
    case JsonValue::Kind::kNumber:
      return a.integer && b.integer ? a.text == b.text : a.number == b.number;
    case JsonValue::Kind::kString:
      return a.text == b.text;
    case JsonValue::Kind::kArray:
      return std::equal(a.items.begin(), a.items.end(), b.items.begin(), b.items.end(), JsonEqual);
    case JsonValue::Kind::kObject:
      return a.members.size() == b.members.size() &&
             std::all_of(a.members.begin(), a.members.end(), [&](const auto& member) {
               const JsonValue* other = b.Find(member.first);
               return other != nullptr && JsonEqual(member.second, *other);
             });
  }
  return false;
}

const char* JsonKindName(JsonValue::Kind kind) {
  switch (kind) {
    case JsonValue::Kind::kNull:
      return "null";
    case JsonValue::Kind::kBool:
      return "boolean";
    case JsonValue::Kind::kNumber:
      return "number";
    case JsonValue::Kind::kString:
      return "string";
    case JsonValue::Kind::kArray:
      return "array";
    case JsonValue::Kind::kObject:
      return "object";
  }
  return "";
}

}  // namespace larder
