// Keys to fields.
#include "cli/hf_config.h"

#include <nlohmann/json.hpp>

namespace larder {

namespace {

constexpr std::int64_t kMostLayers = 512;
constexpr std::int64_t kMostExperts = 4096;
constexpr std::int64_t kWidest = std::int64_t{1} << 20;
constexpr std::int64_t kLargestVocabulary = std::int64_t{1} << 21;

// Reads whole numbers; keeps the first complaint.
class Fields {
 public:
  explicit Fields(const nlohmann::json& json) : json_(json) {}

  void Get(const char* key, std::int64_t most, std::int64_t* out) { Take(key, most, out, true); }
  void GetIfThere(const char* key, std::int64_t most, std::int64_t* out) {
    Take(key, most, out, false);
  }
  const Status& status() const { return status_; }

 private:
  void Take(const char* key, std::int64_t most, std::int64_t* out, bool is_required) {
    if (!status_.ok()) return;
    const auto found = json_.find(key);
    if (found == json_.end() || found->is_null()) {
      if (is_required) status_ = InvalidArgument("the configuration has no \"{}\"", key);
      return;
    }
    const bool is_whole = found->is_number_integer();
    const std::int64_t value = is_whole ? found->get<std::int64_t>() : 0;
    if (value >= 1 && value <= most) {
      *out = value;
    } else {
      status_ =
          InvalidArgument("\"{}\" of the configuration is no whole number from 1 to {}", key, most);
    }
  }

  const nlohmann::json& json_;
  Status status_;
};

Status CheckShape(const SynthShape& shape, std::int64_t value_dim, std::int64_t interval) {
  if (shape.n_used > shape.n_experts) {
    return InvalidArgument("the configuration uses {} of {} experts", shape.n_used,
                           shape.n_experts);
  }
  if (value_dim != shape.d_state) {
    return Unsupported("linear attention with keys of {} and values of {} is not supported",
                       shape.d_state, value_dim);
  }
  if (interval != 4) {
    return Unsupported("a full_attention_interval of {} is not supported, only 4", interval);
  }
  if (shape.n_heads % shape.n_kv_heads != 0 || shape.n_value_heads % shape.n_key_heads != 0) {
    return InvalidArgument("the numbers of heads of the configuration are no multiples");
  }
  return Status::Ok();
}

}  // namespace

Result<SynthShape> ParseHfConfig(const std::string& text) {
  const nlohmann::json whole = nlohmann::json::parse(text, nullptr, false);
  if (!whole.is_object()) return InvalidArgument("the configuration is not a JSON object");
  const bool is_nested = whole.contains("text_config") && whole["text_config"].is_object();
  const nlohmann::json& json = is_nested ? whole["text_config"] : whole;
  const auto type = json.find("model_type");
  const std::string kind = type != json.end() && type->is_string() ? type->get<std::string>() : "";
  if (kind.rfind("qwen3_5_moe", 0) != 0) {
    return Unsupported(
        "configurations of \"model_type\": \"{}\" are not supported yet; "
        "qwen3_5_moe is",
        kind.substr(0, 64));
  }
  SynthShape shape;
  shape.name = kind;
  std::int64_t value_dim = 128;
  std::int64_t interval = 4;
  Fields fields(json);
  fields.Get("num_hidden_layers", kMostLayers, &shape.n_layers);
  fields.Get("hidden_size", kWidest, &shape.d_model);
  fields.Get("num_experts", kMostExperts, &shape.n_experts);
  fields.Get("num_experts_per_tok", kMostExperts, &shape.n_used);
  fields.Get("moe_intermediate_size", kWidest, &shape.d_expert);
  fields.GetIfThere("shared_expert_intermediate_size", kWidest, &shape.d_shared);
  fields.Get("num_attention_heads", kWidest, &shape.n_heads);
  fields.Get("num_key_value_heads", kWidest, &shape.n_kv_heads);
  fields.Get("head_dim", kWidest, &shape.head_dim);
  fields.Get("linear_num_key_heads", kWidest, &shape.n_key_heads);
  fields.Get("linear_num_value_heads", kWidest, &shape.n_value_heads);
  fields.Get("linear_key_head_dim", kWidest, &shape.d_state);
  fields.GetIfThere("linear_value_head_dim", kWidest, &value_dim);
  fields.GetIfThere("linear_conv_kernel_dim", 64, &shape.conv_width);
  fields.GetIfThere("full_attention_interval", kMostLayers, &interval);
  fields.Get("vocab_size", kLargestVocabulary, &shape.n_vocab);
  fields.GetIfThere("max_position_embeddings", std::int64_t{1} << 31, &shape.context_length);
  LARDER_RETURN_IF_ERROR(fields.status());
  const auto tied = json.find("tie_word_embeddings");
  shape.tied_output = tied != json.end() && tied->is_boolean() && tied->get<bool>();
  LARDER_RETURN_IF_ERROR(CheckShape(shape, value_dim, interval));
  return shape;
}

}  // namespace larder
