// Figures on distributions small enough to work out by hand.
#include "cli/divergence.h"

#include <gtest/gtest.h>

#include <cmath>

namespace larder {
namespace {

std::vector<float> Logits(const std::vector<double>& probabilities) {
  std::vector<float> logits;
  for (const double p : probabilities) logits.push_back(static_cast<float>(std::log(p) + 3));
  return logits;
}

TEST(Divergence, PerplexityOfKnownProbabilities) {
  Divergence divergence;
  divergence.Add(Logits({0.5, 0.25, 0.25}), 0);
  divergence.Add(Logits({0.125, 0.75, 0.125}), 2);
  EXPECT_NEAR(divergence.Perplexity().value, 4.0, 1e-5);  // costs ln 2 and ln 8
  // Standard error of the mean cost: ln 2, times the perplexity.
  EXPECT_NEAR(divergence.Perplexity().error, 4.0 * std::log(2.0), 1e-4);
  EXPECT_FALSE(divergence.has_base());
}

TEST(Divergence, KlAndProbabilityChange) {
  Divergence divergence;
  const std::vector<float> q = Logits({0.25, 0.75});
  const std::vector<float> p = Logits({0.5, 0.5});
  divergence.Add(q, p, 1);
  divergence.Add(p, p, 0);
  const double kl = 0.5 * std::log(2.0) + 0.5 * std::log(0.5 / 0.75);
  EXPECT_NEAR(divergence.MeanKl().value, kl / 2, 1e-6);
  EXPECT_NEAR(divergence.MeanKl().error, kl / 2, 1e-6);
  EXPECT_NEAR(divergence.LargestKl(), kl, 1e-6);
  EXPECT_NEAR(divergence.KlQuantile(0.5).value, kl / 2, 1e-6);
  EXPECT_NEAR(divergence.RmsProbabilityChange().value, std::sqrt(0.0625 / 2), 1e-6);
  EXPECT_NEAR(divergence.LogRatio().value, std::log(0.5 / 0.75) / 2, 1e-6);
  EXPECT_NEAR(divergence.SameTop().value, 0.5, 1e-12);
  EXPECT_NEAR(divergence.SameTop().error, 0.5, 1e-12);
}

TEST(Divergence, QuantilesAndTheirErrors) {
  std::vector<double> values;
  for (int i = 100; i >= 0; --i) values.push_back(i);
  EXPECT_NEAR(QuantileOf(values, 0.5).value, 50, 1e-9);
  EXPECT_NEAR(QuantileOf(values, 0.5).error, std::sqrt(0.25 * 101), 1e-9);
  EXPECT_NEAR(QuantileOf(values, 0.999).value, 99.9, 1e-9);
  EXPECT_EQ(QuantileOf({}, 0.5).value, 0);
  EXPECT_EQ(MeanOf(std::vector<double>{4.0}).error, 0);
}

}  // namespace
}  // namespace larder
