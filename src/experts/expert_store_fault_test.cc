// Faults: for every n, the n-th read of a run fails, is short, is late or lies about its length;
// once (the bytes must still be right) and for good (the request must fail, the store must not).
#include <gtest/gtest.h>
#include <unistd.h>

#include "experts/expert_store.h"
#include "experts/row_store.h"
#include "experts/store_testing.h"

namespace larder {
namespace {

using testing::BankShape;
using testing::RunRequest;
using testing::ShufflingReader;
using testing::SomeExperts;
using testing::TestBank;

constexpr FaultKind kKinds[] = {FaultKind::kError, FaultKind::kShort, FaultKind::kLate,
                                FaultKind::kCorrupt};

std::unique_ptr<ExpertStore> MakeStore(const TestBank& bank, AsyncReader* reader, int max_retries,
                                       std::int64_t backoff_us = 1) {
  ExpertStoreOptions options;
  options.slot_budget_bytes = MinimumSlotBytes(bank.bank) * 2;
  options.max_read_retries = max_retries;
  options.retry_backoff_us = backoff_us;
  auto store = ExpertStore::Create(&bank.bank, reader, options);
  LARDER_CHECK(store.ok());
  return std::move(*store);
}

// Four tokens and two prompts over all layers; returns the failure of every request that fails.
std::vector<Status> RunTokens(ExpertStore& store, const TestBank& bank) {
  std::vector<Status> failures;
  SplitMix64 random(42);
  for (int token = 0; token < 6; ++token) {
    for (int layer = 0; layer < static_cast<int>(bank.bank.layers.size()); ++layer) {
      const int count = token % 3 == 2 ? 6 : bank.bank.n_used;
      const auto experts = SomeExperts(random, bank.bank.n_experts, count);
      Status status = RunRequest(store, bank, layer, experts, 3, random);
      if (!status.ok()) failures.push_back(std::move(status));
    }
  }
  return failures;
}

// Without faults: how many reads a run takes.
std::uint64_t CountReads(const TestBank& bank) {
  ShufflingReader reader(1);
  const auto store = MakeStore(bank, &reader, 0);
  EXPECT_TRUE(RunTokens(*store, bank).empty());
  return reader.n_submitted();
}

TEST(ExpertStoreFaults, NthReadOnceNeverChangesABit) {
  const TestBank bank(BankShape{});
  const std::uint64_t n_reads = CountReads(bank);
  ASSERT_GT(n_reads, 50u);
  for (const FaultKind kind : kKinds) {
    for (std::uint64_t n = 0; n < n_reads; ++n) {
      ShufflingReader reader(n);
      reader.decide = [=](std::uint64_t i, const ReadRequest&) {
        return i == n ? kind : FaultKind::kNone;
      };
      const auto store = MakeStore(bank, &reader, 1);
      const std::vector<Status> failures = RunTokens(*store, bank);
      ASSERT_TRUE(failures.empty()) << failures[0].message();
      // Another order of completion can mean other hits, and fewer than n reads.
      const bool retried = kind != FaultKind::kLate && reader.n_submitted() > n;
      ASSERT_EQ(store->stats().n_retries, retried ? 1u : 0u);
      ASSERT_EQ(reader.n_in_flight(), 0u);
    }
  }
}

TEST(ExpertStoreFaults, NthReadWithoutRetriesFailsThatRequestOnly) {
  const TestBank bank(BankShape{});
  const std::uint64_t n_reads = CountReads(bank);
  for (const FaultKind kind : {FaultKind::kError, FaultKind::kShort, FaultKind::kCorrupt}) {
    for (std::uint64_t n = 0; n < n_reads; ++n) {
      ShufflingReader reader(n);
      reader.decide = [=](std::uint64_t i, const ReadRequest&) {
        return i == n ? kind : FaultKind::kNone;
      };
      const auto store = MakeStore(bank, &reader, 0);
      const std::vector<Status> failures = RunTokens(*store, bank);
      // Cancelled reads may make the run shorter than n reads.
      ASSERT_EQ(failures.size(), reader.n_submitted() > n ? 1u : 0u);
      if (failures.empty()) continue;
      ASSERT_EQ(failures[0].code(), StatusCode::kIoError);
      ASSERT_EQ(reader.n_in_flight(), 0u);
    }
  }
}

// The same over real readers, whose threads or kernel write into the slots.
TEST(ExpertStoreFaults, NthReadOnceWithBothRealReaders) {
  const TestBank bank(BankShape{});
  for (const IoMode mode : {IoMode::kUring, IoMode::kThreads}) {
    for (const FaultKind kind : kKinds) {
      for (std::uint64_t n = 0; n < 60; n += 3) {
        auto inner = MakeAsyncReader({mode, 4});
        if (!inner.ok()) continue;  // a kernel without io_uring
        const auto reader = MakeFaultInjectingReader(std::move(*inner), [=](std::uint64_t i) {
          return Fault{i == n ? kind : FaultKind::kNone, 3000};
        });
        const auto store = MakeStore(bank, reader.get(), 1);
        const std::vector<Status> failures = RunTokens(*store, bank);
        ASSERT_TRUE(failures.empty()) << failures[0].message();
        ASSERT_EQ(store->stats().n_retries, kind == FaultKind::kLate ? 0u : 1u);
        ASSERT_EQ(reader->n_in_flight(), 0u);
      }
    }
  }
}

TEST(ExpertStoreFaults, RandomFaultsOftenNeverAWrongByte) {
  const TestBank bank(BankShape{});
  std::size_t n_failures = 0;
  std::uint64_t n_retries = 0;
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    ShufflingReader reader(seed);
    SplitMix64 random(seed + 1000);
    reader.decide = [&](std::uint64_t, const ReadRequest&) {
      return random.NextBelow(5) == 0 ? kKinds[random.NextBelow(4)] : FaultKind::kNone;
    };
    const auto store = MakeStore(bank, &reader, 2);
    n_failures += RunTokens(*store, bank).size();
    n_retries += store->stats().n_retries;
    reader.decide = nullptr;
    ASSERT_TRUE(RunTokens(*store, bank).empty());
  }
  EXPECT_GT(n_failures, 0u);
  EXPECT_GT(n_retries, 1000u);
}

TEST(ExpertStoreFaults, ABadPlaceFailsWithItsNameUntilItHeals) {
  const TestBank bank(BankShape{});
  ShufflingReader reader(1);
  const SlabLayout& slab = bank.bank.layers[1].slabs[2];
  const std::uint64_t bad_offset = AlignDown(slab.offset + 5 * slab.size_bytes, 4096);
  const std::uint64_t bad_size = AlignUp(slab.offset + 6 * slab.size_bytes, 4096) - bad_offset;
  reader.decide = [=](std::uint64_t, const ReadRequest& request) {
    const bool bad = request.offset == bad_offset && request.size_bytes == bad_size;
    return bad ? FaultKind::kError : FaultKind::kNone;
  };
  const auto store = MakeStore(bank, &reader, 3);
  SplitMix64 random(1);
  const std::vector<std::int32_t> experts = {4, 5};
  const Status status = RunRequest(*store, bank, 1, experts, 8, random);
  EXPECT_EQ(status.code(), StatusCode::kIoError);
  for (const std::string& part :
       {bank.path(0), std::to_string(bad_offset), std::string("expert 5 of layer 1"),
        std::string("failed 4 times"), std::string("Input/output error")}) {
    EXPECT_NE(status.message().find(part), std::string::npos) << status.message();
  }
  EXPECT_EQ(store->stats().n_retries, 3u);
  EXPECT_FALSE(store->IsResident(1, 5));
  EXPECT_EQ(store->n_pending(), 0u);
  EXPECT_TRUE(RunRequest(*store, bank, 1, std::vector<std::int32_t>{4, 6, 7}, 8, random).ok());
  reader.decide = nullptr;
  EXPECT_TRUE(RunRequest(*store, bank, 1, experts, 8, random).ok());
}

TEST(ExpertStoreFaults, BackoffDoublesWithoutBlockingOtherReads) {
  const TestBank bank(BankShape{});
  auto inner = MakeAsyncReader({IoMode::kThreads, 4});
  ASSERT_TRUE(inner.ok());
  const auto reader = MakeFaultInjectingReader(std::move(*inner), [](std::uint64_t n) {
    // The first expert's first read and two of its retries; the others are fine.
    return Fault{n == 0 || n == 6 || n == 7 ? FaultKind::kError : FaultKind::kNone, 0};
  });
  const auto store = MakeStore(bank, reader.get(), 3, 10000);
  ASSERT_TRUE(store->Request(0, std::vector<std::int32_t>{1, 2}).ok());
  std::vector<ExpertHandle> handles;
  ASSERT_TRUE(store->Next(1, &handles).ok());
  EXPECT_EQ(handles[0].expert(), 2) << "what is there does not wait for the retry";
  ASSERT_TRUE(store->Next(1, &handles).ok());
  EXPECT_EQ(handles[1].expert(), 1);
  EXPECT_TRUE(bank.Matches(0, handles[1]));
  EXPECT_EQ(store->stats().n_retries, 3u);
  EXPECT_GE(store->stats().stall_us, 60000) << "10 ms, 20 ms, then 40 ms";
}

TEST(ExpertStoreFaults, ShrunkFileIsAnErrorWithBothReaders) {
  for (const IoMode mode : {IoMode::kUring, IoMode::kThreads}) {
    auto reader = MakeAsyncReader({mode, 4});
    if (!reader.ok()) continue;  // a kernel without io_uring
    for (const bool direct : {true, false}) {
      const TestBank bank(BankShape{});
      ExpertStoreOptions options;
      options.slot_budget_bytes = MaximumSlotBytes(bank.bank);
      options.direct = direct;
      options.retry_backoff_us = 1;
      auto store = ExpertStore::Create(&bank.bank, reader->get(), options);
      ASSERT_TRUE(store.ok());
      const SlabLayout& slab = bank.bank.layers[2].slabs[2];
      const auto cut = static_cast<off_t>(slab.offset + 8 * slab.size_bytes - 1);
      const std::string open_file = fmt::format("/proc/self/fd/{}", bank.file(0).cached_fd());
      ASSERT_EQ(truncate(open_file.c_str(), cut), 0);
      SplitMix64 random(1);
      const Status status =
          RunRequest(**store, bank, 2, std::vector<std::int32_t>{6, 7}, 8, random);
      EXPECT_EQ(status.code(), StatusCode::kIoError) << status.message();
      EXPECT_TRUE(RunRequest(**store, bank, 2, std::vector<std::int32_t>{0, 6}, 8, random).ok());
    }
  }
}

TEST(ExpertStoreFaults, BrokenReader) {
  const TestBank bank(BankShape{});
  ShufflingReader reader(1);
  {
    const auto store = MakeStore(bank, &reader, 3);
    SplitMix64 random(1);
    reader.submit_fails = true;
    EXPECT_FALSE(store->Request(0, std::vector<std::int32_t>{1}).ok());
    EXPECT_FALSE(store->IsResident(0, 1));
    reader.submit_fails = false;
    EXPECT_TRUE(RunRequest(*store, bank, 0, std::vector<std::int32_t>{1, 2}, 8, random).ok());
    ASSERT_TRUE(store->Request(1, std::vector<std::int32_t>{1}).ok());
    reader.reap_fails = true;
    std::vector<ExpertHandle> handles;
    EXPECT_EQ(store->Next(1, &handles).code(), StatusCode::kIoError);
    EXPECT_TRUE(handles.empty());
    // What is in flight may still be written: the store must refuse, not reuse the slot.
    EXPECT_EQ(store->Request(1, std::vector<std::int32_t>{1}).code(), StatusCode::kIoError);
  }
  reader.reap_fails = false;
  std::array<ReadCompletion, 8> completions;
  const auto n_reaped = reader.Reap(completions, -1);  // writes into memory that is still mapped
  EXPECT_TRUE(n_reaped.ok() && *n_reaped > 0);
}

SlabLayout Embedding(const TestBank& bank, std::int64_t n_cols) {
  SlabLayout matrix;
  matrix.file_index = 0;
  matrix.offset = 100;
  matrix.dtype = DType::kF16;
  matrix.n_cols = n_cols;
  const auto row_bytes = static_cast<std::int64_t>(RowBytes(DType::kF16, n_cols));
  matrix.n_rows = (static_cast<std::int64_t>(bank.contents(0).size()) - 100) / row_bytes;
  matrix.size_bytes = static_cast<std::uint64_t>(matrix.n_rows * row_bytes);
  return matrix;
}

TEST(RowStore, RowsFromFileAndMemoryAreTheSame) {
  const TestBank bank(BankShape{});
  for (const std::int64_t n_cols : {8, 1000, 5000}) {
    const SlabLayout matrix = Embedding(bank, n_cols);
    const std::size_t row_bytes = RowBytes(matrix.dtype, n_cols);
    const auto resident =
        MakeResidentRowStore({bank.contents(0).data() + 100, matrix.dtype, matrix.n_rows, n_cols});
    for (const IoMode mode : {IoMode::kUring, IoMode::kThreads}) {
      auto reader = MakeAsyncReader({mode, 4});
      if (!reader.ok()) continue;  // a kernel without io_uring
      for (const bool direct : {true, false}) {
        auto streamed = MakeStreamedRowStore(bank.directory(), matrix, reader->get(), direct, 3);
        ASSERT_TRUE(streamed.ok());
        std::vector<std::int32_t> rows = {0, static_cast<std::int32_t>(matrix.n_rows - 1), 1, 1};
        for (int i = 0; i < 7; ++i) rows.push_back(static_cast<std::int32_t>(i % matrix.n_rows));
        std::vector<std::byte> a(rows.size() * row_bytes);
        std::vector<std::byte> b(rows.size() * row_bytes);
        ASSERT_TRUE((*streamed)->Fetch(rows, a.data()).ok());
        ASSERT_TRUE(resident->Fetch(rows, b.data()).ok());
        EXPECT_EQ(a, b);
      }
    }
  }
}

TEST(RowStore, RetriesThenFailsThenWorksAgain) {
  const TestBank bank(BankShape{});
  const SlabLayout matrix = Embedding(bank, 1000);
  ShufflingReader reader(3);
  auto store = MakeStreamedRowStore(bank.directory(), matrix, &reader, true, 4);
  ASSERT_TRUE(store.ok());
  const std::vector<std::int32_t> rows = {5, 9, 2};
  std::vector<std::byte> out(rows.size() * 2000);
  for (const FaultKind kind : kKinds) {
    const std::uint64_t first = reader.n_submitted();
    reader.decide = [=](std::uint64_t n, const ReadRequest&) {
      return n == first + 1 ? kind : FaultKind::kNone;
    };
    ASSERT_TRUE((*store)->Fetch(rows, out.data()).ok());
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const auto offset = 100 + static_cast<std::size_t>(rows[i]) * 2000;
      EXPECT_EQ(std::memcmp(out.data() + i * 2000, bank.contents(0).data() + offset, 2000), 0);
    }
  }
  reader.decide = [](std::uint64_t, const ReadRequest&) { return FaultKind::kError; };
  EXPECT_EQ((*store)->Fetch(rows, out.data()).code(), StatusCode::kIoError);
  EXPECT_EQ(reader.n_in_flight(), 0u);
  reader.decide = nullptr;
  EXPECT_TRUE((*store)->Fetch(rows, out.data()).ok());
  EXPECT_EQ(StreamedRowStoreBytes(matrix, 4) % 4096, 0u);
  EXPECT_LE(StreamedRowStoreBytes(matrix, 4), 4u * 8192u);
}

}  // namespace
}  // namespace larder
