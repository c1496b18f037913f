// Chooses the next token from logits. One Sampler per stream, used by one thread; the same seed,
// parameters and logits give the same tokens on every platform with IEEE doubles.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/random.h"
#include "base/status.h"

namespace larder {

/// The chain's order is that of the field: top-k, top-p, min-p, temperature, draw. The defaults
/// are for chat; a model's own `general.sampling.*` values go before them, and a user's go before
/// both.
struct SamplerParams {
  double temperature = 0.7;  // 0: the largest logit, ties to the lower id; the rest is not used
  int top_k = 40;            // the k largest only; 0: all
  double top_p = 0.95;       // the fewest tokens whose probabilities reach p together; 1: all
  double min_p = 0.0;        // drops tokens below min_p times the largest probability; 0: none
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

  /// A token id in [0, logits.size()). `logits` [n_vocab], not empty; NaN counts as -infinity.
  std::int32_t Sample(std::span<const float> logits);

  /// The same among the tokens whose bit is set: bit i % 64 of allowed[i / 64] is token i's;
  /// tokens beyond the last word are not allowed. At least one bit is set (a bug otherwise); a
  /// token is allowed however small its logit is.
  std::int32_t Sample(std::span<const float> logits, std::span<const std::uint64_t> allowed);

  const SamplerParams& params() const { return params_; }

 private:
  struct Candidate {
    float logit;
    std::int32_t id;
  };

  static bool Before(const Candidate& a, const Candidate& b);
  void KeepTopK(std::span<const float> logits);
  void KeepAll(std::span<const float> logits);
  void SortUpTo(std::size_t n);
  void CutTopP(float largest);
  void CutMinP(float largest);
  std::int32_t Draw(float largest);

  SamplerParams params_;
  SplitMix64 random_;
  std::vector<Candidate> candidates_;
  std::size_t n_sorted_ = 0;  // how many of candidates_ stand in their final order
  std::vector<double> weights_;
  std::vector<float> masked_;  // the logits with -infinity where a mask forbids
};

}  // namespace larder
