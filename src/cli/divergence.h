// What a text costs a model, and how far two models' predictions of the same text lie apart: sums
// over positions, and the figures made of them with their errors. One thread.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

namespace larder {

/// A figure and its standard error.
struct Estimate {
  double value = 0;
  double error = 0;
};

/// The mean of `values` and its standard error; no error from fewer than two.
Estimate MeanOf(std::span<const double> values);

/// The value below which `share` of `values` lie (linear between neighbours), and half the distance
/// of the order statistics one binomial standard deviation away. `values` need not be sorted.
Estimate QuantileOf(std::vector<double> values, double share);

/// ln sum exp, in double.
double LogSumExp(std::span<const float> logits);

class Divergence {
 public:
  /// One position: the model's logits [n_vocab] and the token that came.
  void Add(std::span<const float> logits, std::int32_t token);
  /// The same beside another model's, the base: what is measured is how far `logits` is from it.
  void Add(std::span<const float> logits, std::span<const float> base, std::int32_t token);

  std::size_t n_scored() const { return costs_.size(); }
  bool has_base() const { return !base_costs_.empty(); }

  /// exp(mean -ln p); the error by the first order of exp.
  Estimate Perplexity() const;
  Estimate BasePerplexity() const;
  /// ln(perplexity / base perplexity): from the differences, so errors that both share cancel.
  Estimate LogRatio() const;
  Estimate MeanKl() const { return MeanOf(kl_); }
  Estimate KlQuantile(double share) const { return QuantileOf(kl_, share); }
  double LargestKl() const;
  /// sqrt(mean (p - p of the base)^2) of the tokens that came.
  Estimate RmsProbabilityChange() const;
  /// The share of positions with the same most likely token.
  Estimate SameTop() const;

  /// The table that the field knows, and the same as JSON.
  std::string Table() const;
  nlohmann::json ToJson() const;

 private:
  std::vector<double> costs_;       // -ln p of the tokens that came
  std::vector<double> base_costs_;  // of the base
  std::vector<double> kl_;          // sum p_base ln(p_base / p)
  std::vector<double> squares_;     // (p - p_base)^2
  std::size_t n_same_top_ = 0;
};

}  // namespace larder
