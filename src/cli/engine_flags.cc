// Options to EngineOptions.
#include "cli/engine_flags.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <utility>

#include "base/cpu_topology.h"
#include "base/size.h"
#include "cli/command.h"
#include "cli/demo_model.h"
#include "cli/engine_profile.h"
#include "cli/output.h"
#include "cli/progress.h"

namespace larder {

namespace {

// What changes how weights come from the disk, and never an answer.
void AddDiskFlags(CLI::App* app, EngineFlags* flags) {
  app->add_option("--io", flags->io, "how the disk is read: auto, uring or threads")
      ->type_name("MODE");
  app->add_option("--io-depth", flags->io_depth, "reads in flight, 16 by default")
      ->type_name("N")
      ->check(WholeNumber(1));
  app->add_option("--reads", flags->reads,
                  "direct (past the page cache), cached (through it) or auto (by the budget)")
      ->type_name("MODE")
      ->check(CLI::IsMember({"auto", "direct", "cached"}));
  app->add_option("--io-throttle", flags->throttle,
                  "reads at most SIZE per second, as a slower disk would")
      ->type_name("SIZE");
  app->add_option("--lookahead", flags->lookahead,
                  "read experts before their layer asks for them: auto (as far as it pays), on or "
                  "off")
      ->type_name("MODE");
  app->add_option("--lookahead-depth", flags->lookahead_depth,
                  fmt::format("such reads in flight, {} by default", flags->lookahead_depth))
      ->type_name("N")
      ->check(WholeNumber(1));
  app->add_option("--cache-half-life", flags->cache_half_life,
                  fmt::format("requests of a layer after which the use of an expert counts half "
                              "when the cache makes room, {:g} by default",
                              flags->cache_half_life))
      ->type_name("N");
}

}  // namespace

void AddEngineFlags(CLI::App* app, EngineFlags* flags) {
  flags->app = app;
  app->add_option("-m,--model", flags->model,
                  "GGUF file, the first part of a split one; default: "
                  "the demo model")
      ->type_name("FILE");
  app->add_option("--memory", flags->memory,
                  "budget of the whole process, such as 8G; default: from what is available")
      ->type_name("SIZE");
  app->add_option("--ctx", flags->context_tokens,
                  "positions to keep; default: the model's own, at most 4096")
      ->type_name("N")
      ->check(WholeNumber(1));
  app->add_option("--threads", flags->n_threads,
                  "default: one per fast core that this process may use")
      ->type_name("N")
      ->check(WholeNumber(1, kMostThreads));
  app->add_option("--pin", flags->pin,
                  "where threads run: auto (fast cores where there are slow ones), none, or cores "
                  "(each on a CPU of its own)")
      ->type_name("MODE")
      ->check(CLI::IsMember({"auto", "none", "cores"}));
  app->add_option("--batch", flags->batch_tokens, "prompt tokens at once; default: from the budget")
      ->type_name("N")
      ->check(WholeNumber(1));
  app->add_option("--kv-type", flags->kv_type,
                  "type of the KV cache: f16, or q8_0, about half of it; changes the answer")
      ->type_name("TYPE")
      ->check(CLI::IsMember({"f16", "q8_0"}));
  app->add_option("--experts", flags->n_used,
                  "experts per token; other than the model's own changes the answer")
      ->type_name("K")
      ->check(WholeNumber(1));
  app->add_option("--expert-mass", flags->expert_mass,
                  "only the first experts that reach this share of the router's weight, such as "
                  "0.9; changes the answer")
      ->type_name("P");
  AddDiskFlags(app, flags);
  app->add_option("--warm-start", flags->warm_start,
                  "begin with the experts that earlier runs used most, and remember them: on or "
                  "off; here by default " +
                      flags->warm_start)
      ->type_name("MODE");
  app->add_option("--profile", flags->profile,
                  "auto: what larder tune found for this model and budget, where nothing else is "
                  "given; none: the defaults")
      ->type_name("MODE")
      ->check(CLI::IsMember({"auto", "none"}));
}

Status CheckAtLeast(const char* option, std::int64_t value, std::int64_t least) {
  if (value >= least) return Status::Ok();
  return InvalidArgument("{} must be at least {}, not {}", option, least, value);
}

namespace {

// No error: swap and a growing machine are the user's to judge.
void WarnAboveMachine(std::uint64_t budget_bytes) {
  const std::int64_t n_pages = sysconf(_SC_PHYS_PAGES);
  const std::int64_t page_bytes = sysconf(_SC_PAGESIZE);
  if (n_pages <= 0 || page_bytes <= 0) return;
  const auto machine_bytes = static_cast<std::uint64_t>(n_pages * page_bytes);
  if (budget_bytes <= machine_bytes) return;
  PrintTo(stderr, "larder: --memory {} is more than the {} of this machine\n",
          FormatBytes(budget_bytes), FormatBytes(machine_bytes));
}

}  // namespace

Result<EngineFlags> WithProfile(EngineFlags flags) {
  const CLI::App* app = std::exchange(flags.app, nullptr);
  if (flags.profile == "none" || app == nullptr) return flags;
  LARDER_ASSIGN_OR_RETURN(const std::string model_path, ResolveModel(flags.model));
  std::uint64_t budget_bytes = 0;
  if (!flags.memory.empty()) {
    Result<std::uint64_t> parsed = ParseSize(flags.memory);
    if (!parsed.ok()) return parsed.status().WithContext("--memory");
    budget_bytes = *parsed;
  }
  const std::optional<EngineProfile> profile = FindProfile(model_path, budget_bytes);
  if (!profile) return flags;
  TuneSettings settings = profile->settings;
  const auto take = [app, &settings](const char* option, auto* value, auto TuneSettings::*from) {
    if (app->count(option) == 0) {
      *value = settings.*from;
    } else {
      settings.*from = TuneSettings().*from;
    }
  };
  // A profile makes no run fail: what this process cannot have, it does without. "auto" takes
  // io_uring where it can.
  if (settings.n_threads > UsableCpuCount()) settings.n_threads = 0;
  if (settings.io == "uring") settings.io = "auto";
  take("--threads", &flags.n_threads, &TuneSettings::n_threads);
  take("--pin", &flags.pin, &TuneSettings::pin);
  if (app->count("--batch") > 0) settings.batch = 0;
  flags.preferred_batch = settings.batch;
  take("--io", &flags.io, &TuneSettings::io);
  take("--io-depth", &flags.io_depth, &TuneSettings::io_depth);
  take("--reads", &flags.reads, &TuneSettings::reads);
  take("--lookahead", &flags.lookahead, &TuneSettings::lookahead);
  take("--lookahead-depth", &flags.lookahead_depth, &TuneSettings::lookahead_depth);
  take("--cache-half-life", &flags.cache_half_life, &TuneSettings::cache_half_life);
  flags.from_profile = settings.Options();
  if (flags.from_profile.empty()) return flags;
  PrintTo(stderr, "larder: profile of this model ({}): {}\n", ProfilePath(model_path),
          flags.from_profile);
  return flags;
}

Result<EngineOptions> MakeEngineOptions(const EngineFlags& given) {
  LARDER_ASSIGN_OR_RETURN(const EngineFlags flags, WithProfile(given));
  EngineOptions options;
  LARDER_RETURN_IF_ERROR(CheckAtLeast("--ctx", flags.context_tokens, 0));
  LARDER_RETURN_IF_ERROR(CheckAtLeast("--threads", flags.n_threads, 0));
  LARDER_RETURN_IF_ERROR(CheckAtLeast("--batch", flags.batch_tokens, 0));
  LARDER_RETURN_IF_ERROR(CheckAtLeast("--experts", flags.n_used, 0));
  LARDER_RETURN_IF_ERROR(CheckAtLeast("--io-depth", flags.io_depth, 1));
  if (flags.warm_start != "on" && flags.warm_start != "off") {
    return InvalidArgument("--warm-start must be on or off, not '{}'", flags.warm_start);
  }
  options.warm_start = flags.warm_start == "on";
  if (!(flags.expert_mass > 0 && flags.expert_mass <= 1)) {
    return InvalidArgument("--expert-mass must be above 0 and at most 1, not {:g}",
                           flags.expert_mass);
  }
  if (!flags.memory.empty()) {
    Result<std::uint64_t> budget_bytes = ParseSize(flags.memory);
    if (!budget_bytes.ok()) return budget_bytes.status().WithContext("--memory");
    options.memory_budget_bytes = *budget_bytes;
    WarnAboveMachine(*budget_bytes);
  }
  if (!flags.throttle.empty()) {
    Result<std::uint64_t> rate_bytes = ParseSize(flags.throttle);
    if (!rate_bytes.ok()) return rate_bytes.status().WithContext("--io-throttle");
    options.throttle_bytes_per_second = static_cast<double>(*rate_bytes);
  }
  LARDER_ASSIGN_OR_RETURN(options.io_mode, ParseIoMode(flags.io));
  LARDER_ASSIGN_OR_RETURN(options.lookahead, ParseLookaheadMode(flags.lookahead));
  LARDER_ASSIGN_OR_RETURN(options.model_path, ResolveModel(flags.model));
  options.context_tokens = flags.context_tokens;
  options.n_threads = flags.n_threads;
  options.max_batch = flags.batch_tokens;
  options.preferred_batch = flags.preferred_batch;
  options.n_used = flags.n_used;
  options.expert_mass = flags.expert_mass;
  options.pin = flags.pin == "cores"  ? PinMode::kCores
                : flags.pin == "none" ? PinMode::kNone
                                      : PinMode::kAuto;
  options.kv_dtype = flags.kv_type == "q8_0" ? DType::kQ8_0 : DType::kF16;
  options.io_depth = flags.io_depth;
  options.read_path = flags.reads == "direct"   ? ReadPath::kDirect
                      : flags.reads == "cached" ? ReadPath::kPageCache
                                                : ReadPath::kAuto;
  options.lookahead_depth = flags.lookahead_depth;
  options.cache_half_life = flags.cache_half_life;
  return options;
}

Result<std::unique_ptr<Engine>> LoadEngine(EngineOptions options) {
  ProgressLine progress("loading", ProgressLine::Unit::kBytes);
  options.on_progress = [&progress](std::uint64_t done_bytes, std::uint64_t total_bytes) {
    progress.Update(done_bytes, total_bytes);
  };
  Result<std::unique_ptr<Engine>> engine = Engine::Load(options);
  progress.Erase();
  if (!engine.ok()) return engine;
  const EnginePlan& plan = (*engine)->plan();
  // A context that holds fewer is no want of memory.
  if (std::min(options.preferred_batch, plan.context_tokens) > plan.max_batch) {
    PrintTo(stderr, "larder: the profile's --batch {} does not fit this run, which takes {}\n",
            options.preferred_batch, plan.max_batch);
  }
  PrintTo(stderr, "larder: {}\n", plan.Describe());
  return engine;
}

}  // namespace larder
