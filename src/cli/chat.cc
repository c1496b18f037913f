// Lines in, answers out.
#include "cli/chat.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <utility>

#include "cli/command.h"
#include "cli/progress.h"
#include "cli/token_list.h"
#include "text/message_json.h"

namespace larder {

namespace {

constexpr std::uint64_t kMaxChatBytes = 256 << 20;

// A model that calls tools for ever is stopped.
constexpr int kMaxRounds = 25;

constexpr std::string_view kQuotes = "\"\"\"";

// What is shown of a tool's result; whole characters.
std::string Beginning(const std::string& text) {
  constexpr std::size_t kShownBytes = 200;
  if (text.size() <= kShownBytes) return text;
  std::size_t end = kShownBytes;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  return text.substr(0, end) + " ...";
}

bool IsBlank(const std::string& text) {
  return text.find_first_not_of(" \t\r\n") == std::string::npos;
}

}  // namespace

Chat::Chat(Engine* engine, std::unique_ptr<Conversation> conversation, ToolBox tools,
           ChatSettings settings, std::string history_path)
    : engine_(engine),
      conversation_(std::move(conversation)),
      tools_(std::move(tools)),
      settings_(settings),
      reader_(MakeLineReader(history_path, [this] { return interrupt_.requested(); })) {}

void Chat::SetSystem(const std::string& text) {
  std::vector<Message>& messages = conversation_->messages();
  if (!messages.empty() && messages[0].role == Role::kSystem) messages.erase(messages.begin());
  if (!text.empty()) messages.insert(messages.begin(), SystemMessage(text));
}

Status Chat::Load(const std::string& path) {
  LARDER_ASSIGN_OR_RETURN(const std::string text, ReadRegularFile(path, kMaxChatBytes));
  Result<std::vector<Message>> messages = ConversationFromJson(text);
  if (!messages.ok()) return messages.status().WithContext(path);
  conversation_->messages() = std::move(messages).value();
  return Status::Ok();
}

Result<int> Chat::Run() {
  if (!tools_.warning().empty()) screen_.Note(tools_.warning());
  if (reader_->on_terminal()) {
    screen_.Note("/help shows what there is, /exit or Ctrl-D ends; Ctrl-C stops an answer");
  }
  for (;;) {
    bool ended = false;
    const std::optional<std::string> message = ReadMessage(&ended);
    if (ended) return was_refused_ && !reader_->on_terminal() ? kExitFailure : kExitSuccess;
    if (interrupt_.requested()) {
      if (!interrupt_.only_ctrl_c()) return InterruptExitStatus();
      interrupt_.Forget();
      // Without a terminal nobody is there to go on.
      if (!reader_->on_terminal()) return InterruptExitStatus();
    }
    if (!message || IsBlank(*message)) continue;
    const Status valid = CheckUtf8(*message, "this message");
    if (!valid.ok()) {
      screen_.Note("larder: " + valid.message());
      was_refused_ = true;
      continue;
    }
    reader_->Remember(*message);
    if ((*message)[0] == '/' && !quoted_) {
      LARDER_ASSIGN_OR_RETURN(const Next next, Command(*message));
      if (next == Next::kExit) return kExitSuccess;
    } else {
      conversation_->messages().push_back(UserMessage(std::exchange(attached_, "") + *message));
      LARDER_RETURN_IF_ERROR(Reply());
    }
    if (interrupt_.requested() && !interrupt_.only_ctrl_c()) return InterruptExitStatus();
    interrupt_.Forget();
  }
}

// A message: one line; more behind a line that ends with a backslash, between lines of three
// quotes, or in what was pasted at once. Nothing after Ctrl-C.
std::optional<std::string> Chat::ReadMessage(bool* ended) {
  std::string text;
  LineReader::Outcome outcome = reader_->Read("> ", &text);
  *ended = outcome == LineReader::Outcome::kEnd;
  if (outcome != LineReader::Outcome::kLine) return std::nullopt;
  quoted_ = text.compare(0, kQuotes.size(), kQuotes) == 0;
  if (quoted_) {
    text.erase(0, kQuotes.size());
    if (!ReadBlock(&text)) return std::nullopt;
    return text;
  }
  while ((!text.empty() && text.back() == '\\') ||
         (!text.empty() && text[0] != '/' && reader_->more_waits())) {
    if (text.back() == '\\') text.pop_back();
    std::string line;
    outcome = reader_->Read(". ", &line);
    if (outcome == LineReader::Outcome::kInterrupted) return std::nullopt;
    if (outcome == LineReader::Outcome::kEnd) break;
    text += "\n" + line;
  }
  return text;
}

// Up to the line that ends with three quotes.
bool Chat::ReadBlock(std::string* text) {
  for (;;) {
    const bool closed = text->size() >= kQuotes.size() &&
                        text->compare(text->size() - kQuotes.size(), kQuotes.size(), kQuotes) == 0;
    if (closed) {
      text->erase(text->size() - kQuotes.size());
      if (!text->empty() && text->front() == '\n') text->erase(0, 1);
      if (!text->empty() && text->back() == '\n') text->pop_back();
      return true;
    }
    std::string line;
    const LineReader::Outcome outcome = reader_->Read(". ", &line);
    if (outcome == LineReader::Outcome::kInterrupted) return false;
    if (outcome == LineReader::Outcome::kEnd) return true;
    *text += "\n" + line;
  }
}

// Answers, and runs what the model calls, until it calls nothing more.
Status Chat::Reply() {
  for (int round = 0; round < kMaxRounds; ++round) {
    const Result<Answer> answer = AskModel();
    if (!answer.ok()) {
      DropLastQuestion();
      if (answer.status().code() == StatusCode::kCancelled) {
        screen_.Note("stopped before the answer; the message is taken back");
        return Status::Ok();
      }
      if (answer.status().code() != StatusCode::kInvalidArgument) return answer.status();
      screen_.Note("larder: " + answer.status().message());
      was_refused_ = true;
      return Status::Ok();
    }
    last_ = *answer;
    for (const std::string& failure : answer->failures) screen_.Note("larder: " + failure);
    ShowFigures(*answer);
    if (answer->stop == StopReason::kInterrupted) {
      KeepInterrupted(*answer);
      return Status::Ok();
    }
    conversation_->messages().push_back(answer->message);
    if (answer->message.tool_calls.empty()) return Status::Ok();
    bool stopped = false;
    LARDER_RETURN_IF_ERROR(RunCalls(answer->message.tool_calls, &stopped));
    if (stopped) return Status::Ok();
  }
  screen_.Note(fmt::format("stopped: {} answers in a row called a tool", kMaxRounds));
  return Status::Ok();
}

Result<Answer> Chat::AskModel() {
  AnswerOptions options;
  options.sampler = settings_.sampler;
  // A seed of its own for each answer, the same for a chat that was saved and loaded.
  const std::vector<Message>& messages = conversation_->messages();
  const auto n_answers =
      std::count_if(messages.begin(), messages.end(),
                    [](const Message& message) { return message.role == Role::kAssistant; });
  options.sampler.seed += static_cast<std::uint64_t>(n_answers) + n_other_answers_;
  options.max_tokens = settings_.max_tokens;
  options.think = settings_.think;
  options.with_tools = settings_.use_tools;
  ProgressLine progress("reading", ProgressLine::Unit::kTokens);
  options.on_prompt = [&progress](std::int64_t n_done, std::int64_t n_total) {
    progress.Update(static_cast<std::uint64_t>(n_done), static_cast<std::uint64_t>(n_total));
  };
  options.on_delta = [&](const OutputDelta& delta) -> Status {
    progress.Erase();
    if (delta.kind == OutputDelta::Kind::kText) return screen_.Answer(delta.text);
    if (delta.kind == OutputDelta::Kind::kReasoning) screen_.Reasoning(delta.text);
    return Status::Ok();
  };
  options.interrupted = [this] { return interrupt_.requested(); };
  options.watch = [this](Session* session) { interrupt_.Watch(session); };
  Result<Answer> answer = conversation_->Ask(options);
  progress.Erase();
  screen_.EndLine();
  return answer;
}

// What was said before Ctrl-C stays; if nothing was, the question goes too.
void Chat::KeepInterrupted(const Answer& answer) {
  Message message = answer.message;
  message.tool_calls.clear();
  if (!message.text || IsBlank(*message.text)) {
    DropLastQuestion();
    screen_.Note("stopped; the message is taken back");
    return;
  }
  conversation_->messages().push_back(std::move(message));
  screen_.Note("stopped");
}

// Takes back the last question and all behind it.
void Chat::DropLastQuestion() {
  std::vector<Message>& messages = conversation_->messages();
  while (!messages.empty() && messages.back().role != Role::kSystem) {
    const bool question = messages.back().role == Role::kUser;
    messages.pop_back();
    if (question) return;
  }
}

// Ctrl-C during a call ends that call and keeps those behind it from being run; the model hears of
// it and goes on. Ctrl-C while a call is asked for takes back the message.
Status Chat::RunCalls(const std::vector<ToolCall>& calls, bool* stopped) {
  bool cut = false;
  for (const ToolCall& call : calls) {
    std::string result = R"({"error":"the user did not allow it"})";
    if (cut) {
      result = R"({"error":"not run: the user stopped the call before it"})";
    } else if (!*stopped && !interrupt_.requested() && Allowed(call)) {
      result = tools_.Run(call, [this, &cut] { return cut = interrupt_.requested(); });
      screen_.Figures("  " + WithoutControls(Beginning(result)));
    }
    if (cut && interrupt_.only_ctrl_c() && interrupt_.requested()) {
      interrupt_.Forget();
      screen_.Note("the command is stopped, and the model is told");
    }
    *stopped = *stopped || interrupt_.requested();
    conversation_->messages().push_back(ToolMessage(call, result));
  }
  if (*stopped) {
    DropLastQuestion();
    screen_.Note("stopped; the message is taken back");
  }
  return Status::Ok();
}

bool Chat::Allowed(const ToolCall& call) {
  screen_.Note("call: " + WithoutControls(tools_.Describe(call)));
  if (!settings_.ask_before_calls) return true;
  reader_->ForgetTyped();
  for (;;) {
    std::string word;
    const LineReader::Outcome outcome = reader_->Read("run it? y(es), n(o), a(lways): ", &word);
    if (outcome != LineReader::Outcome::kLine || word.empty()) return false;
    for (char& c : word) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    if (word == "a" || word == "always") settings_.ask_before_calls = false;
    if (word == "y" || word == "yes" || word == "a" || word == "always") return true;
    if (word == "n" || word == "no") return false;
    // Without a terminal the next line is rather a message than a second answer.
    screen_.Note("that is neither y, n nor a" +
                 std::string(reader_->on_terminal() ? "" : ": it is not run"));
    if (!reader_->on_terminal()) return false;
  }
}

void Chat::ShowFigures(const Answer& answer) {
  std::string line = fmt::format("{:.1f} tokens/s", answer.answer.tokens_per_second());
  if (answer.answer.n_evaluated > 0) {
    line += fmt::format(", hit rate {:.1f} %", 100 * HitRate(answer.answer.experts));
  }
  line +=
      fmt::format(", read {} tokens ({} kept), context {} of {}", answer.prompt.n_tokens,
                  answer.n_reused, conversation_->n_context_tokens(), conversation_->capacity());
  if (answer.stop == StopReason::kLength) line += ", cut at the longest answer (/set max)";
  if (answer.stop == StopReason::kContextFull) line += ", cut: the context is full (/undo, /clear)";
  screen_.Figures(line);
}

}  // namespace larder
