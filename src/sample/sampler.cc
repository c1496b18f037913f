// The k largest logits come from one pass that keeps a small heap; without top-k, only what top-p
// can reach is sorted, in growing parts. The exponential is our own, because the C library's differ
// in the last bit, and sums run in a fixed order.
#include "sample/sampler.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>

#include "base/check.h"

namespace larder {
namespace {

constexpr float kLowest = -std::numeric_limits<float>::infinity();

float Clean(float logit) { return std::isnan(logit) ? kLowest : logit; }

/// 1 / i! for i = 0 to 13, Taylor's coefficients of the exponential.
constexpr std::array<double, 14> kInverseFactorials = [] {
  std::array<double, 14> inverse{};
  double factorial = 1.0;
  for (std::size_t i = 0; i < inverse.size(); ++i) {
    if (i > 0) factorial *= static_cast<double>(i);
    inverse[i] = 1.0 / factorial;
  }
  return inverse;
}();

/// e^x for x <= 0 as 2^k e^r, |r| <= ln(2)/2, by additions and multiplications alone: the same bits
/// everywhere. Relative error below 1e-15; 0 for x <= -700 and NaN.
double Exp(double x) {
  constexpr double kLog2e = 1.4426950408889634;
  constexpr double kLn2High = 0.6931471803691238;  // its last 20 bits are 0: k * kLn2High is exact
  constexpr double kLn2Low = 1.9082149292705877e-10;
  if (!(x > -700.0)) return 0.0;
  const int k = -static_cast<int>(0.5 - x * kLog2e);
  const double r = (x - k * kLn2High) - k * kLn2Low;
  double sum = kInverseFactorials.back();
  for (std::size_t i = kInverseFactorials.size() - 1; i-- > 0;) {
    sum = sum * r + kInverseFactorials[i];
  }
  const auto exponent = static_cast<std::uint64_t>(k + 1023);
  return sum * std::bit_cast<double>(exponent << 52);
}

/// The probability of `logit` as a share of the largest's.
double Share(float logit, float largest) {
  return Exp(static_cast<double>(logit) - static_cast<double>(largest));
}

bool InUnit(double value) { return value >= 0.0 && value <= 1.0; }

std::int32_t ArgMax(std::span<const float> logits) {
  std::size_t best = 0;
  float best_logit = Clean(logits[0]);
  for (std::size_t i = 1; i < logits.size(); ++i) {
    if (logits[i] > best_logit) {  // false for NaN
      best = i;
      best_logit = logits[i];
    }
  }
  return static_cast<std::int32_t>(best);
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
  return Status::Ok();
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
  take("general.sampling.temp", [](SamplerParams& p, double value) { p.temperature = value; });
  take("general.sampling.top_k", [](SamplerParams& p, double value) {
    // A value that no int holds is as wrong as a negative one.
    p.top_k = value >= 0 && value <= 1e9 ? static_cast<int>(value) : -1;
  });
  take("general.sampling.top_p", [](SamplerParams& p, double value) { p.top_p = value; });
  take("general.sampling.min_p", [](SamplerParams& p, double value) { p.min_p = value; });
  return params;
}

Sampler::Sampler(const SamplerParams& params) : params_(params), random_(params.seed) {
  LARDER_CHECK(CheckSamplerParams(params).ok());
}

// Larger logits first, ties to the lower id: a total order, so that every platform agrees.
bool Sampler::Before(const Candidate& a, const Candidate& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
}

void Sampler::KeepTopK(std::span<const float> logits) {
  const std::size_t k = static_cast<std::size_t>(params_.top_k);
  candidates_.clear();
  for (std::size_t i = 0; i < logits.size(); ++i) {
    const Candidate candidate{Clean(logits[i]), static_cast<std::int32_t>(i)};
    if (candidates_.size() < k) {
      candidates_.push_back(candidate);
      std::push_heap(candidates_.begin(), candidates_.end(), Before);
    } else if (candidate.logit > candidates_.front().logit) {
      std::pop_heap(candidates_.begin(), candidates_.end(), Before);
      candidates_.back() = candidate;
      std::push_heap(candidates_.begin(), candidates_.end(), Before);
    }
  }
  std::sort_heap(candidates_.begin(), candidates_.end(), Before);
  n_sorted_ = candidates_.size();
}

void Sampler::KeepAll(std::span<const float> logits) {
  candidates_.clear();
  for (std::size_t i = 0; i < logits.size(); ++i) {
    candidates_.push_back({Clean(logits[i]), static_cast<std::int32_t>(i)});
  }
  n_sorted_ = 0;
}

void Sampler::SortUpTo(std::size_t n) {
  n = std::min(n, candidates_.size());
  if (n <= n_sorted_) return;
  const auto from = candidates_.begin() + static_cast<std::ptrdiff_t>(n_sorted_);
  const auto to = candidates_.begin() + static_cast<std::ptrdiff_t>(n);
  std::nth_element(from, to, candidates_.end(), Before);
  std::sort(from, to, Before);
  n_sorted_ = n;
}

void Sampler::CutTopP(float largest) {
  if (params_.top_p >= 1.0) return;
  double total = 0.0;
  for (const Candidate& candidate : candidates_) total += Share(candidate.logit, largest);
  double sum = 0.0;
  for (std::size_t i = 0; i < candidates_.size(); ++i) {
    if (i >= n_sorted_) SortUpTo(std::max<std::size_t>(256, 4 * n_sorted_));
    sum += Share(candidates_[i].logit, largest);
    if (sum >= params_.top_p * total) {
      candidates_.resize(i + 1);
      return;
    }
  }
}

void Sampler::CutMinP(float largest) {
  if (params_.min_p <= 0.0) return;
  std::erase_if(candidates_, [&](const Candidate& candidate) {
    return Share(candidate.logit, largest) < params_.min_p;
  });
}

std::int32_t Sampler::Draw(float largest) {
  weights_.clear();
  double total = 0.0;
  for (const Candidate& candidate : candidates_) {
    const double difference = static_cast<double>(candidate.logit) - static_cast<double>(largest);
    weights_.push_back(Exp(difference / params_.temperature));
    total += weights_.back();
  }
  double left = random_.NextUnit() * total;
  std::size_t chosen = 0;
  for (std::size_t i = 0; i < weights_.size(); ++i) {
    if (weights_[i] <= 0.0) continue;
    chosen = i;
    if (left < weights_[i]) break;
    left -= weights_[i];
  }
  return candidates_[chosen].id;
}

std::int32_t Sampler::Sample(std::span<const float> logits) {
  LARDER_CHECK(!logits.empty());
  const std::int32_t best = ArgMax(logits);
  const float largest = Clean(logits[static_cast<std::size_t>(best)]);
  // Infinite logits leave no probabilities to draw from.
  if (params_.temperature == 0.0 || !std::isfinite(largest)) return best;
  const std::size_t k = static_cast<std::size_t>(params_.top_k);
  if (k > 0 && k < logits.size()) {
    KeepTopK(logits);
  } else {
    KeepAll(logits);
  }
  CutTopP(largest);
  CutMinP(largest);
  return Draw(largest);
}

std::int32_t Sampler::Sample(std::span<const float> logits,
                             std::span<const std::uint64_t> allowed) {
  masked_.assign(logits.size(), kLowest);
  bool any = false;
  for (std::size_t i = 0; i < std::min(logits.size(), allowed.size() * 64); ++i) {
    if ((allowed[i / 64] >> (i % 64) & 1) == 0) continue;
    // Above -infinity, so that a forbidden token never ties with an allowed one.
    masked_[i] = std::max(Clean(logits[i]), std::numeric_limits<float>::lowest());
    any = true;
  }
  LARDER_CHECK(any);
  return Sample(masked_);
}

}  // namespace larder
