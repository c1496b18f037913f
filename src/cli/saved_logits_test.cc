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
  EXPECT_FALSE(std::filesystem::exists(path + ".tmp"));
  auto writer = LogitsWriter::Create(path, text);
  ASSERT_TRUE(writer.ok()) << writer.status().message();
  ASSERT_TRUE((*writer)->Write(row).ok());
  ASSERT_TRUE((*writer)->Finish().ok());
  const auto reader = LogitsReader::Open(path);
  ASSERT_TRUE(reader.ok()) << reader.status().message();
  std::vector<float> back;
  ASSERT_TRUE((*reader)->Read(&back).ok());
  EXPECT_EQ(back, row);
  EXPECT_FALSE(std::filesystem::exists(path + ".tmp"));
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace larder
