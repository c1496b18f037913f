// RoutingTrace: which experts a model really chose, read from a CSV file (plain or .gz) with the
// columns step, layer, expert and optionally turn and phase (1 is decode; other steps are left
// out). Lines that begin with '#' are comments. Immutable but for the place it plays; one thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "experts/routing_sequence.h"

namespace larder {

class RoutingTrace final : public RoutingSequence {
 public:
  /// Every step must have the same layers, from 0 on, with equally many distinct experts each.
  static Result<RoutingTrace> Read(const std::string& path);
  /// The same from text; `name` stands in errors.
  static Result<RoutingTrace> Parse(const std::string& text, const std::string& name);

  int n_layers() const { return n_layers_; }
  /// As a comment of the file says ("n_expert=128"), else the largest expert + 1.
  int n_experts() const { return n_experts_; }
  int n_used() const { return n_used_; }
  std::int64_t n_steps() const { return n_steps_; }

  /// kInvalidArgument unless a model of this shape can follow the trace.
  Status CheckFits(int n_layers, int n_experts, int n_used) const;

  /// Begins again after the last step.
  void NextToken() override;
  std::span<const std::int32_t> Experts(int layer) const override;
  /// Experts of one step, 0 <= step < n_steps().
  std::span<const std::int32_t> ExpertsAt(std::int64_t step, int layer) const;

 private:
  RoutingTrace() = default;

  std::string name_;
  int n_layers_ = 0;
  int n_experts_ = 0;
  int n_used_ = 0;
  std::int64_t n_steps_ = 0;
  std::int64_t step_ = -1;
  std::vector<std::int32_t> experts_;  // [n_steps, n_layers, n_used]
};

}  // namespace larder
