// Whether a JSON value satisfies a schema, by the words of the specification (JSON Schema 2020-12)
// for the keywords that constrained output supports. Pure functions.
#pragma once

#include <string_view>

#include "text/json_value.h"

namespace larder {

/// What "#/a/b" points to inside `root` (RFC 6901, percent escapes too), or nullptr.
const JsonValue* ResolveReference(const JsonValue& root, std::string_view reference);

/// `schema` lies inside `root`, which its references point into. `oneOf` counts as `anyOf`. False
/// for a schema that refers to itself without end. Keywords of other names say nothing.
bool JsonMatches(const JsonValue& value, const JsonValue& schema, const JsonValue& root);

/// Code points.
std::size_t JsonStringLength(std::string_view text);

}  // namespace larder
