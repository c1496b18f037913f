// Replays, and what lies between them, against the simulation that judges policies.
#include "cli/routing_statistics.h"

#include <gtest/gtest.h>

#include "cli/planner.h"
#include "experts/cache_simulation.h"

namespace larder {
namespace {

ReplayCase Mid(double slots) {
  return {RoutingGenerator::FromName("mid").value(), 64, 4, slots, 1};
}

TEST(RoutingStatistics, AnswersAgreeWithTheSimulationOfPolicies) {
  // The simulation counts from a cold start, so only the longer one's second half is compared.
  const auto hits = [](std::int64_t n_tokens) {
    RoutingGenerator generator(RoutingGenerator::FromName("mid").value(), 6, 64, 4, 1);
    const RoutingRecord record = RecordRouting(generator, 6, 64, n_tokens);
    const auto policy = MakeHeatPolicy(6 * 16, 6, 64);
    return ReplayCache(record, 6 * 16, *policy);
  };
  const ReplayResult half = hits(600);
  const ReplayResult whole = hits(1200);
  const double expected = static_cast<double>(whole.n_hits - half.n_hits) /
                          static_cast<double>(whole.n_asked - half.n_asked);
  const AnswerStatistics statistics = ReplayAnswers(Mid(16));
  EXPECT_NEAR(statistics.hit_rate, expected, 1e-9);
  double sum = 0;
  double misses = 0;
  for (std::size_t i = 0; i < statistics.share_of_misses.size(); ++i) {
    sum += statistics.share_of_misses[i];
    misses += static_cast<double>(i) * statistics.share_of_misses[i];
  }
  EXPECT_NEAR(sum, 1, 1e-9);
  EXPECT_NEAR(misses, 4 * (1 - statistics.hit_rate), 1e-9);
}

TEST(RoutingStatistics, MoreSlotsHitMore) {
  double last = -1;
  for (const double slots : {4.0, 8.0, 16.0, 32.0, 48.0, 64.0}) {
    const double hit_rate = ReplayAnswers(Mid(slots)).hit_rate;
    EXPECT_GT(hit_rate, last);
    last = hit_rate;
  }
  EXPECT_EQ(last, 1);
}

TEST(RoutingStatistics, PromptsReadEachExpertOnce) {
  const PromptStatistics few = ReplayPrompts(Mid(16), 8);
  const PromptStatistics many = ReplayPrompts(Mid(16), 256);
  EXPECT_GT(many.experts_used, few.experts_used);
  EXPECT_LE(many.experts_used, 64);
  EXPECT_LT(many.experts_read, many.experts_used);
  EXPECT_GE(many.experts_read, many.experts_used - 16 - 16);
  EXPECT_EQ(ReplayPrompts(Mid(64), 8).experts_read, 0);
}

TEST(RoutingCurve, GoesThroughItsReplays) {
  RoutingCurve curve(RoutingGenerator::FromName("mid").value(), 40, 64, 4);
  EXPECT_DOUBLE_EQ(curve.Answers(4).hit_rate, ReplayAnswers(Mid(4)).hit_rate);
  EXPECT_EQ(curve.Answers(64).hit_rate, 1);
  const double low = curve.Answers(20).hit_rate;
  const double high = curve.Answers(24).hit_rate;
  EXPECT_GT(high, low);
}

TEST(RoutingCurve, FewerSlotsThanATokenUsesHitAsInTheSimulationOfPolicies) {
  const RoutingParams mid = RoutingGenerator::FromName("mid").value();
  for (const int n_layers : {4, 24}) {
    for (const double share : {0.25, 0.5, 0.75}) {
      const auto n_slots = static_cast<int>(share * 4 * n_layers);
      RoutingGenerator generator(mid, n_layers, 64, 4, 1);
      const RoutingRecord record = RecordRouting(generator, n_layers, 64, 1200);
      const auto policy = MakeHeatPolicy(n_slots, n_layers, 64);
      const ReplayResult result = ReplayCache(record, n_slots, *policy);
      const double simulated =
          static_cast<double>(result.n_hits) / static_cast<double>(result.n_asked);
      RoutingCurve curve(mid, n_layers, 64, 4);
      EXPECT_NEAR(curve.Answers(share * 4).hit_rate, simulated, 0.03) << n_layers << " " << share;
    }
  }
}

TEST(RoutingCurve, HasNoStepWhereATokensExpertsFit) {
  const RoutingParams mid = RoutingGenerator::FromName("mid").value();
  for (int n_used = 1; n_used <= 16; ++n_used) {
    RoutingCurve curve(mid, 40, 16, n_used);
    const double at = curve.Answers(n_used).hit_rate;
    EXPECT_NEAR(curve.Answers(n_used - 1e-9).hit_rate, at, 1e-6) << n_used;
    const double read = curve.Prompts(n_used, 8).experts_read;
    EXPECT_NEAR(curve.Prompts(n_used - 1e-9, 8).experts_read, read, 1e-6) << n_used;
  }
}

TEST(RoutingCurve, SlotsForOneRequestHitNothing) {
  // All experts are used, and 64 slots are for 16 layers.
  RoutingCurve curve(RoutingGenerator::FromName("mid").value(), 16, 64, 64);
  EXPECT_EQ(curve.Answers(4).hit_rate, 0);
  EXPECT_NEAR(curve.Answers(4).share_of_misses[64], 1, 1e-9);
  EXPECT_GT(curve.Prompts(4, 8).experts_read, 59.9);
  EXPECT_LE(curve.Answers(32).hit_rate, 0.5);
  EXPECT_EQ(curve.Answers(64).hit_rate, 1);
  EXPECT_EQ(curve.Prompts(64, 8).experts_read, 0);
}

}  // namespace
}  // namespace larder
