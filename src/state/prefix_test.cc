// Keys, memory, files and the folder of kept beginnings: nothing false is ever believed, limits
// hold.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <set>
#include <thread>

#include "base/random.h"
#include "state/prefix_disk.h"
#include "state/session_state.h"

namespace larder {
namespace {

namespace fs = std::filesystem;

std::vector<std::int32_t> Tokens(std::int32_t count) {
  std::vector<std::int32_t> tokens;
  for (std::int32_t i = 0; i < count; ++i) tokens.push_back(i * 7 % 31);
  return tokens;
}

TEST(PrefixChain, EveryBeginningHasItsOwnKeyAndTheRestDoesNotMatter) {
  const std::vector<std::int32_t> tokens = Tokens(50);
  std::vector<std::int32_t> other = tokens;
  other[30] = 99;
  const PrefixChain chain(tokens, 8);
  const PrefixChain parted(other, 8);
  std::vector<PrefixKey> keys;
  for (std::int64_t n = 1; n <= 50; ++n) {
    EXPECT_EQ(chain.KeyAt(n) == parted.KeyAt(n), n <= 30) << n;
    EXPECT_EQ(chain.KeyAt(n),
              PrefixChain(std::span(tokens).first(static_cast<std::size_t>(n)), 8).KeyAt(n));
    keys.push_back(chain.KeyAt(n));
  }
  std::sort(keys.begin(), keys.end());
  EXPECT_EQ(std::unique(keys.begin(), keys.end()), keys.end());
}

PrefixId Id(std::int64_t n_tokens, PrefixKind kind = PrefixKind::kPage) {
  PrefixId id;
  id.kind = kind;
  id.n_tokens = n_tokens;
  id.key[0] = static_cast<std::uint8_t>(n_tokens);
  id.key[1] = static_cast<std::uint8_t>(n_tokens >> 8);
  return id;
}

constexpr bool kMain = false;  // is_side
constexpr bool kSide = true;

TEST(PrefixMemory, TheLeastRecentlyUsedGoFirstAndTheDeepestOfEquals) {
  PrefixMemory memory(4 * kPageBytes);
  memory.BeginUse();
  for (const std::int64_t n : {1, 2, 3, 4}) {
    memory.Insert(Id(n), memory.Allocate(kPageBytes, kMain), n == 2, kMain);
  }
  EXPECT_EQ(memory.used_bytes(), 4 * kPageBytes);
  EXPECT_EQ(memory.Allocate(kPageBytes, kMain), nullptr) << "what is in use now stays";
  memory.BeginUse();
  EXPECT_NE(memory.Find(Id(1), kMain), nullptr);
  EXPECT_EQ(memory.Allocate(kPageBytes, kSide), nullptr) << "nothing is a side request's";
  std::vector<std::shared_ptr<PageBuffer>> held;
  const std::int64_t goes[] = {2, 4, 3};  // the spare one, then the deepest
  for (const std::int64_t n : goes) {
    EXPECT_TRUE(memory.Has(Id(n)));
    held.push_back(memory.Allocate(kPageBytes, kMain));
    ASSERT_NE(held.back(), nullptr);
    EXPECT_FALSE(memory.Has(Id(n))) << n;
  }
  EXPECT_EQ(memory.Allocate(kPageBytes, kMain), nullptr);
  held.clear();  // given back without being kept
  EXPECT_EQ(memory.used_bytes(), kPageBytes);
}

TEST(PrefixMemory, WhatAWriterHoldsCountsUntilItLetsGo) {
  PrefixMemory memory(2 * kPageBytes);
  memory.Insert(Id(1), memory.Allocate(kPageBytes, kMain), false, kMain);
  memory.BeginUse();
  PrefixBlob writer = memory.Find(Id(1), kMain);
  memory.BeginUse();
  memory.Insert(Id(2), memory.Allocate(kPageBytes, kMain), false, kMain);
  EXPECT_EQ(memory.Allocate(kPageBytes, kMain), nullptr);
  writer.reset();
  EXPECT_NE(memory.Allocate(kPageBytes, kMain), nullptr);
  EXPECT_FALSE(memory.Has(Id(1)));
}

TEST(PrefixMemory, SideRequestsPushOutOnlyEachOther) {
  PrefixMemory memory(4 * kPageBytes);
  memory.BeginUse();
  for (const std::int64_t n : {1, 2}) {
    memory.Insert(Id(n), memory.Allocate(kPageBytes, kMain), false, kMain);
  }
  for (const std::int64_t n : {11, 12, 13, 14}) {
    memory.BeginUse();
    EXPECT_NE(memory.Find(Id(2), kSide), nullptr) << "what is kept may be used";
    std::shared_ptr<PageBuffer> blob = memory.Allocate(kPageBytes, kSide);
    ASSERT_NE(blob, nullptr);
    memory.Insert(Id(n), std::move(blob), false, kSide);
  }
  EXPECT_TRUE(memory.Has(Id(1)) && memory.Has(Id(2)) && memory.Has(Id(13)) && memory.Has(Id(14)));
  EXPECT_FALSE(memory.Has(Id(11)) || memory.Has(Id(12)));
  // What others use too is no longer a side request's; the rest goes first, however new it is.
  memory.BeginUse();
  EXPECT_NE(memory.Find(Id(13), kMain), nullptr);
  memory.BeginUse();
  memory.Insert(Id(3), memory.Allocate(kPageBytes, kMain), false, kMain);
  EXPECT_FALSE(memory.Has(Id(14)));
  EXPECT_EQ(memory.Allocate(kPageBytes, kSide), nullptr);
  memory.Insert(Id(4), memory.Allocate(kPageBytes, kMain), false, kMain);
  EXPECT_FALSE(memory.Has(Id(1)));
  EXPECT_TRUE(memory.Has(Id(13)));
}

std::vector<std::byte> Payload(std::size_t size, std::uint64_t seed) {
  SplitMix64 random(seed);
  std::vector<std::byte> bytes(size);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random.Next());
  return bytes;
}

PrefixFileFacts Facts(std::uint64_t payload_bytes) {
  PrefixFileFacts facts;
  facts.identity[3] = 7;
  facts.id = Id(300, PrefixKind::kSnapshot);
  facts.payload_bytes = payload_bytes;
  return facts;
}

// Every bit of header and payload is under a checksum.
TEST(PrefixFile, EveryFlippedBitAndEveryOtherFactIsNoticed) {
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{1}, std::size_t{31}, std::size_t{200}}) {
    std::vector<std::byte> payload = Payload(size, 1);
    const PrefixFileFacts facts = Facts(size);
    auto header = MakePrefixHeader(facts, payload);
    ASSERT_TRUE(CheckPrefixHeader(header, facts).ok());
    ASSERT_TRUE(CheckPrefixPayload(header, payload).ok());
    const auto is_believed = [&] {
      return CheckPrefixHeader(header, facts).ok() && CheckPrefixPayload(header, payload).ok();
    };
    for (std::size_t bit = 0; bit < 8 * header.size(); ++bit) {
      header[bit / 8] ^= std::byte{1} << bit % 8;
      EXPECT_FALSE(is_believed()) << "header bit " << bit;
      header[bit / 8] ^= std::byte{1} << bit % 8;
    }
    for (std::size_t bit = 0; bit < 8 * payload.size(); ++bit) {
      payload[bit / 8] ^= std::byte{1} << bit % 8;
      EXPECT_FALSE(is_believed()) << "payload bit " << bit;
      payload[bit / 8] ^= std::byte{1} << bit % 8;
    }
    PrefixFileFacts other = facts;
    other.identity[31] = 1;
    EXPECT_FALSE(CheckPrefixHeader(header, other).ok());
    other = facts;
    other.id.n_tokens = 301;
    EXPECT_FALSE(CheckPrefixHeader(header, other).ok());
    other = facts;
    other.id.kind = PrefixKind::kPage;
    EXPECT_FALSE(CheckPrefixHeader(header, other).ok());
    other = facts;
    ++other.payload_bytes;
    EXPECT_FALSE(CheckPrefixHeader(header, other).ok());
  }
}

TEST(PrefixFile, NamesStandForOneThingAndOthersForNone) {
  const PrefixId id = Id(4711, PrefixKind::kSnapshot);
  const std::string name = PrefixFileName(id);
  const auto parsed = ParsePrefixFileName(name);
  ASSERT_TRUE(parsed.has_value());
  EXPECT_TRUE(*parsed == id);
  for (const std::string& bad :
       {std::string(), std::string("page-1"), "snapshot-04711" + name.substr(13), name + "0",
        "page" + name, "snapshot--1" + name.substr(13),
        "snapshot-99999999999999999999" + name.substr(13), name.substr(0, name.size() - 1) + "G",
        std::string("writing-12-3")}) {
    EXPECT_FALSE(ParsePrefixFileName(bad).has_value()) << bad;
  }
}

class PrefixDiskTest : public testing::Test {
 protected:
  void TearDown() override { fs::remove_all(folder_); }

  std::unique_ptr<PrefixDisk> Open(std::uint64_t limit_bytes = 1 << 20,
                                   std::uint64_t daily_bytes = 1 << 30, std::uint8_t model = 1) {
    PrefixDiskOptions options;
    options.folder = folder_;
    options.identity[0] = model;
    options.limit_bytes = limit_bytes;
    options.daily_bytes = daily_bytes;
    auto disk = PrefixDisk::Open(options);
    EXPECT_TRUE(disk.ok()) << disk.status().message();
    return std::move(*disk);
  }

  static PrefixBlob Blob(std::size_t size, std::uint64_t seed) {
    auto buffer = PageBuffer::Allocate(size, false);
    const std::vector<std::byte> bytes = Payload(size, seed);
    std::copy(bytes.begin(), bytes.end(), buffer->data());
    return std::make_shared<PageBuffer>(std::move(*buffer));
  }

  std::vector<fs::path> Files() const {
    std::vector<fs::path> files;
    for (const auto& entry : fs::recursive_directory_iterator(folder_)) {
      const std::string name = entry.path().filename().string();
      if (entry.is_regular_file() && name != "written-today" && name != "lock") {
        files.push_back(entry.path());
      }
    }
    return files;
  }

  // Until the queue is written, without an end of it.
  static void Drain(const PrefixDisk& disk) {
    for (int i = 0; i < 2000 && disk.n_queued() > 0; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    EXPECT_EQ(disk.n_queued(), 0u);
  }

  static constexpr std::size_t kSize = 1000;
  static constexpr std::uint64_t kFileBytes = kSize + kPrefixHeaderBytes;

  const std::string folder_ = testing::TempDir() + "larder-prefix-disk-" + std::to_string(getpid());
};

TEST_F(PrefixDiskTest, WhatWasWrittenIsReadAfterARestartByTheSameModelOnly) {
  const std::vector<std::byte> right = Payload(5000, 3);
  {
    const auto disk = Open();
    disk->Write(Id(256), Blob(5000, 3));
    EXPECT_TRUE(disk->Has(Id(256)));
    disk->Stop(10000000);
    EXPECT_EQ(disk->stats().written_bytes, 5000 + kPrefixHeaderBytes);
  }
  std::vector<std::byte> bytes(5000);
  const auto other = Open(1 << 20, 1 << 30, 2);
  EXPECT_FALSE(other->Has(Id(256)));
  EXPECT_FALSE(other->Read(Id(256), bytes));
  const auto disk = Open();
  ASSERT_TRUE(disk->Read(Id(256), bytes));
  EXPECT_EQ(bytes, right);
  EXPECT_EQ(Files().size(), 1u);
  EXPECT_EQ(fs::status(Files()[0]).permissions(), fs::perms::owner_read | fs::perms::owner_write);
  // Another size than it should have: not believed, and gone.
  std::vector<std::byte> longer(5001);
  EXPECT_FALSE(disk->Read(Id(256), longer));
  EXPECT_EQ(disk->stats().n_ignored, 1u);
  EXPECT_FALSE(disk->Has(Id(256)));
}

TEST_F(PrefixDiskTest, TheSizeLimitCountsAllModelsAndTheOldestGo) {
  std::set<fs::path> dated;  // a file system's clock may be coarser than four files
  for (std::int64_t n = 1; n <= 4; ++n) {
    const auto first = Open(1 << 20, 1 << 30, 1);
    first->Write(Id(n), Blob(kSize, 1));
    first->Stop(10000000);
    for (const fs::path& file : Files()) {
      if (!dated.insert(file).second) continue;
      fs::last_write_time(file, fs::file_time_type::clock::now() - std::chrono::seconds(10 - n));
    }
  }
  const auto second = Open(6 * kFileBytes, 1 << 30, 2);
  for (std::int64_t n = 1; n <= 4; ++n) second->Write(Id(n), Blob(kSize, 2));
  second->Stop(10000000);
  EXPECT_EQ(Files().size(), 6u);
  EXPECT_EQ(second->stats().used_bytes, 6 * kFileBytes);
  const auto first = Open(1 << 20, 1 << 30, 1);
  EXPECT_FALSE(first->Has(Id(1)));
  EXPECT_FALSE(first->Has(Id(2)));
  EXPECT_TRUE(first->Has(Id(3)));
  EXPECT_TRUE(first->Has(Id(4)));
}

TEST_F(PrefixDiskTest, TheDayHasALimitThatOutlivesTheProcess) {
  for (int run = 0; run < 3; ++run) {
    const auto disk = Open(1 << 20, 3 * kFileBytes);
    for (std::int64_t n = 1; n <= 2; ++n) disk->Write(Id(10 * run + n), Blob(kSize, 1));
    disk->Stop(10000000);
  }
  EXPECT_EQ(Files().size(), 3u);
}

TEST_F(PrefixDiskTest, ACountThatSaysNothingStopsTheDay) {
  const std::string count = folder_ + "/written-today";
  fs::create_directories(folder_);
  const auto n_written = [this] {
    const auto disk = Open();
    disk->Write(Id(1), Blob(kSize, 1));
    disk->Stop(10000000);
    EXPECT_EQ(disk->stats().n_refused, 1 - Files().size());
    return Files().size();
  };
  const std::string today = std::to_string(std::time(nullptr) / 86400);
  for (const std::string& text :
       {std::string(), std::string("x"), std::string("20000 12"), std::string("20000 12 \n"),
        std::string("12"), today + " -1\n", today + " 18446744073709551616\n"}) {
    std::ofstream(count) << text;
    EXPECT_EQ(n_written(), 0u) << text;
  }
  fs::last_write_time(count, fs::file_time_type::clock::now() - std::chrono::hours(25));
  EXPECT_EQ(n_written(), 1u) << "that was another day";
  fs::remove_all(folder_);
  fs::create_directories(folder_);
  std::ofstream(count) << "99999 999999999999\n";
  EXPECT_EQ(n_written(), 1u) << "the clock was wrong once";
  fs::remove_all(folder_);
  fs::create_directories(count);
  EXPECT_EQ(n_written(), 0u);
}

// A prompt's files go from its end, so that what remains is of use; that order is in the files.
TEST_F(PrefixDiskTest, TheDeepestOfTheOldestUseGoFirstAndARestartKnowsTheOrder) {
  const auto write = [](PrefixDisk& disk, std::initializer_list<std::int64_t> ids) {
    disk.BeginUse();
    for (const std::int64_t n : ids) disk.Write(Id(n), Blob(kSize, 1));
    Drain(disk);
  };
  {
    const auto disk = Open();
    write(*disk, {1, 2, 3});
    write(*disk, {11, 12, 13});
    write(*disk, {21, 22, 23});
  }
  {
    const auto disk = Open();
    disk->BeginUse();
    for (const std::int64_t n : {1, 2, 3}) EXPECT_TRUE(disk->Touch(Id(n)));
  }
  const auto disk = Open(9 * kFileBytes);
  const std::int64_t goes[] = {13, 12, 11, 23, 22, 21, 3, 2, 1};
  for (std::int64_t i = 0; i < 9; ++i) {
    EXPECT_TRUE(disk->Has(Id(goes[i]))) << goes[i];
    write(*disk, {100 + i});
    EXPECT_FALSE(disk->Has(Id(goes[i]))) << goes[i];
    EXPECT_FALSE(disk->Touch(Id(goes[i]))) << goes[i];
    EXPECT_EQ(Files().size(), 9u);
  }
}

TEST_F(PrefixDiskTest, WhatIsUsedTogetherDoesNotPushOutItsOwnBeginning) {
  const auto disk = Open(3 * kFileBytes);
  for (const std::int64_t n : {1, 2, 3, 4, 5}) disk->Write(Id(n), Blob(kSize, 1));
  disk->Stop(10000000);
  EXPECT_EQ(disk->stats().written_bytes, 3 * kFileBytes);
  EXPECT_TRUE(disk->Has(Id(1)) && disk->Has(Id(2)) && disk->Has(Id(3)));
}

TEST_F(PrefixDiskTest, TwoOnOneFolderShareTheLimitAndWriteAgainWhatTheOtherDeleted) {
  const auto first = Open(5 * kFileBytes);
  const auto second = Open(5 * kFileBytes);
  for (const std::int64_t n : {1, 2, 3, 4}) first->Write(Id(n), Blob(kSize, 1));
  Drain(*first);
  second->BeginUse();
  for (const std::int64_t n : {11, 12, 13, 14}) second->Write(Id(n), Blob(kSize, 1));
  Drain(*second);
  EXPECT_EQ(Files().size(), 5u);
  EXPECT_EQ(second->stats().used_bytes, 5 * kFileBytes);
  first->BeginUse();
  EXPECT_TRUE(first->Touch(Id(1)));
  EXPECT_FALSE(first->Touch(Id(4))) << "the other one has deleted it";
  first->Write(Id(4), Blob(kSize, 1));
  first->Write(Id(11), Blob(kSize, 1));
  Drain(*first);
  EXPECT_EQ(Files().size(), 5u);
  EXPECT_TRUE(first->Has(Id(1)) && first->Has(Id(4)) && first->Has(Id(11)));
  EXPECT_EQ(first->stats().written_bytes, 5 * kFileBytes) << "the eleventh is there";
}

TEST_F(PrefixDiskTest, AHalfFileOfAKilledProcessWithTheSameNumberIsReplaced) {
  fs::create_directories(folder_ + "/0100000000000000");
  std::ofstream(folder_ + "/0100000000000000/writing-" + std::to_string(getpid()) + "-0") << "half";
  const auto disk = Open();
  disk->Write(Id(1), Blob(kSize, 1));
  disk->Stop(10000000);
  EXPECT_EQ(Files().size(), 1u);
  EXPECT_TRUE(disk->Has(Id(1)));
}

TEST_F(PrefixDiskTest, AFolderThatWasClearedIsFilledAgain) {
  const auto disk = Open();
  disk->Write(Id(1), Blob(kSize, 1));
  Drain(*disk);
  fs::remove_all(folder_);
  EXPECT_FALSE(disk->Touch(Id(1)));
  disk->Write(Id(1), Blob(kSize, 1));
  Drain(*disk);
  EXPECT_EQ(Files().size(), 1u);
}

TEST_F(PrefixDiskTest, StopDoesNotWaitForAnotherProcess) {
  const auto disk = Open();
  const int fd = open((folder_ + "/lock").c_str(), O_RDWR);
  ASSERT_EQ(flock(fd, LOCK_EX), 0);
  disk->Write(Id(1), Blob(kSize, 1));
  const auto start = std::chrono::steady_clock::now();
  disk->Stop(50000);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
  close(fd);
  EXPECT_TRUE(Files().empty());
}

TEST_F(PrefixDiskTest, ForeignThingsInTheFolderAreLeftAloneAndOldLeftoversGo) {
  fs::create_directories(folder_ + "/0100000000000000");
  const std::string mine = folder_ + "/0100000000000000/";
  std::ofstream(mine + "notes.txt") << "mine";
  std::ofstream(mine + "writing-1-1") << "half";
  std::ofstream(mine + "writing-2-1") << "half, and long ago";
  fs::last_write_time(mine + "writing-2-1",
                      fs::file_time_type::clock::now() - std::chrono::hours(2));
  fs::create_directories(mine + PrefixFileName(Id(5)));  // a folder with a file's name
  fs::create_symlink("/etc/hostname", mine + PrefixFileName(Id(6)));
  const auto disk = Open();
  EXPECT_FALSE(disk->Has(Id(5)));
  EXPECT_FALSE(disk->Has(Id(6)));
  EXPECT_TRUE(fs::exists(mine + "notes.txt"));
  EXPECT_TRUE(fs::exists(mine + "writing-1-1"));
  EXPECT_FALSE(fs::exists(mine + "writing-2-1"));
}

TEST_F(PrefixDiskTest, AFolderThatCannotBeIsNamed) {
  std::ofstream(testing::TempDir() + "larder-a-file") << "x";
  PrefixDiskOptions options;
  options.folder = testing::TempDir() + "larder-a-file/below";
  const auto disk = PrefixDisk::Open(options);
  ASSERT_FALSE(disk.ok());
  EXPECT_EQ(disk.status().code(), StatusCode::kIoError);
  EXPECT_NE(disk.status().message().find("larder-a-file/below"), std::string::npos);
}

// ---- Copies of a session's state ----------------------------------------------------------------

TEST(SessionStateCopies, KvAndRecurrentPartsGoOutAndIn) {
  StateShape shape;
  shape.layers.resize(3);
  shape.layers[0].n_recurrent = 40;
  shape.layers[0].n_convolution = 6;
  shape.layers[1].n_kv_heads = 2;
  shape.layers[1].head_dim = 32;
  shape.layers[2].n_kv_heads = 1;
  shape.layers[2].head_dim = 64;
  auto from = SessionState::Allocate(shape, 40);
  auto to = SessionState::Allocate(shape, 50);
  auto third = SessionState::Allocate(shape, 30);
  ASSERT_TRUE(from.ok() && to.ok() && third.ok());
  const auto fill = [&](SessionState& state, int capacity, int seed) {
    for (const int layer : {1, 2}) {
      const auto& one = shape.layers[static_cast<std::size_t>(layer)];
      const std::size_t size =
          static_cast<std::size_t>(one.n_kv_heads * capacity) * RowBytes(DType::kF16, one.head_dim);
      for (std::size_t i = 0; i < size; ++i) {
        state.keys(layer)[i] = static_cast<std::byte>(i * 31 + static_cast<std::size_t>(seed));
        state.values(layer)[i] = static_cast<std::byte>(i * 17 + static_cast<std::size_t>(seed));
      }
    }
  };
  fill(*from, 40, 1);
  fill(*to, 50, 2);
  EXPECT_EQ(shape.RecurrentBytes(), from->recurrent_part().size());
  std::vector<std::byte> rows(10 * shape.KvBytesPerToken());
  from->SaveKv(5, 10, rows.data());
  to->LoadKv(5, 10, rows.data());
  third->CopyKv(*from, 5, 10);
  for (const int layer : {1, 2}) {
    const auto& one = shape.layers[static_cast<std::size_t>(layer)];
    const std::size_t row = RowBytes(DType::kF16, one.head_dim);
    for (std::int64_t head = 0; head < one.n_kv_heads; ++head) {
      for (std::int64_t p = 0; p < 30; ++p) {
        const auto at = [&](const std::byte* base, std::int64_t capacity) {
          return std::vector<std::byte>(
              base + static_cast<std::size_t>(head * capacity + p) * row,
              base + static_cast<std::size_t>(head * capacity + p + 1) * row);
        };
        const bool copied = 5 <= p && p < 15;
        EXPECT_EQ(at(from->keys(layer), 40) == at(to->keys(layer), 50), copied) << p;
        EXPECT_EQ(at(from->values(layer), 40) == at(to->values(layer), 50), copied) << p;
        if (copied) {
          EXPECT_EQ(at(from->values(layer), 40), at(third->values(layer), 30));
        }
      }
    }
  }
  for (int i = 0; i < 40; ++i) from->recurrent(0)[i] = static_cast<float>(i);
  for (int i = 0; i < 6; ++i) from->convolution(0)[i] = static_cast<float>(-i);
  std::vector<std::byte> part(shape.RecurrentBytes());
  from->CopyRecurrent(0, part.data());
  std::copy(part.begin(), part.end(), to->recurrent_part().begin());
  EXPECT_EQ(std::vector<float>(to->recurrent(0), to->recurrent(0) + 40),
            std::vector<float>(from->recurrent(0), from->recurrent(0) + 40));
  EXPECT_EQ(to->convolution(0)[5], -5.0f);
}

}  // namespace
}  // namespace larder
