// Tests of the fault-injecting and the throttling reader over both real readers' interface.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <set>

#include "base/clock.h"
#include "io/io_test_file.h"
#include "io/reader_factories.h"
#include "io/test_readers.h"

namespace larder {
namespace {

using ::testing::HasSubstr;

constexpr std::size_t kReadBytes = 10'000;

std::vector<ReadRequest> TenReads(const IoTestFile& file, std::vector<std::byte>& out) {
  out.assign(10 * kReadBytes, std::byte{0});
  std::vector<ReadRequest> requests;
  for (std::size_t i = 0; i < 10; ++i) {
    // Equal tags on purpose: they are the caller's business.
    requests.push_back(
        {&file.file(), i * kReadBytes, kReadBytes, out.data() + i * kReadBytes, false, 77});
  }
  return requests;
}

std::unique_ptr<AsyncReader> WithFault(FaultKind kind, std::uint64_t at,
                                       std::int64_t delay_us = 0) {
  return MakeFaultInjectingReader(MakeThreadReader(4), [=](std::uint64_t n) {
    return n == at ? Fault{kind, delay_us} : Fault{};
  });
}

TEST(FaultReader, NoFaultChangesNothing) {
  const IoTestFile file(100'000);
  std::vector<std::byte> out;
  const auto requests = TenReads(file, out);
  auto reader = WithFault(FaultKind::kNone, 0);
  EXPECT_TRUE(ReadAll(*reader, requests).ok());
  EXPECT_EQ(out, file.contents());
  EXPECT_EQ(reader->name(), "threads with faults");
}

TEST(FaultReader, TheNthReadFailsAndNoOther) {
  const IoTestFile file(100'000);
  std::vector<std::byte> out;
  const auto requests = TenReads(file, out);
  for (std::uint64_t at = 0; at < 10; ++at) {
    auto reader = WithFault(FaultKind::kError, at);
    const Status status = ReadAll(*reader, requests);
    EXPECT_THAT(status.message(), HasSubstr("at byte " + std::to_string(at * kReadBytes) +
                                            " failed: Input/output error"));
    EXPECT_TRUE(ReadAll(*reader, requests).ok()) << "the fault is over";
    EXPECT_EQ(out, file.contents());
  }
}

TEST(FaultReader, FailedBytesAreNotTheRightOnes) {
  const IoTestFile file(100'000);
  std::vector<std::byte> out;
  const auto requests = TenReads(file, out);
  auto reader = WithFault(FaultKind::kError, 3);
  EXPECT_FALSE(ReadAll(*reader, requests).ok());
  EXPECT_FALSE(std::equal(out.begin() + 3 * kReadBytes, out.begin() + 4 * kReadBytes,
                          file.contents().begin() + 3 * kReadBytes));
}

TEST(FaultReader, ShortAndCorruptReadsAreNoticed) {
  const IoTestFile file(100'000);
  std::vector<std::byte> out;
  const auto requests = TenReads(file, out);
  auto short_reader = WithFault(FaultKind::kShort, 4);
  EXPECT_THAT(ReadAll(*short_reader, requests).message(), HasSubstr("gave 5000 of 10000 bytes"));
  auto corrupt_reader = WithFault(FaultKind::kCorrupt, 9);
  EXPECT_THAT(ReadAll(*corrupt_reader, requests).message(),
              HasSubstr("gave 10001 bytes where 10000 were asked for"));
}

TEST(FaultReader, LateReadsComeLate) {
  const IoTestFile file(100'000);
  std::vector<std::byte> out;
  auto requests = TenReads(file, out);
  for (std::size_t i = 0; i < requests.size(); ++i) requests[i].tag = i;
  auto reader = WithFault(FaultKind::kLate, 2, 100'000);
  const std::int64_t start_us = NowUs();
  ASSERT_TRUE(reader->Submit(requests).ok());
  std::set<std::uint64_t> seen;
  std::vector<ReadCompletion> completions(10);
  while (seen.size() < 10) {
    const auto n = reader->Reap(completions, -1);
    ASSERT_TRUE(n.ok());
    ASSERT_GE(*n, 1u);
    for (std::size_t i = 0; i < *n; ++i) seen.insert(completions[i].tag);
    EXPECT_EQ(reader->n_in_flight(), 10 - seen.size());
    if (seen.count(2) != 0) {
      EXPECT_GE(NowUs() - start_us, 100'000);
    }
  }
  EXPECT_EQ(out, file.contents());
}

TEST(FaultReader, TimeoutsHoldWhileAReadIsLate) {
  const IoTestFile file(100'000);
  std::vector<std::byte> out;
  const auto requests = TenReads(file, out);
  auto reader = WithFault(FaultKind::kLate, 0, 3'600'000'000);
  ASSERT_TRUE(reader->Submit(std::span(requests).first(1)).ok());
  ReadCompletion completion;
  EXPECT_EQ(reader->Reap({&completion, 1}, 0).value(), 0u);
  const std::int64_t start_us = NowUs();
  EXPECT_EQ(reader->Reap({&completion, 1}, 20'000).value(), 0u);
  EXPECT_GE(NowUs() - start_us, 20'000);
  EXPECT_EQ(reader->n_in_flight(), 1u);
}

TEST(ThrottlingReader, HoldsTheRateAndNotTheBytes) {
  const IoTestFile file(100'000);
  std::vector<std::byte> out;
  const auto requests = TenReads(file, out);
  auto reader = MakeThrottlingReader(MakeThreadReader(4), 500'000.0);
  EXPECT_EQ(reader->name(), "threads throttled to 0.0005 GB/s");
  const std::int64_t start_us = NowUs();
  ASSERT_TRUE(ReadAll(*reader, requests).ok());
  EXPECT_GE(NowUs() - start_us, 199'000);  // 100,000 bytes at 500,000 per second
  EXPECT_EQ(out, file.contents());
}

TEST(ThrottlingReader, IdleTimeIsNotSavedUp) {
  const IoTestFile file(100'000);
  std::vector<std::byte> out;
  const auto requests = TenReads(file, out);
  auto reader = MakeThrottlingReader(MakeThreadReader(4), 1e6);
  for (int round = 0; round < 3; ++round) {
    usleep(30'000);
    const std::int64_t start_us = NowUs();
    ASSERT_TRUE(ReadAll(*reader, std::span(requests).first(5)).ok());
    EXPECT_GE(NowUs() - start_us, 49'000);
  }
}

TEST(ThrottlingReader, FastEnoughDoesNotWait) {
  const IoTestFile file(100'000);
  std::vector<std::byte> out;
  const auto requests = TenReads(file, out);
  auto reader = MakeThrottlingReader(MakeThreadReader(4), 1e15);
  ASSERT_TRUE(ReadAll(*reader, requests).ok());
  EXPECT_EQ(out, file.contents());
}

}  // namespace
}  // namespace larder
