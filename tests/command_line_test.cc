// The program as a user meets it: exit statuses, one sentence per error, what goes to stdout and
// what to stderr. Runs the binary.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "helpers/program.h"
#include "helpers/tiny_model.h"

namespace larder {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

const std::string kModel = LARDER_SOURCE_DIR "/tests/golden/models/r4-s32-f32.gguf";

TEST(CommandLine, VersionAndHelp) {
  const Outcome version = Larder("--version");
  EXPECT_EQ(version.exit_status, 0);
  EXPECT_THAT(version.out, testing::ContainsRegex("larder [0-9.]+ \\(commit [0-9a-z]+, .*reader "));
  for (const char* command : {"run", "inspect", "plan", "chat", "bench", "logits", "tokenize",
                              "detokenize", "quantize", "synth", "eval", "perplexity", "tune"}) {
    EXPECT_THAT(Larder("--help").out, HasSubstr(command));
    const Outcome help = Larder(std::string(command) + " --help");
    EXPECT_EQ(help.exit_status, 0) << command;
    EXPECT_THAT(help.out, HasSubstr(std::string("larder ") + command));
    EXPECT_THAT(help.out, HasSubstr("Examples:"));
  }
}

TEST(CommandLine, WrongUseIsTwo) {
  ExpectError(Larder("rnu"), 2, "did you mean 'run'?");
  ExpectError(Larder("run --memroy 8G -p x"), 2, "did you mean '--memory'?");
  ExpectError(Larder("run"), 2, "-p TEXT");
  ExpectError(Larder("run -m x -p y --memory lots"), 2, "'lots' is not a size");
  ExpectError(Larder("run -m x -p y --io sideways"), 2, "sideways");
  ExpectError(Larder("run -m x -p y -n 0"), 2, "--n-tokens must be at least 1");
  ExpectError(Larder("run -m x -p y -n many"), 2, "many");
  ExpectError(Larder("run -p"), 2, "");
  ExpectError(Larder("logits -m x"), 2, "--tokens");
  ExpectError(Larder("logits -m x --tokens 1 --json --npy y"), 2, "one of");
  ExpectError(Larder("logits -m '" + kModel + "' --tokens 1,x --json"), 2, "'x'");
  ExpectError(Larder("tokenize -m x"), 2, "TEXT");
  ExpectError(Larder("quantize a.gguf"), 2, "output");
  ExpectError(Larder("quantize a b --experts Q9 --dense Q8_0"), 2, "Q9");
  ExpectError(Larder("quantize a b --experts IQ2_XS --dense Q8_0"), 2,
              "IQ2_XS can be read but not written");
  ExpectError(Larder("synth --shape qwen3.5-1t -o x"), 2, "qwen3.5-35b-a3b");
  ExpectError(Larder("bench -m x -o xml"), 2, "jsonl");
  ExpectError(Larder("inspect a b"), 2, "'b'");
  EXPECT_EQ(Larder("").exit_status, 2);
  ExpectError(Larder("inspect"), 2, "GGUF file");
}

TEST(CommandLine, WrongUseIsKnownBeforeAnythingIsLoaded) {
  for (const char* option : {"--ctx", "--threads", "--batch", "--experts"}) {
    ExpectError(Larder("run -m x -p y " + std::string(option) + " 0"), 2,
                std::string(option) + " must be at least 1");
  }
  for (const char* command :
       {"run -m x -p y", "bench -m x", "perplexity -m x", "eval x -m x", "serve -m x",
        "logits -m x --tokens 1 --json", "chat -m x", "plan --shape qwen3.5-35b-a3b",
        "synth --shape qwen3.5-35b-a3b -o x", "quantize a b --experts Q4_K --dense Q8_0"}) {
    ExpectError(Larder(command + std::string(" --threads 40000")), 2,
                "--threads must be at most 1024, not 40000");
  }
  ExpectError(Larder("synth --shape qwen3.5-35b-a3b -o x --layers 0"), 2, "--layers must be");
  ExpectError(Larder("run -m x -p y -n 99999999999999999999"), 2, "too large");
  ExpectError(Larder("run -m x -p y --seed -1"), 2, "--seed must be");
  ExpectError(Larder("run -m x -p y --temp -1"), 2, "temperature");
  ExpectError(Larder("run -m x -p y --repeat-penalty 0"), 2, "repeat penalty");
  ExpectError(Larder("run -m x -p y --logit-bias 5"), 2, "\"5\" is no logit bias");
  ExpectError(Larder("run -m x -p y --logit-bias 5=1e"), 2, "no logit bias");
  ExpectError(Larder("run -m x -p y --logit-bias 99999999999=1"), 2, "no logit bias");
  ExpectError(Larder("run -m x -p y --logprobs 2"), 2, "--json");
  ExpectError(Larder("run -m x --raw -p ''"), 2, "prompt is empty");
  ExpectError(Larder("bench -m x --workload none"), 2, "none");
  ExpectError(Larder("bench -m x --compare y --pairs 2"), 2, "--compare");
  ExpectError(Larder("bench -m x --report /nowhere/a.md"), 2, "no folder for the output");
  ExpectError(Larder("bench -m x --timeline '" + kModel + "'"), 2, "is a model");
  ExpectError(Larder("bench -m x --report a --timeline ./a"), 2, "the same file");
  ExpectError(Larder("logits -m x --json --tokens 1,,2"), 2, "comma");
  ExpectError(Larder("run -m x -p y --reads often"), 2, "often");
  ExpectError(Larder("run -m x -p y --profile mine"), 2, "mine");
  ExpectError(Larder("logits -m '" + kModel + "' --tokens 1 --json --cache-half-life 0.5"), 2,
              "--cache-half-life must be from 1");
  ExpectError(Larder("tune -m x --minutes -1"), 2, "--minutes");
  ExpectError(Larder("tune -m x -p 0 -n 0"), 2, "nothing to measure");
  ExpectError(Larder("tune -m x --memory lots"), 2, "'lots' is not a size");
  ExpectError(Larder("quantize a b --experts Q4K --dense Q8_0"), 2, "did you mean 'Q4_K'?");
  EXPECT_THAT(Larder("run -m x -p y --memory 900000G").err, HasSubstr("of this machine"));
}

TEST(CommandLine, FailureIsOne) {
  ExpectError(Larder("inspect /nowhere.gguf"), 1, "/nowhere.gguf");
  ExpectError(Larder("inspect /"), 2, "directory");
  ExpectError(Larder("tune -m /nowhere.gguf"), 1, "/nowhere.gguf");
  ExpectError(Larder("bench -m x --trace /nowhere.csv"), 1, "/nowhere.csv");
  ExpectError(Larder("bench -m x --tokens /nowhere.txt"), 1, "/nowhere.txt");
  ExpectError(Larder("bench -m x --compare /nowhere.json"), 1, "/nowhere.json");
  ExpectError(Larder("tune -m '" + kModel + "' --memory 1M"), 1, "--memory");
  const std::string not_gguf = TemporaryPath("not.gguf");
  std::ofstream(not_gguf) << "hello, this is no model at all";
  ExpectError(Larder("run -p x -m '" + not_gguf + "'"), 1, "GGUF");
  ExpectError(Larder("eval '" + not_gguf + "'"), 1, "line 1");
  ExpectError(Larder("bench -m x --compare '" + not_gguf + "'"), 1, "bench -o json");
  std::remove(not_gguf.c_str());
  ExpectError(Larder("run -p x -m '" + kModel + "' --memory 1M"), 1, "--memory");
}

TEST(CommandLine, TheNamedSmallestBudgetWorks) {
  const Outcome inspected = Larder("inspect --json '" + kModel + "'");
  ASSERT_EQ(inspected.exit_status, 0) << inspected.err;
  const auto json = nlohmann::json::parse(inspected.out);
  const std::string budget = json.at("smallest_budget");
  const std::string words = "run -m '" + kModel + "' --raw -p hello -n 3 --memory ";
  EXPECT_EQ(Larder(words + budget).exit_status, 0);
  const std::uint64_t bytes = json.at("smallest_budget_bytes");
  const Outcome refused = Larder(words + std::to_string(bytes / 2));
  EXPECT_EQ(refused.exit_status, 1);
  const std::size_t flag = refused.err.find("--memory ");
  ASSERT_NE(flag, std::string::npos) << refused.err;
  const std::string named = refused.err.substr(flag + 9, refused.err.find('\n', flag) - flag - 9);
  for (int i = 0; i < 5; ++i) {
    const Outcome pasted = Larder(words + named);
    EXPECT_EQ(pasted.exit_status, 0) << pasted.err;
  }
}

TEST(CommandLine, TokensOutOfRangeAndFullContext) {
  const std::string model = " -m '" + kModel + "' ";
  ExpectError(Larder("logits --json --tokens 1,288" + model), 2, "288");
  ExpectError(Larder("detokenize 288" + model), 2, "288");
  ExpectError(Larder("run --raw --ctx 4 -p 'a b c d e f g h i j'" + model), 2, "4");
  const Outcome full = Larder("run --raw --ignore-eos --ctx 8 -n 100 -p hi" + model);
  EXPECT_EQ(full.exit_status, 1);
  EXPECT_THAT(full.err, HasSubstr("context of 8 positions is full"));
}

TEST(CommandLine, TextGoesThereAndBack) {
  const std::string model = " -m '" + kModel + "' ";
  const Outcome ids = Larder("tokenize 'Hello, world'" + model);
  ASSERT_EQ(ids.exit_status, 0) << ids.err;
  std::string list = ids.out;
  list.pop_back();
  EXPECT_EQ(Larder("detokenize " + list + model).out, "Hello, world");
  EXPECT_EQ(Larder("tokenize -" + model, "printf 'Hello, world' |").out, ids.out);
  EXPECT_EQ(Larder("detokenize -" + model, "echo " + list + " |").out, "Hello, world");
}

TEST(CommandLine, RunSeparatesAnswerAndRest) {
  const std::string words = "run -m '" + kModel + "' --raw --temp 0 --ignore-eos -n 6 -p hello ";
  const Outcome text = Larder(words + "--timing");
  ASSERT_EQ(text.exit_status, 0) << text.err;
  EXPECT_THAT(text.err, HasSubstr("expert slots"));
  EXPECT_THAT(text.err, HasSubstr("tokens/s"));
  const Outcome json_run = Larder(words + "--json");
  ASSERT_EQ(json_run.exit_status, 0) << json_run.err;
  const auto json = nlohmann::json::parse(json_run.out);
  EXPECT_EQ(json.at("tokens").size(), 6u);
  EXPECT_EQ(json.at("stop"), "length");
  EXPECT_EQ(json.at("timings").at("answer").at("n_tokens"), 6);
  EXPECT_FALSE(json.contains("logprobs"));
  // The model's own first token is forbidden, another one forced.
  const std::int64_t first = json.at("tokens").at(0);
  const Outcome biased = Larder(words + "--json --logprobs 2 --logit-bias 64=1e6 --logit-bias " +
                                std::to_string(first) + "=-inf");
  ASSERT_EQ(biased.exit_status, 0) << biased.err;
  const auto biased_json = nlohmann::json::parse(biased.out);
  EXPECT_EQ(biased_json.at("tokens"), nlohmann::json(std::vector<int>(6, 64)));
  const auto& place = biased_json.at("logprobs").at(0);
  EXPECT_EQ(biased_json.at("logprobs").size(), 6u);
  EXPECT_EQ(place.at("token"), 64);
  EXPECT_EQ(place.at("text"), "a");
  EXPECT_EQ(place.at("top").size(), 2u);
  EXPECT_EQ(place.at("top").at(0).at("token"), first);  // what the model itself would have said
  EXPECT_GE(place.at("top").at(0).at("logprob"), place.at("logprob"));
  ExpectError(Larder(words + "--logit-bias 288=1"), 2, "ids 0 to 287");
}

TEST(CommandLine, FewerExpertsAreSaidEveryTime) {
  const std::string words = "run -m '" + kModel + "' --raw -n 2 -p hello ";
  EXPECT_THAT(Larder(words + "--experts 1").err, HasSubstr("not the model's own"));
  EXPECT_THAT(Larder(words + "--experts 2").err, testing::Not(HasSubstr("not the model's own")));
  EXPECT_EQ(Larder(words + "--experts 99").exit_status, 2);
}

TEST(CommandLine, LogitsAreTheSameInBothForms) {
  const std::string npy = TemporaryPath("logits.npy");
  const std::string words = "logits -m '" + kModel + "' --tokens 5,6,7 ";
  ASSERT_EQ(Larder(words + "--npy '" + npy + "'").exit_status, 0);
  const std::string bytes = ReadAndRemove(npy);
  const auto json = nlohmann::json::parse(Larder(words + "--json").out);
  const std::size_t n_vocab = json.at("n_vocab");
  const std::size_t data_bytes = 3 * n_vocab * sizeof(float);
  ASSERT_GT(bytes.size(), data_bytes);
  EXPECT_THAT(bytes, StartsWith("\x93NUMPY"));
  EXPECT_EQ((bytes.size() - data_bytes) % 64, 0u);
  EXPECT_THAT(bytes, HasSubstr("(3, " + std::to_string(n_vocab) + ")"));
  const auto* values = reinterpret_cast<const float*>(bytes.data() + bytes.size() - data_bytes);
  for (std::size_t i = 0; i < 3 * n_vocab; ++i) {
    const float expected = json.at("logits")[i / n_vocab][i % n_vocab];
    ASSERT_EQ(values[i], expected) << i;
  }
}

TEST(CommandLine, QuantizedModelsRun) {
  const std::string output = TemporaryPath("quantized.gguf");
  const std::string words = "quantize '" + kModel + "' '" + output + "' ";
  ExpectError(Larder("quantize '" + kModel + "' '" + kModel + "' --experts Q8_0 --dense Q8_0"), 2,
              "is the input");
  ASSERT_EQ(Larder(words + "--experts Q4_0 --dense Q8_0").exit_status, 0);
  const auto json = nlohmann::json::parse(Larder("inspect --json '" + output + "'").out);
  for (const auto& group : json.at("groups")) {
    if (group.at("group") == "experts") {
      EXPECT_EQ(group.at("type"), "Q4_0");
    }
    if (group.at("group") == "router") {
      EXPECT_EQ(group.at("type"), "F32");
    }
    if (group.at("group") == "output matrix") {
      EXPECT_EQ(group.at("type"), "Q8_0");
    }
  }
  EXPECT_EQ(Larder("run --raw -n 4 -p hello -m '" + output + "'").exit_status, 0);
  std::remove(output.c_str());
}

TEST(CommandLine, HelpNamesEachCommandsOwnContext) {
  EXPECT_THAT(Larder("bench --help").out, HasSubstr("what the longest test"));
  EXPECT_THAT(Larder("perplexity --help").out, HasSubstr("default: 512"));
}

TEST(CommandLine, CtrlCEndsWith130) {
  // Few slots and a slow disk make the answer last; `timeout` sends the signal while it is made.
  // `run` itself names the budget: under sanitizers it is larger than `inspect` is.
  const std::string refusal = Larder("run -p x --memory 1K -m '" + kModel + "'").err;
  const std::string budget = refusal.substr(refusal.find("--memory ") + 9);
  const Outcome outcome = Larder("run --raw --ignore-eos -n 4000 -p hello --io-throttle 2M -m '" +
                                     kModel + "' --memory " + budget.substr(0, budget.find('\n')),
                                 "timeout --foreground --preserve-status -s INT 3");
  EXPECT_EQ(outcome.exit_status, 130) << outcome.err;
}

TEST(CommandLine, AFullStdoutIsAFailure) {
  if (!std::filesystem::exists("/dev/full")) GTEST_SKIP() << "no /dev/full";
  const std::string command = std::string("'") + LARDER_BINARY + "' --version >/dev/full 2>&1";
  EXPECT_EQ(WEXITSTATUS(std::system(command.c_str())), 1);
}

TEST(CommandLine, ALostAnswerIsAFailureAndLostNotesAreNot) {
  const std::string run =
      "'" LARDER_BINARY "' run -m '" + kModel + "' --raw --ignore-eos -p hi -n 3 ";
  const auto exit_status = [&run](const std::string& redirection) {
    return WEXITSTATUS(std::system((run + redirection).c_str()));
  };
  EXPECT_EQ(exit_status(">&- 2>/dev/null"), 1);
  EXPECT_EQ(exit_status(">/dev/null 2>&-"), 0);
  if (!std::filesystem::exists("/dev/full")) GTEST_SKIP() << "no /dev/full";
  EXPECT_EQ(exit_status(">/dev/full 2>/dev/null"), 1);
  EXPECT_EQ(exit_status("--timing >/dev/null 2>/dev/full"), 0);
}

TEST(CommandLine, AnOutputThatIsNoFileIsLeftAlone) {
  const std::string pipe = TemporaryPath("pipe");
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  const std::string model = "'" + kModel + "'";
  ExpectError(Larder("quantize " + model + " '" + pipe + "' --experts Q8_0 --dense Q8_0"), 2,
              "not a regular file");
  ExpectError(Larder("logits --tokens 1 -m " + model + " --npy '" + pipe + "'"), 2,
              "not a regular file");
  EXPECT_TRUE(std::filesystem::is_fifo(pipe));
  std::remove(pipe.c_str());
}

TEST(CommandLine, AnInputIsNotWrittenOver) {
  const std::string model = TemporaryPath("kept.gguf");
  const std::string link = TemporaryPath("link.npy");
  const std::string ids = TemporaryPath("kept-ids.txt");
  std::filesystem::copy_file(kModel, model);
  std::filesystem::create_symlink(model, link);
  std::ofstream(ids) << "1,2";
  const std::string logits = "logits -m '" + model + "' --tokens '@" + ids + "' --npy ";
  ExpectError(Larder(logits + "'" + model + "'"), 2, "is a model");
  ExpectError(Larder(logits + "'" + link + "'"), 2, "is a model");
  ExpectError(Larder(logits + "'" + ids + "'"), 2, "is an input");
  ExpectError(Larder("run -p x -n 1 -m '" + model + "' --trace-routing '" + model + "'"), 2,
              "is a model");
  EXPECT_EQ(ReadAndRemove(ids), "1,2");
  EXPECT_EQ(std::filesystem::file_size(model), std::filesystem::file_size(kModel));
  std::remove(link.c_str());
  std::remove(model.c_str());
}

TEST(CommandLine, SigtermRemovesTheUnfinishedFile) {
  const std::string output = TemporaryPath("stopped.gguf");
  // In the foreground `timeout` signals once; a second signal would end the program at once.
  const Outcome outcome = Larder("synth --shape qwen3.5-35b-a3b --layers 1 -o '" + output + "'",
                                 "timeout --foreground --preserve-status -s TERM 0.3");
  const bool no_room = outcome.err.find(" free") != std::string::npos;
  if (outcome.exit_status == 0 || no_room) {
    std::remove(output.c_str());
    GTEST_SKIP() << "the disk is too fast or too small";
  }
  EXPECT_EQ(outcome.exit_status, 143) << outcome.err;
  EXPECT_FALSE(std::filesystem::exists(output + ".tmp"));
}

}  // namespace
}  // namespace larder
