// Tuning against a made-up machine: it finds what is faster, keeps nothing else, and goes on from
// its log; profiles and settings read back the same.
#include <gtest/gtest.h>

#include <cmath>

#include "base/random.h"
#include "cli/engine_profile.h"
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
    if (settings.io == "uring") return InvalidArgument("io_uring is refused here");
    return seconds * (1 + noise_ * (random_.NextUnit() - 0.5));
  }

  int n_runs = 0;

 private:
  double noise_;
  SplitMix64 random_{1};
};

TunerOptions OptionsFor(MadeUpMachine* machine, std::vector<TuneTry>* log) {
  TunerOptions options;
  options.n_default_threads = 4;
  options.n_cpus = 4;
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
    if (one.settings.io == "uring") {
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
  options.n_default_threads = 2;
  options.n_cpus = 2;
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
  std::vector<TuneTry> log;
  TunerOptions options;
  options.measure = [](const TuneSettings&) -> Result<double> { return Cancelled("stopped"); };
  Tuner tuner(options, {});
  EXPECT_EQ(tuner.Run().code(), StatusCode::kCancelled);
}

TEST(TuneLog, LinesThatAreNone) {
  EXPECT_TRUE(ReadTuneLog("").value().empty());
  for (const char* text : {"x\n", "1\t{}\t{}\t1\t1\tmaybe\twhy\n", "1\t{\t{}\t1\t1\tkept\twhy\n",
                           "1\t{\"io\": \"x\"}\t{}\t1\t1\tkept\twhy\n"}) {
    EXPECT_FALSE(ReadTuneLog(text).ok()) << text;
  }
}

TEST(TuneSettings, OptionsAndJson) {
  TuneSettings settings;
  EXPECT_EQ(settings.Options(), "");
  settings.n_threads = 2;
  settings.io_depth = 32;
  settings.batch = 256;
  EXPECT_EQ(settings.Options(), "--threads 2 --io-depth 32 --batch 256");
  EXPECT_EQ(settings.Words().size(), 6u);
  EXPECT_EQ(TuneSettingsFromJson(ToJson(settings)).value(), settings);
  for (const TuneProposal& proposal : Neighbours(settings, 4, 4)) {
    EXPECT_FALSE(proposal.settings == settings);
    EXPECT_FALSE(proposal.why.empty());
  }
}

TEST(EngineProfile, RoundTripAndDamage) {
  EngineProfile profile;
  profile.settings.lookahead = "off";
  profile.budget_bytes = 8589934592;
  profile.gain = 1.25;
  profile.n_tries = 12;
  const Result<EngineProfile> back = ParseEngineProfile(ToText(profile));
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(back->settings, profile.settings);
  EXPECT_EQ(back->budget_bytes, profile.budget_bytes);
  EXPECT_EQ(back->gain, 1.25);
  for (const char* text : {"", "{}", "{\"settings\": {\"threads\": -1}}",
                           "{\"settings\": {\"io\": 3}}", "{\"settings\": 3}"}) {
    EXPECT_FALSE(ParseEngineProfile(text).ok()) << text;
  }
}

}  // namespace
}  // namespace larder
