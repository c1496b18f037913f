// Tools inside their walls: what they give, what they refuse, and limits of time and output.
#include "cli/tool_box.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/clock.h"
#include "cli/process.h"
#include "text/message_json.h"

namespace larder {
namespace {

using testing::HasSubstr;

class ToolBoxTest : public testing::Test {
 protected:
  void SetUp() override {
    root_ = testing::TempDir() + "larder-tools-" + std::to_string(getpid());
    std::filesystem::remove_all(root_);
    folder_ = root_ + "/inside";
    std::filesystem::create_directories(folder_ + "/sub");
    std::ofstream(folder_ + "/a.txt") << "hello";
    std::ofstream(root_ + "/secret.txt") << "secret";
    std::filesystem::create_symlink(root_ + "/secret.txt", folder_ + "/link");
    std::filesystem::create_symlink("a.txt", folder_ + "/good");
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  ToolBox Box(ToolBoxOptions options) {
    options.builtin = true;
    options.folder = folder_;
    Result<ToolBox> box = ToolBox::Make(options);
    EXPECT_TRUE(box.ok()) << box.status().message();
    return box.ok() ? std::move(*box) : ToolBox();
  }

  static std::string Call(const ToolBox& box, const std::string& name, const char* key,
                          const std::string& value) {
    return box.Run({"", name, JsonText({{key, value}})}, nullptr);
  }

  std::string root_, folder_;
};

TEST_F(ToolBoxTest, FilesInsideTheFolderOnly) {
  const ToolBox box = Box({.unconfined = true});
  EXPECT_EQ(Call(box, "read_file", "path", "a.txt"), R"({"content":"hello"})");
  EXPECT_EQ(Call(box, "read_file", "path", folder_ + "/a.txt"), R"({"content":"hello"})");
  EXPECT_EQ(Call(box, "read_file", "path", "good"), R"({"content":"hello"})");
  EXPECT_EQ(Call(box, "list_folder", "path", "."), R"({"files":"a.txt, good, link, sub/"})");
  EXPECT_EQ(Call(box, "list_folder", "path", "sub"), R"({"files":""})");
  for (const char* path : {"../secret.txt", "link", "/etc/passwd", "sub/../../secret.txt", "/",
                           "..", "../nothing", "../inside/../secret.txt"}) {
    EXPECT_THAT(Call(box, "read_file", "path", path), HasSubstr("is not in the folder")) << path;
    EXPECT_THAT(Call(box, "list_folder", "path", path), HasSubstr("error")) << path;
  }
  EXPECT_EQ(Call(box, "read_file", "path", "nothing"), R"({"error":"there is no nothing"})");
  EXPECT_EQ(Call(box, "read_file", "path", "sub"), R"({"error":"sub is a folder"})");
  EXPECT_THAT(Call(box, "read_file", "path", std::string("a\0b", 3)), HasSubstr("zero byte"));
  EXPECT_THAT(Call(box, "read_file", "file", "a.txt"), HasSubstr("needs a text 'path'"));
  EXPECT_THAT(Call(box, "nothing", "path", "x"), HasSubstr("there is no tool nothing"));
}

// What is shown is what the tool will read, whatever else the call holds.
TEST_F(ToolBoxTest, WhatIsShownIsWhatRuns) {
  const ToolBox box = Box({.unconfined = true, .commands = {"mine=cat"}});
  const auto shown = [&](const std::string& name, const OrderedJson& arguments) {
    return box.Describe({"", name, JsonText(arguments)});
  };
  EXPECT_EQ(shown("run_command", {{"path", "a.txt"}, {"command", "rm -rf ."}}),
            "run_command  rm -rf .");
  EXPECT_EQ(shown("read_file", {{"command", "ls"}, {"path", "a.txt"}}), "read_file  a.txt");
  EXPECT_EQ(shown("mine", {{"path", "a.txt"}, {"input", "x"}}), "mine  cat < x");
  EXPECT_EQ(shown("run_command", {{"path", "a.txt"}}), R"(run_command  {"path":"a.txt"})");
}

TEST_F(ToolBoxTest, CommandsSeeOneFolderAndNoNetwork) {
  const ToolBox box = Box({});
  if (!box.warning().empty()) GTEST_SKIP() << box.warning();
  EXPECT_EQ(Call(box, "run_command", "command", "cat a.txt; pwd"),
            JsonText({{"output", "hello" + box.folder() + "\n"}}));
  const auto run = [&](const std::string& command) {
    return Call(box, "run_command", "command", command);
  };
  EXPECT_THAT(run("echo new > sub/new && cat sub/new"), HasSubstr("new\\n"));
  EXPECT_TRUE(std::filesystem::exists(folder_ + "/sub/new"));
  for (const char* command :
       {"touch ../x", "touch /x", "touch /usr/x", "touch /tmp/x", "cat ../secret.txt", "cat link",
        "cat /etc/shadow", "touch /dev/shm/../../x", "touch /dev/shm/x", "touch /dev/x",
        "mount -o remount,rw / /"}) {
    EXPECT_THAT(run(command), HasSubstr("exit_status")) << command;
  }
  EXPECT_FALSE(std::filesystem::exists(root_ + "/x"));
  EXPECT_EQ(run("echo lost >/dev/null; head -c 2 /dev/zero | wc -c"), R"({"output":"2\n"})");
  // No interface but the loopback, nothing of our environment.
  EXPECT_THAT(run("cat /proc/net/dev | grep -c :"), HasSubstr("\"1\\n\""));
  setenv("LARDER_TEST_SECRET", "hidden", 1);
  EXPECT_THAT(run("env"), testing::Not(HasSubstr("hidden")));
}

TEST_F(ToolBoxTest, TimeAndOutputAreLimited) {
  const ToolBox box = Box({.unconfined = true, .seconds = 0.3, .output_bytes = 1000});
  const std::int64_t start_us = NowUs();
  EXPECT_THAT(Call(box, "run_command", "command", "sleep 60"), HasSubstr("stopped after 0.3"));
  EXPECT_THAT(Call(box, "run_command", "command", "sleep 60 & sleep 60"), HasSubstr("stopped"));
  // What outlives its shell is ended with it.
  EXPECT_EQ(Call(box, "run_command", "command", "sleep 60 & echo done"), R"({"output":"done\n"})");
  EXPECT_LT(SecondsSince(start_us), 30);
  const std::string much = Call(box, "run_command", "command", "yes");
  EXPECT_LT(much.size(), 3000u);
  EXPECT_THAT(much, HasSubstr("only the first 1000 bytes"));
  const std::string cancelled =
      box.Run({"", "run_command", R"({"command":"sleep 60"})"}, [] { return true; });
  EXPECT_THAT(cancelled, HasSubstr("the user stopped it"));
  std::ofstream(folder_ + "/big") << std::string(5000, 'x');
  EXPECT_THAT(Call(box, "read_file", "path", "big"), HasSubstr("only the first 1000 of 5000"));
}

TEST_F(ToolBoxTest, WithoutBubblewrapThereAreNoCommands) {
  const std::string path = getenv("PATH");
  setenv("PATH", folder_.c_str(), 1);
  const ToolBox box = Box({.commands = {"words=wc -w"}});
  setenv("PATH", path.c_str(), 1);
  EXPECT_THAT(box.warning(), HasSubstr("bubblewrap is not installed"));
  EXPECT_EQ(box.definitions().size(), 2u);
  EXPECT_THAT(Call(box, "run_command", "command", "id"), HasSubstr("there is no tool"));
  EXPECT_THAT(Call(box, "words", "input", "a b"), HasSubstr("there is no tool"));
}

TEST_F(ToolBoxTest, OwnTools) {
  const ToolBox box = Box({.unconfined = true, .commands = {"words=wc -w"}});
  EXPECT_THAT(Call(box, "words", "input", "a b c"), HasSubstr("3"));
  EXPECT_EQ(box.Describe({"", "words", R"({"input":"a\u001bb"})"}), "words  wc -w < a\\x1bb");
  EXPECT_EQ(box.Describe({"", "run_command", R"({"command":"ls\nrm"})"}), "run_command  ls\\nrm");
  EXPECT_EQ(
      box.Describe({"", "run_command", "{\"command\":\"ls \xe2\x80\xaegpj.\xc3\xa9\xc2\x9b\"}"}),
      "run_command  ls \\u{202e}gpj.\xc3\xa9\\u{9b}");
  for (const char* wrong : {"words", "=x", "a b=x", "x=", "read_file=cat"}) {
    ToolBoxOptions options;
    options.builtin = options.unconfined = true;
    options.folder = folder_;
    options.commands = {wrong};
    EXPECT_EQ(ToolBox::Make(options).status().code(), StatusCode::kInvalidArgument) << wrong;
  }
  EXPECT_EQ(ToolBox::Make({.folder = "/"}).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(ToolBox::Make({.folder = folder_ + "/nothing"}).status().code(), StatusCode::kNotFound);
}

TEST(Process, ExitStatusAndInput) {
  const auto run = [](const std::string& command, const std::string& input) {
    return RunProcess({"/bin/sh", "-c", command}, "/", input, {});
  };
  EXPECT_EQ(run("exit 7", "")->exit_status, 7);
  EXPECT_EQ(run("kill -9 $$", "")->exit_status, 137);
  EXPECT_EQ(run("cat; pwd", std::string(200000, 'x'))->output.size(), std::size_t{32} << 10);
  EXPECT_EQ(run("pwd; echo no >&2", "")->output, "/\nno\n");
  EXPECT_FALSE(RunProcess({"/no/such/program"}, "/", "", {}).ok());
  EXPECT_EQ(FindProgram("no-such-program"), "");
  EXPECT_NE(FindProgram("sh"), "");
}

}  // namespace
}  // namespace larder
