// JSON schemas (2020-12) compiled to grammars: what the grammar reads satisfies the schema. Which
// keywords, and what is decided where the schema leaves it open: docs/constrained-output.md. Pure
// functions; schemas come from strangers and are hostile until checked.
#pragma once

#include <string_view>

#include "base/status.h"
#include "sample/grammar.h"
#include "sample/json_grammar.h"
#include "sample/schema_keywords.h"
#include "text/json_value.h"

namespace larder {

constexpr std::size_t kMaxSchemaBytes = std::size_t{1} << 20;

/// The grammar of one JSON text that satisfies `schema`. kInvalidArgument: no schema, or one that
/// no text satisfies; kUnsupported: a keyword that Larder does not know, by name and path.
Result<Grammar> CompileJsonSchema(std::string_view schema);

/// A rule for it among others in `json`, for grammars of which it is a part. `what` begins the
/// sentences about text that is no JSON.
Result<RuleId> AddJsonSchema(JsonGrammar* json, std::string_view schema,
                             std::string_view what = "the schema");

/// The same for a schema inside an already parsed document, which its references point into.
/// Without the words that are passed over it allows more than it says, never less.
Result<RuleId> AddJsonSchema(JsonGrammar* json, const JsonValue& schema, const JsonValue& root,
                             UnheldWords unheld = UnheldWords::kRefused);

/// The sentence for grammars that passed the limits on size.
Status SchemaTooLarge();

}  // namespace larder
