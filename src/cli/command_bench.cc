// larder bench: speed of prompts and answers beside the limits of this machine, whose disk and
// memory are measured in the same run.
#include <fmt/format.h>
#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>

#include "base/clock.h"
#include "base/memory.h"
#include "base/size.h"
#include "cli/bench_compare.h"
#include "cli/bench_output.h"
#include "cli/bench_report.h"
#include "cli/bench_runner.h"
#include "cli/command.h"
#include "cli/engine_flags.h"
#include "cli/interrupt.h"
#include "cli/machine_info.h"
#include "cli/number_list.h"
#include "cli/output.h"
#include "cli/output_file.h"
#include "cli/probes.h"
#include "cli/program_version.h"
#include "cli/routing_replay.h"
#include "cli/text_file.h"
#include "cli/token_list.h"
#include "experts/routing_generator.h"
#include "experts/routing_trace.h"

namespace larder {

namespace {

struct BenchFlags {
  EngineFlags engine;
  std::string prompts = "512";
  std::string answers = "128";
  std::string depths = "0";
  int n_repetitions = 5;
  std::uint64_t seed = 1;
  std::string workload;
  std::string trace;
  std::string tokens;
  double recall = 0.75;
  int n_pairs = 0;
  std::string disk_rate;
  std::string timeline;
  double sustained_minutes = 0;
  std::string compare;
  std::string report;
  std::string output = "md";
  // Read from the above by CheckFlags.
  std::vector<BenchTest> tests;
  std::vector<BenchRates> before;
};

// What replaces the model's router, if anything; owns it.
struct Routing {
  std::unique_ptr<RoutingSequence> sequence;
  std::unique_ptr<RoutingReplay> replay;
  std::unique_ptr<RoutingCounter> counter;  // when the router is not replaced

  RoutingSource* source() const {
    return replay != nullptr ? static_cast<RoutingSource*>(replay.get()) : counter.get();
  }
  std::string name = "the model's own router";
};

Result<Routing> MakeRouting(const BenchFlags& flags, const ModelShape& shape) {
  Routing routing;
  if (!flags.workload.empty()) {
    LARDER_ASSIGN_OR_RETURN(const RoutingParams params, RoutingGenerator::FromName(flags.workload));
    routing.sequence = std::make_unique<RoutingGenerator>(params, shape.n_layers, shape.n_experts,
                                                          shape.n_used, flags.seed);
    routing.name = "workload " + flags.workload;
  } else if (!flags.trace.empty()) {
    LARDER_ASSIGN_OR_RETURN(RoutingTrace trace, RoutingTrace::Read(flags.trace));
    LARDER_RETURN_IF_ERROR(trace.CheckFits(shape.n_layers, shape.n_experts, shape.n_used));
    routing.sequence = std::make_unique<RoutingTrace>(std::move(trace));
    routing.name = "trace " + flags.trace;
  } else if (!flags.tokens.empty()) {
    routing.name += ", tokens of " + flags.tokens;
  }
  if (routing.sequence != nullptr) {
    routing.replay = std::make_unique<RoutingReplay>(
        routing.sequence.get(), shape.n_layers,
        RoutingGuesser(flags.recall, shape.n_experts, flags.seed + 0x9e3779b97f4a7c15ull));
    routing.name += fmt::format(", lookahead with recall {:.2f}", flags.recall);
  } else {
    routing.counter = std::make_unique<RoutingCounter>(shape.n_layers, shape.n_experts);
  }
  return routing;
}

DiskProbeOptions MakeProbe(const EngineOptions& options, std::uint64_t seed) {
  DiskProbeOptions probe;
  probe.mode = options.io_mode;
  probe.depth = options.io_depth;
  probe.throttle_bytes_per_second = options.throttle_bytes_per_second;
  probe.seed = seed;
  return probe;
}

// Reads only headers, and gives their memory back before the engine takes its budget.
Result<double> MeasureDiskBefore(const EngineOptions& options, std::uint64_t seed) {
  double rate = 0;
  {
    LARDER_ASSIGN_OR_RETURN(const GgufModel file, OpenGguf(options.model_path));
    LARDER_ASSIGN_OR_RETURN(const std::unique_ptr<Model> model, MakeModel(file, ModelOverrides{}));
    LARDER_ASSIGN_OR_RETURN(rate, ProbeDiskRate(model->layout().bank, MakeProbe(options, seed)));
  }
  malloc_trim(0);
  return rate;
}

Result<double> MeasureMemory(const EngineOptions& options) {
  const int n_threads = options.n_threads > 0 ? options.n_threads : DefaultThreadCount();
  return ProbeMemoryRate(n_threads,
                         MemoryProbeBytes(options.memory_budget_bytes, options.model_path));
}

// For each depth its prompts, then its answers; a 0 among prompts or answers stands for none.
Result<std::vector<BenchTest>> MakeTests(const BenchFlags& flags) {
  LARDER_ASSIGN_OR_RETURN(const std::vector<std::int64_t> prompts,
                          ParseNumberList("-p", flags.prompts));
  LARDER_ASSIGN_OR_RETURN(const std::vector<std::int64_t> answers,
                          ParseNumberList("-n", flags.answers));
  LARDER_ASSIGN_OR_RETURN(const std::vector<std::int64_t> depths,
                          ParseNumberList("-d", flags.depths));
  std::vector<BenchTest> tests;
  const bool answers_only = flags.n_pairs > 0 || flags.sustained_minutes > 0;
  for (const std::int64_t depth : depths) {
    for (const std::int64_t n : prompts) {
      if (n > 0 && !answers_only) tests.push_back({true, n, depth});
    }
    for (const std::int64_t n : answers) {
      if (n > 0) tests.push_back({false, n, depth});
    }
  }
  // --pairs and --sustained have the first to themselves.
  if (answers_only && !tests.empty()) tests.resize(1);
  if (tests.empty()) {
    return answers_only ? InvalidArgument("--pairs and --sustained need answers: -n 0 leaves none")
                        : InvalidArgument("-p 0 and -n 0 leave nothing to measure");
  }
  return tests;
}

struct TestResults {
  std::vector<BenchTest> tests;
  std::vector<std::vector<BenchRepetition>> repetitions;  // one entry per test
  std::vector<LookaheadPair> pairs;
  std::optional<SustainedRun> sustained;
};

// What takes the place of the tests, on the first of them.
Status RunSpecial(const BenchFlags& flags, BenchRunner* runner, TestResults* results) {
  const BenchTest& test = flags.tests.front();
  if (flags.n_pairs > 0) {
    LARDER_ASSIGN_OR_RETURN(results->pairs, runner->RunPairs(test, flags.n_pairs));
    return Status::Ok();
  }
  constexpr int kWindows = 20;
  LARDER_ASSIGN_OR_RETURN(results->sustained,
                          runner->RunSustained(test, 60 * flags.sustained_minutes, kWindows));
  return Status::Ok();
}

Status RunAll(const BenchFlags& flags, BenchRunner* runner, TestResults* results) {
  if (flags.n_pairs > 0 || flags.sustained_minutes > 0) {
    return RunSpecial(flags, runner, results);
  }
  results->tests = flags.tests;
  for (const BenchTest& test : results->tests) {
    LARDER_ASSIGN_OR_RETURN(std::vector<BenchRepetition> repetitions, runner->Run(test));
    results->repetitions.push_back(std::move(repetitions));
  }
  return Status::Ok();
}

Result<TestResults> RunTests(const BenchFlags& flags, Engine* engine, RoutingCounter* counter) {
  BenchOptions options;
  options.n_repetitions = flags.n_repetitions;
  options.seed = flags.seed;
  options.counter = counter;
  if (!flags.tokens.empty()) {
    LARDER_ASSIGN_OR_RETURN(options.tokens, ParseTokenIds("@" + flags.tokens));
    if (options.tokens.empty()) return InvalidArgument("{} has no token ids", flags.tokens);
  }
  InterruptScope interrupt;
  options.interrupted = [&interrupt] { return interrupt.requested(); };
  options.on_start = [](const std::string& what) { PrintTo(stderr, "larder: {}\n", what); };
  LARDER_ASSIGN_OR_RETURN(const std::unique_ptr<Session> session, engine->NewSession());
  interrupt.Watch(session.get());
  BenchRunner runner(engine, session.get(), std::move(options));
  TestResults results;
  const Status status = RunAll(flags, &runner, &results);
  interrupt.Watch(nullptr);
  LARDER_RETURN_IF_ERROR(status);
  return results;
}

// Rows beside their limits: at the report's rates, and the last answer's at those probed here.
void FillRows(const TestResults& results, const ModelLayout& layout, const ModelShape& shape,
              const MachineRates& probed, BenchReport* report) {
  for (std::size_t i = 0; i < results.tests.size(); ++i) {
    int number = 0;
    for (const BenchRepetition& repetition : results.repetitions[i]) {
      if (!repetition.token_seconds.empty()) {
        report->token_times.push_back({results.tests[i].Name(), number, repetition.token_seconds});
      }
      ++number;
    }
    const std::vector<BenchRow> rows =
        MakeRows(results.tests[i], results.repetitions[i], layout, shape, report->rates);
    report->rows.insert(report->rows.end(), rows.begin(), rows.end());
    if (results.tests[i].is_prompt) continue;
    report->probed_answer =
        MakeRows(results.tests[i], results.repetitions[i], layout, shape, probed).back();
  }
}

// What was in effect, with what the plan chose in place of "by default".
nlohmann::json SettingsOf(const BenchFlags& flags, const Engine& engine) {
  const EngineFlags& given = flags.engine;
  nlohmann::json settings = {{"profile", given.from_profile.empty() ? "none" : given.from_profile},
                             {"memory", given.memory.empty() ? "chosen" : given.memory},
                             {"ctx", engine.plan().context_tokens},
                             {"threads", engine.plan().n_threads},
                             {"pin", given.pin},
                             {"batch", engine.plan().max_batch},
                             {"kv_type", given.kv_type},
                             {"experts", engine.shape().n_used},
                             {"expert_mass", given.expert_mass},
                             {"io", engine.plan().reader == "io_uring" ? "uring" : "threads"},
                             {"io_depth", given.io_depth},
                             {"reads", engine.plan().direct_reads ? "direct" : "cached"},
                             {"io_throttle", given.throttle.empty() ? "none" : given.throttle},
                             {"lookahead", given.lookahead},
                             {"lookahead_depth", given.lookahead_depth},
                             {"cache_half_life", given.cache_half_life},
                             {"warm_start", given.warm_start},
                             {"seed", flags.seed}};
  if (!flags.workload.empty() || !flags.trace.empty()) settings["recall"] = flags.recall;
  if (!flags.disk_rate.empty()) settings["disk_rate"] = flags.disk_rate;
  return settings;
}

std::uint64_t ModelBytes(const GgufModel& file) {
  std::uint64_t size_bytes = 0;
  for (int i = 0; i < file.tensors.n_files(); ++i) size_bytes += file.tensors.file(i).size_bytes();
  return size_bytes;
}

Status FillFromEngine(const BenchFlags& flags, EngineOptions options, ExpertTimeline* timeline,
                      BenchReport* report) {
  const std::int64_t start_us = NowUs();
  const EngineOptions probe_options = options;
  LARDER_ASSIGN_OR_RETURN(std::unique_ptr<Engine> engine, LoadEngine(std::move(options)));
  report->load_seconds = SecondsSince(start_us);
  report->plan = engine->plan().Describe();
  report->lossy = engine->plan().lossy;
  report->budget_bytes = engine->plan().budget_bytes;
  report->dense_bytes = engine->plan().dense_bytes;
  report->n_expert_slots = engine->plan().slots.n_slots;
  report->n_experts = engine->plan().slots.n_records;
  LARDER_ASSIGN_OR_RETURN(report->model_name, engine->metadata().GetStringOr("general.name", ""));
  LARDER_ASSIGN_OR_RETURN(const Routing routing, MakeRouting(flags, engine->shape()));
  report->routing = routing.name;
  report->settings = SettingsOf(flags, *engine);
  engine->SetRouting(routing.source());
  if (!flags.timeline.empty()) engine->SetTimeline(timeline);
  LARDER_ASSIGN_OR_RETURN(const TestResults results,
                          RunTests(flags, engine.get(), routing.counter.get()));
  engine->SetTimeline(nullptr);
  engine->SetRouting(nullptr);
  report->peak_resident_bytes = PeakResidentBytes();
  LARDER_ASSIGN_OR_RETURN(
      report->disk_rate_after,
      ProbeDiskRate(engine->layout().bank, MakeProbe(probe_options, flags.seed + 1)));
  report->rates.disk_bytes_per_second = (report->disk_rate_before + report->disk_rate_after) / 2;
  const ModelShape shape = engine->shape();
  engine.reset();  // the second probe of the memory has the budget to itself, as the first had
  malloc_trim(0);
  LARDER_ASSIGN_OR_RETURN(report->memory_rate_after, MeasureMemory(probe_options));
  report->rates.memory_bytes_per_second =
      (report->memory_rate_before + report->memory_rate_after) / 2;
  // The engine's layout points into its file; this one reads the headers again.
  LARDER_ASSIGN_OR_RETURN(const GgufModel file, OpenGguf(probe_options.model_path));
  LARDER_ASSIGN_OR_RETURN(const std::unique_ptr<Model> model, MakeModel(file, ModelOverrides{}));
  report->model_bytes = ModelBytes(file);
  if (!flags.disk_rate.empty()) {
    LARDER_ASSIGN_OR_RETURN(const std::uint64_t rate_bytes, ParseSize(flags.disk_rate));
    report->rates.disk_bytes_per_second = static_cast<double>(rate_bytes);
  }
  MachineRates probed = report->rates;
  probed.disk_bytes_per_second = (report->disk_rate_before + report->disk_rate_after) / 2;
  report->special_test = flags.tests.front().Name();
  report->pairs = results.pairs;
  report->sustained = results.sustained;
  FillRows(results, model->layout(), shape, probed, report);
  return Status::Ok();
}

Status Print(const BenchFlags& flags, const BenchReport& report) {
  if (flags.output == "md") return WriteStdout(ToMarkdown(report));
  for (const std::string& difference : report.differences) {
    PrintTo(stderr, "larder: {}\n", difference);
  }
  if (flags.output == "json") return WriteStdout(DumpJson(ToJson(report), 2) + "\n");
  return WriteStdout(flags.output == "csv" ? ToCsv(report) : ToJsonLines(report));
}

// Positions that the model was made for. Reads only headers.
Result<std::int64_t> TrainedContext(const std::string& model_path) {
  LARDER_ASSIGN_OR_RETURN(const GgufModel file, OpenGguf(model_path));
  LARDER_ASSIGN_OR_RETURN(const std::unique_ptr<Model> model, MakeModel(file, ModelOverrides{}));
  return model->shape().context_length;
}

// The context given, or what the longest test needs; known before the first is measured.
Status SettleContext(const BenchFlags& flags, EngineOptions* options) {
  LARDER_ASSIGN_OR_RETURN(const std::int64_t n_possible, TrainedContext(options->model_path));
  std::int64_t n_needed = 0;
  for (const BenchTest& test : flags.tests) {
    const std::int64_t n_positions = test.depth + test.n_tokens;
    if (options->context_tokens > 0 && n_positions > options->context_tokens) {
      return InvalidArgument("{} needs {} positions and --ctx gives {}; give a larger one or none",
                             test.Name(), n_positions, options->context_tokens);
    }
    if (n_positions > n_possible) {
      return InvalidArgument("{} needs {} positions and this model was made for {}", test.Name(),
                             n_positions, n_possible);
    }
    n_needed = std::max(n_needed, n_positions);
  }
  if (options->context_tokens == 0) options->context_tokens = n_needed;
  return Status::Ok();
}

Status Bench(BenchFlags flags, const std::string& words) {
  LARDER_ASSIGN_OR_RETURN(flags.engine, WithProfile(flags.engine));
  LARDER_ASSIGN_OR_RETURN(EngineOptions options, MakeEngineOptions(flags.engine));
  LARDER_RETURN_IF_ERROR(SettleContext(flags, &options));
  BenchReport report;
  report.commit = ProgramCommit();
  report.version = ProgramVersion();
  report.cpu = CpuName();
  report.kernel = KernelName();
  report.disk = DiskName(options.model_path);
  report.model_path = options.model_path;
  LARDER_ASSIGN_OR_RETURN(report.memory_rate_before, MeasureMemory(options));
  LARDER_ASSIGN_OR_RETURN(report.disk_rate_before, MeasureDiskBefore(options, flags.seed));
  ExpertTimeline timeline;
  LARDER_RETURN_IF_ERROR(FillFromEngine(flags, std::move(options), &timeline, &report));
  report.compared_with = flags.compare;
  const std::vector<BenchRates> rates = RatesOf(report);
  report.ratios = CompareRows(flags.before, rates);
  report.differences = SetupDifferences(flags.before, rates);
  // Whichever of these cannot be written, the others are.
  Status written = Print(flags, report);
  const auto keep_first = [&written](const Status& next) {
    if (written.ok()) written = next;
  };
  if (!flags.report.empty()) keep_first(WriteTextFile(flags.report, ToReportFile(report, words)));
  if (!flags.timeline.empty()) keep_first(timeline.WriteCsv(flags.timeline));
  if (report.sustained && report.sustained->is_interrupted) keep_first(Cancelled("interrupted"));
  return written;
}

// Known before the measurement, which would be lost.
Status CheckOutputs(const BenchFlags& flags) {
  const std::vector<std::string> inputs = {flags.compare, flags.trace, flags.tokens};
  LARDER_RETURN_IF_ERROR(CheckOutputFile(flags.report, inputs));
  LARDER_RETURN_IF_ERROR(CheckOutputFile(flags.timeline, inputs));
  if (!flags.report.empty() && IsSameFile(flags.report, flags.timeline)) {
    return InvalidArgument("--report and --timeline name the same file; give each its own");
  }
  return Status::Ok();
}

Status CheckFlags(BenchFlags* checked) {
  const BenchFlags& flags = *checked;
  LARDER_RETURN_IF_ERROR(CheckAtLeast("-r", flags.n_repetitions, 1));
  LARDER_RETURN_IF_ERROR(CheckAtLeast("--pairs", flags.n_pairs, 0));
  if (!(flags.sustained_minutes >= 0 && flags.sustained_minutes <= 1440)) {
    return InvalidArgument("--sustained takes minutes, at most 1440, not {}",
                           flags.sustained_minutes);
  }
  if (flags.n_pairs > 0 && flags.sustained_minutes > 0) {
    return InvalidArgument("--pairs and --sustained exclude each other");
  }
  if (!flags.compare.empty() && (flags.n_pairs > 0 || flags.sustained_minutes > 0)) {
    return InvalidArgument("--compare needs the tests that --pairs and --sustained take away");
  }
  LARDER_ASSIGN_OR_RETURN(checked->tests, MakeTests(flags));
  if (!flags.compare.empty()) {
    LARDER_ASSIGN_OR_RETURN(const std::string text, ReadTextFile(flags.compare));
    Result<std::vector<BenchRates>> before = ReadBenchRows(text);
    if (!before.ok()) return before.status().WithContext(flags.compare);
    checked->before = std::move(*before);
  }
  const int n_sources = (flags.workload.empty() ? 0 : 1) + (flags.trace.empty() ? 0 : 1) +
                        (flags.tokens.empty() ? 0 : 1);
  if (n_sources > 1) {
    return InvalidArgument("--workload, --trace and --tokens exclude each other; give one");
  }
  if (!(flags.recall >= 0 && flags.recall <= 1)) {
    return InvalidArgument("--recall is a share from 0 to 1, not {}", flags.recall);
  }
  if (!flags.disk_rate.empty()) {
    const Status parsed = ParseSize(flags.disk_rate).status();
    if (!parsed.ok()) return parsed.WithContext("--disk-rate");
  }
  // Known before a model is loaded for minutes.
  if (!flags.workload.empty()) {
    LARDER_RETURN_IF_ERROR(RoutingGenerator::FromName(flags.workload).status());
  }
  for (const std::string& path : {flags.trace, flags.tokens}) {
    if (path.empty() || access(path.c_str(), R_OK) == 0) continue;
    return NotFound("cannot read {}: {}; check the name", path, std::strerror(errno));
  }
  if (!flags.tokens.empty()) {
    LARDER_RETURN_IF_ERROR(ParseTokenIds("@" + flags.tokens).status());
  }
  return CheckOutputs(flags);
}

void AddBenchFlags(CLI::App* app, BenchFlags* flags) {
  AddEngineFlags(app, &flags->engine);
  app->get_option("--ctx")->description("positions to keep; default: what the longest test needs");
  app->add_option("-p,--n-prompt", flags->prompts,
                  "prompt tokens, such as 512,2048; 512 by default, 0: no prompt")
      ->type_name("LIST");
  app->add_option("-n,--n-answer", flags->answers, "answer tokens, 128 by default; 0: no answer")
      ->type_name("LIST");
  app->add_option("-d,--depth", flags->depths, "tokens before either, not timed")
      ->type_name("LIST");
  app->add_option("-r,--repetitions", flags->n_repetitions, "5 by default")->type_name("N");
  app->add_option("--seed", flags->seed, "of tokens and workload")
      ->type_name("N")
      ->check(WholeNumber(0));
  app->add_option("--workload", flags->workload,
                  "experts chosen as real models do: easy, mid or hard")
      ->type_name("NAME");
  app->add_option("--trace", flags->trace, "experts chosen as recorded in a CSV file")
      ->type_name("FILE");
  app->add_option("--tokens", flags->tokens, "feed these token ids")->type_name("FILE");
  app->add_option("--recall", flags->recall,
                  "share of experts that the lookahead guesses right with --workload or --trace, "
                  "0.75 by default")
      ->type_name("R");
  app->add_option("--pairs", flags->n_pairs,
                  "instead: N pairs of answers, with lookahead and without, by turns")
      ->type_name("N");
  app->add_option("--sustained", flags->sustained_minutes,
                  "instead: answers for so many minutes, and the rate as time goes")
      ->type_name("MINUTES");
  app->add_option("--compare", flags->compare,
                  "print ratios to an earlier run's -o json, with the noise beside them")
      ->type_name("FILE");
  app->add_option("--report", flags->report,
                  "write one file to send: machine, settings, rows, every token's time")
      ->type_name("FILE");
  app->add_option("--disk-rate", flags->disk_rate,
                  "bytes per second that another tool measured, for the limits")
      ->type_name("SIZE");
  app->add_option("--timeline", flags->timeline, "record requests and reads in a CSV file")
      ->type_name("FILE");
  app->add_option("-o,--output", flags->output, "md, csv, json or jsonl")
      ->type_name("FORMAT")
      ->check(CLI::IsMember({"md", "csv", "json", "jsonl"}));
}

}  // namespace

int BenchMain(const Arguments& arguments) {
  CommandLine line("bench",
                   "Measures prompts (pp) and answers (tg), beside what the disk and the memory of "
                   "this machine allow.",
                   "  larder bench -m model.gguf --memory 8G -p 512,2048 -n 128 -d 0,8192 -r 5\n"
                   "  larder bench -m model.gguf --memory 8G -p 0 -n 64 --workload mid --recall "
                   "0.9 -o json\n"
                   "  larder bench -m model.gguf --compare yesterday.json --report mine.md\n"
                   "  larder bench -m model.gguf -n 128 --sustained 10\n");
  BenchFlags flags;
  AddBenchFlags(&line.app(), &flags);
  if (const auto exit_status = line.Parse(arguments)) return *exit_status;
  const Status checked = CheckFlags(&flags);
  if (!checked.ok()) return Fail(checked);
  const Status status = Bench(std::move(flags), fmt::format("{}", fmt::join(arguments, " ")));
  return status.ok() ? kExitSuccess : Fail(status);
}

}  // namespace larder
