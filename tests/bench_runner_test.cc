// What a bench that is stopped has measured, on a tiny model.
#include "cli/bench_runner.h"

#include <gtest/gtest.h>

#include "helpers/tiny_model.h"

namespace larder {
namespace {

// A run without end of answers of 10 tokens, stopped before token `n` (from 0) of all.
Result<SustainedRun> StoppedBefore(int n) {
  const std::string path = TemporaryPath("bench-runner.gguf");
  WriteTinyModel(path);
  LARDER_ASSIGN_OR_RETURN(
      const std::unique_ptr<Engine> engine,
      Engine::Load({.model_path = path, .memory_budget_bytes = 1u << 30, .n_threads = 1}));
  LARDER_ASSIGN_OR_RETURN(const std::unique_ptr<Session> session, engine->NewSession());
  BenchOptions options;
  options.interrupted = [n_left = n]() mutable { return n_left-- <= 0; };
  BenchRunner runner(engine.get(), session.get(), std::move(options));
  const Result<SustainedRun> run = runner.RunSustained({false, 10, 0}, 3600, 20);
  std::remove(path.c_str());
  return run;
}

TEST(BenchRunner, TokensOfAnInterruptedAnswerCount) {
  for (const int n : {3, 13}) {
    const auto run = StoppedBefore(n);
    ASSERT_TRUE(run.ok()) << run.status().message();
    EXPECT_TRUE(run->is_interrupted);
    ASSERT_EQ(run->windows.size(), 1u);
    EXPECT_EQ(run->windows[0].n_tokens, n);
    EXPECT_GT(run->Rate(), 0);
  }
  EXPECT_EQ(StoppedBefore(0).status().code(), StatusCode::kCancelled);
}

}  // namespace
}  // namespace larder
