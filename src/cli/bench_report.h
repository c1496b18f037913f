// From repetitions to rows, and rows to Markdown or JSON. Pure functions.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "cli/bench_compare.h"
#include "cli/bench_runner.h"
#include "cli/bench_sustained.h"
#include "cli/limits.h"

namespace larder {

/// Repetitions of one test in one state (cold or warm), summed up.
struct BenchRow {
  BenchTest test;
  bool cold = false;
  int first_repetition = 0;   // of the test's, from 0
  std::vector<double> rates;  // tokens/s, one per repetition
  double median_rate = 0;
  double lowest_rate = 0;
  double highest_rate = 0;
  double hit_rate = 0;
  double bytes_read_per_token = 0;
  double token_ms_p50 = 0;  // the rest of the block: answers only
  double token_ms_p95 = 0;
  double first_quarter_rate = 0;
  double last_quarter_rate = 0;
  double simple_limit_rate = 0;    // by bytes missed and bytes touched
  double touched_limit_rate = 0;   // prompts only: as if every expert touched had to be read
  double pipeline_limit_rate = 0;  // answers only
  int experts_used_per_layer_min = 0;
  double prompt_expert_bytes = 0;  // prompts only, per repetition
  std::uint64_t hash = 0;
  PhaseFigures sum;
};

/// One row per state that occurs.
std::vector<BenchRow> MakeRows(const BenchTest& test,
                               const std::vector<BenchRepetition>& repetitions,
                               const ModelLayout& layout, const ModelShape& shape,
                               const MachineRates& rates);

/// Seconds of each token of one repetition of an answer.
struct TokenTimes {
  std::string test;
  int repetition = 0;
  std::vector<double> seconds;
};

struct BenchReport {
  std::string commit;
  std::string version;
  std::string cpu;
  std::string kernel;
  std::string disk;
  std::string model_path;
  std::string model_name;
  std::uint64_t model_bytes = 0;
  std::string plan;
  std::string lossy;    // what changes the answer; empty: nothing
  std::string routing;  // "the model's own router", "workload mid" ...
  /// All that is needed to repeat the run and not said elsewhere, by the names of the options: as
  /// they were in effect, whether given, chosen or taken from a profile. A flat JSON object.
  nlohmann::json settings = nlohmann::json::object();
  MachineRates rates;
  double memory_rate_before = 0;  // their mean is in `rates`, unless named; bytes/s
  double memory_rate_after = 0;
  double disk_rate_before = 0;
  double disk_rate_after = 0;
  double load_seconds = 0;
  std::uint64_t budget_bytes = 0;
  std::uint64_t dense_bytes = 0;
  std::int64_t n_expert_slots = 0;
  std::int64_t n_experts = 0;  // in all layers
  std::uint64_t peak_resident_bytes = 0;
  std::vector<BenchRow> rows;
  /// The last answer row beside limits at the disk rate that this run probed itself.
  std::optional<BenchRow> probed_answer;
  std::string special_test;  // of pairs or the sustained run
  std::vector<LookaheadPair> pairs;
  std::optional<SustainedRun> sustained;
  std::vector<BenchRatio> ratios;        // to an earlier report
  std::vector<std::string> differences;  // of its setup
  std::string compared_with;             // its file; empty: none
  std::vector<TokenTimes> token_times;
};

/// What a comparison needs of the report's rows.
std::vector<BenchRates> RatesOf(const BenchReport& report);

std::string ToMarkdown(const BenchReport& report);
nlohmann::json ToJson(const BenchReport& report);

/// The value below which `share` of the values lie (nearest rank); 0 of none.
double Quantile(std::vector<double> values, double share);

}  // namespace larder
