// Replay of expert routing through cache policies, without weights or disk: the yardsticks LRU, LFU
// and the offline optimum, and the hit rate of any policy. One thread.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "experts/cache_policy.h"
#include "experts/routing_sequence.h"

namespace larder {

/// Which experts each layer of each step used: the whole future, as the offline optimum needs it.
struct RoutingRecord {
  int n_layers = 0;
  int n_experts = 0;
  int n_used = 0;
  std::int64_t n_steps = 0;
  std::vector<std::int32_t> experts;  // [n_steps, n_layers, n_used]

  /// One request of the store: request 0 is layer 0 of the first step.
  std::span<const std::int32_t> Request(std::int64_t index) const;  // [n_used]
  std::int64_t n_requests() const { return n_steps * n_layers; }
};

/// The next `n_steps` tokens of `source`.
RoutingRecord RecordRouting(RoutingSequence& source, int n_layers, int n_experts,
                            std::int64_t n_steps);

struct ReplayResult {
  std::int64_t n_asked = 0;
  std::int64_t n_hits = 0;
  double HitRate() const {
    return n_asked == 0 ? 0 : static_cast<double>(n_hits) / static_cast<double>(n_asked);
  }
};

/// Plays the record through `policy` from a cold start as ExpertStore does: experts of the request
/// under way are never given up; a miss takes a free slot or the policy's victim. With fewer slots
/// than one request the rest of it stays absent.
ReplayResult ReplayCache(const RoutingRecord& record, int n_slots, CachePolicy& policy);

/// Hit rates of one cache size, and what they say of ours.
struct CacheComparison {
  int n_slots = 0;
  double lru = 0;
  double lfu = 0;
  double ours = 0;
  double belady = 0;

  /// Share of the way from LRU to the offline optimum; 0 where there is none.
  double GapClosed() const { return belady > lru ? (ours - lru) / (belady - lru) : 0; }
};

/// Replays all four with `n_slots` >= 1.
CacheComparison ComparePolicies(const RoutingRecord& record, int n_slots);

/// One list over all layers, oldest first.
std::unique_ptr<CachePolicy> MakeGlobalLruPolicy(const RoutingRecord& record);
/// Fewest uses since the start first, counted also while absent; of equals the oldest.
std::unique_ptr<CachePolicy> MakeGlobalLfuPolicy(const RoutingRecord& record);
/// Latest next use first (Belady 1966): no policy that admits every miss hits more. Good for one
/// replay of `record`, which must outlive it.
std::unique_ptr<CachePolicy> MakeBeladyPolicy(const RoutingRecord& record);

}  // namespace larder
