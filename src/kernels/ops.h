// The operations models are written in: about 25 coarse ones on views. CpuOps (kernels/cpu_ops.h)
// carries them out over the kernel table and the thread pool; a GPU will carry out the same set.
//
// Exactness: every output row depends on its own input row, the weights and (for attention and
// the delta rule) the session's state only, in one canonical order of operations, so results are
// the same bits for every batch size, thread count and instruction set. Operations cannot fail;
// shapes that do not fit are bugs. One caller at a time.
#pragma once

#include <cstdint>
#include <span>

#include "tensor/tensor_view.h"

namespace larder {

/// The largest shapes that will be asked for; scratch is allocated for them.
struct OpsLimits {
  std::int64_t max_tokens = 1;        // rows of x in one call
  std::int64_t max_input_dim = 0;     // widest input of a MatMul
  std::int64_t expert_model_dim = 0;  // d_model of the experts' input (0: no experts)
  std::int64_t expert_ff_dim = 0;
  std::int64_t max_experts = 0;
  std::int64_t n_used = 0;
  std::int64_t n_heads = 0;  // attention: query heads, head width, and positions
  std::int64_t head_dim = 0;
  std::int64_t max_positions = 0;
};

/// One of several products that share an input: out [n_tokens, weights.n_rows] = x W^T.
struct Product {
  WeightView weights;
  Matrix out;
};

/// Rotary embedding of the first `n_dims` of each head, half-split ("NeoX") pairs (j, j +
/// n_dims/2), angle = position * base^(-2j/n_dims).
struct RopeParams {
  std::int64_t n_dims = 0;
  float base = 10000.0f;
};

/// Heads inside a row-major matrix: head h of token t starts at data + t*token_stride +
/// h*head_stride.
template <typename T>
struct BasicHeads {
  T* data = nullptr;
  std::int64_t n_tokens = 0;
  std::int64_t n_heads = 0;
  std::int64_t head_dim = 0;
  std::int64_t token_stride = 0;
  std::int64_t head_stride = 0;

  operator BasicHeads<const T>() const {  // NOLINT: a mutable view is a const one too
    return {data, n_tokens, n_heads, head_dim, token_stride, head_stride};
  }
  T* at(std::int64_t token, std::int64_t head) const {
    return data + token * token_stride + head * head_stride;
  }
};
using Heads = BasicHeads<float>;
using ConstHeads = BasicHeads<const float>;

/// The KV cache of one layer and session: keys and values [n_kv_heads, capacity, head_dim], rows
/// encoded as F16 or Q8_0 (head_dim a multiple of 32).
struct KvView {
  std::byte* keys = nullptr;
  std::byte* values = nullptr;
  DType dtype = DType::kF16;
  std::int64_t n_kv_heads = 0;
  std::int64_t capacity = 0;
  std::int64_t head_dim = 0;

  std::size_t row_bytes() const { return RowBytes(dtype, head_dim); }
  /// Byte offset of a row in `keys` and `values`.
  std::size_t Offset(std::int64_t kv_head, std::int64_t position) const {
    return static_cast<std::size_t>(kv_head * capacity + position) * row_bytes();
  }
};

/// One step of gated delta rule ("linear attention") for a run of tokens of one session.
/// q, k: n_key_heads of d_k, not yet normalised; v: n_value_heads of d_v. Value head j uses key
/// head j mod n_key_heads (GGUF's order). Source: Yang et al., "Gated Delta Networks" (2024).
struct DeltaRuleArgs {
  ConstHeads q, k, v;
  ConstMatrix a;           // [n_tokens, n_value_heads], before softplus
  ConstMatrix b;           // [n_tokens, n_value_heads], before sigmoid
  const float* neg_exp_a;  // [n_value_heads], GGUF's ssm_a = -exp(A_log)
  const float* dt_bias;    // [n_value_heads]
  float l2_eps = 1e-6f;    // inside the root of q's and k's L2 norm
  float* state = nullptr;  // [n_value_heads, d_k, d_v], updated
  Heads out;               // [n_tokens, n_value_heads, d_v]
};

/// One expert and the tokens that chose it.
struct ExpertWork {
  WeightView gate, up, down;               // [d_ff, d_model], [d_ff, d_model], [d_model, d_ff]
  std::span<const std::int32_t> tokens;    // rows of x
  std::span<const std::int32_t> out_rows;  // rows of out, as many
};

class Ops {
 public:
  virtual ~Ops() = default;

  /// All products over one input x [n_tokens, d_in]; quantized weights meet x in int8 blocks.
  virtual void MatMul(ConstMatrix x, std::span<const Product> products) = 0;

  /// out [n, d] = x / sqrt(mean(x^2) + eps) * weight. out may be x.
  virtual void RmsNorm(ConstMatrix x, const float* weight, float eps, Matrix out) = 0;

  /// x += y, elementwise.
  virtual void Add(Matrix x, ConstMatrix y) = 0;

  /// out = SiLU(gate) * up, elementwise; out may be gate or up.
  virtual void SwiGlu(ConstMatrix gate, ConstMatrix up, Matrix out) = 0;

  /// x[t, :] += y[t, :] * sigmoid(gate[t]) for gate [n_tokens, 1].
  virtual void AddGated(Matrix x, ConstMatrix y, ConstMatrix gate) = 0;

  /// Per head RMS norm with `weight` [head_dim], then rope at first_position + token; in place.
  virtual void NormRope(Heads heads, const float* weight, float eps, const RopeParams& rope,
                        std::int64_t first_position) = 0;

  /// Writes keys and values of the tokens at positions first_position.., encoded.
  virtual void AppendKv(ConstHeads keys, ConstHeads values, std::int64_t first_position,
                        const KvView& cache) = 0;

  /// Causal softmax attention of queries at first_position + token over the cache (which already
  /// holds these tokens): out [n_tokens, n_heads, head_dim]. Query head h uses KV head
  /// h / (n_heads / n_kv_heads). The cache is split at fixed absolute positions and merged in
  /// ascending order.
  virtual void Attention(ConstHeads queries, const KvView& cache, std::int64_t first_position,
                         float scale, Heads out) = 0;

  /// x *= sigmoid(gate), elementwise per head.
  virtual void SigmoidGate(Heads x, ConstHeads gate) = 0;

  /// Depthwise causal convolution over tokens, then SiLU. x, out [n_tokens, n_channels] (distinct);
  /// weight [n_channels, width], its last tap for the current token; state [n_channels, width - 1]
  /// holds the inputs before, oldest first, and is updated.
  virtual void CausalConvSilu(ConstMatrix x, const float* weight, std::int64_t width, float* state,
                              Matrix out) = 0;

  /// The recurrent form, token by token (the chunked one would change bits with the batch).
  virtual void GatedDeltaRule(const DeltaRuleArgs& args) = 0;

  /// Per head: x = RmsNorm(x) * weight * SiLU(z); weight [head_dim]; in place.
  virtual void GatedRmsNorm(Heads x, ConstHeads z, const float* weight, float eps) = 0;

  /// Softmax over all experts, the top n_used of each token (ties to the lower index), divided by
  /// their sum. ids, weights [n_tokens, n_used], best first.
  virtual void Route(ConstMatrix router_logits, std::int64_t n_used, std::int32_t* ids,
                     float* weights) = 0;

  /// out[out_rows[i], :] = down(SiLU(gate x[tokens[i]]) * up x[tokens[i]]) for every work. All
  /// works of one call share shapes. The input x is quantized once for a run of calls:
  /// PrepareExperts first; x stays as it is until the last of them.
  virtual void PrepareExperts(ConstMatrix x) = 0;
  virtual void RunExperts(std::span<const ExpertWork> works, Matrix out) = 0;

  /// x[t, :] += sum over k of weights[t, k] * outputs[t * n_used + k, :], k ascending (router
  /// order).
  virtual void SumExperts(ConstMatrix outputs, const float* weights, std::int64_t n_used,
                          Matrix x) = 0;

  /// Decodes each row of `rows` (an embedding slice) to float: out [rows.n_rows, n_cols].
  virtual void DecodeRows(const WeightView& rows, Matrix out) = 0;
};

}  // namespace larder
