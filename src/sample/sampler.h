// Chooses the next token from logits. One Sampler per stream, used by one thread; the same seed,
// parameters and logits give the same tokens on every platform with IEEE doubles: the generator and
// the exponential are our own, sums run in a fixed order, and ties go to the lower id.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "sample/token_history.h"
#include "sample/top_logits.h"

namespace larder {

struct LogitBias {
  std::int32_t token;
  double bias;  // added to the logit; -infinity forbids the token
};

/// The chain's order is that of the field: logit bias, penalties, mask, top-k, top-p, min-p,
/// temperature, draw. The defaults are for chat; a model's own `general.sampling.*` values go
/// before them, and a user's go before both.
struct SamplerParams {
  double temperature = 0.7;  // 0: the largest logit, ties to the lower id; the cuts are not used
  int top_k = 40;            // the k largest only; 0: all
  double top_p = 0.95;       // the fewest tokens whose probabilities reach p together; 1: all
  double min_p = 0.0;        // drops tokens below min_p times the largest probability; 0: none
  /// Logits of tokens seen in the window are divided by it if positive, multiplied if not
  /// (Keskar and others, "CTRL", 2019); 1: nothing. Counts the prompt too.
  double repeat_penalty = 1.0;
  double presence_penalty = 0.0;   // taken from the logit of each token of the answer's window
  double frequency_penalty = 0.0;  // times how often it stands there
  int penalty_window = 64;         // the last tokens that the penalties look at; 0: all
  std::vector<LogitBias> logit_bias;
  std::uint64_t seed = 0;
};

/// kInvalidArgument with a sentence when a value is outside its range (NaN included).
Status CheckSamplerParams(const SamplerParams& params);

/// The defaults with the model's own values put in. `lookup` gives the number under a metadata key
/// such as "general.sampling.temp", or nothing; values outside their range are passed over.
SamplerParams ModelSamplerParams(
    const std::function<std::optional<double>(const std::string& key)>& lookup);

class Sampler {
 public:
  /// Checks `params` as a bug: call CheckSamplerParams first on what a user wrote.
  explicit Sampler(const SamplerParams& params);

  /// A token id in [0, logits.size()). `logits` [n_vocab], not empty; NaN counts as -infinity. With
  /// `allowed`, only a token whose bit is set, however small its logit: bit i % 64 of allowed[i /
  /// 64] is token i's, and at least one is set (a bug otherwise). Empty: all are allowed. The n-th
  /// call uses the n-th random number of the seed.
  std::int32_t Sample(std::span<const float> logits, AllowedBits allowed = {});

  /// What the penalties are to know: tokens of the prompt, and each token of the answer once it
  /// stands.
  void AddPrompt(std::span<const std::int32_t> tokens);
  void Accept(std::int32_t token);

  const SamplerParams& params() const { return params_; }

 private:
  std::span<const float> Adjust(std::span<const float> logits);
  void KeepTopP(std::span<const float> logits, AllowedBits allowed, float largest);
  void KeepMinP(std::span<const float> logits, AllowedBits allowed, float largest);
  void CutTopP(double total);
  std::int32_t Draw(float largest, double unit);

  SamplerParams params_;
  TokenHistory history_;
  std::uint64_t n_draws_ = 0;
  std::vector<float> adjusted_;        // [n_vocab] with biases and penalties, when there are any
  std::vector<Candidate> candidates_;  // what the cuts have left, the most likely first
  std::vector<double> weights_;
};

}  // namespace larder
