// A name of the model's own goes before a file of that name.
#include "cli/template_flag.h"

#include <optional>
#include <utility>

#include "cli/token_list.h"

namespace larder {

void AddTemplateFlag(CLI::App* app, std::string* name_or_file) {
  app->add_option("--chat-template", *name_or_file,
                  "one of the model's further templates by name, or a file with one")
      ->type_name("NAME|FILE");
}

Result<ChatTemplate> ChooseTemplate(const Metadata& metadata, const std::string& name_or_file) {
  Result<ChatTemplate> named = NamedChatTemplate(metadata, name_or_file);
  if (named.status().code() != StatusCode::kNotFound) return named;
  const Result<std::string> source = ReadTextFile(name_or_file);
  if (source.ok()) return ChatTemplate::Parse(*source);
  if (source.status().code() != StatusCode::kNotFound) return source.status();
  return NotFound("{}, and there is no such file", named.status().message());
}

Result<PromptWriter> MakePromptWriter(const Metadata& metadata, const Tokenizer* tokenizer,
                                      const std::string& name_or_file) {
  std::optional<ChatTemplate> chosen;
  if (!name_or_file.empty()) {
    LARDER_ASSIGN_OR_RETURN(chosen, ChooseTemplate(metadata, name_or_file));
  }
  return PromptWriter::Make(metadata, tokenizer, std::move(chosen));
}

}  // namespace larder
