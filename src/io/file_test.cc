// Tests of File and of ReadProgress (short reads, alignment, refused direct reads), which needs no
// kernel.
#include "io/file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cerrno>

#include "base/memory.h"
#include "io/io_test_file.h"
#include "io/read_progress.h"

namespace larder {
namespace {

using ::testing::HasSubstr;

TEST(File, TellsFailuresApart) {
  const std::string directory = ::testing::TempDir();
  EXPECT_EQ(File::Open("").status().message(), "the file name is empty; give the path of a file");
  const auto missing = File::Open(directory + "no/such/model.gguf");
  EXPECT_EQ(missing.status().code(), StatusCode::kNotFound);
  EXPECT_EQ(missing.status().message(),
            "there is no file " + directory + "no/such/model.gguf; check the path");
  const auto is_directory = File::Open(directory);
  EXPECT_EQ(is_directory.status().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(is_directory.status().message(), HasSubstr("is a directory; give a file inside it"));
  EXPECT_THAT(File::Open("/dev/null").status().message(), HasSubstr("is not a regular file"));
  const IoTestFile file(10);
  EXPECT_THAT(File::Open(file.path() + "/x").status().message(), HasSubstr("there is no file"));
  ASSERT_EQ(chmod(file.path().c_str(), 0), 0);
  if (geteuid() != 0) {  // root may read everything
    EXPECT_THAT(File::Open(file.path()).status().message(), HasSubstr("no permission to read"));
  }
}

TEST(File, NamedPipeDoesNotHang) {
  const std::string path = ::testing::TempDir() + "larder_pipe_" + std::to_string(getpid());
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  EXPECT_THAT(File::Open(path).status().message(), HasSubstr("is not a regular file"));
  unlink(path.c_str());
}

TEST(File, ReadsExactlyOrSaysWhy) {
  const IoTestFile file(10'000);
  std::vector<std::byte> out(3000);
  ASSERT_TRUE(file.file().ReadAt(6999, out.data(), 3000).ok());
  EXPECT_TRUE(std::equal(out.begin(), out.end(), file.contents().begin() + 6999));
  EXPECT_TRUE(file.file().ReadAt(10'000, out.data(), 0).ok());
  for (const std::uint64_t offset : {7001ull, 10'001ull, 1ull << 62, ~0ull}) {
    const Status status = file.file().ReadAt(offset, out.data(), 3000);
    EXPECT_EQ(status.code(), StatusCode::kDataError) << offset;
  }
  file.file().DropFromPageCache(100, 5000);
  file.file().DropFromPageCache(9999, ~0ull);
  ASSERT_TRUE(file.file().ReadAt(0, out.data(), 3000).ok());
  EXPECT_TRUE(std::equal(out.begin(), out.end(), file.contents().begin()));
  ASSERT_EQ(truncate(file.path().c_str(), 100), 0);
  EXPECT_THAT(file.file().ReadAt(50, out.data(), 3000).message(), HasSubstr("became shorter"));
}

TEST(File, AlignmentIsAPowerOfTwoOfAtLeastAPage) {
  const IoTestFile file(10);
  EXPECT_GE(file.file().direct_alignment(), 4096u);
  EXPECT_EQ(file.file().direct_alignment() & (file.file().direct_alignment() - 1), 0u);
}

class ReadProgressTest : public ::testing::Test {
 protected:
  ReadProgressTest() : file_(1'000'001) { memory_ = PageBuffer::Allocate(1 << 20, false).value(); }
  ReadRequest Request(std::uint64_t offset, std::size_t size_bytes, bool direct) {
    return {&file_.file(), offset, size_bytes, memory_.data(), direct, 42};
  }
  bool direct_works() const { return file_.file().direct_fd() >= 0; }

  IoTestFile file_;
  PageBuffer memory_;
};

TEST_F(ReadProgressTest, ContinuesShortReads) {
  ReadProgress read(Request(1000, 5000, false));
  EXPECT_FALSE(read.Advance(1));
  EXPECT_EQ(read.offset(), 1001u);
  EXPECT_EQ(read.dst(), memory_.data() + 1);
  EXPECT_EQ(read.size_bytes(), 4999u);
  EXPECT_FALSE(read.Advance(-EINTR));
  EXPECT_FALSE(read.Advance(-EAGAIN));
  EXPECT_TRUE(read.Advance(4999));
  EXPECT_EQ(read.completion().size_bytes, 5000u);
  EXPECT_EQ(read.completion().error, 0);
  EXPECT_EQ(read.completion().tag, 42u);
}

TEST_F(ReadProgressTest, EndOfFileEndsTheRead) {
  ReadProgress read(Request(1'000'000, 5000, false));
  EXPECT_TRUE(read.Advance(1));
  EXPECT_EQ(read.completion().size_bytes, 1u);
  ReadProgress beyond(Request(2'000'000, 5000, false));
  EXPECT_TRUE(beyond.Advance(0));
  EXPECT_EQ(beyond.completion().size_bytes, 0u);
  ReadProgress nothing(Request(0, 0, false));
  EXPECT_TRUE(nothing.finished());
}

TEST_F(ReadProgressTest, ContinuedDirectReadsStayAligned) {
  if (!direct_works()) GTEST_SKIP() << "this filesystem takes no direct reads";
  const std::size_t unit = file_.file().direct_alignment();
  ReadProgress read(Request(unit, 8 * unit, true));
  EXPECT_EQ(read.fd(), file_.file().direct_fd());
  EXPECT_FALSE(read.Advance(static_cast<std::int64_t>(2 * unit + 512)));
  EXPECT_EQ(read.offset(), 3 * unit);
  EXPECT_EQ(read.size_bytes(), 6 * unit);
  EXPECT_EQ(read.fd(), file_.file().direct_fd());
  // Less than a unit more: going on directly would never end.
  EXPECT_FALSE(read.Advance(100));
  EXPECT_EQ(read.fd(), file_.file().cached_fd());
  EXPECT_EQ(read.offset(), 3 * unit);
  EXPECT_TRUE(read.Advance(static_cast<std::int64_t>(6 * unit)));
  EXPECT_EQ(read.completion().size_bytes, 8 * unit);
}

TEST_F(ReadProgressTest, RefusedDirectReadsGoThroughThePageCache) {
  if (!direct_works()) GTEST_SKIP() << "this filesystem takes no direct reads";
  const std::size_t unit = file_.file().direct_alignment();
  ReadProgress read(Request(0, unit, true));
  EXPECT_FALSE(read.Advance(-EINVAL));
  EXPECT_EQ(read.fd(), file_.file().cached_fd());
  EXPECT_TRUE(read.Advance(-EINVAL));
  EXPECT_EQ(read.completion().error, EINVAL);
}

TEST_F(ReadProgressTest, ErrorsEndAndRetriesAreLimited) {
  ReadProgress read(Request(0, 5000, false));
  EXPECT_FALSE(read.Advance(100));
  EXPECT_TRUE(read.Advance(-EIO));
  EXPECT_EQ(read.completion().error, EIO);
  EXPECT_EQ(read.completion().size_bytes, 0u);
  ReadProgress stubborn(Request(0, 5000, false));
  int n_tries = 1;
  while (!stubborn.Advance(-EAGAIN)) ASSERT_LT(++n_tries, 100'000);
  EXPECT_EQ(stubborn.completion().error, EAGAIN);
  ReadProgress liar(Request(0, 5000, false));
  EXPECT_TRUE(liar.Advance(5001));
  EXPECT_EQ(liar.completion().error, EIO);
}

}  // namespace
}  // namespace larder
