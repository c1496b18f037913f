// larder template: a chat template rendered with a conversation; no engine, only text.
#include <fmt/format.h>

#include <cstdio>
#include <memory>
#include <optional>

#include "cli/command.h"
#include "cli/demo_model.h"
#include "cli/output.h"
#include "cli/template_flag.h"
#include "cli/token_list.h"
#include "format/gguf_reader.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace larder {

namespace {

struct TemplateFlags {
  std::string model;
  std::string file;
  std::string name;
  std::string input;
  std::string now;
  bool tokens = false;
};

Result<std::string> ReadInput(const std::string& path) {
  return path == "-" ? ReadStdin() : ReadTextFile(path);
}

// "2026-03-09 14:05:07", for what strftime_now shows.
Result<std::optional<std::tm>> ParseNow(const std::string& text) {
  if (text.empty()) return std::optional<std::tm>();
  std::tm now{};
  const char* end = strptime(text.c_str(), "%Y-%m-%d %H:%M:%S", &now);
  if (end == nullptr || *end != '\0') {
    return InvalidArgument("'{}' is no time; write it as \"2026-03-09 14:05:07\"", text);
  }
  return std::optional<std::tm>(now);
}

// Of a conversation only what decides which of a model's templates is taken.
bool HasTools(const nlohmann::ordered_json& input) {
  const auto at = input.find("tools");
  return at != input.end() && at->is_array() && !at->empty();
}

Status Render(const TemplateFlags& flags) {
  LARDER_ASSIGN_OR_RETURN(RenderOptions options, [&]() -> Result<RenderOptions> {
    RenderOptions made;
    LARDER_ASSIGN_OR_RETURN(made.now, ParseNow(flags.now));
    return made;
  }());
  LARDER_ASSIGN_OR_RETURN(const std::string text, ReadInput(flags.input));
  if (!flags.file.empty()) {
    LARDER_ASSIGN_OR_RETURN(const std::string source, ReadInput(flags.file));
    LARDER_ASSIGN_OR_RETURN(const ChatTemplate chat, ChatTemplate::Parse(source));
    LARDER_ASSIGN_OR_RETURN(const std::string rendered, chat.RenderText(text, options));
    return WriteStdout(rendered);
  }
  LARDER_ASSIGN_OR_RETURN(const std::string path, ResolveModel(flags.model));
  LARDER_ASSIGN_OR_RETURN(const GgufModel model, OpenGguf(path));
  auto input = nlohmann::ordered_json::parse(text, nullptr, false);
  if (!input.is_object()) {
    return InvalidArgument("{} is no JSON object with messages", flags.input);
  }
  std::optional<ChatTemplate> chat;
  if (flags.name.empty()) {
    LARDER_ASSIGN_OR_RETURN(chat, ModelChatTemplate(model.metadata, HasTools(input)));
  } else {
    LARDER_ASSIGN_OR_RETURN(chat, ChooseTemplate(model.metadata, flags.name));
  }
  if (!chat) {
    return NotFound("{} has no chat template; give one with --template FILE", path);
  }
  LARDER_ASSIGN_OR_RETURN(const std::unique_ptr<Tokenizer> tokenizer,
                          Tokenizer::FromMetadata(model.metadata));
  AddTokenVariables(*tokenizer, &input);
  LARDER_ASSIGN_OR_RETURN(const std::string rendered, chat->Render(input, options));
  if (!flags.tokens) return WriteStdout(rendered);
  LARDER_ASSIGN_OR_RETURN(const std::vector<std::int32_t> ids, EncodeChat(*tokenizer, rendered));
  return WriteStdout(fmt::format("{}\n", fmt::join(ids, " ")));
}

}  // namespace

int TemplateMain(const Arguments& arguments) {
  CommandLine line("template",
                   "Prints what a chat template makes of a conversation, byte for byte.",
                   "  larder template -m model.gguf --input conversation.json\n"
                   "  larder template -m model.gguf --input conversation.json --tokens\n"
                   "  larder template --template chat.jinja --input - < conversation.json\n");
  TemplateFlags flags;
  CLI::App& app = line.app();
  app.add_option("-m,--model", flags.model, "GGUF file whose template is taken")->type_name("FILE");
  app.add_option("--template", flags.file, "a template's source instead of a model")
      ->type_name("FILE");
  AddTemplateFlag(&app, &flags.name);
  app.add_option("--input", flags.input,
                 "JSON object with messages, and tools, add_generation_prompt, bos_token or any "
                 "other variable; - for stdin")
      ->type_name("FILE");
  app.add_option("--now", flags.now, "the time that strftime_now shows, \"2026-03-09 14:05:07\"")
      ->type_name("TIME");
  app.add_flag("--tokens", flags.tokens, "print token ids instead of the text (with a model)");
  if (const auto exit_status = line.Parse(arguments)) return *exit_status;
  if (!line.Given("--input")) {
    return Fail(InvalidArgument("template needs a conversation; give it with --input FILE.json"));
  }
  if (!flags.file.empty() && (!flags.model.empty() || flags.tokens || !flags.name.empty())) {
    return Fail(
        InvalidArgument("--template FILE goes with neither -m, --chat-template nor --tokens"));
  }
  const Status status = Render(flags);
  return status.ok() ? kExitSuccess : Fail(status);
}

}  // namespace larder
