// sessions_bench: several sessions at once on one engine, beside one alone: answers and prompts,
// with routing generated per session (every session its own favourite experts, or all the same
// ones). Both are measured in turn, several times, and compared within the run: medians.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "base/size.h"
#include "cli/routing_replay.h"
#include "engine/scheduler.h"
#include "experts/routing_generator.h"

namespace larder {
namespace {

struct Options {
  std::string model;
  std::string memory;
  std::string workload = "mid";
  bool shared_ranking = false;
  double recall = 0.75;
  int n_sessions = 4;
  std::int64_t n_tokens = 64;  // of each answer, measured
  std::int64_t n_warm = 32;    // before them
  std::int64_t n_prompt = 0;   // of each prompt; 0: prompts are not measured
  std::int64_t max_batch = 0;
  int n_repeats = 3;
  std::string batching = "auto";
  std::string throttle;
  std::int64_t context_tokens = 2048;
  std::int64_t n_prefix = 0;  // tokens of the prompt that is sent again; 0: that is not measured
  std::string disk_folder;
};

// One sequence of routings for each session.
class TimelinesRouting final : public RoutingSource {
 public:
  TimelinesRouting(const Options& options, const RoutingParams& params, const ModelShape& shape) {
    for (int i = 0; i < options.n_sessions; ++i) {
      const auto seed = static_cast<std::uint64_t>(i + 1);
      sequences_.push_back(
          std::make_unique<RoutingGenerator>(params, shape.n_layers, shape.n_experts, shape.n_used,
                                             seed, options.shared_ranking ? 77 : 77 + seed));
      replays_.push_back(std::make_unique<RoutingReplay>(
          sequences_.back().get(), shape.n_layers,
          RoutingGuesser(options.recall, shape.n_experts, 1000 + seed)));
    }
  }
  void SetTimeline(int timeline) override {
    current_ = replays_[static_cast<std::size_t>(timeline)].get();
  }
  bool Choose(int layer, std::int64_t position, std::span<std::int32_t> ids) override {
    return current_->Choose(layer, position, ids);
  }
  bool Guess(int layer, std::int64_t position, std::span<std::int32_t> ids) override {
    return current_->Guess(layer, position, ids);
  }

 private:
  std::vector<std::unique_ptr<RoutingGenerator>> sequences_;
  std::vector<std::unique_ptr<RoutingReplay>> replays_;
  RoutingReplay* current_ = nullptr;
};

// Counts the tokens of all requests, and when the measured part began and ended.
struct Meter {
  std::int64_t n_warm = 0;
  std::int64_t n_wanted = 0;
  std::atomic<std::int64_t> n_seen{0};
  std::atomic<std::int64_t> start_us{0};
  std::atomic<std::int64_t> end_us{0};
  std::atomic<int> n_finished{0};
  std::atomic<bool> failed{false};
};

class MeterListener final : public GenerationListener {
 public:
  explicit MeterListener(Meter* meter) : meter_(meter) {}
  bool OnToken(std::int32_t, const Logprobs*) override {
    const std::int64_t n = ++meter_->n_seen;
    if (n == meter_->n_warm) meter_->start_us = NowUs();
    if (n == meter_->n_warm + meter_->n_wanted) meter_->end_us = NowUs();
    return n < meter_->n_warm + meter_->n_wanted;
  }
  void OnFinished(const GenerationResult& result) override {
    if (result.reason == FinishReason::kError) {
      LogWarning("{}", result.status.message());
      meter_->failed = true;
    }
    ++meter_->n_finished;
  }

 private:
  Meter* meter_;
};

GenerationRequest Request(std::int64_t n_prompt, std::int64_t max_tokens, std::uint64_t seed,
                          std::int64_t n_vocab) {
  SplitMix64 random(seed);
  GenerationRequest request;
  for (std::int64_t i = 0; i < n_prompt; ++i) {
    request.prompt.push_back(
        static_cast<std::int32_t>(random.NextBelow(static_cast<std::uint64_t>(n_vocab))));
  }
  request.sampling.temperature = 0;
  request.max_tokens = max_tokens;
  request.ignore_end_tokens = true;
  return request;
}

struct Rate {
  double tokens_per_second = 0;
  double hit_rate = 0;
  std::string batching;
  std::string phases;
};

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

// Where the time of the steps between two moments went, per step.
std::string PhasesOf(const SchedulerStats& before, const SchedulerStats& after) {
  const auto n_steps =
      static_cast<double>(std::max<std::uint64_t>(after.n_steps - before.n_steps, 1));
  const auto ms = [&](std::int64_t PhaseTimes::*phase) {
    return static_cast<double>(after.phases.*phase - before.phases.*phase) / n_steps / 1000;
  };
  return fmt::format(
      "{:.2f} rows a step; ms of it: embedding {:.2f}, attention {:.2f}, linear attention {:.2f}, "
      "router and shared {:.2f}, experts {:.2f}, waiting {:.2f}, output {:.2f}",
      static_cast<double>(after.n_step_rows - before.n_step_rows) / n_steps,
      ms(&PhaseTimes::embedding_us), ms(&PhaseTimes::attention_us),
      ms(&PhaseTimes::linear_attention_us), ms(&PhaseTimes::router_us), ms(&PhaseTimes::experts_us),
      ms(&PhaseTimes::expert_wait_us), ms(&PhaseTimes::output_us));
}

// Answers of `count` sessions at once; all of them go on until the last token is counted.
Result<Rate> MeasureAnswers(Engine* engine, const Options& options, int count, BatchMode mode) {
  LARDER_ASSIGN_OR_RETURN(
      const std::unique_ptr<Scheduler> scheduler,
      Scheduler::Create(engine, {.n_parallel = count, .batching = mode, .reuse_prefixes = false}));
  Meter meter;
  meter.n_warm = options.n_warm * count;
  meter.n_wanted = options.n_tokens * count;
  const std::int64_t n_vocab = engine->shape().n_vocab;
  for (int i = 0; i < count; ++i) {
    auto id = scheduler->Submit(Request(4, -1, static_cast<std::uint64_t>(i + 1), n_vocab),
                                std::make_shared<MeterListener>(&meter));
    if (!id.ok()) return id.status();
  }
  while (meter.start_us == 0 && meter.n_finished == 0) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  const SchedulerStats before = scheduler->stats();
  while (meter.n_finished < count) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  if (meter.failed) return IoError("a request failed");
  if (meter.end_us == 0) return InvalidArgument("the context is too short for these tokens");
  const SchedulerStats stats = scheduler->stats();
  Rate rate;
  rate.tokens_per_second = 1e6 * static_cast<double>(meter.n_wanted) /
                           static_cast<double>(meter.end_us - meter.start_us);
  const auto hits = static_cast<double>(stats.experts.n_hits - before.experts.n_hits);
  const auto misses = static_cast<double>(stats.experts.n_misses - before.experts.n_misses);
  rate.hit_rate = hits / std::max(hits + misses, 1.0);
  rate.batching = stats.batching;
  rate.phases = PhasesOf(before, stats);
  return rate;
}

// Seconds for `count` prompts, submitted at once; other prompts for another `seed`.
Result<double> MeasurePrompts(Engine* engine, const Options& options, int count, BatchMode mode,
                              int seed) {
  LARDER_ASSIGN_OR_RETURN(
      const std::unique_ptr<Scheduler> scheduler,
      Scheduler::Create(engine, {.n_parallel = count, .batching = mode, .reuse_prefixes = false}));
  Meter meter;
  const std::int64_t start_us = NowUs();
  for (int i = 0; i < count; ++i) {
    auto id = scheduler->Submit(
        Request(options.n_prompt, 0, static_cast<std::uint64_t>(seed * count + i + 1),
                engine->shape().n_vocab),
        std::make_shared<MeterListener>(&meter));
    if (!id.ok()) return id.status();
  }
  while (meter.n_finished < count) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  if (meter.failed) return IoError("a request failed");
  return SecondsSince(start_us);
}

Status MeasurePromptPairs(Engine* engine, const Options& options) {
  const int count = options.n_sessions;
  std::vector<double> ratios;
  for (int i = 0; i < options.n_repeats; ++i) {
    const int seed = 1 + 2 * i;
    LARDER_ASSIGN_OR_RETURN(const double apart,
                            MeasurePrompts(engine, options, count, BatchMode::kNever, seed));
    LARDER_ASSIGN_OR_RETURN(const double together,
                            MeasurePrompts(engine, options, count, BatchMode::kAuto, seed + 1));
    fmt::print("{} prompts of {} tokens: {:.2f} s one after another, {:.2f} s together\n", count,
               options.n_prompt, apart, together);
    ratios.push_back(apart / together);
  }
  fmt::print("prompts_ratio {:.3f}\n", Median(std::move(ratios)));
  return Status::Ok();
}

Status MeasureAnswerPairs(Engine* engine, const Options& options) {
  const BatchMode mode = options.batching == "always"  ? BatchMode::kAlways
                         : options.batching == "never" ? BatchMode::kNever
                                                       : BatchMode::kAuto;
  std::vector<double> ratios;
  std::vector<double> hit_rates;
  for (int i = 0; i < options.n_repeats; ++i) {
    LARDER_ASSIGN_OR_RETURN(const Rate alone, MeasureAnswers(engine, options, 1, BatchMode::kAuto));
    fmt::print("one session: {:.3f} tokens/s, {:.1f} % hits; {}\n", alone.tokens_per_second,
               100 * alone.hit_rate, alone.phases);
    hit_rates.push_back(alone.hit_rate);
    if (options.n_sessions < 2) continue;
    LARDER_ASSIGN_OR_RETURN(const Rate all,
                            MeasureAnswers(engine, options, options.n_sessions, mode));
    fmt::print("{} sessions: {:.3f} tokens/s in all, {:.1f} % hits; {}; {}\n", options.n_sessions,
               all.tokens_per_second, 100 * all.hit_rate, all.phases, all.batching);
    ratios.push_back(all.tokens_per_second / alone.tokens_per_second);
  }
  fmt::print("single_hit_rate {:.3f}\n", Median(std::move(hit_rates)));
  if (!ratios.empty()) fmt::print("answers_ratio {:.3f}\n", Median(std::move(ratios)));
  return Status::Ok();
}

// Slots start empty, and what fills them first is nobody's merit.
Status FillSlots(Engine* engine, Options options) {
  options.n_prompt = std::max<std::int64_t>(options.n_prompt, 256);
  const int n_times = engine->plan().slots.holds_all ? 4 : 1;
  for (int i = 0; i < n_times; ++i) {
    LARDER_RETURN_IF_ERROR(
        MeasurePrompts(engine, options, options.n_sessions, BatchMode::kAuto, 1000 + i).status());
  }
  return Status::Ok();
}

Status MeasureAll(Engine* engine, const Options& options) {
  LARDER_RETURN_IF_ERROR(FillSlots(engine, options));
  if (options.n_prompt > 0) LARDER_RETURN_IF_ERROR(MeasurePromptPairs(engine, options));
  if (options.n_tokens > 0) LARDER_RETURN_IF_ERROR(MeasureAnswerPairs(engine, options));
  return Status::Ok();
}

// ---- The same prompt again ----------------------------------------------------------------------

class FirstTokenListener final : public GenerationListener {
 public:
  bool OnToken(std::int32_t token, const Logprobs*) override {
    tokens.push_back(token);
    return true;
  }
  void OnFinished(const GenerationResult& finished) override {
    result = finished;
    is_finished = true;
  }

  std::vector<std::int32_t> tokens;
  GenerationResult result;
  std::atomic<bool> is_finished{false};
};

struct Asked {
  std::vector<std::int32_t> tokens;
  double first_token_seconds = 0;
  std::int64_t n_reused = 0;
};

Result<Asked> Ask(Scheduler& scheduler, const Options& options, std::int64_t n_vocab) {
  const auto listener = std::make_shared<FirstTokenListener>();
  auto id = scheduler.Submit(Request(options.n_prefix, 16, 1, n_vocab), listener);
  if (!id.ok()) return id.status();
  while (!listener->is_finished) std::this_thread::sleep_for(std::chrono::microseconds(200));
  if (listener->result.reason == FinishReason::kError) return listener->result.status;
  return Asked{listener->tokens, 1e-6 * static_cast<double>(listener->result.prompt_us),
               listener->result.n_reused};
}

Status MeasurePrefix(const EngineOptions& engine_options, const Options& options) {
  SchedulerOptions scheduler_options;
  scheduler_options.n_parallel = 1;
  scheduler_options.disk_folder = options.disk_folder;
  scheduler_options.disk_limit_bytes = std::uint64_t{4} << 30;
  std::vector<Asked> asked;
  for (int run = 0; run < 2; ++run) {
    LARDER_ASSIGN_OR_RETURN(const std::unique_ptr<Engine> engine, Engine::Load(engine_options));
    if (run == 0) fmt::print("{}\n", engine->plan().Describe());
    LARDER_ASSIGN_OR_RETURN(const std::unique_ptr<Scheduler> scheduler,
                            Scheduler::Create(engine.get(), scheduler_options));
    for (int i = 0; i < (run == 0 ? 2 : 1); ++i) {
      LARDER_ASSIGN_OR_RETURN(Asked one, Ask(*scheduler, options, engine->shape().n_vocab));
      fmt::print("{}: first token after {:.4f} s, {} of {} tokens reused\n",
                 run == 1 ? "after a restart"
                 : i == 0 ? "first time"
                          : "second time",
                 one.first_token_seconds, one.n_reused, options.n_prefix);
      asked.push_back(std::move(one));
    }
    scheduler->Stop(60000000);
  }
  const bool same = asked[1].tokens == asked[0].tokens && asked[2].tokens == asked[0].tokens;
  fmt::print("again_ratio {:.4f}\nrestart_ratio {:.4f}\nanswers_differ {}\n",
             asked[1].first_token_seconds / asked[0].first_token_seconds,
             asked[2].first_token_seconds / asked[0].first_token_seconds, same ? 0 : 1);
  return Status::Ok();
}

Status Run(const Options& options) {
  EngineOptions engine_options;
  engine_options.model_path = options.model;
  if (!options.memory.empty()) {
    LARDER_ASSIGN_OR_RETURN(engine_options.memory_budget_bytes, ParseSize(options.memory));
  }
  if (!options.throttle.empty()) {
    LARDER_ASSIGN_OR_RETURN(const std::uint64_t rate_bytes, ParseSize(options.throttle));
    engine_options.throttle_bytes_per_second = static_cast<double>(rate_bytes);
  }
  engine_options.context_tokens = options.context_tokens;
  engine_options.max_batch = options.max_batch;
  engine_options.n_sessions = options.n_sessions;
  if (options.n_prefix > 0) {
    engine_options.n_sessions = 1;
    engine_options.keep_prefixes = true;
    return MeasurePrefix(engine_options, options);
  }
  LARDER_ASSIGN_OR_RETURN(const std::unique_ptr<Engine> engine, Engine::Load(engine_options));
  fmt::print("{}\n", engine->plan().Describe());
  LARDER_ASSIGN_OR_RETURN(const RoutingParams params, RoutingGenerator::FromName(options.workload));
  TimelinesRouting routing(options, params, engine->shape());
  engine->SetRouting(&routing);
  const Status status = MeasureAll(engine.get(), options);
  engine->SetRouting(nullptr);
  return status;
}

int Main(int argc, char** argv) {
  InitLogging(spdlog::level::info);
  Options options;
  CLI::App app("Several sessions at once beside one alone");
  app.add_option("-m,--model", options.model, "the model file")->required();
  app.add_option("--memory", options.memory, "budget, such as 8G");
  app.add_option("--workload", options.workload, "easy, mid or hard")->capture_default_str();
  app.add_flag("--shared-ranking", options.shared_ranking, "all sessions prefer the same experts");
  app.add_option("--recall", options.recall, "of the lookahead")->capture_default_str();
  app.add_option("--sessions", options.n_sessions, "at once")->capture_default_str();
  app.add_option("-n,--tokens", options.n_tokens, "measured, of each answer")
      ->capture_default_str();
  app.add_option("--warm", options.n_warm, "tokens of each answer before")->capture_default_str();
  app.add_option("-p,--prompt", options.n_prompt, "tokens of each prompt")->capture_default_str();
  app.add_option("-r,--repeats", options.n_repeats, "of every pair that is compared")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--batch", options.max_batch, "prompt tokens at once");
  app.add_option("--ctx", options.context_tokens, "context")->capture_default_str();
  app.add_option("--batching", options.batching, "auto, always or never")
      ->check(CLI::IsMember({"auto", "always", "never"}));
  app.add_option("--io-throttle", options.throttle, "bytes per second, such as 500M");
  app.add_option("--prefix", options.n_prefix, "instead: a prompt of so many tokens, sent again");
  app.add_option("--disk", options.disk_folder, "folder of the cache on disk, for --prefix");
  CLI11_PARSE(app, argc, argv);
  const Status status = Run(options);
  if (status.ok()) return 0;
  fmt::print(stderr, "sessions_bench: {}\n", status.message());
  return 1;
}

}  // namespace
}  // namespace larder

int main(int argc, char** argv) { return larder::Main(argc, argv); }
