// The replays.
#include "cli/routing_statistics.h"

#include <algorithm>
#include <memory>

#include "base/check.h"
#include "experts/cache_policy.h"

namespace larder {

namespace {

constexpr int kLayers = kReplayLayers;
// The policy's memory is some hundred tokens long.
constexpr int kWarmTokens = 600;
constexpr int kCountedTokens = 600;
constexpr int kWarmBatches = 2;
constexpr int kCountedBatches = 2;

// The slots of kLayers layers under the store's policy.
class Cache {
 public:
  explicit Cache(const ReplayCase& replay)
      : n_experts_(replay.n_experts),
        n_slots_(std::max(static_cast<int>(replay.slots_per_layer * kLayers), 1)),
        policy_(MakeHeatPolicy(n_slots_, kLayers, n_experts_)),
        slot_of_(static_cast<std::size_t>(kLayers * n_experts_), -1),
        held_(static_cast<std::size_t>(n_slots_), -1) {}

  /// Experts of the request that were absent. Those handed out or not yet waited for may go, as in
  /// the waves of a prompt; experts still to come of this request may not.
  int Request(int layer, const std::vector<std::int32_t>& experts, const TokenCounts& tokens) {
    policy_->Requested(layer, experts, tokens);
    const bool is_answer = tokens.n_tokens == 1;
    std::vector<bool> is_kept(static_cast<std::size_t>(n_experts_));
    for (const std::int32_t expert : experts) is_kept[static_cast<std::size_t>(expert)] = true;
    const auto evictable = [&](int slot) {
      const int index = held_[static_cast<std::size_t>(slot)];
      return index / n_experts_ != layer || !is_kept[static_cast<std::size_t>(index % n_experts_)];
    };
    int n_missed = 0;
    // Residents are computed first.
    for (const std::int32_t expert : experts) {
      if (SlotOf(layer, expert) >= 0 && !is_answer)
        is_kept[static_cast<std::size_t>(expert)] = false;
    }
    for (const std::int32_t expert : experts) {
      if (SlotOf(layer, expert) >= 0) continue;
      ++n_missed;
      int slot = n_filled_ < n_slots_ ? n_filled_++ : policy_->Victim(layer, evictable);
      if (slot < 0) continue;
      int& held = held_[static_cast<std::size_t>(slot)];
      if (held >= 0) slot_of_[static_cast<std::size_t>(held)] = -1;
      held = layer * n_experts_ + expert;
      slot_of_[static_cast<std::size_t>(held)] = slot;
      policy_->Admitted(slot, layer, expert);
      if (!is_answer) is_kept[static_cast<std::size_t>(expert)] = false;
    }
    return n_missed;
  }

 private:
  int SlotOf(int layer, int expert) const {
    return slot_of_[static_cast<std::size_t>(layer * n_experts_ + expert)];
  }

  int n_experts_;
  int n_slots_;
  int n_filled_ = 0;
  std::unique_ptr<CachePolicy> policy_;
  std::vector<int> slot_of_;  // [kLayers, n_experts] -1: absent
  std::vector<int> held_;     // [n_slots] layer * n_experts + expert, -1: empty
};

std::vector<std::int32_t> ExpertsOf(const RoutingGenerator& generator, int layer) {
  const auto experts = generator.Experts(layer);
  return {experts.begin(), experts.end()};
}

}  // namespace

AnswerStatistics ReplayAnswers(const ReplayCase& replay) {
  LARDER_CHECK(replay.n_used > 0);
  AnswerStatistics statistics;
  statistics.share_of_misses.assign(static_cast<std::size_t>(replay.n_used) + 1, 0);
  if (replay.slots_per_layer >= replay.n_experts) {
    statistics.share_of_misses[0] = 1;
    return statistics;
  }
  RoutingGenerator generator(replay.routing, kLayers, replay.n_experts, replay.n_used, replay.seed);
  Cache cache(replay);
  double n_missed = 0;
  for (int token = 0; token < kWarmTokens + kCountedTokens; ++token) {
    generator.NextToken();
    for (int layer = 0; layer < kLayers; ++layer) {
      const int missed = cache.Request(layer, ExpertsOf(generator, layer), TokenCounts());
      if (token < kWarmTokens) continue;
      n_missed += missed;
      statistics.share_of_misses[static_cast<std::size_t>(missed)] +=
          1.0 / (kCountedTokens * kLayers);
    }
  }
  statistics.hit_rate = 1 - n_missed / (kCountedTokens * kLayers * replay.n_used);
  return statistics;
}

PromptStatistics ReplayPrompts(const ReplayCase& replay, std::int64_t n_tokens) {
  RoutingGenerator generator(replay.routing, kLayers, replay.n_experts, replay.n_used, replay.seed);
  Cache cache(replay);
  PromptStatistics statistics;
  std::vector<std::vector<std::int32_t>> counts(kLayers);
  for (int batch = 0; batch < kWarmBatches + kCountedBatches; ++batch) {
    for (auto& one : counts) one.assign(static_cast<std::size_t>(replay.n_experts), 0);
    for (std::int64_t token = 0; token < n_tokens; ++token) {
      generator.NextToken();
      for (int layer = 0; layer < kLayers; ++layer) {
        for (const std::int32_t expert : generator.Experts(layer)) {
          ++counts[static_cast<std::size_t>(layer)][static_cast<std::size_t>(expert)];
        }
      }
    }
    for (int layer = 0; layer < kLayers; ++layer) {
      std::vector<std::int32_t> experts;
      std::vector<std::int32_t> of_expert;
      for (int expert = 0; expert < replay.n_experts; ++expert) {
        const std::int32_t n =
            counts[static_cast<std::size_t>(layer)][static_cast<std::size_t>(expert)];
        if (n == 0) continue;
        experts.push_back(expert);
        of_expert.push_back(n);
      }
      const int n_missed = cache.Request(layer, experts, {n_tokens, of_expert});
      if (batch < kWarmBatches) continue;
      const double share = 1.0 / (kCountedBatches * kLayers);
      statistics.experts_used += share * static_cast<double>(experts.size());
      statistics.experts_read += share * n_missed;
    }
  }
  if (replay.slots_per_layer >= replay.n_experts) statistics.experts_read = 0;
  return statistics;
}

}  // namespace larder
