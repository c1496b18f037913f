// A file of logits is there when it is whole, and not before.
#include "cli/saved_logits.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "cli/text_file.h"
#include "cli/token_list.h"

namespace larder {
namespace {

TEST(SavedLogits, TheOlderFileStaysUntilTheNewOneIsWhole) {
  const std::string path = testing::TempDir() + "saved.logits";
  ASSERT_TRUE(WriteTextFile(path, "older").ok());
  ScoredText text;
  text.n_vocab = 3;
  text.n_rows = 1;
  const std::vector<float> row = {1, 2, 3};
  {
    auto unfinished = LogitsWriter::Create(path, text);
    ASSERT_TRUE(unfinished.ok()) << unfinished.status().message();
    ASSERT_TRUE((*unfinished)->Write(row).ok());
    EXPECT_EQ(ReadTextFile(path).value(), "older");
  }
  EXPECT_EQ(ReadTextFile(path).value(), "older");
  auto writer = LogitsWriter::Create(path, text);
  ASSERT_TRUE(writer.ok()) << writer.status().message();
  ASSERT_TRUE((*writer)->Write(row).ok());
  ASSERT_TRUE((*writer)->Finish().ok());
  const auto reader = LogitsReader::Open(path);
  ASSERT_TRUE(reader.ok()) << reader.status().message();
  std::vector<float> back;
  ASSERT_TRUE((*reader)->Read(&back).ok());
  EXPECT_EQ(back, row);
  std::filesystem::remove(path);
}

TEST(SavedLogits, TwoWritersOfOneNameDoNotMeet) {
  namespace fs = std::filesystem;
  const std::string folder = testing::TempDir() + "saved-logits";
  fs::remove_all(folder);
  fs::create_directories(folder);
  const std::string path = folder + "/a.logits";
  ASSERT_TRUE(WriteTextFile(path, "older").ok());
  fs::create_directory(path + ".tmp");  // the user's own
  fs::create_symlink(path, folder + "/link");
  ScoredText text;
  text.n_vocab = text.n_rows = 1;
  auto first = LogitsWriter::Create(path, text);
  auto second = LogitsWriter::Create(folder + "/link", text);
  ASSERT_TRUE(first.ok() && second.ok());
  const auto finish = [](LogitsWriter& writer, float value) {
    ASSERT_TRUE(writer.Write({&value, 1}).ok());
    ASSERT_TRUE(writer.Finish().ok());
  };
  finish(**first, 1);
  finish(**second, 2);
  std::vector<float> row;
  const auto reader = LogitsReader::Open(path);
  ASSERT_TRUE(reader.ok()) << reader.status().message();
  ASSERT_TRUE((*reader)->Read(&row).ok());
  EXPECT_EQ(row, std::vector<float>{2});
  EXPECT_TRUE(fs::is_symlink(folder + "/link"));
  EXPECT_TRUE(fs::is_directory(path + ".tmp"));
  EXPECT_EQ(std::distance(fs::directory_iterator(folder), fs::directory_iterator()), 3);
  fs::remove_all(folder);
}

}  // namespace
}  // namespace larder
