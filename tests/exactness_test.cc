// Streaming never changes the answer: the same bits for every budget, thread count, batch size,
// reader, read path, lookahead and its depth, cache policy, warm start and instruction set's own
// run.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "engine/memory_plan.h"
#include "helpers/golden.h"
#include "helpers/tiny_model.h"

namespace larder {
namespace {

// The budget that leaves about `slot_share` of the experts' bytes for slots.
std::uint64_t BudgetFor(const EngineOptions& options, std::uint64_t all_slots_bytes,
                        double slot_share) {
  const double slots_bytes = slot_share * static_cast<double>(all_slots_bytes);
  const std::uint64_t room_for_embedding = slot_share > 1 ? 64u << 20 : 0;
  return NamedSmallestBudget(options) + static_cast<std::uint64_t>(slots_bytes) +
         room_for_embedding;
}

bool UringWorks() { return MakeAsyncReader({IoMode::kUring, 4}).ok(); }

class Exactness : public testing::TestWithParam<std::string> {
 protected:
  // What a run remembers for the next one is this test's own.
  void SetUp() override { setenv("XDG_CACHE_HOME", cache_.c_str(), 1); }
  void TearDown() override {
    unsetenv("XDG_CACHE_HOME");
    std::filesystem::remove_all(cache_);
  }
  const std::string cache_ = TemporaryPath("exactness-cache");
};

TEST_P(Exactness, SameBitsForEverySetting) {
  GoldenModel model = LoadGoldenModel(GetParam());
  ASSERT_FALSE(model.tokens.empty());
  while (model.tokens.size() < 120) {  // any prompt will do: runs are compared with each other
    model.tokens.push_back(static_cast<std::int32_t>(model.tokens.size() * 7919 %
                                                     static_cast<std::size_t>(model.n_vocab)));
  }
  std::vector<IoMode> io_modes = {IoMode::kThreads};
  if (UringWorks()) io_modes.push_back(IoMode::kUring);

  const EngineOptions roomy = {.model_path = model.path,
                               .memory_budget_bytes = 1u << 30,
                               .process_bytes = kFixedProcessBytes};
  const auto roomy_engine = Engine::Load(roomy);
  ASSERT_TRUE(roomy_engine.ok()) << roomy_engine.status().message();
  const std::uint64_t all_slots_bytes = (*roomy_engine)->plan().slots.total_bytes;
  const Result<std::vector<float>> reference = AllLogits(**roomy_engine, model.tokens);
  ASSERT_TRUE(reference.ok()) << reference.status().message();

  std::size_t n_differing = 0;
  int n_runs = 0;
  double hit_rate_of_smallest = 1;
  std::uint64_t n_read_ahead = 0;
  std::uint64_t n_warm_started = 0;
  for (const double slot_share : {0.0, 0.1, 0.25, 0.5, 1.5}) {
    for (const int n_threads : {1, 2, 4}) {
      for (const std::int64_t batch : {1, 7, 64}) {
        for (const IoMode io_mode : io_modes) {
          EngineOptions options = roomy;
          options.n_threads = n_threads;
          options.max_batch = batch;
          options.io_mode = io_mode;
          options.lookahead = static_cast<LookaheadMode>((n_runs + n_runs / 6) % 3);
          options.warm_start = (n_runs + n_runs / 18) % 2 == 1;
          options.read_path = static_cast<ReadPath>((n_runs + n_runs / 9) % 3);
          options.lookahead_depth = n_runs % 4 == 1 ? 1 : 12;
          options.cache_half_life = n_runs % 5 == 2 ? 3 : 50;
          options.memory_budget_bytes = BudgetFor(options, all_slots_bytes, slot_share);
          const auto engine = Engine::Load(options);
          ASSERT_TRUE(engine.ok()) << engine.status().message();
          const auto logits = AllLogits(**engine, model.tokens);
          ASSERT_TRUE(logits.ok()) << logits.status().message();
          n_differing += CountDifferingFloats(*reference, *logits);
          n_read_ahead += (*engine)->expert_stats().n_read_ahead;
          n_warm_started += (*engine)->expert_stats().n_warm_started;
          ++n_runs;
          if (slot_share == 0 && batch == 1) {
            const ExpertStats& stats = (*engine)->expert_stats();
            hit_rate_of_smallest = static_cast<double>(stats.n_hits) /
                                   static_cast<double>(stats.n_hits + stats.n_misses);
          }
          if (slot_share > 1) {
            EXPECT_TRUE((*engine)->plan().slots.holds_all);
          }
        }
      }
    }
  }
  PrintFigure("exactness-runs-" + model.name, n_runs, ">=", 45);
  PrintFigure("differing-floats-" + model.name, static_cast<double>(n_differing), "==", 0);
  PrintFigure("hit-rate-of-smallest-" + model.name, hit_rate_of_smallest, "<", 0.5);
  PrintFigure("experts-read-ahead-" + model.name, static_cast<double>(n_read_ahead), ">=", 1);
  PrintFigure("experts-warm-started-" + model.name, static_cast<double>(n_warm_started), ">=", 1);
  EXPECT_EQ(n_differing, 0u);
  EXPECT_GT(n_read_ahead, 0u);
  EXPECT_GT(n_warm_started, 0u);
  EXPECT_LT(hit_rate_of_smallest, 0.5);
}

// A KV cache of Q8_0 changes the answer a little, but the same way for every setting.
TEST_P(Exactness, QuantizedCacheGivesSameBitsForEverySettingAndStaysClose) {
  GoldenModel model = LoadGoldenModel(GetParam());
  while (model.tokens.size() < 300) {  // more than one chunk of the cache
    model.tokens.push_back(static_cast<std::int32_t>(model.tokens.size() * 7919 %
                                                     static_cast<std::size_t>(model.n_vocab)));
  }
  EngineOptions options = {.model_path = model.path, .memory_budget_bytes = 1u << 30};
  const auto exact = AllLogits(options, model.tokens);
  ASSERT_TRUE(exact.ok()) << exact.status().message();
  options.kv_dtype = DType::kQ8_0;
  std::vector<float> first;
  for (const int n_threads : {1, 3}) {
    for (const std::int64_t batch : {1, 7, 300}) {
      options.n_threads = n_threads;
      options.max_batch = batch;
      options.memory_budget_bytes = NamedSmallestBudget(options) + (1u << 20);
      const auto logits = AllLogits(options, model.tokens);
      ASSERT_TRUE(logits.ok()) << logits.status().message();
      if (first.empty()) first = *logits;
      EXPECT_EQ(CountDifferingFloats(first, *logits), 0u) << n_threads << " " << batch;
    }
  }
  EXPECT_GT(CountDifferingFloats(*exact, first), 0u);
  const double kl = MeanKl(*exact, first, model.n_vocab);
  PrintFigure("kl-of-q8_0-cache-" + model.name, kl, "<", 1e-3);
  EXPECT_LT(kl, 1e-3);
}

INSTANTIATE_TEST_SUITE_P(Models, Exactness,
                         testing::Values("stream-q8_0", "stream-fused-q4_0", "wide-q4_k"),
                         [](const testing::TestParamInfo<std::string>& param) {
                           std::string name = param.param;
                           for (char& c : name) c = std::isalnum(c) != 0 ? c : '_';
                           return name;
                         });

}  // namespace
}  // namespace larder
