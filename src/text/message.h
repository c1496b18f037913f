// A conversation as plain values: who says what, what tools there are, which are called. JSON
// appears only as text, in the places where it is the models' and callers' own. What a template
// sees of it and how a model's output becomes a message: chat_template.h, output_parser.h.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace larder {

enum class Role { kSystem, kUser, kAssistant, kTool };

/// "system", "user", "assistant", "tool"; what templates and APIs call them.
const char* RoleName(Role role);

/// One call of a tool by the model.
struct ToolCall {
  std::string id;    // unique in the conversation; empty where nobody needs it
  std::string name;  // of the tool, as its definition has it
  /// An object, as JSON text; "{}" when there are none. Of a call that was cut off: what there is.
  std::string arguments_json;
};

/// A piece of a message's content. Larder's models read text; other kinds are kept so that a
/// template can show or refuse them.
struct ContentPart {
  std::string type = "text";  // "text", "image_url", ...
  std::string text;           // of a text
  std::string json;           // the whole part as JSON text when it is not a text
};

struct Message {
  Role role = Role::kUser;
  /// The content: one text, or parts when the caller sent a list. `parts` not empty: `text` is
  /// unused. Absent text (not the same as "" to some templates): a call without words.
  std::optional<std::string> text;
  std::vector<ContentPart> parts;
  std::optional<std::string> reasoning;  // the assistant's, apart from its text
  std::vector<ToolCall> tool_calls;      // the assistant's
  std::string tool_call_id;              // a tool's result: which call it answers
  std::string name;                      // a tool's result: the tool's name; else a speaker's
};

/// The message's text: `text`, or its text parts joined with nothing between them.
std::string MessageText(const Message& message);

Message SystemMessage(std::string text);
Message UserMessage(std::string text);
Message AssistantMessage(std::string text);
/// The result of a call.
Message ToolMessage(const ToolCall& call, std::string text);

/// A tool that the model may call.
struct ToolDefinition {
  std::string name;
  std::string description;
  std::string parameters_json;  // JSON schema of the arguments, an object; "{}": anything
  /// The whole definition, {"type": "function", "function": {...}}, its keys in the caller's order:
  /// what templates print, and models were trained to read.
  std::string definition_json;
};

/// A definition made from its three parts; `definition_json` is written from them.
ToolDefinition MakeTool(std::string name, std::string description, std::string parameters_json);

}  // namespace larder
