// Messages made from their parts.
#include "text/message.h"

#include <utility>

#include "text/message_json.h"

namespace larder {

const char* RoleName(Role role) {
  switch (role) {
    case Role::kSystem:
      return "system";
    case Role::kUser:
      return "user";
    case Role::kAssistant:
      return "assistant";
    case Role::kTool:
      return "tool";
  }
  return "";
}

std::string MessageText(const Message& message) {
  if (message.parts.empty()) return message.text.value_or("");
  std::string text;
  for (const ContentPart& part : message.parts) text += part.text;
  return text;
}

namespace {

Message MakeMessage(Role role, std::string text) {
  Message message;
  message.role = role;
  message.text = std::move(text);
  return message;
}

}  // namespace

Message SystemMessage(std::string text) { return MakeMessage(Role::kSystem, std::move(text)); }
Message UserMessage(std::string text) { return MakeMessage(Role::kUser, std::move(text)); }
Message AssistantMessage(std::string text) {
  return MakeMessage(Role::kAssistant, std::move(text));
}

Message ToolMessage(const ToolCall& call, std::string text) {
  Message message = MakeMessage(Role::kTool, std::move(text));
  message.tool_call_id = call.id;
  message.name = call.name;
  return message;
}

ToolDefinition MakeTool(std::string name, std::string description, std::string parameters_json) {
  ToolDefinition tool;
  OrderedJson function = {{"name", name}, {"description", description}};
  const Result<OrderedJson> parameters = ParseJson(parameters_json, "a tool's parameters");
  function["parameters"] = parameters.ok() ? *parameters : OrderedJson::object();
  tool.definition_json = JsonText({{"type", "function"}, {"function", function}});
  tool.name = std::move(name);
  tool.description = std::move(description);
  tool.parameters_json = std::move(parameters_json);
  return tool;
}

}  // namespace larder
