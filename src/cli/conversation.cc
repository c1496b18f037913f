// Rendering, rewinding, reading, answering.
#include "cli/conversation.h"

#include <algorithm>
#include <span>
#include <utility>

#include "base/clock.h"
#include "cli/constraint_flags.h"
#include "sample/tool_grammar.h"
#include "text/message_json.h"
#include "text/output_reader.h"

namespace larder {

namespace {

std::size_t CommonTokens(const std::vector<std::int32_t>& a, const std::vector<std::int32_t>& b) {
  const std::size_t n = std::min(a.size(), b.size());
  const auto first =
      std::mismatch(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(n), b.begin());
  return static_cast<std::size_t>(first.first - a.begin());
}

}  // namespace

Result<std::unique_ptr<Conversation>> Conversation::Make(Engine* engine, PromptWriter writer) {
  LARDER_ASSIGN_OR_RETURN(const Tokenizer* tokenizer, engine->tokenizer());
  LARDER_ASSIGN_OR_RETURN(std::unique_ptr<Session> session, engine->NewSession());
  return std::unique_ptr<Conversation>(
      new Conversation(engine, tokenizer, std::move(writer), std::move(session)));
}

Status Conversation::SetTools(std::vector<ToolDefinition> tools) {
  tools_.clear();
  calls_.reset();
  if (tools.empty()) return Status::Ok();
  if (style().calls == CallFormat::kNone) {
    return Unsupported("how this model calls tools is not known, so it gets none");
  }
  Result<Grammar> grammar = CompileToolCalls(style().calls, tools, CallChoice::kFree);
  if (grammar.ok()) {
    Result<std::unique_ptr<TokenConstraint>> made =
        MakeConstraint(std::make_shared<const Grammar>(std::move(*grammar)), *tokenizer_);
    if (made.ok()) calls_ = std::move(*made);
  } else if (grammar.status().code() != StatusCode::kUnsupported) {
    return grammar.status();
  }
  tools_ = std::move(tools);
  return Status::Ok();
}

const std::vector<ToolDefinition>& Conversation::ToolsOf(const AnswerOptions& options) const {
  static const std::vector<ToolDefinition> kNone;
  return options.with_tools ? tools_ : kNone;
}

Result<Conversation::Prompt> Conversation::Render(const AnswerOptions& options) const {
  Prompt prompt;
  LARDER_ASSIGN_OR_RETURN(prompt.text,
                          writer_.Render(messages_, ToolsOf(options), {options.think.on, true}));
  LARDER_ASSIGN_OR_RETURN(prompt.tokens, writer_.Encode(prompt.text));
  const auto n_tokens = static_cast<std::int64_t>(prompt.tokens.size());
  if (n_tokens >= capacity()) {
    return InvalidArgument(
        "the conversation is {} tokens long and the context holds {}: take back turns with /undo, "
        "begin again with /clear, or start with a larger --ctx",
        n_tokens, capacity());
  }
  // Some templates refuse to render without the beginning of an answer; then all may change.
  const Result<std::string> stable =
      writer_.Render(messages_, ToolsOf(options), {options.think.on, false});
  if (stable.ok()) {
    LARDER_ASSIGN_OR_RETURN(const std::vector<std::int32_t> tokens, writer_.Encode(*stable));
    prompt.n_stable = CommonTokens(tokens, prompt.tokens);
  }
  prompt.n_stable = std::min(prompt.n_stable, prompt.tokens.size() - 1);
  return prompt;
}

// Makes what the session holds a proper beginning of `tokens`.
void Conversation::Rewind(const std::vector<std::int32_t>& tokens) {
  const std::size_t n_common = CommonTokens(held_, tokens);
  if (!dirty_ && n_common == held_.size() && n_common < tokens.size()) return;
  const std::int64_t checkpoint = session_->checkpoint_tokens();
  const bool reaches = checkpoint >= 0 && static_cast<std::size_t>(checkpoint) <= n_common &&
                       static_cast<std::size_t>(checkpoint) < tokens.size();
  if (reaches) {
    session_->RestoreCheckpoint();
    held_.resize(static_cast<std::size_t>(checkpoint));
  } else {
    session_->Clear();
    held_.clear();
  }
  dirty_ = false;
}

// Ends the phase that is being measured and begins the next.
void Conversation::Take(PhaseFigures* figures, std::int64_t n_tokens, std::int64_t n_evaluated) {
  figures->n_tokens = n_tokens;
  figures->n_evaluated = n_evaluated;
  figures->seconds = SecondsSince(phase_start_us_);
  figures->experts = engine_->expert_stats();
  figures->times = engine_->phase_times();
  engine_->ResetStats();
  phase_start_us_ = NowUs();
}

// Reads up to where the next question's prompt will be the same, and puts the checkpoint there.
Status Conversation::ReadStable(const Prompt& prompt, const AnswerOptions& options) {
  if (prompt.n_stable <= held_.size()) return Status::Ok();
  const std::size_t n_held = held_.size();
  const std::span<const std::int32_t> tokens(prompt.tokens.data() + n_held,
                                             prompt.n_stable - n_held);
  const auto n_new = static_cast<std::int64_t>(prompt.tokens.size() - n_held);
  LARDER_RETURN_IF_ERROR(
      session_->Append(tokens, LogitsFor::kNone, nullptr, [&](std::int64_t n_done) {
        if (options.on_prompt) options.on_prompt(n_done, n_new);
      }));
  held_.insert(held_.end(), tokens.begin(), tokens.end());
  // Results of calls come behind thoughts that go with the next question: the checkpoint stays
  // where that will be the same.
  const bool question = messages_.back().role == Role::kUser;
  if (question || session_->checkpoint_tokens() < 0) session_->SetCheckpoint();
  return Status::Ok();
}

Result<Answer> Conversation::Ask(const AnswerOptions& options) {
  LARDER_CHECK(!messages_.empty());
  LARDER_ASSIGN_OR_RETURN(const Prompt prompt, Render(options));
  Rewind(prompt.tokens);
  // Until an answer has ended well, only the checkpoint is to be trusted.
  dirty_ = true;
  engine_->ResetStats();
  phase_start_us_ = NowUs();
  if (options.watch) options.watch(session_.get());
  Result<Answer> answer = Generate(prompt, options);
  if (options.watch) options.watch(nullptr);
  return answer;
}

Result<Answer> Conversation::Generate(const Prompt& prompt, const AnswerOptions& options) {
  Answer answer;
  answer.n_reused = static_cast<std::int64_t>(held_.size());
  const auto n_new = static_cast<std::int64_t>(prompt.tokens.size() - held_.size());
  LARDER_RETURN_IF_ERROR(ReadStable(prompt, options));
  OutputReader reader(tokenizer_, style(), ToolsOf(options), prompt.text, options.think);
  MessageBuilder builder;
  std::vector<OutputDelta> deltas;
  const auto deliver = [&]() -> Status {
    for (const OutputDelta& one : std::exchange(deltas, {})) {
      builder.Add(one);
      if (options.on_delta) LARDER_RETURN_IF_ERROR(options.on_delta(one));
    }
    return Status::Ok();
  };
  const std::size_t n_first = held_.size();
  const std::vector<std::int32_t> tail(prompt.tokens.begin() + static_cast<std::ptrdiff_t>(n_first),
                                       prompt.tokens.end());
  std::vector<std::int32_t> tokens = prompt.tokens;
  GenerationOptions generation;
  generation.max_tokens = options.max_tokens;
  generation.sampler = options.sampler;
  generation.before = std::span(prompt.tokens).first(n_first);
  if (options.with_tools && calls_ != nullptr) {
    calls_->Reset();
    generation.constraint = calls_.get();
    generation.unconstrained = [&reader] { return reader.in_reasoning(); };
  }
  generation.interrupted = options.interrupted;
  generation.on_prompt_done = [&] {
    if (options.watch) options.watch(nullptr);
    if (options.on_prompt) options.on_prompt(n_new, n_new);
    Take(&answer.prompt, n_new, n_new);
  };
  generation.on_token = [&](std::int32_t token) -> Status {
    tokens.push_back(token);
    reader.Push(token, &deltas);
    return deliver();
  };
  generation.forced = [&reader] { return reader.Forced(); };
  generation.goes_on_after = [&reader](std::int32_t token) { return reader.GoesOnAfter(token); };
  LARDER_ASSIGN_OR_RETURN(answer.stop, larder::Generate(*session_, tokenizer_, tail, generation));
  const auto n_prompt = static_cast<std::int64_t>(prompt.tokens.size());
  Take(&answer.answer, static_cast<std::int64_t>(tokens.size()) - n_prompt,
       std::max<std::int64_t>(session_->n_tokens() - n_prompt, 0));
  reader.Finish(&deltas);
  LARDER_RETURN_IF_ERROR(deliver());
  // An interrupt may have cancelled the last token's step.
  dirty_ = answer.stop == StopReason::kInterrupted;
  tokens.resize(static_cast<std::size_t>(session_->n_tokens()));
  held_ = std::move(tokens);
  answer.n_reasoning_tokens = reader.n_reasoning_tokens();
  answer.failures = builder.failures();
  int n_calls = 0;
  for (const Message& message : messages_) n_calls += static_cast<int>(message.tool_calls.size());
  answer.message = builder.Build(n_calls + 1);
  return answer;
}

}  // namespace larder
