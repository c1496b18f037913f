// The n-th read of a run fails, is short, ten seconds late or reports nonsense, for every n from
// the first to the last: the run gives the right logits, after retries; a disk that stays broken
// fails it with one sentence. Never other logits, never a hang.
#include <gtest/gtest.h>

#include "helpers/golden.h"
#include "helpers/synchronous_reader.h"
#include "helpers/tiny_model.h"
#include "io/test_readers.h"

namespace larder {
namespace {

// The sweep takes a run per read and kind of fault: under sanitizers only of every few reads, but
// of the first and the last in any case.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::uint64_t kStride = 13;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
constexpr std::uint64_t kStride = 13;
#else
constexpr std::uint64_t kStride = 1;
#endif
#else
constexpr std::uint64_t kStride = 1;
#endif

const char* NameOf(FaultKind kind) {
  switch (kind) {
    case FaultKind::kError:
      return "error";
    case FaultKind::kShort:
      return "short";
    case FaultKind::kLate:
      return "late";
    case FaultKind::kCorrupt:
      return "corrupt";
    case FaultKind::kNone:
      break;
  }
  return "none";
}

class Faults : public testing::Test {
 protected:
  using Decide = std::function<Fault(std::uint64_t n)>;

  void SetUp() override {
    WriteTinyModel(path_);
    options_ = {.model_path = path_, .n_threads = 1, .max_batch = 4};
    options_.process_bytes = kFixedProcessBytes;
    options_.lookahead = LookaheadMode::kOff;  // every run has the same reads
    options_.memory_budget_bytes = NamedSmallestBudget(options_);
    for (std::int32_t i = 0; i < 32; ++i) tokens_.push_back((i * 29 + 3) % 96);
    const auto logits = Run([](std::uint64_t) { return Fault(); });
    ASSERT_TRUE(logits.ok()) << logits.status().message();
    right_ = *logits;
  }

  void TearDown() override { std::remove(path_.c_str()); }

  // One run in which reads for which `decide` says so go wrong; counts its reads.
  Result<std::vector<float>> Run(const Decide& decide) {
    EngineOptions options = options_;
    n_reads_ = 0;
    options.wrap_reader = [&](std::unique_ptr<AsyncReader>) {
      // Reads one after the other: every run has the same.
      return MakeFaultInjectingReader(MakeSynchronousReader(), [&](std::uint64_t n) {
        n_reads_ = std::max(n_reads_, n + 1);
        return decide(n);
      });
    };
    return AllLogits(options, tokens_);
  }

  const std::string path_ = TemporaryPath("faults.gguf");
  std::vector<std::int32_t> tokens_;
  EngineOptions options_;
  std::uint64_t n_reads_ = 0;
  std::vector<float> right_;
};

TEST_F(Faults, EveryReadOnce) {
  const std::uint64_t n_reads = n_reads_;
  ASSERT_GT(n_reads, 300u);
  int n_runs = 0;
  int n_failed = 0;
  int n_wrong = 0;
  for (const FaultKind kind :
       {FaultKind::kError, FaultKind::kShort, FaultKind::kLate, FaultKind::kCorrupt}) {
    for (std::uint64_t n = 0; n < n_reads; n = n + kStride < n_reads ? n + kStride : n_reads) {
      bool came = false;
      const auto logits = Run([&](std::uint64_t at) {
        if (at != n) return Fault();
        came = true;
        return Fault{kind, kUntilNothingElse};
      });
      ASSERT_TRUE(came) << "read " << n << " of " << n_reads;
      ++n_runs;
      if (!logits.ok()) {
        ++n_failed;
        ADD_FAILURE() << NameOf(kind) << " " << n << ": " << logits.status().message();
      } else if (CountDifferingFloats(right_, *logits) != 0) {
        ++n_wrong;
        ADD_FAILURE() << NameOf(kind) << " " << n << " changed the logits";
      }
    }
  }
  PrintFigure("fault-runs", n_runs, ">=", 4.0 * static_cast<double>(n_reads / kStride));
  PrintFigure("runs-failed-by-one-fault", n_failed, "==", 0);
  PrintFigure("wrong-logits-after-a-fault", n_wrong, "==", 0);
}

// Reads ahead are begun as time allows, so the n-th read is another one in every run.
TEST_F(Faults, EveryReadOnceWithLookahead) {
  options_.lookahead = LookaheadMode::kOn;
  options_.memory_budget_bytes = *options_.memory_budget_bytes + (std::uint64_t{1} << 20);
  int n_failed = 0;
  int n_wrong = 0;
  for (const FaultKind kind :
       {FaultKind::kError, FaultKind::kShort, FaultKind::kLate, FaultKind::kCorrupt}) {
    for (std::uint64_t n = 0; n < 300; n += 3 * kStride) {
      const auto logits = Run([&](std::uint64_t at) {
        return at == n ? Fault{kind, kUntilNothingElse} : Fault();
      });
      if (!logits.ok()) {
        ++n_failed;
        ADD_FAILURE() << NameOf(kind) << " " << n << ": " << logits.status().message();
      } else if (CountDifferingFloats(right_, *logits) != 0) {
        ++n_wrong;
        ADD_FAILURE() << NameOf(kind) << " " << n << " changed the logits";
      }
    }
  }
  PrintFigure("runs-with-lookahead-failed-by-one-fault", n_failed, "==", 0);
  PrintFigure("wrong-logits-after-a-fault-with-lookahead", n_wrong, "==", 0);
}

TEST_F(Faults, DiskThatStaysBrokenFailsTheRun) {
  const std::uint64_t n_reads = n_reads_;
  for (const FaultKind kind : {FaultKind::kError, FaultKind::kShort, FaultKind::kCorrupt}) {
    for (const std::uint64_t n : {std::uint64_t{0}, n_reads / 3, n_reads / 2, n_reads - 1}) {
      const auto logits = Run([&](std::uint64_t at) { return at >= n ? Fault{kind} : Fault(); });
      ASSERT_FALSE(logits.ok()) << NameOf(kind) << " from read " << n << " of " << n_reads;
      EXPECT_EQ(logits.status().code(), StatusCode::kIoError) << logits.status().message();
    }
  }
}

}  // namespace
}  // namespace larder
