// The heat policy: order, floor, refusal of pinned slots, what left and came back, no cliff.
// No disk: a replay is a table of what is resident.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <vector>

#include "base/random.h"
#include "experts/cache_policy.h"
#include "experts/cache_simulation.h"
#include "experts/routing_generator.h"

namespace larder {
namespace {

const auto kAny = [](int) { return true; };

void Request(CachePolicy& policy, int layer, std::vector<std::int32_t> experts) {
  policy.Requested(layer, experts);
}

TEST(HeatPolicy, GivesUpTheColdestUnlessJustUsed) {
  const auto policy = MakeHeatPolicy(3, 1, 8);
  for (int expert = 0; expert < 3; ++expert) {
    for (int use = 0; use < 3 - expert; ++use) Request(*policy, 0, {expert});
    policy->Admitted(expert, 0, expert);
  }
  EXPECT_EQ(policy->Victim(0, kAny), 1) << "expert 2 is colder, but of the last request";
  Request(*policy, 0, {7});
  EXPECT_EQ(policy->Victim(0, kAny), 2);
  EXPECT_EQ(policy->Victim(0, kAny), 0);
  EXPECT_EQ(policy->Victim(0, kAny), -1);
}

TEST(HeatPolicy, HeatHalvesWithinItsHalfLife) {
  const auto policy = MakeHeatPolicy(2, 1, 8);
  for (int use = 0; use < 3; ++use) Request(*policy, 0, {0});
  policy->Admitted(0, 0, 0);
  policy->Admitted(1, 0, 1);
  for (int age = 0; age < 2 * static_cast<int>(kHeatHalfLife); ++age) Request(*policy, 0, {7});
  Request(*policy, 0, {1});
  Request(*policy, 0, {7});
  EXPECT_EQ(policy->Victim(0, kAny), 0) << "3 old uses weigh less than 1 new one";
}

// Expert 0 was used 3 times long ago, expert 1 once just now: who is colder depends on the memory.
TEST(HeatPolicy, TheHalfLifeIsForTheAsking) {
  for (const double half_life : {1.0, 10.0, kHeatHalfLife, 200.0, kLongestHalfLife}) {
    const auto policy = MakeHeatPolicy(2, 1, 8, half_life);
    for (int use = 0; use < 3; ++use) Request(*policy, 0, {0});
    policy->Admitted(0, 0, 0);
    policy->Admitted(1, 0, 1);
    for (int age = 0; age < 40; ++age) Request(*policy, 0, {7});
    Request(*policy, 0, {1});
    Request(*policy, 0, {7});
    EXPECT_EQ(policy->Victim(0, kAny), half_life < 20 ? 0 : 1) << half_life;
    // As warm as can be, and still not taken for something just used.
    policy->SetHeat(0, 3, 1e9f);
    EXPECT_GT(policy->HeatOf(0, 3), half_life);
    EXPECT_LT(policy->HeatOf(0, 3), 2 * half_life + 2);
  }
}

TEST(HeatPolicy, RemembersTheHeatOfWhatItGaveUp) {
  const auto policy = MakeHeatPolicy(2, 1, 8);
  for (int use = 0; use < 4; ++use) Request(*policy, 0, {0});
  policy->Admitted(0, 0, 0);
  Request(*policy, 0, {1});
  Request(*policy, 0, {1});
  policy->Admitted(1, 0, 1);
  EXPECT_EQ(policy->Victim(0, [](int slot) { return slot == 0; }), 0);
  Request(*policy, 0, {0});
  policy->Admitted(0, 0, 0);
  Request(*policy, 0, {7});
  EXPECT_EQ(policy->Victim(0, kAny), 1) << "expert 0 came back with its 5 uses";
}

TEST(HeatPolicy, WhatWasAdmittedAheadStaysUntilItsLayerComes) {
  const auto policy = MakeHeatPolicy(3, 2, 8);
  Request(*policy, 1, {0});
  policy->Admitted(0, 1, 0);
  Request(*policy, 1, {5});
  policy->Admitted(1, 1, 3);  // nobody asked for it yet
  Request(*policy, 0, {2});
  policy->Admitted(2, 0, 2);
  EXPECT_EQ(policy->Victim(0, kAny), 0);
  policy->Admitted(0, 0, 4);
  Request(*policy, 1, {6});
  EXPECT_EQ(policy->Victim(1, kAny), 1) << "the guess was wrong";
}

TEST(HeatPolicy, ALayerAtItsFloorGivesUpNothingToOthers) {
  const auto policy = MakeHeatPolicy(8, 2, 8);  // the floor is 2
  for (int slot = 0; slot < 2; ++slot) policy->Admitted(slot, 0, slot);
  for (int slot = 2; slot < 8; ++slot) {
    Request(*policy, 1, {slot});
    Request(*policy, 1, {slot});
    policy->Admitted(slot, 1, slot);
  }
  Request(*policy, 0, {6});  // experts 0 and 1 of layer 0 are the coldest of all
  EXPECT_EQ(policy->Victim(1, kAny), 2);
  EXPECT_EQ(policy->Victim(1, [](int slot) { return slot < 2; }), 0) << "nothing else is left";
  policy->Admitted(0, 0, 0);
  Request(*policy, 0, {7});
  EXPECT_LT(policy->Victim(0, kAny), 2) << "its own a layer may give up";
}

TEST(HeatPolicy, OfEqualsTheLayerComputedLastGivesUp) {
  const auto policy = MakeHeatPolicy(3, 4, 4);
  for (int slot = 0; slot < 3; ++slot) {
    Request(*policy, slot, {0});
    policy->Admitted(slot, slot, 0);
  }
  EXPECT_EQ(policy->Victim(3, kAny), 2);
  EXPECT_EQ(policy->Victim(1, kAny), 1);
}

TEST(HeatPolicy, AdmittedReplacesWhatASlotHeld) {
  const auto policy = MakeHeatPolicy(2, 2, 4);
  policy->Admitted(0, 0, 0);
  policy->Admitted(1, 0, 1);
  policy->Admitted(0, 1, 0);  // the first read failed, the slot went elsewhere
  EXPECT_EQ(policy->Victim(0, kAny), 1);
  EXPECT_EQ(policy->Victim(0, kAny), 0);
  EXPECT_EQ(policy->Victim(0, kAny), -1);
}

TEST(HeatPolicy, RandomCallsNeverNameASlotThatIsNotHeld) {
  constexpr int kSlots = 23;
  constexpr int kLayers = 5;
  constexpr int kExperts = 16;
  SplitMix64 random(7);
  const auto policy = MakeHeatPolicy(kSlots, kLayers, kExperts);
  std::set<int> held;
  for (int i = 0; i < 20000; ++i) {
    const auto slot = static_cast<int>(random.NextBelow(kSlots));
    const auto layer = static_cast<int>(random.NextBelow(kLayers));
    const auto expert = static_cast<std::int32_t>(random.NextBelow(kExperts));
    const std::uint64_t action = random.NextBelow(3);
    if (action == 0) Request(*policy, layer, {expert});
    if (action == 1) policy->Admitted(slot, layer, expert), held.insert(slot);
    if (action != 2) continue;
    const std::uint64_t mask = random.Next() & random.Next();
    const auto allowed = [mask](int s) { return (mask >> s & 1) != 0; };
    const bool any = std::any_of(held.begin(), held.end(), allowed);
    const int victim = policy->Victim(layer, allowed);
    ASSERT_EQ(victim >= 0, any);
    if (victim < 0) continue;
    ASSERT_TRUE(allowed(victim));
    ASSERT_EQ(held.erase(victim), 1u);
  }
}

// A third of the experts stays from token to token, the rest is uniform.
TEST(HeatPolicy, NoCliffBelowOneTokensWorkingSet) {
  constexpr int kLayers = 40;
  constexpr int kExperts = 256;
  constexpr int kUsed = 8;
  constexpr int kSlots = kLayers * kUsed * 6 / 10;
  RoutingGenerator generator({0, 0, 0.33, 0}, kLayers, kExperts, kUsed, 1);
  const RoutingRecord record = RecordRouting(generator, kLayers, kExperts, 300);
  const CacheComparison rates = ComparePolicies(record, kSlots);
  std::printf("figure: hit_rate_at_60_percent_of_a_token %.4f > 0.10\n", rates.ours);
  EXPECT_GT(rates.ours, 0.10);
  EXPECT_LT(rates.lru, 0.01) << "the comparison is not the one meant";
}

// A short workload of each kind; the long ones are an acceptance script's.
TEST(HeatPolicy, BeatsLruOnEveryWorkload) {
  for (const char* name : {"easy", "mid", "hard"}) {
    RoutingGenerator generator(*RoutingGenerator::FromName(name), 12, 256, 8, 5);
    const RoutingRecord record = RecordRouting(generator, 12, 256, 200);
    for (const int percent : {10, 25}) {
      const CacheComparison rates = ComparePolicies(record, 12 * 256 * percent / 100);
      EXPECT_GT(rates.ours, rates.lru) << name << " at " << percent << " %";
      EXPECT_GT(rates.belady, rates.ours) << name << " at " << percent << " %";
    }
  }
}

}  // namespace
}  // namespace larder
