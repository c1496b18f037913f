// larder chat: a conversation on the terminal, or from a file of lines.
#include <fmt/format.h>

#include <memory>
#include <utility>

#include "cli/chat.h"
#include "cli/command.h"
#include "cli/constraint_flags.h"
#include "cli/engine_flags.h"
#include "cli/sampling_flags.h"
#include "cli/template_flag.h"
#include "cli/token_list.h"

namespace larder {

namespace {

constexpr std::int64_t kDefaultTokens = 4096;

struct ChatFlags {
  EngineFlags engine;
  SamplingFlags sampling;
  std::string system;
  std::string chat_template;
  std::string load;
  std::string think = "off";
  std::int64_t n_tokens = kDefaultTokens;
  bool no_history = false;
  bool yes = false;
  ToolBoxOptions tools;
};

void AddChatOptions(CLI::App* app, ChatFlags* flags) {
  AddEngineFlags(app, &flags->engine);
  app->add_option("--system", flags->system, "a system message")->type_name("TEXT");
  app->add_option("--load", flags->load, "go on with a chat saved by /save")->type_name("FILE");
  app->add_option("-n,--n-tokens", flags->n_tokens, "longest answer, 4096 by default")
      ->type_name("N")
      ->check(WholeNumber(1));
  app->add_option("--think", flags->think,
                  "reason before answering: on, off (default), or at most N tokens")
      ->type_name("on|off|N")
      ->expected(0, 1);
  AddTemplateFlag(app, &flags->chat_template);
  AddSamplingFlags(app, &flags->sampling);
  app->add_flag("--tools", flags->tools.builtin,
                "let the model read files, list folders and run commands; each call is asked for");
  app->add_option("--folder", flags->tools.folder, "what the tools see; default: this folder")
      ->type_name("DIR");
  app->add_flag("--yes", flags->yes, "run calls without asking");
  app->add_flag("--unconfined", flags->tools.unconfined, "run commands without bubblewrap");
  app->add_option(
         "--tool-command", flags->tools.commands,
         "a tool of your own: a shell command that reads the model's text; may be repeated")
      ->type_name("NAME=COMMAND")
      ->allow_extra_args(false);
  app->add_option("--tool-seconds", flags->tools.seconds, "longest run of a command, 30 by default")
      ->type_name("S");
  app->add_flag("--no-history", flags->no_history, "keep no history of what is typed");
}

Result<int> RunChat(const ChatFlags& flags) {
  ChatSettings settings;
  LARDER_ASSIGN_OR_RETURN(settings.think, ParseThink(flags.think));
  LARDER_RETURN_IF_ERROR(CheckSamplingFlags(flags.sampling));
  LARDER_RETURN_IF_ERROR(CheckUtf8(flags.system, "the system message"));
  if (!(flags.tools.seconds > 0 && flags.tools.seconds <= 86400)) {
    return InvalidArgument("--tool-seconds must be above 0 and at most 86400");
  }
  LARDER_ASSIGN_OR_RETURN(ToolBox tools, ToolBox::Make(flags.tools));
  LARDER_ASSIGN_OR_RETURN(EngineOptions options, MakeEngineOptions(flags.engine));
  options.checkpoint = true;
  if (!tools.definitions().empty()) options.caller_bytes = kConstraintBytes;
  LARDER_ASSIGN_OR_RETURN(const std::unique_ptr<Engine> engine, LoadEngine(std::move(options)));
  LARDER_ASSIGN_OR_RETURN(settings.sampler, MakeSamplerParams(flags.sampling, engine->metadata(),
                                                              engine->shape().n_vocab));
  settings.max_tokens = flags.n_tokens;
  settings.ask_before_calls = !flags.yes;
  LARDER_ASSIGN_OR_RETURN(const Tokenizer* tokenizer, engine->tokenizer());
  LARDER_ASSIGN_OR_RETURN(PromptWriter writer,
                          MakePromptWriter(engine->metadata(), tokenizer, flags.chat_template));
  LARDER_ASSIGN_OR_RETURN(std::unique_ptr<Conversation> conversation,
                          Conversation::Make(engine.get(), std::move(writer)));
  const Status offered = conversation->SetTools(tools.definitions());
  if (offered.code() == StatusCode::kUnsupported) {
    PrintError(offered.message());
    tools = ToolBox();
  } else if (!offered.ok()) {
    return offered;
  }
  Chat chat(engine.get(), std::move(conversation), std::move(tools), settings,
            flags.no_history ? "" : ChatHistoryPath());
  if (!flags.load.empty()) LARDER_RETURN_IF_ERROR(chat.Load(flags.load));
  if (!flags.system.empty()) chat.SetSystem(flags.system);
  return chat.Run();
}

}  // namespace

int ChatMain(const Arguments& arguments) {
  CommandLine line("chat", "A conversation; answers go to stdout, all else to stderr.",
                   "  larder chat -m model.gguf --memory 8G\n"
                   "  larder chat -m model.gguf --system \"Answer briefly.\" --think 500\n"
                   "  larder chat -m model.gguf --tools --folder ~/project\n"
                   "  larder chat -m model.gguf --tool-command \"words=wc -w\"\n"
                   "  printf 'Hello!\\n/stats\\n' | larder chat -m model.gguf\n");
  ChatFlags flags;
  AddChatOptions(&line.app(), &flags);
  if (const auto exit_status = line.Parse(arguments)) return *exit_status;
  const Result<int> ended = RunChat(flags);
  return ended.ok() ? *ended : Fail(ended.status());
}

}  // namespace larder
