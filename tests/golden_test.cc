// Logits of every golden model against transformers' in float32 on the same decoded weights.
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <string>

#include "base/isa.h"
#include "helpers/golden.h"
#include "helpers/tiny_model.h"

namespace larder {
namespace {

class Golden : public testing::TestWithParam<GoldenModel> {};

TEST_P(Golden, LogitsMatchTransformers) {
  const GoldenModel& model = GetParam();
  const Result<std::vector<float>> logits = AllLogits({.model_path = model.path}, model.tokens);
  ASSERT_TRUE(logits.ok()) << logits.status().message();
  const double kl = MeanKl(model.reference, *logits, model.n_vocab);
  PrintFigure("mean-kl-" + model.name, kl, "<", model.kl_tolerance);
  EXPECT_LT(kl, model.kl_tolerance);
  EXPECT_GE(kl, -1e-9);

  const TopTokenCount top =
      CountTopTokens(model.reference, *logits, model.n_vocab, model.top_margin);
  const double clear_share = top.n_clear / static_cast<double>(model.tokens.size());
  PrintFigure("clear-top-tokens-" + model.name, clear_share, ">=", 0.8);
  EXPECT_GE(clear_share, 0.8);
  EXPECT_EQ(top.n_same, top.n_clear);
}

// Rounding of activations hides small mistakes in quantized files; decoded to F32 nothing does, and
// a change of 10 % in any one tensor would be ten times above this bar (tests/golden/README.md).
TEST_P(Golden, DecodedWeightsMatchTransformersClosely) {
  const GoldenModel& model = GetParam();
  const std::string decoded = TemporaryPath(model.name + "-decoded.gguf");
  const std::string command = fmt::format("{} quantize {} {} --experts F32 --dense F32 2>&1",
                                          LARDER_BINARY, model.path, decoded);
  ASSERT_EQ(std::system((command + " > " + decoded + ".log").c_str()), 0) << command;
  const Result<std::vector<float>> logits = AllLogits({.model_path = decoded}, model.tokens);
  std::remove(decoded.c_str());
  std::remove((decoded + ".log").c_str());
  ASSERT_TRUE(logits.ok()) << logits.status().message();
  const double kl = MeanKl(model.reference, *logits, model.n_vocab);
  PrintFigure("mean-kl-decoded-" + model.name, kl, "<", model.decoded_kl_tolerance);
  EXPECT_LT(kl, model.decoded_kl_tolerance);
}

INSTANTIATE_TEST_SUITE_P(Models, Golden, testing::ValuesIn(LoadGoldenModels()),
                         [](const testing::TestParamInfo<GoldenModel>& param) {
                           std::string name = param.param.name;
                           for (char& c : name) c = std::isalnum(c) != 0 ? c : '_';
                           return name;
                         });

void ExpectLogitsOf(const std::string& name, const std::string& logits_key,
                    const std::string& figure) {
  const GoldenModel model = LoadForeignModel(name, logits_key);
  const Result<std::vector<float>> logits = AllLogits({.model_path = model.path}, model.tokens);
  ASSERT_TRUE(logits.ok()) << logits.status().message();
  const double kl = MeanKl(model.reference, *logits, model.n_vocab);
  PrintFigure(figure, kl, "<", model.kl_tolerance);
  EXPECT_LT(kl, model.kl_tolerance);
}

TEST(ForeignModel, SplitMixWithPredictionBlockMatchesItsEngine) {
  ExpectLogitsOf("mix", "logits", "mean-kl-mix-engine");
  ExpectLogitsOf("mix", "transformers_logits", "mean-kl-mix-transformers");
}

TEST(ForeignModel, DemoModelMatchesAnotherEngine) {
  ExpectLogitsOf("demo", "logits", "mean-kl-demo-engine");
}

TEST(Isa, TheEngineTakesTheForcedOne) {
  const char* before = std::getenv("LARDER_ISA");
  const std::string own = before == nullptr ? "" : before;
  EngineOptions options;
  options.model_path = LoadGoldenModels().front().path;
  for (const Isa isa : {Isa::kScalar, Isa::kAvx2, Isa::kAvx512}) {
    if (isa > BestIsa()) continue;
    ASSERT_EQ(setenv("LARDER_ISA", IsaName(isa), 1), 0);
    const auto engine = Engine::Load(options);
    EXPECT_TRUE(engine.ok()) << engine.status().message();
    if (engine.ok()) {
      EXPECT_EQ((*engine)->plan().isa, isa);
    }
  }
  ASSERT_EQ(setenv("LARDER_ISA", own.c_str(), 1), 0);
}

TEST(GoldenIndex, CoversShapesAndTypes) {
  std::map<std::string, int> count_by_type;
  for (const GoldenModel& model : LoadGoldenModels()) ++count_by_type[model.type];
  for (const char* type : {"F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_K", "Q5_K", "Q6_K"}) {
    EXPECT_GE(count_by_type[type], 1) << type;
  }
  EXPECT_GE(count_by_type["F32"], 6);
}

}  // namespace
}  // namespace larder
