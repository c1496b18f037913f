// Typed access to a request's members.
#include "server/fields.h"

#include <cmath>

namespace larder {

namespace {

// Commas, brackets and colons bound the number of values; those inside texts do not count.
std::size_t CountValues(std::string_view text) {
  std::size_t count = 1;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '"') {
      for (++i; i < text.size() && text[i] != '"'; ++i) {
        if (text[i] == '\\') ++i;
      }
    } else if (c == ',' || c == '[' || c == '{') {
      ++count;
    }
  }
  return count;
}

std::string ShowNumber(double value) { return fmt::format("{:g}", value); }

}  // namespace

Fields::Fields(const OrderedJson& object, std::string where)
    : object_(object), where_(std::move(where)) {
  if (!object_.is_object()) {
    Refuse(ApiError{400, fmt::format("'{}' must be an object", where_), where_, "", 0});
  }
}

std::string Fields::Path(const std::string& name) const {
  return where_.empty() ? name : where_ + "." + name;
}

const OrderedJson* Fields::Find(const char* name) const {
  if (!object_.is_object()) return nullptr;
  const auto found = object_.find(name);
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

void Fields::Refuse(ApiError error) {
  if (!error_) error_ = std::move(error);
}

void Fields::Refuse(const std::string& name, const std::string& sentence) {
  Refuse(BadField(Path(name), sentence));
}

std::optional<bool> Fields::Bool(const char* name) {
  const OrderedJson* value = Find(name);
  if (value == nullptr) return std::nullopt;
  if (value->is_boolean()) return value->get<bool>();
  Refuse(name, "must be true or false");
  return std::nullopt;
}

std::optional<std::string> Fields::Text(const char* name) {
  const OrderedJson* value = Find(name);
  if (value == nullptr) return std::nullopt;
  if (value->is_string()) return value->get<std::string>();
  Refuse(name, "must be a text");
  return std::nullopt;
}

std::optional<std::int64_t> Fields::Integer(const char* name, std::int64_t least,
                                            std::int64_t most) {
  const OrderedJson* value = Find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number()) {
    Refuse(name, "must be a whole number");
    return std::nullopt;
  }
  const double rounded = value->get<double>();
  if (rounded != std::floor(rounded)) {
    Refuse(name, "must be a whole number");
    return std::nullopt;
  }
  // Numbers beyond 63 bits are compared before they are converted, which would change them.
  bool in_range = false;
  if (value->is_number_unsigned()) {
    in_range = most >= 0 && value->get<std::uint64_t>() <= static_cast<std::uint64_t>(most) &&
               value->get<std::int64_t>() >= least;
  } else if (value->is_number_integer()) {
    in_range = value->get<std::int64_t>() >= least && value->get<std::int64_t>() <= most;
  } else {
    in_range = std::abs(rounded) < 9e18 && rounded >= static_cast<double>(least) &&
               rounded <= static_cast<double>(most);
  }
  if (in_range) return value->get<std::int64_t>();
  Refuse(name, fmt::format("must be from {} to {}", least, most));
  return std::nullopt;
}

std::optional<double> Fields::Number(const char* name, double least, double most) {
  const OrderedJson* value = Find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number()) {
    Refuse(name, "must be a number");
    return std::nullopt;
  }
  const double number = value->get<double>();
  if (number >= least && number <= most) return number;
  Refuse(name, fmt::format("must be from {} to {}", ShowNumber(least), ShowNumber(most)));
  return std::nullopt;
}

const OrderedJson* Fields::List(const char* name) {
  const OrderedJson* value = Find(name);
  if (value == nullptr || value->is_array()) return value;
  Refuse(name, "must be a list");
  return nullptr;
}

const OrderedJson* Fields::Object(const char* name) {
  const OrderedJson* value = Find(name);
  if (value == nullptr || value->is_object()) return value;
  Refuse(name, "must be an object");
  return nullptr;
}

std::vector<std::string> Fields::Texts(const char* name) {
  const OrderedJson* value = Find(name);
  if (value == nullptr) return {};
  if (value->is_string()) return {value->get<std::string>()};
  std::vector<std::string> texts;
  if (value->is_array()) {
    for (const OrderedJson& one : *value) {
      if (!one.is_string()) break;
      texts.push_back(one.get<std::string>());
    }
    if (texts.size() == value->size()) return texts;
  }
  Refuse(name, "must be a text or a list of texts");
  return {};
}

Result<OrderedJson> ParseBody(std::string_view text) {
  if (CountValues(text) > kMaxJsonValues) {
    return InvalidArgument("the request has more than {} JSON values", kMaxJsonValues);
  }
  LARDER_ASSIGN_OR_RETURN(OrderedJson json, ParseJson(text, "the request's body"));
  if (!json.is_object()) return InvalidArgument("the request's body must be a JSON object");
  return json;
}

}  // namespace larder
