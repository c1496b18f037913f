// What the commands that measure (plan, bench, tune) do as a user meets them: exit statuses, what
// goes to stdout and stderr, what stays in files. Runs the binary.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "cli/engine_profile.h"
#include "cli/machine_figures.h"
#include "cli/machine_info.h"
#include "cli/tune_log.h"
#include "helpers/program.h"
#include "helpers/tiny_model.h"

namespace larder {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

const std::string kModel = LARDER_SOURCE_DIR "/tests/golden/models/r4-s32-f32.gguf";

// A machine that needs no measuring, with `more` members.
std::string MachineFile(const std::string& more = "") {
  const std::string path = TemporaryPath("machine.json");
  std::ofstream(path) << R"({"disk_bytes_per_second": 1e9, "memory_bytes_per_second": 1e10)" << more
                      << "}";
  return path;
}

TEST(MeasuringCommands, PlansKeepWhatTheirTestsNeed) {
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

TEST(MeasuringCommands, PlansNeedRoomForWhatIsNotThere) {
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

TEST(MeasuringCommands, QuickFiguresAreNotKept) {
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

TEST(MeasuringCommands, PlansEndLikeOtherCommands) {
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

TEST(MeasuringCommands, BenchIsRepeatable) {
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

TEST(MeasuringCommands, BenchSaysWhatDiffersFromTheEarlierRun) {
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

TEST(MeasuringCommands, ASustainedBenchIsWrittenInEveryFormat) {
  const std::string report = TemporaryPath("sustained.md");
  const std::string words =
      "bench -n 2 --sustained 0.002 --report '" + report + "' -m '" + kModel + "' -o ";
  EXPECT_THAT(Larder(words + "csv").out, HasSubstr(",from_s,seconds,"));
  EXPECT_THAT(ReadAndRemove(report), HasSubstr("\ntest,from_s,seconds,"));
  const std::string line = Larder(words + "jsonl").out;
  EXPECT_EQ(nlohmann::json::parse(line.substr(0, line.find('\n'))).at("test"), "tg2");
  std::remove(report.c_str());
}

TEST(MeasuringCommands, AnInterruptedSustainedBenchGivesWhatItMeasured) {
  const Outcome outcome = Larder("bench -n 2 --sustained 60 -o json -m '" + kModel + "'",
                                 "timeout --foreground --preserve-status -s INT 10");
  EXPECT_EQ(outcome.exit_status, 130) << outcome.err;
  const auto sustained = nlohmann::json::parse(outcome.out).at("sustained");
  EXPECT_EQ(sustained.at("interrupted"), true);
  EXPECT_EQ(sustained.at("windows").size(), 1u);
  EXPECT_GT(sustained.at("tokens_per_second"), 0);
}

TEST(MeasuringCommands, ABenchThatDoesNotFitItsContextMeasuresNothing) {
  const Outcome outcome =
      Larder("bench -p 8 -n 4 -d 0,20 --ctx 25 -r 1 -o json -m '" + kModel + "'");
  ExpectError(outcome, 2, "pp8 @ d20 needs 28 positions and --ctx gives 25");
  EXPECT_EQ(outcome.err.find("repetition"), std::string::npos) << outcome.err;
  ExpectError(Larder("bench -p 8,5000 -n 0 -r 1 -m '" + kModel + "'"), 2,
              "pp5000 needs 5000 positions and this model was made for 4096");
  const std::string special = "bench --sustained 0.001 -n 2,9999 --ctx 64 -m '" + kModel + "'";
  EXPECT_EQ(Larder(special).exit_status, 0) << "only the first test is run";
}

TEST(MeasuringCommands, TuneKeepsAProfileThatLaterRunsName) {
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

TEST(MeasuringCommands, AShorterContextThanTheProfilesBatchIsNoNews) {
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

TEST(MeasuringCommands, TuneSaysThatItCannotMakeTheFolderOfProfiles) {
  const std::string file = TemporaryPath("no-folder");
  std::ofstream(file) << "a file";
  const std::string cache = "XDG_CACHE_HOME='" + file + "'";
  ExpectError(Larder("tune --minutes 0 -m '" + kModel + "'", cache), 1,
              "cannot make the folder " + file + "/larder for the profile: Not a directory");
  std::remove(file.c_str());
}

TEST(MeasuringCommands, TuneLeavesAloneWhatIsNoLog) {
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

TEST(MeasuringCommands, TuneInterruptedSaysWhatBecameOfItsLog) {
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

}  // namespace
}  // namespace larder
