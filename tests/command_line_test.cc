// The program as a user meets it: exit statuses, one sentence per error, what goes to stdout and
// what to stderr. Runs the binary.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>

#include "cli/engine_profile.h"
#include "cli/machine_figures.h"
#include "cli/machine_info.h"
#include "cli/tune_log.h"
#include "helpers/tiny_model.h"

namespace larder {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

struct Outcome {
  int exit_status = -1;
  std::string out;
  std::string err;
};

std::string ReadAndRemove(const std::string& path) {
  std::string text;
  {
    std::ifstream in(path, std::ios::binary);
    text.assign(std::istreambuf_iterator<char>(in), {});
  }
  std::remove(path.c_str());
  return text;
}

// `words` are those behind "larder", quoted for the shell where they need it.
Outcome Larder(const std::string& words, const std::string& before = "") {
  const std::string out = TemporaryPath("out.txt");
  const std::string err = TemporaryPath("err.txt");
  const std::string command =
      before + " '" LARDER_BINARY "' " + words + " >'" + out + "' 2>'" + err + "'";
  const int status = std::system(command.c_str());
  Outcome outcome;
  outcome.exit_status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  outcome.out = ReadAndRemove(out);
  outcome.err = ReadAndRemove(err);
  return outcome;
}

const std::string kModel = LARDER_SOURCE_DIR "/tests/golden/models/r4-s32-f32.gguf";

// One sentence on stderr that begins with "larder: " and holds `part`; nothing on stdout.
void ExpectError(const Outcome& outcome, int exit_status, const std::string& part) {
  EXPECT_EQ(outcome.exit_status, exit_status) << outcome.err;
  EXPECT_EQ(outcome.out, "");
  EXPECT_THAT(outcome.err, HasSubstr(part));
  const std::size_t last_line = outcome.err.rfind('\n', outcome.err.size() - 2);
  const std::size_t begin = last_line == std::string::npos ? 0 : last_line + 1;
  EXPECT_THAT(outcome.err.substr(begin), StartsWith("larder: "));
}

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

// A machine that needs no measuring, with `more` members.
std::string MachineFile(const std::string& more = "") {
  const std::string path = TemporaryPath("machine.json");
  std::ofstream(path) << R"({"disk_bytes_per_second": 1e9, "memory_bytes_per_second": 1e10)" << more
                      << "}";
  return path;
}

TEST(CommandLine, PlansKeepWhatTheirTestsNeed) {
  const std::string path = MachineFile();
  const auto context = [&path](const std::string& words) {
    const Outcome outcome = Larder(
        "plan --shape qwen3.5-35b-a3b --types Q4_K --memory 8G --json "
        "--machine '" +
        path + "' " + words);
    EXPECT_EQ(outcome.exit_status, 0) << outcome.err;
    return nlohmann::json::parse(outcome.out);
  };
  const nlohmann::json usual = context("");
  EXPECT_EQ(usual["context_tokens"], 4096);
  const nlohmann::json deep = context("-d 100000 -p 2000");
  EXPECT_EQ(deep["context_tokens"], 102000);
  EXPECT_GT(deep["types"][0]["smallest_budget_bytes"], usual["types"][0]["smallest_budget_bytes"]);
  const nlohmann::json end = context("-d 262143");
  EXPECT_EQ(end["context_tokens"], 262144);
  EXPECT_EQ(end["prompt_tokens"], 1);
  const nlohmann::json given = context("--ctx 256");
  EXPECT_EQ(given["context_tokens"], 256);
  EXPECT_EQ(given["prompt_tokens"], 256);
  const std::string plan = "plan --shape qwen3.5-35b-a3b --machine '" + path + "' ";
  ExpectError(Larder(plan + "-d 99999999999"), 2,
              "-d 99999999999 leaves no place in the 262144 positions this model was made for");
  ExpectError(Larder(plan + "-d 262000 -p 512"), 2,
              "-p 512 after -d 262000 is more than the 262144");
  ExpectError(Larder(plan + "-p 9223372036854775807"), 2, "is more than the 262144");
  ExpectError(Larder(plan + "--ctx 300000"), 2, "--ctx 300000 is more than the 262144");
  ExpectError(Larder(plan + "--ctx 4096 -d 4096"), 2, "-d 4096 leaves no place in --ctx 4096");
  ExpectError(Larder(plan + "--ctx 1024 -d 1000 -p 512"), 2, "is more than --ctx 1024");
  std::remove(path.c_str());
}

TEST(CommandLine, PlansNeedRoomForWhatIsNotThere) {
  const std::string path = MachineFile(R"(, "disk_free_bytes": 1, "memory_bytes": 4e9)");
  const Outcome outcome =
      Larder("plan -m '" + kModel + "' --types Q8_0 --json --machine '" + path + "'");
  ASSERT_EQ(outcome.exit_status, 0) << outcome.err;
  const nlohmann::json json = nlohmann::json::parse(outcome.out);
  ASSERT_EQ(json["types"].size(), 2u);
  EXPECT_EQ(json["types"][0]["fits_disk"], true);
  EXPECT_EQ(json["types"][1]["fits_disk"], false);
  std::remove(path.c_str());
}

TEST(CommandLine, QuickFiguresAreNotKept) {
  const std::string folder = TemporaryPath("cache");
  std::filesystem::create_directories(folder + "/larder");
  const std::string file =
      std::filesystem::path(MachineFilePath(CpuName(), DiskName("."), 1)).filename();
  const std::string kept = R"({"disk_bytes_per_second": 1e9, "memory_bytes_per_second": 1e10,
      "state_bytes_per_second": 1e10, "products": [{"type": "Q4_K", "bytes_per_second": 1e10,
      "multiply_adds_per_second": 1e11}]})";
  std::ofstream(folder + "/larder/" + file) << kept;
  const Outcome outcome =
      Larder("plan --shape qwen3.5-35b-a3b --types Q4_K --memory 8G --threads 1 --quick --disk .",
             "XDG_CACHE_HOME='" + folder + "'");
  EXPECT_EQ(outcome.exit_status, 0) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("products with Q8_0"));
  EXPECT_THAT(outcome.out, HasSubstr("what was missing measured now, quickly"));
  EXPECT_EQ(ReadAndRemove(folder + "/larder/" + file), kept);
  std::filesystem::remove_all(folder);
}

TEST(CommandLine, PlansEndLikeOtherCommands) {
  const std::string good = MachineFile();
  const std::string plan = "plan --shape qwen3.5-35b-a3b --machine '" + good + "' ";
  ExpectError(Larder("plan"), 2, "one of -m FILE");
  ExpectError(Larder(plan + "--memory lots"), 2, "'lots' is not a size");
  ExpectError(Larder(plan + "--memory ,"), 2, "names no size");
  ExpectError(Larder(plan + "--memory 4G,0"), 2, "--memory 0 is no memory");
  ExpectError(Larder(plan), 2, "give --memory SIZE");
  ExpectError(Larder(plan + "--types Q9"), 2, "Q9");
  ExpectError(Larder(plan + "--workload none"), 2, "none");
  ExpectError(Larder(plan + "--lookahead never"), 2, "never");
  ExpectError(Larder(plan + "--quick"), 2, "--machine measures nothing");
  ExpectError(Larder("plan -m /nowhere.gguf --machine '" + good + "'"), 1, "/nowhere.gguf");
  ExpectError(Larder("plan --config /nowhere.json"), 1, "/nowhere.json");
  ExpectError(Larder("plan --shape qwen3.5-35b-a3b --machine /nowhere.json"), 1, "/nowhere.json");
  ExpectError(Larder(plan + "--memory 8G --types Q4_K --svg /nowhere/rates.svg"), 2,
              "/nowhere/rates.svg");
  ExpectError(Larder(plan + "--svg '" + good + "'"), 2, "is an input of this run");
  // What is wrong with the words is known before the machine is measured.
  ExpectError(Larder("plan --shape qwen3.5-35b-a3b --memory lots"), 2, "'lots' is not a size");
  ExpectError(Larder("plan --shape qwen3.5-35b-a3b --experts 999"), 2, "more than the model's 256");
  std::remove(good.c_str());
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

TEST(CommandLine, BenchIsRepeatable) {
  const std::string words =
      "bench -o json -p 9 -n 5 -r 2 --workload mid --memory 256M -m '" + kModel + "'";
  const Outcome first = Larder(words);
  ASSERT_EQ(first.exit_status, 0) << first.err;
  const auto a = nlohmann::json::parse(first.out);
  const auto b = nlohmann::json::parse(Larder(words + " --threads 1").out);
  ASSERT_EQ(a.at("results").size(), 3u);  // pp9 cold, pp9 warm, tg5
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(a["results"][i].at("hash"), b["results"][i].at("hash")) << i;
    EXPECT_EQ(a["results"][i].at("first_repetition"), i == 1 ? 1 : 0);
  }
  EXPECT_GT(a.at("machine").at("disk_bytes_per_second"), 0);
  EXPECT_GT(a.at("summary").at("decode_tokens_per_second"), 0);
  EXPECT_EQ(a.at("settings").at("io_depth"), 16);
  EXPECT_EQ(a.at("settings").at("profile"), "none");
  EXPECT_EQ(a.at("model").at("size_bytes"), std::filesystem::file_size(kModel));
  EXPECT_EQ(Larder("bench -p 4 -n 4 -r 1 -o md -m '" + kModel + "'").exit_status, 0);
}

TEST(CommandLine, BenchSaysWhatDiffersFromTheEarlierRun) {
  const std::string old = TemporaryPath("old.json");
  const std::string words = "bench -p 4 -n 2 -r 1 -m '" + kModel + "' --memory ";
  const Outcome first = Larder(words + "256M -o json");
  ASSERT_EQ(first.exit_status, 0) << first.err;
  std::ofstream(old) << first.out;
  const Outcome second = Larder(words + "300M --experts 1 -o csv --compare '" + old + "'");
  ASSERT_EQ(second.exit_status, 0) << second.err;
  EXPECT_THAT(second.out, StartsWith("version,commit,"));
  EXPECT_THAT(second.err, HasSubstr("the memory budget differs: 256.0 MiB / 300.0 MiB\n"));
  EXPECT_THAT(second.err, HasSubstr("the change of the model's own answers differs: none / 1 exp"));
  EXPECT_THAT(second.err, testing::Not(HasSubstr("the model differs")));
  std::remove(old.c_str());
}

TEST(CommandLine, ASustainedBenchIsWrittenInEveryFormat) {
  const std::string report = TemporaryPath("sustained.md");
  const std::string words =
      "bench -n 2 --sustained 0.002 --report '" + report + "' -m '" + kModel + "' -o ";
  EXPECT_THAT(Larder(words + "csv").out, HasSubstr(",from_s,seconds,"));
  EXPECT_THAT(ReadAndRemove(report), HasSubstr("\ntest,from_s,seconds,"));
  const std::string line = Larder(words + "jsonl").out;
  EXPECT_EQ(nlohmann::json::parse(line.substr(0, line.find('\n'))).at("test"), "tg2");
  std::remove(report.c_str());
}

TEST(CommandLine, AnInterruptedSustainedBenchGivesWhatItMeasured) {
  const Outcome outcome = Larder("bench -n 2 --sustained 60 -o json -m '" + kModel + "'",
                                 "timeout --foreground --preserve-status -s INT 10");
  EXPECT_EQ(outcome.exit_status, 130) << outcome.err;
  const auto sustained = nlohmann::json::parse(outcome.out).at("sustained");
  EXPECT_EQ(sustained.at("interrupted"), true);
  EXPECT_EQ(sustained.at("windows").size(), 1u);
  EXPECT_GT(sustained.at("tokens_per_second"), 0);
}

TEST(CommandLine, ABenchThatDoesNotFitItsContextMeasuresNothing) {
  const Outcome outcome =
      Larder("bench -p 8 -n 4 -d 0,20 --ctx 25 -r 1 -o json -m '" + kModel + "'");
  ExpectError(outcome, 2, "pp8 @ d20 needs 28 positions and --ctx gives 25");
  EXPECT_EQ(outcome.err.find("repetition"), std::string::npos) << outcome.err;
  ExpectError(Larder("bench -p 8,5000 -n 0 -r 1 -m '" + kModel + "'"), 2,
              "pp5000 needs 5000 positions and this model was made for 4096");
  const std::string special = "bench --sustained 0.001 -n 2,9999 --ctx 64 -m '" + kModel + "'";
  EXPECT_EQ(Larder(special).exit_status, 0) << "only the first test is run";
}

TEST(CommandLine, HelpNamesEachCommandsOwnContext) {
  EXPECT_THAT(Larder("bench --help").out, HasSubstr("what the longest test"));
  EXPECT_THAT(Larder("perplexity --help").out, HasSubstr("default: 512"));
}

TEST(CommandLine, TuneKeepsAProfileThatLaterRunsName) {
  const std::string folder = TemporaryPath("tune-cache");
  const std::string cache = "XDG_CACHE_HOME='" + folder + "'";
  const std::string model = " -m '" + kModel + "' --memory 256M";
  const std::string log = TemporaryPath("tune.tsv");
  const Outcome none = Larder("tune --minutes 0 -p 8 -n 4 --log '" + log + "'" + model, cache);
  ASSERT_EQ(none.exit_status, 0) << none.err;
  EXPECT_THAT(none.out, StartsWith("0 experiments, "));
  EXPECT_THAT(none.out, HasSubstr("best: the defaults, 1.000 times"));
  EXPECT_THAT(none.out, HasSubstr("not all is tried yet: a profile that was kept before stays"));
  const std::string logits = "logits --json --tokens 1,2,3" + model;
  EXPECT_THAT(Larder(logits, cache).err, testing::Not(HasSubstr("profile")));
  // What an earlier tuning kept: goes on from there.
  const TuneExchange run = {256 << 20, 4096, 8, 4, ""};  // the context of later runs
  const std::string best = R"({"io_depth":8,"lookahead":"off"})";
  std::ofstream(log, std::ios::app) << "1\t" << best << "\t{}\t1.5000\t3\tkept\tit was faster\t"
                                    << DescribeTuneRun(kModel, run).dump() << "\n";
  const std::string others = "tune --minutes 0 --log '" + log + "'" + model;
  ExpectError(Larder(others, cache), 2, "made with n_answer 4, not 32");
  const Outcome one =
      Larder("tune --minutes 0 -p 8 -n 4 --verify 1 --log '" + log + "'" + model, cache);
  ASSERT_EQ(one.exit_status, 0) << one.err;
  EXPECT_THAT(one.err, HasSubstr("goes on after 1 experiments"));
  EXPECT_THAT(one.err, HasSubstr("--io-depth 8 --lookahead off against the defaults, 1 pairs"));
  const Outcome with = Larder(logits, cache);
  ASSERT_EQ(with.exit_status, 0) << with.err;
  // On so small a model either may have won.
  const bool kept = one.out.find("best: --io-depth 8 --lookahead off") != std::string::npos;
  EXPECT_EQ(with.err.find("larder: profile of this model") != std::string::npos, kept) << with.err;
  EXPECT_EQ(with.out, Larder(logits + " --profile none", cache).out);
  EXPECT_EQ(Larder(logits + " --profile none", cache).err.find("profile"), std::string::npos);
  // Another exchange for which nothing faster is found yet.
  EXPECT_EQ(Larder("tune --minutes 0 -p 4 -n 4" + model, cache).exit_status, 0);
  EXPECT_EQ(Larder(logits, cache).err.find("profile") != std::string::npos, kept);
  std::filesystem::remove_all(folder);
  std::remove(log.c_str());
}

TEST(CommandLine, AShorterContextThanTheProfilesBatchIsNoNews) {
  const std::string folder = TemporaryPath("batch-cache");
  EngineProfile profile;
  profile.settings.batch = 128;
  profile.budget_bytes = 256 << 20;
  const char* before = std::getenv("XDG_CACHE_HOME");
  const std::string cache_before = before == nullptr ? "" : before;
  setenv("XDG_CACHE_HOME", folder.c_str(), 1);
  const Status saved = SaveProfile(kModel, profile);
  setenv("XDG_CACHE_HOME", cache_before.c_str(), 1);
  ASSERT_TRUE(saved.ok()) << saved.message();
  const Outcome outcome = Larder("logits --json --tokens 1,2,3 --memory 256M -m '" + kModel + "'",
                                 "XDG_CACHE_HOME='" + folder + "'");
  EXPECT_EQ(outcome.exit_status, 0);
  EXPECT_THAT(outcome.err, HasSubstr("profile of this model"));
  EXPECT_THAT(outcome.err, testing::Not(HasSubstr("does not fit this run")));
  std::filesystem::remove_all(folder);
}

TEST(CommandLine, TuneSaysThatItCannotMakeTheFolderOfProfiles) {
  const std::string file = TemporaryPath("no-folder");
  std::ofstream(file) << "a file";
  const std::string cache = "XDG_CACHE_HOME='" + file + "'";
  ExpectError(Larder("tune --minutes 0 -m '" + kModel + "'", cache), 1,
              "cannot make the folder " + file + "/larder for the profile: Not a directory");
  std::remove(file.c_str());
}

TEST(CommandLine, TuneLeavesAloneWhatIsNoLog) {
  const std::string text = TemporaryPath("notes.txt");
  std::ofstream(text) << "notes without a line's end";
  const std::string cache = "XDG_CACHE_HOME='" + TemporaryPath("tune-cache") + "'";
  for (const char* again : {"", " --again"}) {
    ExpectError(Larder("tune --minutes 0 -m '" + kModel + "' --log '" + text + "'" + again, cache),
                2, "is no log of larder tune");
  }
  EXPECT_EQ(ReadAndRemove(text), "notes without a line's end");
  std::filesystem::remove_all(TemporaryPath("tune-cache"));
}

TEST(CommandLine, TuneInterruptedSaysWhatBecameOfItsLog) {
  const std::string folder = TemporaryPath("tune-cache");
  const std::string cache =
      "XDG_CACHE_HOME='" + folder + "' timeout --foreground --preserve-status -s INT 1";
  const std::string log = TemporaryPath("tune.tsv");
  const std::string words = "tune -p 0 -n 4000 -m '" + kModel + "' --log '" + log + "'";
  const Outcome outcome = Larder(words, cache);
  EXPECT_EQ(outcome.exit_status, 130) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("no experiment was made; " + log + " is as it was"));
  EXPECT_FALSE(std::filesystem::exists(log));
  std::filesystem::remove_all(folder);
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
