// The mixture-of-experts block with one gated shared expert, as models share it: router, streamed
// experts as they arrive, their sum in router order. No state between calls but scratch.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "models/batch_rows.h"
#include "models/model.h"
#include "models/scratch.h"

namespace larder {

struct MoeWeights {
  WeightView router;                               // [n_experts, d_model]
  WeightView shared_gate, shared_up, shared_down;  // the shared expert
  WeightView shared_switch;                        // [1, d_model], through a sigmoid
};

struct MoeShape {
  int n_experts = 0;
  int n_used = 0;
  std::int64_t d_model = 0;
  std::int64_t d_shared = 0;
};

struct MoeScratch {
  Matrix router_logits;                // [max_batch, n_experts]
  Matrix shared_gate, shared_up;       // [max_batch, d_shared]
  Matrix shared_switch;                // [max_batch, 1]
  Matrix shared_out;                   // [max_batch, d_model]
  Matrix expert_outputs;               // [max_batch * n_used, d_model]
  float* router_weights = nullptr;     // [max_batch, n_used]
  std::int32_t* router_ids = nullptr;  // [max_batch, n_used]
  // Tokens grouped by expert: expert e's lie at [group_begin[e], group_begin[e + 1]).
  std::int32_t* group_begin = nullptr;    // [n_experts + 1]
  std::int32_t* group_tokens = nullptr;   // [max_batch * n_used]
  std::int32_t* group_rows = nullptr;     // rows of expert_outputs, as many
  std::int32_t* needed = nullptr;         // [n_experts], experts with tokens, ascending
  std::int32_t* needed_tokens = nullptr;  // [n_experts], of each of them
  // The lookahead's guess, like router_weights and router_ids.
  float* guess_weights = nullptr;
  std::int32_t* guess_ids = nullptr;
};

void CutMoeScratch(const MoeShape& shape, std::int64_t max_batch, ScratchCutter* cutter,
                   MoeScratch* scratch);

/// Of one token's router weights [n_used] (best first, sum 1) keeps the fewest whose sum reaches
/// `mass`, divided by that sum as the router divides its top n_used; the others become 0.
void CutToMass(float mass, std::span<float> weights);

/// A layer whose experts are guessed at before its own router can know them.
struct GuessedLayer {
  int layer = 0;
  const float* norm = nullptr;  // [d_model], before its router
  float rms_eps = 0;
  WeightView router;  // [n_experts, d_model]
};

/// Applies the router of `guessed` to the residual stream of a layer before it, and advises the
/// expert store of the outcome: one token's best first, those of many in file order; with
/// ForwardContext::expert_mass below 1 only those it would keep. Does nothing when the store wants
/// no advice. x [n_tokens, d_model]; uses scratch that RunMoe needs only once
/// experts are computed.
void GuessExperts(const ForwardContext& context, const MoeShape& shape, const GuessedLayer& guessed,
                  const BatchRows& rows, ConstMatrix x, const MoeScratch& scratch);

/// residual += moe(normed) for one layer; normed, residual [n_tokens, d_model]. Reads are submitted
/// as soon as the router is known; the shared expert and residents are computed meanwhile.
/// `next` is guessed at meanwhile, unless null.
/// `rows` is what a RoutingSource is told. Fails only when an expert cannot be read.
Status RunMoe(const ForwardContext& context, const MoeShape& shape, const MoeWeights& weights,
              int layer, const GuessedLayer* next, const BatchRows& rows, ConstMatrix normed,
              const MoeScratch& scratch, Matrix residual);

}  // namespace larder
