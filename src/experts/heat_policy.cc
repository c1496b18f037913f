// The policy of the expert store. Warmth changes only with a request of the layer, so each layer
// remembers its weakest slot until then, and a victim is the weakest of the layers' weakest.
#include <algorithm>
#include <cmath>
#include <vector>

#include "base/check.h"
#include "experts/cache_policy.h"

namespace larder {
namespace {

// Heat stays below the sum of 2^(-age / half_life) over all ages.
float MostHeat(double half_life) {
  return static_cast<float>(std::ceil(1 / (1 - std::exp2(-1 / half_life))));
}

// Warmth is heat, plus this while the expert is recent: a power of two above all heat, so that
// adding and taking it away rounds alike for every half-life up to the default.
float RecentBonus(double half_life) {
  float bonus = 128;
  while (bonus <= MostHeat(half_life)) bonus *= 2;
  return bonus;
}

class HeatPolicy final : public CachePolicy {
 public:
  HeatPolicy(int n_slots, int n_layers, int n_experts, double half_life)
      : floor_(n_slots / (2 * n_layers)),
        decay_(static_cast<float>(std::exp2(-1 / half_life))),
        most_heat_(MostHeat(half_life)),
        recent_(RecentBonus(half_life)),
        slots_(static_cast<std::size_t>(n_slots)),
        layers_(static_cast<std::size_t>(n_layers)) {
    LARDER_CHECK(n_slots > 0 && n_layers > 0 && n_experts > 0);
    LARDER_CHECK(half_life >= 1 && half_life <= kLongestHalfLife);
    for (Layer& layer : layers_) {
      layer.warmth.assign(static_cast<std::size_t>(n_experts), 0);
    }
  }

  void Requested(int layer_index, std::span<const std::int32_t> experts,
                 const TokenCounts& tokens) override {
    Layer& layer = LayerAt(layer_index);
    const auto n_tokens = static_cast<float>(tokens.n_tokens);
    const float decay = tokens.n_tokens == 1 ? decay_ : std::pow(decay_, n_tokens);
    for (float& warmth : layer.warmth) {
      warmth = (warmth >= recent_ ? warmth - recent_ : warmth) * decay;
    }
    // What n requests would leave behind, had each the same share of the uses.
    const float per_use = tokens.n_tokens == 1 ? 1 : (1 - decay) / (1 - decay_) / n_tokens;
    for (std::size_t i = 0; i < experts.size(); ++i) {
      const float n_uses = tokens.of_expert.empty() ? 1 : static_cast<float>(tokens.of_expert[i]);
      layer.warmth[static_cast<std::size_t>(experts[i])] += n_uses * per_use + recent_;
    }
    layer.weakest = kUnknown;
  }

  void Expected(int layer_index, std::span<const std::int32_t> experts) override {
    Layer& layer = LayerAt(layer_index);
    for (const std::int32_t expert : experts) {
      float& warmth = layer.warmth[static_cast<std::size_t>(expert)];
      if (warmth < recent_) warmth += recent_;
    }
    layer.weakest = kUnknown;
  }

  float HeatOf(int layer, int expert) const override {
    const float warmth =
        layers_[static_cast<std::size_t>(layer)].warmth[static_cast<std::size_t>(expert)];
    return warmth >= recent_ ? warmth - recent_ : warmth;
  }

  void SetHeat(int layer_index, int expert, float heat) override {
    Layer& layer = LayerAt(layer_index);
    float& warmth = layer.warmth[static_cast<std::size_t>(expert)];
    warmth = std::min(heat, most_heat_) + (warmth >= recent_ ? recent_ : 0);
    layer.weakest = kUnknown;
  }

  void Admitted(int slot, int layer_index, int expert) override {
    if (SlotAt(slot).layer >= 0) Remove(slot);
    Layer& layer = LayerAt(layer_index);
    SlotAt(slot) = {layer_index, expert, static_cast<int>(layer.held.size())};
    layer.held.push_back(slot);
    float& warmth = layer.warmth[static_cast<std::size_t>(expert)];
    if (warmth < recent_) warmth += recent_;
    layer.weakest = kUnknown;
  }

  int Victim(int layer, const std::function<bool(int slot)>& evictable) override {
    int slot = WeakestOfAll(layer, floor_, evictable);
    if (slot < 0) slot = WeakestOfAll(layer, 0, evictable);
    if (slot >= 0) Remove(slot);
    return slot;
  }

 private:
  static constexpr int kUnknown = -2;

  struct Slot {
    int layer = -1;  // -1: the policy does not hold the slot
    int expert = -1;
    int place = -1;  // in Layer::held
  };

  struct Layer {
    std::vector<float> warmth;  // [n_experts]
    std::vector<int> held;      // slots, in no order
    int weakest = kUnknown;     // of `held`, evictable or not; -1: none
  };

  Slot& SlotAt(int slot) { return slots_[static_cast<std::size_t>(slot)]; }
  Layer& LayerAt(int layer) { return layers_[static_cast<std::size_t>(layer)]; }

  float WarmthOf(int slot) {
    const Slot& held = SlotAt(slot);
    return LayerAt(held.layer).warmth[static_cast<std::size_t>(held.expert)];
  }

  // Of those that `allowed` accepts; -1 when it accepts none.
  template <typename Allowed>
  int WeakestOf(const Layer& layer, const Allowed& allowed) {
    int weakest = -1;
    float least = 0;
    for (const int slot : layer.held) {
      const float warmth = layer.warmth[static_cast<std::size_t>(SlotAt(slot).expert)];
      if ((weakest >= 0 && warmth >= least) || !allowed(slot)) continue;
      weakest = slot;
      least = warmth;
    }
    return weakest;
  }

  // Layers other than `requester` with `floor` slots or fewer are left alone. Of equals the layer
  // computed last loses: it is needed again latest.
  int WeakestOfAll(int requester, int floor, const std::function<bool(int slot)>& evictable) {
    const auto n_layers = static_cast<int>(layers_.size());
    int weakest = -1;
    float least = 0;
    for (int step = 0; step < n_layers; ++step) {
      const int index = step <= requester ? requester - step : requester - step + n_layers;
      Layer& layer = LayerAt(index);
      if (index != requester && static_cast<int>(layer.held.size()) <= floor) continue;
      if (layer.weakest == kUnknown) {
        layer.weakest = WeakestOf(layer, [](int) { return true; });
      }
      int slot = layer.weakest;
      if (slot < 0 || (weakest >= 0 && WarmthOf(slot) >= least)) continue;
      if (!evictable(slot)) slot = WeakestOf(layer, evictable);
      if (slot < 0 || (weakest >= 0 && WarmthOf(slot) >= least)) continue;
      weakest = slot;
      least = WarmthOf(slot);
    }
    return weakest;
  }

  void Remove(int slot) {
    Layer& layer = LayerAt(SlotAt(slot).layer);
    const int last = layer.held.back();
    layer.held[static_cast<std::size_t>(SlotAt(slot).place)] = last;
    SlotAt(last).place = SlotAt(slot).place;
    layer.held.pop_back();
    SlotAt(slot).layer = -1;
    layer.weakest = kUnknown;
  }

  const int floor_;  // slots of a layer
  const float decay_;
  const float most_heat_;
  const float recent_;
  std::vector<Slot> slots_;    // [n_slots]
  std::vector<Layer> layers_;  // [n_layers]
};

}  // namespace

std::unique_ptr<CachePolicy> MakeHeatPolicy(int n_slots, int n_layers, int n_experts,
                                            double half_life) {
  return std::make_unique<HeatPolicy>(n_slots, n_layers, n_experts, half_life);
}

}  // namespace larder
