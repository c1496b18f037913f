// What a template sees of a conversation.
#include "text/prompt_writer.h"

#include <utility>

#include "text/chatml.h"
#include "text/message_json.h"

namespace larder {

namespace {

// Models name the switch of thinking differently.
Result<OrderedJson> Variables(const std::vector<Message>& messages,
                              const std::vector<ToolDefinition>& tools,
                              PromptWriter::Options options) {
  OrderedJson variables = {{"messages", OrderedJson::array()},
                           {"add_generation_prompt", options.add_generation_prompt},
                           {"enable_thinking", options.thinking},
                           {"thinking", options.thinking},
                           {"reasoning_effort", options.thinking ? "medium" : "low"}};
  for (const Message& message : messages) {
    OrderedJson one = MessageToJson(message, false);
    // Many templates look into the content of every message.
    if (one["content"].is_null()) one["content"] = "";
    variables["messages"].push_back(std::move(one));
  }
  for (const ToolDefinition& tool : tools) {
    LARDER_ASSIGN_OR_RETURN(OrderedJson definition,
                            ParseJson(tool.definition_json, "a tool's definition"));
    variables["tools"].push_back(std::move(definition));
  }
  return variables;
}

}  // namespace

Result<PromptWriter> PromptWriter::Make(const Metadata& metadata, const Tokenizer* tokenizer,
                                        std::optional<ChatTemplate> chosen) {
  PromptWriter writer;
  writer.tokenizer_ = tokenizer;
  if (chosen) {
    writer.template_ = writer.tool_template_ = std::move(chosen);
  } else {
    LARDER_ASSIGN_OR_RETURN(writer.template_, ModelChatTemplate(metadata, false));
    LARDER_ASSIGN_OR_RETURN(writer.tool_template_, ModelChatTemplate(metadata, true));
  }
  const std::string source = writer.tool_template_ ? writer.tool_template_->source() : "";
  writer.style_ = DetectOutputStyle(source, tokenizer);
  return writer;
}

Result<std::string> PromptWriter::Render(const std::vector<Message>& messages,
                                         const std::vector<ToolDefinition>& tools,
                                         Options options) const {
  const std::optional<ChatTemplate>& chosen = tools.empty() ? template_ : tool_template_;
  if (!chosen) return FormatChatMl(messages, tools, options.add_generation_prompt);
  LARDER_ASSIGN_OR_RETURN(OrderedJson variables, Variables(messages, tools, options));
  AddTokenVariables(*tokenizer_, &variables);
  return chosen->Render(variables);
}

Result<std::vector<std::int32_t>> PromptWriter::Encode(std::string_view text) const {
  LARDER_ASSIGN_OR_RETURN(std::vector<std::int32_t> tokens, EncodeChat(*tokenizer_, text));
  if (tokens.empty()) {
    return InvalidArgument("the chat template makes an empty prompt of this conversation");
  }
  return tokens;
}

}  // namespace larder
