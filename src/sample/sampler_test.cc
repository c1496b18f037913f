// The chain on small distributions, against probabilities computed here, and its reproducibility.
#include "sample/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace larder {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
const float kNan = std::nanf("");

SamplerParams Params(double temperature, int top_k, double top_p, double min_p,
                     std::uint64_t seed = 1) {
  SamplerParams params;
  params.temperature = temperature;
  params.top_k = top_k;
  params.top_p = top_p;
  params.min_p = min_p;
  params.seed = seed;
  return params;
}

std::vector<int> Count(const SamplerParams& params, const std::vector<float>& logits, int n) {
  Sampler sampler(params);
  std::vector<int> counts(logits.size());
  for (int i = 0; i < n; ++i) ++counts[static_cast<std::size_t>(sampler.Sample(logits))];
  return counts;
}

TEST(Sampler, GreedyTakesTheLowestOfEquals) {
  Sampler sampler(Params(0, 0, 1, 0));
  EXPECT_EQ(sampler.Sample(std::vector<float>{1, 3, 3, 2}), 1);
  EXPECT_EQ(sampler.Sample(std::vector<float>{kNan, -kInf, -2, kNan}), 2);
  EXPECT_EQ(sampler.Sample(std::vector<float>{kNan, kNan}), 0);
  EXPECT_EQ(sampler.Sample(std::vector<float>{0, kInf, kInf}), 1);
}

TEST(Sampler, FollowsTheSoftmax) {
  const std::vector<float> logits = {0.0f, 1.0f, -1.0f, 2.0f};
  for (const double temperature : {0.5, 1.0, 2.0}) {
    double total = 0;
    for (const float logit : logits) total += std::exp(logit / temperature);
    constexpr int kDraws = 40000;
    const std::vector<int> counts = Count(Params(temperature, 0, 1, 0), logits, kDraws);
    for (std::size_t i = 0; i < logits.size(); ++i) {
      const double p = std::exp(logits[i] / temperature) / total;
      // Five standard deviations of a binomial.
      EXPECT_NEAR(counts[i], p * kDraws, 5 * std::sqrt(kDraws * p * (1 - p))) << temperature;
    }
  }
}

TEST(Sampler, TopKKeepsTheLargestTiesToTheLowerId) {
  const std::vector<int> counts = Count(Params(5, 2, 1, 0), {1, 2, 0, 2, 2}, 2000);
  EXPECT_GT(counts[1], 0);
  EXPECT_GT(counts[3], 0);
  EXPECT_EQ(counts[1] + counts[3], 2000);
}

TEST(Sampler, TopPKeepsTheFewestThatReachIt) {
  // Probabilities 0.5, 0.25, 0.125, 0.125.
  const float ln2 = std::log(2.0f);
  const std::vector<float> logits = {ln2, 3 * ln2, ln2, 2 * ln2};
  const std::vector<int> counts = Count(Params(1, 0, 0.7, 0), logits, 3000);
  EXPECT_EQ(counts[0] + counts[2], 0);
  EXPECT_NEAR(counts[1], 2000, 150);
  EXPECT_EQ(Count(Params(1, 0, 0.0, 0), logits, 100)[1], 100);
  EXPECT_EQ(Count(Params(1, 0, 0.4, 0), logits, 100)[1], 100);
}

TEST(Sampler, MinPIsRelativeToTheLargest) {
  const std::vector<float> logits = {0.0f, -1.0f, -3.0f};  // 1, 0.37, 0.05 of the largest
  const std::vector<int> counts = Count(Params(3, 0, 1, 0.2), logits, 2000);
  EXPECT_GT(counts[1], 0);
  EXPECT_EQ(counts[2], 0);
  EXPECT_EQ(Count(Params(3, 0, 1, 1.0), logits, 100)[0], 100);
}

TEST(Sampler, CutsComeBeforeTheTemperature) {
  // At temperature 1 the first token has 0.73 of the mass: top-p 0.7 keeps it alone however hot.
  EXPECT_EQ(Count(Params(50, 0, 0.7, 0), {1, 0}, 500)[0], 500);
}

TEST(Sampler, LargeVocabulariesWithAndWithoutTopK) {
  SplitMix64 random(5);
  std::vector<float> logits(250000);
  for (float& logit : logits) logit = static_cast<float>(random.NextUnit() * 20 - 10);
  // A top-k no smaller than what top-p reaches changes nothing.
  std::vector<float> peaked(250000, -40.0f);
  for (std::size_t i = 0; i < 900; ++i) peaked[i * 271] = static_cast<float>(random.NextUnit() * 3);
  Sampler all(Params(1, 0, 0.9, 0, 9));
  Sampler some(Params(1, 2000, 0.9, 0, 9));
  for (int i = 0; i < 20; ++i) EXPECT_EQ(all.Sample(peaked), some.Sample(peaked));
  Sampler ten(Params(0.8, 10, 1, 0, 3));
  std::vector<float> sorted = logits;
  std::sort(sorted.begin(), sorted.end(), std::greater<>());
  for (int i = 0; i < 20; ++i) {
    EXPECT_GE(logits[static_cast<std::size_t>(ten.Sample(logits))], sorted[9]);
  }
}

TEST(Sampler, IsReproducible) {
  SplitMix64 random(11);
  std::vector<float> logits(300);
  for (float& logit : logits) logit = static_cast<float>(random.NextUnit() * 6);
  const auto draw = [&](std::uint64_t seed) {
    Sampler sampler(Params(0.9, 50, 0.9, 0.01, seed));
    std::vector<std::int32_t> tokens;
    for (int i = 0; i < 12; ++i) tokens.push_back(sampler.Sample(logits));
    return tokens;
  };
  EXPECT_EQ(draw(42), draw(42));
  EXPECT_NE(draw(42), draw(43));
  // Computed by a second implementation of the chain, in Python.
  EXPECT_EQ(draw(42),
            (std::vector<std::int32_t>{17, 171, 206, 195, 71, 225, 88, 202, 195, 156, 88, 298}));
}

TEST(Sampler, ExtremeLogits) {
  EXPECT_EQ(Count(Params(1, 0, 0.95, 0), {-kInf, 1e30f, -1e30f, kNan}, 50)[1], 50);
  EXPECT_EQ(Count(Params(1e-300, 0, 1, 0), {1, 2, 1.9999999f}, 50)[1], 50);
  EXPECT_EQ(Count(Params(1, 40, 0.95, 0.1), {7}, 5)[0], 5);
}

TEST(SamplerParams, AreChecked) {
  EXPECT_TRUE(CheckSamplerParams(SamplerParams()).ok());
  EXPECT_FALSE(CheckSamplerParams(Params(-1, 0, 1, 0)).ok());
  EXPECT_FALSE(CheckSamplerParams(Params(kNan, 0, 1, 0)).ok());
  EXPECT_FALSE(CheckSamplerParams(Params(1, -1, 1, 0)).ok());
  EXPECT_FALSE(CheckSamplerParams(Params(1, 0, 1.1, 0)).ok());
  EXPECT_FALSE(CheckSamplerParams(Params(1, 0, 1, kNan)).ok());
}

TEST(Sampler, TakesOnlyAllowedTokens) {
  std::vector<float> logits(130, 5.0f);
  logits[3] = -kInf;
  logits[129] = kNan;
  for (const double temperature : {0.0, 0.7, 50.0}) {
    for (const int top_k : {0, 1, 40}) {
      Sampler sampler(Params(temperature, top_k, 0.95, 0.0));
      const std::vector<std::uint64_t> poor = {8, 0, 2};  // tokens 3 and 129
      const std::vector<std::uint64_t> one = {0, 1, 2};   // 64 and 129
      for (int i = 0; i < 20; ++i) {
        const std::int32_t token = sampler.Sample(logits, poor);
        EXPECT_TRUE(token == 3 || token == 129) << token;
        EXPECT_EQ(sampler.Sample(logits, one), 64);
      }
    }
  }
}

TEST(Sampler, AMaskThatAllowsAllChangesNothing) {
  const std::vector<float> logits = {1.0f, 0.5f, 2.0f, -1.0f, 0.0f};
  Sampler plain(Params(1.0, 0, 1.0, 0.0));
  Sampler masked(Params(1.0, 0, 1.0, 0.0));
  const std::vector<std::uint64_t> all = {~std::uint64_t{0}};
  for (int i = 0; i < 200; ++i) EXPECT_EQ(masked.Sample(logits, all), plain.Sample(logits));
}

TEST(SamplerParams, TakeTheModelsValues) {
  const SamplerParams params =
      ModelSamplerParams([](const std::string& key) -> std::optional<double> {
        if (key == "general.sampling.temp") return 0.6;
        if (key == "general.sampling.top_k") return 20;
        if (key == "general.sampling.top_p") return 1.5;
        return std::nullopt;
      });
  EXPECT_EQ(params.temperature, 0.6);
  EXPECT_EQ(params.top_k, 20);
  EXPECT_EQ(params.top_p, SamplerParams().top_p);
  EXPECT_EQ(params.min_p, SamplerParams().min_p);
}

}  // namespace
}  // namespace larder
