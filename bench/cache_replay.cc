// cache_replay: hit rates of the expert cache's policy beside LRU, LFU and the offline optimum, for
// a recorded routing trace or a generated workload; decode steps from a cold start. One thread.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include "base/status.h"
#include "experts/cache_simulation.h"
#include "experts/routing_generator.h"
#include "experts/routing_trace.h"

namespace larder {
namespace {

struct Options {
  std::string trace;
  std::string workload;
  std::vector<double> percentages = {10, 15, 20, 25};  // of all experts
  std::int64_t n_tokens = 2000;
  int n_layers = 40;
  int n_experts = 256;
  int n_used = 8;
  std::uint64_t seed = 1;
};

Result<RoutingRecord> Load(const Options& options) {
  if (options.workload.empty()) {
    LARDER_ASSIGN_OR_RETURN(RoutingTrace trace, RoutingTrace::Read(options.trace));
    return RecordRouting(trace, trace.n_layers(), trace.n_experts(), trace.n_steps());
  }
  LARDER_ASSIGN_OR_RETURN(const RoutingParams params, RoutingGenerator::FromName(options.workload));
  if (options.n_used > options.n_experts) {
    return InvalidArgument("{} of {} experts cannot be used; lower --used", options.n_used,
                           options.n_experts);
  }
  RoutingGenerator generator(params, options.n_layers, options.n_experts, options.n_used,
                             options.seed);
  return RecordRouting(generator, options.n_layers, options.n_experts, options.n_tokens);
}

Status Run(const Options& options) {
  LARDER_ASSIGN_OR_RETURN(const RoutingRecord record, Load(options));
  const std::string name = options.workload.empty() ? options.trace : options.workload;
  fmt::print("{}: {} steps, {} layers, {} of {} experts; hits in % of experts asked for\n", name,
             record.n_steps, record.n_layers, record.n_used, record.n_experts);
  fmt::print("{:>7} {:>6} {:>7} {:>7} {:>7} {:>7} {:>9} {:>11}\n", "slots_%", "slots", "lru", "lfu",
             "ours", "belady", "ours-lru", "gap_closed");
  double gain = 0;
  double gap_closed = 0;
  for (const double percentage : options.percentages) {
    const double n_all = static_cast<double>(record.n_layers) * record.n_experts;
    const int n_slots = std::max(1, static_cast<int>(n_all * percentage / 100));
    const CacheComparison c = ComparePolicies(record, n_slots);
    fmt::print("{:>7} {:>6} {:>7.2f} {:>7.2f} {:>7.2f} {:>7.2f} {:>+9.2f} {:>10.1f}%\n", percentage,
               c.n_slots, 100 * c.lru, 100 * c.lfu, 100 * c.ours, 100 * c.belady,
               100 * (c.ours - c.lru), 100 * c.GapClosed());
    std::fflush(stdout);
    gain += 100 * (c.ours - c.lru) / static_cast<double>(options.percentages.size());
    gap_closed += 100 * c.GapClosed() / static_cast<double>(options.percentages.size());
  }
  fmt::print("{:>7} {:>6} {:>7} {:>7} {:>7} {:>7} {:>+9.2f} {:>10.1f}%\n", "mean", "", "", "", "",
             "", gain, gap_closed);
  return Status::Ok();
}

int Main(int argc, char** argv) {
  Options options;
  CLI::App app("Hit rates of the expert cache's policy beside LRU, LFU and the offline optimum");
  CLI::Option* trace = app.add_option("TRACE", options.trace, "Routing trace, .csv or .csv.gz");
  CLI::Option* workload =
      app.add_option("--workload", options.workload, "easy, mid or hard, instead of a trace");
  app.add_option("--slots", options.percentages, "Cache sizes, % of all experts")
      ->delimiter(',')
      ->check(CLI::Range(0.0, 100.0))
      ->capture_default_str();
  app.add_option("--tokens", options.n_tokens, "Steps of a workload")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  app.add_option("--layers", options.n_layers)->check(CLI::Range(1, 4096))->capture_default_str();
  app.add_option("--experts", options.n_experts)
      ->check(CLI::Range(1, 65536))
      ->capture_default_str();
  app.add_option("--used", options.n_used)->check(CLI::Range(1, 65536))->capture_default_str();
  app.add_option("--seed", options.seed)->capture_default_str();
  trace->excludes(workload);
  CLI11_PARSE(app, argc, argv);
  if (options.trace.empty() && options.workload.empty()) {
    fmt::print(stderr, "cache_replay: name a trace, or --workload easy, mid or hard\n");
    return 2;
  }
  const Status status = Run(options);
  if (status.ok()) return 0;
  fmt::print(stderr, "cache_replay: {}\n", status.message());
  return 1;
}

}  // namespace
}  // namespace larder

int main(int argc, char** argv) { return larder::Main(argc, argv); }
