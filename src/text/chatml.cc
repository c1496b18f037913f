// The texts here are those of Qwen's chat templates, word for word: the models were trained on
// them.
#include "text/chatml.h"

#include "text/char_class.h"
#include "text/utf8.h"

namespace larder {
namespace {

constexpr std::string_view kEmptyThought = "<think>\n\n</think>\n\n";
constexpr std::string_view kOpenThought = "<think>\n";

constexpr std::string_view kXmlToolsHead =
    "# Tools\n\nYou have access to the following functions:\n\n<tools>";
constexpr std::string_view kXmlToolsTail =
    "\n</tools>\n\nIf you choose to call a function ONLY reply in the following format with NO "
    "suffix:"
    "\n\n<tool_call>\n<function=example_function_name>\n<parameter=example_parameter_1>\nvalue_1\n"
    "</parameter>\n<parameter=example_parameter_2>\nThis is the value for the second parameter\n"
    "that can span\nmultiple lines\n</parameter>\n</function>\n</tool_call>\n\n<IMPORTANT>\n"
    "Reminder:\n- Function calls MUST follow the specified format: an inner "
    "<function=...></function> "
    "block must be nested within <tool_call></tool_call> XML tags\n"
    "- Required parameters MUST be specified\n"
    "- You may provide optional reasoning for your function call in natural language BEFORE the "
    "function call, but NOT after\n"
    "- If there is no function call available, answer the question like normal with your current "
    "knowledge and do not tell the user about function calls\n</IMPORTANT>";

constexpr std::string_view kJsonToolsHead =
    "# Tools\n\nYou may call one or more functions to assist with the user query.\n\nYou are "
    "provided "
    "with function signatures within <tools></tools> XML tags:\n<tools>";
constexpr std::string_view kJsonToolsTail =
    "\n</tools>\n\nFor each function call, return a json object with function name and arguments "
    "within <tool_call></tool_call> XML tags:\n<tool_call>\n{\"name\": <function-name>, "
    "\"arguments\": <args-json-object>}\n</tool_call>";

bool Contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

// As Jinja's trim: White_Space and the four separators U+001C to U+001F go, at both ends.
std::string_view Trim(std::string_view text) {
  std::size_t begin = std::string_view::npos, end = 0;
  for (std::size_t position = 0; position < text.size();) {
    const Utf8Char c = DecodeUtf8(text, position);
    const bool separator = c.code_point >= 0x1c && c.code_point <= 0x1f;
    const bool space = separator || (CharClass(c.code_point) & kCharSpace) != 0;
    if (!space && begin == std::string_view::npos) begin = position;
    position += c.n_bytes;
    if (!space) end = position;
  }
  return begin == std::string_view::npos ? std::string_view() : text.substr(begin, end - begin);
}

ThinkFormat ThinkFormatOf(std::string_view chat_template) {
  // The template's source has the line end written as a backslash and an n.
  const bool opens =
      Contains(chat_template, "'<think>\\n'") || Contains(chat_template, "assistant\\n<think>\\n'");
  if (Contains(chat_template, "enable_thinking")) {
    return opens ? ThinkFormat::kSwitchedOpen : ThinkFormat::kSwitched;
  }
  return opens ? ThinkFormat::kAlways : ThinkFormat::kNone;
}

std::string SystemMessage(const ChatMlFormat& format, std::string_view system,
                          const std::vector<std::string>& tools) {
  if (tools.empty()) return std::string(system);
  const bool xml = format.tools == ToolFormat::kXml;
  std::string block(xml ? kXmlToolsHead : kJsonToolsHead);
  for (const std::string& tool : tools) block += "\n" + tool;
  block += xml ? kXmlToolsTail : kJsonToolsTail;
  if (system.empty()) return block;
  return xml ? block + "\n\n" + std::string(system) : std::string(system) + "\n\n" + block;
}

}  // namespace

ChatMlFormat ChatMlFormatFor(const Metadata& metadata) {
  ChatMlFormat format;
  const Result<std::string> source = metadata.GetStringOr("tokenizer.chat_template", "");
  if (!source.ok() || source->empty()) return format;
  format.think = ThinkFormatOf(*source);
  format.tools = Contains(*source, "<function=") ? ToolFormat::kXml : ToolFormat::kJson;
  format.trim = Contains(*source, "render_content(message.content, true)|trim");
  constexpr std::string_view kQwen25System =
      "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.";
  if (Contains(*source, kQwen25System)) format.default_system = kQwen25System;
  return format;
}

std::string FormatChatMl(const ChatMlFormat& format, const ChatMlPrompt& prompt) {
  const std::string_view given =
      prompt.system.empty() ? std::string_view(format.default_system) : prompt.system;
  const std::string system = SystemMessage(format, format.trim ? Trim(given) : given, prompt.tools);
  std::string text;
  if (!system.empty()) text += "<|im_start|>system\n" + system + "<|im_end|>\n";
  text += "<|im_start|>user\n";
  text += format.trim ? Trim(prompt.user) : std::string_view(prompt.user);
  text += "<|im_end|>\n<|im_start|>assistant\n";
  const bool switched =
      format.think == ThinkFormat::kSwitched || format.think == ThinkFormat::kSwitchedOpen;
  if (switched && !prompt.thinking) {
    text += kEmptyThought;
  } else if (format.think == ThinkFormat::kSwitchedOpen || format.think == ThinkFormat::kAlways) {
    text += kOpenThought;
  }
  return text;
}

}  // namespace larder
