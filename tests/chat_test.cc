// `larder chat` as scripts meet it: lines on stdin, answers on stdout, notes on stderr. The model
// is random, so what it says means nothing; that it says the same after every way to the same
// conversation shows that the session's state was kept, rewound and read again exactly.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <string>
#include <vector>

#include "base/clock.h"
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

// A chat that goes on while the test does. What it says on stdout and stderr comes as one text.
class RunningChat {
 public:
  explicit RunningChat(const std::vector<std::string>& options) {
    std::vector<std::string> words = {LARDER_BINARY, "chat", "--temp",      "0",
                                      "--threads",   "1",    "--no-history"};
    words.insert(words.end(), options.begin(), options.end());
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    std::array<int, 2> in = {}, out = {};
    EXPECT_EQ(pipe2(in.data(), O_CLOEXEC), 0);
    EXPECT_EQ(pipe2(out.data(), O_CLOEXEC), 0);
    pid_ = fork();
    if (pid_ == 0) {
      dup2(in[0], STDIN_FILENO);
      dup2(out[1], STDOUT_FILENO);
      dup2(out[1], STDERR_FILENO);
      execv(arguments[0], arguments.data());
      _exit(127);
    }
    close(in[0]);
    close(out[1]);
    in_ = in[1];
    out_ = out[0];
  }
  ~RunningChat() {
    if (pid_ > 0) {
      kill(pid_, SIGKILL);
      waitpid(pid_, nullptr, 0);
    }
    if (in_ >= 0) close(in_);
    close(out_);
  }
  RunningChat(const RunningChat&) = delete;
  RunningChat& operator=(const RunningChat&) = delete;

  void Type(const std::string& line) const {
    EXPECT_EQ(write(in_, line.data(), line.size()), static_cast<ssize_t>(line.size()));
  }
  void PressCtrlC() const { kill(pid_, SIGINT); }
  /// Until it has said this, behind what was waited for before.
  bool WaitFor(const std::string& text) {
    const std::int64_t start_us = NowUs();
    std::array<char, 4096> bytes = {};
    for (;;) {
      const std::size_t found = said_.find(text, n_seen_);
      if (found != std::string::npos) {
        n_seen_ = found + text.size();
        return true;
      }
      pollfd waited = {.fd = out_, .events = POLLIN, .revents = 0};
      if (SecondsSince(start_us) > 60) return false;
      if (poll(&waited, 1, 200) <= 0) continue;
      const ssize_t n = read(out_, bytes.data(), bytes.size());
      if (n <= 0) return false;
      said_.append(bytes.data(), static_cast<std::size_t>(n));
    }
  }
  const std::string& said() const { return said_; }
  /// The exit status after the end of its input.
  int End() {
    close(in_);
    in_ = -1;
    int status = 0;
    waitpid(pid_, &status, 0);
    pid_ = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

 private:
  pid_t pid_ = 0;
  int in_ = -1;
  int out_ = -1;
  std::string said_;
  std::size_t n_seen_ = 0;
};

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

TEST(Chat, ASavedChatGoesThroughLinksAndIsItsOwnersAlone) {
  const std::string file = TemporaryPath("saved.json");
  const std::string link = TemporaryPath("link.json");
  const std::string pipe = TemporaryPath("pipe");
  std::filesystem::create_symlink(file, link);
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  const Outcome dangling = Chat("/save " + link + "\n");
  EXPECT_THAT(dangling.err, HasSubstr("is a link that leads nowhere"));
  EXPECT_THAT(Chat("hi\n/save " + file + "\n").err, HasSubstr("saved 2 messages"));
  using std::filesystem::perms;
  EXPECT_EQ(std::filesystem::status(file).permissions(), perms::owner_read | perms::owner_write);
  std::filesystem::permissions(file, perms::owner_read | perms::owner_write | perms::group_read);
  const Outcome saved = Chat("hi\nho\n/save " + link + "\n/save " + pipe + "\n/save /\n");
  EXPECT_THAT(saved.err, HasSubstr("saved 4 messages"));
  EXPECT_THAT(saved.err, HasSubstr(pipe + " is no file to write to"));
  EXPECT_THAT(saved.err, HasSubstr("/ is no file to write to"));
  EXPECT_TRUE(std::filesystem::is_symlink(link));
  EXPECT_TRUE(std::filesystem::is_fifo(pipe));
  EXPECT_THAT(Read(file), HasSubstr("\"ho\""));
  EXPECT_EQ(std::filesystem::status(file).permissions(),
            perms::owner_read | perms::owner_write | perms::group_read);
  for (const std::string& path : {file, link, pipe}) std::filesystem::remove(path);
}

// Each answer has a seed of its own, which does not depend on how the chat came to be.
TEST(Chat, ALoadedChatDrawsAsOneThatWentOn) {
  const std::string file = TemporaryPath("drawn.json");
  const std::string draw = "/set temp 2\n/set top-k 0\n/set top-p 1\n";
  const Outcome whole = Chat(draw + "hi\n/save " + file + "\nho\n");
  const Outcome later = Chat(draw + "ho\n", "--load '" + file + "'");
  ASSERT_GT(later.out.size(), 1U) << later.err;
  EXPECT_THAT(whole.out, EndsWith(later.out));
  EXPECT_NE(later.out, Chat("ho\n", "--load '" + file + "'").out) << "it is drawn";
  std::filesystem::remove(file);
}

TEST(Chat, AnAnswerThatCannotBeGivenAgainStays) {
  const Outcome outcome =
      Chat("hi\n/set max 1\n/system " + std::string(300, 'x') + "\n/regen\n/system\n/undo\n",
           "--ctx 96");
  EXPECT_THAT(outcome.err, HasSubstr("the answer before it stays"));
  EXPECT_THAT(outcome.err, HasSubstr("taken back; 0 messages are left"));
}

TEST(Chat, AConversationLongerThanTheContextIsRefusedWithAdvice) {
  const Outcome outcome = Chat("hi\n" + std::string(300, 'x') + "\nok\n", "--ctx 96");
  EXPECT_EQ(outcome.exit_status, 1) << "a script hears of it";
  EXPECT_THAT(outcome.err, HasSubstr("the context holds 96: take back turns with /undo"));
  EXPECT_EQ(outcome.out, Chat("hi\nok\n", "--ctx 96").out) << "the message is taken back";
}

TEST(Chat, WhatIsNoUtf8IsRefusedInOneSentence) {
  const Outcome outcome = Chat("caf\xff\nHello\n");
  EXPECT_EQ(outcome.exit_status, 1) << "a script hears of it";
  EXPECT_THAT(outcome.err,
              HasSubstr("larder: this message is no text in UTF-8 (byte 4 is 0xff); convert it"));
  EXPECT_EQ(outcome.out, Chat("Hello\n").out);
  const Outcome system = Chat("", "--system 'caf\xff'");
  EXPECT_EQ(system.exit_status, 2);
  EXPECT_THAT(system.err, HasSubstr("the system message is no text in UTF-8"));
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
  // The end of input is no permission, nor is another word that begins like one.
  const Outcome other = Talk("read the file\nabort\nread the file\nyou may not\n", "--tools");
  EXPECT_THAT(other.err, testing::Not(HasSubstr("harbour")));
  EXPECT_THAT(other.err, HasSubstr("that is neither y, n nor a: it is not run"));
  EXPECT_THAT(Talk("read the file\n Yes\n", "--tools").err, testing::Not(HasSubstr("harbour")));
  EXPECT_THAT(Talk("read the file\nYES\n", "--tools").err, HasSubstr("harbour"));
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

TEST_F(ScriptedChat, CtrlCStopsACommandAndTheModelIsTold) {
  RunningChat chat({"-m", model_, "-n", "200", "--folder", folder_ + "/inside", "--tools", "--yes",
                    "--unconfined"});
  chat.Type("wait\n");
  ASSERT_TRUE(chat.WaitFor("call: run_command")) << chat.said();
  pid_t command = 0;
  for (int i = 0; i < 600 && command == 0; ++i) {
    std::ifstream(folder_ + "/inside/pid.txt") >> command;
    usleep(50000);
  }
  ASSERT_GT(command, 0);
  EXPECT_EQ(kill(command, 0), 0);
  chat.PressCtrlC();
  EXPECT_TRUE(chat.WaitFor("\"output\":\"begun\\n\",\"error\":\"the user stopped it\""))
      << chat.said();
  EXPECT_TRUE(chat.WaitFor("the command is stopped, and the model is told")) << chat.said();
  EXPECT_TRUE(chat.WaitFor("As you wish.")) << chat.said();
  EXPECT_EQ(kill(command, 0), -1);
  EXPECT_EQ(errno, ESRCH);
  EXPECT_THAT(chat.said(), testing::Not(HasSubstr("harbour"))) << "the call behind it is not run";
  chat.Type("Hi\n");
  EXPECT_TRUE(chat.WaitFor("Hello to you.")) << chat.said();
  EXPECT_EQ(chat.End(), 0);
}

// Some templates open a thought whatever they are told.
TEST_F(ScriptedChat, OffMeansNoThought) {
  const Outcome outcome = Talk("ponder\n/stats\n", "--think off");
  EXPECT_EQ(outcome.out, "Because.\n") << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr(", 0 of them reasoning"));
}

// What `larder run` says to "why", as JSON.
std::string RunWhy(const std::string& model, const std::string& options, int exit_status = 0) {
  const std::string out = TemporaryPath("run.json");
  const std::string command = "'" LARDER_BINARY "' run -m '" + model +
                              "' --temp 0 --threads 1 -n 100 --json -p why " + options + " >'" +
                              out + "' 2>&1";
  const int status = std::system(command.c_str());
  EXPECT_EQ(WIFEXITED(status) ? WEXITSTATUS(status) : -1, exit_status) << command << Read(out);
  const std::string said = Read(out);
  std::filesystem::remove(out);
  return said;
}

TEST_F(ScriptedChat, RunThinksToo) {
  const std::string thought = RunWhy(model_, "--think 3");
  EXPECT_THAT(thought, HasSubstr("\"text\":\"Because.\""));
  EXPECT_THAT(thought, HasSubstr("\"reasoning\":\"hm hm hm \""));
  // The schema holds the text and leaves the thought alone.
  const std::string held = RunWhy(model_, "--think 3 --json-schema '{\"enum\": [\"ok\"]}'");
  EXPECT_THAT(held, HasSubstr("\"text\":\"\\\"ok\\\"\""));
  EXPECT_THAT(held, HasSubstr("\"reasoning\":\"hm hm hm \""));
  EXPECT_THAT(RunWhy(model_, "--chat-template tests"), HasSubstr("\"text\":\"la la la"));
}

TEST_F(ScriptedChat, SchemasAsTextOrFile) {
  EXPECT_THAT(RunWhy(model_, "--json-schema false", 2), HasSubstr("no JSON text satisfies"));
  EXPECT_THAT(RunWhy(model_, "--json-schema ' {\"const\": 7}'"), HasSubstr("\"text\":\"7\""));
  EXPECT_THAT(RunWhy(model_, "--json-schema true", 1), HasSubstr("cut off"));
  EXPECT_THAT(RunWhy(model_, "--json-schema ''", 2), HasSubstr("must be a file or the JSON text"));
  EXPECT_THAT(RunWhy(model_, "--json-schema /", 2), HasSubstr("the schema / is a folder"));
  EXPECT_THAT(RunWhy(model_, "--json-schema /no/such", 1), HasSubstr("cannot open the schema"));
  EXPECT_THAT(RunWhy(model_, "--system 'caf\xff'", 2), HasSubstr("no text in UTF-8 (byte 4"));
}

// gpt-oss's way: thoughts, calls and answers are channels.
TEST_F(ScriptedChat, Harmony) {
  std::filesystem::remove(model_);
  WriteScriptedModel(model_, HarmonyScript());
  const Outcome limited = Talk("why\n", "--think 5");
  EXPECT_EQ(limited.out, "Because.\n") << limited.err;
  EXPECT_THAT(limited.err, HasSubstr("hm hm hm hm hm \n"));
  EXPECT_THAT(limited.err, testing::Not(HasSubstr("hm hm hm hm hm hm")));
  EXPECT_THAT(limited.err + limited.out, testing::Not(HasSubstr("<|")));
  const Outcome off = Talk("why\n");
  EXPECT_EQ(off.out, "Because.\n") << off.err;
  EXPECT_THAT(off.err, testing::Not(HasSubstr("hm ")));
  const Outcome call = Talk("read the file\ny\n", "--tools --think 5");
  EXPECT_EQ(call.out, "Done.\n") << call.err;
  EXPECT_THAT(call.err, HasSubstr("call: read_file  note.txt"));
  EXPECT_THAT(call.err, HasSubstr("The harbour is blue."));
  EXPECT_THAT(RunWhy(model_, "--json-schema '{\"enum\": [\"ok\"]}'"),
              HasSubstr("\"text\":\"\\\"ok\\\"\""));
}

}  // namespace
}  // namespace larder
