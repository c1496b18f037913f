// Which slot to give up: a class with three calls, judged by replaying traces (cache_simulation.h).
// One per size class; the engine's thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>

namespace larder {

/// How a batch uses the experts it requests.
struct TokenCounts {
  std::int64_t n_tokens = 1;
  std::span<const std::int32_t> of_expert;  // tokens of each expert; empty: one each
};

class CachePolicy {
 public:
  virtual ~CachePolicy() = default;

  /// Distinct `experts` of `layer` are needed now, resident or not; a decode step makes one request
  /// per layer. Layers count within the class.
  virtual void Requested(int layer, std::span<const std::int32_t> experts,
                         const TokenCounts& tokens) = 0;
  void Requested(int layer, std::span<const std::int32_t> experts) {
    Requested(layer, experts, TokenCounts());
  }
  /// `experts` of `layer` will probably be in its next request.
  virtual void Expected(int /*layer*/, std::span<const std::int32_t> /*experts*/) {}
  /// Heat of an expert, resident or not; 0 where the policy keeps none. What is set goes on as if
  /// it had come from requests.
  virtual float HeatOf(int /*layer*/, int /*expert*/) const { return 0; }
  virtual void SetHeat(int /*layer*/, int /*expert*/, float /*heat*/) {}
  /// `slot` now holds (or is being filled with) expert `expert` of `layer`, in place of what the
  /// policy thought it held, if anything (a read into it failed).
  virtual void Admitted(int slot, int layer, int expert) = 0;
  /// The slot to give up for a miss in `layer`, among those for which `evictable` is true; -1 when
  /// there is none. The slot is empty afterwards.
  virtual int Victim(int layer, const std::function<bool(int slot)>& evictable) = 0;
};

/// Requests of a layer after which a use counts half, unless another number is asked for.
inline constexpr double kHeatHalfLife = 50;
inline constexpr double kLongestHalfLife = 1000;

/// Frequency and recency together. The heat of an expert is the sum of 2^(-age / half_life)
/// over its uses, age in requests of its layer, kept also while it is absent (LRFU, Lee et al.
/// 2001, with a memory of what left). The coldest of all layers is given up; but experts of their
/// layer's last request, and what was admitted or expected since, only when nothing else is left;
/// and a layer with half its fair share of the slots or less gives up nothing to others while those
/// have more. A batch of n tokens counts as n requests that use each expert evenly.
/// `half_life` from 1 to kLongestHalfLife.
std::unique_ptr<CachePolicy> MakeHeatPolicy(int n_slots, int n_layers, int n_experts,
                                            double half_life = kHeatHalfLife);

}  // namespace larder
