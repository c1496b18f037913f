// Parts of a tiny qwen35moe model.
#include "helpers/tiny_model.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>

#include "base/random.h"

namespace larder {

namespace {

constexpr std::int64_t kModelDim = 64;
constexpr std::int64_t kVocab = 96;
constexpr int kLayers = 4;
constexpr std::int64_t kExperts = 8;
constexpr std::int64_t kExpertDim = 32;

void AddMetadata(Metadata* metadata) {
  metadata->SetString("general.architecture", "qwen35moe");
  metadata->SetString("general.name", "tiny");
  const auto set = [metadata](const char* key, std::uint32_t value) {
    metadata->SetUint32(std::string("qwen35moe.") + key, value);
  };
  set("block_count", kLayers);
  set("context_length", 256);
  set("embedding_length", kModelDim);
  set("attention.head_count", 2);
  set("attention.head_count_kv", 1);
  set("attention.key_length", 32);
  set("attention.value_length", 32);
  set("rope.dimension_count", 8);
  set("expert_count", kExperts);
  set("expert_used_count", 2);
  set("expert_feed_forward_length", kExpertDim);
  set("expert_shared_feed_forward_length", 32);
  set("ssm.conv_kernel", 4);
  set("ssm.state_size", 16);
  set("ssm.group_count", 2);
  set("ssm.time_step_rank", 4);
  set("ssm.inner_size", 64);
  set("full_attention_interval", 4);
  metadata->SetFloat32("qwen35moe.attention.layer_norm_rms_epsilon", 1e-6f);
  metadata->SetFloat32("qwen35moe.rope.freq_base", 1e7f);
}

using Declarations = std::vector<GgufWriter::TensorDeclaration>;

void AddLayer(int index, Declarations* tensors) {
  const auto add = [&](const char* part, std::vector<std::int64_t> dims) {
    tensors->push_back({fmt::format("blk.{}.{}", index, part), DType::kF32, std::move(dims)});
  };
  add("attn_norm.weight", {kModelDim});
  add("post_attention_norm.weight", {kModelDim});
  if (index % 4 == 3) {
    add("attn_q.weight", {kModelDim, 2 * 2 * 32});
    add("attn_k.weight", {kModelDim, 32});
    add("attn_v.weight", {kModelDim, 32});
    add("attn_output.weight", {64, kModelDim});
    add("attn_q_norm.weight", {32});
    add("attn_k_norm.weight", {32});
  } else {
    add("attn_qkv.weight", {kModelDim, 2 * 32 + 64});
    add("attn_gate.weight", {kModelDim, 64});
    add("ssm_conv1d.weight", {4, 128});
    add("ssm_dt.bias", {4});
    add("ssm_a", {4});
    add("ssm_alpha.weight", {kModelDim, 4});
    add("ssm_beta.weight", {kModelDim, 4});
    add("ssm_norm.weight", {16});
    add("ssm_out.weight", {64, kModelDim});
  }
  add("ffn_gate_inp.weight", {kModelDim, kExperts});
  add("ffn_gate_inp_shexp.weight", {kModelDim});
  add("ffn_gate_shexp.weight", {kModelDim, 32});
  add("ffn_up_shexp.weight", {kModelDim, 32});
  add("ffn_down_shexp.weight", {32, kModelDim});
  add("ffn_gate_exps.weight", {kModelDim, kExpertDim, kExperts});
  add("ffn_up_exps.weight", {kModelDim, kExpertDim, kExperts});
  add("ffn_down_exps.weight", {kExpertDim, kModelDim, kExperts});
}

}  // namespace

TinyModelParts MakeTinyModelParts() {
  TinyModelParts parts;
  AddMetadata(&parts.metadata);
  parts.tensors.push_back({"token_embd.weight", DType::kF32, {kModelDim, kVocab}});
  parts.tensors.push_back({"output.weight", DType::kF32, {kModelDim, kVocab}});
  parts.tensors.push_back({"output_norm.weight", DType::kF32, {kModelDim}});
  for (int i = 0; i < kLayers; ++i) AddLayer(i, &parts.tensors);
  return parts;
}

void WriteTinyModel(const std::string& path, const std::function<void(TinyModelParts*)>& change) {
  TinyModelParts parts = MakeTinyModelParts();
  if (change) change(&parts);
  auto writer = GgufWriter::Create(path, parts.metadata, parts.tensors);
  ASSERT_TRUE(writer.ok()) << writer.status().message();
  SplitMix64 random(7);
  for (const auto& tensor : parts.tensors) {
    std::int64_t n_elements = 1;
    for (const std::int64_t dim : tensor.dims) n_elements *= dim;
    std::vector<float> values(static_cast<std::size_t>(n_elements));
    for (float& value : values) value = static_cast<float>(random.NextUnit() - 0.5) * 0.3f;
    std::vector<std::byte> bytes(RowBytes(tensor.dtype, n_elements));
    if (tensor.dtype == DType::kF32) std::memcpy(bytes.data(), values.data(), bytes.size());
    const Status status = (*writer)->Write(bytes);
    ASSERT_TRUE(status.ok()) << status.message();
  }
  const Status status = (*writer)->Finish();
  ASSERT_TRUE(status.ok()) << status.message();
}

std::string TemporaryPath(const std::string& name) {
  const std::string path = fmt::format("{}larder-{}-{}", testing::TempDir(), getpid(), name);
  std::filesystem::remove_all(path);
  return path;
}

}  // namespace larder
