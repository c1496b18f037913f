// Messages and tools from and to JSON text in the form that OpenAI's chat API made common: "role",
// "content" (a text, null, or a list of parts), "reasoning_content", "tool_calls", "tool_call_id",
// "name". Pure functions; what they read is hostile until checked.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "text/message.h"

namespace larder {

/// Keeps the order of keys: templates print definitions and arguments as they are given.
using OrderedJson = nlohmann::ordered_json;

/// How deep JSON may nest before it is refused, here and wherever a model or a caller wrote it.
inline constexpr int kMaxJsonDepth = 200;

/// Any JSON text. kInvalidArgument says where it breaks, or that it nests too deep; `what` names
/// it.
Result<OrderedJson> ParseJson(std::string_view text, std::string_view what);

/// Compact JSON text with bytes that are not UTF-8 replaced; never throws.
std::string JsonText(const OrderedJson& json);

/// One message. "developer" is a system message; "thinking" and "reasoning" are also read as
/// reasoning. Arguments of calls may be an object or a text: a call that was cut off has one that
/// is no object. kInvalidArgument names the field.
Result<Message> MessageFromJson(const OrderedJson& json);
Result<std::vector<Message>> MessagesFromJson(const OrderedJson& json);

/// `arguments_as_text`: as APIs write them; otherwise as the objects that templates expect. Text
/// that is no JSON object stays text.
OrderedJson MessageToJson(const Message& message, bool arguments_as_text);

/// For templates that read arguments of calls as objects only: those that MessageToJson left as
/// text become {"arguments": TEXT}. False when there are none.
bool WrapTextArguments(OrderedJson* messages);

/// A definition, whole or only its "function" part. kInvalidArgument names the field.
Result<ToolDefinition> ToolFromJson(const OrderedJson& json);
Result<std::vector<ToolDefinition>> ToolsFromJson(const OrderedJson& json);

/// A whole conversation as a JSON document, and back: what a chat saves. kInvalidArgument names
/// what is wrong.
std::string ConversationToJson(const std::vector<Message>& messages);
Result<std::vector<Message>> ConversationFromJson(std::string_view text);

}  // namespace larder
