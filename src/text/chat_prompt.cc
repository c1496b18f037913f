// The template's variables, made from a turn.
#include "text/chat_prompt.h"

#include <fmt/format.h>

#include "text/chat_template.h"

namespace larder {
namespace {

Status WithAdvice(const Status& status) {
  return Status(status.code(),
                status.message() + "; --raw gives the model the text without its template");
}

Result<nlohmann::ordered_json> MakeVariables(const ChatMlPrompt& prompt) {
  auto messages = nlohmann::ordered_json::array();
  if (!prompt.system.empty()) {
    messages.push_back({{"role", "system"}, {"content", prompt.system}});
  }
  messages.push_back({{"role", "user"}, {"content", prompt.user}});
  nlohmann::ordered_json variables = {{"messages", std::move(messages)},
                                      {"add_generation_prompt", true},
                                      {"enable_thinking", prompt.thinking}};
  for (const std::string& tool : prompt.tools) {
    auto parsed = nlohmann::ordered_json::parse(tool, nullptr, false);
    if (parsed.is_discarded()) return InvalidArgument("the definition of a tool is no JSON");
    variables["tools"].push_back(std::move(parsed));
  }
  return variables;
}

}  // namespace

Result<std::string> FormatTurn(const Metadata& metadata, const Tokenizer& tokenizer,
                               const ChatMlPrompt& prompt) {
  const Result<std::optional<ChatTemplate>> found =
      ModelChatTemplate(metadata, !prompt.tools.empty());
  if (!found.ok()) return WithAdvice(found.status());
  if (!found->has_value()) return FormatChatMl(ChatMlFormatFor(metadata), prompt);
  LARDER_ASSIGN_OR_RETURN(nlohmann::ordered_json variables, MakeVariables(prompt));
  AddTokenVariables(tokenizer, &variables);
  Result<std::string> text = (*found)->Render(variables);
  if (!text.ok()) return WithAdvice(text.status());
  return text;
}

Result<std::vector<std::int32_t>> EncodeTurn(const Metadata& metadata, const Tokenizer& tokenizer,
                                             const ChatMlPrompt& prompt) {
  LARDER_ASSIGN_OR_RETURN(const std::string text, FormatTurn(metadata, tokenizer, prompt));
  return EncodeChat(tokenizer, text);
}

}  // namespace larder
