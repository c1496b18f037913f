// larder run: one prompt, one answer. The answer goes to stdout as it is made, all else to stderr.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <optional>

#include "base/clock.h"
#include "base/memory.h"
#include "cli/command.h"
#include "cli/engine_flags.h"
#include "cli/generation.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "cli/probes.h"
#include "cli/progress.h"
#include "cli/timing.h"
#include "cli/token_list.h"
#include "engine/session.h"
#include "sample/sampler.h"
#include "text/chatml.h"
#include "text/detokenizer.h"

namespace larder {

namespace {

constexpr std::int64_t kDefaultTokens = 512;

struct RunFlags {
  EngineFlags engine;
  std::string prompt;
  std::string system;
  std::optional<std::int64_t> n_tokens;
  bool raw = false;
  bool thinking = false;
  bool ignore_eos = false;
  bool timing = false;
  bool json = false;
  std::optional<double> temperature;
  std::optional<int> top_k;
  std::optional<double> top_p;
  std::optional<double> min_p;
  std::uint64_t seed = 0;
};

void PutGiven(const RunFlags& flags, SamplerParams* params) {
  if (flags.temperature) params->temperature = *flags.temperature;
  if (flags.top_k) params->top_k = *flags.top_k;
  if (flags.top_p) params->top_p = *flags.top_p;
  if (flags.min_p) params->min_p = *flags.min_p;
  params->seed = flags.seed;
}

SamplerParams MakeSampler(const RunFlags& flags, const Metadata& metadata) {
  SamplerParams params =
      ModelSamplerParams([&metadata](const std::string& key) -> std::optional<double> {
        const Result<double> value = metadata.GetFloat(key);
        if (value.ok()) return *value;
        const Result<std::uint64_t> whole = metadata.GetUint(key);
        if (whole.ok()) return static_cast<double>(*whole);
        return std::nullopt;
      });
  PutGiven(flags, &params);
  return params;
}

// What can be known to be wrong before a model is loaded; reads stdin.
Status CheckFlags(RunFlags* flags) {
  SamplerParams params;
  PutGiven(*flags, &params);
  LARDER_RETURN_IF_ERROR(CheckSamplerParams(params));
  if (flags->prompt == "-") {
    LARDER_ASSIGN_OR_RETURN(flags->prompt, ReadStdin());
  }
  if (flags->raw && flags->prompt.empty()) {
    return InvalidArgument("the prompt is empty; give a text with -p TEXT");
  }
  return Status::Ok();
}

Result<std::vector<std::int32_t>> MakePrompt(const RunFlags& flags, const Engine& engine,
                                             const Tokenizer& tokenizer) {
  std::string text = flags.prompt;
  if (!flags.raw) {
    ChatMlPrompt prompt;
    prompt.user = text;
    prompt.system = flags.system;
    prompt.thinking = flags.thinking;
    text = FormatChatMl(ChatMlFormatFor(engine.metadata()), prompt);
  }
  LARDER_ASSIGN_OR_RETURN(std::vector<std::int32_t> tokens,
                          tokenizer.Encode(text, {.add_special = true, .parse_special = true}));
  if (tokens.empty()) return InvalidArgument("the prompt is empty; give a text with -p TEXT");
  return tokens;
}

// One run from the loaded engine on; holds what the callbacks of Generate write.
class Run {
 public:
  Run(const RunFlags& flags, Engine* engine, const Tokenizer* tokenizer, RunFigures* figures)
      : flags_(flags),
        engine_(engine),
        tokenizer_(tokenizer),
        figures_(figures),
        decoder_(*tokenizer) {}

  Result<int> Execute() {
    LARDER_ASSIGN_OR_RETURN(prompt_, MakePrompt(flags_, *engine_, *tokenizer_));
    const SamplerParams sampler = MakeSampler(flags_, engine_->metadata());
    LARDER_RETURN_IF_ERROR(CheckSamplerParams(sampler));
    InterruptScope interrupt;
    LARDER_ASSIGN_OR_RETURN(const std::unique_ptr<Session> session, engine_->NewSession());
    interrupt.Watch(session.get());
    const Result<StopReason> stopped = Answer(*session, sampler, interrupt);
    interrupt.Watch(nullptr);
    const auto n_prompt = static_cast<std::int64_t>(prompt_.size());
    const auto n_answer = static_cast<std::int64_t>(answer_.size());
    Take(&figures_->answer, n_answer, std::max<std::int64_t>(session->n_tokens() - n_prompt, 0));
    const Status printed = Print(decoder_.Flush());
    if (!stopped.ok()) {
      EndLine();
      return stopped.status();
    }
    LARDER_RETURN_IF_ERROR(printed);
    EndLine();
    LARDER_RETURN_IF_ERROR(CheckStdout());
    return Report(*stopped, *session);
  }

 private:
  Result<StopReason> Answer(Session& session, const SamplerParams& sampler,
                            const InterruptScope& interrupt) {
    ProgressLine progress("reading the prompt", ProgressLine::Unit::kTokens);
    GenerationOptions options;
    options.max_tokens = flags_.n_tokens.value_or(kDefaultTokens);
    options.ignore_eos = flags_.ignore_eos;
    options.sampler = sampler;
    options.interrupted = [&interrupt] { return interrupt.requested(); };
    options.on_prompt = [&](std::int64_t n_done) {
      progress.Update(static_cast<std::uint64_t>(n_done), prompt_.size());
    };
    options.on_prompt_done = [&] {
      progress.Erase();
      const auto n_prompt = static_cast<std::int64_t>(prompt_.size());
      Take(&figures_->prompt, n_prompt, n_prompt);
    };
    options.on_token = [this](std::int32_t token) -> Status {
      answer_.push_back(token);
      return Print(decoder_.Push(token));
    };
    engine_->ResetStats();
    phase_start_us_ = NowUs();
    return Generate(session, tokenizer_, prompt_, options);
  }

  // Ends the phase that is being measured and begins the next.
  void Take(PhaseFigures* figures, std::int64_t n_tokens, std::int64_t n_evaluated) {
    figures->n_tokens = n_tokens;
    figures->n_evaluated = n_evaluated;
    figures->seconds = SecondsSince(phase_start_us_);
    figures->experts = engine_->expert_stats();
    figures->times = engine_->phase_times();
    engine_->ResetStats();
    phase_start_us_ = NowUs();
  }

  Status Print(const std::string& piece) {
    text_ += piece;
    if (flags_.json || piece.empty()) return Status::Ok();
    return WriteStdout(piece);
  }

  void EndLine() const {
    if (!flags_.json && !text_.empty() && text_.back() != '\n') PutText(stdout, "\n");
  }

  Result<int> Report(StopReason reason, const Session& session) {
    figures_->peak_resident_bytes = PeakResidentBytes();
    figures_->answer_cost = DecodeCost(engine_->layout(), engine_->shape(),
                                       figures_->answer.experts, figures_->answer.n_evaluated);
    if (flags_.timing) PrintTiming(stderr, *figures_);
    if (flags_.json) {
      const nlohmann::json json = {{"text", text_},
                                   {"tokens", answer_},
                                   {"prompt_tokens", prompt_.size()},
                                   {"stop", StopReasonName(reason)},
                                   {"plan", engine_->plan().Describe()},
                                   {"timings", ToJson(*figures_)}};
      LARDER_RETURN_IF_ERROR(WriteStdout(DumpJson(json) + "\n"));
    }
    if (reason == StopReason::kInterrupted) return InterruptExitStatus();
    if (reason != StopReason::kContextFull) return kExitSuccess;
    PrintError(fmt::format("the context of {} positions is full; give a larger --ctx",
                           session.capacity()));
    // Without -n an answer may end anywhere; an amount that was asked for and not made is a
    // failure.
    return flags_.n_tokens ? kExitFailure : kExitSuccess;
  }

  const RunFlags& flags_;
  Engine* engine_;
  const Tokenizer* tokenizer_;
  RunFigures* figures_;
  StreamDecoder decoder_;
  std::vector<std::int32_t> prompt_;
  std::vector<std::int32_t> answer_;
  std::string text_;
  std::int64_t phase_start_us_ = 0;
};

// The probe runs before loading, in memory that the budget will need later.
Result<double> MemoryRate(const EngineOptions& options) {
  std::uint64_t buffer_bytes = std::uint64_t{256} << 20;
  if (options.memory_budget_bytes) {
    buffer_bytes = std::min(buffer_bytes, *options.memory_budget_bytes / 4);
  }
  const int n_threads = options.n_threads > 0 ? options.n_threads : DefaultThreadCount();
  return ProbeMemoryRate(n_threads, std::max<std::uint64_t>(buffer_bytes, 1 << 20));
}

Result<int> RunOnce(const RunFlags& flags) {
  LARDER_ASSIGN_OR_RETURN(EngineOptions options, MakeEngineOptions(flags.engine));
  RunFigures figures;
  if (flags.timing) {
    LARDER_ASSIGN_OR_RETURN(figures.memory_bytes_per_second, MemoryRate(options));
  }
  const std::int64_t start_us = NowUs();
  LARDER_ASSIGN_OR_RETURN(const std::unique_ptr<Engine> engine, LoadEngine(std::move(options)));
  figures.load_seconds = SecondsSince(start_us);
  LARDER_ASSIGN_OR_RETURN(const Tokenizer* tokenizer, engine->tokenizer());
  Run run(flags, engine.get(), tokenizer, &figures);
  return run.Execute();
}

void AddRunOptions(CLI::App* app, RunFlags* flags) {
  app->add_option("-p,--prompt", flags->prompt, "the user's text, or - for stdin")
      ->type_name("TEXT");
  app->add_option("-n,--n-tokens", flags->n_tokens, "longest answer, 512 by default")
      ->type_name("N")
      ->check(WholeNumber(1));
  app->add_option("--system", flags->system, "a system message before it")->type_name("TEXT");
  app->add_flag("--raw", flags->raw, "take the text as it is, without a chat's frame");
  app->add_flag("--think", flags->thinking, "let the model reason first, if it can");
  AddEngineFlags(app, &flags->engine);
  app->add_option("--temp", flags->temperature, "temperature; 0 takes the most likely token")
      ->type_name("X");
  app->add_option("--top-k", flags->top_k, "only the N most likely; 0: all")
      ->type_name("N")
      ->check(WholeNumber(0));
  app->add_option("--top-p", flags->top_p, "the fewest that reach this probability")
      ->type_name("X");
  app->add_option("--min-p", flags->min_p, "none below this share of the best")->type_name("X");
  app->add_option("--seed", flags->seed, "of the random choice, 0 by default")
      ->type_name("N")
      ->check(WholeNumber(0));
  app->add_flag("--ignore-eos", flags->ignore_eos, "go on after the end of the answer");
  app->add_flag("--timing", flags->timing, "print where the time went, and the limits");
  app->add_flag("--json", flags->json, "print one JSON object instead of the text");
}

}  // namespace

int RunMain(const Arguments& arguments) {
  CommandLine line("run", "Answers a prompt; the text goes to stdout, all else to stderr.",
                   "  larder run -m model.gguf -p \"Why is the sky blue?\"\n"
                   "  larder run -m model.gguf --memory 8G -n 64 --timing -p \"Write a haiku.\"\n"
                   "  larder run -m model.gguf --raw --temp 0 -p \"Once upon a time\"\n"
                   "  git diff | larder run -m model.gguf -p -\n");
  RunFlags flags;
  AddRunOptions(&line.app(), &flags);
  if (const auto exit_status = line.Parse(arguments)) return *exit_status;
  if (!line.Given("--prompt")) {
    return Fail(InvalidArgument("run needs a prompt; give one with -p TEXT, or -p - for stdin"));
  }
  const Status checked = CheckFlags(&flags);
  if (!checked.ok()) return Fail(checked);
  const Result<int> ended = RunOnce(flags);
  return ended.ok() ? *ended : Fail(ended.status());
}

}  // namespace larder
