// The built-in ChatML prompt: one user turn, with or without a system message and tools. It stands
// in for the model's own chat template until templates are rendered. Pure functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "format/metadata.h"

namespace larder {

/// What the text after "<|im_start|>assistant\n" looks like.
enum class ThinkFormat {
  kNone,          // the model does not reason: nothing
  kSwitchedOpen,  // thinking: "<think>\n"; not thinking: an empty block (Qwen3.5)
  kSwitched,      // thinking: nothing; not thinking: an empty block (Qwen3)
  kAlways,        // "<think>\n" either way (Qwen3 Thinking)
};

/// How tools are shown and called: parameters as XML tags (Qwen3.5) or a JSON object (Qwen2.5, 3).
enum class ToolFormat { kXml, kJson };

struct ChatMlFormat {
  ThinkFormat think = ThinkFormat::kNone;
  ToolFormat tools = ToolFormat::kXml;
  bool trim = false;           // messages lose surrounding white space, as Qwen3.5's template does
  std::string default_system;  // used when the caller gives none; Qwen2.5 has one
};

/// What tokenizer.chat_template says about the points above, looked up as strings in it. Without a
/// template: plain ChatML.
ChatMlFormat ChatMlFormatFor(const Metadata& metadata);

struct ChatMlPrompt {
  std::string user;
  std::string system;              // empty: none
  std::vector<std::string> tools;  // each a tool's definition as one line of JSON
  bool thinking = false;           // off by default, so that short answers come at once
};

/// The whole prompt, ending where the assistant's answer begins. Encode with parse_special. The
/// caller's text is not escaped, as in the field: control tokens in it become control tokens.
std::string FormatChatMl(const ChatMlFormat& format, const ChatMlPrompt& prompt);

}  // namespace larder
