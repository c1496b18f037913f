// The yardsticks of replay, against hits counted by hand and, for the optimum, against all
// policies.
#include "experts/cache_simulation.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <vector>

#include "base/random.h"

namespace larder {
namespace {

// One layer, one expert per step.
RoutingRecord Sequence(std::vector<std::int32_t> experts) {
  const int n_experts = *std::max_element(experts.begin(), experts.end()) + 1;
  const auto n_steps = static_cast<std::int64_t>(experts.size());
  return {1, n_experts, 1, n_steps, std::move(experts)};
}

std::int64_t Hits(const RoutingRecord& record, int n_slots,
                  const std::unique_ptr<CachePolicy>& policy) {
  const ReplayResult result = ReplayCache(record, n_slots, *policy);
  EXPECT_EQ(result.n_asked, static_cast<std::int64_t>(record.experts.size()));
  return result.n_hits;
}

// The most hits any choice of victims gives, by trying them all.
std::int64_t BestHits(const RoutingRecord& record, int n_slots) {
  std::map<std::vector<int>, std::int64_t> states = {{{}, 0}};  // sorted contents -> most hits
  for (const std::int32_t expert : record.experts) {
    std::map<std::vector<int>, std::int64_t> next;
    const auto offer = [&next](std::vector<int> held, std::int64_t hits) {
      std::sort(held.begin(), held.end());
      auto& best = next[held];
      best = std::max(best, hits);
    };
    for (const auto& [held, hits] : states) {
      if (std::find(held.begin(), held.end(), expert) != held.end()) {
        offer(held, hits + 1);
        continue;
      }
      if (static_cast<int>(held.size()) < n_slots) {
        std::vector<int> more = held;
        more.push_back(expert);
        offer(more, hits);
        continue;
      }
      for (std::size_t i = 0; i < held.size(); ++i) {
        std::vector<int> changed = held;
        changed[i] = expert;
        offer(changed, hits);
      }
    }
    states = std::move(next);
  }
  std::int64_t best = 0;
  for (const auto& [held, hits] : states) best = std::max(best, hits);
  return best;
}

TEST(CacheSimulation, CountsByHand) {
  const RoutingRecord record = Sequence({0, 1, 0, 2, 0, 1, 2, 1});
  EXPECT_EQ(Hits(record, 2, MakeGlobalLruPolicy(record)), 3);
  EXPECT_EQ(Hits(record, 2, MakeGlobalLfuPolicy(record)), 2);
  EXPECT_EQ(Hits(record, 2, MakeBeladyPolicy(record)), 4);
  EXPECT_EQ(Hits(record, 3, MakeGlobalLruPolicy(record)), 5);
}

TEST(CacheSimulation, ALoopLargerThanTheCacheIsLrusWorst) {
  const RoutingRecord record = Sequence({0, 1, 2, 0, 1, 2, 0, 1, 2});
  EXPECT_EQ(Hits(record, 2, MakeGlobalLruPolicy(record)), 0);
  EXPECT_EQ(Hits(record, 2, MakeBeladyPolicy(record)), 3);
}

TEST(CacheSimulation, BeladyIsTheBestOfAllChoices) {
  SplitMix64 random(3);
  for (int round = 0; round < 50; ++round) {
    std::vector<std::int32_t> experts(24);
    for (auto& expert : experts) expert = static_cast<std::int32_t>(random.NextBelow(6));
    const RoutingRecord record = Sequence(experts);
    EXPECT_EQ(Hits(record, 3, MakeBeladyPolicy(record)), BestHits(record, 3));
  }
}

TEST(CacheSimulation, ARequestNeverGivesUpItsOwn) {
  // Two layers with the same two experts each: with two slots every layer displaces the other's;
  // with three the optimum keeps one expert of each from step to step.
  const RoutingRecord record{2, 2, 2, 2, {0, 1, 0, 1, 0, 1, 0, 1}};
  EXPECT_EQ(Hits(record, 2, MakeGlobalLruPolicy(record)), 0);
  EXPECT_EQ(Hits(record, 1, MakeGlobalLruPolicy(record)), 0) << "fewer slots than one request";
  EXPECT_EQ(Hits(record, 3, MakeBeladyPolicy(record)), 2);
  EXPECT_EQ(Hits(record, 4, MakeBeladyPolicy(record)), 4);
}

TEST(CacheSimulation, GapClosedIsAShare) {
  EXPECT_DOUBLE_EQ((CacheComparison{1, 0.25, 0, 0.5, 0.75}).GapClosed(), 0.5);
  EXPECT_EQ((CacheComparison{1, 0.5, 0, 0.5, 0.5}).GapClosed(), 0);
}

}  // namespace
}  // namespace larder
