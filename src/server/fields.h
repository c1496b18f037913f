// Reads the fields of a JSON object with their types checked; the first wrong one is remembered
// with its name. Null counts as absent. One thread; borrows the object.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/api_error.h"
#include "text/message_json.h"

namespace larder {

class Fields {
 public:
  /// `where` stands before the names in sentences: "" for the request itself, "messages[0]".
  Fields(const OrderedJson& object, std::string where = "");

  bool Has(const char* name) const { return Find(name) != nullptr; }
  /// The value, or nullptr when absent or null.
  const OrderedJson* Find(const char* name) const;

  std::optional<bool> Bool(const char* name);
  std::optional<std::string> Text(const char* name);
  /// Whole numbers, 3.0 among them, from `least` to `most`.
  std::optional<std::int64_t> Integer(const char* name, std::int64_t least, std::int64_t most);
  std::optional<double> Number(const char* name, double least, double most);
  const OrderedJson* List(const char* name);
  const OrderedJson* Object(const char* name);
  /// A text or a list of texts.
  std::vector<std::string> Texts(const char* name);

  /// Remembers a refusal, unless there is one already.
  void Refuse(const std::string& name, const std::string& sentence);
  void Refuse(ApiError error);

  bool ok() const { return !error_; }
  const std::optional<ApiError>& error() const { return error_; }
  std::string Path(const std::string& name) const;

 private:
  const OrderedJson& object_;
  std::string where_;
  std::optional<ApiError> error_;
};

/// Values a request may hold: each costs memory however short its text.
inline constexpr std::size_t kMaxJsonValues = 4000000;

/// A request's body: one JSON object within the limits on depth and number of values.
Result<OrderedJson> ParseBody(std::string_view text);

}  // namespace larder
