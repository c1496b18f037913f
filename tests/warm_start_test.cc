// The warm start of a whole engine: a second run begins with what the first used most, no bit
// differs, and whatever is wrong with what was remembered makes a cold start. Also: cancelling
// while a read never comes.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include "base/clock.h"
#include "experts/heat_file.h"
#include "helpers/golden.h"
#include "helpers/synchronous_reader.h"
#include "helpers/tiny_model.h"

namespace larder {
namespace {

class WarmStartOfEngine : public testing::Test {
 protected:
  void SetUp() override {
    const char* before = std::getenv("XDG_CACHE_HOME");
    if (before != nullptr) cache_before_ = before;
    setenv("XDG_CACHE_HOME", cache_.c_str(), 1);
    WriteTinyModel(path_);
    options_ = {.model_path = path_, .memory_budget_bytes = 1u << 30, .n_threads = 1};
    options_.process_bytes = kFixedProcessBytes;
    options_.max_batch = 4;
    options_.warm_start = true;
    options_.lookahead = LookaheadMode::kOff;
    options_.wrap_reader = [](std::unique_ptr<AsyncReader>) { return MakeSynchronousReader(); };
  }
  void TearDown() override {
    std::filesystem::remove_all(cache_);
    std::remove(path_.c_str());
    if (cache_before_.empty()) {
      unsetenv("XDG_CACHE_HOME");
    } else {
      setenv("XDG_CACHE_HOME", cache_before_.c_str(), 1);
    }
  }

  struct Outcome {
    std::vector<float> logits;
    std::size_t n_remembered = 0;
    ExpertStats stats;
  };

  Outcome Run(const EngineOptions& options) {
    Outcome outcome;
    const auto engine = Engine::Load(options);
    EXPECT_TRUE(engine.ok()) << engine.status().message();
    if (!engine.ok()) return outcome;
    outcome.n_remembered = (*engine)->plan().n_remembered;
    const auto logits = AllLogits(**engine, tokens_);
    EXPECT_TRUE(logits.ok()) << logits.status().message();
    if (logits.ok()) outcome.logits = *logits;
    outcome.stats = (*engine)->expert_stats();
    return outcome;
  }

  const std::string cache_ = TemporaryPath("cache");
  const std::string path_ = TemporaryPath("warm.gguf");
  std::string cache_before_;
  const std::vector<std::int32_t> tokens_ = {3, 14, 15, 92, 65, 35, 8, 9, 79, 32, 38, 46};
  EngineOptions options_;
};

TEST_F(WarmStartOfEngine, TheSecondRunBeginsWarmAndNoBitDiffers) {
  EngineOptions cold_options = options_;
  cold_options.warm_start = false;
  std::size_t n_differing = 0;
  int n_runs = 0;
  for (const bool is_small : {false, true}) {
    if (is_small) {
      options_.memory_budget_bytes = NamedSmallestBudget(cold_options);
      cold_options.memory_budget_bytes = options_.memory_budget_bytes;
    }
    const Outcome cold = Run(cold_options);
    EXPECT_EQ(cold.stats.n_warm_started, 0u);
    std::filesystem::remove_all(cache_);
    const Outcome first = Run(options_);
    EXPECT_EQ(first.n_remembered, 0u);
    EXPECT_EQ(first.stats.n_hits, cold.stats.n_hits);
    const Outcome second = Run(options_);
    EXPECT_GT(second.n_remembered, 10u);
    EXPECT_GT(second.stats.n_warm_started, 0u);
    if (!is_small) {
      EXPECT_GT(second.stats.n_hits, first.stats.n_hits);
      PrintFigure("warm-start-hits-gained",
                  static_cast<double>(second.stats.n_hits - first.stats.n_hits), ">", 0);
    }
    for (const Outcome* outcome : {&first, &second}) {
      n_differing += CountDifferingFloats(cold.logits, outcome->logits);
      ++n_runs;
    }
  }
  PrintFigure("warm-start-runs", n_runs, ">=", 4);
  PrintFigure("warm-start-differing-floats", static_cast<double>(n_differing), "==", 0);
  EXPECT_EQ(n_differing, 0u);
}

TEST_F(WarmStartOfEngine, OffLeavesNothingBehind) {
  options_.warm_start = false;
  Run(options_);
  EXPECT_FALSE(std::filesystem::exists(cache_));
}

TEST_F(WarmStartOfEngine, WhateverIsWrongWithTheFileIsAColdStart) {
  const std::vector<float> right = Run(options_).logits;
  const std::string heat = HeatFilePath(path_);
  ASSERT_TRUE(std::filesystem::exists(heat));
  EXPECT_GT(Run(options_).n_remembered, 0u);

  std::filesystem::resize_file(heat, std::filesystem::file_size(heat) - 3);
  Outcome outcome = Run(options_);  // which mends it
  EXPECT_EQ(outcome.n_remembered, 0u);
  EXPECT_EQ(CountDifferingFloats(right, outcome.logits), 0u);
  EXPECT_GT(Run(options_).n_remembered, 0u);

  std::ofstream(heat) << "of something else";
  EXPECT_EQ(Run(options_).n_remembered, 0u);

  // The model is another one at the same place.
  std::filesystem::last_write_time(path_,
                                   std::filesystem::last_write_time(path_) - std::chrono::hours(1));
  EXPECT_EQ(Run(options_).n_remembered, 0u);

  std::filesystem::remove_all(cache_);
  std::ofstream(cache_) << "no folder can be here";
  outcome = Run(options_);
  EXPECT_EQ(outcome.n_remembered, 0u);
  EXPECT_EQ(CountDifferingFloats(right, outcome.logits), 0u);
}

// Holds the n-th read back until it is let go.
class HoldingReader final : public AsyncReader {
 public:
  HoldingReader(std::uint64_t held, const std::atomic<bool>* let_go)
      : inner_(MakeSynchronousReader()), held_(held), let_go_(let_go) {}

  std::string name() const override { return "holding"; }
  Status Submit(std::span<const ReadRequest> requests) override {
    for (const ReadRequest& request : requests) {
      if (n_submitted_++ == held_) {
        waiting_.push_back(request);
      } else {
        LARDER_RETURN_IF_ERROR(inner_->Submit({&request, 1}));
      }
    }
    return Status::Ok();
  }
  Result<std::size_t> Reap(std::span<ReadCompletion> out, std::int64_t timeout_us) override {
    const std::int64_t end_us = NowUs() + timeout_us;
    while (true) {
      if (let_go_->load() && !waiting_.empty()) {
        LARDER_RETURN_IF_ERROR(inner_->Submit(waiting_));
        waiting_.clear();
      }
      if (inner_->n_in_flight() > 0 || n_in_flight() == 0) return inner_->Reap(out, 0);
      if (timeout_us >= 0 && NowUs() >= end_us) return std::size_t{0};
      std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
  }
  std::size_t n_in_flight() const override { return inner_->n_in_flight() + waiting_.size(); }

 private:
  std::unique_ptr<AsyncReader> inner_;
  std::uint64_t n_submitted_ = 0;
  std::uint64_t held_;
  const std::atomic<bool>* let_go_;
  std::vector<ReadRequest> waiting_;
};

TEST_F(WarmStartOfEngine, CancellingDoesNotWaitForTheDisk) {
  options_.warm_start = false;
  options_.memory_budget_bytes = NamedSmallestBudget(options_);
  const std::vector<float> right = Run(options_).logits;
  // Reads of loading come first; 40 and more are of experts.
  for (const std::uint64_t held : {40, 41, 55, 90}) {
    std::atomic<bool> let_go{false};
    EngineOptions options = options_;
    options.wrap_reader = [&](std::unique_ptr<AsyncReader>) {
      return std::make_unique<HoldingReader>(held, &let_go);
    };
    const auto engine = Engine::Load(options);
    ASSERT_TRUE(engine.ok()) << engine.status().message();
    {
      const auto session = (*engine)->NewSession();
      ASSERT_TRUE(session.ok());
      std::thread other([&session] {
        std::this_thread::sleep_for(std::chrono::milliseconds(60));
        (*session)->Cancel();
      });
      // Without the cancellation it would never come back.
      const Status status = (*session)->Append(tokens_, LogitsFor::kNone, nullptr);
      other.join();
      EXPECT_EQ(status.code(), StatusCode::kCancelled) << held << ": " << status.message();
    }
    let_go = true;
    const auto logits = AllLogits(**engine, tokens_);
    ASSERT_TRUE(logits.ok()) << logits.status().message();
    EXPECT_EQ(CountDifferingFloats(right, *logits), 0u) << held;
  }
}

}  // namespace
}  // namespace larder
