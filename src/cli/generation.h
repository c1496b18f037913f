// The loop that makes an answer: prompt, then token by token until it ends. Shared by the commands
// that generate. One thread; borrows the engine's session.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "engine/session.h"
#include "sample/logprobs.h"
#include "sample/sampler.h"
#include "sample/token_constraint.h"

namespace larder {

enum class StopReason { kEndOfGeneration, kLength, kContextFull, kInterrupted };

const char* StopReasonName(StopReason reason);

struct GenerationOptions {
  std::int64_t max_tokens = 0;
  bool ignore_eos = false;
  SamplerParams sampler;
  /// What the session holds before the prompt, for the penalties.
  std::span<const std::int32_t> before;
  /// Says which tokens may come and hears which came; null: all may. Used during the call only.
  TokenConstraint* constraint = nullptr;
  /// True while the constraint waits, as it knows nothing of thoughts; asked before each token.
  std::function<bool()> unconstrained;
  /// Before on_token, what the model thought of the token and of its `n_logprobs` strongest rivals.
  std::optional<std::size_t> n_logprobs;
  std::function<void(const Logprobs& logprobs)> on_logprobs;
  /// Prompt tokens done so far.
  std::function<void(std::int64_t n_done)> on_prompt;
  /// After the prompt, before the first token.
  std::function<void()> on_prompt_done;
  /// Each token of the answer as it is chosen, without the one that ends it. A failure ends the
  /// answer and is Generate's.
  std::function<Status(std::int32_t token)> on_token;
  std::function<bool()> interrupted;
  /// Tokens that come next instead of chosen ones, unseen by the constraint; asked for before the
  /// first token and after each that was chosen or that ended a row of these. Empty: none.
  std::function<std::vector<std::int32_t>()> forced;
  /// True for a token after which this model's answer goes on, though it ends others.
  std::function<bool(std::int32_t token)> goes_on_after;
};

/// Appends the prompt and generates. `tokenizer` says which tokens end an answer; null: none does.
/// Failures are Session::Append's; kCancelled only when the prompt was interrupted.
Result<StopReason> Generate(Session& session, const Tokenizer* tokenizer,
                            const std::vector<std::int32_t>& prompt,
                            const GenerationOptions& options);

}  // namespace larder
