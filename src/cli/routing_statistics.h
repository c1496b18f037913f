// What a cache of expert slots does for a routing: how many experts an answer's requests miss, and
// how many a prompt uses and reads. From replays of a generated routing through the store's own
// policy, on a few layers that stand for all. Pure: the same arguments give the same figures.
#pragma once

#include <cstdint>
#include <vector>

#include "experts/routing_generator.h"

namespace larder {

/// Layers are alike, so a few stand for all.
inline constexpr int kReplayLayers = 6;

/// Of answers, once the cache is warm.
struct AnswerStatistics {
  double hit_rate = 1;
  std::vector<double> share_of_misses;  // [n_used + 1] of requests that miss so many experts
};

/// Of one layer and batch of a prompt, once the cache is warm.
struct PromptStatistics {
  double experts_used = 0;
  double experts_read = 0;
};

struct ReplayCase {
  RoutingParams routing;
  int n_experts = 0;
  int n_used = 0;
  double slots_per_layer = 0;
  std::uint64_t seed = 1;
};

/// Every expert resident when slots_per_layer >= n_experts.
AnswerStatistics ReplayAnswers(const ReplayCase& replay);
/// Batches of `n_tokens` tokens one after the other.
PromptStatistics ReplayPrompts(const ReplayCase& replay, std::int64_t n_tokens);

}  // namespace larder
