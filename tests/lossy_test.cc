// Options that change the answer: what they compute, that every run says so, and that they are off
// otherwise.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/random.h"
#include "helpers/golden.h"
#include "helpers/tiny_model.h"
#include "models/moe_block.h"

namespace larder {
namespace {

using testing::HasSubstr;

// Sees what is routed and changes nothing.
class Watcher final : public RoutingSource {
 public:
  bool Choose(int, std::int64_t, std::span<std::int32_t>) override { return false; }
  void Routed(int layer, std::int64_t position, std::span<const std::int32_t> ids,
              std::span<const float> weights, const ExpertStore&) override {
    if (layer != 0 || position != 0) return;
    first_ids.assign(ids.begin(), ids.end());
    first_weights.assign(weights.begin(), weights.end());
  }
  std::vector<std::int32_t> first_ids;
  std::vector<float> first_weights;
};

TEST(CutToMass, KeepsTheFewestThatReachIt) {
  SplitMix64 random(11);
  for (int round = 0; round < 2000; ++round) {
    std::vector<double> weights(1 + random.NextBelow(10));
    double sum = 0;
    for (double& weight : weights) sum += weight = random.NextUnit();
    std::sort(weights.rbegin(), weights.rend());
    std::vector<float> cut;
    for (double& weight : weights) cut.push_back(static_cast<float>(weight /= sum));
    const double mass = 0.01 + 0.98 * random.NextUnit();
    CutToMass(static_cast<float>(mass), cut);

    std::size_t n_kept = 0;
    double kept = 0;
    bool is_close = false;
    while (n_kept < weights.size() && kept < mass) {
      kept += weights[n_kept++];
      is_close = is_close || std::abs(kept - mass) < 1e-5;
    }
    if (is_close) continue;  // rounding may decide either way
    for (std::size_t i = 0; i < weights.size(); ++i) {
      EXPECT_NEAR(cut[i], i < n_kept ? weights[i] / kept : 0.0, 1e-5) << round;
      EXPECT_EQ(cut[i] == 0, i >= n_kept) << round;
    }
  }
}

class Lossy : public testing::Test {
 protected:
  void SetUp() override {
    WriteTinyModel(path_, [](TinyModelParts* parts) {
      parts->metadata.SetUint32("qwen35moe.expert_used_count", 4);
    });
    options_ = {.model_path = path_, .memory_budget_bytes = 1u << 30, .n_threads = 1};
    options_.process_bytes = kFixedProcessBytes;
  }
  void TearDown() override { std::remove(path_.c_str()); }

  std::vector<float> Logits(const EngineOptions& options, std::string* line = nullptr,
                            Watcher* watcher = nullptr) {
    const auto engine = Engine::Load(options);
    EXPECT_TRUE(engine.ok()) << engine.status().message();
    if (!engine.ok()) return {};
    if (line != nullptr) *line = (*engine)->plan().Describe();
    if (watcher != nullptr) (*engine)->SetRouting(watcher);
    const auto logits = AllLogits(**engine, tokens_);
    EXPECT_TRUE(logits.ok()) << logits.status().message();
    return logits.ok() ? *logits : std::vector<float>();
  }

  const std::string path_ = TemporaryPath("lossy.gguf");
  const std::vector<std::int32_t> tokens_ = {3, 14, 15, 92, 65, 35, 8, 9, 79};
  EngineOptions options_;
};

TEST_F(Lossy, OffUnlessAskedFor) {
  std::string line;
  const std::vector<float> own = Logits(options_, &line);
  EXPECT_THAT(line, testing::Not(HasSubstr("not the model's own")));
  EngineOptions whole = options_;
  whole.expert_mass = 1;
  whole.n_used = 4;
  EXPECT_EQ(CountDifferingFloats(own, Logits(whole, &line)), 0u);
  EXPECT_THAT(line, testing::Not(HasSubstr("not the model's own")));
}

TEST_F(Lossy, TheLeastMassIsOneExpert) {
  EngineOptions one = options_;
  one.n_used = 1;
  EngineOptions least = options_;
  least.expert_mass = 1e-6;
  std::string line_of_one;
  std::string line_of_least;
  const std::vector<float> a = Logits(one, &line_of_one);
  const std::vector<float> b = Logits(least, &line_of_least);
  EXPECT_EQ(CountDifferingFloats(a, b), 0u);
  EXPECT_GT(CountDifferingFloats(a, Logits(options_)), 0u);
  EXPECT_THAT(line_of_one, HasSubstr("1 experts per token instead of the model's 4"));
  EXPECT_THAT(line_of_one, HasSubstr("not the model's own"));
  EXPECT_THAT(line_of_least, HasSubstr("experts up to 1e-06 of their weight"));
  EXPECT_THAT(line_of_least, HasSubstr("not the model's own"));
}

TEST_F(Lossy, TheSameForEveryBudgetAndBatch) {
  EngineOptions options = options_;
  options.expert_mass = 0.6;
  const std::vector<float> roomy = Logits(options);
  EXPECT_GT(CountDifferingFloats(roomy, Logits(options_)), 0u);
  options.max_batch = 1;
  options.memory_budget_bytes = NamedSmallestBudget(options);
  EXPECT_EQ(CountDifferingFloats(roomy, Logits(options)), 0u);
  options.max_batch = 3;
  options.n_threads = 2;
  options.memory_budget_bytes = NamedSmallestBudget(options);
  EXPECT_EQ(CountDifferingFloats(roomy, Logits(options)), 0u);
}

TEST_F(Lossy, CutsTheRoutersOwnWeights) {
  Watcher own;
  Logits(options_, nullptr, &own);
  ASSERT_EQ(own.first_weights.size(), 4u);
  // Between the sums of the first one and the first two.
  EngineOptions options = options_;
  options.expert_mass = own.first_weights[0] + own.first_weights[1] / 2;
  Watcher cut;
  Logits(options, nullptr, &cut);
  EXPECT_EQ(cut.first_ids, own.first_ids);
  const float sum = own.first_weights[0] + own.first_weights[1];
  EXPECT_EQ(cut.first_weights[0], own.first_weights[0] / sum);
  EXPECT_EQ(cut.first_weights[1], own.first_weights[1] / sum);
  EXPECT_EQ(cut.first_weights[2], 0);
  EXPECT_EQ(cut.first_weights[3], 0);
}

TEST_F(Lossy, TheLookaheadGuessesNoMoreThanIsKept) {
  // One expert per token and layer is kept, so no guess may name two.
  options_.expert_mass = 1e-6;
  options_.lookahead = LookaheadMode::kOn;
  options_.max_batch = 1;
  options_.memory_budget_bytes = NamedSmallestBudget(options_) + (std::uint64_t{1} << 20);
  const auto engine = Engine::Load(options_);
  ASSERT_TRUE(engine.ok()) << engine.status().message();
  const auto logits = AllLogits(**engine, tokens_);
  ASSERT_TRUE(logits.ok()) << logits.status().message();
  const ExpertStats& stats = (*engine)->expert_stats();
  EXPECT_GT(stats.n_guess_requests, tokens_.size());
  EXPECT_EQ(stats.n_guess_wanted, stats.n_guess_requests);
  EXPECT_GT(stats.n_ahead_begun, 0u);
  EXPECT_LE(stats.n_ahead_begun + stats.n_ahead_throttled, stats.n_guess_requests);
}

TEST_F(Lossy, ImpossibleSharesAreRefused) {
  for (const double mass : {0.0, -0.5, 1.01, std::nan("")}) {
    EngineOptions options = options_;
    options.expert_mass = mass;
    const auto engine = Engine::Load(options);
    ASSERT_FALSE(engine.ok()) << mass;
    EXPECT_EQ(engine.status().code(), StatusCode::kInvalidArgument);
    EXPECT_THAT(engine.status().message(), HasSubstr("--expert-mass"));
  }
}

}  // namespace
}  // namespace larder
