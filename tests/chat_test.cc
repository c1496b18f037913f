// `larder chat` as scripts meet it: lines on stdin, answers on stdout, notes on stderr. The model
// is random, so what it says means nothing; that it says the same after every way to the same
// conversation shows that the session's state was kept, rewound and read again exactly.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <string>

#include "helpers/scripted_model.h"
#include "helpers/tiny_model.h"

namespace larder {
namespace {

using testing::EndsWith;
using testing::HasSubstr;

struct Outcome {
  int exit_status = -1;
  std::string out;
  std::string err;
};

const std::string kRandomModel =
    "-m '" LARDER_SOURCE_DIR "/tests/golden/models/r4-s32-f32.gguf' -n 6 ";

std::string Read(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

Outcome Chat(const std::string& input, const std::string& options = "") {
  const std::string in = TemporaryPath("in.txt");
  const std::string out = TemporaryPath("out.txt");
  const std::string err = TemporaryPath("err.txt");
  std::ofstream(in, std::ios::binary) << input;
  const std::string command = "'" LARDER_BINARY "' chat --temp 0 --threads 1 --no-history " +
                              (options.find("-m ") == 0 ? options : kRandomModel + options) +
                              " <'" + in + "' >'" + out + "' 2>'" + err + "'";
  const int status = std::system(command.c_str());
  const Outcome outcome = {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status),
                           Read(out), Read(err)};
  for (const std::string& path : {in, out, err}) std::filesystem::remove(path);
  return outcome;
}

TEST(Chat, AnswersLinesAndEnds) {
  const Outcome outcome = Chat("Hello\n\n/stats\n/set\nmore\n/exit\nnever read\n");
  EXPECT_EQ(outcome.exit_status, 0) << outcome.err;
  EXPECT_FALSE(outcome.out.empty());
  EXPECT_THAT(outcome.err, HasSubstr("tokens/s"));
  EXPECT_THAT(outcome.err, HasSubstr("temp 0, top-k"));
  EXPECT_THAT(outcome.err, HasSubstr("positions; peak memory"));
  EXPECT_THAT(outcome.err, testing::Not(HasSubstr("\033")));
  // The second message reads only what is new.
  const std::regex kept("read ([0-9]+) tokens \\(([0-9]+) kept\\)");
  std::smatch first, second;
  ASSERT_TRUE(std::regex_search(outcome.err, first, kept)) << outcome.err;
  const std::string behind = first.suffix();
  ASSERT_TRUE(std::regex_search(behind, second, kept)) << outcome.err;
  EXPECT_EQ(first[2], "0");
  EXPECT_GT(std::stoi(second[2]), 10);
}

TEST(Chat, EveryWayToAConversationGivesTheSameAnswer) {
  const Outcome straight = Chat("one\ntwo\n");
  ASSERT_EQ(straight.exit_status, 0) << straight.err;
  const Outcome one = Chat("one\n");
  ASSERT_EQ(straight.out.substr(0, one.out.size()), one.out);
  const std::string two = straight.out.substr(one.out.size());
  ASSERT_FALSE(two.empty());
  EXPECT_THAT(Chat("one\nsomething else\n/undo\ntwo\n").out, EndsWith(two));
  EXPECT_THAT(Chat("one\ntwo\n/regen\n").out, EndsWith(two + two));
  EXPECT_THAT(Chat("before\n/clear\none\ntwo\n").out, EndsWith(straight.out));
  EXPECT_THAT(Chat("one\ntwo\n", "--batch 3").out, straight.out);
  // Saved, and gone on with in another process.
  const std::string saved = TemporaryPath("saved.json");
  EXPECT_THAT(Chat("one\n/save " + saved + "\n").err, HasSubstr("saved 2 messages"));
  EXPECT_THAT(Read(saved), HasSubstr("\"larder_chat\": 1"));
  EXPECT_EQ(Chat("two\n", "--load '" + saved + "'").out, two);
  EXPECT_EQ(Chat("/load " + saved + "\ntwo\n").out, two);
  std::filesystem::remove(saved);
}

TEST(Chat, MessagesOfSeveralLines) {
  const Outcome block = Chat("\"\"\"a\nb\n\"\"\"\n");
  EXPECT_EQ(block.exit_status, 0);
  EXPECT_EQ(Chat("a\\\nb\n").out, block.out);
  EXPECT_EQ(Chat("\"\"\"\na\nb\"\"\"\n").out, block.out);
  EXPECT_NE(Chat("ab\n").out, block.out);
  const std::string file = TemporaryPath("note.txt");
  std::ofstream(file) << "text";
  EXPECT_EQ(Chat("/read " + file + "\nq\n").out,
            Chat("\"\"\"\n" + file + ":\n```\ntext\n```\n\nq\n\"\"\"\n").out);
  std::filesystem::remove(file);
}

TEST(Chat, WhatIsWrongIsSaidAndTheChatGoesOn) {
  const std::string bytes = TemporaryPath("bytes.bin");
  std::ofstream(bytes, std::ios::binary) << "\xff\xfe";
  const Outcome outcome = Chat(
      "/undo\n/regen\n/hlep\n/load /no/such/file\n/load\n/save /no/such/folder/x\n/set temp warm\n"
      "/set temp -1\n/set colour red\n/set tools on\n/stats\n/read "
      "/no/such/file\n/read " +
      bytes + "\n/read /dev/zero\n/load /\nHello\n");
  std::filesystem::remove(bytes);
  EXPECT_EQ(outcome.exit_status, 0);
  EXPECT_FALSE(outcome.out.empty());
  for (const char* part :
       {"there is nothing to take back", "there is no message to answer yet", "did you mean /help?",
        "/no/such/file", "/load needs a file's name", "cannot write /no/such/folder/x",
        "'warm' is not a number", "there is no setting 'colour'", "there are no tools",
        "there was no answer yet", "is no text in UTF-8", "/dev/zero is no file",
        "/ is a folder"}) {
    EXPECT_THAT(outcome.err, HasSubstr(part));
  }
}

TEST(Chat, AConversationLongerThanTheContextIsRefusedWithAdvice) {
  const Outcome outcome = Chat("hi\n" + std::string(300, 'x') + "\nok\n", "--ctx 96");
  EXPECT_EQ(outcome.exit_status, 0) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("the context holds 96: take back turns with /undo"));
  EXPECT_EQ(outcome.out, Chat("hi\nok\n", "--ctx 96").out) << "the message is taken back";
}

TEST(Chat, WrongUse) {
  EXPECT_EQ(Chat("", "--think maybe").exit_status, 2);
  EXPECT_EQ(Chat("", "--tool-command nothing").exit_status, 2);
  EXPECT_EQ(Chat("", "--temp -1").exit_status, 2);
  EXPECT_EQ(Chat("", "--tool-seconds 0").exit_status, 2);
  EXPECT_EQ(Chat("", "--tools --folder /no/such/folder").exit_status, 1);
  const Outcome no_template = Chat("", "--chat-template nothing");
  EXPECT_EQ(no_template.exit_status, 1);
  EXPECT_THAT(no_template.err, HasSubstr("has no chat template 'nothing'; it has none"));
  EXPECT_EQ(Chat("", "--load /no/such/file").exit_status, 1);
  const std::string broken = TemporaryPath("broken.json");
  std::ofstream(broken) << "{\"messages\": [{\"role\": \"king\"}]}";
  const Outcome loaded = Chat("", "--load '" + broken + "'");
  EXPECT_EQ(loaded.exit_status, 2);
  EXPECT_THAT(loaded.err, HasSubstr("not 'king'"));
  std::filesystem::remove(broken);
}

TEST(Chat, AModelWhoseCallsAreNotKnownGetsNoTools) {
  const std::string file = TemporaryPath("plain.jinja");
  std::ofstream(file) << "{{ messages[-1].content }}";
  const std::string options = "--chat-template '" + file + "'";
  const Outcome outcome = Chat("hi\n/set tools on\n", options + " --tools --unconfined");
  EXPECT_EQ(outcome.exit_status, 0) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("how this model calls tools is not known"));
  EXPECT_THAT(outcome.err, HasSubstr("there are no tools"));
  EXPECT_EQ(outcome.out, Chat("hi\n", options).out);
  std::filesystem::remove(file);
}

TEST(Chat, AnotherTemplate) {
  const std::string file = TemporaryPath("other.jinja");
  std::ofstream(file) << "{{ messages[-1].content }}";
  const Outcome outcome = Chat("hi\n", "--chat-template '" + file + "'");
  EXPECT_EQ(outcome.exit_status, 0) << outcome.err;
  EXPECT_NE(outcome.out, Chat("hi\n").out);
  EXPECT_THAT(outcome.err, HasSubstr("read 2 tokens"));
  std::filesystem::remove(file);
}

TEST(Chat, FitsItsBudgetWithTheCheckpoint) {
  const Outcome refused = Chat("hi\n", "--memory 1K");
  EXPECT_EQ(refused.exit_status, 1);
  std::smatch named;
  ASSERT_TRUE(std::regex_search(refused.err, named, std::regex("--memory ([0-9.]+[KMG])")));
  const Outcome fits = Chat("hi\n", "--memory " + named[1].str());
  EXPECT_EQ(fits.exit_status, 0) << fits.err;
  EXPECT_EQ(fits.out, Chat("hi\n").out);
}

// The script's model: calls tools, thinks without end.
class ScriptedChat : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = TemporaryPath("chat");
    std::filesystem::create_directories(folder_ + "/inside");
    std::ofstream(folder_ + "/inside/note.txt") << "The harbour is blue.";
    // The acceptance script wants to keep the model.
    const char* kept = std::getenv("LARDER_SCRIPTED_MODEL");
    model_ = kept != nullptr ? kept : folder_ + "/model.gguf";
    WriteScriptedModel(model_, ChatScript());
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  Outcome Talk(const std::string& input, const std::string& options = "") {
    return Chat(input, "-m '" + model_ + "' -n 200 --folder '" + folder_ + "/inside' " + options);
  }

  std::string folder_, model_;
};

TEST_F(ScriptedChat, ACallIsAskedForRunAndAnswered) {
  const Outcome yes = Talk("read the file\ny\n", "--tools");
  EXPECT_EQ(yes.exit_status, 0) << yes.err;
  EXPECT_EQ(yes.out, "Done.\n");
  EXPECT_THAT(yes.err, HasSubstr("call: read_file  note.txt"));
  EXPECT_THAT(yes.err, HasSubstr("The harbour is blue."));
  const Outcome no = Talk("read the file\nn\nHi\n", "--tools");
  EXPECT_EQ(no.out, "Done.\nHello to you.\n");
  EXPECT_THAT(no.err, testing::Not(HasSubstr("harbour")));
  EXPECT_THAT(no.err, testing::Not(HasSubstr("call: read_file  note.txt\n  {")));
  const Outcome unasked = Talk("read the file\n", "--tools --yes");
  EXPECT_EQ(unasked.out, "Done.\n");
  EXPECT_THAT(unasked.err, HasSubstr("The harbour is blue."));
  const Outcome always = Talk("read the file\na\nread the file\nHi\n", "--tools");
  EXPECT_EQ(always.out, "Done.\nDone.\nHello to you.\n");
  // The end of input is no permission.
  EXPECT_THAT(Talk("read the file\n", "--tools").err, testing::Not(HasSubstr("harbour")));
  const Outcome without = Talk("read the file\n");
  EXPECT_THAT(without.out, HasSubstr("<function=read_file>")) << "without tools it is text";
}

TEST_F(ScriptedChat, ACommandStaysInItsFolder) {
  const Outcome outcome = Talk("run it\n", "--tools --yes");
  if (outcome.err.find("bubblewrap") != std::string::npos) GTEST_SKIP() << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("here"));
  EXPECT_THAT(outcome.err, HasSubstr("exit_status"));
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/outside.txt"));
  EXPECT_EQ(outcome.out, "Done.\n");
  const Outcome free = Talk("run it\n", "--tools --yes --unconfined");
  EXPECT_TRUE(std::filesystem::exists(folder_ + "/outside.txt")) << free.err;
}

TEST_F(ScriptedChat, AThoughtIsClosedAtItsLimit) {
  const Outcome outcome = Talk("why\n/stats\n", "--think 5");
  EXPECT_EQ(outcome.out, "Because.\n") << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("hm hm hm hm hm \n"));
  EXPECT_THAT(outcome.err, testing::Not(HasSubstr("hm hm hm hm hm hm")));
  EXPECT_THAT(outcome.err, testing::Not(HasSubstr("think>")));
  EXPECT_EQ(Talk("why\n", "--think on").out, "") << "a thought alone is no answer";
  EXPECT_EQ(Talk("why\n/set think off\nwhy\n", "--think 5").out, "Because.\nHello to you.\n");
}

// Some templates open a thought whatever they are told.
TEST_F(ScriptedChat, OffMeansNoThought) {
  const Outcome outcome = Talk("ponder\n/stats\n", "--think off");
  EXPECT_EQ(outcome.out, "Because.\n") << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr(", 0 of them reasoning"));
}

TEST_F(ScriptedChat, RunThinksToo) {
  const std::string out = TemporaryPath("run.json");
  const auto run = [&](const std::string& options) {
    const std::string command = "'" LARDER_BINARY "' run -m '" + model_ +
                                "' --temp 0 --threads 1 -n 100 --json -p why " + options + " >'" +
                                out + "' 2>/dev/null";
    EXPECT_EQ(std::system(command.c_str()), 0) << command;
    return Read(out);
  };
  const std::string thought = run("--think 3");
  EXPECT_THAT(thought, HasSubstr("\"text\":\"Because.\""));
  EXPECT_THAT(thought, HasSubstr("\"reasoning\":\"hm hm hm \""));
  // The schema holds the text and leaves the thought alone.
  const std::string held = run("--think 3 --json-schema '{\"enum\": [\"ok\"]}'");
  EXPECT_THAT(held, HasSubstr("\"text\":\"\\\"ok\\\"\""));
  EXPECT_THAT(held, HasSubstr("\"reasoning\":\"hm hm hm \""));
  EXPECT_THAT(run("--chat-template tests"), HasSubstr("\"text\":\"la la la"));
  std::filesystem::remove(out);
}

}  // namespace
}  // namespace larder
