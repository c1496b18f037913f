// Sampling without replacement by rejection, over cumulative weights.
#include "experts/routing_generator.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

namespace larder {
namespace {

// Draws of one expert before the exact, slower way takes over.
constexpr int kMaxRejections = 64;

}  // namespace

Result<RoutingParams> RoutingGenerator::FromName(const std::string& name) {
  std::string lower = name;
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  if (lower == "easy") return RoutingParams{2.5, 35, 0.25, 0.0005};
  if (lower == "mid") return RoutingParams{2.5, 60, 0.30, 0.001};
  if (lower == "hard") return RoutingParams{1.5, 100, 0.25, 0.005};
  return InvalidArgument("there is no workload '{}'; use easy, mid or hard", name);
}

RoutingGenerator::RoutingGenerator(const RoutingParams& params, int n_layers, int n_experts,
                                   int n_used, std::uint64_t seed)
    : params_(params),
      n_layers_(n_layers),
      n_experts_(n_experts),
      n_used_(n_used),
      random_(seed),
      cumulative_(static_cast<std::size_t>(n_experts)),
      expert_at_(static_cast<std::size_t>(n_layers) * static_cast<std::size_t>(n_experts)),
      chosen_(static_cast<std::size_t>(n_layers) * static_cast<std::size_t>(n_used)),
      is_chosen_(static_cast<std::size_t>(n_experts), 0) {
  LARDER_CHECK(n_layers >= 1 && n_used >= 1 && n_used <= n_experts);
  double sum = 0;
  for (int rank = 0; rank < n_experts; ++rank) {
    sum += std::pow(rank + 1 + params.q, -params.s);
    cumulative_[static_cast<std::size_t>(rank)] = sum;
  }
  for (double& value : cumulative_) value /= sum;
  cumulative_.back() = 1;
  Shuffle(&random_);
}

RoutingGenerator::RoutingGenerator(const RoutingParams& params, int n_layers, int n_experts,
                                   int n_used, std::uint64_t seed, std::uint64_t ranking_seed)
    : RoutingGenerator(params, n_layers, n_experts, n_used, seed) {
  SplitMix64 ranking(ranking_seed);
  Shuffle(&ranking);
}

void RoutingGenerator::Shuffle(SplitMix64* random) {
  for (int layer = 0; layer < n_layers_; ++layer) {
    std::int32_t* order = expert_at_.data() + static_cast<std::ptrdiff_t>(layer) * n_experts_;
    std::iota(order, order + n_experts_, 0);
    for (int last = n_experts_ - 1; last > 0; --last) {
      const auto other = random->NextBelow(static_cast<std::uint64_t>(last) + 1);
      std::swap(order[last], order[other]);
    }
  }
}

void RoutingGenerator::NextToken() {
  for (int layer = 0; layer < n_layers_; ++layer) {
    if (!is_first_) Drift(layer);
    Choose(layer);
  }
  is_first_ = false;
}

std::span<const std::int32_t> RoutingGenerator::Experts(int layer) const {
  const auto n_used = static_cast<std::size_t>(n_used_);
  return {chosen_.data() + static_cast<std::size_t>(layer) * n_used, n_used};
}

void RoutingGenerator::Drift(int layer) {
  // The fractional part of the number of pairs is a probability.
  const double wanted = params_.drift * n_experts_;
  int n_pairs = static_cast<int>(wanted);
  if (random_.NextUnit() < wanted - n_pairs) ++n_pairs;
  std::int32_t* order = expert_at_.data() + static_cast<std::ptrdiff_t>(layer) * n_experts_;
  for (int i = 0; i < n_pairs; ++i) {
    const auto a = random_.NextBelow(static_cast<std::uint64_t>(n_experts_));
    const auto b = random_.NextBelow(static_cast<std::uint64_t>(n_experts_));
    std::swap(order[a], order[b]);
  }
}

int RoutingGenerator::DrawRank() {
  const auto at = std::upper_bound(cumulative_.begin(), cumulative_.end() - 1, random_.NextUnit());
  return static_cast<int>(at - cumulative_.begin());
}

// Exact in two passes, for when nearly all weight is on experts already chosen.
int RoutingGenerator::DrawUnusedRank(const std::int32_t* order) {
  const auto weight = [&](int rank) {
    const auto at = static_cast<std::size_t>(rank);
    if (is_chosen_[static_cast<std::size_t>(order[rank])] != 0) return 0.0;
    return cumulative_[at] - (rank == 0 ? 0 : cumulative_[at - 1]);
  };
  double left = 0;
  for (int rank = 0; rank < n_experts_; ++rank) left += weight(rank);
  left *= random_.NextUnit();
  int last_unused = -1;
  for (int rank = 0; rank < n_experts_ && left >= 0; ++rank) {
    if (is_chosen_[static_cast<std::size_t>(order[rank])] != 0) continue;
    last_unused = rank;
    left -= weight(rank);
  }
  return last_unused;
}

void RoutingGenerator::Choose(int layer) {
  const std::int32_t* order = expert_at_.data() + static_cast<std::ptrdiff_t>(layer) * n_experts_;
  std::int32_t* chosen = chosen_.data() + static_cast<std::ptrdiff_t>(layer) * n_used_;
  int n_chosen = 0;
  for (int i = 0; !is_first_ && i < n_used_; ++i) {
    if (random_.NextUnit() < params_.p) chosen[n_chosen++] = chosen[i];
  }
  for (int i = 0; i < n_chosen; ++i) is_chosen_[static_cast<std::size_t>(chosen[i])] = 1;
  while (n_chosen < n_used_) {
    int rank = DrawRank();
    for (int tries = 1; is_chosen_[static_cast<std::size_t>(order[rank])] != 0; ++tries) {
      rank = tries < kMaxRejections ? DrawRank() : DrawUnusedRank(order);
    }
    is_chosen_[static_cast<std::size_t>(order[rank])] = 1;
    chosen[n_chosen++] = order[rank];
  }
  for (int i = 0; i < n_used_; ++i) is_chosen_[static_cast<std::size_t>(chosen[i])] = 0;
}

}  // namespace larder
