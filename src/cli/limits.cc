// The limits as formulas.
#include "cli/limits.h"

#include <algorithm>
#include <string_view>

namespace larder {

namespace {

double SecondsFor(double n_bytes, double bytes_per_second) {
  return bytes_per_second > 0 ? n_bytes / bytes_per_second : 0;
}

}  // namespace

TokenCost DecodeCost(const ModelLayout& layout, const ModelShape& shape, const ExpertStats& stats,
                     std::int64_t n_tokens) {
  TokenCost cost;
  cost.n_layers = shape.n_layers;
  for (const TensorInfo* tensor : layout.dense) {
    const bool in_layer = std::string_view(tensor->name).substr(0, 4) == "blk.";
    (in_layer ? cost.dense_layer_bytes : cost.output_bytes) +=
        static_cast<double>(tensor->size_bytes);
  }
  const double n = static_cast<double>(std::max<std::int64_t>(n_tokens, 1));
  cost.expert_bytes = static_cast<double>(stats.bytes_requested) / n;
  const double n_requested = static_cast<double>(stats.n_hits + stats.n_misses);
  if (n_requested > 0) {
    cost.record_bytes = static_cast<double>(stats.bytes_requested) / n_requested;
    cost.missed_bytes = static_cast<double>(stats.n_misses) * cost.record_bytes / n;
  }
  return cost;
}

double SimpleLimitSeconds(const TokenCost& cost, const MachineRates& rates) {
  return std::max(SecondsFor(cost.missed_bytes, rates.disk_bytes_per_second),
                  SecondsFor(cost.touched_bytes(), rates.memory_bytes_per_second));
}

double PipelineLimitSeconds(const TokenCost& cost, const MachineRates& rates) {
  const double n_layers = std::max(cost.n_layers, 1);
  const double memory = rates.memory_bytes_per_second;
  const double missed_bytes = cost.missed_bytes / n_layers;
  const double resident_bytes = std::max(0.0, cost.expert_bytes / n_layers - missed_bytes);
  const double n_missed = cost.record_bytes > 0 ? missed_bytes / cost.record_bytes : 0;
  const double dense_s = SecondsFor(cost.dense_layer_bytes / n_layers, memory);
  const double experts_s = std::max(SecondsFor(missed_bytes, rates.disk_bytes_per_second),
                                    SecondsFor(resident_bytes, memory));
  const double last_s = std::min(1.0, n_missed) * SecondsFor(cost.record_bytes, memory);
  return n_layers * (dense_s + experts_s + last_s) + SecondsFor(cost.output_bytes, memory);
}

double PrefillLimitSeconds(double expert_bytes, const MachineRates& rates) {
  return SecondsFor(expert_bytes, rates.disk_bytes_per_second);
}

}  // namespace larder
