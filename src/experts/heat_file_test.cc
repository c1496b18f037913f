// The file of remembered experts: what is written comes back, and nothing else is believed.
#include "experts/heat_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/random.h"

namespace larder {
namespace {

constexpr std::uint64_t kIdentity = 0x1234567890abcdefull;

std::vector<HotExpert> SomeExperts() {
  std::vector<HotExpert> experts;
  SplitMix64 random(5);
  for (int layer = 0; layer < 6; ++layer) {
    for (int expert = layer % 2; expert < 16; expert += 2) {
      experts.push_back({layer, expert, static_cast<float>(0.01 + random.NextUnit() * 70)});
    }
  }
  SortByHeat(&experts);
  return experts;
}

Result<std::vector<HotExpert>> Decode(const std::string& text, std::uint64_t identity = kIdentity) {
  return DecodeHeat(std::as_bytes(std::span(text)), identity, 6, 16);
}

TEST(HeatFile, ComesBackAsItWasWritten) {
  const std::vector<HotExpert> experts = SomeExperts();
  const auto decoded = Decode(EncodeHeat(kIdentity, experts));
  ASSERT_TRUE(decoded.ok()) << decoded.status().message();
  ASSERT_EQ(decoded->size(), experts.size());
  for (std::size_t i = 0; i < experts.size(); ++i) {
    EXPECT_EQ((*decoded)[i].layer, experts[i].layer);
    EXPECT_EQ((*decoded)[i].expert, experts[i].expert);
    EXPECT_EQ((*decoded)[i].heat, experts[i].heat);
    if (i > 0) {
      EXPECT_GE(experts[i - 1].heat, experts[i].heat);
    }
  }
  EXPECT_TRUE(Decode(EncodeHeat(kIdentity, {})).ok());
}

TEST(HeatFile, AnotherModelsIsRefused) {
  const std::string text = EncodeHeat(kIdentity, SomeExperts());
  EXPECT_FALSE(Decode(text, kIdentity + 1).ok());
  EXPECT_FALSE(DecodeHeat(std::as_bytes(std::span(text)), kIdentity, 5, 16).ok());
  EXPECT_FALSE(DecodeHeat(std::as_bytes(std::span(text)), kIdentity, 6, 15).ok());
}

TEST(HeatFile, EveryTruncationAndEveryChangedByteIsRefused) {
  const std::string text = EncodeHeat(kIdentity, SomeExperts());
  for (std::size_t size = 0; size < text.size(); ++size) {
    EXPECT_FALSE(Decode(text.substr(0, size)).ok()) << size;
  }
  EXPECT_FALSE(Decode(text + "x").ok());
  for (std::size_t i = 0; i < text.size(); ++i) {
    for (const int bit : {0, 3, 7}) {
      std::string changed = text;
      changed[i] = static_cast<char>(changed[i] ^ (1 << bit));
      EXPECT_FALSE(Decode(changed).ok()) << i;
    }
  }
}

TEST(HeatFile, ImpossibleExpertsAreRefused) {
  const float infinite = std::numeric_limits<float>::infinity();
  for (const HotExpert& hot : std::vector<HotExpert>{{6, 0, 1.0f},
                                                     {0, 16, 1.0f},
                                                     {0, 0, 0.0f},
                                                     {0, 0, -1.0f},
                                                     {0, 0, infinite},
                                                     {0, 0, std::nanf("")}}) {
    EXPECT_FALSE(Decode(EncodeHeat(kIdentity, {&hot, 1})).ok()) << hot.layer << " " << hot.heat;
  }
  const std::vector<HotExpert> twice = {{1, 1, 2.0f}, {1, 1, 1.0f}};
  EXPECT_FALSE(Decode(EncodeHeat(kIdentity, twice)).ok());
}

class HeatFileOnDisk : public testing::Test {
 protected:
  HeatFileOnDisk() {
    std::filesystem::remove_all(folder_);
    setenv("XDG_CACHE_HOME", folder_.c_str(), 1);
  }
  ~HeatFileOnDisk() override {
    unsetenv("XDG_CACHE_HOME");
    std::filesystem::remove_all(folder_);
  }
  const std::string folder_ = testing::TempDir() + "larder-heat-" + std::to_string(getpid());
};

TEST_F(HeatFileOnDisk, IsWrittenInOneStepAndReadBack) {
  const std::string path = HeatFilePath("/models/a model.gguf");
  EXPECT_EQ(path.rfind(folder_ + "/larder/a model-", 0), 0u) << path;
  EXPECT_NE(path, HeatFilePath("/other/a model.gguf"));
  EXPECT_EQ(ReadHeatFile(path, kIdentity, 6, 16).status().code(), StatusCode::kNotFound);
  const std::vector<HotExpert> experts = SomeExperts();
  for (int i = 0; i < 2; ++i) {
    const Status status = WriteHeatFile(path, kIdentity, experts);
    ASSERT_TRUE(status.ok()) << status.message();
  }
  const auto read = ReadHeatFile(path, kIdentity, 6, 16);
  ASSERT_TRUE(read.ok()) << read.status().message();
  EXPECT_EQ(read->size(), experts.size());
  int n_files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder_ + "/larder")) {
    n_files += entry.is_regular_file() ? 1 : 0;
  }
  EXPECT_EQ(n_files, 1) << "something unfinished was left";
}

TEST_F(HeatFileOnDisk, AFolderThatCannotBeIsAnErrorAndNoMore) {
  std::ofstream(folder_) << "a file where the folder should be";
  EXPECT_EQ(WriteHeatFile(HeatFilePath("/m.gguf"), kIdentity, SomeExperts()).code(),
            StatusCode::kIoError);
  EXPECT_FALSE(ReadHeatFile(HeatFilePath("/m.gguf"), kIdentity, 6, 16).ok());
}

TEST(HeatFilePathOf, NeedsAnAbsoluteFolder) {
  setenv("XDG_CACHE_HOME", "relative", 1);
  const char* home = std::getenv("HOME");
  const std::string kept = home != nullptr ? home : "";
  setenv("HOME", "/home/somebody", 1);
  EXPECT_EQ(HeatFilePath("/m.gguf").rfind("/home/somebody/.cache/larder/m-", 0), 0u);
  unsetenv("HOME");
  EXPECT_EQ(HeatFilePath("/m.gguf"), "");
  unsetenv("XDG_CACHE_HOME");
  if (!kept.empty()) setenv("HOME", kept.c_str(), 1);
}

}  // namespace
}  // namespace larder
