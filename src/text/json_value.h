// A JSON document as a plain tree that keeps what other trees lose: the order of members and the
// digits of numbers. Values are immutable by custom and own their children; any thread may read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"

namespace larder {

struct JsonValue {
  enum class Kind : std::uint8_t { kNull, kBool, kNumber, kString, kArray, kObject };
  Kind kind = Kind::kNull;
  bool boolean = false;
  bool integer = false;  // a number written without fraction and exponent
  double number = 0.0;   // rounded
  std::string text;      // a string's value, a number's digits as written
  std::vector<JsonValue> items;
  std::vector<std::pair<std::string, JsonValue>> members;  // in the order of the text

  // Written out because a pair of an unfinished type must not be looked into before its end.
  JsonValue();
  ~JsonValue();
  JsonValue(const JsonValue& other);
  JsonValue(JsonValue&& other) noexcept;
  JsonValue& operator=(const JsonValue& other);
  JsonValue& operator=(JsonValue&& other) noexcept;

  bool is_object() const { return kind == Kind::kObject; }
  bool is_array() const { return kind == Kind::kArray; }
  bool is_string() const { return kind == Kind::kString; }
  bool is_number() const { return kind == Kind::kNumber; }
  bool is_bool() const { return kind == Kind::kBool; }

  /// The member of that name, or nullptr; nullptr too for what is no object.
  const JsonValue* Find(std::string_view name) const;
};

struct JsonLimits {
  std::size_t max_bytes = std::size_t{4} << 20;
  std::size_t max_depth = 128;  // nested objects and arrays
  std::size_t max_values = 1000000;
};

/// One JSON text (RFC 8259). kInvalidArgument with a sentence that begins with `what` ("the
/// schema"): no JSON and where, a name twice in one object, or beyond a limit.
Result<JsonValue> ParseJsonValue(std::string_view text, std::string_view what,
                                 const JsonLimits& limits = JsonLimits());

/// `text` in quotation marks, with the escapes that JSON demands and no others. `text` is UTF-8.
std::string JsonQuoted(std::string_view text);

/// The same value in JSON's sense: 1 and 1.0 are one number, members may stand in any order.
bool JsonEqual(const JsonValue& a, const JsonValue& b);

/// "null", "boolean", "number", "string", "array", "object".
const char* JsonKindName(JsonValue::Kind kind);

}  // namespace larder
