// Planner: a model's headers, a machine's figures and a workload to the rows of a plan. Memory is
// cut by the engine's own arithmetic (engine/forecast.h), hit rates come from replays, rates from
// the cost model. One thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "base/status.h"
#include "cli/plan_report.h"
#include "cli/routing_statistics.h"
#include "engine/forecast.h"

namespace larder {

/// Statistics for any number of slots: replayed where nothing near was replayed before, linear
/// between.
class RoutingCurve {
 public:
  RoutingCurve(RoutingParams routing, int n_layers, int n_experts, int n_used)
      : n_layers_(n_layers), case_{routing, n_experts, n_used, 0, 1} {}

  AnswerStatistics Answers(double slots_per_layer);
  PromptStatistics Prompts(double slots_per_layer, std::int64_t n_tokens);

 private:
  /// The two replayed numbers of slots around `slots_per_layer`, and the share of the upper one.
  struct Around {
    double below = 0;
    double above = 0;
    double share = 0;
  };
  /// For `slots_per_layer` from n_used on.
  Around GridAround(double slots_per_layer) const;
  /// For fewer: from `least`, which `least_replayed` in a replay stands for, to n_used.
  Around GridBelowOneRequest(double slots_per_layer, double least, double least_replayed) const;
  const AnswerStatistics& AnswersAt(double slots);
  const PromptStatistics& PromptsAt(double slots, std::int64_t n_tokens);

  int n_layers_;
  ReplayCase case_;
  std::map<double, AnswerStatistics> answers_;
  std::map<std::pair<double, std::int64_t>, PromptStatistics> prompts_;
};

struct PlannerOptions {
  EngineOptions engine;  // all but the path and the budget
  RoutingParams routing;
  double recall = 0.75;
  bool lookahead = true;
  std::int64_t prompt_tokens = 512;
  std::int64_t depth = 0;
  std::optional<std::uint64_t> disk_free_bytes;  // nothing: not known
};

class Planner {
 public:
  Planner(MachineFigures machine, PlannerOptions options)
      : machine_(std::move(machine)), options_(std::move(options)) {}

  /// Rows for `budgets` of the model in `path`, headers alone.
  Result<PlanTypes> Plan(const std::string& name, const std::string& path,
                         const std::vector<std::uint64_t>& budgets);

  /// One row with other figures or another recall; what advice is made of.
  Result<PlanRow> RowOf(const Forecast& forecast, const MachineFigures& machine,
                        std::uint64_t budget_bytes);
  Result<std::unique_ptr<Forecast>> Open(const std::string& path);

 private:
  RoutingCurve& CurveOf(const ModelShape& shape);
  void FillRates(const ModelCosts& costs, const MachineFigures& machine, RoutingCurve* curve,
                 PlanRow* row) const;

  MachineFigures machine_;
  PlannerOptions options_;
  // By layers, experts and experts used.
  std::map<std::tuple<int, int, int>, RoutingCurve> curves_;
};

/// `n` budgets from the smallest that works to a little more than all in memory, for a curve.
std::vector<std::uint64_t> CurveBudgets(const PlanTypes& types, int n);

}  // namespace larder
