// Lets a sequence of routings (generated or recorded) stand in for a model's router. The model asks
// layer by layer for a whole batch; the sequence goes token by token: tokens wait here until their
// last layer has been asked for. It also plays the lookahead, with a given recall. One thread.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "experts/routing_guesser.h"
#include "experts/routing_sequence.h"
#include "models/model.h"

namespace larder {

class RoutingReplay final : public RoutingSource {
 public:
  /// `sequence` outlives this.
  RoutingReplay(RoutingSequence* sequence, int n_layers, RoutingGuesser guesser)
      : sequence_(sequence), n_layers_(n_layers), guesser_(std::move(guesser)) {}

  bool Choose(int layer, std::int64_t position, std::span<std::int32_t> ids) override;
  bool Guess(int layer, std::int64_t position, std::span<std::int32_t> ids) override;

 private:
  struct Token {
    std::vector<std::int32_t> experts;  // [n_layers, n_used]
    bool has_begun = false;             // Choose was asked for layer 0
  };

  Token& Draw(std::int64_t position);
  std::span<const std::int32_t> ExpertsOf(const Token& token, int layer, std::size_t n_used) const;

  RoutingSequence* sequence_;
  int n_layers_;
  RoutingGuesser guesser_;
  std::unordered_map<std::int64_t, Token> waiting_;
};

/// Counts which experts the model's own router uses, and changes nothing.
class RoutingCounter final : public RoutingSource {
 public:
  RoutingCounter(int n_layers, int n_experts)
      : n_layers_(n_layers),
        n_experts_(n_experts),
        used_(static_cast<std::size_t>(n_layers) * static_cast<std::size_t>(n_experts)) {}

  bool Choose(int layer, std::int64_t position, std::span<std::int32_t> ids) override;

  void Clear() { used_.assign(used_.size(), false); }
  /// Distinct experts since Clear in the layer that used the fewest.
  int LeastUsed() const;

 private:
  int n_layers_;
  int n_experts_;
  std::vector<bool> used_;  // [n_layers, n_experts]
};

}  // namespace larder
