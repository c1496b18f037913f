// JSON in and out of templates: the filter tojson as Python's json.dumps writes, and values from
// JSON documents and texts.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/jinja_value.h"

namespace larder::jinja {

struct JsonStyle {
  bool ensure_ascii = false;
  std::optional<std::string> indent;  // of one level; absent: one line
  std::string item_separator = ", ";
  std::string key_separator = ": ";
  bool sort_keys = false;
};

/// The arguments ensure_ascii, indent, separators, sort_keys.
JsonStyle ReadJsonStyle(Meter& meter, const std::vector<Value>& arguments);

/// json.dumps(value): kType for what JSON cannot hold.
std::string DumpJson(Meter& meter, const Value& value, const JsonStyle& style);

/// Throws kLimit beyond kMaxValueDepth, kUnsupported for integers beyond 64 bits.
Value FromJson(Meter& meter, const nlohmann::ordered_json& json);

/// The same from text; kValue says where the text is no JSON.
Value ParseJsonText(Meter& meter, std::string_view text);

}  // namespace larder::jinja
