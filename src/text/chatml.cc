// The texts here are those of Qwen's chat templates, word for word: many models were trained on
// them.
#include "text/chatml.h"

#include <string_view>

#include "text/message_json.h"

namespace larder {
namespace {

constexpr std::string_view kToolsHead =
    "# Tools\n\nYou may call one or more functions to assist with the user query.\n\nYou are "
    "provided "
    "with function signatures within <tools></tools> XML tags:\n<tools>";
constexpr std::string_view kToolsTail =
    "\n</tools>\n\nFor each function call, return a json object with function name and arguments "
    "within <tool_call></tool_call> XML tags:\n<tool_call>\n{\"name\": <function-name>, "
    "\"arguments\": <args-json-object>}\n</tool_call>";

std::string SystemTurn(std::string text, const std::vector<ToolDefinition>& tools) {
  if (!tools.empty()) {
    if (!text.empty()) text += "\n\n";
    text += kToolsHead;
    for (const ToolDefinition& tool : tools) text += "\n" + tool.definition_json;
    text += kToolsTail;
  }
  return text.empty() ? "" : "<|im_start|>system\n" + text + "<|im_end|>\n";
}

std::string AssistantTurn(const Message& message) {
  std::string text = "<|im_start|>assistant\n";
  const std::string content = MessageText(message);
  text += content;
  bool first = content.empty();
  for (const ToolCall& call : message.tool_calls) {
    if (!first) text += "\n";
    first = false;
    text += "<tool_call>\n{\"name\": " + JsonText(call.name) +
            ", \"arguments\": " + call.arguments_json + "}\n</tool_call>";
  }
  return text + "<|im_end|>\n";
}

}  // namespace

std::string FormatChatMl(const std::vector<Message>& messages,
                         const std::vector<ToolDefinition>& tools, bool add_generation_prompt) {
  const bool has_system = !messages.empty() && messages[0].role == Role::kSystem;
  std::string text = SystemTurn(has_system ? MessageText(messages[0]) : "", tools);
  for (std::size_t i = has_system ? 1 : 0; i < messages.size(); ++i) {
    const Message& message = messages[i];
    const auto is_result = [&messages](std::size_t at) {
      return at < messages.size() && messages[at].role == Role::kTool;
    };
    if (message.role == Role::kAssistant) {
      text += AssistantTurn(message);
    } else if (message.role == Role::kTool) {
      // Results that follow each other are one turn.
      if (i == 0 || !is_result(i - 1)) text += "<|im_start|>user";
      text += "\n<tool_response>\n" + MessageText(message) + "\n</tool_response>";
      if (!is_result(i + 1)) text += "<|im_end|>\n";
    } else {
      text += std::string("<|im_start|>") + RoleName(message.role) + "\n" + MessageText(message) +
              "<|im_end|>\n";
    }
  }
  return add_generation_prompt ? text + "<|im_start|>assistant\n" : text;
}

}  // namespace larder
