// What quantize and synth make: types per tensor, random weights of the right size, a vocabulary
// that holds together.
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "cli/quantize_plan.h"
#include "cli/random_blocks.h"
#include "cli/synth_shape.h"
#include "tensor/codec.h"
#include "text/tokenizer.h"

namespace larder {
namespace {

TensorInfo MakeTensor(const std::string& name, std::vector<std::int64_t> dims) {
  TensorInfo tensor;
  tensor.name = name;
  tensor.n_dims = static_cast<int>(dims.size());
  std::copy(dims.begin(), dims.end(), tensor.dims.begin());
  return tensor;
}

TEST(QuantizePlan, SmallTensorsStay) {
  for (const char* name :
       {"blk.0.attn_norm.weight", "blk.0.ffn_gate_inp.weight", "blk.0.ffn_gate_inp_shexp.weight",
        "blk.0.ssm_conv1d.weight", "blk.0.ssm_a", "blk.0.ssm_dt.bias"}) {
    EXPECT_TRUE(StaysAsItIs(MakeTensor(name, {64, 64}))) << name;
  }
  EXPECT_TRUE(StaysAsItIs(MakeTensor("output.weight", {64})));
  for (const char* name : {"output.weight", "blk.0.ssm_alpha.weight", "blk.0.ssm_out.weight",
                           "blk.0.ffn_up_exps.weight", "blk.0.ffn_up_shexp.weight"}) {
    EXPECT_FALSE(StaysAsItIs(MakeTensor(name, {64, 64}))) << name;
  }
}

TEST(QuantizePlan, RowsThatFitNoBlockFallBack) {
  EXPECT_EQ(TypeThatFits(DType::kQ4_K, 512), DType::kQ4_K);
  EXPECT_EQ(TypeThatFits(DType::kQ4_K, 96), DType::kQ8_0);
  EXPECT_EQ(TypeThatFits(DType::kQ4_K, 40), DType::kF16);
  EXPECT_EQ(TypeThatFits(DType::kQ8_0, 40), DType::kF16);
  EXPECT_EQ(TypeThatFits(DType::kBF16, 7), DType::kBF16);
}

TEST(QuantizePlan, ExpertsAndOthersApart) {
  TensorDirectory directory;
  ASSERT_TRUE(directory.AddTensor(MakeTensor("blk.0.ffn_up_exps.weight", {256, 8, 4})).ok());
  ASSERT_TRUE(directory.AddTensor(MakeTensor("blk.0.ffn_up_shexp.weight", {256, 8})).ok());
  ASSERT_TRUE(directory.AddTensor(MakeTensor("blk.0.attn_norm.weight", {256})).ok());
  const auto plans = PlanQuantization(directory, {DType::kQ4_K, DType::kQ6_K});
  ASSERT_EQ(plans.size(), 3u);
  EXPECT_EQ(plans[0].target, DType::kQ4_K);
  EXPECT_EQ(plans[1].target, DType::kQ6_K);
  EXPECT_TRUE(plans[2].copies());
}

TEST(RandomBlocks, EveryTypeHasTheDeviationThatWasAsked) {
  for (const DType dtype : AllDTypes()) {
    if (!HasEncoder(dtype)) continue;
    const DTypeInfo& info = GetDTypeInfo(dtype);
    const RandomBlocks blocks(dtype, 0.02f, 7);
    const std::int64_t n = 64 * 256;
    std::vector<std::byte> bytes(RowBytes(dtype, n));
    SplitMix64 random(3);
    blocks.Fill(&random, bytes);
    std::vector<float> values(static_cast<std::size_t>(n));
    DecodeRow(dtype, bytes.data(), values.data(), n);
    ASSERT_TRUE(AllFinite(values.data(), n)) << info.name;
    double sum = 0;
    double squares = 0;
    for (const float value : values) {
      sum += value;
      squares += double(value) * value;
    }
    const double mean = sum / double(n);
    EXPECT_NEAR(std::sqrt(squares / double(n)), 0.02, 0.001) << info.name;
    EXPECT_NEAR(mean, 0, 0.001) << info.name;

    std::vector<std::byte> again(bytes.size());
    SplitMix64 same(3);
    RandomBlocks(dtype, 0.02f, 7).Fill(&same, again);
    EXPECT_EQ(bytes, again) << info.name;
  }
}

TEST(SynthShape, ParametersAreThoseOfTheName) {
  const struct {
    const char* name;
    double billions;
  } shapes[] = {{"qwen3.5-35b-a3b", 35}, {"qwen3.5-122b-a10b", 122}, {"qwen3.5-397b-a17b", 397}};
  for (const auto& [name, billions] : shapes) {
    const SynthShape shape = FindSynthShape(name).value();
    double n_parameters = 0;
    std::set<std::string> names;
    for (const SynthTensor& tensor : SynthTensors(shape, DType::kQ4_K, DType::kQ8_0)) {
      double n = 1;
      for (const std::int64_t dim : tensor.declaration.dims) n *= double(dim);
      n_parameters += n;
      EXPECT_TRUE(names.insert(tensor.declaration.name).second) << tensor.declaration.name;
    }
    EXPECT_NEAR(n_parameters / 1e9, billions, 0.02 * billions) << name;
  }
  EXPECT_FALSE(FindSynthShape("qwen3.5-1t").ok());
}

TEST(SynthVocabulary, EncodesAnyTextAndItsControlTokens) {
  Metadata metadata;
  AddSynthVocabulary(40000, &metadata);
  const auto made = Tokenizer::FromMetadata(metadata);
  ASSERT_TRUE(made.ok()) << made.status().message();
  const Tokenizer& tokenizer = **made;
  EXPECT_EQ(tokenizer.n_vocab(), 40000);
  const std::string text = "Hello there, 123 \xc3\xa4\xf0\x9f\x8d\x8e\xff and\n\tmore";
  const auto ids = tokenizer.Encode(text).value();
  EXPECT_LT(ids.size(), text.size());
  EXPECT_EQ(tokenizer.Decode(ids, true), text);
  const auto special =
      tokenizer.Encode("<|im_end|>", {.add_special = false, .parse_special = true}).value();
  ASSERT_EQ(special.size(), 1u);
  EXPECT_TRUE(tokenizer.IsEndOfGeneration(special[0]));
  EXPECT_EQ(tokenizer.eos(), special[0]);
}

}  // namespace
}  // namespace larder
