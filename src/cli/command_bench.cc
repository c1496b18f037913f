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
#include "cli/bench_report.h"
#include "cli/bench_runner.h"
#include "cli/command.h"
#include "cli/engine_flags.h"
#include "cli/interrupt.h"
#include "cli/machine_info.h"
#include "cli/output.h"
#include "cli/probes.h"
#include "cli/program_version.h"
#include "cli/routing_replay.h"
#include "cli/token_list.h"
#include "experts/routing_generator.h"
#include "experts/routing_trace.h"

namespace larder {

namespace {

struct BenchFlags {
  EngineFlags engine;
  std::int64_t n_prompt = 512;
  std::int64_t n_answer = 128;
  std::int64_t depth = 0;
  int n_repetitions = 3;
  std::uint64_t seed = 1;
  std::string workload;
  std::string trace;
  std::string tokens;
  double recall = 0.75;
  int n_pairs = 0;
  std::string disk_rate;
  std::string timeline;
  std::string output = "md";
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
  std::uint64_t buffer_bytes = std::uint64_t{256} << 20;
  if (options.memory_budget_bytes) {
    buffer_bytes = std::min(buffer_bytes, *options.memory_budget_bytes / 4);
  }
  const int n_threads = options.n_threads > 0 ? options.n_threads : DefaultThreadCount();
  return ProbeMemoryRate(n_threads, std::max<std::uint64_t>(buffer_bytes, 1 << 20));
}

std::vector<BenchTest> MakeTests(const BenchFlags& flags) {
  std::vector<BenchTest> tests;
  if (flags.n_prompt > 0) tests.push_back({true, flags.n_prompt, flags.depth});
  if (flags.n_answer > 0) tests.push_back({false, flags.n_answer, flags.depth});
  return tests;
}

struct TestResults {
  std::vector<BenchTest> tests;
  std::vector<std::vector<BenchRepetition>> repetitions;  // one entry per test
  std::vector<LookaheadPair> pairs;
};

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
  if (flags.n_pairs > 0) {
    Result<std::vector<LookaheadPair>> pairs =
        runner.RunPairs({false, flags.n_answer, flags.depth}, flags.n_pairs);
    interrupt.Watch(nullptr);
    if (!pairs.ok()) return pairs.status();
    results.pairs = std::move(*pairs);
    return results;
  }
  results.tests = MakeTests(flags);
  for (const BenchTest& test : results.tests) {
    Result<std::vector<BenchRepetition>> repetitions = runner.Run(test);
    if (!repetitions.ok()) {
      interrupt.Watch(nullptr);
      return repetitions.status();
    }
    results.repetitions.push_back(std::move(*repetitions));
  }
  interrupt.Watch(nullptr);
  return results;
}

Status FillFromEngine(const BenchFlags& flags, EngineOptions options, BenchReport* report) {
  const std::int64_t start_us = NowUs();
  const EngineOptions probe_options = options;
  LARDER_ASSIGN_OR_RETURN(std::unique_ptr<Engine> engine, LoadEngine(std::move(options)));
  report->load_seconds = SecondsSince(start_us);
  report->plan = engine->plan().Describe();
  report->lossy = engine->plan().lossy;
  report->budget_bytes = engine->plan().budget_bytes;
  report->dense_bytes = engine->plan().dense_bytes;
  LARDER_ASSIGN_OR_RETURN(report->model_name, engine->metadata().GetStringOr("general.name", ""));
  LARDER_ASSIGN_OR_RETURN(const Routing routing, MakeRouting(flags, engine->shape()));
  report->routing = routing.name;
  engine->SetRouting(routing.source());
  ExpertTimeline timeline;
  if (!flags.timeline.empty()) engine->SetTimeline(&timeline);
  LARDER_ASSIGN_OR_RETURN(const TestResults results,
                          RunTests(flags, engine.get(), routing.counter.get()));
  engine->SetTimeline(nullptr);
  if (!flags.timeline.empty()) LARDER_RETURN_IF_ERROR(timeline.WriteCsv(flags.timeline));
  engine->SetRouting(nullptr);
  report->peak_resident_bytes = PeakResidentBytes();
  LARDER_ASSIGN_OR_RETURN(
      report->disk_rate_after,
      ProbeDiskRate(engine->layout().bank, MakeProbe(probe_options, flags.seed + 1)));
  report->rates.disk_bytes_per_second = (report->disk_rate_before + report->disk_rate_after) / 2;
  if (!flags.disk_rate.empty()) {
    LARDER_ASSIGN_OR_RETURN(const std::uint64_t rate_bytes, ParseSize(flags.disk_rate));
    report->rates.disk_bytes_per_second = static_cast<double>(rate_bytes);
  }
  MachineRates probed = report->rates;
  probed.disk_bytes_per_second = (report->disk_rate_before + report->disk_rate_after) / 2;
  report->pairs = results.pairs;
  for (std::size_t i = 0; i < results.tests.size(); ++i) {
    const std::vector<BenchRow> rows = MakeRows(results.tests[i], results.repetitions[i],
                                                engine->layout(), engine->shape(), report->rates);
    report->rows.insert(report->rows.end(), rows.begin(), rows.end());
    if (results.tests[i].is_prompt) continue;
    report->probed_answer = MakeRows(results.tests[i], results.repetitions[i], engine->layout(),
                                     engine->shape(), probed)
                                .back();
  }
  return Status::Ok();
}

Status Bench(const BenchFlags& flags) {
  LARDER_ASSIGN_OR_RETURN(EngineOptions options, MakeEngineOptions(flags.engine));
  if (options.context_tokens == 0) {
    options.context_tokens = flags.depth + std::max(flags.n_prompt, flags.n_answer);
  }
  BenchReport report;
  report.commit = ProgramCommit();
  report.version = ProgramVersion();
  report.cpu = CpuName();
  report.kernel = KernelName();
  report.disk = DiskName(options.model_path);
  report.model_path = options.model_path;
  LARDER_ASSIGN_OR_RETURN(report.rates.memory_bytes_per_second, MeasureMemory(options));
  LARDER_ASSIGN_OR_RETURN(report.disk_rate_before, MeasureDiskBefore(options, flags.seed));
  LARDER_RETURN_IF_ERROR(FillFromEngine(flags, std::move(options), &report));
  if (flags.output == "json") {
    return WriteStdout(DumpJson(ToJson(report), 2) + "\n");
  }
  return WriteStdout(ToMarkdown(report));
}

Status CheckFlags(const BenchFlags& flags) {
  LARDER_RETURN_IF_ERROR(CheckAtLeast("-p", flags.n_prompt, 0));
  LARDER_RETURN_IF_ERROR(CheckAtLeast("-n", flags.n_answer, 0));
  LARDER_RETURN_IF_ERROR(CheckAtLeast("-d", flags.depth, 0));
  LARDER_RETURN_IF_ERROR(CheckAtLeast("-r", flags.n_repetitions, 1));
  if (flags.n_prompt == 0 && flags.n_answer == 0) {
    return InvalidArgument("-p 0 and -n 0 leave nothing to measure");
  }
  if (flags.output != "md" && flags.output != "json") {
    return InvalidArgument("-o must be md or json, not '{}'", flags.output);
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
  LARDER_RETURN_IF_ERROR(CheckAtLeast("--pairs", flags.n_pairs, 0));
  if (flags.n_pairs > 0 && flags.n_answer == 0) {
    return InvalidArgument("--pairs compares answers: -n 0 leaves none");
  }
  // Known before a model is loaded for minutes.
  if (!flags.workload.empty()) {
    LARDER_RETURN_IF_ERROR(RoutingGenerator::FromName(flags.workload).status());
  }
  for (const std::string& path : {flags.trace, flags.tokens}) {
    if (path.empty() || access(path.c_str(), R_OK) == 0) continue;
    return InvalidArgument("cannot read {}: {}; check the name", path, std::strerror(errno));
  }
  if (!flags.tokens.empty()) {
    LARDER_RETURN_IF_ERROR(ParseTokenIds("@" + flags.tokens).status());
  }
  return Status::Ok();
}

}  // namespace

int BenchMain(const Arguments& arguments) {
  CommandLine line("bench",
                   "Measures prompts (pp) and answers (tg), beside what the disk and the memory of "
                   "this machine allow.",
                   "  larder bench -m model.gguf --memory 8G -p 60 -n 64\n"
                   "  larder bench -m model.gguf --memory 8G -p 0 -n 64 --workload mid --recall "
                   "0.9 -o json\n"
                   "  larder bench -m model.gguf -d 2048 -n 128 -r 5\n");
  BenchFlags flags;
  CLI::App& app = line.app();
  AddEngineFlags(&app, &flags.engine);
  app.add_option("-p,--n-prompt", flags.n_prompt, "prompt tokens, 512 by default; 0: no prompt")
      ->type_name("N");
  app.add_option("-n,--n-answer", flags.n_answer, "answer tokens, 128 by default; 0: no answer")
      ->type_name("N");
  app.add_option("-d,--depth", flags.depth, "tokens before either, not timed")->type_name("N");
  app.add_option("-r,--repetitions", flags.n_repetitions, "3 by default")->type_name("N");
  app.add_option("--seed", flags.seed, "of tokens and workload")
      ->type_name("N")
      ->check(WholeNumber(0));
  app.add_option("--workload", flags.workload,
                 "experts chosen as real models do: easy, mid or hard")
      ->type_name("NAME");
  app.add_option("--trace", flags.trace, "experts chosen as recorded in a CSV file")
      ->type_name("FILE");
  app.add_option("--tokens", flags.tokens, "feed these token ids")->type_name("FILE");
  app.add_option("--recall", flags.recall,
                 "share of experts that the lookahead guesses right with --workload or --trace, "
                 "0.75 by default")
      ->type_name("R");
  app.add_option("--pairs", flags.n_pairs,
                 "instead: N pairs of answers, with lookahead and without, by turns")
      ->type_name("N");
  app.add_option("--disk-rate", flags.disk_rate,
                 "bytes per second that another tool measured, for the limits")
      ->type_name("SIZE");
  app.add_option("--timeline", flags.timeline, "record requests and reads in a CSV file")
      ->type_name("FILE");
  app.add_option("-o,--output", flags.output, "md or json")->type_name("FORMAT");
  if (const auto exit_status = line.Parse(arguments)) return *exit_status;
  const Status checked = CheckFlags(flags);
  if (!checked.ok()) return Fail(checked);
  const Status status = Bench(flags);
  return status.ok() ? kExitSuccess : Fail(status);
}

}  // namespace larder
