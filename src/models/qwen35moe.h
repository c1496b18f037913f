// Qwen3.5-MoE (general.architecture = qwen35moe): every full_attention_interval-th layer is softmax
// attention with an output gate, the others are gated delta rule; every layer ends in a mixture of
// experts with one shared expert. The multi-token-prediction block is skipped.
// Source: transformers' Qwen3_5Moe and docs of GGUF's names; see docs/qwen35moe.md for the traps.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "models/batch_rows.h"
#include "models/model.h"
#include "models/moe_block.h"
#include "models/scratch.h"
#include "models/tensor_binder.h"

namespace larder {

struct Qwen35MoeConfig {
  int n_layers = 0;
  std::int64_t d_model = 0;
  std::int64_t n_vocab = 0;
  std::int64_t context_length = 0;
  float rms_eps = 1e-6f;

  // Full attention.
  std::int64_t n_heads = 0;
  std::int64_t n_kv_heads = 0;
  std::int64_t head_dim = 0;
  RopeParams rope;
  std::vector<bool> is_linear;  // [n_layers]

  // Gated delta rule.
  std::int64_t conv_width = 0;
  std::int64_t n_key_heads = 0;
  std::int64_t n_value_heads = 0;
  std::int64_t d_key = 0;
  std::int64_t d_value = 0;
  std::int64_t key_dim() const { return n_key_heads * d_key; }
  std::int64_t value_dim() const { return n_value_heads * d_value; }
  std::int64_t conv_channels() const { return 2 * key_dim() + value_dim(); }

  // Mixture of experts.
  int n_experts = 0;
  int n_used = 0;
  std::int64_t d_expert = 0;
  std::int64_t d_shared = 0;

  static Result<Qwen35MoeConfig> Parse(const GgufModel& file, const ModelOverrides& overrides);
};

class Qwen35Moe : public Model {
 public:
  static constexpr const char* kArchitecture = "qwen35moe";

  static Result<std::unique_ptr<Model>> Create(const GgufModel& file,
                                               const ModelOverrides& overrides);

  StateShape state_shape() const override;
  OpsLimits ops_limits(std::int64_t max_batch, std::int64_t max_positions) const override;
  std::uint64_t ScratchBytes(std::int64_t max_batch) const override;
  Status Bind(const DenseWeights& weights, std::int64_t max_batch) override;
  Result<ConstMatrix> Forward(const ForwardContext& context, std::span<BatchPart> parts) override;
  void Logits(const ForwardContext& context, ConstMatrix hidden, Matrix logits) override;

 private:
  struct FullAttention {
    WeightView q, k, v, output;    // q holds [query, gate] per head
    const float *q_norm, *k_norm;  // [head_dim]
  };
  struct LinearAttention {
    WeightView qkv, z, a, b, output;
    const float* conv;                 // [conv_channels, conv_width]
    const float *neg_exp_a, *dt_bias;  // [n_value_heads]
    const float* norm;                 // [d_value]
  };
  struct Layer {
    const float* mixer_norm;  // [d_model]
    const float* moe_norm;    // [d_model]
    FullAttention full;       // one of the two is bound
    LinearAttention linear;
    MoeWeights moe;
  };
  /// Rows of one batch; full and linear layers share memory.
  struct Scratch {
    Matrix x, normed, mixed;    // [max_batch, d_model]
    Matrix q_and_gate, k, v;    // full attention
    Matrix qkv, conv, z, a, b;  // linear attention
    Matrix heads_out;           // [max_batch, value_dim or n_heads * head_dim]
    std::byte* embedding_rows;  // encoded, [max_batch, row bytes]
    MoeScratch moe;
  };

  Status BindTensors(const GgufModel& file);
  void BindLayerTensors(int index, TensorBinder* binder);
  std::uint64_t CutScratch(std::byte* base, std::int64_t max_batch, Scratch* scratch) const;

  Status Embed(const ForwardContext& context, std::span<const std::int32_t> tokens, Matrix x);
  void MixFullAttention(Ops& ops, const FullAttention& weights, int layer, ConstMatrix x,
                        const BatchRows& rows, Matrix mixed);
  void AttendRange(Ops& ops, const FullAttention& weights, int layer, const RowRange& range,
                   Heads out);
  void MixLinearAttention(Ops& ops, const LinearAttention& weights, int layer, ConstMatrix x,
                          const BatchRows& rows, Matrix mixed);
  void RunDeltaRule(Ops& ops, const LinearAttention& weights, int layer, const RowRange& range,
                    Matrix out);

  Qwen35MoeConfig config_;
  std::vector<Layer> layers_;
  const float* output_norm_ = nullptr;  // [d_model]
  WeightView output_;                   // [n_vocab, d_model]
  PageBuffer scratch_memory_;
  Scratch scratch_;
};

}  // namespace larder
