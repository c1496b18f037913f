// Rows of a plan.
#include "cli/planner.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/size.h"

namespace larder {

namespace {

// Neighbouring replays have numbers of slots this far apart.
constexpr double kGridRatio = 1.2;
// Steps to as many slots per layer as a token uses experts.
constexpr double kGridSteps = 4;
// What the model leaves out, in either direction.
constexpr double kModelError = 0.1;
constexpr double kLargestMachineBytes = 1e13;

double RateOf(double seconds) { return seconds > 0 ? 1 / seconds : 0; }

// Holds what is expected even where guesses cost more than they bring.
RateRange RangeOf(double n_tokens, double slow_s, double expected_s, double fast_s) {
  return {n_tokens * RateOf(std::max(slow_s, expected_s)) / (1 + kModelError),
          n_tokens * RateOf(expected_s),
          n_tokens * RateOf(std::min(fast_s, expected_s)) * (1 + kModelError)};
}

// The least budget that gives every expert a slot, by bisection; 0 when no machine has so much.
std::uint64_t WholeBudget(const Forecast& forecast) {
  const auto holds_all = [&forecast](std::uint64_t budget_bytes) {
    const Result<EnginePlan> plan = forecast.Plan(budget_bytes);
    return plan.ok() && plan->slots.holds_all;
  };
  std::uint64_t below = forecast.SmallestBudget();
  auto above = static_cast<std::uint64_t>(kLargestMachineBytes);
  if (!holds_all(above)) return 0;
  while (above - below > (std::uint64_t{1} << 20)) {
    const std::uint64_t middle = below + (above - below) / 2;
    (holds_all(middle) ? above : below) = middle;
  }
  return above;
}

}  // namespace

RoutingCurve::Around RoutingCurve::GridBelowOneRequest(double slots_per_layer, double least,
                                                       double least_replayed) const {
  const double at =
      kGridSteps * std::clamp((slots_per_layer - least) / (case_.n_used - least), 0.0, 1.0);
  const double step = std::min(std::floor(at), kGridSteps - 1);
  const auto slots_at = [&](double steps) {
    return std::lerp(least_replayed, static_cast<double>(case_.n_used), steps / kGridSteps);
  };
  return {slots_at(step), slots_at(step + 1), at - step};
}

RoutingCurve::Around RoutingCurve::GridAround(double slots_per_layer) const {
  const double least = case_.n_used;
  const double most = case_.n_experts;
  const double slots = std::min(slots_per_layer, most);
  const double step = std::floor(std::log(slots / least) / std::log(kGridRatio) + 1e-9);
  Around around;
  around.below = std::min(most, least * std::pow(kGridRatio, step));
  around.above = std::min(most, least * std::pow(kGridRatio, step + 1));
  if (around.above > around.below) {
    around.share = std::clamp((slots - around.below) / (around.above - around.below), 0.0, 1.0);
  }
  return around;
}

const AnswerStatistics& RoutingCurve::AnswersAt(double slots) {
  const auto found = answers_.find(slots);
  if (found != answers_.end()) return found->second;
  ReplayCase replay = case_;
  replay.slots_per_layer = slots;
  return answers_[slots] = ReplayAnswers(replay);
}

const PromptStatistics& RoutingCurve::PromptsAt(double slots, std::int64_t n_tokens) {
  const auto found = prompts_.find({slots, n_tokens});
  if (found != prompts_.end()) return found->second;
  ReplayCase replay = case_;
  replay.slots_per_layer = slots;
  return prompts_[{slots, n_tokens}] = ReplayPrompts(replay, n_tokens);
}

AnswerStatistics RoutingCurve::Answers(double slots_per_layer) {
  // What hits is what the request in work leaves to the other layers. A replay has fewer of them,
  // so it gets the same share of that rather than the same slots per layer.
  const double n_used = case_.n_used;
  const Around around =
      slots_per_layer < n_used
          ? GridBelowOneRequest(slots_per_layer, n_used / n_layers_, n_used / kReplayLayers)
          : GridAround(slots_per_layer);
  const AnswerStatistics& below = AnswersAt(around.below);
  const AnswerStatistics& above = AnswersAt(around.above);
  AnswerStatistics mixed;
  mixed.hit_rate = below.hit_rate + around.share * (above.hit_rate - below.hit_rate);
  for (std::size_t i = 0; i < below.share_of_misses.size(); ++i) {
    mixed.share_of_misses.push_back((1 - around.share) * below.share_of_misses[i] +
                                    around.share * above.share_of_misses[i]);
  }
  return mixed;
}

PromptStatistics RoutingCurve::Prompts(double slots_per_layer, std::int64_t n_tokens) {
  const Around around = slots_per_layer < case_.n_used ? GridBelowOneRequest(slots_per_layer, 0, 0)
                                                       : GridAround(slots_per_layer);
  const PromptStatistics& below = PromptsAt(around.below, n_tokens);
  const PromptStatistics& above = PromptsAt(around.above, n_tokens);
  return {below.experts_used + around.share * (above.experts_used - below.experts_used),
          below.experts_read + around.share * (above.experts_read - below.experts_read)};
}

RoutingCurve& Planner::CurveOf(const ModelShape& shape) {
  const auto key = std::make_tuple(shape.n_layers, shape.n_experts, shape.n_used);
  const auto found = curves_.find(key);
  if (found != curves_.end()) return found->second;
  RoutingCurve curve(options_.routing, shape.n_layers, shape.n_experts, shape.n_used);
  return curves_.emplace(key, std::move(curve)).first->second;
}

void Planner::FillRates(const ModelCosts& costs, const MachineFigures& machine, RoutingCurve* curve,
                        PlanRow* row) const {
  const double slots = static_cast<double>(row->plan.slots.n_slots) / costs.n_layers;
  const AnswerStatistics answers = curve->Answers(slots);
  row->resident_share = slots / std::max(costs.n_experts, 1);
  row->hit_rate = answers.hit_rate;
  DecodeCase decode;
  decode.position = static_cast<double>(options_.depth);
  decode.recall = options_.recall;
  decode.resident_share = row->resident_share;
  decode.foresight = options_.lookahead ? Foresight::kLookahead : Foresight::kNone;
  row->parts = ExpectedDecode(costs, machine, answers, decode);
  DecodeCase slow = decode;
  slow.foresight = Foresight::kNone;
  slow.disk = &DiskReadRate::lowest;
  DecodeCase fast = decode;
  fast.disk = &DiskReadRate::highest;
  row->decode = RangeOf(1, PredictDecode(costs, machine, answers, slow).total(), row->parts.total(),
                        PredictDecode(costs, machine, answers, fast).total());
  decode.foresight = Foresight::kPerfect;
  // Some disks are slower with more reads in flight; foresight would ask for fewer.
  row->decode_limit = std::max(row->decode.expected,
                               RateOf(ExpectedDecode(costs, machine, answers, decode).total()));
  if (options_.prompt_tokens == 0) return;
  PrefillCase prefill;
  prefill.n_tokens = static_cast<double>(options_.prompt_tokens);
  const std::int64_t batch = std::min(row->plan.max_batch, options_.prompt_tokens);
  prefill.batch_tokens = static_cast<double>(batch);
  prefill.overlaps = options_.lookahead;
  const PromptStatistics prompts = curve->Prompts(slots, batch);
  row->prefill_parts = ExpectedPrefill(costs, machine, prompts, prefill);
  PrefillCase slow_prefill = prefill;
  slow_prefill.overlaps = false;
  slow_prefill.disk = &DiskReadRate::lowest;
  PrefillCase fast_prefill = prefill;
  fast_prefill.disk = &DiskReadRate::highest;
  row->prefill = RangeOf(
      prefill.n_tokens, PredictPrefill(costs, machine, prompts, slow_prefill).total(),
      row->prefill_parts.total(), PredictPrefill(costs, machine, prompts, fast_prefill).total());
}

Result<std::unique_ptr<Forecast>> Planner::Open(const std::string& path) {
  EngineOptions options = options_.engine;
  options.model_path = path;
  Result<std::unique_ptr<Forecast>> forecast = Forecast::Open(options);
  // The first model's process stands for all, however much the planner itself has grown since.
  if (forecast.ok() && !options_.engine.process_bytes) {
    options_.engine.process_bytes = (*forecast)->process_bytes();
  }
  return forecast;
}

Result<PlanRow> Planner::RowOf(const Forecast& forecast, const MachineFigures& machine,
                               std::uint64_t budget_bytes) {
  PlanRow row;
  row.budget_bytes = budget_bytes;
  Result<EnginePlan> plan = forecast.Plan(budget_bytes);
  if (!plan.ok()) {
    if (plan.status().code() != StatusCode::kOutOfMemory) return plan.status();
    row.problem = plan.status().message();
    return row;
  }
  row.plan = std::move(*plan);
  const ModelCosts costs = CostsOf(forecast.model(), options_.engine.kv_dtype);
  FillRates(costs, machine, &CurveOf(forecast.model().shape()), &row);
  return row;
}

Result<PlanTypes> Planner::Plan(const std::string& name, const std::string& path,
                                const std::vector<std::uint64_t>& budgets) {
  LARDER_ASSIGN_OR_RETURN(const std::unique_ptr<Forecast> forecast, Open(path));
  const ModelCosts costs = CostsOf(forecast->model(), options_.engine.kv_dtype);
  PlanTypes types;
  types.name = name;
  types.file_bytes = static_cast<std::uint64_t>(costs.file_bytes);
  if (options_.disk_free_bytes) types.fits_disk = types.file_bytes <= *options_.disk_free_bytes;
  double n_elements = 0;
  for (const WeightCost& cost : costs.expert) n_elements += cost.n_elements;
  types.bits_per_weight = n_elements > 0 ? 8 * costs.record_bytes() / n_elements : 0;
  types.smallest_budget_bytes = forecast->SmallestBudget();
  types.whole_budget_bytes = WholeBudget(*forecast);
  for (const std::uint64_t budget_bytes : budgets) {
    LARDER_ASSIGN_OR_RETURN(PlanRow row, RowOf(*forecast, machine_, budget_bytes));
    types.rows.push_back(std::move(row));
  }
  return types;
}

std::vector<std::uint64_t> CurveBudgets(const PlanTypes& types, int n) {
  const auto least = static_cast<double>(types.smallest_budget_bytes);
  const double most = std::max(least * 1.2, 1.05 * static_cast<double>(types.whole_budget_bytes));
  std::vector<std::uint64_t> budgets;
  for (int i = 0; i < n; ++i) {
    budgets.push_back(static_cast<std::uint64_t>(least + (most - least) * i / std::max(n - 1, 1)) +
                      1);
  }
  return budgets;
}

}  // namespace larder
