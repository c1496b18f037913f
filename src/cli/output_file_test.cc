// What is refused before a measurement, and that asking changes nothing.
#include "cli/output_file.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "cli/text_file.h"
#include "cli/token_list.h"

namespace larder {
namespace {

class OutputFile : public testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string Make(const std::string& name, const std::string& text) {
    EXPECT_TRUE(WriteTextFile(folder_ + "/" + name, text).ok());
    return folder_ + "/" + name;
  }
  const std::string folder_ = testing::TempDir() + "output-file";
};

TEST_F(OutputFile, AskingChangesNothing) {
  EXPECT_TRUE(CheckOutputFile("").ok());
  EXPECT_TRUE(CheckOutputFile("/dev/null").ok());
  EXPECT_TRUE(CheckOutputFile(folder_ + "/new").ok());
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/new"));
  const std::string old = Make("old", "what was here");
  EXPECT_TRUE(CheckOutputFile(old).ok());
  EXPECT_EQ(ReadTextFile(old).value(), "what was here");
}

TEST_F(OutputFile, WhatCannotBeWrittenIsSaid) {
  std::filesystem::create_symlink(folder_ + "/nowhere", folder_ + "/link");
  const std::string input = Make("input", "tasks");
  std::filesystem::create_symlink(input, folder_ + "/same");
  const std::string model = Make("part.gguf", "GGUF and more");
  const std::pair<std::string, const char*> cases[] = {
      {folder_, "is a folder"},
      {folder_ + "/none/file", "no folder for the output"},
      {folder_ + "/link", "leads nowhere"},
      {input, "is an input"},
      {folder_ + "/same", "is an input"},
      {model, "is a model"},
  };
  for (const auto& [path, part] : cases) {
    const Status status = CheckOutputFile(path, {"", folder_ + "/none", input});
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << path;
    EXPECT_NE(status.message().find(part), std::string::npos) << status.message();
  }
  EXPECT_EQ(CheckOutputFile(input + "/file").code(), StatusCode::kIoError) << "no folder at all";
}

TEST_F(OutputFile, WhatCannotBeReplacedIsSaid) {
  const std::string input = Make("ids", "1,2");
  EXPECT_TRUE(CheckReplacedFile("").ok());
  EXPECT_NE(CheckReplacedFile(input, {input}).message().find("is an input"), std::string::npos);
  EXPECT_EQ(CheckReplacedFile("/dev/null").code(), StatusCode::kInvalidArgument);
  // It can be written, but nothing beside it has a name so long.
  const std::string longest = Make(std::string(250, 'a'), "older");
  EXPECT_EQ(CheckReplacedFile(longest).code(), StatusCode::kIoError);
  EXPECT_EQ(ReadTextFile(longest).value(), "older");
  // The name that other writers give their unfinished file is the user's own.
  std::filesystem::create_directory(folder_ + "/new.tmp");
  EXPECT_TRUE(CheckReplacedFile(folder_ + "/new").ok());
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/new"));
}

TEST_F(OutputFile, OneFileUnderTwoNamesIsKnown) {
  EXPECT_TRUE(IsSameFile(folder_ + "/new", folder_ + "/./new"));
  std::filesystem::create_directory_symlink(folder_, folder_ + "/here");
  EXPECT_TRUE(IsSameFile(folder_ + "/new", folder_ + "/here/new"));
  const std::string old = Make("old", "");
  std::filesystem::create_symlink(old, folder_ + "/link");
  EXPECT_TRUE(IsSameFile(old, folder_ + "/link"));
  EXPECT_TRUE(IsSameFile("new", "./new"));
  EXPECT_FALSE(IsSameFile(folder_ + "/new", folder_ + "/newer"));
  EXPECT_FALSE(IsSameFile(folder_ + "/new", ""));
}

}  // namespace
}  // namespace larder
