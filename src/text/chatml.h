// Plain ChatML, for models whose file has no chat template: turns between <|im_start|> and
// <|im_end|>, tools and their calls as Qwen2.5 and Hermes write them (JSON in <tool_call>). Pure
// functions.
#pragma once

#include <string>
#include <vector>

#include "text/message.h"

namespace larder {

/// The conversation's text; with `add_generation_prompt` it ends where the assistant's answer
/// begins. Encode with parse_special. What people and tools said is not escaped, as in the field:
/// control tokens in it become control tokens. Reasoning is left out.
std::string FormatChatMl(const std::vector<Message>& messages,
                         const std::vector<ToolDefinition>& tools, bool add_generation_prompt);

}  // namespace larder
