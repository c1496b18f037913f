// EvalRunner: answers the tasks of `larder eval` with a model and has them judged. Borrows engine,
// session and tokenizer. One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "cli/eval_results.h"
#include "cli/eval_task.h"
#include "engine/session.h"
#include "sample/sampler.h"
#include "text/output_reader.h"
#include "text/prompt_writer.h"
#include "text/think_mode.h"

namespace larder {

struct EvalOptions {
  SamplerParams sampler;  // all but the seed
  ThinkMode think;        // for conversations
  std::function<bool()> interrupted;
};

class EvalRunner {
 public:
  /// `session` has room for a checkpoint (EngineOptions::checkpoint). All outlive the runner.
  EvalRunner(Session* session, const Tokenizer* tokenizer, const PromptWriter* writer,
             EvalOptions options)
      : session_(*session),
        tokenizer_(*tokenizer),
        writer_(*writer),
        options_(std::move(options)) {}

  /// Positions that the task takes at least: its prompt, with the longest of its choices.
  /// kInvalidArgument names a task that no prompt can be made of, or one of whose choices leaves
  /// the prompt no token of its own.
  Result<std::int64_t> CountPositions(const EvalTask& task) const;

  /// One answer to one task. kInvalidArgument names the task; kCancelled after an interrupt.
  Result<EvalAnswer> Answer(const EvalTask& task, std::uint64_t seed);

 private:
  /// A prompt as the model reads it.
  struct Prompt {
    std::string text;
    std::vector<std::int32_t> tokens;
  };
  Result<Prompt> MakePrompt(const EvalTask& task) const;
  /// Prompt and choice as one; at least one token stands before the choice's first.
  struct Continuation {
    std::vector<std::int32_t> tokens;
    std::size_t n_prompt = 0;
  };
  Result<Continuation> Continue(const EvalTask& task, const Prompt& prompt,
                                const std::string& choice) const;
  Status ScoreChoices(const EvalTask& task, const Prompt& prompt, EvalAnswer* answer);
  Result<double> ScoreChoice(std::span<const std::int32_t> whole, std::size_t n_prompt);
  Status Generate(const EvalTask& task, const Prompt& prompt, std::uint64_t seed,
                  EvalAnswer* answer);
  Status CheckInterrupt() const;

  Session& session_;
  const Tokenizer& tokenizer_;
  const PromptWriter& writer_;
  EvalOptions options_;
  std::vector<std::int32_t> at_checkpoint_;  // the tokens; empty: there is no checkpoint
  std::vector<float> checkpoint_logits_;     // [n_vocab], of the last of them
};

}  // namespace larder
