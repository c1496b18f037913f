// Free text with tool calls in it: the text is the model's own, but once it has begun a call, name
// and arguments are held to the tools' schemas until the call ends. Pure functions.
#pragma once

#include <vector>

#include "base/status.h"
#include "sample/grammar.h"
#include "text/message.h"
#include "text/output_parser.h"

namespace larder {

enum class CallChoice {
  kFree,      // text, calls, or both
  kRequired,  // a call at once, then text and further calls
};

/// The grammar of an answer in which calls look like `format`: Hermes's JSON, Qwen's XML,
/// DeepSeek's (V3, R1, V3.1) or harmony; kUnsupported for other formats. Inside Qwen's XML,
/// parameters that may be strings are plain text up to the closing tag, strings with an enum one of
/// its values, others JSON. kInvalidArgument without any tool; failures of a schema name the tool.
Result<Grammar> CompileToolCalls(CallFormat format, const std::vector<ToolDefinition>& tools,
                                 CallChoice choice);

}  // namespace larder
