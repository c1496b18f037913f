// larder eval: tasks from files, answered by a model and judged, with confidence intervals.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>

#include "base/clock.h"
#include "cli/command.h"
#include "cli/demo_model.h"
#include "cli/engine_flags.h"
#include "cli/eval_results.h"
#include "cli/eval_runner.h"
#include "cli/eval_task.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "cli/output_file.h"
#include "cli/program_version.h"
#include "cli/progress.h"
#include "cli/sampling_flags.h"
#include "cli/template_flag.h"
#include "cli/text_file.h"
#include "cli/timing.h"
#include "cli/token_list.h"
#include "engine/session.h"
#include "text/prompt_writer.h"
#include "text/think_mode.h"

namespace larder {

namespace {

struct EvalFlags {
  EngineFlags engine;
  SamplingFlags sampling;
  std::vector<std::string> files;
  std::string chat_template;
  std::string think = "off";
  ThinkMode think_mode;
  std::int64_t limit = 0;
  int n_samples = 1;
  std::string output;
  bool json = false;
};

// The suites beside the demo model, for a run without files.
Result<std::vector<std::string>> ShippedSuites() {
  namespace fs = std::filesystem;
  LARDER_ASSIGN_OR_RETURN(const std::string model, FindDemoModel());
  const fs::path folder = fs::path(model).parent_path() / "suites";
  std::vector<std::string> files;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    if (entry.path().extension() == ".jsonl") files.push_back(entry.path().string());
  }
  std::sort(files.begin(), files.end());
  if (files.empty())
    return InvalidArgument("eval needs task files; there are none beside {}", model);
  return files;
}

Result<std::vector<EvalTask>> ReadTasks(const EvalFlags& flags) {
  std::vector<EvalTask> tasks;
  for (const std::string& path : flags.files) {
    LARDER_ASSIGN_OR_RETURN(const std::string text, ReadTextFile(path));
    Result<std::vector<EvalTask>> read = ParseEvalTasks(text);
    if (!read.ok()) return read.status().WithContext(path);
    const std::size_t n = flags.limit > 0 ? static_cast<std::size_t>(flags.limit) : read->size();
    for (std::size_t i = 0; i < std::min(n, read->size()); ++i) {
      tasks.push_back(std::move((*read)[i]));
    }
  }
  return tasks;
}

// Greedy unless asked otherwise: one right answer, one seed.
double Temperature(const EvalFlags& flags) { return flags.sampling.temperature.value_or(0); }

std::ptrdiff_t CountTooLong(const std::vector<EvalAnswer>& answers) {
  return std::count_if(answers.begin(), answers.end(),
                       [](const EvalAnswer& answer) { return !answer.error.empty(); });
}

// The answers that there are; and why the run ended before the last, when it did.
struct EvalRun {
  SamplerParams sampler;
  std::vector<EvalAnswer> answers;
  Status status;
};

nlohmann::json SamplerJson(const SamplerParams& params) {
  nlohmann::json bias = nlohmann::json::array();
  for (const LogitBias& entry : params.logit_bias) {
    // JSON has no infinity.
    bias.push_back({{"token", entry.token}, {"bias", fmt::format("{:g}", entry.bias)}});
  }
  return {{"temperature", params.temperature},
          {"top_k", params.top_k},
          {"top_p", params.top_p},
          {"min_p", params.min_p},
          {"repeat_penalty", params.repeat_penalty},
          {"presence_penalty", params.presence_penalty},
          {"frequency_penalty", params.frequency_penalty},
          {"penalty_window", params.penalty_window},
          {"logit_bias", bias}};
}

nlohmann::json Report(const EvalFlags& flags, const Engine& engine, const EvalRun& run,
                      double seconds) {
  const std::vector<EvalAnswer>& answers = run.answers;
  nlohmann::json json = {
      {"larder", {{"version", ProgramVersion()}, {"commit", ProgramCommit()}}},
      {"model", flags.engine.model.empty() ? "demo" : flags.engine.model},
      {"files", flags.files},
      {"limit", flags.limit},
      {"plan", engine.plan().Describe()},
      {"think", DescribeThink(flags.think_mode)},
      {"chat_template", flags.chat_template.empty() ? "the model's own" : flags.chat_template},
      {"temperature", Temperature(flags)},
      {"sampler", SamplerJson(run.sampler)},
      {"seed", flags.sampling.seed},
      {"n_samples", flags.n_samples},
      {"n_too_long", CountTooLong(answers)},
      {"complete", run.status.ok()},
      {"seconds", seconds},
      {"results", ToJson(CountChecks(answers))},
      {"answers", nlohmann::json::array()}};
  if (!engine.plan().lossy.empty()) json["lossy"] = engine.plan().lossy;
  if (!run.status.ok()) json["stopped"] = WhyStopped(run.status);
  for (const EvalAnswer& answer : answers) json["answers"].push_back(ToJson(answer));
  return json;
}

bool NeedsFormat(const EvalTask& task) {
  return !task.messages.empty() || task.kind == EvalTask::Kind::kToolCall;
}

// For each task the positions it takes where the context has fewer, else 0. All are looked at
// before the first is answered: what is wrong with the last is not found after hours.
Result<std::vector<std::int64_t>> FindTooLong(const std::vector<EvalTask>& tasks,
                                              const EvalRunner& runner, std::int64_t capacity,
                                              std::int64_t most_possible) {
  std::vector<std::int64_t> too_long;
  std::vector<std::string> names;
  std::int64_t most = 0;
  for (const EvalTask& task : tasks) {
    LARDER_ASSIGN_OR_RETURN(const std::int64_t n_positions, runner.CountPositions(task));
    const bool is_answered = task.kind != EvalTask::Kind::kChoice;
    most = std::max(most, n_positions + (is_answered ? task.max_tokens : 0));
    too_long.push_back(n_positions > capacity ? n_positions : 0);
    if (n_positions > capacity) names.push_back(fmt::format("{} of {}", task.id, task.group));
  }
  if (names.empty()) return too_long;
  constexpr std::size_t kMostNamed = 10;
  const std::size_t n = names.size();
  if (n > kMostNamed) names.resize(kMostNamed);
  const std::string which =
      fmt::format("task {}{}", fmt::join(names, ", task "), n > kMostNamed ? " ..." : "");
  const std::string advice =
      most <= most_possible
          ? fmt::format("--ctx {} has room for all", most)
          : fmt::format("all need {} and this model was made for {} at most", most, most_possible);
  if (n == tasks.size()) {
    return InvalidArgument("no task fits the context of {} positions ({}); {}", capacity, which,
                           advice);
  }
  PrintTo(stderr,
          "larder: {} of {} tasks do not fit the context of {} positions and count as wrong ({}); "
          "{}\n",
          n, tasks.size(), capacity, which, advice);
  return too_long;
}

EvalAnswer Unanswered(const EvalTask& task, std::uint64_t seed, std::int64_t n_positions,
                      std::int64_t capacity) {
  EvalAnswer answer;
  answer.group = task.group;
  answer.id = task.id;
  answer.seed = seed;
  answer.checks = JudgeNothing(task);
  answer.error = fmt::format("{} positions do not fit the context of {}", n_positions, capacity);
  return answer;
}

Result<EvalRun> AnswerAll(const EvalFlags& flags, const std::vector<EvalTask>& tasks,
                          Engine* engine) {
  LARDER_ASSIGN_OR_RETURN(const Tokenizer* tokenizer, engine->tokenizer());
  PromptWriter writer;
  // A template that is broken matters only where one is needed.
  if (std::any_of(tasks.begin(), tasks.end(), NeedsFormat)) {
    LARDER_ASSIGN_OR_RETURN(writer,
                            MakePromptWriter(engine->metadata(), tokenizer, flags.chat_template));
  }
  SamplingFlags sampling = flags.sampling;
  sampling.temperature = Temperature(flags);
  EvalOptions options;
  options.think = flags.think_mode;
  LARDER_ASSIGN_OR_RETURN(options.sampler,
                          MakeSamplerParams(sampling, engine->metadata(), tokenizer->n_vocab()));
  EvalRun run;
  run.sampler = options.sampler;
  InterruptScope interrupt;
  options.interrupted = [&interrupt] { return interrupt.requested(); };
  LARDER_ASSIGN_OR_RETURN(const std::unique_ptr<Session> session, engine->NewSession());
  EvalRunner runner(session.get(), tokenizer, &writer, std::move(options));
  LARDER_ASSIGN_OR_RETURN(
      const std::vector<std::int64_t> too_long,
      FindTooLong(tasks, runner, session->capacity(), engine->shape().context_length));
  interrupt.Watch(session.get());
  ProgressLine progress("answering tasks", ProgressLine::Unit::kTokens);
  const std::size_t n_answers = tasks.size() * static_cast<std::size_t>(flags.n_samples);
  for (std::size_t i = 0; i < n_answers && run.status.ok(); ++i) {
    const EvalTask& task = tasks[i % tasks.size()];
    // Choices are weighed, not sampled: a second time is the first again.
    if (i >= tasks.size() && task.kind == EvalTask::Kind::kChoice) continue;
    const std::uint64_t seed = flags.sampling.seed + i / tasks.size();
    const std::int64_t n_positions = too_long[i % tasks.size()];
    if (n_positions > 0) {
      run.answers.push_back(Unanswered(task, seed, n_positions, session->capacity()));
      continue;
    }
    Result<EvalAnswer> answer = runner.Answer(task, seed);
    run.status = answer.status();
    if (answer.ok()) run.answers.push_back(std::move(*answer));
    progress.Update(i + 1, n_answers);
  }
  interrupt.Watch(nullptr);
  if (run.answers.empty() && !run.status.ok()) return run.status;
  return run;
}

// The table; below it what the shares do not show.
std::string Table(const EvalRun& run) {
  const std::vector<EvalAnswer>& answers = run.answers;
  std::string text = ToMarkdown(CountChecks(answers));
  if (!run.status.ok()) {
    text += fmt::format("\nnot all were answered, only {}: {}\n", answers.size(),
                        WhyStopped(run.status));
  }
  const std::ptrdiff_t n = CountTooLong(answers);
  if (n > 0) {
    text += fmt::format("\n{} of {} count as wrong because they did not fit the context\n", n,
                        answers.size());
  }
  return text;
}

Status Eval(const EvalFlags& flags) {
  LARDER_ASSIGN_OR_RETURN(const std::vector<EvalTask> tasks, ReadTasks(flags));
  LARDER_ASSIGN_OR_RETURN(EngineOptions options, MakeEngineOptions(flags.engine));
  options.checkpoint = std::any_of(tasks.begin(), tasks.end(), [](const EvalTask& task) {
    return task.kind == EvalTask::Kind::kChoice;
  });
  LARDER_ASSIGN_OR_RETURN(const std::unique_ptr<Engine> engine, LoadEngine(std::move(options)));
  const std::int64_t start_us = NowUs();
  LARDER_ASSIGN_OR_RETURN(const EvalRun run, AnswerAll(flags, tasks, engine.get()));
  const std::string json = DumpJson(Report(flags, *engine, run, SecondsSince(start_us)), 1) + "\n";
  // Whichever of the two cannot be written, the other is.
  const Status printed = WriteStdout(flags.json ? json : Table(run));
  if (!flags.output.empty()) LARDER_RETURN_IF_ERROR(WriteTextFile(flags.output, json));
  LARDER_RETURN_IF_ERROR(printed);
  return run.status;
}

Status CheckFlags(EvalFlags* flags) {
  LARDER_RETURN_IF_ERROR(CheckSamplingFlags(flags->sampling));
  LARDER_ASSIGN_OR_RETURN(flags->think_mode, ParseThink(flags->think));
  if (flags->n_samples > 1 && flags->sampling.temperature.value_or(0) == 0) {
    return InvalidArgument("--samples needs --temp above 0: greedy answers are all the same");
  }
  if (flags->files.empty()) {
    if (!flags->engine.model.empty()) {
      return InvalidArgument("eval needs task files: larder eval -m FILE TASKS.jsonl");
    }
    LARDER_ASSIGN_OR_RETURN(flags->files, ShippedSuites());
  }
  std::vector<std::string> inputs = flags->files;
  inputs.push_back(flags->chat_template);
  return CheckOutputFile(flags->output, inputs);
}

}  // namespace

int EvalMain(const Arguments& arguments) {
  CommandLine line(
      "eval", "Answers the tasks of JSONL files and says how many were right.",
      "  larder eval                                # the demo model on its own suites\n"
      "  larder eval -m model.gguf tasks.jsonl --memory 24G -o results.json\n"
      "  larder eval -m model.gguf tasks.jsonl --temp 0.7 --samples 5 --seed 1\n");
  EvalFlags flags;
  AddEngineFlags(&line.app(), &flags.engine);
  AddTemplateFlag(&line.app(), &flags.chat_template);
  line.app()
      .add_option("--think", flags.think,
                  "reason before answering conversations: on, off (default), or at most N tokens")
      ->type_name("on|off|N")
      ->expected(0, 1);
  AddSamplingFlags(&line.app(), &flags.sampling);
  line.app().add_option("FILES", flags.files, "task files, one JSON object per line");
  line.app()
      .add_option("--limit", flags.limit, "only the first N tasks of each file")
      ->type_name("N")
      ->check(WholeNumber(1));
  line.app()
      .add_option("--samples", flags.n_samples, "answers to each task, each with a seed of its own")
      ->type_name("N")
      ->check(WholeNumber(1));
  line.app()
      .add_option("-o,--output", flags.output, "write results and all answers as JSON")
      ->type_name("FILE");
  line.app().add_flag("--json", flags.json, "print one JSON object");
  if (const auto exit_status = line.Parse(arguments)) return *exit_status;
  Status status = CheckFlags(&flags);
  if (status.ok()) status = Eval(flags);
  return status.ok() ? kExitSuccess : Fail(status);
}

}  // namespace larder
