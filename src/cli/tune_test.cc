// Tuning against a made-up machine: it finds what is faster, keeps nothing else, and goes on from
// its log; profiles and settings read back the same.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <set>
#include <thread>

#include "base/cpu_topology.h"
#include "base/random.h"
#include "cli/engine_flags.h"
#include "cli/engine_profile.h"
#include "cli/text_file.h"
#include "cli/token_list.h"
#include "cli/tune_log.h"
#include "cli/tuner.h"

namespace larder {
namespace {

// Seconds with noise of `noise`: 64 reads in flight and one thread less are each faster.
class MadeUpMachine {
 public:
  explicit MadeUpMachine(double noise) : noise_(noise) {}

  Result<double> Measure(const TuneSettings& settings) {
    ++n_runs;
    double seconds = 10;
    seconds *= 1 + 0.08 * std::abs(std::log2(settings.io_depth / 64.0));
    if (settings.n_threads == 3) seconds *= 0.9;
    if (settings.lookahead == "on") seconds *= 1.3;
    if (settings.io == "threads") return InvalidArgument("threads are refused here");
    return seconds * (1 + noise_ * (random_.NextUnit() - 0.5));
  }

  int n_runs = 0;

 private:
  double noise_;
  SplitMix64 random_{1};
};

TunerOptions OptionsFor(MadeUpMachine* machine, std::vector<TuneTry>* log) {
  TunerOptions options;
  options.limits = {4, 4, 1024};
  options.measure = [machine](const TuneSettings& settings) { return machine->Measure(settings); };
  options.on_try = [log](const TuneTry& one) {
    log->push_back(one);
    return Status::Ok();
  };
  return options;
}

TEST(Tuner, FindsWhatIsFasterAndNothingElse) {
  MadeUpMachine machine(0.01);
  std::vector<TuneTry> log;
  Tuner tuner(OptionsFor(&machine, &log), {});
  ASSERT_TRUE(tuner.Run().ok());
  TuneSettings expected;
  expected.io_depth = 64;
  expected.n_threads = 3;
  EXPECT_EQ(tuner.best(), expected) << tuner.best().Options();
  EXPECT_GE(log.size(), 10u);
  int n_refused = 0;
  for (const TuneTry& one : log) {
    EXPECT_FALSE(one.settings.lookahead == "on" && one.kept);
    if (one.settings.io == "threads") {
      ++n_refused;
      EXPECT_FALSE(one.kept);
      EXPECT_NE(one.why.find("refused"), std::string::npos);
    }
  }
  EXPECT_GT(n_refused, 0);
}

TEST(Tuner, KeepsNothingOfNoise) {
  std::vector<TuneTry> log;
  TunerOptions options;
  SplitMix64 random(7);
  options.limits = {2, 2, 1024};
  options.n_pairs = 10;
  options.measure = [&random](const TuneSettings&) -> Result<double> {
    return 1 + 0.1 * random.NextUnit();
  };
  Tuner tuner(options, {});
  ASSERT_TRUE(tuner.Run().ok());
  EXPECT_EQ(tuner.best(), TuneSettings());
}

TEST(Tuner, GoesOnFromItsLog) {
  MadeUpMachine whole_machine(0);
  std::vector<TuneTry> whole_log;
  Tuner whole(OptionsFor(&whole_machine, &whole_log), {});
  ASSERT_TRUE(whole.Run().ok());
  MadeUpMachine machine(0);
  std::vector<TuneTry> log;
  TunerOptions options = OptionsFor(&machine, &log);
  options.is_over = [&log] { return log.size() >= 5; };
  Tuner first(options, {});
  ASSERT_TRUE(first.Run().ok());
  ASSERT_EQ(log.size(), 5u);
  // The log as a file whose last line was cut off.
  std::string text = kTuneLogHeader;
  for (const TuneTry& one : log) text += one.Line();
  const auto read = ReadTuneLog(text + "6\t{\"thr");
  ASSERT_TRUE(read.ok()) << read.status().message();
  ASSERT_EQ(read->size(), 5u);
  Tuner second(OptionsFor(&machine, &log), *read);
  EXPECT_EQ(second.best(), first.best());
  ASSERT_TRUE(second.Run().ok());
  EXPECT_EQ(second.best(), whole.best());
  EXPECT_EQ(log.size(), whole_log.size());
  EXPECT_EQ(log.back().number, whole_log.back().number);
}

TEST(Tuner, AFailureEndsIt) {
  TunerOptions options;
  options.measure = [](const TuneSettings&) -> Result<double> { return Cancelled("stopped"); };
  Tuner cancelled(options, {});
  EXPECT_EQ(cancelled.Run().code(), StatusCode::kCancelled);
  options.measure = [](const TuneSettings& settings) -> Result<double> {
    if (settings.io_depth == 32) return IoError("no run could be started");
    return 1;
  };
  Tuner stopped(options, {});
  EXPECT_EQ(stopped.Run().code(), StatusCode::kIoError);
  EXPECT_EQ(stopped.n_tries(), 0);
  options.measure = [](const TuneSettings& settings) -> Result<double> {
    if (settings.io == "threads") return Unavailable("refused here");
    return 1;
  };
  Tuner refused(options, {});
  EXPECT_FALSE(refused.is_done());
  EXPECT_TRUE(refused.Run().ok()) << "only the try failed";
  EXPECT_TRUE(refused.is_done());
  options.measure = [](const TuneSettings&) -> Result<double> { return InvalidArgument("gone"); };
  Tuner broken(options, {});
  EXPECT_EQ(broken.Run().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(broken.n_tries(), 0);
}

TEST(Tuner, WhatWasNeverTriedComesFirst) {
  MadeUpMachine machine(0);
  std::vector<TuneTry> log;
  Tuner tuner(OptionsFor(&machine, &log), {});
  ASSERT_TRUE(tuner.Run().ok());
  std::set<std::string> seen;
  std::size_t n_new = 0;
  for (; n_new < log.size(); ++n_new) {
    if (!seen.insert(ChangeFrom(log[n_new].settings, log[n_new].against)).second) break;
  }
  // 17 changes of the defaults, and what one step leads to; only then anything a second time.
  EXPECT_GE(n_new, 17u);
  EXPECT_LT(n_new, log.size());
}

TEST(Tuner, WhatDoesNotHoldIsTakenBack) {
  std::vector<TuneTry> log;
  TunerOptions options;
  options.limits = {1, 1, 0};
  bool is_lucky = true;  // 32 reads in flight look faster, for a while
  options.measure = [&is_lucky](const TuneSettings& settings) -> Result<double> {
    return settings.io_depth == 32 ? (is_lucky ? 0.9 : 1.1) : 1.0;
  };
  options.on_try = [&log](const TuneTry& one) {
    log.push_back(one);
    return Status::Ok();
  };
  Tuner tuner(options, {});
  ASSERT_TRUE(tuner.Run().ok());
  ASSERT_EQ(tuner.best().io_depth, 32);
  is_lucky = false;
  const auto ratios = tuner.Verify(4);
  ASSERT_TRUE(ratios.ok());
  ASSERT_EQ(ratios->size(), 4u);
  EXPECT_NEAR(ratios->at(0), 1 / 1.1, 1e-9);
  EXPECT_EQ(tuner.best(), TuneSettings());
  // And stays so for whoever goes on from the log.
  std::string text = kTuneLogHeader;
  for (const TuneTry& one : log) text += one.Line();
  const Tuner next(options, ReadTuneLog(text).value());
  EXPECT_EQ(next.best(), TuneSettings());
  EXPECT_TRUE(tuner.Verify(4).value().empty());
}

TEST(Tuner, WhatDoesNotHoldTakesNoOtherProfilesPlace) {
  TuneTry lucky;
  lucky.settings.io_depth = 32;
  lucky.ratio = 1.5;
  lucky.kept = true;
  TunerOptions options;
  options.limits = {1, 1, 0};
  options.measure = [](const TuneSettings& settings) -> Result<double> {
    return settings.io_depth == 32 ? 1.1 : 1.0;
  };
  Tuner tuner(options, {lucky});
  EXPECT_TRUE(IsResult(tuner, lucky.settings, std::nullopt));
  ASSERT_TRUE(tuner.Verify(2).ok());
  ASSERT_EQ(tuner.best(), TuneSettings());
  TuneSettings other;
  other.reads = "cached";
  EXPECT_FALSE(IsResult(tuner, lucky.settings, other));
  EXPECT_FALSE(IsResult(tuner, lucky.settings, std::nullopt));
  EXPECT_FALSE(IsResult(tuner, TuneSettings(), TuneSettings()));
  EXPECT_TRUE(IsResult(tuner, lucky.settings, lucky.settings)) << "the kept ones did not hold";
  ASSERT_TRUE(tuner.Run().ok());
  EXPECT_TRUE(IsResult(tuner, lucky.settings, other)) << "nothing is left to try";
}

TEST(TuneLog, LinesThatAreNone) {
  EXPECT_TRUE(ReadTuneLog("").value().empty());
  EXPECT_TRUE(ReadTuneLog("try\tsett").value().empty());
  EXPECT_FALSE(ReadTuneLog("a text without a line's end").ok());
  for (const char* line :
       {"x\n", "1\t{}\t{}\t1\t1\tmaybe\twhy\t{}\n", "1\t{\t{}\t1\t1\tkept\twhy\t{}\n",
        "1\t{\"io\": \"x\"}\t{}\t1\t1\tkept\twhy\t{}\n", "1\t{}\t{}\t1\t1\tkept\twhy\n",
        "1\t{}\t{}\t1\t1\tkept\twhy\t[]\n"}) {
    EXPECT_FALSE(ReadTuneLog(line).ok()) << line;
    EXPECT_FALSE(ReadTuneLog(kTuneLogHeader + std::string(line)).ok()) << line;
  }
}

// A log in a folder of its own; `Text` is what is in it.
class TuneLogFile : public testing::Test {
 protected:
  void SetUp() override { std::remove(path_.c_str()); }
  void TearDown() override { std::remove(path_.c_str()); }
  std::string Text() const { return ReadTextFile(path_).value(); }
  const std::string path_ = testing::TempDir() + "tune-log.tsv";
  const nlohmann::json run_ = {{"model", "a.gguf"}, {"budget_bytes", 8}};
  TuneTry Try() const {
    TuneTry one;
    one.number = 1;
    one.settings.io_depth = 32;
    one.ratio = 1.5;
    one.run = run_;
    return one;
  }
};

TEST_F(TuneLogFile, GoesOnBehindAnUnfinishedLine) {
  {
    const auto log = TuneLog::Open(path_, run_, false);
    ASSERT_TRUE(log.ok()) << log.status().message();
    ASSERT_TRUE((*log)->Begin().ok());
    ASSERT_TRUE((*log)->Append(Try()).ok());
  }
  const std::string whole = Text();
  EXPECT_EQ(whole, kTuneLogHeader + Try().Line());
  ASSERT_TRUE(WriteTextFile(path_, whole + "2\t{\"thr").ok());
  const auto log = TuneLog::Open(path_, run_, false);
  ASSERT_TRUE(log.ok()) << log.status().message();
  ASSERT_EQ((*log)->tries().size(), 1u);
  EXPECT_EQ((*log)->tries()[0].settings, Try().settings);
  EXPECT_EQ(Text(), whole + "2\t{\"thr") << "opening changes nothing";
  ASSERT_TRUE((*log)->Begin().ok());
  EXPECT_EQ(Text(), whole);
}

TEST_F(TuneLogFile, LeavesAloneWhatIsNoLog) {
  for (const std::string text :
       {"GGUF", "t", "try\tset", "a line\n", "1\t2\t3\t4\t5\t6\t7\n", "\n"}) {
    ASSERT_TRUE(WriteTextFile(path_, text).ok());
    for (const bool again : {false, true}) {
      const auto log = TuneLog::Open(path_, run_, again);
      EXPECT_EQ(log.status().code(), StatusCode::kInvalidArgument) << text;
      EXPECT_NE(log.status().message().find("is no log of larder tune"), std::string::npos);
    }
    EXPECT_EQ(Text(), text);
  }
  ASSERT_TRUE(WriteTextFile(path_, "").ok());
  EXPECT_TRUE(TuneLog::Open(path_, run_, false).ok());
  EXPECT_TRUE(std::filesystem::exists(path_)) << "the user's own, though empty";
  EXPECT_FALSE(TuneLog::Open(testing::TempDir(), run_, false).ok());
  EXPECT_FALSE(TuneLog::Open("/dev/null", run_, false).ok());
}

TEST_F(TuneLogFile, IsOfOneModelBudgetAndExchange) {
  const std::string text = kTuneLogHeader + Try().Line();
  ASSERT_TRUE(WriteTextFile(path_, text).ok());
  nlohmann::json other = run_;
  other["budget_bytes"] = 4;
  const auto refused = TuneLog::Open(path_, other, false);
  EXPECT_EQ(refused.status().code(), StatusCode::kInvalidArgument);
  EXPECT_NE(refused.status().message().find("made with budget_bytes 8, not 4"), std::string::npos)
      << refused.status().message();
  EXPECT_EQ(Text(), text);
  const auto anew = TuneLog::Open(path_, other, true);
  ASSERT_TRUE(anew.ok()) << anew.status().message();
  EXPECT_TRUE((*anew)->tries().empty());
  EXPECT_EQ(Text(), text) << "nothing goes before the first run has worked";
  ASSERT_TRUE((*anew)->Begin().ok());
  EXPECT_EQ(Text(), kTuneLogHeader);
}

TEST_F(TuneLogFile, WithoutABeginningNoFileStays) {
  EXPECT_TRUE(TuneLog::Open(path_, run_, false).ok());
  EXPECT_FALSE(std::filesystem::exists(path_));
  {
    const auto first = TuneLog::Open(path_, run_, false);
    ASSERT_TRUE(first.ok()) << first.status().message();
    EXPECT_FALSE(TuneLog::Open(path_, run_, false).ok());
    EXPECT_TRUE(std::filesystem::exists(path_)) << "whoever has no lock leaves it";
    ASSERT_TRUE((*first)->Begin().ok());
  }
  EXPECT_EQ(Text(), kTuneLogHeader);
}

TEST_F(TuneLogFile, IsOfOneContextAndSetOfCpus) {
  const nlohmann::json run = DescribeTuneRun(path_, {0, 4096, 64, 32, ""});
  EXPECT_EQ(run["cpus"], UsableCpuCount());
  EXPECT_EQ(run["ctx"], 4096);
  EXPECT_NE(run, DescribeTuneRun(path_, {0, 64, 64, 32, ""}));
}

TEST_F(TuneLogFile, OneRunAtATime) {
  auto first = TuneLog::Open(path_, run_, false);
  ASSERT_TRUE(first.ok()) << first.status().message();
  EXPECT_EQ(TuneLog::Open(path_, run_, false).status().code(), StatusCode::kUnavailable);
  first->reset();
  EXPECT_TRUE(TuneLog::Open(path_, run_, false).ok());
}

TEST(TuneSettings, OptionsAndJson) {
  TuneSettings settings;
  EXPECT_EQ(settings.Options(), "");
  settings.n_threads = 2;
  settings.io_depth = 32;
  settings.batch = 256;
  settings.reads = "cached";
  settings.lookahead_depth = 24;
  settings.cache_half_life = 12.5;
  EXPECT_EQ(settings.Options(),
            "--threads 2 --batch 256 --io-depth 32 --reads cached --lookahead-depth 24 "
            "--cache-half-life 12.5");
  EXPECT_EQ(settings.Words().size(), 12u);
  EXPECT_EQ(TuneSettingsFromJson(ToJson(settings)).value(), settings);
  EXPECT_EQ(ChangeFrom(settings, settings), "");
  for (const TuneProposal& proposal : Neighbours(settings, {4, 4, 1024})) {
    EXPECT_NE(ChangeFrom(proposal.settings, settings), "");
    EXPECT_FALSE(proposal.why.empty());
    EXPECT_EQ(TuneSettingsFromJson(ToJson(proposal.settings)).value(), proposal.settings);
  }
  for (const TuneProposal& proposal : Neighbours(TuneSettings(), {4, 4, 0})) {
    EXPECT_EQ(proposal.settings.batch, 0) << "nothing says what a batch costs";
    EXPECT_NE(proposal.settings.io, "uring") << "auto takes it where it works";
  }
}

TEST(TuneSettings, OnlyBatchesBelowTheAutomaticOne) {
  const auto batches = [](std::int64_t best, std::int64_t automatic) {
    TuneSettings settings;
    settings.batch = best;
    std::set<std::int64_t> proposed;
    for (const TuneProposal& one : Neighbours(settings, {4, 4, automatic})) {
      if (one.settings.batch != best) proposed.insert(one.settings.batch);
    }
    return proposed;
  };
  EXPECT_EQ(batches(0, 512), std::set<std::int64_t>{256});
  EXPECT_EQ(batches(256, 512), std::set<std::int64_t>{128});
  EXPECT_EQ(batches(128, 512), (std::set<std::int64_t>{64, 256}));
  EXPECT_EQ(batches(0, 6), std::set<std::int64_t>{});
  EXPECT_EQ(batches(64, 0), std::set<std::int64_t>{});
}

TEST(EngineProfile, RoundTripAndDamage) {
  EngineProfile profile;
  profile.settings.lookahead = "off";
  profile.budget_bytes = 8589934592;
  profile.gain = 1.25;
  profile.n_tries = 12;
  const auto back = ParseEngineProfiles(ToText({profile, EngineProfile()}));
  ASSERT_TRUE(back.ok()) << back.status().message();
  ASSERT_EQ(back->size(), 2u);
  EXPECT_EQ(back->at(0).settings, profile.settings);
  EXPECT_EQ(back->at(0).budget_bytes, profile.budget_bytes);
  EXPECT_EQ(back->at(0).gain, 1.25);
  EXPECT_EQ(back->at(0).n_tries, 12);
  for (const char* settings :
       {"{\"threads\": -1}", "{\"io\": 3}", "{\"reads\": \"fast\"}", "{\"cache_half_life\": 0}",
        "{\"cache_half_life\": \"x\"}", "{\"lookahead_depth\": 0}", "3"}) {
    const std::string text = std::string("{\"profiles\": [{\"settings\": ") + settings + "}]}";
    EXPECT_FALSE(ParseEngineProfiles(text).ok()) << text;
  }
  for (const char* text : {"", "{}", "[]", "{\"profiles\": 1}", "{\"profiles\": [1]}"}) {
    EXPECT_FALSE(ParseEngineProfiles(text).ok()) << text;
  }
}

TEST(EngineProfile, TheNearestBudgetWithinAFifth) {
  std::vector<EngineProfile> profiles(3);
  profiles[1].budget_bytes = 1000;
  profiles[2].budget_bytes = 1150;
  EXPECT_EQ(NearestProfile(profiles, 0), &profiles[0]) << "the default budget is its own";
  EXPECT_EQ(NearestProfile(profiles, 1), nullptr);
  EXPECT_EQ(NearestProfile(profiles, 800), &profiles[1]);
  EXPECT_EQ(NearestProfile(profiles, 799), nullptr);
  EXPECT_EQ(NearestProfile(profiles, 1100), &profiles[2]);
  EXPECT_EQ(NearestProfile(profiles, 1380), &profiles[2]);
  EXPECT_EQ(NearestProfile(profiles, 1381), nullptr);
}

// A folder for what the user's cache would keep, and a model file that is none.
class KeptProfile : public testing::Test {
 protected:
  void SetUp() override {
    if (const char* before = std::getenv("XDG_CACHE_HOME")) before_ = before;
    std::filesystem::create_directories(folder_);
    setenv("XDG_CACHE_HOME", folder_.c_str(), 1);
    ASSERT_TRUE(WriteTextFile(model_, "a model").ok());
  }
  void TearDown() override {
    if (before_) {
      setenv("XDG_CACHE_HOME", before_->c_str(), 1);
    } else {
      unsetenv("XDG_CACHE_HOME");
    }
    std::filesystem::remove_all(folder_);
  }
  std::optional<std::string> before_;
  const std::string folder_ = testing::TempDir() + "kept-profile";
  const std::string model_ = folder_ + "/model.gguf";
};

TEST_F(KeptProfile, IsFoundForItsModelAndBudgetOnly) {
  EngineProfile profile;
  profile.settings.io_depth = 64;
  profile.budget_bytes = 1 << 30;
  ASSERT_TRUE(SaveProfile(model_, profile).ok());
  profile.settings.io_depth = 32;
  ASSERT_TRUE(SaveProfile(model_, profile).ok()) << "the same budget again";
  EngineProfile other;
  other.settings.reads = "cached";
  ASSERT_TRUE(SaveProfile(model_, other).ok());
  EXPECT_EQ(FindProfile(model_, 1 << 30)->settings, profile.settings);
  EXPECT_EQ(FindProfile(model_, 0)->settings, other.settings);
  EXPECT_FALSE(FindProfile(model_, 1u << 31).has_value());
  EXPECT_FALSE(FindProfile(folder_ + "/none.gguf", 0).has_value());
  ASSERT_TRUE(WriteTextFile(model_, "another model").ok());
  EXPECT_FALSE(FindProfile(model_, 0).has_value());
}

TEST_F(KeptProfile, SavingAtOnceLosesNone) {
  constexpr int kSavers = 8;
  std::vector<std::thread> savers;
  for (int i = 1; i <= kSavers; ++i) {
    savers.emplace_back([this, i] {
      EngineProfile profile;
      profile.budget_bytes = std::uint64_t{1} << (30 + i);
      EXPECT_TRUE(SaveProfile(model_, profile).ok());
    });
  }
  for (std::thread& saver : savers) saver.join();
  const auto kept = ParseEngineProfiles(ReadTextFile(ProfilePath(model_)).value());
  ASSERT_TRUE(kept.ok()) << kept.status().message();
  EXPECT_EQ(kept->size(), static_cast<std::size_t>(kSavers));
}

TEST_F(KeptProfile, DamageIsMovedAside) {
  const std::string path = ProfilePath(model_);
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  ASSERT_TRUE(WriteTextFile(path, "{\"profiles\": [{}]").ok());
  ASSERT_TRUE(SaveProfile(model_, EngineProfile()).ok());
  EXPECT_EQ(ReadTextFile(path + ".damaged").value(), "{\"profiles\": [{}]");
  EXPECT_TRUE(FindProfile(model_, 0).has_value());
}

TEST_F(KeptProfile, TakesThePlaceOfWhatIsNotGiven) {
  EngineProfile profile;
  profile.settings.io_depth = 64;
  profile.settings.reads = "cached";
  profile.settings.batch = 32;
  profile.settings.io = "uring";
  profile.settings.n_threads = UsableCpuCount() + 1;
  profile.budget_bytes = 1 << 30;
  ASSERT_TRUE(SaveProfile(model_, profile).ok());
  const auto options = [this](std::vector<std::string> words) {
    CLI::App app;
    EngineFlags flags;
    AddEngineFlags(&app, &flags);
    words.insert(words.end(), {"-m", model_});
    std::reverse(words.begin(), words.end());
    app.parse(words);
    return MakeEngineOptions(flags).value();
  };
  const EngineOptions taken = options({"--memory", "1G"});
  EXPECT_EQ(taken.io_depth, 64);
  EXPECT_EQ(taken.read_path, ReadPath::kPageCache);
  EXPECT_EQ(taken.max_batch, 0);
  EXPECT_EQ(taken.preferred_batch, 32) << "where this run affords it";
  EXPECT_EQ(taken.io_mode, IoMode::kAuto) << "no run fails for a profile";
  EXPECT_EQ(taken.n_threads, 0) << "more than there are CPUs";
  EXPECT_EQ(taken.lookahead_depth, LookaheadThrottle::kMaxInFlight);
  EXPECT_EQ(taken.cache_half_life, kHeatHalfLife);
  EXPECT_EQ(options({"--memory", "1G", "--io-depth", "8"}).io_depth, 8);
  const EngineOptions given = options({"--memory", "1G", "--batch", "16"});
  EXPECT_EQ(given.max_batch, 16);
  EXPECT_EQ(given.preferred_batch, 0);
  EXPECT_EQ(options({"--memory", "1G", "--profile", "none"}).io_depth, 16);
  EXPECT_EQ(options({"--memory", "2G"}).io_depth, 16);
}

}  // namespace
}  // namespace larder
