// The k largest logits come from one pass that keeps a small heap. Without top-k, a histogram of
// the probabilities says how far down top-p can reach, and only that much is sorted.
#include "sample/sampler.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/check.h"
#include "base/random.h"
#include "sample/exact_exp.h"

namespace larder {
namespace {

/// The probability of `logit` as a share of the largest's.
double Share(float logit, float largest) {
  return ExactExp(static_cast<double>(logit) - static_cast<double>(largest));
}

bool InUnit(double value) { return value >= 0.0 && value <= 1.0; }

// Bins of an eighth below the largest logit; the last one takes all that is farther.
constexpr std::size_t kBins = 512;
constexpr double kBinsPerNat = 8.0;

std::size_t BinOf(float logit, float largest) {
  const double below = (static_cast<double>(largest) - static_cast<double>(logit)) * kBinsPerNat;
  return below < static_cast<double>(kBins - 1) ? static_cast<std::size_t>(below) : kBins - 1;
}

Status CheckPenalties(const SamplerParams& params) {
  if (!(params.repeat_penalty > 0.0) || !std::isfinite(params.repeat_penalty)) {
    return InvalidArgument("the repeat penalty is {}; give a number above 0, 1 for none",
                           params.repeat_penalty);
  }
  if (!std::isfinite(params.presence_penalty)) {
    return InvalidArgument("the presence penalty is {}; give a number, 0 for none",
                           params.presence_penalty);
  }
  if (!std::isfinite(params.frequency_penalty)) {
    return InvalidArgument("the frequency penalty is {}; give a number, 0 for none",
                           params.frequency_penalty);
  }
  if (params.penalty_window < 0) {
    return InvalidArgument("the penalty window is {}; give a number of tokens, or 0 for all",
                           params.penalty_window);
  }
  for (const LogitBias& entry : params.logit_bias) {
    if (entry.token < 0) {
      return InvalidArgument("a logit bias is for token {}; ids begin at 0", entry.token);
    }
    if (std::isnan(entry.bias) || (std::isinf(entry.bias) && entry.bias > 0)) {
      return InvalidArgument("the logit bias of token {} is {}; give a number, or -inf",
                             entry.token, entry.bias);
    }
  }
  return Status::Ok();
}

}  // namespace

Status CheckSamplerParams(const SamplerParams& params) {
  if (!(params.temperature >= 0.0) || !std::isfinite(params.temperature)) {
    return InvalidArgument("the temperature is {}; give a number from 0 (no randomness) upwards",
                           params.temperature);
  }
  if (params.top_k < 0) {
    return InvalidArgument("top-k is {}; give a number from 1 upwards, or 0 for all tokens",
                           params.top_k);
  }
  if (!InUnit(params.top_p)) {
    return InvalidArgument("top-p is {}; give a number from 0 to 1", params.top_p);
  }
  if (!InUnit(params.min_p)) {
    return InvalidArgument("min-p is {}; give a number from 0 to 1", params.min_p);
  }
  return CheckPenalties(params);
}

SamplerParams ModelSamplerParams(
    const std::function<std::optional<double>(const std::string& key)>& lookup) {
  SamplerParams params;
  const auto take = [&](const char* key, auto set) {
    const std::optional<double> value = lookup(key);
    if (!value) return;
    SamplerParams changed = params;
    set(changed, *value);
    if (CheckSamplerParams(changed).ok()) params = changed;
  };
  // A value that no int holds is as wrong as a negative one.
  const auto whole = [](double value) {
    return value >= 0 && value <= 1e9 ? static_cast<int>(value) : -1;
  };
  take("general.sampling.temp", [](SamplerParams& p, double value) { p.temperature = value; });
  take("general.sampling.top_k", [&](SamplerParams& p, double value) { p.top_k = whole(value); });
  take("general.sampling.top_p", [](SamplerParams& p, double value) { p.top_p = value; });
  take("general.sampling.min_p", [](SamplerParams& p, double value) { p.min_p = value; });
  take("general.sampling.penalty_repeat",
       [](SamplerParams& p, double value) { p.repeat_penalty = value; });
  take("general.sampling.penalty_last_n", [&](SamplerParams& p, double value) {
    // In the file -1 is the whole context, and a window of 0 switches the penalty off.
    if (value == 0) p.repeat_penalty = 1.0;
    p.penalty_window = value == -1 ? 0 : whole(value);
  });
  return params;
}

Sampler::Sampler(const SamplerParams& params)
    : params_(params), history_(static_cast<std::size_t>(params.penalty_window)) {
  LARDER_CHECK(CheckSamplerParams(params).ok());
}

void Sampler::AddPrompt(std::span<const std::int32_t> tokens) {
  for (const std::int32_t token : tokens) history_.Add(token, false);
}

void Sampler::Accept(std::int32_t token) { history_.Add(token, true); }

std::span<const float> Sampler::Adjust(std::span<const float> logits) {
  const bool penalize = params_.repeat_penalty != 1.0 || params_.presence_penalty != 0.0 ||
                        params_.frequency_penalty != 0.0;
  if (params_.logit_bias.empty() && !(penalize && !history_.counts().empty())) return logits;
  adjusted_.assign(logits.begin(), logits.end());
  for (const LogitBias& entry : params_.logit_bias) {
    const auto i = static_cast<std::size_t>(entry.token);
    if (i >= adjusted_.size()) continue;
    adjusted_[i] = static_cast<float>(static_cast<double>(adjusted_[i]) + entry.bias);
  }
  if (!penalize) return adjusted_;
  // The order of the map does not matter: each token is changed by itself.
  for (const auto& [token, count] : history_.counts()) {
    const auto i = static_cast<std::size_t>(token);
    if (token < 0 || i >= adjusted_.size()) continue;
    double logit = static_cast<double>(adjusted_[i]);
    logit = logit > 0 ? logit / params_.repeat_penalty : logit * params_.repeat_penalty;
    if (count.n_sampled > 0) {
      logit -= params_.presence_penalty + count.n_sampled * params_.frequency_penalty;
    }
    adjusted_[i] = static_cast<float>(logit);
  }
  return adjusted_;
}

void Sampler::CutTopP(double total) {
  double sum = 0.0;
  for (std::size_t i = 0; i < candidates_.size(); ++i) {
    sum += Share(candidates_[i].logit, candidates_[0].logit);
    if (sum >= params_.top_p * total) {
      candidates_.resize(i + 1);
      return;
    }
  }
}

void Sampler::KeepTopP(std::span<const float> logits, AllowedBits allowed, float largest) {
  std::array<double, kBins> mass{};
  double total = 0.0;
  ForEachAllowed(logits, allowed, [&](std::int32_t, float logit) {
    const double share = Share(logit, largest);
    total += share;
    mass[BinOf(logit, largest)] += share;
  });
  std::size_t last_bin = 0;
  double sum = mass[0];
  // A little more than needed, so that the rounding of the bins' sums decides nothing.
  const double needed = params_.top_p * total * (1.0 + 1e-9);
  while (last_bin + 1 < kBins && sum < needed) sum += mass[++last_bin];
  candidates_.clear();
  ForEachAllowed(logits, allowed, [&](std::int32_t id, float logit) {
    if (BinOf(logit, largest) <= last_bin) candidates_.push_back({logit, id});
  });
  std::sort(candidates_.begin(), candidates_.end(), Before);
  CutTopP(total);
}

void Sampler::KeepMinP(std::span<const float> logits, AllowedBits allowed, float largest) {
  candidates_.clear();
  ForEachAllowed(logits, allowed, [&](std::int32_t id, float logit) {
    if (params_.min_p <= 0.0 || Share(logit, largest) >= params_.min_p) {
      candidates_.push_back({logit, id});
    }
  });
}

std::int32_t Sampler::Draw(float largest, double unit) {
  weights_.clear();
  double total = 0.0;
  for (const Candidate& candidate : candidates_) {
    const double difference = static_cast<double>(candidate.logit) - static_cast<double>(largest);
    weights_.push_back(ExactExp(difference / params_.temperature));
    total += weights_.back();
  }
  double left = unit * total;
  std::size_t chosen = 0;
  for (std::size_t i = 0; i < weights_.size(); ++i) {
    if (weights_[i] <= 0.0) continue;
    chosen = i;
    if (left < weights_[i]) break;
    left -= weights_[i];
  }
  return candidates_[chosen].id;
}

std::int32_t Sampler::Sample(std::span<const float> logits, AllowedBits allowed) {
  LARDER_CHECK(!logits.empty());
  const double unit = SplitMix64::UnitAt(params_.seed, n_draws_++);
  logits = Adjust(logits);
  const bool few = params_.temperature > 0.0 && params_.top_k > 0;
  TopLogits(logits, allowed, few ? static_cast<std::size_t>(params_.top_k) : 1, candidates_);
  LARDER_CHECK(!candidates_.empty());
  const float largest = candidates_[0].logit;
  // Infinite logits leave no probabilities to draw from.
  if (params_.temperature == 0.0 || !std::isfinite(largest)) return candidates_[0].id;
  if (!few && params_.top_p >= 1.0) {
    KeepMinP(logits, allowed, largest);
    return Draw(largest, unit);
  }
  if (!few) {
    KeepTopP(logits, allowed, largest);
  } else if (params_.top_p < 1.0) {
    double total = 0.0;
    for (const Candidate& candidate : candidates_) total += Share(candidate.logit, largest);
    CutTopP(total);
  }
  if (params_.min_p > 0.0) {
    std::erase_if(candidates_, [&](const Candidate& candidate) {
      return Share(candidate.logit, largest) < params_.min_p;
    });
  }
  return Draw(largest, unit);
}

}  // namespace larder
