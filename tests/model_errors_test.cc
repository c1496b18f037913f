// What a user reads when a model file is not what it should be, or does not fit: one sentence each,
// naming the thing.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "base/size.h"
#include "engine/session.h"
#include "helpers/tiny_model.h"

namespace larder {
namespace {

using testing::HasSubstr;

class ModelErrors : public testing::Test {
 protected:
  ~ModelErrors() override { std::remove(path_.c_str()); }

  Status LoadChanged(const std::function<void(TinyModelParts*)>& change) {
    WriteTinyModel(path_, change);
    const auto engine = Engine::Load({.model_path = path_, .memory_budget_bytes = 1u << 30});
    return engine.ok() ? Status::Ok() : engine.status();
  }

  static auto Find(TinyModelParts* parts, const std::string& name) {
    return std::find_if(parts->tensors.begin(), parts->tensors.end(),
                        [&](const auto& tensor) { return tensor.name == name; });
  }

  std::string path_ = TemporaryPath("model.gguf");
};

TEST_F(ModelErrors, SoundModelLoads) {
  const Status status = LoadChanged(nullptr);
  EXPECT_TRUE(status.ok()) << status.message();
}

TEST_F(ModelErrors, MissingTensorIsNamed) {
  for (const char* name : {"blk.2.ffn_up_exps.weight", "blk.3.attn_k_norm.weight",
                           "output_norm.weight", "token_embd.weight", "blk.0.ssm_a"}) {
    const Status status =
        LoadChanged([name](TinyModelParts* parts) { parts->tensors.erase(Find(parts, name)); });
    EXPECT_EQ(status.code(), StatusCode::kDataError) << name;
    EXPECT_THAT(status.message(), HasSubstr(name));
  }
}

TEST_F(ModelErrors, WrongShapeNamesBothShapes) {
  const Status status = LoadChanged([](TinyModelParts* parts) {
    Find(parts, "blk.1.ffn_down_exps.weight")->dims = {32, 64, 7};
  });
  EXPECT_EQ(status.code(), StatusCode::kDataError);
  EXPECT_THAT(status.message(), HasSubstr("blk.1.ffn_down_exps.weight"));
  EXPECT_THAT(status.message(), HasSubstr("[32, 64, 7]"));
  EXPECT_THAT(status.message(), HasSubstr("[32, 64, 8]"));
}

TEST_F(ModelErrors, UnknownArchitectureIsNamed) {
  const Status status = LoadChanged(
      [](TinyModelParts* parts) { parts->metadata.SetString("general.architecture", "llama"); });
  EXPECT_EQ(status.code(), StatusCode::kUnsupported);
  EXPECT_THAT(status.message(), HasSubstr("llama"));
}

TEST_F(ModelErrors, ContradictingMetadata) {
  const std::vector<std::pair<const char*, std::uint32_t>> cases = {
      {"block_count", 0},           {"block_count", 2000000000},
      {"expert_used_count", 9},     {"attention.head_count_kv", 0},
      {"ssm.group_count", 3},       {"rope.dimension_count", 7},
      {"rope.dimension_count", 64}, {"ssm.conv_kernel", 0},
      {"nextn_predict_layers", 4},  {"ssm.inner_size", 1}};
  for (const auto& [key, value] : cases) {
    const Status status = LoadChanged([&, key = key, value = value](TinyModelParts* parts) {
      parts->metadata.SetUint32(std::string("qwen35moe.") + key, value);
    });
    EXPECT_EQ(status.code(), StatusCode::kDataError) << key << ": " << status.message();
  }
}

TEST_F(ModelErrors, MissingKeyIsNamed) {
  const Status status = LoadChanged(
      [](TinyModelParts* parts) { parts->metadata.Erase("qwen35moe.expert_used_count"); });
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(status.message(), HasSubstr("qwen35moe.expert_used_count"));
}

TEST_F(ModelErrors, TooSmallABudgetNamesOneThatWorks) {
  WriteTinyModel(path_);
  EngineOptions options = {.model_path = path_,
                           .memory_budget_bytes = 1u << 20,
                           .process_bytes = std::uint64_t{16} << 20};
  const auto refused = Engine::Load(options);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.status().code(), StatusCode::kOutOfMemory);
  const std::string& sentence = refused.status().message();
  const std::size_t flag = sentence.find("--memory ");
  ASSERT_NE(flag, std::string::npos) << sentence;
  const auto named = ParseSize(sentence.substr(flag + 9));
  ASSERT_TRUE(named.ok()) << sentence;
  options.memory_budget_bytes = *named;
  const auto engine = Engine::Load(options);
  EXPECT_TRUE(engine.ok()) << engine.status().message();
}

TEST_F(ModelErrors, SessionsRefuseBadTokensAndFullContexts) {
  WriteTinyModel(path_);
  const auto engine =
      Engine::Load({.model_path = path_, .memory_budget_bytes = 1u << 30, .context_tokens = 8});
  ASSERT_TRUE(engine.ok()) << engine.status().message();
  const auto session = (*engine)->NewSession();
  ASSERT_TRUE(session.ok());
  const auto append = [&](std::vector<std::int32_t> tokens) {
    return (*session)->Append(tokens, LogitsFor::kNone, nullptr);
  };
  EXPECT_THAT(append({1, 96}).message(), HasSubstr("96"));
  EXPECT_THAT(append({-1}).message(), HasSubstr("-1"));
  EXPECT_EQ((*session)->n_tokens(), 0);
  EXPECT_TRUE(append({1, 2, 3, 4, 5}).ok());
  EXPECT_THAT(append({1, 2, 3, 4}).message(), HasSubstr("context is full"));
  EXPECT_EQ((*session)->n_tokens(), 5);
  EXPECT_TRUE(append({1, 2, 3}).ok());
  (*session)->Clear();
  EXPECT_TRUE(append({1, 2, 3, 4, 5, 6, 7, 8}).ok());
}

TEST_F(ModelErrors, CancelStopsAndClearRecovers) {
  WriteTinyModel(path_);
  const auto engine = Engine::Load({.model_path = path_, .memory_budget_bytes = 1u << 30});
  ASSERT_TRUE(engine.ok()) << engine.status().message();
  const auto session = (*engine)->NewSession();
  ASSERT_TRUE(session.ok());
  const std::vector<std::int32_t> tokens = {1, 2, 3};
  (*session)->Cancel();
  EXPECT_EQ((*session)->Append(tokens, LogitsFor::kNone, nullptr).code(), StatusCode::kCancelled);
  EXPECT_FALSE((*session)->Append(tokens, LogitsFor::kNone, nullptr).ok());
  (*session)->Clear();
  EXPECT_TRUE((*session)->Append(tokens, LogitsFor::kNone, nullptr).ok());
}

}  // namespace
}  // namespace larder
