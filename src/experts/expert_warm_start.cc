// ExpertStore's warm start: what was hot in earlier runs is read in the background, hottest first,
// into slots that are still empty, while no request has a read open.
#include <utility>

#include "experts/expert_store.h"
#include "experts/expert_store_impl.h"

namespace larder {
namespace {

// A request that comes now waits for these at most.
constexpr std::int64_t kMaxInFlight = 8;
// What was used less is forgotten: one use, some 300 requests ago.
constexpr float kLeastHeat = 1.0f / 64;

}  // namespace

void ExpertStore::Impl::PumpWarmStart() {
  if (n_warm_begun == warm_start.size() || n_loading > 0 || HasWaiting() || is_broken) return;
  bool has_begun = false;
  while (n_warm_begun < warm_start.size() && n_ahead_open < kMaxInFlight) {
    const HotExpert& hot = warm_start[n_warm_begun++];
    SlotPool& pool = PoolOf(hot.layer);
    if (pool.empty.empty() || SlotOf(hot.layer, hot.expert) >= 0) continue;
    const int slot = pool.empty.back();
    pool.empty.pop_back();
    Occupy(slot, hot.layer, hot.expert);
    BeginRest(pool, slot);
    n_ahead_open += pool.At(slot).n_reads_open;
    ++stats.n_warm_started;
    has_begun = true;
  }
  if (n_warm_begun == warm_start.size()) {
    warm_start = {};
    n_warm_begun = 0;
  }
  if (has_begun && !reads.Submit().ok()) is_broken = true;
}

void ExpertStore::WarmUp(std::vector<HotExpert> experts) {
  Impl& impl = *impl_;
  LARDER_CHECK(impl.n_pending() == 0);
  std::erase_if(experts, [&impl](const HotExpert& hot) {
    LARDER_CHECK(hot.layer >= 0 && static_cast<std::size_t>(hot.layer) < impl.layers.size());
    LARDER_CHECK(hot.expert >= 0 && static_cast<std::size_t>(hot.expert) < impl.n_experts);
    return impl.Layer(hot.layer).pool < 0;
  });
  for (const HotExpert& hot : experts) {
    impl.PoolOf(hot.layer).policy->SetHeat(impl.Layer(hot.layer).layer_in_pool, hot.expert,
                                           hot.heat);
  }
  SortByHeat(&experts);
  impl.warm_start = std::move(experts);
  impl.n_warm_begun = 0;
  impl.PumpWarmStart();
}

std::vector<HotExpert> ExpertStore::Heat() const {
  std::vector<HotExpert> experts;
  for (std::size_t layer = 0; layer < impl_->layers.size(); ++layer) {
    const LayerPlace& place = impl_->layers[layer];
    if (place.pool < 0) continue;
    const CachePolicy& policy = *impl_->pools[static_cast<std::size_t>(place.pool)].policy;
    for (std::size_t expert = 0; expert < impl_->n_experts; ++expert) {
      const float heat = policy.HeatOf(place.layer_in_pool, static_cast<int>(expert));
      if (heat < kLeastHeat) continue;
      experts.push_back(
          {static_cast<std::int32_t>(layer), static_cast<std::int32_t>(expert), heat});
    }
  }
  SortByHeat(&experts);
  return experts;
}

}  // namespace larder
