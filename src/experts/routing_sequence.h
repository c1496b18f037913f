// RoutingSequence: a stand-in for routers. Says which experts each layer of each token uses, for
// benchmarks of real shapes without weights and for the replay of cache policies. One thread.
#pragma once

#include <cstdint>
#include <span>

namespace larder {

class RoutingSequence {
 public:
  virtual ~RoutingSequence() = default;

  /// Moves on to the next token; called once before the first.
  virtual void NextToken() = 0;
  /// The distinct experts of `layer` for this token; valid until NextToken.
  virtual std::span<const std::int32_t> Experts(int layer) const = 0;  // [n_used]
};

}  // namespace larder
