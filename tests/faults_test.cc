// The n-th read of a short run fails, is short, late or reports nonsense, for every n: the run
// gives the right logits (after a retry) or fails with one sentence; never other logits, never a
// hang.
#include <gtest/gtest.h>

#include "helpers/golden.h"
#include "helpers/tiny_model.h"
#include "io/test_readers.h"

namespace larder {
namespace {

EngineOptions SmallOptions(const std::string& path) {
  EngineOptions options = {.model_path = path, .memory_budget_bytes = 1u << 30};
  options.n_threads = 2;
  options.max_batch = 4;
  return options;
}

// The process counts in its budget and grows from run to run (much more so under sanitizers), so
// the smallest budget is asked for anew each time, and again if the process grew in between.
Result<std::vector<float>> LogitsAtSmallestBudget(EngineOptions options,
                                                  std::span<const std::int32_t> tokens) {
  for (int attempt = 0;; ++attempt) {
    options.memory_budget_bytes = NamedSmallestBudget(options);
    Result<std::vector<float>> logits = AllLogits(options, tokens);
    const bool refused = !logits.ok() && logits.status().code() == StatusCode::kOutOfMemory;
    if (!refused || attempt == 4) return logits;
  }
}

struct Outcome {
  int n_right = 0;
  int n_failed = 0;
  int n_wrong = 0;
};

class Faults : public testing::Test {
 protected:
  void SetUp() override {
    WriteTinyModel(path_);
    options_ = SmallOptions(path_);
    EngineOptions counting = options_;
    counting.wrap_reader = [this](std::unique_ptr<AsyncReader> reader) {
      return MakeFaultInjectingReader(std::move(reader), [this](std::uint64_t n) {
        n_reads_ = n + 1;
        return Fault();
      });
    };
    const auto logits = LogitsAtSmallestBudget(counting, tokens_);
    EXPECT_TRUE(logits.ok()) << logits.status().message();
    if (logits.ok()) right_ = *logits;
  }

  void TearDown() override { std::remove(path_.c_str()); }

  // One run in which reads for which `decide` says so go wrong.
  void Run(const std::function<Fault(std::uint64_t)>& decide, Outcome* outcome) {
    EngineOptions options = options_;
    options.wrap_reader = [&decide](std::unique_ptr<AsyncReader> reader) {
      return MakeFaultInjectingReader(std::move(reader), decide);
    };
    const auto logits = LogitsAtSmallestBudget(options, tokens_);
    if (!logits.ok()) {
      ++outcome->n_failed;
      EXPECT_EQ(logits.status().code(), StatusCode::kIoError) << logits.status().message();
      EXPECT_FALSE(logits.status().message().empty());
    } else if (CountDifferingFloats(right_, *logits) == 0) {
      ++outcome->n_right;
    } else {
      ++outcome->n_wrong;
    }
  }

  const std::string path_ = TemporaryPath("faults.gguf");
  const std::vector<std::int32_t> tokens_ = {3, 14, 15, 92, 65, 35, 8, 9, 79, 32};
  EngineOptions options_;
  std::uint64_t n_reads_ = 0;
  std::vector<float> right_;
};

TEST_F(Faults, EveryReadOnce) {
  ASSERT_GT(n_reads_, 100u);
  Outcome outcome;
  for (const FaultKind kind :
       {FaultKind::kError, FaultKind::kShort, FaultKind::kLate, FaultKind::kCorrupt}) {
    for (std::uint64_t n = 0; n < n_reads_; ++n) {
      Run(
          [=](std::uint64_t at) {
            return at == n ? Fault{kind, kind == FaultKind::kLate ? 2000 : 0} : Fault();
          },
          &outcome);
    }
  }
  PrintFigure("fault-runs", outcome.n_right + outcome.n_failed + outcome.n_wrong, ">=", 400);
  PrintFigure("wrong-logits-after-a-fault", outcome.n_wrong, "==", 0);
  EXPECT_EQ(outcome.n_wrong, 0);
  // Reads of experts are retried, so most single faults are survived.
  EXPECT_GT(outcome.n_right, outcome.n_failed);
}

TEST_F(Faults, DiskThatStaysBrokenFailsTheRun) {
  Outcome outcome;
  // Not the very last: a run whose budget was rounded up to one more slot reads a little less.
  for (std::uint64_t n : {std::uint64_t{0}, n_reads_ / 3, n_reads_ / 2, n_reads_ * 9 / 10}) {
    Run([=](std::uint64_t at) { return at >= n ? Fault{FaultKind::kError} : Fault(); }, &outcome);
  }
  EXPECT_EQ(outcome.n_failed, 4);
}

}  // namespace
}  // namespace larder
