// CpuOps: scratch, and the operations that work row by row or head by head.
#include "kernels/cpu_ops.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "kernels/cpu_ops_impl.h"
#include "kernels/cpu_ops_rows.h"
#include "tensor/codec.h"

namespace larder {

namespace {

std::size_t RecordBytes(std::int64_t n) {
  std::size_t largest = 0;
  for (auto kind : {ActivationKind::kFloat, ActivationKind::kBlock32, ActivationKind::kBlock256}) {
    largest = std::max(largest, ActivationLayout(kind, n).total);
  }
  return largest;
}

}  // namespace

ScratchPlan::ScratchPlan(const OpsLimits& limits, int n_threads) {
  const auto head_bytes = static_cast<std::size_t>(limits.head_dim) * sizeof(float);
  const std::size_t attention =
      static_cast<std::size_t>(kAttentionRows) * (kAttentionScores * sizeof(float) + head_bytes) +
      static_cast<std::size_t>(kAttentionBlock * UnpackedHead(limits.head_dim)) * sizeof(float);
  const std::size_t delta =
      static_cast<std::size_t>(kMaxDeltaKeyDim * kDeltaColumns) * sizeof(float);
  const std::size_t expert =
      2 * static_cast<std::size_t>(kExpertTokens * kExpertColumns) * sizeof(float);
  const std::size_t route = static_cast<std::size_t>(limits.max_experts) * sizeof(float);
  thread_bytes =
      AlignUp(kMatMulScratchBytes + std::max({attention, delta, expert, route}), kPageBytes);
  std::size_t at = thread_bytes * static_cast<std::size_t>(n_threads);
  const auto take = [&at](std::size_t bytes) {
    const std::size_t begin = at;
    at += AlignUp(bytes, kPageBytes);
    return begin;
  };
  const auto tokens = static_cast<std::size_t>(limits.max_tokens);
  const auto block = static_cast<std::size_t>(std::min(limits.max_tokens, kMatMulTokens));
  for (auto kind : {ActivationKind::kBlock32, ActivationKind::kBlock256}) {
    const auto i = static_cast<std::size_t>(kind);
    activations[i] = take(block * ActivationLayout(kind, limits.max_input_dim).total);
    expert_activations[i] = take(tokens * ActivationLayout(kind, limits.expert_model_dim).total);
  }
  if (limits.expert_ff_dim > 0) {
    n_hidden_rows = std::clamp<std::int64_t>(limits.max_tokens * limits.n_used, 64, 512);
    hidden_row_bytes = RecordBytes(limits.expert_ff_dim);
    hidden = take(static_cast<std::size_t>(n_hidden_rows) * hidden_row_bytes);
  }
  partial_outs = take(static_cast<std::size_t>(kAttentionPartials) * head_bytes);
  partial_max = take(static_cast<std::size_t>(kAttentionPartials) * sizeof(float));
  partial_sum = take(static_cast<std::size_t>(kAttentionPartials) * sizeof(float));
  total_bytes = at;
}

std::uint64_t CpuOpsScratchBytes(const OpsLimits& limits, int n_threads) {
  return ScratchPlan(limits, n_threads).total_bytes;
}

Result<std::unique_ptr<Ops>> MakeCpuOps(Isa isa, ThreadPool* pool, const OpsLimits& limits) {
  if (isa > BestIsa()) {
    return InvalidArgument("this processor lacks {}; the best here is {}", IsaName(isa),
                           IsaName(BestIsa()));
  }
  if (limits.head_dim > kMaxHeadDim) {
    return Unsupported("attention heads of {} are not supported; the widest is {}", limits.head_dim,
                       kMaxHeadDim);
  }
  const ScratchPlan plan(limits, pool->n_threads());
  LARDER_ASSIGN_OR_RETURN(PageBuffer scratch, PageBuffer::Allocate(plan.total_bytes, false));
  return std::unique_ptr<Ops>(
      std::make_unique<CpuOps>(isa, pool, limits, plan, std::move(scratch)));
}

CpuOps::CpuOps(Isa isa, ThreadPool* pool, const OpsLimits& limits, const ScratchPlan& plan,
               PageBuffer scratch)
    : kernels_(GetKernels(isa)),
      pool_(pool),
      limits_(limits),
      plan_(plan),
      scratch_(std::move(scratch)) {
  segments_.reserve(static_cast<std::size_t>(plan_.n_hidden_rows));
}

void CpuOps::RmsNorm(ConstMatrix x, const float* weight, float eps, Matrix out) {
  LARDER_CHECK(x.n_rows == out.n_rows && x.n_cols == out.n_cols);
  ForRows(x.n_rows, x.n_cols, [&](std::int64_t t, int) {
    kernels_.rms_norm(x.row(t), weight, eps, x.n_cols, out.row(t));
  });
}

void CpuOps::Add(Matrix x, ConstMatrix y) {
  LARDER_CHECK(x.n_rows == y.n_rows && x.n_cols == y.n_cols);
  ForRows(x.n_rows, x.n_cols,
          [&](std::int64_t t, int) { kernels_.add(x.row(t), y.row(t), x.n_cols); });
}

void CpuOps::SwiGlu(ConstMatrix gate, ConstMatrix up, Matrix out) {
  LARDER_CHECK(gate.n_rows == out.n_rows && up.n_rows == out.n_rows);
  LARDER_CHECK(gate.n_cols == out.n_cols && up.n_cols == out.n_cols);
  ForRows(out.n_rows, 4 * out.n_cols, [&](std::int64_t t, int) {
    kernels_.swiglu(gate.row(t), up.row(t), out.n_cols, out.row(t));
  });
}

void CpuOps::AddGated(Matrix x, ConstMatrix y, ConstMatrix gate) {
  LARDER_CHECK(x.n_rows == y.n_rows && x.n_cols == y.n_cols && gate.n_rows == x.n_rows);
  ForRows(x.n_rows, x.n_cols, [&](std::int64_t t, int) {
    kernels_.add_gated(x.row(t), y.row(t), gate.row(t)[0], x.n_cols);
  });
}

void CpuOps::NormRope(Heads heads, const float* weight, float eps, const RopeParams& rope,
                      std::int64_t first_position) {
  const std::int64_t n_pairs = rope.n_dims / 2;
  LARDER_CHECK(rope.n_dims % 2 == 0 && rope.n_dims <= heads.head_dim);
  LARDER_CHECK(heads.head_dim <= kMaxHeadDim);
  if (rope.n_dims != rope_.n_dims || rope.base != rope_.base) {
    rope_ = rope;
    inverse_frequencies_.clear();
    for (std::int64_t j = 0; j < n_pairs; ++j) {
      const float exponent = static_cast<float>(2 * j) / static_cast<float>(rope.n_dims);
      inverse_frequencies_.push_back(1.0f /
                                     static_cast<float>(std::pow(double{rope.base}, exponent)));
    }
  }
  const std::int64_t work = 2 * heads.n_heads * heads.head_dim + 64 * n_pairs;
  ForRows(heads.n_tokens, work, [&](std::int64_t t, int) {
    float cosines[kMaxHeadDim / 2];
    float sines[kMaxHeadDim / 2];
    for (std::int64_t j = 0; j < n_pairs; ++j) {
      // The angle is a float product, as in the reference; its sine is taken exactly.
      const float angle = static_cast<float>(first_position + t) *
                          inverse_frequencies_[static_cast<std::size_t>(j)];
      cosines[j] = static_cast<float>(std::cos(double{angle}));
      sines[j] = static_cast<float>(std::sin(double{angle}));
    }
    for (std::int64_t h = 0; h < heads.n_heads; ++h) {
      float* head = heads.at(t, h);
      kernels_.rms_norm(head, weight, eps, heads.head_dim, head);
      kernels_.rope(head, cosines, sines, n_pairs);
    }
  });
}

void CpuOps::SigmoidGate(Heads x, ConstHeads gate) {
  LARDER_CHECK(x.n_tokens == gate.n_tokens && x.n_heads == gate.n_heads);
  ForHeads(x, [&](std::int64_t t, std::int64_t h) {
    kernels_.sigmoid_gate(x.at(t, h), gate.at(t, h), x.head_dim);
  });
}

void CpuOps::GatedRmsNorm(Heads x, ConstHeads z, const float* weight, float eps) {
  LARDER_CHECK(x.n_tokens == z.n_tokens && x.n_heads == z.n_heads && x.head_dim == z.head_dim);
  ForHeads(x, [&](std::int64_t t, std::int64_t h) {
    kernels_.gated_rms_norm(x.at(t, h), z.at(t, h), weight, eps, x.head_dim);
  });
}

void CpuOps::CausalConvSilu(ConstMatrix x, const float* weight, std::int64_t width, float* state,
                            Matrix out) {
  LARDER_CHECK(x.n_rows == out.n_rows && x.n_cols == out.n_cols);
  LARDER_CHECK(1 <= width && width <= kMaxConvWidth);
  const std::int64_t n_blocks = (x.n_cols + kConvChannels - 1) / kConvChannels;
  const std::int64_t work = kConvChannels * (8 * width + x.n_rows * (width + 4));
  ForRows(n_blocks, work, [&](std::int64_t block, int) {
    const std::int64_t first = block * kConvChannels;
    ConvTask task;
    task.x = x.data + first;
    task.x_stride = x.stride;
    task.weight = weight + first * width;
    task.width = width;
    task.state = state + first * (width - 1);
    task.out = out.data + first;
    task.out_stride = out.stride;
    task.n_tokens = x.n_rows;
    task.n_channels = std::min(kConvChannels, x.n_cols - first);
    kernels_.conv_silu(task);
  });
}

void CpuOps::GatedDeltaRule(const DeltaRuleArgs& args) {
  const std::int64_t d_k = args.k.head_dim;
  const std::int64_t d_v = args.v.head_dim;
  LARDER_CHECK(d_k <= kMaxDeltaKeyDim && args.q.head_dim == d_k && args.out.head_dim == d_v);
  LARDER_CHECK(args.q.n_heads == args.k.n_heads && args.v.n_heads % args.k.n_heads == 0);
  const std::int64_t n_blocks = (d_v + kDeltaColumns - 1) / kDeltaColumns;
  const std::int64_t work = d_k * kDeltaColumns * args.q.n_tokens;
  ForRows(args.v.n_heads * n_blocks, work, [&](std::int64_t item, int thread) {
    const std::int64_t head = item / n_blocks;
    const std::int64_t first = item % n_blocks * kDeltaColumns;
    const std::int64_t key_head = head % args.k.n_heads;
    DeltaTask task;
    task.q = args.q.at(0, key_head);
    task.k = args.k.at(0, key_head);
    task.v = args.v.at(0, head) + first;
    task.a = args.a.data + head;
    task.b = args.b.data + head;
    task.q_stride = args.q.token_stride;
    task.k_stride = args.k.token_stride;
    task.v_stride = args.v.token_stride;
    task.a_stride = args.a.stride;
    task.b_stride = args.b.stride;
    task.neg_exp_a = args.neg_exp_a[head];
    task.dt_bias = args.dt_bias[head];
    task.l2_eps = args.l2_eps;
    task.state = args.state + head * d_k * d_v + first;
    task.state_stride = d_v;
    task.out = args.out.at(0, head) + first;
    task.out_stride = args.out.token_stride;
    task.n_tokens = args.q.n_tokens;
    task.d_k = d_k;
    task.n_columns = std::min(kDeltaColumns, d_v - first);
    task.scratch = reinterpret_cast<float*>(ThreadScratch(thread));
    kernels_.delta_rule(task);
  });
}

void CpuOps::Route(ConstMatrix router_logits, std::int64_t n_used, std::int32_t* ids,
                   float* weights) {
  const std::int64_t n_experts = router_logits.n_cols;
  LARDER_CHECK(1 <= n_used && n_used <= n_experts && n_experts <= limits_.max_experts);
  ForRows(router_logits.n_rows, n_experts * (n_used + 8), [&](std::int64_t t, int thread) {
    auto* probabilities = reinterpret_cast<float*>(ThreadScratch(thread));
    kernels_.softmax(router_logits.row(t), n_experts, probabilities);
    float sum = 0.0f;
    for (std::int64_t k = 0; k < n_used; ++k) {
      // Strictly greater keeps the lower index of a tie; -2 marks the taken ones.
      std::int64_t best = -1;
      for (std::int64_t e = 0; e < n_experts; ++e) {
        const bool free = probabilities[e] != -2.0f;
        if (free && (best < 0 || probabilities[e] > probabilities[best])) best = e;
      }
      ids[t * n_used + k] = static_cast<std::int32_t>(best);
      weights[t * n_used + k] = probabilities[best];
      sum += probabilities[best];
      probabilities[best] = -2.0f;
    }
    for (std::int64_t k = 0; k < n_used; ++k) weights[t * n_used + k] /= sum;
  });
}

void CpuOps::SumExperts(ConstMatrix outputs, const float* weights, std::int64_t n_used, Matrix x) {
  LARDER_CHECK(outputs.n_rows == x.n_rows * n_used && outputs.n_cols == x.n_cols);
  ForRows(x.n_rows, x.n_cols * n_used, [&](std::int64_t t, int) {
    kernels_.add_weighted(outputs.row(t * n_used), outputs.stride, weights + t * n_used, n_used,
                          x.n_cols, x.row(t));
  });
}

void CpuOps::DecodeRows(const WeightView& rows, Matrix out) {
  LARDER_CHECK(rows.n_rows == out.n_rows && rows.n_cols == out.n_cols);
  ForRows(rows.n_rows, 4 * rows.n_cols, [&](std::int64_t r, int) {
    DecodeRow(rows.dtype, rows.row(r), out.row(r), rows.n_cols);
  });
}

}  // namespace larder
