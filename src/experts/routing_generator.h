// RoutingGenerator: random routing with the statistics of real traces (EASY, MID, HARD). Per layer
// and token: each expert of the token before stays with probability p; the rest is drawn from
// weights 1 / (rank + 1 + q)^s over an order of the experts that is random per layer and session;
// drift * n_experts random pairs of ranks change places. The sequence depends on the seed alone.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/random.h"
#include "base/status.h"
#include "experts/routing_sequence.h"

namespace larder {

struct RoutingParams {
  double s = 0;      // steepness
  double q = 0;      // flatness of the head
  double p = 0;      // probability to keep an expert
  double drift = 0;  // pairs of ranks that change places per token, per expert of the layer
};

class RoutingGenerator final : public RoutingSequence {
 public:
  /// 1 <= n_used <= n_experts.
  RoutingGenerator(const RoutingParams& params, int n_layers, int n_experts, int n_used,
                   std::uint64_t seed);
  /// The orders of the experts come from `ranking_seed`: sequences that share it prefer the same
  /// experts, and draw from them independently.
  RoutingGenerator(const RoutingParams& params, int n_layers, int n_experts, int n_used,
                   std::uint64_t seed, std::uint64_t ranking_seed);

  /// "easy", "mid" or "hard", either case.
  static Result<RoutingParams> FromName(const std::string& name);

  void NextToken() override;
  std::span<const std::int32_t> Experts(int layer) const override;

 private:
  void Shuffle(SplitMix64* random);
  void Drift(int layer);
  void Choose(int layer);
  int DrawRank();
  int DrawUnusedRank(const std::int32_t* order);

  RoutingParams params_;
  int n_layers_;
  int n_experts_;
  int n_used_;
  SplitMix64 random_;
  bool is_first_ = true;
  std::vector<double> cumulative_;        // [n_experts] of the weights by rank, ends at 1
  std::vector<std::int32_t> expert_at_;   // [n_layers, n_experts] by rank
  std::vector<std::int32_t> chosen_;      // [n_layers, n_used]
  std::vector<unsigned char> is_chosen_;  // [n_experts] scratch of Choose, clear between calls
};

}  // namespace larder
