// larder run: one prompt, one answer. The answer goes to stdout as it is made, all else to stderr.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <optional>
#include <utility>

#include "base/clock.h"
#include "base/memory.h"
#include "cli/chat_screen.h"
#include "cli/command.h"
#include "cli/constraint_flags.h"
#include "cli/engine_flags.h"
#include "cli/generation.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "cli/output_file.h"
#include "cli/probes.h"
#include "cli/progress.h"
#include "cli/routing_recorder.h"
#include "cli/sampling_flags.h"
#include "cli/template_flag.h"
#include "cli/timing.h"
#include "cli/token_list.h"
#include "engine/session.h"
#include "format/gguf_writer.h"
#include "sample/sampler.h"
#include "text/detokenizer.h"
#include "text/output_reader.h"
#include "text/prompt_writer.h"

namespace larder {

namespace {

constexpr std::int64_t kDefaultTokens = 512;

struct RunFlags {
  EngineFlags engine;
  ConstraintFlags constraint;
  std::string prompt;
  std::string system;
  std::string chat_template;
  std::optional<std::int64_t> n_tokens;
  bool raw = false;
  std::string think = "off";
  ThinkMode think_mode;  // what `think` says
  bool ignore_eos = false;
  bool timing = false;
  bool json = false;
  std::string trace;
  SamplingFlags sampling;
  std::optional<std::size_t> n_logprobs;
};

// What can be known to be wrong before a model is loaded; reads stdin.
Status CheckFlags(RunFlags* flags) {
  LARDER_RETURN_IF_ERROR(CheckSamplingFlags(flags->sampling));
  LARDER_ASSIGN_OR_RETURN(flags->think_mode, ParseThink(flags->think));
  if (!flags->trace.empty()) {
    LARDER_RETURN_IF_ERROR(CheckOutputPath(flags->trace));
    LARDER_RETURN_IF_ERROR(CheckOutputFile(flags->trace));
  }
  if (flags->constraint.given() && flags->ignore_eos) {
    return InvalidArgument("--ignore-eos and an answer held to JSON exclude each other");
  }
  if (flags->raw && (flags->think_mode.on || !flags->chat_template.empty())) {
    return InvalidArgument("--raw takes the text as it is: {} has no place in it",
                           flags->think_mode.on ? "--think" : "--chat-template");
  }
  if (flags->n_logprobs && !flags->json) {
    return InvalidArgument("--logprobs is part of the JSON output; give --json too");
  }
  if (flags->prompt == "-") {
    LARDER_ASSIGN_OR_RETURN(flags->prompt, ReadStdin());
  }
  if (flags->raw && flags->prompt.empty()) {
    return InvalidArgument("the prompt is empty; give a text with -p TEXT");
  }
  if (flags->raw) return Status::Ok();
  LARDER_RETURN_IF_ERROR(CheckUtf8(flags->system, "the system message"));
  return CheckUtf8(flags->prompt, "the prompt");
}

// One run from the loaded engine on; holds what the callbacks of Generate write.
class Run {
 public:
  Run(const RunFlags& flags, Engine* engine, const Tokenizer* tokenizer, RunFigures* figures,
      std::unique_ptr<TokenConstraint> constraint)
      : flags_(flags),
        engine_(engine),
        tokenizer_(tokenizer),
        figures_(figures),
        constraint_(std::move(constraint)),
        decoder_(*tokenizer) {}

  Result<int> Execute() {
    LARDER_RETURN_IF_ERROR(Prepare());
    LARDER_ASSIGN_OR_RETURN(
        const SamplerParams sampler,
        MakeSamplerParams(flags_.sampling, engine_->metadata(), tokenizer_->n_vocab()));
    InterruptScope interrupt;
    LARDER_ASSIGN_OR_RETURN(const std::unique_ptr<Session> session, engine_->NewSession());
    LARDER_RETURN_IF_ERROR(BeginTrace());
    interrupt.Watch(session.get());
    const Result<StopReason> stopped = Answer(*session, sampler, interrupt);
    interrupt.Watch(nullptr);
    const Status traced = EndTrace();
    const auto n_prompt = static_cast<std::int64_t>(prompt_.size());
    const auto n_answer = static_cast<std::int64_t>(answer_.size());
    Take(&figures_->answer, n_answer, std::max<std::int64_t>(session->n_tokens() - n_prompt, 0));
    const Status printed = Finish();
    if (!stopped.ok()) {
      EndLine();
      return stopped.status();
    }
    LARDER_RETURN_IF_ERROR(printed);
    EndLine();
    LARDER_RETURN_IF_ERROR(CheckStdout());
    LARDER_RETURN_IF_ERROR(traced);
    return Report(*stopped, *session);
  }

 private:
  // The prompt's tokens, and who reads the answer: for raw text nobody, it is all answer.
  Status Prepare() {
    if (flags_.raw) {
      LARDER_ASSIGN_OR_RETURN(
          prompt_, tokenizer_->Encode(flags_.prompt, {.add_special = true, .parse_special = true}));
      if (!prompt_.empty()) return Status::Ok();
      return InvalidArgument("the prompt is empty; give a text with -p TEXT");
    }
    std::vector<Message> messages;
    if (!flags_.system.empty()) messages.push_back(SystemMessage(flags_.system));
    messages.push_back(UserMessage(flags_.prompt));
    const Result<PromptWriter> writer =
        MakePromptWriter(engine_->metadata(), tokenizer_, flags_.chat_template);
    if (!writer.ok()) return WithAdvice(writer.status());
    const Result<std::string> text = writer->Render(messages, {}, {flags_.think_mode.on, true});
    if (!text.ok()) return WithAdvice(text.status());
    LARDER_ASSIGN_OR_RETURN(prompt_, writer->Encode(*text));
    reader_.emplace(tokenizer_, writer->style(), std::vector<ToolDefinition>(), *text,
                    flags_.think_mode);
    if (constraint_ == nullptr) return Status::Ok();
    if (flags_.think_mode.on && writer->style().calls == CallFormat::kHarmony) {
      return Unsupported(
          "this model's answers are held to JSON without reasoning only; leave --think away");
    }
    reader_->HoldText();
    return Status::Ok();
  }

  Status WithAdvice(const Status& status) const {
    if (!flags_.chat_template.empty()) return status;
    return Status(status.code(),
                  status.message() + "; --raw gives the model the text without its template");
  }

  Status BeginTrace() {
    if (flags_.trace.empty()) return Status::Ok();
    const ModelShape& shape = engine_->shape();
    LARDER_ASSIGN_OR_RETURN(
        std::unique_ptr<RoutingTraceWriter> writer,
        RoutingTraceWriter::Create(flags_.trace, {shape.n_layers, shape.n_experts, shape.n_used}));
    recorder_ = std::make_unique<RoutingRecorder>(std::move(writer), shape.n_layers);
    engine_->SetRouting(recorder_.get());
    return Status::Ok();
  }

  Status EndTrace() {
    if (recorder_ == nullptr) return Status::Ok();
    engine_->SetRouting(nullptr);
    return recorder_->Finish();
  }

  Result<StopReason> Answer(Session& session, const SamplerParams& sampler,
                            const InterruptScope& interrupt) {
    ProgressLine progress("reading the prompt", ProgressLine::Unit::kTokens);
    GenerationOptions options;
    options.max_tokens = flags_.n_tokens.value_or(kDefaultTokens);
    options.ignore_eos = flags_.ignore_eos;
    options.sampler = sampler;
    options.constraint = constraint_.get();
    options.n_logprobs = flags_.n_logprobs;
    options.on_logprobs = [this](const Logprobs& logprobs) { logprobs_.push_back(logprobs); };
    options.interrupted = [&interrupt] { return interrupt.requested(); };
    options.on_prompt = [&](std::int64_t n_done) {
      progress.Update(static_cast<std::uint64_t>(n_done), prompt_.size());
    };
    options.on_prompt_done = [&] {
      progress.Erase();
      const auto n_prompt = static_cast<std::int64_t>(prompt_.size());
      Take(&figures_->prompt, n_prompt, n_prompt);
      if (recorder_ != nullptr) recorder_->BeginAnswer();
    };
    options.on_token = [this](std::int32_t token) -> Status {
      answer_.push_back(token);
      if (!reader_) return Print(decoder_.Push(token));
      reader_->Push(token, &deltas_);
      return Deliver();
    };
    if (reader_) {
      options.forced = [this] { return reader_->Forced(); };
      options.goes_on_after = [this](std::int32_t token) { return reader_->GoesOnAfter(token); };
      options.unconstrained = [this] { return reader_->in_reasoning(); };
    }
    engine_->ResetStats();
    phase_start_us_ = NowUs();
    return Generate(session, tokenizer_, prompt_, options);
  }

  // Reasoning is not the answer: it goes to stderr.
  Status Deliver() {
    for (const OutputDelta& delta : std::exchange(deltas_, {})) {
      if (delta.kind == OutputDelta::Kind::kText) {
        screen_.EndReasoning();
        LARDER_RETURN_IF_ERROR(Print(delta.text));
      } else if (delta.kind == OutputDelta::Kind::kReasoning) {
        reasoning_ += delta.text;
        if (!flags_.json) screen_.Reasoning(delta.text);
      }
    }
    return Status::Ok();
  }

  Status Finish() {
    if (!reader_) return Print(decoder_.Flush());
    reader_->Finish(&deltas_);
    const Status delivered = Deliver();
    screen_.EndReasoning();
    return delivered;
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
    // On a terminal a model's control characters would be obeyed.
    return WriteStdout(on_terminal_ ? WithoutControls(piece) : piece);
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
      nlohmann::json json = {{"text", text_},
                             {"tokens", answer_},
                             {"prompt_tokens", prompt_.size()},
                             {"stop", StopReasonName(reason)},
                             {"plan", engine_->plan().Describe()},
                             {"timings", ToJson(*figures_)}};
      if (!reasoning_.empty()) json["reasoning"] = reasoning_;
      if (!engine_->plan().lossy.empty()) json["lossy"] = engine_->plan().lossy;
      if (flags_.n_logprobs) json["logprobs"] = LogprobsJson();
      LARDER_RETURN_IF_ERROR(WriteStdout(DumpJson(json) + "\n"));
    }
    if (reason == StopReason::kInterrupted) return InterruptExitStatus();
    const bool cut = reason != StopReason::kEndOfGeneration && !MayEnd();
    if (cut || (constraint_ != nullptr && reader_ && reader_->in_reasoning())) {
      PrintError("the answer was cut off before its JSON was complete; give a larger -n or --ctx");
      return kExitFailure;
    }
    if (reason != StopReason::kContextFull) return kExitSuccess;
    PrintError(fmt::format("the context of {} positions is full; give a larger --ctx",
                           session.capacity()));
    // Without -n an answer may end anywhere; an amount that was asked for and not made is a
    // failure.
    return flags_.n_tokens ? kExitFailure : kExitSuccess;
  }

  // False where an answer held to JSON is not whole.
  bool MayEnd() const { return constraint_ == nullptr || constraint_->may_end(); }

  nlohmann::json TokenJson(std::int32_t token, double logprob) const {
    return {{"token", token},
            {"text", std::string(tokenizer_->TokenBytes(token))},
            {"logprob", logprob}};
  }

  // One object for each token of the answer; the strongest of that place are in "top".
  nlohmann::json LogprobsJson() const {
    nlohmann::json list = nlohmann::json::array();
    for (std::size_t i = 0; i < logprobs_.size() && i < answer_.size(); ++i) {
      nlohmann::json entry = TokenJson(answer_[i], logprobs_[i].chosen);
      entry["top"] = nlohmann::json::array();
      for (const TokenLogprob& rival : logprobs_[i].top) {
        entry["top"].push_back(TokenJson(rival.token, rival.logprob));
      }
      list.push_back(std::move(entry));
    }
    return list;
  }

  const RunFlags& flags_;
  Engine* engine_;
  const Tokenizer* tokenizer_;
  RunFigures* figures_;
  std::unique_ptr<TokenConstraint> constraint_;
  StreamDecoder decoder_;
  std::unique_ptr<RoutingRecorder> recorder_;  // null: no trace is asked for
  std::vector<std::int32_t> prompt_;
  std::vector<std::int32_t> answer_;
  std::vector<Logprobs> logprobs_;
  std::string text_;
  std::string reasoning_;
  std::optional<OutputReader> reader_;
  std::vector<OutputDelta> deltas_;
  ChatScreen screen_;
  const bool on_terminal_ = isatty(STDOUT_FILENO) != 0;
  std::int64_t phase_start_us_ = 0;
};

// The probe runs before loading, in memory that the budget will need later.
Result<double> MemoryRate(const EngineOptions& options) {
  const int n_threads = options.n_threads > 0 ? options.n_threads : DefaultThreadCount();
  return ProbeMemoryRate(n_threads,
                         MemoryProbeBytes(options.memory_budget_bytes, options.model_path));
}

Result<int> RunOnce(const RunFlags& flags) {
  LARDER_ASSIGN_OR_RETURN(EngineOptions options, MakeEngineOptions(flags.engine));
  LARDER_ASSIGN_OR_RETURN(std::shared_ptr<const Grammar> grammar, MakeGrammar(flags.constraint));
  if (grammar != nullptr) options.caller_bytes = kConstraintBytes;
  RunFigures figures;
  if (flags.timing) {
    LARDER_ASSIGN_OR_RETURN(figures.memory_bytes_per_second, MemoryRate(options));
  }
  const std::int64_t start_us = NowUs();
  LARDER_ASSIGN_OR_RETURN(const std::unique_ptr<Engine> engine, LoadEngine(std::move(options)));
  figures.load_seconds = SecondsSince(start_us);
  LARDER_ASSIGN_OR_RETURN(const Tokenizer* tokenizer, engine->tokenizer());
  LARDER_ASSIGN_OR_RETURN(std::unique_ptr<TokenConstraint> constraint,
                          MakeConstraint(std::move(grammar), *tokenizer));
  Run run(flags, engine.get(), tokenizer, &figures, std::move(constraint));
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
  app->add_option("--think", flags->think,
                  "reason before answering: on, off (default), or at most N tokens")
      ->type_name("on|off|N")
      ->expected(0, 1);
  AddTemplateFlag(app, &flags->chat_template);
  AddEngineFlags(app, &flags->engine);
  AddConstraintFlags(app, &flags->constraint);
  AddSamplingFlags(app, &flags->sampling);
  app->add_flag("--ignore-eos", flags->ignore_eos, "go on after the end of the answer");
  app->add_flag("--timing", flags->timing, "print where the time went, and the limits");
  app->add_option("--trace-routing", flags->trace,
                  "write which experts each layer of each token chose, as CSV (.gz: compressed)")
      ->type_name("FILE");
  app->add_flag("--json", flags->json, "print one JSON object instead of the text");
  app->add_option("--logprobs", flags->n_logprobs,
                  "with --json: each token's log probability and those of the N most likely")
      ->type_name("N")
      ->check(WholeNumber(0));
}

}  // namespace

int RunMain(const Arguments& arguments) {
  CommandLine line("run", "Answers a prompt; the text goes to stdout, all else to stderr.",
                   "  larder run -m model.gguf -p \"Why is the sky blue?\"\n"
                   "  larder run -m model.gguf --memory 8G -n 64 --timing -p \"Write a haiku.\"\n"
                   "  larder run -m model.gguf --raw --temp 0 -p \"Once upon a time\"\n"
                   "  git diff | larder run -m model.gguf -p -\n"
                   "  larder run -m model.gguf --json-schema person.json -p \"Ada is 36.\"\n");
  RunFlags flags;
  flags.engine.warm_start = "on";
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
