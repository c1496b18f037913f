// Router -> request -> shared expert -> experts as they arrive -> sum in router order.
#include "models/moe_block.h"

#include <algorithm>

#include "base/clock.h"

namespace larder {

void CutMoeScratch(const MoeShape& shape, std::int64_t max_batch, ScratchCutter* cutter,
                   MoeScratch* scratch) {
  const std::int64_t n_pairs = max_batch * shape.n_used;
  const auto ints = [cutter](std::int64_t count) {
    return reinterpret_cast<std::int32_t*>(cutter->Bytes(static_cast<std::uint64_t>(count) * 4));
  };
  scratch->router_logits = cutter->Floats(max_batch, shape.n_experts);
  scratch->shared_gate = cutter->Floats(max_batch, shape.d_shared);
  scratch->shared_up = cutter->Floats(max_batch, shape.d_shared);
  scratch->shared_switch = cutter->Floats(max_batch, 1);
  scratch->shared_out = cutter->Floats(max_batch, shape.d_model);
  scratch->expert_outputs = cutter->Floats(n_pairs, shape.d_model);
  scratch->router_weights = cutter->Floats(max_batch, shape.n_used).data;
  scratch->router_ids = ints(n_pairs);
  scratch->group_begin = ints(shape.n_experts + 1);
  scratch->group_tokens = ints(n_pairs);
  scratch->group_rows = ints(n_pairs);
  scratch->needed = ints(shape.n_experts);
  scratch->needed_tokens = ints(shape.n_experts);
  scratch->guess_weights = cutter->Floats(max_batch, shape.n_used).data;
  scratch->guess_ids = ints(n_pairs);
}

void CutToMass(float mass, std::span<float> weights) {
  float sum = 0;
  std::size_t n_kept = 0;
  while (n_kept < weights.size() && sum < mass) sum += weights[n_kept++];
  for (float& weight : weights.first(n_kept)) weight /= sum;
  std::fill(weights.begin() + static_cast<std::ptrdiff_t>(n_kept), weights.end(), 0.0f);
}

namespace {

// Weights of 0 stand for experts left out only then.
bool LeavesOut(const ForwardContext& context) { return context.expert_mass < 1; }

// Tells a source of every row: which timeline it belongs to, its position there, its number.
template <typename Tell>
void TellRows(RoutingSource* routing, const BatchRows& rows, Tell tell) {
  for (const RowRange& range : rows.ranges()) {
    routing->SetTimeline(range.part->timeline);
    for (std::int64_t i = 0; i < range.n_rows; ++i) {
      tell(range.first_position + i, range.first_row + i);
    }
  }
}

void ChooseExperts(const ForwardContext& context, const MoeShape& shape, int layer,
                   const BatchRows& rows, ConstMatrix router_logits, const MoeScratch& scratch) {
  context.ops->Route(router_logits, shape.n_used, scratch.router_ids, scratch.router_weights);
  const auto n_used = static_cast<std::size_t>(shape.n_used);
  const auto weights_of = [&](std::int64_t t) {
    return std::span<float>(scratch.router_weights + t * shape.n_used, n_used);
  };
  if (context.routing == nullptr) {
    if (!LeavesOut(context)) return;
    for (std::int64_t t = 0; t < router_logits.n_rows; ++t) {
      CutToMass(context.expert_mass, weights_of(t));
    }
    return;
  }
  TellRows(context.routing, rows, [&](std::int64_t position, std::int64_t t) {
    const std::span<std::int32_t> ids(scratch.router_ids + t * shape.n_used, n_used);
    const std::span<float> weights = weights_of(t);
    if (context.routing->Choose(layer, position, ids)) {
      std::fill(weights.begin(), weights.end(), 1.0f / static_cast<float>(shape.n_used));
    }
    if (LeavesOut(context)) CutToMass(context.expert_mass, weights);
    context.routing->Routed(layer, position, ids, weights, *context.experts);
  });
}

// Counting sort of (token, choice) pairs by expert; returns how many experts have tokens.
std::size_t GroupByExpert(const ForwardContext& context, const MoeShape& shape,
                          std::int64_t n_tokens, const MoeScratch& scratch) {
  const std::int64_t n_pairs = n_tokens * shape.n_used;
  std::int32_t* begin = scratch.group_begin;
  std::fill_n(begin, shape.n_experts + 1, 0);
  const auto is_out = [leaves_out = LeavesOut(context), &scratch](std::int64_t i) {
    return leaves_out && scratch.router_weights[i] == 0;
  };
  for (std::int64_t i = 0; i < n_pairs; ++i) {
    if (!is_out(i)) ++begin[scratch.router_ids[i] + 1];
  }
  std::size_t n_needed = 0;
  for (int e = 0; e < shape.n_experts; ++e) {
    if (begin[e + 1] > 0) scratch.needed[n_needed++] = e;
    begin[e + 1] += begin[e];
  }
  const std::int32_t n_grouped = begin[shape.n_experts];
  for (std::int64_t i = n_pairs; i-- > 0;) {  // backwards, so that begin[e + 1] ends as e's start
    if (is_out(i)) continue;
    const std::int32_t place = --begin[scratch.router_ids[i] + 1];
    scratch.group_tokens[place] = static_cast<std::int32_t>(i / shape.n_used);
    scratch.group_rows[place] = static_cast<std::int32_t>(i);
  }
  std::copy(begin + 1, begin + shape.n_experts + 1, begin);
  begin[shape.n_experts] = n_grouped;
  for (std::size_t i = 0; i < n_needed; ++i) {
    const std::int32_t expert = scratch.needed[i];
    scratch.needed_tokens[i] = begin[expert + 1] - begin[expert];
  }
  return n_needed;
}

// What no expert wrote counts as 0 in the sum.
void ClearLeftOut(const MoeScratch& scratch, Matrix outputs) {
  for (std::int64_t i = 0; i < outputs.n_rows; ++i) {
    if (scratch.router_weights[i] == 0) std::fill_n(outputs.row(i), outputs.n_cols, 0.0f);
  }
}

void RunSharedExpert(Ops& ops, const MoeWeights& weights, ConstMatrix normed,
                     const MoeScratch& scratch, Matrix residual) {
  const std::int64_t n = normed.n_rows;
  const Matrix gate = scratch.shared_gate.Rows(0, n);
  const Matrix up = scratch.shared_up.Rows(0, n);
  const Matrix switch_logit = scratch.shared_switch.Rows(0, n);
  const Matrix out = scratch.shared_out.Rows(0, n);
  const Product inputs[] = {
      {weights.shared_gate, gate}, {weights.shared_up, up}, {weights.shared_switch, switch_logit}};
  ops.MatMul(normed, inputs);
  ops.SwiGlu(gate, up, gate);
  const Product down[] = {{weights.shared_down, out}};
  ops.MatMul(gate, down);
  ops.AddGated(residual, out, switch_logit);
}

ExpertWork WorkOf(const ExpertHandle& handle, const MoeScratch& scratch) {
  const std::int32_t begin = scratch.group_begin[handle.expert()];
  const auto count = static_cast<std::size_t>(scratch.group_begin[handle.expert() + 1] - begin);
  return {.gate = handle.weights().gate,
          .up = handle.weights().up,
          .down = handle.weights().down,
          .tokens = {scratch.group_tokens + begin, count},
          .out_rows = {scratch.group_rows + begin, count}};
}

// Experts computed between two looks at the disk: few where each is quick.
std::size_t WaveOf(const MoeShape& shape, std::int64_t n_tokens) {
  return n_tokens == 1 ? 4 : static_cast<std::size_t>(std::max(shape.n_used, 8));
}

// Moves the guesses that --expert-mass will keep to the front, in their order; returns their end.
std::int32_t* KeepMass(const ForwardContext& context, const MoeShape& shape, std::int64_t n_tokens,
                       const MoeScratch& scratch) {
  std::int32_t* end = scratch.guess_ids;
  for (std::int64_t t = 0; t < n_tokens; ++t) {
    const std::span<float> weights(scratch.guess_weights + t * shape.n_used,
                                   static_cast<std::size_t>(shape.n_used));
    CutToMass(context.expert_mass, weights);
    for (std::size_t i = 0; i < weights.size(); ++i) {
      if (weights[i] != 0) *end++ = scratch.guess_ids[t * shape.n_used + static_cast<int>(i)];
    }
  }
  return end;
}

}  // namespace

void GuessExperts(const ForwardContext& context, const MoeShape& shape, const GuessedLayer& guessed,
                  const BatchRows& rows, ConstMatrix x, const MoeScratch& scratch) {
  const std::int64_t n = x.n_rows;
  if (!context.experts->WantsAdvice(guessed.layer, n)) return;
  Ops& ops = *context.ops;
  const Matrix normed = scratch.expert_outputs.Rows(0, n);
  const Matrix logits = scratch.router_logits.Rows(0, n);
  ops.RmsNorm(x, guessed.norm, guessed.rms_eps, normed);
  const Product router[] = {{guessed.router, logits}};
  ops.MatMul(normed, router);
  ops.Route(logits, shape.n_used, scratch.guess_ids, scratch.guess_weights);
  const auto n_used = static_cast<std::size_t>(shape.n_used);
  std::int32_t* end = scratch.guess_ids + n * shape.n_used;
  if (context.routing != nullptr) {
    TellRows(context.routing, rows, [&](std::int64_t position, std::int64_t t) {
      std::int32_t* ids = scratch.guess_ids + t * shape.n_used;
      if (!context.routing->Guess(guessed.layer, position, {ids, n_used})) return;
      std::fill_n(scratch.guess_weights + t * shape.n_used, n_used,
                  1.0f / static_cast<float>(shape.n_used));
    });
  }
  if (LeavesOut(context)) end = KeepMass(context, shape, n, scratch);
  if (n > 1) {
    std::sort(scratch.guess_ids, end);
    end = std::unique(scratch.guess_ids, end);
  }
  context.experts->Advise(guessed.layer, {scratch.guess_ids, end});
}

Status RunMoe(const ForwardContext& context, const MoeShape& shape, const MoeWeights& weights,
              int layer, const GuessedLayer* next, const BatchRows& rows, ConstMatrix normed,
              const MoeScratch& scratch, Matrix residual) {
  Ops& ops = *context.ops;
  ExpertStore& store = *context.experts;
  PhaseTimes& times = *context.times;
  const std::int64_t n = normed.n_rows;
  const std::int64_t start_us = NowUs();

  const Matrix router_logits = scratch.router_logits.Rows(0, n);
  const Product router[] = {{weights.router, router_logits}};
  ops.MatMul(normed, router);
  ChooseExperts(context, shape, layer, rows, router_logits, scratch);
  const std::size_t n_needed = GroupByExpert(context, shape, n, scratch);
  LARDER_RETURN_IF_ERROR(
      store.Request(layer, {scratch.needed, n_needed},
                    {.n_tokens = n, .of_expert = {scratch.needed_tokens, n_needed}}));
  if (next != nullptr) {
    GuessExperts(context, shape, *next, rows, ConstMatrix(residual), scratch);
  }

  RunSharedExpert(ops, weights, normed, scratch, residual);
  ops.PrepareExperts(normed);
  const std::int64_t shared_done_us = NowUs();
  times.router_us += shared_done_us - start_us;

  const Matrix outputs = scratch.expert_outputs.Rows(0, n * shape.n_used);
  const std::size_t wave = WaveOf(shape, n);
  std::int64_t wait_us = 0;
  while (store.n_pending() > 0) {
    std::vector<ExpertHandle> ready;
    const std::int64_t ask_us = NowUs();
    LARDER_RETURN_IF_ERROR(store.Next(wave, &ready));
    wait_us += NowUs() - ask_us;
    std::vector<ExpertWork> works;
    for (const ExpertHandle& handle : ready) works.push_back(WorkOf(handle, scratch));
    ops.RunExperts(works, outputs);
    if (context.timeline != nullptr) {
      context.timeline->Add(TimelineKind::kComputed, layer, static_cast<int>(ready.size()));
    }
  }
  if (LeavesOut(context)) ClearLeftOut(scratch, outputs);
  ops.SumExperts(outputs, scratch.router_weights, shape.n_used, residual);
  times.expert_wait_us += wait_us;
  times.experts_us += NowUs() - shared_done_us - wait_us;
  if (context.timeline != nullptr) context.timeline->Add(TimelineKind::kLayerEnd, layer, 0);
  return Status::Ok();
}

}  // namespace larder
