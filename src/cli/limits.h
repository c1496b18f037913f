// The two limits of docs/cost-model: what no token can beat (disk and memory), and what no token
// can beat without foresight (the pipeline). Pure functions.
#pragma once

#include <cstdint>

#include "experts/expert_store.h"
#include "models/model.h"

namespace larder {

struct MachineRates {
  double disk_bytes_per_second = 0;  // 0: unknown; then reads are taken as free
  double memory_bytes_per_second = 0;
};

/// What one token costs on average.
struct TokenCost {
  double dense_layer_bytes = 0;  // of all layers together
  double output_bytes = 0;       // the output matrix
  double expert_bytes = 0;       // of experts used, resident or not
  double missed_bytes = 0;       // of experts used and read from the disk
  double record_bytes = 0;       // one expert
  int n_layers = 0;

  double touched_bytes() const { return dense_layer_bytes + output_bytes + expert_bytes; }
};

/// The cost of a decoded token from counts over `n_tokens` of them.
TokenCost DecodeCost(const ModelLayout& layout, const ModelShape& shape, const ExpertStats& stats,
                     std::int64_t n_tokens);

/// max(bytes missed / disk rate, bytes touched / memory rate), in seconds per token.
double SimpleLimitSeconds(const TokenCost& cost, const MachineRates& rates);

/// Sum over layers of: dense part, then the longer of its reads and its resident experts, then the
/// last expert; in seconds per token. From averages over layers, so the true one is no smaller.
double PipelineLimitSeconds(const TokenCost& cost, const MachineRates& rates);

/// Seconds to read `expert_bytes` of experts that a prompt touches, each once.
double PrefillLimitSeconds(double expert_bytes, const MachineRates& rates);

}  // namespace larder
