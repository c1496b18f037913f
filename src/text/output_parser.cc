// Which format a model speaks, and the message its deltas make.
#include "text/output_parser.h"

#include <algorithm>
#include <array>
#include <utility>

#include "text/output_stream.h"
#include "text/utf8.h"

namespace larder {

namespace {

bool Contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

// A marker that only one format has. The first that is found decides.
struct Sign {
  std::string_view marker;
  CallFormat format;
};
constexpr std::array<Sign, 8> kTemplateSigns = {{
    {"<|channel|>", CallFormat::kHarmony},
    {"｜DSML｜", CallFormat::kDeepseekDsml},
    {"<｜tool▁call▁begin｜>", CallFormat::kDeepseek},
    {"<|tool_call_begin|>", CallFormat::kKimi},
    {"minimax:tool_call", CallFormat::kMiniMax},
    {"<function=", CallFormat::kQwenXml},
    // GLM writes <tool_call> too, with arguments as tags of their own.
    {"<arg_key>", CallFormat::kNone},
    {"<tool_call>", CallFormat::kHermesJson},
}};
constexpr std::array<Sign, 4> kTokenSigns = {{
    {"<|channel|>", CallFormat::kHarmony},
    {"<｜tool▁call▁begin｜>", CallFormat::kDeepseek},
    {"<|tool_call_begin|>", CallFormat::kKimi},
    {"<tool_call>", CallFormat::kHermesJson},
}};

std::string EndOfThought(CallFormat format, std::string_view chat_template) {
  if (format == CallFormat::kHarmony) {
    return "<|end|><|start|>assistant<|channel|>final<|message|>";
  }
  const bool bare = format == CallFormat::kDeepseek || format == CallFormat::kDeepseekDsml;
  if (bare) return "</think>";
  // In a template's source a line end is written as a backslash and an n.
  const bool own_lines = chat_template.empty() || Contains(chat_template, "\\n</think>") ||
                         Contains(chat_template, "\n</think>") ||
                         Contains(chat_template, "~ '</think>'");
  return own_lines ? "\n</think>\n\n" : "</think>\n";
}

}  // namespace

const char* CallFormatName(CallFormat format) {
  switch (format) {
    case CallFormat::kNone:
      return "none";
    case CallFormat::kQwenXml:
      return "qwen-xml";
    case CallFormat::kHermesJson:
      return "hermes-json";
    case CallFormat::kDeepseek:
      return "deepseek";
    case CallFormat::kDeepseekDsml:
      return "deepseek-dsml";
    case CallFormat::kKimi:
      return "kimi";
    case CallFormat::kMiniMax:
      return "minimax";
    case CallFormat::kHarmony:
      return "harmony";
  }
  return "";
}

bool OutputStyle::GoesOnAfter(std::string_view token) const {
  return calls == CallFormat::kHarmony && token == "<|end|>";
}

bool OutputStyle::IsMarker(std::string_view token) const {
  static constexpr std::array<std::string_view, 27> kMarkers = {"<think>",
                                                                "</think>",
                                                                "<tool_call>",
                                                                "</tool_call>",
                                                                "<|start|>",
                                                                "<|end|>",
                                                                "<|message|>",
                                                                "<|channel|>",
                                                                "<|constrain|>",
                                                                "<|call|>",
                                                                "<|return|>",
                                                                "<｜tool▁calls▁begin｜>",
                                                                "<｜tool▁calls▁end｜>",
                                                                "<｜tool▁call▁begin｜>",
                                                                "<｜tool▁call▁end｜>",
                                                                "<｜tool▁sep｜>",
                                                                "｜DSML｜",
                                                                "<|tool_calls_section_begin|>",
                                                                "<|tool_calls_section_end|>",
                                                                "<|tool_call_begin|>",
                                                                "<|tool_call_argument_begin|>",
                                                                "<|tool_call_end|>",
                                                                "<minimax:tool_call>",
                                                                "</minimax:tool_call>",
                                                                "<｜DSML｜function_calls>",
                                                                "</｜DSML｜function_calls>",
                                                                "<function="};
  return std::find(kMarkers.begin(), kMarkers.end(), token) != kMarkers.end();
}

OutputStyle DetectOutputStyle(std::string_view chat_template, const Tokenizer* tokenizer) {
  OutputStyle style;
  bool found = false;
  for (const Sign& sign : kTemplateSigns) {
    if (found || !Contains(chat_template, sign.marker)) continue;
    style.calls = sign.format;
    found = true;
  }
  const bool by_tokens = chat_template.empty() && tokenizer != nullptr;
  for (const Sign& sign : kTokenSigns) {
    if (found || !by_tokens || !tokenizer->FindToken(sign.marker)) continue;
    style.calls = sign.format;
    found = true;
  }
  style.reasons = style.calls == CallFormat::kHarmony || Contains(chat_template, "<think>") ||
                  Contains(chat_template, "</think>") ||
                  (by_tokens && tokenizer->FindToken("</think>").has_value());
  if (style.reasons) style.end_of_thought = EndOfThought(style.calls, chat_template);
  return style;
}

namespace {

std::unique_ptr<OutputStream> MakeStream(const OutputStyle& style,
                                         const std::vector<ToolDefinition>& tools,
                                         std::string_view prompt) {
  if (style.calls == CallFormat::kHarmony) return MakeHarmonyParser(!tools.empty(), prompt);
  // "<think>" and line breaks at the prompt's end: the thought is open.
  constexpr std::string_view kOpen = "<think>";
  const std::string_view tail = prompt.substr(0, prompt.find_last_not_of(" \t\r\n") + 1);
  const bool open = tail.size() >= kOpen.size() && tail.substr(tail.size() - kOpen.size()) == kOpen;
  const auto thought = open            ? OutputStream::Thought::kOpen
                       : style.reasons ? OutputStream::Thought::kMayBegin
                                       : OutputStream::Thought::kNone;
  switch (tools.empty() ? CallFormat::kNone : style.calls) {
    case CallFormat::kQwenXml:
    case CallFormat::kDeepseekDsml:
    case CallFormat::kMiniMax:
      return MakeTagParser(style.calls, thought, tools);
    case CallFormat::kHermesJson:
      return MakeHermesParser(thought);
    case CallFormat::kDeepseek:
    case CallFormat::kKimi:
      return MakeMarkedJsonParser(style.calls, thought);
    case CallFormat::kNone:
    case CallFormat::kHarmony:
      break;
  }
  return MakePlainParser(thought);
}

}  // namespace

std::unique_ptr<OutputParser> MakeOutputParser(const OutputStyle& style,
                                               const std::vector<ToolDefinition>& tools,
                                               std::string_view prompt, OutputForm form) {
  std::unique_ptr<OutputStream> stream = MakeStream(style, tools, prompt);
  stream->SetForm(form);
  return stream;
}

void MessageBuilder::Add(const OutputDelta& delta) {
  switch (delta.kind) {
    case OutputDelta::Kind::kText:
      text_ += delta.text;
      break;
    case OutputDelta::Kind::kReasoning:
      reasoning_ += delta.text;
      break;
    case OutputDelta::Kind::kCallBegin:
      calls_.push_back({{"", delta.text, ""}, false});
      break;
    case OutputDelta::Kind::kCallArguments:
      if (!calls_.empty()) calls_.back().call.arguments_json += delta.text;
      break;
    case OutputDelta::Kind::kCallEnd:
      if (!calls_.empty()) calls_.back().ended = true;
      break;
    case OutputDelta::Kind::kCallFailed:
      failures_.push_back(delta.text);
      break;
  }
}

Message MessageBuilder::BuildFrom(int first_id, bool broken_calls) const {
  Message message;
  message.role = Role::kAssistant;
  if (!text_.empty()) message.text = WithValidUtf8(text_);
  if (!reasoning_.empty()) message.reasoning = WithValidUtf8(reasoning_);
  for (const Call& one : calls_) {
    if (!one.ended && !broken_calls) continue;
    ToolCall call = one.call;
    call.name = WithValidUtf8(call.name);
    call.arguments_json = WithValidUtf8(call.arguments_json);
    call.id = "call_" + std::to_string(first_id++);
    message.tool_calls.push_back(std::move(call));
  }
  return message;
}

}  // namespace larder
