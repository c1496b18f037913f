// Qwen3.5-MoE: configuration, binding and the forward pass.
#include "models/qwen35moe.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/clock.h"

namespace larder {

namespace {

// Reads positive integers of the metadata, remembering the first failure.
class KeyReader {
 public:
  explicit KeyReader(const Metadata& metadata) : metadata_(metadata) {}

  /// A number from 1 to `most`.
  std::int64_t Int(const std::string& key, std::int64_t most) { return Get(key, 1, most); }
  /// A number from 0 to `most`.
  std::int64_t IntOr(const std::string& key, std::int64_t fallback, std::int64_t most) {
    return metadata_.Has(Name(key)) ? Get(key, 0, most) : fallback;
  }
  float FloatOr(const std::string& key, float fallback) {
    const Result<double> value = metadata_.GetFloatOr(Name(key), fallback);
    if (value.ok() && *value > 0 && *value < 1e30) return static_cast<float>(*value);
    Fail(value.ok() ? DataError("metadata key '{}' is out of range", Name(key)) : value.status());
    return fallback;
  }
  static std::string Name(const std::string& key) {
    return std::string(Qwen35Moe::kArchitecture) + "." + key;
  }
  void Fail(Status status) {
    if (status_.ok()) status_ = std::move(status);
  }
  const Status& status() const { return status_; }

 private:
  std::int64_t Get(const std::string& key, std::uint64_t least, std::int64_t most) {
    const Result<std::uint64_t> value = metadata_.GetUint(Name(key));
    if (value.ok() && *value >= least && *value <= static_cast<std::uint64_t>(most)) {
      return static_cast<std::int64_t>(*value);
    }
    Fail(value.ok() ? DataError("metadata key '{}' is {}, which is out of range", Name(key), *value)
                    : value.status());
    return 1;
  }

  const Metadata& metadata_;
  Status status_;
};

constexpr std::int64_t kMaxDim = std::int64_t{1} << 22;
constexpr std::int64_t kMaxLayers = 4096;

// Full attention every interval-th layer, unless the file lists the recurrent layers.
Status ParseLayerKinds(const Metadata& metadata, KeyReader* keys, Qwen35MoeConfig* config) {
  const std::int64_t interval = keys->IntOr("full_attention_interval", 4, kMaxLayers);
  config->is_linear.resize(static_cast<std::size_t>(config->n_layers));
  for (std::size_t i = 0; i < config->is_linear.size(); ++i) {
    config->is_linear[i] = interval == 0 || (static_cast<std::int64_t>(i) + 1) % interval != 0;
  }
  const std::string key = KeyReader::Name("attention.recurrent_layers");
  const MetadataValue* listed = metadata.Find(key);
  if (listed == nullptr) return Status::Ok();
  const auto* flags = std::get_if<std::vector<bool>>(&listed->array);
  if (flags == nullptr || flags->size() < config->is_linear.size()) {
    return DataError("metadata key '{}' is not one boolean per layer", key);
  }
  std::copy_n(flags->begin(), config->is_linear.size(), config->is_linear.begin());
  return Status::Ok();
}

Status CheckConfig(const Qwen35MoeConfig& config) {
  const auto bad = [](const char* what) {
    return DataError("the model's metadata contradicts itself: {}", what);
  };
  if (config.n_layers < 1) return bad("no layer is left without the prediction blocks");
  if (config.n_heads % config.n_kv_heads != 0)
    return bad("query heads are no multiple of KV heads");
  if (config.n_value_heads % config.n_key_heads != 0) {
    return bad("value heads are no multiple of key heads");
  }
  if (config.rope.n_dims % 2 != 0 || config.rope.n_dims > config.head_dim) {
    return bad("the rope dimension is odd or larger than a head");
  }
  if (config.d_value * config.n_value_heads < 1) return bad("value heads are empty");
  return Status::Ok();
}

}  // namespace

Result<Qwen35MoeConfig> Qwen35MoeConfig::Parse(const GgufModel& file,
                                               const ModelOverrides& overrides) {
  KeyReader keys(file.metadata);
  Qwen35MoeConfig config;
  const std::int64_t block_count = keys.Int("block_count", kMaxLayers);
  config.n_layers =
      static_cast<int>(block_count - keys.IntOr("nextn_predict_layers", 0, kMaxLayers));
  config.d_model = keys.Int("embedding_length", kMaxDim);
  config.context_length = keys.Int("context_length", std::int64_t{1} << 31);
  config.rms_eps = keys.FloatOr("attention.layer_norm_rms_epsilon", 1e-6f);
  config.n_heads = keys.Int("attention.head_count", 4096);
  config.n_kv_heads = keys.Int("attention.head_count_kv", 4096);
  config.head_dim = keys.Int("attention.key_length", 4096);
  config.rope.n_dims = keys.IntOr("rope.dimension_count", config.head_dim / 4, 4096);
  config.rope.base = keys.FloatOr("rope.freq_base", 1e7f);
  config.conv_width = keys.Int("ssm.conv_kernel", 16);
  config.n_key_heads = keys.Int("ssm.group_count", 4096);
  config.n_value_heads = keys.Int("ssm.time_step_rank", 4096);
  config.d_key = keys.Int("ssm.state_size", 4096);
  config.d_value = keys.Int("ssm.inner_size", kMaxDim) / config.n_value_heads;
  config.n_experts = static_cast<int>(keys.Int("expert_count", 65536));
  config.n_used = static_cast<int>(keys.Int("expert_used_count", config.n_experts));
  config.d_expert = keys.Int("expert_feed_forward_length", kMaxDim);
  config.d_shared = keys.Int("expert_shared_feed_forward_length", kMaxDim);
  LARDER_RETURN_IF_ERROR(keys.status());
  if (overrides.n_used > 0) {
    if (overrides.n_used > config.n_experts) {
      return InvalidArgument("--experts {} is more than the model's {}", overrides.n_used,
                             config.n_experts);
    }
    config.n_used = overrides.n_used;
  }
  LARDER_RETURN_IF_ERROR(CheckConfig(config));
  LARDER_RETURN_IF_ERROR(ParseLayerKinds(file.metadata, &keys, &config));
  LARDER_RETURN_IF_ERROR(keys.status());
  const TensorInfo* embedding = file.tensors.Find("token_embd.weight");
  if (embedding == nullptr) return DataError("the file has no tensor 'token_embd.weight'");
  config.n_vocab = embedding->dims[1];
  if (config.n_vocab > std::numeric_limits<std::int32_t>::max()) {
    return DataError("the vocabulary of {} entries is too large", config.n_vocab);
  }
  return config;
}

Result<std::unique_ptr<Model>> Qwen35Moe::Create(const GgufModel& file,
                                                 const ModelOverrides& overrides) {
  auto model = std::make_unique<Qwen35Moe>();
  LARDER_ASSIGN_OR_RETURN(model->config_, Qwen35MoeConfig::Parse(file, overrides));
  const Qwen35MoeConfig& config = model->config_;
  model->shape_ = {.architecture = kArchitecture,
                   .n_layers = config.n_layers,
                   .n_experts = config.n_experts,
                   .n_used = config.n_used,
                   .d_model = config.d_model,
                   .d_expert = config.d_expert,
                   .n_vocab = config.n_vocab,
                   .context_length = config.context_length};
  LARDER_RETURN_IF_ERROR(model->BindTensors(file));
  return std::unique_ptr<Model>(std::move(model));
}

// ---- Tensors ------------------------------------------------------------------------------------

namespace {

std::string LayerName(int index, const char* part) { return fmt::format("blk.{}.{}", index, part); }

}  // namespace

Status Qwen35Moe::BindTensors(const GgufModel& file) {
  layout_.bank.directory = &file.tensors;
  layout_.bank.n_experts = config_.n_experts;
  layout_.bank.n_used = config_.n_used;
  TensorBinder binder(&file.tensors, &layout_);
  const bool tied = !binder.Has("output.weight");
  binder.Embedding("token_embd.weight", {config_.d_model, config_.n_vocab}, tied);
  if (!tied) binder.Matrix("output.weight", {config_.d_model, config_.n_vocab});
  binder.Vector("output_norm.weight", {config_.d_model});
  for (int i = 0; i < config_.n_layers; ++i) BindLayerTensors(i, &binder);
  return binder.Finish();
}

void Qwen35Moe::BindLayerTensors(int index, TensorBinder* binder) {
  const Qwen35MoeConfig& c = config_;
  const auto name = [index](const char* part) { return LayerName(index, part); };
  binder->Vector(name("attn_norm.weight"), {c.d_model});
  binder->Vector(name("post_attention_norm.weight"), {c.d_model});
  if (c.is_linear[static_cast<std::size_t>(index)]) {
    binder->Matrix(name("attn_qkv.weight"), {c.d_model, c.conv_channels()});
    binder->Matrix(name("attn_gate.weight"), {c.d_model, c.value_dim()});
    binder->Vector(name("ssm_conv1d.weight"), {c.conv_width, c.conv_channels()});
    binder->Vector(name("ssm_dt.bias"), {c.n_value_heads});
    binder->Vector(name("ssm_a"), {c.n_value_heads});
    binder->Matrix(name("ssm_alpha.weight"), {c.d_model, c.n_value_heads});
    binder->Matrix(name("ssm_beta.weight"), {c.d_model, c.n_value_heads});
    binder->Vector(name("ssm_norm.weight"), {c.d_value});
    binder->Matrix(name("ssm_out.weight"), {c.value_dim(), c.d_model});
  } else {
    binder->Matrix(name("attn_q.weight"), {c.d_model, 2 * c.n_heads * c.head_dim});
    binder->Matrix(name("attn_k.weight"), {c.d_model, c.n_kv_heads * c.head_dim});
    binder->Matrix(name("attn_v.weight"), {c.d_model, c.n_kv_heads * c.head_dim});
    binder->Matrix(name("attn_output.weight"), {c.n_heads * c.head_dim, c.d_model});
    binder->Vector(name("attn_q_norm.weight"), {c.head_dim});
    binder->Vector(name("attn_k_norm.weight"), {c.head_dim});
  }
  binder->Matrix(name("ffn_gate_inp.weight"), {c.d_model, c.n_experts});
  binder->Matrix(name("ffn_gate_inp_shexp.weight"), {c.d_model});
  binder->Matrix(name("ffn_gate_shexp.weight"), {c.d_model, c.d_shared});
  binder->Matrix(name("ffn_up_shexp.weight"), {c.d_model, c.d_shared});
  binder->Matrix(name("ffn_down_shexp.weight"), {c.d_shared, c.d_model});
  ExpertLayerLayout experts;
  experts.fused_gate_up = binder->Has(name("ffn_gate_up_exps.weight"));
  if (experts.fused_gate_up) {
    binder->ExpertSlab(name("ffn_gate_up_exps.weight"), {c.d_model, 2 * c.d_expert, c.n_experts},
                       &experts);
  } else {
    binder->ExpertSlab(name("ffn_gate_exps.weight"), {c.d_model, c.d_expert, c.n_experts},
                       &experts);
    binder->ExpertSlab(name("ffn_up_exps.weight"), {c.d_model, c.d_expert, c.n_experts}, &experts);
  }
  binder->ExpertSlab(name("ffn_down_exps.weight"), {c.d_expert, c.d_model, c.n_experts}, &experts);
  layout_.bank.layers.push_back(std::move(experts));
}

Status Qwen35Moe::Bind(const DenseWeights& weights, std::int64_t max_batch) {
  const auto vector = [&weights](const std::string& name) {
    return reinterpret_cast<const float*>(weights.Get(name).data);
  };
  output_norm_ = vector("output_norm.weight");
  output_ = weights.Get(layout_.tied_output ? "token_embd.weight" : "output.weight");
  layers_.resize(static_cast<std::size_t>(config_.n_layers));
  for (int i = 0; i < config_.n_layers; ++i) {
    Layer& layer = layers_[static_cast<std::size_t>(i)];
    const auto matrix = [&](const char* part) { return weights.Get(LayerName(i, part)); };
    const auto floats = [&](const char* part) { return vector(LayerName(i, part)); };
    layer.mixer_norm = floats("attn_norm.weight");
    layer.moe_norm = floats("post_attention_norm.weight");
    if (config_.is_linear[static_cast<std::size_t>(i)]) {
      layer.linear = {.qkv = matrix("attn_qkv.weight"),
                      .z = matrix("attn_gate.weight"),
                      .a = matrix("ssm_alpha.weight"),
                      .b = matrix("ssm_beta.weight"),
                      .output = matrix("ssm_out.weight"),
                      .conv = floats("ssm_conv1d.weight"),
                      .neg_exp_a = floats("ssm_a"),
                      .dt_bias = floats("ssm_dt.bias"),
                      .norm = floats("ssm_norm.weight")};
    } else {
      layer.full = {.q = matrix("attn_q.weight"),
                    .k = matrix("attn_k.weight"),
                    .v = matrix("attn_v.weight"),
                    .output = matrix("attn_output.weight"),
                    .q_norm = floats("attn_q_norm.weight"),
                    .k_norm = floats("attn_k_norm.weight")};
    }
    layer.moe = {.router = matrix("ffn_gate_inp.weight"),
                 .shared_gate = matrix("ffn_gate_shexp.weight"),
                 .shared_up = matrix("ffn_up_shexp.weight"),
                 .shared_down = matrix("ffn_down_shexp.weight"),
                 .shared_switch = matrix("ffn_gate_inp_shexp.weight")};
  }
  LARDER_ASSIGN_OR_RETURN(scratch_memory_, PageBuffer::Allocate(ScratchBytes(max_batch), false));
  CutScratch(scratch_memory_.data(), max_batch, &scratch_);
  return Status::Ok();
}

// ---- Memory -------------------------------------------------------------------------------------

StateShape Qwen35Moe::state_shape() const {
  StateShape shape;
  for (const bool linear : config_.is_linear) {
    LayerStateShape layer;
    if (linear) {
      layer.n_recurrent = config_.n_value_heads * config_.d_key * config_.d_value;
      layer.n_convolution = config_.conv_channels() * (config_.conv_width - 1);
    } else {
      layer.n_kv_heads = config_.n_kv_heads;
      layer.head_dim = config_.head_dim;
    }
    shape.layers.push_back(layer);
  }
  return shape;
}

OpsLimits Qwen35Moe::ops_limits(std::int64_t max_batch, std::int64_t max_positions) const {
  const std::int64_t widest = std::max(
      {config_.d_model, config_.n_heads * config_.head_dim, config_.value_dim(), config_.d_shared});
  return {.max_tokens = max_batch,
          .max_input_dim = widest,
          .expert_model_dim = config_.d_model,
          .expert_ff_dim = config_.d_expert,
          .max_experts = config_.n_experts,
          .n_used = config_.n_used,
          .n_heads = config_.n_heads,
          .head_dim = config_.head_dim,
          .max_positions = max_positions};
}

std::uint64_t Qwen35Moe::CutScratch(std::byte* base, std::int64_t max_batch,
                                    Scratch* scratch) const {
  const Qwen35MoeConfig& c = config_;
  ScratchCutter cutter(base);
  scratch->x = cutter.Floats(max_batch, c.d_model);
  scratch->normed = cutter.Floats(max_batch, c.d_model);
  // Mixers and experts take turns, so they share memory.
  const std::uint64_t shared = cutter.used_bytes();
  scratch->mixed = cutter.Floats(max_batch, c.d_model);
  scratch->heads_out = cutter.Floats(max_batch, std::max(c.value_dim(), c.n_heads * c.head_dim));
  const std::uint64_t mixer = cutter.used_bytes();
  scratch->q_and_gate = cutter.Floats(max_batch, 2 * c.n_heads * c.head_dim);
  scratch->k = cutter.Floats(max_batch, c.n_kv_heads * c.head_dim);
  scratch->v = cutter.Floats(max_batch, c.n_kv_heads * c.head_dim);
  std::uint64_t end = cutter.used_bytes();
  cutter.Rewind(mixer);
  scratch->qkv = cutter.Floats(max_batch, c.conv_channels());
  scratch->conv = cutter.Floats(max_batch, c.conv_channels());
  scratch->z = cutter.Floats(max_batch, c.value_dim());
  scratch->a = cutter.Floats(max_batch, c.n_value_heads);
  scratch->b = cutter.Floats(max_batch, c.n_value_heads);
  end = std::max(end, cutter.used_bytes());
  cutter.Rewind(shared);
  scratch->embedding_rows =
      cutter.Bytes(static_cast<std::uint64_t>(max_batch) *
                   RowBytes(layout_.embedding->dtype, layout_.embedding->dims[0]));
  end = std::max(end, cutter.used_bytes());
  cutter.Rewind(shared);
  CutMoeScratch({c.n_experts, c.n_used, c.d_model, c.d_shared}, max_batch, &cutter, &scratch->moe);
  return std::max(end, cutter.used_bytes());
}

std::uint64_t Qwen35Moe::ScratchBytes(std::int64_t max_batch) const {
  Scratch unused;
  return CutScratch(nullptr, max_batch, &unused);
}

// ---- Forward ------------------------------------------------------------------------------------

Result<ConstMatrix> Qwen35Moe::Forward(const ForwardContext& context, std::span<BatchPart> parts) {
  Ops& ops = *context.ops;
  PhaseTimes& times = *context.times;
  BatchRows rows(parts);
  Matrix x = scratch_.x.Rows(0, rows.n_rows());
  Matrix normed;
  const MoeShape moe_shape = {config_.n_experts, config_.n_used, config_.d_model, config_.d_shared};

  LARDER_RETURN_IF_ERROR(context.experts->Drain());  // the embedding's reads have the disk alone
  LARDER_RETURN_IF_ERROR(Embed(context, rows.tokens(), x));
  const auto guessed_layer = [&](int i) {
    const Layer& layer = layers_[static_cast<std::size_t>(i)];
    return GuessedLayer{i, layer.moe_norm, config_.rms_eps, layer.moe.router};
  };
  GuessExperts(context, moe_shape, guessed_layer(0), rows, ConstMatrix(x), scratch_.moe);
  for (int i = 0; i < config_.n_layers; ++i) {
    if (!rows.DropCancelled(x)) return Cancelled("stopped");
    x = scratch_.x.Rows(0, rows.n_rows());
    normed = scratch_.normed.Rows(0, rows.n_rows());
    const Matrix mixed = scratch_.mixed.Rows(0, rows.n_rows());
    const Layer& layer = layers_[static_cast<std::size_t>(i)];
    const bool linear = config_.is_linear[static_cast<std::size_t>(i)];
    const std::int64_t start_us = NowUs();
    ops.RmsNorm(x, layer.mixer_norm, config_.rms_eps, normed);
    if (linear) {
      MixLinearAttention(ops, layer.linear, i, normed, rows, mixed);
    } else {
      MixFullAttention(ops, layer.full, i, normed, rows, mixed);
    }
    ops.Add(x, mixed);
    ops.RmsNorm(x, layer.moe_norm, config_.rms_eps, normed);
    (linear ? times.linear_attention_us : times.attention_us) += NowUs() - start_us;
    const bool has_next = i + 1 < config_.n_layers;
    const GuessedLayer next = guessed_layer(has_next ? i + 1 : i);
    LARDER_RETURN_IF_ERROR(RunMoe(context, moe_shape, layer.moe, i, has_next ? &next : nullptr,
                                  rows, normed, scratch_.moe, x));
    if (context.on_layer != nullptr) (*context.on_layer)(i + 1);
  }
  rows.Advance();
  ops.RmsNorm(x, output_norm_, config_.rms_eps, normed);
  return ConstMatrix(normed);
}

Status Qwen35Moe::Embed(const ForwardContext& context, std::span<const std::int32_t> tokens,
                        Matrix x) {
  const std::int64_t start_us = NowUs();
  LARDER_RETURN_IF_ERROR(context.embedding->Fetch(tokens, scratch_.embedding_rows));
  const WeightView rows = {scratch_.embedding_rows, layout_.embedding->dtype, x.n_rows, x.n_cols};
  context.ops->DecodeRows(rows, x);
  context.times->embedding_us += NowUs() - start_us;
  return Status::Ok();
}

namespace {

Heads RowsOf(const Heads& heads, const RowRange& range) {
  return {heads.at(range.first_row, 0), range.n_rows,     heads.n_heads, heads.head_dim,
          heads.token_stride,           heads.head_stride};
}

// Some of a range's rows.
RowRange Cut(const RowRange& range, std::int64_t first, std::int64_t n_rows) {
  return {range.part, range.first_row + first, n_rows, range.first_position + first};
}

}  // namespace

// softmax(q k^T / sqrt(d)) v, times sigmoid(gate), through the output matrix.
void Qwen35Moe::MixFullAttention(Ops& ops, const FullAttention& weights, int layer, ConstMatrix x,
                                 const BatchRows& rows, Matrix mixed) {
  const Qwen35MoeConfig& c = config_;
  const std::int64_t n = x.n_rows;
  const std::int64_t d = c.head_dim;
  const std::int64_t q_dim = 2 * c.n_heads * d;  // per head [query, gate]
  const Matrix q_and_gate = scratch_.q_and_gate.Rows(0, n);
  const Product inputs[] = {{weights.q, q_and_gate},
                            {weights.k, scratch_.k.Rows(0, n)},
                            {weights.v, scratch_.v.Rows(0, n)}};
  ops.MatMul(x, inputs);
  const Matrix out = {scratch_.heads_out.data, n, c.n_heads * d};
  const Heads out_heads = {out.data, n, c.n_heads, d, c.n_heads * d, d};
  for (const RowRange& range : rows.ranges()) AttendRange(ops, weights, layer, range, out_heads);
  const ConstHeads gates = {q_and_gate.data + d, n, c.n_heads, d, q_dim, 2 * d};
  ops.SigmoidGate(out_heads, gates);
  const Product output[] = {{weights.output, mixed}};
  ops.MatMul(out, output);
}

// One timeline's rows, over its own cache.
void Qwen35Moe::AttendRange(Ops& ops, const FullAttention& weights, int layer,
                            const RowRange& range, Heads out) {
  const Qwen35MoeConfig& c = config_;
  const std::int64_t n = out.n_tokens;
  const std::int64_t d = c.head_dim;
  const std::int64_t kv_dim = c.n_kv_heads * d;
  const std::int64_t q_dim = 2 * c.n_heads * d;
  const Heads queries = RowsOf({scratch_.q_and_gate.data, n, c.n_heads, d, q_dim, 2 * d}, range);
  const Heads keys = RowsOf({scratch_.k.data, n, c.n_kv_heads, d, kv_dim, d}, range);
  const ConstHeads values = RowsOf({scratch_.v.data, n, c.n_kv_heads, d, kv_dim, d}, range);
  const std::int64_t position = range.first_position;
  ops.NormRope(queries, weights.q_norm, c.rms_eps, c.rope, position);
  ops.NormRope(keys, weights.k_norm, c.rms_eps, c.rope, position);

  const SessionState& state = *range.part->state;
  const KvView cache = {state.keys(layer), state.values(layer), state.kv_dtype(),
                        c.n_kv_heads,      state.capacity(),    d};
  ops.AppendKv(keys, values, position, cache);
  const float scale = 1.0f / std::sqrt(static_cast<float>(d));
  ops.Attention(queries, cache, position, scale, RowsOf(out, range));
}

// Convolution, gated delta rule per value head, gated norm, output matrix.
void Qwen35Moe::MixLinearAttention(Ops& ops, const LinearAttention& weights, int layer,
                                   ConstMatrix x, const BatchRows& rows, Matrix mixed) {
  const Qwen35MoeConfig& c = config_;
  const std::int64_t n = x.n_rows;
  const Matrix z = scratch_.z.Rows(0, n);
  const Product inputs[] = {{weights.qkv, scratch_.qkv.Rows(0, n)},
                            {weights.z, z},
                            {weights.a, scratch_.a.Rows(0, n)},
                            {weights.b, scratch_.b.Rows(0, n)}};
  ops.MatMul(x, inputs);
  const Matrix out = {scratch_.heads_out.data, n, c.value_dim()};
  for (const RowRange& range : rows.ranges()) {
    // The states run up to each mark, are copied, and run on.
    std::int64_t done = 0;
    for (const StateMark& mark : range.part->marks) {
      RunDeltaRule(ops, weights, layer, Cut(range, done, mark.n_tokens - done), out);
      range.part->state->CopyRecurrent(layer, mark.recurrent);
      done = mark.n_tokens;
    }
    if (done < range.n_rows) {
      RunDeltaRule(ops, weights, layer, Cut(range, done, range.n_rows - done), out);
    }
  }
  const Heads out_heads = {out.data, n, c.n_value_heads, c.d_value, c.value_dim(), c.d_value};
  const ConstHeads z_heads = {z.data, n, c.n_value_heads, c.d_value, c.value_dim(), c.d_value};
  ops.GatedRmsNorm(out_heads, z_heads, weights.norm, c.rms_eps);
  const Product output[] = {{weights.output, mixed}};
  ops.MatMul(out, output);
}

void Qwen35Moe::RunDeltaRule(Ops& ops, const LinearAttention& weights, int layer,
                             const RowRange& range, Matrix out) {
  const Qwen35MoeConfig& c = config_;
  const std::int64_t begin = range.first_row;
  const std::int64_t end = begin + range.n_rows;
  const std::int64_t n = range.n_rows;
  const std::int64_t channels = c.conv_channels();
  const SessionState& state = *range.part->state;
  const Matrix conv = scratch_.conv.Rows(begin, end);
  ops.CausalConvSilu(scratch_.qkv.Rows(begin, end), weights.conv, c.conv_width,
                     state.convolution(layer), conv);
  ops.GatedDeltaRule(
      {.q = {conv.data, n, c.n_key_heads, c.d_key, channels, c.d_key},
       .k = {conv.data + c.key_dim(), n, c.n_key_heads, c.d_key, channels, c.d_key},
       .v = {conv.data + 2 * c.key_dim(), n, c.n_value_heads, c.d_value, channels, c.d_value},
       .a = scratch_.a.Rows(begin, end),
       .b = scratch_.b.Rows(begin, end),
       .neg_exp_a = weights.neg_exp_a,
       .dt_bias = weights.dt_bias,
       .state = state.recurrent(layer),
       .out = {out.row(begin), n, c.n_value_heads, c.d_value, c.value_dim(), c.d_value}});
}

void Qwen35Moe::Logits(const ForwardContext& context, ConstMatrix hidden, Matrix logits) {
  const std::int64_t start_us = NowUs();
  const Product output[] = {{output_, logits}};
  context.ops->MatMul(hidden, output);
  context.times->output_us += NowUs() - start_us;
}

}  // namespace larder
