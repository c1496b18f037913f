// Shapes, tensors, metadata of the Qwen3.5-MoE models.
#include "cli/synth_shape.h"

#include <fmt/format.h>

#include <array>
#include <cmath>

namespace larder {

namespace {

constexpr int kFullAttentionInterval = 4;

std::int64_t SharedWidth(const SynthShape& shape) {
  return shape.d_shared > 0 ? shape.d_shared : shape.d_expert;
}

const std::array<SynthShape, 3>& AllShapes() {
  static const std::array<SynthShape, 3> shapes = {{
      {.name = "qwen3.5-35b-a3b",
       .n_layers = 40,
       .d_model = 2048,
       .n_experts = 256,
       .n_used = 8,
       .d_expert = 512,
       .n_heads = 16,
       .n_value_heads = 32},
      {.name = "qwen3.5-122b-a10b",
       .n_layers = 48,
       .d_model = 3072,
       .n_experts = 256,
       .n_used = 8,
       .d_expert = 1024,
       .n_heads = 32,
       .n_value_heads = 64},
      {.name = "qwen3.5-397b-a17b",
       .n_layers = 60,
       .d_model = 4096,
       .n_experts = 512,
       .n_used = 10,
       .d_expert = 1024,
       .n_heads = 32,
       .n_value_heads = 64},
  }};
  return shapes;
}

// Collects tensors; `prefix` is "blk.N." inside a layer.
class TensorList {
 public:
  TensorList(DType experts, DType dense) : experts_(experts), dense_(dense) {}

  void BeginLayer(std::int64_t layer) { prefix_ = fmt::format("blk.{}.", layer); }
  void EndLayers() { prefix_.clear(); }

  void Matrix(const char* name, std::int64_t n_in, std::int64_t n_out, double gain = 1) {
    Add(name, dense_, {n_in, n_out}, SynthValues::kNormal, gain / std::sqrt(double(n_in)));
  }
  void Experts(const char* name, std::int64_t n_in, std::int64_t n_out, std::int64_t n_experts) {
    Add(name, experts_, {n_in, n_out, n_experts}, SynthValues::kNormal,
        1 / std::sqrt(double(n_in)));
  }
  void Norm(const char* name, std::int64_t n) {
    Add(name, DType::kF32, {n}, SynthValues::kAroundOne, 0.05);
  }
  void Add(const char* name, DType dtype, std::vector<std::int64_t> dims, SynthValues values,
           double deviation) {
    tensors_.push_back(
        {{prefix_ + name, dtype, std::move(dims)}, values, static_cast<float>(deviation)});
  }
  std::vector<SynthTensor> Take() { return std::move(tensors_); }

 private:
  DType experts_;
  DType dense_;
  std::string prefix_;
  std::vector<SynthTensor> tensors_;
};

void AddFullAttention(const SynthShape& s, TensorList* list) {
  list->Matrix("attn_q.weight", s.d_model, 2 * s.n_heads * s.head_dim);
  list->Matrix("attn_k.weight", s.d_model, s.n_kv_heads * s.head_dim);
  list->Matrix("attn_v.weight", s.d_model, s.n_kv_heads * s.head_dim);
  list->Norm("attn_q_norm.weight", s.head_dim);
  list->Norm("attn_k_norm.weight", s.head_dim);
  list->Matrix("attn_output.weight", s.n_heads * s.head_dim, s.d_model, 0.5);
}

void AddLinearAttention(const SynthShape& s, TensorList* list) {
  const std::int64_t value_dim = s.n_value_heads * s.d_state;
  const std::int64_t channels = 2 * s.n_key_heads * s.d_state + value_dim;
  list->Matrix("attn_qkv.weight", s.d_model, channels);
  list->Matrix("attn_gate.weight", s.d_model, value_dim);
  list->Add("ssm_conv1d.weight", DType::kF32, {s.conv_width, channels}, SynthValues::kNormal,
            1 / std::sqrt(double(s.conv_width)));
  list->Add("ssm_dt.bias", DType::kF32, {s.n_value_heads}, SynthValues::kNormal, 1);
  list->Add("ssm_a", DType::kF32, {s.n_value_heads}, SynthValues::kDecay, 1);
  list->Matrix("ssm_alpha.weight", s.d_model, s.n_value_heads);
  list->Matrix("ssm_beta.weight", s.d_model, s.n_value_heads);
  list->Norm("ssm_norm.weight", s.d_state);
  list->Matrix("ssm_out.weight", value_dim, s.d_model, 0.5);
}

void AddMoe(const SynthShape& s, TensorList* list) {
  // A router of deviation 2 / sqrt(inputs) gives the best experts clearly unequal weights.
  list->Add("ffn_gate_inp.weight", DType::kF32, {s.d_model, s.n_experts}, SynthValues::kNormal,
            2 / std::sqrt(double(s.d_model)));
  list->Experts("ffn_gate_exps.weight", s.d_model, s.d_expert, s.n_experts);
  list->Experts("ffn_up_exps.weight", s.d_model, s.d_expert, s.n_experts);
  list->Experts("ffn_down_exps.weight", s.d_expert, s.d_model, s.n_experts);
  list->Add("ffn_gate_inp_shexp.weight", DType::kF32, {s.d_model}, SynthValues::kNormal,
            1 / std::sqrt(double(s.d_model)));
  list->Matrix("ffn_gate_shexp.weight", s.d_model, SharedWidth(s));
  list->Matrix("ffn_up_shexp.weight", s.d_model, SharedWidth(s));
  list->Matrix("ffn_down_shexp.weight", SharedWidth(s), s.d_model);
}

}  // namespace

Result<SynthShape> FindSynthShape(const std::string& name) {
  std::string names;
  for (const SynthShape& shape : AllShapes()) {
    if (shape.name == name) return shape;
    names += (names.empty() ? "" : ", ") + shape.name;
  }
  return InvalidArgument("there is no shape '{}'; there are {}", name, names);
}

std::vector<SynthTensor> SynthTensors(const SynthShape& shape, DType experts, DType dense) {
  TensorList list(experts, dense);
  list.Add("token_embd.weight", dense, {shape.d_model, shape.n_vocab}, SynthValues::kNormal, 1);
  for (std::int64_t layer = 0; layer < shape.n_layers; ++layer) {
    list.BeginLayer(layer);
    list.Norm("attn_norm.weight", shape.d_model);
    if ((layer + 1) % kFullAttentionInterval == 0) {
      AddFullAttention(shape, &list);
    } else {
      AddLinearAttention(shape, &list);
    }
    list.Norm("post_attention_norm.weight", shape.d_model);
    AddMoe(shape, &list);
  }
  list.EndLayers();
  list.Norm("output_norm.weight", shape.d_model);
  if (!shape.tied_output) list.Matrix("output.weight", shape.d_model, shape.n_vocab, 2);
  return list.Take();
}

Metadata SynthMetadata(const SynthShape& s) {
  Metadata metadata;
  const std::string arch = "qwen35moe";
  const auto set = [&](const char* key, std::int64_t value) {
    metadata.SetUint32(arch + "." + key, static_cast<std::uint32_t>(value));
  };
  metadata.SetString("general.architecture", arch);
  metadata.SetString("general.name", "random weights, shape " + s.name);
  metadata.SetUint32("general.quantization_version", 2);
  set("block_count", s.n_layers);
  set("context_length", s.context_length);
  set("embedding_length", s.d_model);
  set("attention.head_count", s.n_heads);
  set("attention.head_count_kv", s.n_kv_heads);
  set("attention.key_length", s.head_dim);
  set("attention.value_length", s.head_dim);
  metadata.SetFloat32(arch + ".attention.layer_norm_rms_epsilon", 1e-6f);
  metadata.SetFloat32(arch + ".rope.freq_base", 1e7f);
  set("rope.dimension_count", s.head_dim / 4);
  metadata.SetInts(arch + ".rope.dimension_sections", {11, 11, 10, 0});
  set("expert_count", s.n_experts);
  set("expert_used_count", s.n_used);
  set("expert_feed_forward_length", s.d_expert);
  set("expert_shared_feed_forward_length", SharedWidth(s));
  set("ssm.conv_kernel", s.conv_width);
  set("ssm.state_size", s.d_state);
  set("ssm.group_count", s.n_key_heads);
  set("ssm.time_step_rank", s.n_value_heads);
  set("ssm.inner_size", s.n_value_heads * s.d_state);
  set("full_attention_interval", kFullAttentionInterval);
  return metadata;
}

}  // namespace larder
