// Plans: classes, shares, budgets that are never exceeded, regions that hold every expert.
#include "experts/slot_layout.h"

#include <gtest/gtest.h>

#include "base/memory.h"
#include "base/random.h"

namespace larder {
namespace {

// `slab_bytes` of three equal slabs per layer, at offsets of no alignment.
ExpertBank MakeBank(const std::vector<std::uint64_t>& slab_bytes, int n_experts, int n_used) {
  ExpertBank bank;
  bank.n_experts = n_experts;
  bank.n_used = n_used;
  std::uint64_t offset = 992;
  for (const std::uint64_t size_bytes : slab_bytes) {
    ExpertLayerLayout layer;
    for (int slab = 0; slab < 3 && size_bytes > 0; ++slab) {
      layer.slabs.push_back({0, offset, size_bytes, DType::kQ4_K, 1, 1});
      offset += size_bytes * static_cast<std::uint64_t>(n_experts);
    }
    bank.layers.push_back(layer);
  }
  return bank;
}

TEST(SlotLayout, RegionsHoldTheSupersetOfEveryExpert) {
  SplitMix64 random(1);
  for (int round = 0; round < 100; ++round) {
    const ExpertBank bank = MakeBank({1 + random.NextBelow(20000)}, 9, 2);
    const SlotLayout layout = MakeSlotLayout(bank);
    const SlotLayout::Layer& layer = layout.layers[0];
    for (std::size_t s = 0; s < 3; ++s) {
      const std::uint64_t next = s < 2 ? layer.region_offsets[s + 1] : layer.slot_bytes;
      const std::uint64_t region_bytes = next - layer.region_offsets[s];
      std::uint64_t largest = 0;
      for (std::uint64_t expert = 0; expert < 9; ++expert) {
        const SlabLayout& slab = bank.layers[0].slabs[s];
        const std::uint64_t begin = slab.offset + expert * slab.size_bytes;
        const std::uint64_t end = begin + slab.size_bytes;
        largest = std::max(largest, AlignUp(end, 4096) - AlignDown(begin, 4096));
      }
      ASSERT_EQ(region_bytes, largest);
      ASSERT_EQ(layer.region_offsets[s] % 4096, 0u);
    }
  }
}

TEST(SlotLayout, ClassesMergeWithinThreePercent) {
  const ExpertBank bank = MakeBank({100 * 4096, 99 * 4096, 60 * 4096, 0, 100 * 4096}, 4, 2);
  const SlotLayout layout = MakeSlotLayout(bank);
  ASSERT_EQ(layout.classes.size(), 2u);
  EXPECT_EQ(layout.classes[0].slot_bytes, 3u * 101 * 4096);
  EXPECT_EQ(layout.classes[0].n_records, 12);
  EXPECT_EQ(layout.classes[1].n_records, 4);
  EXPECT_EQ(layout.layers[3].class_index, -1) << "a dense layer";
  EXPECT_EQ(layout.layers[4].layer_in_class, 2);
  const auto plan = PlanSlots(bank, MaximumSlotBytes(bank));
  ASSERT_TRUE(plan.ok());
  EXPECT_TRUE(plan->holds_all);
  EXPECT_LT(plan->waste_share, 0.03);
  EXPECT_GT(plan->waste_share, 0.0);
}

TEST(PlanSlots, RandomBanksAndBudgets) {
  SplitMix64 random(2);
  for (int round = 0; round < 2000; ++round) {
    std::vector<std::uint64_t> sizes;
    for (std::uint64_t i = 1 + random.NextBelow(6); i > 0; --i) {
      sizes.push_back(1 + random.NextBelow(300000));
    }
    const auto n_experts = static_cast<int>(1 + random.NextBelow(64));
    const auto n_used =
        static_cast<int>(1 + random.NextBelow(static_cast<std::uint64_t>(n_experts)));
    const ExpertBank bank = MakeBank(sizes, n_experts, n_used);
    const std::uint64_t least = MinimumSlotBytes(bank);
    const std::uint64_t most = MaximumSlotBytes(bank);
    ASSERT_LE(least, most);
    EXPECT_EQ(PlanSlots(bank, least - 1).status().code(), StatusCode::kOutOfMemory);
    const std::uint64_t budget = least + random.NextBelow(most - least + 1);
    const auto plan = PlanSlots(bank, budget);
    ASSERT_TRUE(plan.ok());
    ASSERT_LE(plan->total_bytes, budget);
    ASSERT_EQ(plan->holds_all, budget == most || plan->total_bytes == most);
    std::uint64_t sum = 0;
    for (const SlotPlan::Class& c : plan->classes) {
      ASSERT_GE(c.n_slots, n_used);
      ASSERT_LE(c.n_slots, c.n_records);
      sum += c.slot_bytes * static_cast<std::uint64_t>(c.n_slots);
      // Leftovers are handed out: no class that lacks slots could have one more.
      if (c.n_slots < c.n_records) {
        ASSERT_GT(plan->total_bytes + c.slot_bytes, budget);
      }
    }
    ASSERT_EQ(sum, plan->total_bytes);
    ASSERT_TRUE(PlanSlots(bank, most)->holds_all);
    ASSERT_TRUE(PlanSlots(bank, ~std::uint64_t{0})->holds_all);
  }
}

TEST(PlanSlots, SharesAreEqualWhenNothingForcesOthers) {
  const ExpertBank bank = MakeBank({600000, 600000, 900000}, 256, 8);
  const auto plan = PlanSlots(bank, MaximumSlotBytes(bank) / 4);
  ASSERT_TRUE(plan.ok());
  ASSERT_EQ(plan->classes.size(), 2u);
  for (const SlotPlan::Class& c : plan->classes) {
    EXPECT_NEAR(static_cast<double>(c.n_slots) / static_cast<double>(c.n_records), 0.25, 0.01);
  }
}

}  // namespace
}  // namespace larder
