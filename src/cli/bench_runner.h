// Runs the tests of larder bench on a loaded engine: prompts ("pp") and answers ("tg") at a depth,
// repeated. One thread; the only user of the engine's session.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/status.h"
#include "cli/bench_sustained.h"
#include "cli/routing_replay.h"
#include "cli/timing.h"
#include "engine/session.h"

namespace larder {

struct BenchTest {
  bool is_prompt = false;
  std::int64_t n_tokens = 0;
  std::int64_t depth = 0;
  std::string Name() const;  // "pp512", "tg128 @ d8192"
};

struct BenchRepetition {
  bool cold = false;  // no expert had been read yet
  PhaseFigures figures;
  std::vector<double> token_seconds;   // of an answer
  int experts_used_per_layer_min = 0;  // by the model's own router; 0 where it is replaced
  std::uint64_t hash = 0;              // of produced tokens, or of the last token's logits
};

/// The same answer with and without lookahead, one right after the other; tokens/s.
struct LookaheadPair {
  double with = 0;
  double without = 0;
};

struct BenchOptions {
  int n_repetitions = 3;
  std::uint64_t seed = 1;
  std::vector<std::int32_t> tokens;   // fed instead of random and sampled ones, cyclically
  RoutingCounter* counter = nullptr;  // set on the engine by the caller; may be null
  std::function<void(const std::string& what)> on_start;
  std::function<bool()> interrupted;
};

class BenchRunner {
 public:
  /// Both outlive the runner.
  BenchRunner(Engine* engine, Session* session, BenchOptions options);

  /// All repetitions of one test. kCancelled after an interrupt.
  Result<std::vector<BenchRepetition>> Run(const BenchTest& test);

  /// Pairs in alternating order, after one answer that is not counted.
  Result<std::vector<LookaheadPair>> RunPairs(const BenchTest& test, int n_pairs);

  /// Answers of test.n_tokens one after the other for `seconds`, counted in `n_windows` windows. An
  /// interrupt ends it behind its last whole token; kCancelled when there was none.
  Result<SustainedRun> RunSustained(const BenchTest& test, double seconds, int n_windows);

 private:
  Status RunPrompt(const BenchTest& test, int repetition, BenchRepetition* result);
  /// Of an answer that an interrupt ends, `result` has the tokens before it.
  Status RunAnswer(const BenchTest& test, int repetition, BenchRepetition* result);
  std::vector<std::int32_t> Tokens(std::int64_t first, std::int64_t n, int repetition) const;
  Status FillTo(std::int64_t depth, int repetition);
  void ResetCounts();
  void Take(BenchRepetition* repetition, std::int64_t n_tokens, std::int64_t start_us) const;

  Engine* engine_;
  Session* session_;
  BenchOptions options_;
  bool cold_;
};

/// FNV-1a, 64 bits, continued from `hash`. Source: draft-eastlake-fnv.
std::uint64_t Fnv1a(const void* data, std::size_t size_bytes,
                    std::uint64_t hash = 0xcbf29ce484222325ull);

}  // namespace larder
