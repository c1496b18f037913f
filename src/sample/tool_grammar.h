// Free text with tool calls in it: the text is the model's own, but once it has begun a call, name
// and arguments are held to the tools' schemas, as far as these can be held, until the call ends.
// Or calls and nothing else, or either calls or a JSON text. Pure functions.
#pragma once

#include <string_view>
#include <vector>

#include "base/status.h"
#include "sample/grammar.h"
#include "text/message.h"
#include "text/output_parser.h"

namespace larder {

enum class CallChoice {
  kFree,      // text, calls, or both
  kRequired,  // a call at once, then at most further calls
};

/// The grammar of an answer in which calls look like `format`: Hermes's JSON, Qwen's XML,
/// DeepSeek's (V3, R1, V3.1) or harmony; kUnsupported for other formats. Inside Qwen's XML,
/// parameters that may be strings are plain text up to the closing tag, strings with an enum one of
/// its values, others JSON. Words of the tools' schemas that cannot be held are passed over.
/// kInvalidArgument without any tool; failures of a schema name the tool.
/// `text_schema`, where it is not empty: instead of free text the answer is either calls, one at
/// once, or one JSON text that satisfies it.
Result<Grammar> CompileToolCalls(CallFormat format, const std::vector<ToolDefinition>& tools,
                                 CallChoice choice, std::string_view text_schema = "");

/// Whether calls in this format can be held to schemas.
bool CanHoldCalls(CallFormat format);

}  // namespace larder
