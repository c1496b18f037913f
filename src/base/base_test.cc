// Tests of the base room: sizes, statuses, the pool, memory figures.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <numeric>
#include <vector>

#include "base/isa.h"
#include "base/memory.h"
#include "base/size.h"
#include "base/status.h"
#include "base/thread_pool.h"

namespace larder {
namespace {

TEST(Size, ParsesWhatPeopleWrite) {
  EXPECT_EQ(ParseSize("8G").value(), 8ull << 30);
  EXPECT_EQ(ParseSize("512m").value(), 512ull << 20);
  EXPECT_EQ(ParseSize("1.5G").value(), 3ull << 29);
  EXPECT_EQ(ParseSize("4096").value(), 4096u);
  EXPECT_EQ(ParseSize("2GiB").value(), 2ull << 30);
  for (const char* bad :
       {"", "G", "-1G", "8X", "8GG", "nan", "1e30G", "inf", " 8G", "8 G", "0x10G"}) {
    EXPECT_FALSE(ParseSize(bad).ok()) << bad;
  }
}

TEST(Size, PastedSizeIsNeverSmaller) {
  for (std::uint64_t size : {1ull, 1023ull, 1025ull, 10'485'761ull, 1'234'567'891ull,
                             10'737'418'241ull, 123'456'789'012ull}) {
    EXPECT_GE(ParseSize(SizeToPaste(size)).value(), size) << SizeToPaste(size);
    EXPECT_LE(static_cast<double>(ParseSize(SizeToPaste(size)).value()),
              1.01 * static_cast<double>(size) + 1024);
  }
}

Result<int> Half(int number) {
  if (number % 2 != 0) return InvalidArgument("{} is odd", number);
  return number / 2;
}

Result<int> Quarter(int number) {
  LARDER_ASSIGN_OR_RETURN(const int half, Half(number));
  return Half(half);
}

TEST(Status, TravelsThroughTheMacros) {
  EXPECT_EQ(Quarter(8).value(), 2);
  EXPECT_EQ(Quarter(6).status().message(), "3 is odd");
  EXPECT_EQ(Quarter(6).status().WithContext("quarter").message(), "quarter: 3 is odd");
}

TEST(ThreadPool, CoversEachItemOnce) {
  for (int n_threads : {1, 2, 5}) {
    ThreadPool pool(n_threads);
    for (std::size_t count : {0u, 1u, 7u, 1000u}) {
      std::vector<std::atomic<int>> seen(count);
      pool.ParallelFor(count, 3, [&](std::size_t begin, std::size_t end, int thread) {
        EXPECT_LT(thread, n_threads);
        for (std::size_t i = begin; i < end; ++i) seen[i].fetch_add(1);
      });
      for (const auto& n : seen) EXPECT_EQ(n.load(), 1);
    }
  }
}

TEST(ThreadPool, ManyShortJobs) {
  ThreadPool pool(3);
  std::atomic<std::size_t> sum{0};
  for (int round = 0; round < 3000; ++round) {
    pool.ParallelFor(8, 1, [&](std::size_t begin, std::size_t, int) { sum.fetch_add(begin); });
  }
  EXPECT_EQ(sum.load(), 3000u * 28u);
}

TEST(Isa, TheForcedOneOrAnError) {
  const char* before = std::getenv("LARDER_ISA");
  const std::string own = before == nullptr ? "" : before;
  ASSERT_EQ(setenv("LARDER_ISA", "", 1), 0);
  EXPECT_EQ(*ChooseIsa(), BestIsa());
  for (const Isa isa : {Isa::kScalar, Isa::kAvx2, Isa::kAvx512}) {
    ASSERT_EQ(setenv("LARDER_ISA", IsaName(isa), 1), 0);
    const Result<Isa> chosen = ChooseIsa();
    ASSERT_EQ(chosen.ok(), isa <= BestIsa());
    if (chosen.ok()) {
      EXPECT_EQ(*chosen, isa);
    }
  }
  for (const char* wrong : {"avx", "AVX2", "best", " scalar"}) {
    ASSERT_EQ(setenv("LARDER_ISA", wrong, 1), 0);
    EXPECT_EQ(ChooseIsa().status().code(), StatusCode::kInvalidArgument) << wrong;
  }
  ASSERT_EQ(setenv("LARDER_ISA", own.c_str(), 1), 0);
}

TEST(Memory, BuffersAreAlignedZeroedAndCounted) {
  auto buffer = PageBuffer::Allocate(3 * kHugePageBytes + 5, true);
  ASSERT_TRUE(buffer.ok());
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(buffer->data()) % kHugePageBytes, 0u);
  EXPECT_EQ(buffer->data()[3 * kHugePageBytes + 4], std::byte{0});
  EXPECT_GT(ResidentBytes(), 0u);
  EXPECT_GE(PeakResidentBytes(), ResidentBytes() / 2);
  EXPECT_GT(AvailableMemoryBytes(), 1u << 20);
}

}  // namespace
}  // namespace larder
