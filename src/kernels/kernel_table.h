// The kernel table: one struct of functions per instruction set, chosen once at start. Kernels work
// on one thread, on pointers they are given; they neither allocate, lock, log, read files nor fail.
// All tables give the same bits: the canonical order is written beside each kernel.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/isa.h"
#include "kernels/activations.h"
#include "tensor/dtype.h"

namespace larder {

/// Rows of weights against a set of tokens: out[t][r] = sum over columns of w[r] * x[t].
struct MatMulTask {
  const std::byte* weights = nullptr;  // first row; any alignment
  DType dtype = DType::kF32;
  std::int64_t n_rows = 0;
  std::int64_t n_cols = 0;
  std::size_t row_bytes = 0;
  const std::byte* activations = nullptr;    // records (activations.h), or float rows
  std::size_t activation_stride = 0;         // bytes between tokens
  const std::int32_t* token_rows = nullptr;  // [n_tokens] indices into activations; null: 0, 1, ..
  std::int64_t n_tokens = 0;
  float* out = nullptr;  // out[t][0] of the first row at out + t' * out_stride
  std::int64_t out_stride = 0;
  const std::int32_t* out_rows = nullptr;  // [n_tokens] values of t'; null: 0, 1, ..
  std::byte* scratch = nullptr;            // kMatMulScratchBytes, aligned to 64, of this thread
  const std::byte* next = nullptr;  // as many rows this thread will likely read next, or null

  const std::byte* Activation(std::int64_t token) const {
    const std::int64_t row = token_rows != nullptr ? token_rows[token] : token;
    return activations + static_cast<std::size_t>(row) * activation_stride;
  }
  float* Out(std::int64_t token) const {
    return out + (out_rows != nullptr ? out_rows[token] : token) * out_stride;
  }
};

inline constexpr std::size_t kMatMulScratchBytes = 64 << 10;

inline constexpr std::int64_t kAttentionChunk = 256;  // positions: the fixed split of the KV cache
inline constexpr std::int64_t kAttentionBlock = 32;   // positions decoded together
// A line more than a power of two, so that rows do not meet in the same sets of a cache.
inline constexpr std::int64_t kAttentionScores = kAttentionChunk + 16;  // floats between rows
constexpr std::int64_t UnpackedHead(std::int64_t head_dim) { return (head_dim + 31) / 16 * 16; }
inline constexpr std::int64_t kAttentionRows = 64;  // query rows that share one pass over a chunk
inline constexpr std::int64_t kMaxHeadDim = 1024;

/// Query rows (token x head pairs of one KV head) against one chunk of the cache. Row r sees the
/// first n_visible[r] >= 0 positions of the chunk.
struct AttentionChunkTask {
  const float* const* queries = nullptr;    // [n_rows] pointers to [head_dim]
  const std::int32_t* n_visible = nullptr;  // [n_rows], at most kAttentionChunk
  std::int64_t n_rows = 0;                  // at most kAttentionRows
  DType dtype = DType::kF16;                // of keys and values: F16 or Q8_0
  const std::byte* keys = nullptr;          // [kAttentionChunk, head_dim], rows of row_bytes
  const std::byte* values = nullptr;
  const std::byte* next_keys = nullptr;  // of the chunk this thread will likely read next, or null
  std::int64_t row_bytes = 0;
  std::int64_t head_dim = 0;
  float scale = 1.0f;
  float* unpacked = nullptr;  // scratch [kAttentionBlock, UnpackedHead(head_dim)]
  float* scores = nullptr;    // scratch [n_rows, kAttentionScores]
  float* maxima = nullptr;    // out [n_rows]; rows that see nothing are left alone
  float* sums = nullptr;      // out [n_rows]
  float* outs = nullptr;      // out [n_rows, head_dim], not yet divided by the sum
};

/// The running softmax of one query row over ascending chunks.
struct AttentionState {
  float max = 0.0f;
  float sum = 0.0f;
  bool empty = true;
};

/// A run of tokens for up to kDeltaColumns state columns of one value head.
inline constexpr std::int64_t kDeltaColumns = 64;
inline constexpr std::int64_t kMaxDeltaKeyDim = 256;
struct DeltaTask {
  const float* q = nullptr;  // token t at q + t * q_stride, [d_k], not normalised
  const float* k = nullptr;
  const float* v = nullptr;  // [n_columns] of this task
  const float* a = nullptr;  // one value per token
  const float* b = nullptr;
  std::int64_t q_stride = 0;
  std::int64_t k_stride = 0;
  std::int64_t v_stride = 0;
  std::int64_t a_stride = 0;
  std::int64_t b_stride = 0;
  float neg_exp_a = 0.0f;
  float dt_bias = 0.0f;
  float l2_eps = 0.0f;
  float* state = nullptr;  // [d_k] rows, `state_stride` floats apart, n_columns used
  std::int64_t state_stride = 0;
  float* out = nullptr;
  std::int64_t out_stride = 0;
  std::int64_t n_tokens = 0;
  std::int64_t d_k = 0;
  std::int64_t n_columns = 0;
  float* scratch = nullptr;  // [d_k, kDeltaColumns], aligned to 64
};

/// Up to kConvChannels channels of a causal convolution over a run of tokens.
inline constexpr std::int64_t kConvChannels = 64;
inline constexpr std::int64_t kMaxConvWidth = 16;
struct ConvTask {
  const float* x = nullptr;  // token t at x + t * x_stride
  std::int64_t x_stride = 0;
  const float* weight = nullptr;  // [n_channels, width]
  std::int64_t width = 0;
  float* state = nullptr;  // [n_channels, width - 1], oldest first
  float* out = nullptr;
  std::int64_t out_stride = 0;
  std::int64_t n_tokens = 0;
  std::int64_t n_channels = 0;
};

struct KernelTable {
  Isa isa;

  /// Elements [first, first + count) of a row of n, given by x [count], into the row's record of
  /// `kind` (activations.h). first and count are whole blocks.
  void (*quantize)(ActivationKind kind, const float* x, std::int64_t n, std::int64_t first,
                   std::int64_t count, std::byte* record);
  void (*matmul)(const MatMulTask& task);

  /// out = x / sqrt(mean(x^2) + eps) * weight; out may be x.
  void (*rms_norm)(const float* x, const float* weight, float eps, std::int64_t n, float* out);
  /// x = rms_norm(x) * SiLU(z).
  void (*gated_rms_norm)(float* x, const float* z, const float* weight, float eps, std::int64_t n);
  void (*add)(float* x, const float* y, std::int64_t n);
  /// out = SiLU(gate) * up; out may be either.
  void (*swiglu)(const float* gate, const float* up, std::int64_t n, float* out);
  /// x += y * sigmoid(gate).
  void (*add_gated)(float* x, const float* y, float gate, std::int64_t n);
  /// x *= sigmoid(gate), elementwise.
  void (*sigmoid_gate)(float* x, const float* gate, std::int64_t n);
  /// Rotates pairs (j, j + n_pairs) of `head` by cosines[j], sines[j].
  void (*rope)(float* head, const float* cosines, const float* sines, std::int64_t n_pairs);
  void (*to_half)(const float* x, std::int64_t n, std::uint16_t* out);
  /// probabilities [n] = softmax(logits).
  void (*softmax)(const float* logits, std::int64_t n, float* probabilities);
  /// x += sum over k ascending of weights[k] * rows[k * stride + i].
  void (*add_weighted)(const float* rows, std::int64_t stride, const float* weights,
                       std::int64_t n_weights, std::int64_t n, float* x);
  void (*attend_chunk)(const AttentionChunkTask& task);
  /// Merges a chunk's (max, sum, out) into the running one; chunks come in ascending order.
  void (*merge_chunk)(float chunk_max, float chunk_sum, const float* chunk_out, std::int64_t n,
                      AttentionState* state, float* out);
  /// out /= sum.
  void (*finish_attention)(float sum, std::int64_t n, float* out);
  void (*conv_silu)(const ConvTask& task);
  void (*delta_rule)(const DeltaTask& task);
  /// out = e^x, for tests of the shared exponential.
  void (*exp_row)(const float* x, std::int64_t n, float* out);
};

/// The table of `isa`, which this processor must have.
const KernelTable& GetKernels(Isa isa);

// One per file, so that each instruction set is built apart.
const KernelTable& ScalarKernels();
const KernelTable& Avx2Kernels();
const KernelTable& Avx512Kernels();

}  // namespace larder
