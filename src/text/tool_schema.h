// Which type a tool's schema gives a parameter, and values written as bare text made JSON by it:
// formats that write parameters between tags do not say whether 5 is a number or a text. Pure
// functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "text/message_json.h"

namespace larder {

/// A set of JSON's types. Nothing set: the schema does not say.
struct ValueTypes {
  bool string = false;
  bool number = false;  // integers too
  bool boolean = false;
  bool null = false;
  bool object = false;
  bool array = false;

  bool any() const { return !(string || number || boolean || null || object || array); }
  bool only_string() const { return string && !(number || boolean || null || object || array); }
};

/// The types a schema allows under `name`: "type", "enum", "const", "anyOf", "oneOf", "allOf" and
/// local "$ref" are followed, to a depth of 16; for names that "properties" lacks,
/// "additionalProperties".
ValueTypes ParameterTypes(const OrderedJson& parameters, std::string_view name);

/// The bare text as JSON: a text where the schema allows only that; otherwise what it spells, if
/// that is JSON of an allowed type (Python's True, False and None count where the schema names the
/// type); otherwise a text.
std::string ValueToJson(std::string_view value, ValueTypes types);

/// The tools' schemas by name.
class ToolSchemas {
 public:
  explicit ToolSchemas(const std::vector<ToolDefinition>& tools);

  bool Has(std::string_view tool) const;
  ValueTypes Types(std::string_view tool, std::string_view parameter) const;

 private:
  struct Tool {
    std::string name;
    OrderedJson parameters;
  };
  std::vector<Tool> tools_;
};

}  // namespace larder
