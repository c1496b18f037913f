// Prompts to answers.
#include "cli/eval_runner.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "cli/divergence.h"
#include "cli/generation.h"

namespace larder {

namespace {

double LogProbability(std::span<const float> logits, std::int32_t token) {
  return static_cast<double>(logits[static_cast<std::size_t>(token)]) - LogSumExp(logits);
}

// An answer as it comes. Conversations and calls go through the reader of the model's format, as in
// `run`; the text behind a bare prompt is taken as it is.
class AnswerText {
 public:
  AnswerText(const EvalTask& task, const Tokenizer* tokenizer, const OutputStyle& style,
             const std::string& prompt, ThinkMode think)
      : task_(task), decoder_(*tokenizer) {
    if (task.messages.empty() && task.kind != EvalTask::Kind::kToolCall) return;
    std::vector<ToolDefinition> tools = task.tools;
    // Calls are looked for only where there are tools.
    if (tools.empty() && task.kind == EvalTask::Kind::kToolCall) {
      tools.push_back(MakeTool(task.tool_name, "", "{}"));
    }
    reader_.emplace(tokenizer, style, tools, prompt, think);
  }

  /// False once the text holds one of the task's stops.
  bool Push(std::int32_t token) {
    if (reader_) {
      reader_->Push(token, &deltas_);
      Take();
    } else {
      text_ += decoder_.Push(token);
    }
    return CutAtStop(task_, text_).size() == text_.size();
  }

  void Finish() {
    if (reader_) {
      reader_->Finish(&deltas_);
      Take();
    } else {
      text_ += decoder_.Flush();
    }
    text_ = CutAtStop(task_, text_);
  }

  std::optional<OutputReader>& reader() { return reader_; }
  const std::string& text() const { return text_; }
  const MessageBuilder& builder() const { return builder_; }

 private:
  void Take() {
    for (const OutputDelta& delta : deltas_) {
      builder_.Add(delta);
      if (delta.kind == OutputDelta::Kind::kText) text_ += delta.text;
    }
    deltas_.clear();
  }

  const EvalTask& task_;
  StreamDecoder decoder_;
  std::optional<OutputReader> reader_;
  std::vector<OutputDelta> deltas_;
  MessageBuilder builder_;
  std::string text_;
};

// What the results show of an answer with calls.
std::string CallsText(const Message& message, const std::vector<std::string>& failures) {
  std::string text = message.text.value_or("");
  for (const ToolCall& call : message.tool_calls) {
    text += fmt::format("{}{}({})", text.empty() ? "" : "\n", call.name, call.arguments_json);
  }
  for (const std::string& failure : failures) {
    text += fmt::format("{}a call that broke: {}", text.empty() ? "" : "\n", failure);
  }
  return text;
}

}  // namespace

Status EvalRunner::CheckInterrupt() const {
  // Clear and RestoreCheckpoint forget a cancellation that came before them.
  if (options_.interrupted && options_.interrupted()) return Cancelled("interrupted");
  return Status::Ok();
}

Result<EvalAnswer> EvalRunner::Answer(const EvalTask& task, std::uint64_t seed) {
  EvalAnswer answer;
  answer.group = task.group;
  answer.id = task.id;
  answer.seed = seed;
  Result<Prompt> prompt = MakePrompt(task);
  if (!prompt.ok()) return prompt.status().WithContext(fmt::format("task {}", task.id));
  const Status status = task.kind == EvalTask::Kind::kChoice
                            ? ScoreChoices(task, *prompt, &answer)
                            : Generate(task, *prompt, seed, &answer);
  if (!status.ok()) return status.WithContext(fmt::format("task {}", task.id));
  return answer;
}

Result<EvalRunner::Prompt> EvalRunner::MakePrompt(const EvalTask& task) const {
  Prompt prompt;
  if (task.messages.empty()) {
    prompt.text = task.prompt;
    LARDER_ASSIGN_OR_RETURN(prompt.tokens, tokenizer_.Encode(task.prompt, {.add_special = true,
                                                                           .parse_special = true}));
  } else {
    LARDER_ASSIGN_OR_RETURN(prompt.text,
                            writer_.Render(task.messages, task.tools, {options_.think.on, true}));
    LARDER_ASSIGN_OR_RETURN(prompt.tokens, writer_.Encode(prompt.text));
  }
  if (prompt.tokens.empty()) return InvalidArgument("the prompt has no tokens");
  return prompt;
}

Result<EvalRunner::Continuation> EvalRunner::Continue(const EvalTask& task, const Prompt& prompt,
                                                      const std::string& choice) const {
  Continuation whole;
  if (task.messages.empty()) {
    LARDER_ASSIGN_OR_RETURN(
        whole.tokens,
        tokenizer_.Encode(prompt.text + choice, {.add_special = true, .parse_special = true}));
  } else {
    LARDER_ASSIGN_OR_RETURN(whole.tokens, writer_.Encode(prompt.text + choice));
  }
  // A choice that melts into the prompt's last token is scored from there.
  whole.n_prompt = std::min(prompt.tokens.size(), whole.tokens.size() - 1);
  if (whole.tokens.empty() || whole.n_prompt == 0) {
    return InvalidArgument(
        "the prompt and the choice \"{}\" are one token, before which nothing stands; begin the "
        "prompt with more text",
        choice);
  }
  return whole;
}

Result<std::int64_t> EvalRunner::CountPositions(const EvalTask& task) const {
  const Result<Prompt> prompt = MakePrompt(task);
  if (!prompt.ok()) return prompt.status().WithContext(fmt::format("task {}", task.id));
  std::size_t n_positions = task.choices.empty() ? prompt->tokens.size() : 0;
  for (const std::string& choice : task.choices) {
    const Result<Continuation> whole = Continue(task, *prompt, choice);
    if (!whole.ok()) return whole.status().WithContext(fmt::format("task {}", task.id));
    n_positions = std::max(n_positions, whole->tokens.size() - 1);
  }
  return static_cast<std::int64_t>(n_positions);
}

// The log probability of whole[n_prompt:] behind whole[:n_prompt], which is computed once for all
// choices that share it.
Result<double> EvalRunner::ScoreChoice(std::span<const std::int32_t> whole, std::size_t n_prompt) {
  const std::span<const std::int32_t> prompt = whole.first(n_prompt);
  if (std::equal(prompt.begin(), prompt.end(), at_checkpoint_.begin(), at_checkpoint_.end())) {
    session_.RestoreCheckpoint();
    LARDER_RETURN_IF_ERROR(CheckInterrupt());
  } else {
    at_checkpoint_.clear();
    session_.Clear();
    LARDER_RETURN_IF_ERROR(CheckInterrupt());
    const auto keep = [this](std::int64_t, std::span<const float> logits) {
      checkpoint_logits_.assign(logits.begin(), logits.end());
    };
    LARDER_RETURN_IF_ERROR(session_.Append(prompt, LogitsFor::kLastToken, keep));
    session_.SetCheckpoint();
    at_checkpoint_.assign(prompt.begin(), prompt.end());
  }
  double sum = LogProbability(checkpoint_logits_, whole[n_prompt]);
  const auto add = [&sum, whole](std::int64_t position, std::span<const float> logits) {
    sum += LogProbability(logits, whole[static_cast<std::size_t>(position) + 1]);
  };
  // The last token is never fed: nothing follows it.
  const std::span<const std::int32_t> fed = whole.subspan(n_prompt, whole.size() - n_prompt - 1);
  if (!fed.empty()) LARDER_RETURN_IF_ERROR(session_.Append(fed, LogitsFor::kAllTokens, add));
  return sum;
}

// A choice's tokens are what prompt and choice together have beyond the prompt's number, as the
// field counts them.
Status EvalRunner::ScoreChoices(const EvalTask& task, const Prompt& prompt, EvalAnswer* answer) {
  at_checkpoint_.clear();
  for (const std::string& choice : task.choices) {
    LARDER_ASSIGN_OR_RETURN(const Continuation whole, Continue(task, prompt, choice));
    LARDER_ASSIGN_OR_RETURN(const double sum, ScoreChoice(whole.tokens, whole.n_prompt));
    answer->logprobs.push_back(sum);
  }
  answer->checks = JudgeChoice(task, answer->logprobs);
  return Status::Ok();
}

Status EvalRunner::Generate(const EvalTask& task, const Prompt& prompt, std::uint64_t seed,
                            EvalAnswer* answer) {
  AnswerText text(task, &tokenizer_, writer_.style(), prompt.text, options_.think);
  GenerationOptions options;
  options.max_tokens = task.max_tokens;
  options.sampler = options_.sampler;
  options.sampler.seed = seed;
  options.interrupted = options_.interrupted;
  bool has_stopped = false;
  options.on_token = [&text, &has_stopped](std::int32_t token) -> Status {
    has_stopped = !text.Push(token);
    return has_stopped ? Internal("a stop was reached") : Status::Ok();
  };
  if (text.reader()) {
    options.forced = [&text] { return text.reader()->Forced(); };
    options.goes_on_after = [&text](std::int32_t token) {
      return text.reader()->GoesOnAfter(token);
    };
  }
  at_checkpoint_.clear();
  session_.Clear();
  LARDER_RETURN_IF_ERROR(CheckInterrupt());
  const Result<StopReason> stopped =
      larder::Generate(session_, &tokenizer_, prompt.tokens, options);
  if (!stopped.ok() && !has_stopped) return stopped.status();
  if (stopped.ok() && *stopped == StopReason::kInterrupted) return Cancelled("interrupted");
  text.Finish();
  answer->text = text.text();
  if (task.kind == EvalTask::Kind::kToolCall) {
    const Message message = text.builder().Build();
    answer->text = CallsText(message, text.builder().failures());
    answer->checks = JudgeCall(task, message, text.builder().failures().size());
  } else {
    answer->checks = JudgeText(task, Trimmed(answer->text));
  }
  return Status::Ok();
}

}  // namespace larder
