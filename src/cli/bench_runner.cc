// Timed prompts and answers.
#include "cli/bench_runner.h"

#include <fmt/format.h>

#include <utility>

#include "base/clock.h"
#include "base/random.h"
#include "sample/sampler.h"

namespace larder {

std::uint64_t Fnv1a(const void* data, std::size_t size_bytes, std::uint64_t hash) {
  const auto* bytes = static_cast<const unsigned char*>(data);
  for (std::size_t i = 0; i < size_bytes; ++i) hash = (hash ^ bytes[i]) * 0x100000001b3ull;
  return hash;
}

std::string BenchTest::Name() const {
  const std::string name = fmt::format("{}{}", is_prompt ? "pp" : "tg", n_tokens);
  return depth > 0 ? fmt::format("{} @ d{}", name, depth) : name;
}

BenchRunner::BenchRunner(Engine* engine, Session* session, BenchOptions options)
    : engine_(engine),
      session_(session),
      options_(std::move(options)),
      cold_(engine->plan().n_remembered == 0) {}

// Random ids differ between repetitions, so that none finds its own experts waiting.
std::vector<std::int32_t> BenchRunner::Tokens(std::int64_t first, std::int64_t n,
                                              int repetition) const {
  std::vector<std::int32_t> tokens;
  const auto n_vocab = static_cast<std::uint64_t>(engine_->shape().n_vocab);
  for (std::int64_t i = first; i < first + n; ++i) {
    if (!options_.tokens.empty()) {
      tokens.push_back(options_.tokens[static_cast<std::size_t>(i) % options_.tokens.size()]);
      continue;
    }
    SplitMix64 random(options_.seed + static_cast<std::uint64_t>(repetition) * 1'000'003 +
                      static_cast<std::uint64_t>(i) * 0x9e3779b97f4a7c15ull);
    tokens.push_back(static_cast<std::int32_t>(random.NextBelow(n_vocab)));
  }
  return tokens;
}

Status BenchRunner::FillTo(std::int64_t depth, int repetition) {
  session_->Clear();
  if (depth == 0) return Status::Ok();
  cold_ = false;
  return session_->Append(Tokens(0, depth, repetition), LogitsFor::kNone, nullptr);
}

void BenchRunner::ResetCounts() {
  engine_->ResetStats();
  if (options_.counter != nullptr) options_.counter->Clear();
}

void BenchRunner::Take(BenchRepetition* repetition, std::int64_t n_tokens,
                       std::int64_t start_us) const {
  repetition->figures.n_tokens = n_tokens;
  repetition->figures.n_evaluated = n_tokens;
  repetition->figures.seconds = SecondsSince(start_us);
  repetition->figures.experts = engine_->expert_stats();
  repetition->figures.times = engine_->phase_times();
  if (options_.counter != nullptr) {
    repetition->experts_used_per_layer_min = options_.counter->LeastUsed();
  }
}

Status BenchRunner::RunPrompt(const BenchTest& test, int repetition, BenchRepetition* result) {
  LARDER_RETURN_IF_ERROR(FillTo(test.depth, repetition));
  const std::vector<std::int32_t> tokens = Tokens(test.depth, test.n_tokens, repetition);
  const auto hash = [result](std::int64_t, std::span<const float> logits) {
    result->hash = Fnv1a(logits.data(), logits.size_bytes());
  };
  ResetCounts();
  const std::int64_t start_us = NowUs();
  LARDER_RETURN_IF_ERROR(session_->Append(tokens, LogitsFor::kLastToken, hash));
  Take(result, test.n_tokens, start_us);
  return Status::Ok();
}

Status BenchRunner::RunAnswer(const BenchTest& test, int repetition, BenchRepetition* result) {
  LARDER_RETURN_IF_ERROR(FillTo(test.depth, repetition));
  const bool is_fed = !options_.tokens.empty();
  const std::vector<std::int32_t> fed = Tokens(test.depth, is_fed ? test.n_tokens : 1, repetition);
  SamplerParams params;
  params.temperature = is_fed ? 0 : 1;
  params.seed = options_.seed + static_cast<std::uint64_t>(repetition);
  Sampler sampler(params);
  result->hash = Fnv1a(nullptr, 0);
  std::int32_t next = fed[0];
  const auto sample = [&](std::int64_t, std::span<const float> logits) {
    next = sampler.Sample(logits);
  };
  ResetCounts();
  const std::int64_t start_us = NowUs();
  Status status;
  std::int64_t n_done = 0;
  for (; n_done < test.n_tokens; ++n_done) {
    if (options_.interrupted && options_.interrupted()) status = Cancelled("stopped");
    if (!status.ok()) break;
    const std::int32_t token = is_fed ? fed[static_cast<std::size_t>(n_done)] : next;
    const std::int64_t token_start_us = NowUs();
    status = session_->Append({&token, 1}, LogitsFor::kLastToken, sample);
    if (!status.ok()) break;
    result->token_seconds.push_back(SecondsSince(token_start_us));
    result->hash = Fnv1a(&next, sizeof(next), result->hash);
  }
  Take(result, n_done, start_us);
  return status;
}

Result<std::vector<LookaheadPair>> BenchRunner::RunPairs(const BenchTest& test, int n_pairs) {
  std::vector<LookaheadPair> pairs;
  BenchRepetition not_counted;
  LARDER_RETURN_IF_ERROR(RunAnswer(test, 0, &not_counted));
  for (int i = 0; i < n_pairs; ++i) {
    if (options_.on_start) {
      options_.on_start(fmt::format("{}, lookahead pair {} of {}", test.Name(), i + 1, n_pairs));
    }
    LookaheadPair pair;
    for (int half = 0; half < 2; ++half) {
      const bool is_with = (i + half) % 2 == 0;
      engine_->SetLookahead(is_with ? LookaheadMode::kAuto : LookaheadMode::kOff);
      BenchRepetition repetition;
      LARDER_RETURN_IF_ERROR(RunAnswer(test, 1 + 2 * i + half, &repetition));
      (is_with ? pair.with : pair.without) = repetition.figures.tokens_per_second();
    }
    pairs.push_back(pair);
  }
  return pairs;
}

Result<SustainedRun> BenchRunner::RunSustained(const BenchTest& test, double seconds,
                                               int n_windows) {
  SustainedRun run;
  ExpertStats sum;
  SustainedWindow window;
  const double window_s = seconds / n_windows;
  double total_s = 0;
  for (int i = 0; total_s < seconds && !run.is_interrupted; ++i) {
    BenchRepetition repetition;
    const Status answered = RunAnswer(test, i, &repetition);
    run.is_interrupted = answered.code() == StatusCode::kCancelled;
    if (!answered.ok() && !run.is_interrupted) return answered;
    if (repetition.figures.n_tokens == 0) break;
    sum.n_hits += repetition.figures.experts.n_hits;
    sum.n_misses += repetition.figures.experts.n_misses;
    window.bytes_read += static_cast<double>(repetition.figures.experts.bytes_read);
    window.seconds += repetition.figures.seconds;
    window.n_tokens += repetition.figures.n_tokens;
    total_s += repetition.figures.seconds;
    if (window.seconds < window_s && total_s < seconds) continue;
    window.hit_rate = HitRate(sum);
    run.windows.push_back(std::exchange(window, {}));
    sum = ExpertStats();
    if (options_.on_start) {
      options_.on_start(fmt::format("{} for {:.0f} of {:.0f} s: {:.2f} tokens/s", test.Name(),
                                    total_s, seconds, run.windows.back().rate()));
    }
  }
  if (window.n_tokens > 0) {
    window.hit_rate = HitRate(sum);
    run.windows.push_back(window);
  }
  if (run.windows.empty()) return Cancelled("stopped");
  return run;
}

Result<std::vector<BenchRepetition>> BenchRunner::Run(const BenchTest& test) {
  std::vector<BenchRepetition> repetitions;
  for (int i = 0; i < options_.n_repetitions; ++i) {
    if (options_.on_start) {
      options_.on_start(
          fmt::format("{}, repetition {} of {}", test.Name(), i + 1, options_.n_repetitions));
    }
    const bool cold = cold_ && test.depth == 0;
    BenchRepetition repetition;
    LARDER_RETURN_IF_ERROR(test.is_prompt ? RunPrompt(test, i, &repetition)
                                          : RunAnswer(test, i, &repetition));
    repetition.cold = cold;
    cold_ = false;
    repetitions.push_back(std::move(repetition));
  }
  return repetitions;
}

}  // namespace larder
