// Tests of both readers: bytes against the file's contents, many reads in flight, timeouts,
// destruction with reads in flight, and io_uring refused by a filter of the kernel.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <map>

#include "base/clock.h"
#include "base/memory.h"
#include "io/async_reader.h"
#include "io/io_test_file.h"
#include "io/reader_factories.h"

namespace larder {
namespace {

using ::testing::HasSubstr;

constexpr std::size_t kFileBytes = 3'000'017;  // not a multiple of anything
constexpr std::size_t kMaxReadBytes = 256 << 10;

class ReaderTest : public ::testing::TestWithParam<std::tuple<IoMode, int>> {
 protected:
  // nullptr (and a skip) where the machine refuses io_uring.
  std::unique_ptr<AsyncReader> Make() {
    const auto [mode, depth] = GetParam();
    auto reader = MakeAsyncReader({mode, depth});
    if (!reader.ok() && mode == IoMode::kUring) return nullptr;
    EXPECT_TRUE(reader.ok()) << reader.status().message();
    return std::move(reader).value();
  }
};

#define MAKE_READER_OR_SKIP(reader) \
  auto reader = Make();             \
  if (reader == nullptr) GTEST_SKIP() << "io_uring is refused here"

ReadRequest RandomRequest(SplitMix64& random, const File& file, bool direct) {
  const std::size_t unit = direct ? file.direct_alignment() : 1;
  ReadRequest request;
  request.file = &file;
  request.direct = direct;
  request.offset = random.NextBelow((file.size_bytes() + 100'000) / unit) * unit;
  request.size_bytes = (1 + random.NextBelow(kMaxReadBytes / unit)) * unit;
  if (!direct && random.NextBelow(20) == 0) request.size_bytes = 0;
  return request;
}

std::size_t BytesThere(const ReadRequest& request, const IoTestFile& file) {
  const std::size_t size = file.contents().size();
  const std::size_t there = size > request.offset ? size - request.offset : 0;
  return std::min(there, request.size_bytes);
}

TEST_P(ReaderTest, EqualsTheFile) {
  const IoTestFile file(kFileBytes);
  MAKE_READER_OR_SKIP(reader);
  SplitMix64 random(7);
  constexpr std::size_t kBuffers = 48;
  auto memory = PageBuffer::Allocate(kBuffers * kMaxReadBytes, false);
  ASSERT_TRUE(memory.ok());
  std::vector<ReadRequest> in_buffer(kBuffers);
  std::vector<std::size_t> free_buffers(kBuffers);
  for (std::size_t i = 0; i < kBuffers; ++i) free_buffers[i] = i;
  constexpr std::int64_t kTimeouts[] = {-1, 20, 0, 1'000'000};
  std::size_t n_reaps = 0;
  std::size_t n_reads = 0;
  std::array<ReadCompletion, 5> out;
  while (n_reads < 600 || reader->n_in_flight() > 0) {
    std::vector<ReadRequest> batch;
    while (n_reads < 600 && !free_buffers.empty() && batch.size() < 9) {
      ReadRequest request = RandomRequest(random, file.file(), random.NextBelow(2) == 0);
      request.tag = free_buffers.back();
      request.dst = memory->data() + request.tag * kMaxReadBytes;
      in_buffer[request.tag] = request;
      free_buffers.pop_back();
      batch.push_back(request);
      ++n_reads;
    }
    const std::size_t n_before = reader->n_in_flight();
    ASSERT_TRUE(reader->Submit(batch).ok());
    ASSERT_EQ(reader->n_in_flight(), n_before + batch.size());
    const std::int64_t timeout_us = kTimeouts[n_reaps++ % std::size(kTimeouts)];
    const auto n = reader->Reap(out, timeout_us);
    ASSERT_TRUE(n.ok()) << n.status().message();
    if (timeout_us < 0) {
      ASSERT_GE(*n, 1u);
    }
    for (std::size_t i = 0; i < *n; ++i) {
      const ReadRequest& request = in_buffer[out[i].tag];
      ASSERT_EQ(out[i].error, 0);
      const std::size_t expected = BytesThere(request, file);
      ASSERT_EQ(out[i].size_bytes, expected) << request.offset << " + " << request.size_bytes;
      if (expected > 0) {
        ASSERT_EQ(std::memcmp(request.dst, file.contents().data() + request.offset, expected), 0);
      }
      free_buffers.push_back(out[i].tag);
    }
  }
  EXPECT_EQ(free_buffers.size(), kBuffers);
}

TEST_P(ReaderTest, ReadAllTakesManyMoreThanTheDepth) {
  const IoTestFile file(1 << 20);
  MAKE_READER_OR_SKIP(reader);
  std::vector<std::byte> out(1 << 20);
  std::vector<ReadRequest> requests;
  for (std::size_t offset = 0; offset < out.size(); offset += 1024) {
    requests.push_back({&file.file(), offset, 1024, out.data() + offset, false, 0});
  }
  const Status status = ReadAll(*reader, requests);
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(out, file.contents());
  EXPECT_EQ(reader->n_in_flight(), 0u);
}

TEST_P(ReaderTest, ReapOfNothingReturnsAtOnce) {
  MAKE_READER_OR_SKIP(reader);
  std::array<ReadCompletion, 2> out;
  const std::int64_t start_us = NowUs();
  EXPECT_EQ(reader->Reap(out, -1).value(), 0u);
  EXPECT_EQ(reader->Reap(out, 10'000'000).value(), 0u);
  EXPECT_LT(NowUs() - start_us, 5'000'000);
}

TEST_P(ReaderTest, ReadAllNamesTheFileOnFailure) {
  const IoTestFile file(100'000);
  MAKE_READER_OR_SKIP(reader);
  ASSERT_EQ(truncate(file.path().c_str(), 50'000), 0);
  std::vector<std::byte> out(100'000);
  const ReadRequest request{&file.file(), 0, 100'000, out.data(), false, 0};
  const Status status = ReadAll(*reader, {&request, 1});
  EXPECT_EQ(status.code(), StatusCode::kIoError);
  EXPECT_THAT(status.message(), HasSubstr(file.path()));
  EXPECT_THAT(status.message(), HasSubstr("gave 50000 of 100000 bytes"));
}

TEST_P(ReaderTest, ReportsTheErrnoOfAFailure) {
  const IoTestFile file(8192);
  MAKE_READER_OR_SKIP(reader);
  // An address nothing is mapped at: the kernel answers EFAULT.
  const ReadRequest request{&file.file(), 0, 4096, reinterpret_cast<std::byte*>(4096), false, 5};
  ASSERT_TRUE(reader->Submit({&request, 1}).ok());
  ReadCompletion completion;
  ASSERT_EQ(reader->Reap({&completion, 1}, -1).value(), 1u);
  EXPECT_EQ(completion.error, EFAULT);
  EXPECT_EQ(completion.tag, 5u);
}

TEST_P(ReaderTest, DestroyedWithReadsInFlight) {
  const IoTestFile file(kFileBytes);
  file.file().DropFromPageCache(0, kFileBytes);
  for (int round = 0; round < 5; ++round) {
    auto memory = PageBuffer::Allocate(64 * 65536, false);
    ASSERT_TRUE(memory.ok());
    {
      MAKE_READER_OR_SKIP(reader);
      std::vector<ReadRequest> requests;
      for (std::size_t i = 0; i < 64; ++i) {
        requests.push_back(
            {&file.file(), (i * 7 % 40) * 65536, 65536, memory->data() + i * 65536, i % 2 == 0, i});
      }
      ASSERT_TRUE(reader->Submit(requests).ok());
      ReadCompletion completion;
      if (round % 2 == 1) {
        ASSERT_TRUE(reader->Reap({&completion, 1}, -1).ok());
      }
    }
    // Nothing may write any more: bytes set now stay.
    std::memset(memory->data(), 1, memory->size_bytes());
    usleep(2000);
    for (std::size_t i = 0; i < memory->size_bytes(); ++i) {
      ASSERT_EQ(memory->data()[i], std::byte{1});
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Readers, ReaderTest,
                         ::testing::Combine(::testing::Values(IoMode::kUring, IoMode::kThreads),
                                            ::testing::Values(1, 2, 7, 16, 32)),
                         [](const auto& instance) {
                           const bool uring = std::get<0>(instance.param) == IoMode::kUring;
                           return (uring ? "uring" : "threads") +
                                  std::to_string(std::get<1>(instance.param));
                         });

TEST(ReaderChoice, ParsesModes) {
  EXPECT_EQ(ParseIoMode("auto").value(), IoMode::kAuto);
  EXPECT_EQ(ParseIoMode("uring").value(), IoMode::kUring);
  EXPECT_EQ(ParseIoMode("threads").value(), IoMode::kThreads);
  EXPECT_EQ(ParseIoMode("mmap").status().message(),
            "'mmap' is no way of reading; choose auto, uring or threads");
}

TEST(ReaderChoice, FallsBackOnlyInAutoMode) {
  const UringFactory refuse = [](int) -> Result<std::unique_ptr<AsyncReader>> {
    return Unsupported("io_uring is refused (setup: a reason)");
  };
  EXPECT_EQ(ChooseReader({IoMode::kAuto, 4}, refuse).value()->name(), "threads");
  EXPECT_EQ(ChooseReader({IoMode::kThreads, 4}, refuse).value()->name(), "threads");
  const auto uring = ChooseReader({IoMode::kUring, 4}, refuse);
  ASSERT_FALSE(uring.ok());
  EXPECT_EQ(uring.status().message(), "io_uring is refused (setup: a reason); use --io threads");
  EXPECT_EQ(ChooseReader({IoMode::kAuto, 0}, refuse).status().code(), StatusCode::kInvalidArgument);
}

// Makes the system call fail with `error` in this process from now on.
bool RefuseSystemCall(long number, int error) {
  sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<unsigned>(number), 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<unsigned>(error)),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog filter{4, program};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

// Runs in a process of its own; exits with 0 when auto mode read the file with threads.
void ReadWithRefusedUring(long system_call, int error, const IoTestFile& file) {
  if (!RefuseSystemCall(system_call, error)) _exit(3);
  auto uring = MakeAsyncReader({IoMode::kUring, 8});
  if (uring.ok() || uring.status().code() != StatusCode::kUnsupported) _exit(4);
  auto reader = MakeAsyncReader({IoMode::kAuto, 8});
  if (!reader.ok() || (*reader)->name() != "threads") _exit(5);
  std::vector<std::byte> out(file.contents().size());
  const ReadRequest request{&file.file(), 0, out.size(), out.data(), false, 0};
  const Status status = ReadAll(**reader, {&request, 1});
  reader->reset();
  _exit(status.ok() && out == file.contents() ? 0 : 6);
}

TEST(ReaderChoiceDeathTest, FallsBackWhenTheKernelRefuses) {
  const IoTestFile file(70'000);
  EXPECT_EXIT(ReadWithRefusedUring(SYS_io_uring_setup, EPERM, file), ::testing::ExitedWithCode(0),
              "");
  EXPECT_EXIT(ReadWithRefusedUring(SYS_io_uring_setup, ENOSYS, file), ::testing::ExitedWithCode(0),
              "");
  EXPECT_EXIT(ReadWithRefusedUring(SYS_io_uring_setup, ENOMEM, file), ::testing::ExitedWithCode(0),
              "");
  EXPECT_EXIT(ReadWithRefusedUring(SYS_io_uring_enter, EPERM, file), ::testing::ExitedWithCode(0),
              "");
  EXPECT_EXIT(ReadWithRefusedUring(SYS_io_uring_register, EPERM, file),
              ::testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace larder
