// larder eval: tasks from files, answered by a model and judged, with confidence intervals.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>

#include "base/clock.h"
#include "cli/command.h"
#include "cli/demo_model.h"
#include "cli/divergence.h"
#include "cli/engine_flags.h"
#include "cli/eval_results.h"
#include "cli/eval_task.h"
#include "cli/generation.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "cli/program_version.h"
#include "cli/progress.h"
#include "cli/sampling_flags.h"
#include "cli/text_file.h"
#include "cli/timing.h"
#include "cli/token_list.h"
#include "text/chat_prompt.h"
#include "text/chat_template.h"
#include "text/detokenizer.h"
#include "text/output_parser.h"

namespace larder {

namespace {

struct EvalFlags {
  EngineFlags engine;
  SamplingFlags sampling;
  std::vector<std::string> files;
  std::int64_t limit = 0;
  int n_samples = 1;
  std::string output;
  bool json = false;
};

class Evaluation {
 public:
  Evaluation(Engine* engine, Session* session, const Tokenizer* tokenizer, SamplerParams sampler,
             const InterruptScope* interrupt)
      : engine_(*engine),
        session_(*session),
        tokenizer_(*tokenizer),
        sampler_(std::move(sampler)),
        interrupt_(*interrupt) {}

  Result<EvalAnswer> Answer(const EvalTask& task, std::uint64_t seed) {
    EvalAnswer answer;
    answer.group = task.group;
    answer.id = task.id;
    answer.seed = seed;
    LARDER_ASSIGN_OR_RETURN(const std::string text, PromptText(task));
    if (task.kind == EvalTask::Kind::kChoice) {
      LARDER_RETURN_IF_ERROR(ScoreChoices(task, text, &answer));
      return answer;
    }
    LARDER_RETURN_IF_ERROR(Generate(task, text, seed, &answer.text));
    if (task.kind == EvalTask::Kind::kToolCall) {
      answer.checks = JudgeCall(task, ReadMessage(task, text, answer.text));
    } else {
      answer.checks = JudgeText(task, Trimmed(answer.text));
    }
    return answer;
  }

 private:
  Result<std::string> PromptText(const EvalTask& task) const {
    if (!task.prompt.empty()) return task.prompt;
    LARDER_ASSIGN_OR_RETURN(const std::optional<ChatTemplate> chat,
                            ModelChatTemplate(engine_.metadata(), !task.tools.is_null()));
    if (!chat) return InvalidArgument("the model has no chat template; give tasks a \"prompt\"");
    nlohmann::ordered_json variables = {
        {"messages", task.messages}, {"add_generation_prompt", true}, {"enable_thinking", false}};
    if (!task.tools.is_null()) variables["tools"] = task.tools;
    AddTokenVariables(tokenizer_, &variables);
    return chat->Render(variables);
  }

  Result<std::vector<std::int32_t>> Encode(const std::string& text) const {
    return tokenizer_.Encode(text, {.add_special = true, .parse_special = true});
  }

  // The choice's tokens are what the whole text has beyond the prompt's, as the field counts them.
  Status ScoreChoices(const EvalTask& task, const std::string& text, EvalAnswer* answer) {
    LARDER_ASSIGN_OR_RETURN(const std::vector<std::int32_t> prompt, Encode(text));
    for (const std::string& choice : task.choices) {
      LARDER_ASSIGN_OR_RETURN(const std::vector<std::int32_t> whole, Encode(text + choice));
      const std::size_t n_prompt = std::min(prompt.size(), whole.size() - 1);
      if (n_prompt == 0) return InvalidArgument("task {} has an empty prompt", task.id);
      double sum = 0;
      session_.Clear();
      if (interrupt_.requested()) return Cancelled("interrupted");
      const auto add = [&](std::int64_t position, std::span<const float> logits) {
        const auto next = static_cast<std::size_t>(position) + 1;
        if (next < n_prompt || next >= whole.size()) return;
        sum +=
            static_cast<double>(logits[static_cast<std::size_t>(whole[next])]) - LogSumExp(logits);
      };
      const std::span<const std::int32_t> tokens(whole);
      LARDER_RETURN_IF_ERROR(session_.Append(tokens.first(n_prompt), LogitsFor::kLastToken, add));
      LARDER_RETURN_IF_ERROR(session_.Append(tokens.subspan(n_prompt), LogitsFor::kAllTokens, add));
      answer->logprobs.push_back(sum);
    }
    answer->checks = JudgeChoice(task, answer->logprobs);
    return Status::Ok();
  }

  Status Generate(const EvalTask& task, const std::string& text, std::uint64_t seed,
                  std::string* out) {
    LARDER_ASSIGN_OR_RETURN(const std::vector<std::int32_t> prompt, Encode(text));
    if (prompt.empty()) return InvalidArgument("task {} has an empty prompt", task.id);
    GenerationOptions options;
    options.max_tokens = task.max_tokens;
    options.sampler = sampler_;
    options.sampler.seed = seed;
    options.interrupted = [this] { return interrupt_.requested(); };
    StreamDecoder decoder(tokenizer_, task.kind == EvalTask::Kind::kToolCall);
    bool has_stopped = false;
    options.on_token = [&](std::int32_t token) -> Status {
      *out += decoder.Push(token);
      has_stopped = CutAtStop(task, *out).size() < out->size();
      return has_stopped ? Internal("stopped") : Status::Ok();
    };
    session_.Clear();
    if (interrupt_.requested()) return Cancelled("interrupted");
    const Result<StopReason> stopped = larder::Generate(session_, &tokenizer_, prompt, options);
    if (!stopped.ok() && !has_stopped) {
      return stopped.status().WithContext(fmt::format("task {}", task.id));
    }
    if (stopped.ok() && *stopped == StopReason::kInterrupted) return Cancelled("interrupted");
    *out = CutAtStop(task, *out + decoder.Flush());
    return Status::Ok();
  }

  Message ReadMessage(const EvalTask& task, const std::string& prompt,
                      const std::string& answer) const {
    const Result<std::string> source =
        engine_.metadata().GetStringOr("tokenizer.chat_template", "");
    const OutputStyle style = DetectOutputStyle(source.ok() ? *source : "", &tokenizer_);
    std::vector<ToolDefinition> tools = task.definitions;
    // Calls are looked for only where there are tools.
    if (tools.empty()) tools.push_back(MakeTool(task.tool_name, "", "{}"));
    const std::unique_ptr<OutputParser> parser = MakeOutputParser(style, tools, prompt);
    std::vector<OutputDelta> deltas;
    parser->Feed(answer, &deltas);
    parser->Finish(&deltas);
    MessageBuilder builder;
    for (const OutputDelta& delta : deltas) builder.Add(delta);
    return builder.Build();
  }

  Engine& engine_;
  Session& session_;
  const Tokenizer& tokenizer_;
  SamplerParams sampler_;
  const InterruptScope& interrupt_;
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
  std::vector<std::string> files = flags.files;
  if (files.empty()) {
    if (!flags.engine.model.empty()) {
      return InvalidArgument("eval needs task files: larder eval -m FILE TASKS.jsonl");
    }
    LARDER_ASSIGN_OR_RETURN(files, ShippedSuites());
  }
  for (const std::string& path : files) {
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

nlohmann::json Report(const EvalFlags& flags, const Engine& engine,
                      const std::vector<EvalAnswer>& answers, double seconds) {
  nlohmann::json json = {{"larder", {{"version", ProgramVersion()}, {"commit", ProgramCommit()}}},
                         {"model", flags.engine.model.empty() ? "demo" : flags.engine.model},
                         {"plan", engine.plan().Describe()},
                         {"seed", flags.sampling.seed},
                         {"n_samples", flags.n_samples},
                         {"seconds", seconds},
                         {"results", ToJson(CountChecks(answers))},
                         {"answers", nlohmann::json::array()}};
  if (!engine.plan().lossy.empty()) json["lossy"] = engine.plan().lossy;
  for (const EvalAnswer& answer : answers) json["answers"].push_back(ToJson(answer));
  return json;
}

Result<std::vector<EvalAnswer>> AnswerAll(const EvalFlags& flags,
                                          const std::vector<EvalTask>& tasks, Engine* engine) {
  LARDER_ASSIGN_OR_RETURN(const Tokenizer* tokenizer, engine->tokenizer());
  SamplingFlags sampling = flags.sampling;
  // Greedy unless asked otherwise: one right answer, one seed.
  if (!sampling.temperature) sampling.temperature = 0;
  LARDER_ASSIGN_OR_RETURN(const SamplerParams sampler,
                          MakeSamplerParams(sampling, engine->metadata(), tokenizer->n_vocab()));
  InterruptScope interrupt;
  LARDER_ASSIGN_OR_RETURN(const std::unique_ptr<Session> session, engine->NewSession());
  interrupt.Watch(session.get());
  Evaluation evaluation(engine, session.get(), tokenizer, sampler, &interrupt);
  ProgressLine progress("tasks", ProgressLine::Unit::kTokens);
  std::vector<EvalAnswer> answers;
  Status status;
  const std::size_t n_answers = tasks.size() * static_cast<std::size_t>(flags.n_samples);
  for (std::size_t i = 0; i < n_answers && status.ok(); ++i) {
    Result<EvalAnswer> answer =
        evaluation.Answer(tasks[i % tasks.size()], flags.sampling.seed + i / tasks.size());
    status = answer.status();
    if (answer.ok()) answers.push_back(std::move(*answer));
    progress.Update(i + 1, n_answers);
  }
  interrupt.Watch(nullptr);
  LARDER_RETURN_IF_ERROR(status);
  return answers;
}

Status Eval(const EvalFlags& flags) {
  LARDER_ASSIGN_OR_RETURN(const std::vector<EvalTask> tasks, ReadTasks(flags));
  LARDER_ASSIGN_OR_RETURN(EngineOptions options, MakeEngineOptions(flags.engine));
  LARDER_ASSIGN_OR_RETURN(const std::unique_ptr<Engine> engine, LoadEngine(std::move(options)));
  const std::int64_t start_us = NowUs();
  LARDER_ASSIGN_OR_RETURN(const std::vector<EvalAnswer> answers,
                          AnswerAll(flags, tasks, engine.get()));
  const nlohmann::json report = Report(flags, *engine, answers, SecondsSince(start_us));
  if (!flags.output.empty()) {
    LARDER_RETURN_IF_ERROR(WriteTextFile(flags.output, DumpJson(report, 1) + "\n"));
  }
  if (flags.json) return WriteStdout(DumpJson(report, 1) + "\n");
  return WriteStdout(ToMarkdown(CountChecks(answers)));
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
  Status status = CheckSamplingFlags(flags.sampling);
  if (status.ok()) status = Eval(flags);
  return status.ok() ? kExitSuccess : Fail(status);
}

}  // namespace larder
