// ExpertStore: bytes against the file under random requests, waves, pins, statistics, both real
// readers.
#include "experts/expert_store.h"

#include <gtest/gtest.h>

#include <chrono>
#include <set>
#include <thread>

#include "experts/store_testing.h"

namespace larder {
namespace {

using testing::BankShape;
using testing::RunRequest;
using testing::ShufflingReader;
using testing::SomeExperts;
using testing::TestBank;

std::unique_ptr<ExpertStore> MakeStore(const TestBank& bank, AsyncReader* reader,
                                       std::uint64_t budget_bytes, bool direct = true) {
  ExpertStoreOptions options;
  options.slot_budget_bytes = budget_bytes;
  options.direct = direct;
  options.drop_cached = !direct;
  options.retry_backoff_us = 10;
  auto store = ExpertStore::Create(&bank.bank, reader, options);
  LARDER_CHECK(store.ok());
  return std::move(*store);
}

// Random requests of all sizes over all layers.
void RunRandomly(ExpertStore& store, const TestBank& bank, int n_requests, std::uint64_t seed) {
  SplitMix64 random(seed);
  const auto n_layers = static_cast<std::uint64_t>(bank.bank.layers.size());
  const auto n_experts = static_cast<std::uint64_t>(bank.bank.n_experts);
  for (int i = 0; i < n_requests; ++i) {
    const auto layer = static_cast<int>(random.NextBelow(n_layers));
    const auto count = static_cast<int>(1 + random.NextBelow(n_experts));
    const auto experts = SomeExperts(random, bank.bank.n_experts, count);
    const std::size_t wave = 1 + random.NextBelow(n_experts);
    const Status status = RunRequest(store, bank, layer, experts, wave, random);
    ASSERT_TRUE(status.ok()) << status.message();
    if (::testing::Test::HasFailure()) return;
  }
}

std::vector<BankShape> Shapes() {
  BankShape plain;
  BankShape fused = plain;
  fused.fused = true;
  fused.first_offset = 4096;
  BankShape mixed;
  mixed.n_layers = 5;
  mixed.dtypes = {DType::kQ8_0, DType::kF32};
  mixed.down_in_second_file = true;
  BankShape single;
  single.n_experts = 1;
  single.n_used = 1;
  return {plain, fused, mixed, single};
}

TEST(ExpertStore, EveryByteForRandomRequestsAndBudgets) {
  for (const BankShape& shape : Shapes()) {
    const TestBank bank(shape);
    const std::uint64_t least = MinimumSlotBytes(bank.bank);
    const std::uint64_t most = MaximumSlotBytes(bank.bank);
    for (int step = 0; step <= 4; ++step) {
      const std::uint64_t budget = least + (most - least) * static_cast<std::uint64_t>(step) / 4;
      for (const bool direct : {true, false}) {
        ShufflingReader reader(static_cast<std::uint64_t>(step));
        const auto store = MakeStore(bank, &reader, budget, direct);
        EXPECT_LE(store->plan().total_bytes, budget);
        EXPECT_EQ(store->plan().holds_all, step == 4);
        RunRandomly(*store, bank, 60, 9);
        ASSERT_FALSE(HasFailure());
        EXPECT_EQ(reader.n_in_flight(), 0u);
      }
    }
  }
}

TEST(ExpertStore, WholeLayersPassThroughOneSlotAndTwo) {
  BankShape shape;
  shape.n_used = 1;
  const TestBank bank(shape);
  for (const int n_slots : {1, 2}) {
    ShufflingReader reader(4);
    const auto store =
        MakeStore(bank, &reader, MinimumSlotBytes(bank.bank) * static_cast<unsigned>(n_slots));
    ASSERT_EQ(store->plan().n_slots, n_slots);
    RunRandomly(*store, bank, 30, 2);
  }
}

// While a wave is computed, the reads of the next are in flight.
TEST(ExpertStore, PromptsReadAhead) {
  BankShape shape;
  shape.n_layers = 1;
  shape.n_experts = 32;
  shape.n_used = 8;
  const TestBank bank(shape);
  ShufflingReader reader(5);
  const auto store = MakeStore(bank, &reader, MinimumSlotBytes(bank.bank));
  std::vector<std::int32_t> all;
  for (int i = 0; i < 32; ++i) all.push_back(i);
  for (int sweep = 0; sweep < 3; ++sweep) {
    ASSERT_TRUE(store->Request(0, all).ok());
    std::vector<ExpertHandle> wave;
    int n_waves = 0;
    int n_idle = 0;
    while (store->n_pending() > 0) {
      wave.clear();
      ASSERT_TRUE(store->Next(32, &wave).ok());
      const bool more_to_read = store->n_pending() > 8;
      if (more_to_read) {
        ++n_waves;
        ASSERT_LE(wave.size(), store->MaxWave(0));
        if (reader.n_in_flight() == 0) ++n_idle;
      }
    }
    // Only the residents' first wave of a later sweep finds every slot pinned.
    EXPECT_GE(n_waves, 5);
    EXPECT_LE(n_idle, sweep == 0 ? 0 : 1);
  }
}

TEST(ExpertStore, HitsComeFirstAndAreCounted) {
  const TestBank bank(BankShape{});
  ShufflingReader reader(1);
  const auto store = MakeStore(bank, &reader, MaximumSlotBytes(bank.bank));
  SplitMix64 random(1);
  ASSERT_TRUE(RunRequest(*store, bank, 1, std::vector<std::int32_t>{6, 2}, 8, random).ok());
  EXPECT_EQ(store->stats().n_misses, 2u);
  EXPECT_EQ(store->stats().n_reads, 6u);
  EXPECT_EQ(store->stats().bytes_requested, 2 * bank.bank.layers[1].record_bytes());
  EXPECT_GT(store->stats().bytes_read, 2 * bank.bank.layers[1].record_bytes());
  store->ResetStats();
  ASSERT_TRUE(store->Request(1, std::vector<std::int32_t>{0, 2, 7, 6}).ok());
  std::vector<ExpertHandle> handles;
  ASSERT_TRUE(store->Next(2, &handles).ok());
  ASSERT_EQ(handles.size(), 2u);
  EXPECT_EQ(handles[0].expert(), 2);
  EXPECT_EQ(handles[1].expert(), 6);
  while (store->n_pending() > 0) ASSERT_TRUE(store->Next(8, &handles).ok());
  EXPECT_EQ(store->stats().n_hits, 2u);
  EXPECT_EQ(store->stats().n_misses, 2u);
  EXPECT_EQ(store->stats().bytes_requested, 4 * bank.bank.layers[1].record_bytes());
  EXPECT_TRUE(store->Next(1, &handles).ok()) << "nothing pending is no error";
  EXPECT_EQ(handles.size(), 4u);
}

TEST(ExpertStore, ReadsAreSubmittedAtOnceExpertByExpertInFileOrder) {
  const TestBank bank(BankShape{});
  ShufflingReader reader(1);
  const auto store = MakeStore(bank, &reader, MaximumSlotBytes(bank.bank));
  ASSERT_TRUE(store->Request(2, std::vector<std::int32_t>{7, 0, 3}).ok());
  ASSERT_EQ(reader.batches.size(), 1u);
  ASSERT_EQ(reader.batches[0].size(), 9u);
  const int experts[] = {0, 3, 7};
  for (std::size_t i = 0; i < 9; ++i) {
    const SlabLayout& slab = bank.bank.layers[2].slabs[i % 3];
    const auto expert = static_cast<std::uint64_t>(experts[i / 3]);
    const std::uint64_t offset = slab.offset + expert * slab.size_bytes;
    EXPECT_EQ(reader.batches[0][i].offset, AlignDown(offset, 4096));
    EXPECT_GE(reader.batches[0][i].offset + reader.batches[0][i].size_bytes,
              offset + slab.size_bytes);
  }
  store->Cancel();
}

TEST(ExpertStore, PinnedExpertsSurviveLaterRequests) {
  BankShape shape;
  shape.n_used = 3;
  const TestBank bank(shape);
  ShufflingReader reader(8);
  const auto store = MakeStore(bank, &reader, MinimumSlotBytes(bank.bank));
  std::vector<ExpertHandle> held;
  ASSERT_TRUE(store->Request(0, std::vector<std::int32_t>{5}).ok());
  ASSERT_TRUE(store->Next(1, &held).ok());
  ExpertHandle kept = std::move(held[0]);
  held.clear();
  SplitMix64 random(3);
  for (int layer = 0; layer < 3; ++layer) {
    for (int expert = 0; expert < 8; ++expert) {
      const std::vector<std::int32_t> one = {expert};
      ASSERT_TRUE(RunRequest(*store, bank, layer, one, 1, random).ok());
      ASSERT_TRUE(bank.Matches(0, kept));
      ASSERT_TRUE(store->IsResident(0, 5));
    }
  }
  kept = ExpertHandle();
  for (int expert = 0; expert < 5; ++expert) {
    ASSERT_TRUE(RunRequest(*store, bank, 0, std::vector<std::int32_t>{expert}, 1, random).ok());
  }
  EXPECT_FALSE(store->IsResident(0, 5)) << "given back, it makes room";
}

TEST(ExpertStore, CancelledMidwayItStaysConsistent) {
  const TestBank bank(BankShape{});
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    ShufflingReader reader(seed);
    const auto store = MakeStore(bank, &reader, MinimumSlotBytes(bank.bank) * 3);
    SplitMix64 random(seed);
    for (int i = 0; i < 10; ++i) {
      const auto layer = static_cast<int>(random.NextBelow(3));
      const auto experts = SomeExperts(random, 8, 1 + static_cast<int>(random.NextBelow(8)));
      ASSERT_TRUE(store->Request(layer, experts).ok());
      std::vector<ExpertHandle> held;
      for (std::uint64_t calls = random.NextBelow(3); calls > 0; --calls) {
        held.clear();
        ASSERT_TRUE(store->Next(2, &held).ok());
      }
      store->Cancel();
      ASSERT_EQ(store->n_pending(), 0u);
      if (random.NextBelow(2) == 0) {  // else its reads go on during the next request
        ASSERT_TRUE(store->Drain().ok());
        ASSERT_EQ(reader.n_in_flight(), 0u);
      }
      for (const ExpertHandle& handle : held) ASSERT_TRUE(bank.Matches(layer, handle));
      held.clear();
      ASSERT_TRUE(RunRequest(*store, bank, layer, SomeExperts(random, 8, 8), 3, random).ok());
    }
  }
}

TEST(ExpertStore, DestroyedWithReadsInFlight) {
  const TestBank bank(BankShape{});
  ShufflingReader reader(1);
  {
    const auto store = MakeStore(bank, &reader, MaximumSlotBytes(bank.bank));
    ASSERT_TRUE(store->Request(0, std::vector<std::int32_t>{1, 2, 3}).ok());
    EXPECT_GT(reader.n_in_flight(), 0u);
  }
  EXPECT_EQ(reader.n_in_flight(), 0u);
}

TEST(ExpertStore, RefusesBanksThatContradictTheirFiles) {
  TestBank bank(BankShape{});
  ShufflingReader reader(1);
  const ExpertBank good = bank.bank;
  ExpertStoreOptions options;
  options.slot_budget_bytes = MaximumSlotBytes(good);
  const auto code = [&] {
    return ExpertStore::Create(&bank.bank, &reader, options).status().code();
  };
  bank.bank.layers[2].slabs[2].offset += 1;
  EXPECT_EQ(code(), StatusCode::kDataError) << "reaches past the end by one byte";
  bank.bank.layers[2].slabs[2].offset = ~std::uint64_t{0};
  EXPECT_EQ(code(), StatusCode::kDataError);
  bank.bank = good;
  bank.bank.layers[0].slabs[0].size_bytes += 2;
  EXPECT_EQ(code(), StatusCode::kDataError);
  bank.bank = good;
  bank.bank.layers[1].slabs.pop_back();
  EXPECT_EQ(code(), StatusCode::kDataError);
  bank.bank = good;
  bank.bank.layers[1].slabs[0].file_index = 2;
  EXPECT_EQ(code(), StatusCode::kDataError);
  bank.bank = good;
  options.slot_budget_bytes = MinimumSlotBytes(good) - 1;
  EXPECT_EQ(code(), StatusCode::kOutOfMemory);
}

TEST(ExpertStoreDeathTest, HoldingEverySlotWhileExpertsWaitIsABug) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const TestBank bank(BankShape{});
  ShufflingReader reader(1);
  const auto hold_all = [&] {
    const auto store = MakeStore(bank, &reader, MinimumSlotBytes(bank.bank));
    static_cast<void>(store->Request(0, std::vector<std::int32_t>{0, 1, 2, 3}));
    std::vector<ExpertHandle> held;
    while (store->n_pending() > 0) static_cast<void>(store->Next(1, &held));
  };
  EXPECT_DEATH(hold_all(), "n_open");
}

TEST(ExpertStore, BothRealReaders) {
  for (const IoMode mode : {IoMode::kUring, IoMode::kThreads}) {
    for (const BankShape& shape : Shapes()) {
      const TestBank bank(shape);
      auto reader = MakeAsyncReader({mode, 4});
      if (!reader.ok()) continue;  // a kernel without io_uring
      for (const bool direct : {true, false}) {
        const auto store = MakeStore(bank, reader->get(), MinimumSlotBytes(bank.bank) * 2, direct);
        RunRandomly(*store, bank, 40, 5);
        ASSERT_FALSE(HasFailure()) << (*reader)->name();
        EXPECT_EQ((*reader)->n_in_flight(), 0u);
      }
    }
  }
}

TEST(ExpertStore, CountsStallsAndBusyTime) {
  const TestBank bank(BankShape{});
  auto inner = MakeAsyncReader({IoMode::kThreads, 4});
  ASSERT_TRUE(inner.ok());
  const auto reader = MakeFaultInjectingReader(std::move(*inner), [](std::uint64_t) {
    return Fault{FaultKind::kLate, 20000};
  });
  const auto store = MakeStore(bank, reader.get(), MaximumSlotBytes(bank.bank));
  SplitMix64 random(1);
  ASSERT_TRUE(RunRequest(*store, bank, 0, std::vector<std::int32_t>{3}, 1, random).ok());
  EXPECT_GE(store->stats().stall_us, 15000);
  EXPECT_GE(store->stats().read_busy_us, 19000);
  EXPECT_GE(store->stats().read_latency_us, 3 * 19000);
  store->ResetStats();
  ASSERT_TRUE(store->Request(0, std::vector<std::int32_t>{4}).ok());
  std::this_thread::sleep_for(std::chrono::milliseconds(60));
  std::vector<ExpertHandle> handles;
  ASSERT_TRUE(store->Next(1, &handles).ok());
  EXPECT_GE(store->stats().read_busy_us, 50000) << "as seen when reaped";
}

}  // namespace
}  // namespace larder
