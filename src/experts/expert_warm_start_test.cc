// The warm start: reads what was hot, hottest first, into empty slots only and behind requests;
// never changes a byte; and giving up a request without waiting for its reads.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>

#include "experts/expert_store.h"
#include "experts/store_testing.h"

namespace larder {
namespace {

using testing::BankShape;
using testing::RunRequest;
using testing::ShufflingReader;
using testing::SomeExperts;
using testing::TestBank;

std::unique_ptr<ExpertStore> MakeStore(const TestBank& bank, AsyncReader* reader,
                                       unsigned n_tokens) {
  ExpertStoreOptions options;
  options.slot_budget_bytes = MinimumSlotBytes(bank.bank) * n_tokens;
  options.retry_backoff_us = 1;
  options.max_read_retries = 1;
  options.lookahead = LookaheadMode::kOff;
  auto store = ExpertStore::Create(&bank.bank, reader, options);
  LARDER_CHECK(store.ok());
  return std::move(*store);
}

void PollUntilIdle(ExpertStore& store, const ShufflingReader& reader) {
  for (int i = 0; i < 1000; ++i) store.Poll();
  EXPECT_EQ(reader.n_in_flight(), 0u);
}

TEST(WarmStart, ReadsTheHottestFirstAsFarAsThereAreSlots) {
  const TestBank bank(BankShape{});
  ShufflingReader reader(1);
  const auto store = MakeStore(bank, &reader, 2);  // 4 slots of 2 experts each
  store->WarmUp({{0, 1, 1.0f}, {1, 2, 9.0f}, {2, 3, 5.0f}, {0, 4, 7.0f}, {1, 5, 3.0f}});
  PollUntilIdle(*store, reader);
  EXPECT_TRUE(store->IsResident(1, 2));
  EXPECT_TRUE(store->IsResident(0, 4));
  EXPECT_TRUE(store->IsResident(2, 3));
  EXPECT_TRUE(store->IsResident(1, 5));
  EXPECT_FALSE(store->IsResident(0, 1)) << "no slot was left";
  EXPECT_EQ(store->stats().n_warm_started, 4u);
  SplitMix64 random(3);
  const std::vector<std::int32_t> experts = {2, 5};
  ASSERT_TRUE(RunRequest(*store, bank, 1, experts, 8, random).ok());
  EXPECT_EQ(store->stats().n_hits, 2u);
  EXPECT_EQ(store->stats().n_misses, 0u);
}

TEST(WarmStart, NeverChangesAByteWhateverTheRequests) {
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    const TestBank bank(BankShape{});
    ShufflingReader reader(seed);
    SplitMix64 random(seed * 31 + 1);
    reader.decide = [&random](std::uint64_t, const ReadRequest&) {
      return random.NextBelow(10) == 0 ? FaultKind::kLate : FaultKind::kNone;
    };
    const auto store = MakeStore(bank, &reader, 1 + static_cast<unsigned>(seed % 6));
    std::vector<HotExpert> hot;
    for (int layer = 0; layer < 3; ++layer) {
      for (int expert = 0; expert < 8; ++expert) {
        hot.push_back({layer, expert, static_cast<float>(1 + random.NextBelow(50))});
      }
    }
    store->WarmUp(hot);
    for (int step = 0; step < 30; ++step) {
      const int layer = step % 3;
      const auto experts = SomeExperts(random, 8, 1 + static_cast<int>(random.NextBelow(8)));
      ASSERT_TRUE(RunRequest(*store, bank, layer, experts, 3, random).ok());
      if (random.NextBelow(2) == 0) store->Poll();
    }
  }
}

TEST(WarmStart, FailedReadsCostNothing) {
  const TestBank bank(BankShape{});
  ShufflingReader reader(1);
  reader.decide = [](std::uint64_t n, const ReadRequest&) {
    return n < 200 ? FaultKind::kError : FaultKind::kNone;
  };
  const auto store = MakeStore(bank, &reader, 4);
  store->WarmUp({{0, 1, 3.0f}, {1, 2, 2.0f}, {2, 3, 1.0f}});
  PollUntilIdle(*store, reader);
  EXPECT_FALSE(store->IsResident(0, 1));
  reader.decide = nullptr;
  SplitMix64 random(3);
  const std::vector<std::int32_t> experts = {1, 7};
  EXPECT_TRUE(RunRequest(*store, bank, 0, experts, 8, random).ok());
}

TEST(WarmStart, HeatGoesRound) {
  const TestBank bank(BankShape{});
  ShufflingReader reader(1);
  const auto store = MakeStore(bank, &reader, 3);
  SplitMix64 random(3);
  const std::vector<std::int32_t> often = {6, 2};
  const std::vector<std::int32_t> once = {0, 1};
  ASSERT_TRUE(RunRequest(*store, bank, 1, once, 8, random).ok());
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(RunRequest(*store, bank, 1, often, 8, random).ok());
  const std::vector<HotExpert> heat = store->Heat();
  ASSERT_EQ(heat.size(), 4u);
  EXPECT_EQ(heat[0].layer, 1);
  EXPECT_EQ(heat[0].expert, 2);
  EXPECT_EQ(heat[1].expert, 6);
  EXPECT_EQ(heat[0].heat, heat[1].heat);
  EXPECT_LT(heat[2].heat, 1);

  ShufflingReader other_reader(1);
  const auto other = MakeStore(bank, &other_reader, 3);
  other->WarmUp(heat);
  PollUntilIdle(*other, other_reader);
  const std::vector<HotExpert> same = other->Heat();
  ASSERT_EQ(same.size(), heat.size());
  for (std::size_t i = 0; i < heat.size(); ++i) {
    EXPECT_EQ(same[i].layer, heat[i].layer);
    EXPECT_EQ(same[i].expert, heat[i].expert);
    EXPECT_NEAR(same[i].heat, heat[i].heat, 1e-4);
  }
}

TEST(Cancel, ReturnsBeforeTheReadsAreDoneAndTheNextRequestIsRight) {
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    const TestBank bank(BankShape{});
    ShufflingReader reader(seed);
    const auto store = MakeStore(bank, &reader, 1 + static_cast<unsigned>(seed % 4));
    SplitMix64 random(seed);
    std::atomic<bool> cancelled{false};
    store->SetCancelFlag(&cancelled);
    int n_left = 0;
    for (int step = 0; step < 20; ++step) {
      const auto experts = SomeExperts(random, 8, 4);
      ASSERT_TRUE(store->Request(step % 3, experts).ok());
      if (random.NextBelow(2) == 0) {
        std::vector<ExpertHandle> some;
        ASSERT_TRUE(store->Next(1, &some).ok());
      }
      if (random.NextBelow(2) == 0) {
        store->Cancel();
      } else if (store->n_pending() > 0) {
        cancelled = true;
        std::vector<ExpertHandle> none;
        EXPECT_EQ(store->Next(8, &none).code(), StatusCode::kCancelled);
        cancelled = false;
      }
      EXPECT_EQ(store->n_pending(), 0u);
      n_left += reader.n_in_flight() > 0 ? 1 : 0;
      const auto wanted = SomeExperts(random, 8, 5);
      ASSERT_TRUE(RunRequest(*store, bank, (step + 1) % 3, wanted, 8, random).ok());
    }
    EXPECT_GT(n_left, 0) << "no request was ever left with reads in flight";
    store->SetCancelFlag(nullptr);
  }
}

// What a given-up request was reading is still awaited by Drain, which can be given up as well.
TEST(Cancel, DrainReturnsTooAndCanBeRepeated) {
  const TestBank bank(BankShape{});
  ShufflingReader reader(5);
  const auto store = MakeStore(bank, &reader, 2);
  std::atomic<bool> cancelled{false};
  store->SetCancelFlag(&cancelled);
  const std::vector<std::int32_t> wanted = {1, 6};
  ASSERT_TRUE(store->Request(2, wanted).ok());
  store->Cancel();
  ASSERT_GT(reader.n_in_flight(), 0u);
  cancelled = true;
  EXPECT_EQ(store->Drain().code(), StatusCode::kCancelled);
  EXPECT_GT(reader.n_in_flight(), 0u);
  cancelled = false;
  ASSERT_TRUE(store->Drain().ok());
  EXPECT_EQ(reader.n_in_flight(), 0u);
  for (const int expert : wanted) EXPECT_TRUE(store->IsResident(2, expert));
  store->SetCancelFlag(nullptr);
}

}  // namespace
}  // namespace larder
