// What bench and --timing compute from counts: limits, quantiles, hashes; and who is asked in place
// of the router.
#include <gtest/gtest.h>

#include <algorithm>

#include "cli/bench_report.h"
#include "cli/limits.h"
#include "cli/routing_replay.h"
#include "experts/routing_generator.h"

namespace larder {
namespace {

TEST(Quantile, NearestRankAndMedianOfEvenCounts) {
  EXPECT_EQ(Quantile({}, 0.5), 0);
  EXPECT_EQ(Quantile({3}, 0.95), 3);
  EXPECT_EQ(Quantile({4, 1, 3, 2}, 0.5), 2.5);
  EXPECT_EQ(Quantile({5, 1, 3}, 0.5), 3);
  std::vector<double> hundred;
  for (int i = 100; i >= 1; --i) hundred.push_back(i);
  EXPECT_EQ(Quantile(hundred, 0.95), 95);
}

TEST(Fnv1a, PublishedValues) {
  EXPECT_EQ(Fnv1a("", 0), 0xcbf29ce484222325ull);
  EXPECT_EQ(Fnv1a("a", 1), 0xaf63dc4c8601ec8cull);
  EXPECT_EQ(Fnv1a("foobar", 6), 0x85944171f73967e8ull);
  EXPECT_EQ(Fnv1a("bar", 3, Fnv1a("foo", 3)), Fnv1a("foobar", 6));
}

TokenCost ExampleCost() {
  TokenCost cost;
  cost.n_layers = 10;
  cost.dense_layer_bytes = 1000;
  cost.output_bytes = 500;
  cost.expert_bytes = 800;
  cost.missed_bytes = 200;
  cost.record_bytes = 10;
  return cost;
}

TEST(Limits, SimpleIsTheLongerOfDiskAndMemory) {
  const TokenCost cost = ExampleCost();
  EXPECT_DOUBLE_EQ(SimpleLimitSeconds(cost, {100, 1000}), 2.3);  // 2300 / 1000
  EXPECT_DOUBLE_EQ(SimpleLimitSeconds(cost, {10, 1000}), 20);    // 200 / 10
  EXPECT_DOUBLE_EQ(SimpleLimitSeconds(cost, {0, 1000}), 2.3);    // unknown disk
}

TEST(Limits, PipelineAddsWhatCannotOverlap) {
  // Per layer: 100 dense, then the longer of 20 from the disk and 60 in memory, then one expert.
  const TokenCost cost = ExampleCost();
  EXPECT_NEAR(PipelineLimitSeconds(cost, {100, 1000}), 10 * (0.1 + 0.2 + 0.01) + 0.5, 1e-12);
  EXPECT_NEAR(PipelineLimitSeconds(cost, {1000, 1000}), 10 * (0.1 + 0.06 + 0.01) + 0.5, 1e-12);
  EXPECT_GE(PipelineLimitSeconds(cost, {100, 1000}), SimpleLimitSeconds(cost, {100, 1000}));
}

TEST(RoutingReplay, GivesEachTokenItsOwnExpertsWhateverTheBatch) {
  constexpr int kLayers = 3;
  constexpr int kTokens = 7;
  const RoutingParams params = RoutingGenerator::FromName("mid").value();
  RoutingGenerator expected(params, kLayers, 16, 4, 5);
  RoutingGenerator generator(params, kLayers, 16, 4, 5);
  RoutingReplay replay(&generator, kLayers, RoutingGuesser(1, 16, 1));
  std::vector<std::vector<std::int32_t>> got(kLayers * kTokens, std::vector<std::int32_t>(4));
  for (int layer = 0; layer < kLayers; ++layer) {
    // Guesses come before any choice of the layer, or not at all, and change no token.
    std::vector<std::vector<std::int32_t>> guesses(kTokens, std::vector<std::int32_t>(4));
    for (int t = 0; t < kTokens; ++t) {
      if (layer == 1) continue;
      EXPECT_TRUE(replay.Guess(layer, 100 + t, guesses[static_cast<std::size_t>(t)]));
    }
    for (int t = 0; t < kTokens; ++t) {
      std::vector<std::int32_t>& chosen = got[static_cast<std::size_t>(layer * kTokens + t)];
      EXPECT_TRUE(replay.Choose(layer, 100 + t, chosen));
      std::vector<std::int32_t>& guess = guesses[static_cast<std::size_t>(t)];
      std::vector<std::int32_t> truth = chosen;
      std::sort(truth.begin(), truth.end());
      std::sort(guess.begin(), guess.end());
      EXPECT_EQ(guess == truth, layer != 1);  // of recall 1
    }
  }
  for (int t = 0; t < kTokens; ++t) {
    expected.NextToken();
    for (int layer = 0; layer < kLayers; ++layer) {
      const auto want = expected.Experts(layer);
      EXPECT_EQ(got[static_cast<std::size_t>(layer * kTokens + t)],
                std::vector<std::int32_t>(want.begin(), want.end()));
    }
  }
}

TEST(RoutingCounter, TheLayerThatUsedTheFewest) {
  RoutingCounter counter(2, 8);
  std::vector<std::int32_t> ids = {1, 2};
  EXPECT_FALSE(counter.Choose(0, 0, ids));
  EXPECT_EQ(counter.LeastUsed(), 0);
  counter.Choose(1, 0, ids);
  ids = {2, 3};
  counter.Choose(0, 1, ids);
  EXPECT_EQ(counter.LeastUsed(), 2);
  counter.Choose(1, 1, ids);
  EXPECT_EQ(counter.LeastUsed(), 3);
  counter.Clear();
  EXPECT_EQ(counter.LeastUsed(), 0);
}

}  // namespace
}  // namespace larder
