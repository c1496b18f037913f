// What `larder plan` prints: rates by weight types and memory budget, as Markdown, JSON and SVG.
// Plain data and pure functions.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "cli/cost_model.h"
#include "engine/engine.h"

namespace larder {

/// Tokens per second: as predicted, and from the slowest to the fastest that the machine showed.
/// All 0: not known.
struct RateRange {
  double low = 0;
  double expected = 0;
  double high = 0;
};

/// One budget.
struct PlanRow {
  std::uint64_t budget_bytes = 0;
  std::string problem;  // why it does not work; the rest is empty then
  EnginePlan plan;
  double resident_share = 0;  // of all experts
  double hit_rate = 0;
  RateRange decode;
  RateRange prefill;
  double decode_limit = 0;  // with perfect foresight
  DecodeSeconds parts;
  PrefillSeconds prefill_parts;
};

/// One choice of weight types.
struct PlanTypes {
  std::string name;  // "Q4_K experts, Q8_0 dense", "as in the file"
  std::uint64_t file_bytes = 0;
  std::optional<bool> fits_disk;  // nothing: not known
  double bits_per_weight = 0;     // of the experts
  std::uint64_t smallest_budget_bytes = 0;
  std::uint64_t whole_budget_bytes = 0;  // the least that holds every expert
  std::vector<PlanRow> rows;
};

/// What would help at the first budget and types, best first.
struct PlanAdvice {
  std::string what;
  double decode = 0;  // tokens per second then
};

struct PlanReport {
  std::string model;
  std::string routing;  // "workload mid, lookahead recall 0.75"
  std::int64_t context_tokens = 0;
  std::int64_t prompt_tokens = 0;
  std::int64_t depth = 0;
  MachineFigures machine;
  std::vector<DType> product_types;  // whose products the plan counts
  std::string machine_source;        // "measured now", a file's name
  bool has_prefill_compute = true;
  std::uint64_t main_budget_bytes = 0;
  std::size_t main_types = 0;  // index into types
  std::vector<PlanTypes> types;
  std::vector<PlanAdvice> advice;
  std::string lossy;
};

/// The row of the main budget and types; nullptr when there is none.
const PlanRow* MainRow(const PlanReport& report);
/// The largest types that fit the main budget whole; nullptr when none does.
const PlanTypes* BestWhole(const PlanReport& report);

std::string ToMarkdown(const PlanReport& report);
nlohmann::json ToJson(const PlanReport& report);
/// Decode rate against memory, a line per types. From `curves`: rows of rising budgets.
std::string ToSvg(const PlanReport& report, const std::vector<PlanTypes>& curves);

}  // namespace larder
