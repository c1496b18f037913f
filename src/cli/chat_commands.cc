// What begins with a slash.
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <utility>

#include "base/memory.h"
#include "base/size.h"
#include "cli/chat.h"
#include "cli/suggest.h"
#include "cli/text_file.h"
#include "cli/token_list.h"
#include "text/message_json.h"

namespace larder {

namespace {

constexpr const char* kHelp =
    "/help              this\n"
    "/system [TEXT]     set the system message; without a text: take it away\n"
    "/clear             begin again (the system message stays)\n"
    "/regen             another answer to the last message\n"
    "/undo              take back the last message and its answer\n"
    "/save FILE         write the chat to a file\n"
    "/load FILE         go on with a saved chat\n"
    "/read FILE         put a file before the next message\n"
    "/stats             figures of the last answer\n"
    "/set [KEY VALUE]   temp, top-k, top-p, min-p, repeat-penalty, presence-penalty,\n"
    "                   frequency-penalty, seed, max, think, tools, ask; alone: show them\n"
    "/exit              end (also Ctrl-D)\n"
    "A line that ends with \\ goes on; \"\"\" begins and ends a message of several lines.";

constexpr std::uint64_t kMaxFileBytes = 16 << 20;

constexpr std::pair<const char*, double SamplerParams::*> kNumbers[] = {
    {"temp", &SamplerParams::temperature},
    {"top-p", &SamplerParams::top_p},
    {"min-p", &SamplerParams::min_p},
    {"repeat-penalty", &SamplerParams::repeat_penalty},
    {"presence-penalty", &SamplerParams::presence_penalty},
    {"frequency-penalty", &SamplerParams::frequency_penalty},
};

std::string Trimmed(const std::string& text) {
  const std::size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string::npos) return "";
  return text.substr(begin, text.find_last_not_of(" \t\r\n") - begin + 1);
}

// "~/x" as a shell means it.
std::string WithHome(const std::string& path) {
  const char* home = std::getenv("HOME");
  if (home == nullptr || path.compare(0, 2, "~/") != 0) return path;
  return home + path.substr(1);
}

Result<double> ParseNumber(const std::string& text) {
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  if (text.empty() || *end != '\0') return InvalidArgument("'{}' is not a number", text);
  return value;
}

Result<std::int64_t> ParseWhole(const std::string& text, std::int64_t least) {
  LARDER_ASSIGN_OR_RETURN(const double value, ParseNumber(text));
  const bool whole = value >= static_cast<double>(least) && value <= 9e15 &&
                     value == static_cast<double>(static_cast<std::int64_t>(value));
  if (!whole) return InvalidArgument("'{}' is not a whole number of at least {}", text, least);
  return static_cast<std::int64_t>(value);
}

Result<bool> ParseOnOff(const std::string& text) {
  if (text == "on") return true;
  if (text == "off") return false;
  return InvalidArgument("it is 'on' or 'off', not '{}'", text);
}

}  // namespace

Result<Chat::Next> Chat::Command(const std::string& line) {
  const std::size_t space = line.find_first_of(" \t\n");
  const std::string name = line.substr(0, space);
  const std::string rest = space == std::string::npos ? "" : Trimmed(line.substr(space));
  if (name == "/help") return Help();
  if (name == "/exit" || name == "/quit") return Next::kExit;
  if (name == "/system") return System(rest);
  if (name == "/clear") return Clear();
  if (name == "/regen") return Regenerate();
  if (name == "/undo") return Undo();
  if (name == "/save") return Save(rest);
  if (name == "/load") return LoadCommand(rest);
  if (name == "/read") return ReadFile(rest);
  if (name == "/stats") return Stats();
  if (name == "/set") return Set(rest);
  const std::string nearest =
      NearestWord(name, {"/help", "/exit", "/system", "/clear", "/regen", "/undo", "/save", "/load",
                         "/read", "/stats", "/set"});
  screen_.Note(fmt::format("there is no {}{}; /help shows what there is", name,
                           nearest.empty() ? "" : ", did you mean " + nearest + "?"));
  return Next::kGoOn;
}

Chat::Next Chat::Help() {
  screen_.Note(kHelp);
  return Next::kGoOn;
}

Chat::Next Chat::System(const std::string& text) {
  SetSystem(text);
  screen_.Note(text.empty() ? "no system message" : "the system message is set");
  return Next::kGoOn;
}

Chat::Next Chat::Clear() {
  std::vector<Message>& messages = conversation_->messages();
  const bool has_system = !messages.empty() && messages[0].role == Role::kSystem;
  messages.resize(has_system ? 1 : 0);
  attached_.clear();
  last_.reset();
  screen_.Note("a new conversation");
  return Next::kGoOn;
}

Result<Chat::Next> Chat::Regenerate() {
  std::vector<Message>& messages = conversation_->messages();
  std::size_t n_kept = messages.size();
  while (n_kept > 0 && messages[n_kept - 1].role != Role::kUser) --n_kept;
  if (n_kept == 0) {
    screen_.Note("there is no message to answer yet");
    return Next::kGoOn;
  }
  const std::vector<Message> before = messages;
  messages.resize(n_kept);
  ++n_other_answers_;
  LARDER_RETURN_IF_ERROR(Reply());
  if (messages.size() <= n_kept) {
    messages = before;
    screen_.Note("the answer before it stays");
  }
  return Next::kGoOn;
}

Chat::Next Chat::Undo() {
  std::vector<Message>& messages = conversation_->messages();
  const std::size_t n_before = messages.size();
  DropLastQuestion();
  if (messages.size() == n_before) {
    screen_.Note("there is nothing to take back");
  } else {
    screen_.Note(fmt::format("taken back; {} messages are left", messages.size()));
  }
  return Next::kGoOn;
}

Chat::Next Chat::Save(const std::string& path) {
  if (path.empty()) {
    screen_.Note("/save needs a file's name");
    return Next::kGoOn;
  }
  const Status saved =
      ReplaceTextFile(WithHome(path), ConversationToJson(conversation_->messages()));
  screen_.Note(saved.ok() ? fmt::format("saved {} messages", conversation_->messages().size())
                          : "larder: " + saved.message());
  return Next::kGoOn;
}

Chat::Next Chat::LoadCommand(const std::string& path) {
  const Status loaded =
      path.empty() ? InvalidArgument("/load needs a file's name") : Load(WithHome(path));
  screen_.Note(loaded.ok() ? fmt::format("{} messages", conversation_->messages().size())
                           : "larder: " + loaded.message());
  return Next::kGoOn;
}

Chat::Next Chat::ReadFile(const std::string& path) {
  Result<std::string> text = path.empty()
                                 ? Result<std::string>(InvalidArgument("/read needs a file's name"))
                                 : ReadRegularFile(WithHome(path), kMaxFileBytes);
  if (text.ok()) {
    const Status valid = CheckUtf8(*text, path);
    if (!valid.ok()) text = valid;
  }
  if (!text.ok()) {
    screen_.Note("larder: " + text.status().message());
    return Next::kGoOn;
  }
  attached_ +=
      path + ":\n```\n" + *text + (text->empty() || text->back() == '\n' ? "" : "\n") + "```\n\n";
  screen_.Note(fmt::format("{} goes before the next message", path));
  return Next::kGoOn;
}

Chat::Next Chat::Stats() {
  if (!last_) {
    screen_.Note("there was no answer yet");
    return Next::kGoOn;
  }
  const auto rate = [](const PhaseFigures& phase) {
    return fmt::format("{} tokens in {:.2f} s, {:.1f} tokens/s, hit rate {:.1f} %, read {}",
                       phase.n_tokens, phase.seconds, phase.tokens_per_second(),
                       100 * HitRate(phase.experts), FormatBytes(phase.experts.bytes_read));
  };
  screen_.Note("prompt: " + rate(last_->prompt) +
               fmt::format(", {} tokens were kept", last_->n_reused));
  screen_.Note("answer: " + rate(last_->answer) +
               fmt::format(", {} of them reasoning", last_->n_reasoning_tokens));
  screen_.Note(fmt::format("context: {} of {} positions; peak memory {} of {}",
                           conversation_->n_context_tokens(), conversation_->capacity(),
                           FormatBytes(PeakResidentBytes()),
                           FormatBytes(engine_->plan().budget_bytes)));
  return Next::kGoOn;
}

void Chat::ShowSettings() {
  const SamplerParams& sampler = settings_.sampler;
  screen_.Note(
      fmt::format("temp {:g}, top-k {}, top-p {:g}, min-p {:g}, repeat-penalty {:g}, "
                  "presence-penalty {:g}, frequency-penalty {:g}, seed {}, max {}, think {}, "
                  "tools {}, ask {}",
                  sampler.temperature, sampler.top_k, sampler.top_p, sampler.min_p,
                  sampler.repeat_penalty, sampler.presence_penalty, sampler.frequency_penalty,
                  sampler.seed, settings_.max_tokens, DescribeThink(settings_.think),
                  settings_.use_tools && !tools_.definitions().empty() ? "on" : "off",
                  settings_.ask_before_calls ? "on" : "off"));
}

Chat::Next Chat::Set(const std::string& words) {
  const std::size_t space = words.find_first_of(" \t=");
  if (!words.empty()) {
    std::string value = space == std::string::npos ? "" : Trimmed(words.substr(space));
    if (!value.empty() && value[0] == '=') value = Trimmed(value.substr(1));
    const Status put = PutSetting(words.substr(0, space), value);
    if (!put.ok()) {
      screen_.Note("larder: " + put.message());
      return Next::kGoOn;
    }
  }
  ShowSettings();
  return Next::kGoOn;
}

Status Chat::PutSetting(const std::string& key, const std::string& value) {
  ChatSettings changed = settings_;
  const auto number = std::find_if(std::begin(kNumbers), std::end(kNumbers),
                                   [&key](const auto& known) { return key == known.first; });
  if (number != std::end(kNumbers)) {
    LARDER_ASSIGN_OR_RETURN(changed.sampler.*(number->second), ParseNumber(value));
  } else if (key == "top-k") {
    LARDER_ASSIGN_OR_RETURN(const std::int64_t top_k, ParseWhole(value, 0));
    changed.sampler.top_k = static_cast<int>(std::min<std::int64_t>(top_k, 1 << 30));
  } else if (key == "seed") {
    LARDER_ASSIGN_OR_RETURN(const std::int64_t seed, ParseWhole(value, 0));
    changed.sampler.seed = static_cast<std::uint64_t>(seed);
    n_other_answers_ = 0;
  } else if (key == "max") {
    LARDER_ASSIGN_OR_RETURN(changed.max_tokens, ParseWhole(value, 1));
  } else if (key == "think") {
    LARDER_ASSIGN_OR_RETURN(changed.think, ParseThink(value));
  } else if (key == "tools") {
    LARDER_ASSIGN_OR_RETURN(changed.use_tools, ParseOnOff(value));
    if (changed.use_tools && tools_.definitions().empty()) {
      return InvalidArgument("there are no tools; start with --tools");
    }
  } else if (key == "ask") {
    LARDER_ASSIGN_OR_RETURN(changed.ask_before_calls, ParseOnOff(value));
  } else {
    return InvalidArgument(
        "there is no setting '{}'; there are temp, top-k, top-p, min-p, repeat-penalty, "
        "presence-penalty, frequency-penalty, seed, max, think, tools and ask",
        key);
  }
  LARDER_RETURN_IF_ERROR(CheckSamplerParams(changed.sampler));
  settings_ = changed;
  return Status::Ok();
}

}  // namespace larder
