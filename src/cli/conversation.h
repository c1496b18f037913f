// A conversation with a model: its messages, and a session that keeps what was read of them. For
// every answer the whole conversation is rendered by the model's template; what the session holds
// of that already is not read again. Where the rendering has changed (templates drop old
// thoughts), the session goes back to its checkpoint, which stands behind the last question, or
// begins again, since recurrent state cannot be cut: the logits are those of the whole conversation
// read at once. One thread; borrows the engine.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "cli/generation.h"
#include "cli/timing.h"
#include "engine/engine.h"
#include "engine/session.h"
#include "sample/sampler.h"
#include "sample/token_constraint.h"
#include "text/message.h"
#include "text/prompt_writer.h"
#include "text/think_mode.h"

namespace larder {

struct AnswerOptions {
  SamplerParams sampler;
  std::int64_t max_tokens = 0;
  ThinkMode think;
  bool with_tools = true;  // those of SetTools
  std::function<Status(const OutputDelta& delta)> on_delta;
  std::function<void(std::int64_t n_done, std::int64_t n_total)> on_prompt;
  std::function<bool()> interrupted;
  /// Around the reading of a prompt, which may be cancelled: the session, then null.
  std::function<void(Session* session)> watch;
};

struct Answer {
  Message message;
  std::vector<std::string> failures;  // sentences about calls that broke
  StopReason stop = StopReason::kEndOfGeneration;
  std::int64_t n_reused = 0;  // tokens of the conversation that were not read again
  std::int64_t n_reasoning_tokens = 0;
  PhaseFigures prompt;
  PhaseFigures answer;
};

class Conversation {
 public:
  static Result<std::unique_ptr<Conversation>> Make(Engine* engine, PromptWriter writer);

  /// What the model may call. Calls are held to the tools' schemas where the model's format allows
  /// it; that takes up to kConstraintBytes. kUnsupported: how this model calls is not known, and it
  /// is offered no tools. Failures of a schema name the tool.
  Status SetTools(std::vector<ToolDefinition> tools);

  std::vector<Message>& messages() { return messages_; }
  const std::vector<Message>& messages() const { return messages_; }
  const OutputStyle& style() const { return writer_.style(); }

  /// The model's answer to the messages; it is not added to them. kInvalidArgument when they do not
  /// fit the context, with advice, or the template refuses them. kCancelled: interrupted while
  /// they were read.
  Result<Answer> Ask(const AnswerOptions& options);

  std::int64_t n_context_tokens() const { return static_cast<std::int64_t>(held_.size()); }
  std::int64_t capacity() const { return session_->capacity(); }

 private:
  Conversation(Engine* engine, const Tokenizer* tokenizer, PromptWriter writer,
               std::unique_ptr<Session> session)
      : engine_(engine),
        tokenizer_(tokenizer),
        writer_(std::move(writer)),
        session_(std::move(session)) {}

  struct Prompt {
    std::string text;
    std::vector<std::int32_t> tokens;
    std::size_t n_stable = 0;  // how many of them stay when an answer follows
  };
  const std::vector<ToolDefinition>& ToolsOf(const AnswerOptions& options) const;
  Result<Prompt> Render(const AnswerOptions& options) const;
  void Rewind(const std::vector<std::int32_t>& tokens);
  Status ReadStable(const Prompt& prompt, const AnswerOptions& options);
  Result<Answer> Generate(const Prompt& prompt, const AnswerOptions& options);
  void Take(PhaseFigures* figures, std::int64_t n_tokens, std::int64_t n_evaluated);

  Engine* engine_;
  const Tokenizer* tokenizer_;
  PromptWriter writer_;
  std::unique_ptr<Session> session_;
  std::vector<Message> messages_;
  std::vector<ToolDefinition> tools_;
  std::unique_ptr<TokenConstraint> calls_;  // null: calls are free
  std::vector<std::int32_t> held_;          // tokens the session holds
  bool dirty_ = false;                      // the session was stopped in the middle of something
  std::int64_t phase_start_us_ = 0;
};

}  // namespace larder
