// Figures are made at the end from what each position gave; a position costs four doubles.
#include "cli/divergence.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace larder {

namespace {

Estimate ExpOf(const Estimate& log) {
  const double value = std::exp(log.value);
  return {value, value * log.error};
}

std::size_t Top(std::span<const float> logits) {
  return static_cast<std::size_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

std::string Row(const char* name, const Estimate& figure, double scale = 1.0,
                const char* unit = "") {
  return fmt::format("{:<28}: {:11.6f} ± {:9.6f}{}\n", name, figure.value * scale,
                     figure.error * scale, unit);
}

}  // namespace

Estimate MeanOf(std::span<const double> values) {
  if (values.empty()) return {};
  const auto n = static_cast<double>(values.size());
  double sum = 0;
  for (const double value : values) sum += value;
  const double mean = sum / n;
  double squares = 0;
  for (const double value : values) squares += (value - mean) * (value - mean);
  return {mean, values.size() < 2 ? 0.0 : std::sqrt(squares / (n - 1) / n)};
}

Estimate QuantileOf(std::vector<double> values, double share) {
  if (values.empty()) return {};
  std::sort(values.begin(), values.end());
  const auto last = static_cast<double>(values.size() - 1);
  const auto at = [&](double rank) {
    rank = std::clamp(rank, 0.0, last);
    const auto below = static_cast<std::size_t>(rank);
    const std::size_t above = std::min(below + 1, values.size() - 1);
    return values[below] + (rank - std::floor(rank)) * (values[above] - values[below]);
  };
  const double spread = std::sqrt(share * (1 - share) * static_cast<double>(values.size()));
  return {at(share * last), (at(share * last + spread) - at(share * last - spread)) / 2};
}

double LogSumExp(std::span<const float> logits) {
  const double largest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - largest);
  return largest + std::log(sum);
}

void Divergence::Add(std::span<const float> logits, std::int32_t token) {
  costs_.push_back(LogSumExp(logits) -
                   static_cast<double>(logits[static_cast<std::size_t>(token)]));
}

void Divergence::Add(std::span<const float> logits, std::span<const float> base,
                     std::int32_t token) {
  const double norm = LogSumExp(logits);
  const double base_norm = LogSumExp(base);
  double kl = 0;
  for (std::size_t i = 0; i < base.size(); ++i) {
    const double base_log = static_cast<double>(base[i]) - base_norm;
    const double p = std::exp(base_log);
    if (p > 0) kl += p * (base_log - (static_cast<double>(logits[i]) - norm));
  }
  const auto came = static_cast<std::size_t>(token);
  costs_.push_back(norm - static_cast<double>(logits[came]));
  base_costs_.push_back(base_norm - static_cast<double>(base[came]));
  kl_.push_back(kl);
  const double change = std::exp(-costs_.back()) - std::exp(-base_costs_.back());
  squares_.push_back(change * change);
  if (Top(logits) == Top(base)) ++n_same_top_;
}

Estimate Divergence::Perplexity() const { return ExpOf(MeanOf(costs_)); }

Estimate Divergence::BasePerplexity() const { return ExpOf(MeanOf(base_costs_)); }

Estimate Divergence::LogRatio() const {
  std::vector<double> differences(base_costs_.size());
  for (std::size_t i = 0; i < differences.size(); ++i) differences[i] = costs_[i] - base_costs_[i];
  return MeanOf(differences);
}

double Divergence::LargestKl() const {
  return kl_.empty() ? 0.0 : *std::max_element(kl_.begin(), kl_.end());
}

Estimate Divergence::RmsProbabilityChange() const {
  const Estimate mean = MeanOf(squares_);
  const double root = std::sqrt(mean.value);
  return {root, root > 0 ? mean.error / (2 * root) : 0.0};
}

Estimate Divergence::SameTop() const {
  if (kl_.empty()) return {};
  const auto n = static_cast<double>(kl_.size());
  const double share = static_cast<double>(n_same_top_) / n;
  return {share, kl_.size() < 2 ? 0.0 : std::sqrt(share * (1 - share) / (n - 1))};
}

std::string Divergence::Table() const {
  if (!has_base()) return Row("Perplexity", Perplexity());
  std::string table = "====== Perplexity ======\n";
  table += Row("Mean PPL(Q)", Perplexity()) + Row("Mean PPL(base)", BasePerplexity());
  table += Row("Mean ln(PPL(Q)/PPL(base))", LogRatio());
  table += "\n====== KL divergence ======\n";
  table += Row("Mean    KLD", MeanKl());
  table += fmt::format("{:<28}: {:11.6f}\n", "Maximum KLD", LargestKl());
  table += Row("99.9%   KLD", KlQuantile(0.999)) + Row("Median  KLD", KlQuantile(0.5));
  table += "\n====== Token probabilities ======\n";
  table += Row("RMS Δp", RmsProbabilityChange(), 100, " %");
  table += Row("Same top p", SameTop(), 100, " %");
  return table;
}

nlohmann::json Divergence::ToJson() const {
  nlohmann::json json = {{"n_scored", n_scored()}};
  const auto put = [&json](const char* name, const Estimate& figure) {
    json[name] = {{"value", figure.value}, {"error", figure.error}};
  };
  put("perplexity", Perplexity());
  if (!has_base()) return json;
  put("base_perplexity", BasePerplexity());
  put("log_ratio", LogRatio());
  put("kl_mean", MeanKl());
  put("kl_median", KlQuantile(0.5));
  put("kl_99_9", KlQuantile(0.999));
  json["kl_maximum"] = LargestKl();
  put("rms_probability_change", RmsProbabilityChange());
  put("same_top", SameTop());
  return json;
}

}  // namespace larder
