// The cost model by hand-made numbers, what configurations say, and plans of headers alone.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <limits>
#include <optional>
#include <random>

#include "cli/cost_model.h"
#include "cli/hf_config.h"
#include "cli/limits.h"
#include "cli/machine_figures.h"
#include "cli/phantom_model.h"
#include "cli/planner.h"

namespace larder {
namespace {

// 10 layers of 100 dense bytes, 4 of 16 experts of 20 bytes in 2 slabs, output of 50 bytes.
ModelCosts Example() {
  ModelCosts costs;
  costs.n_layers = 10;
  costs.n_experts = 16;
  costs.n_used = 4;
  costs.dense = {{DType::kQ8_0, 1000, 1000}};
  costs.output = {{DType::kQ8_0, 50, 50}};
  costs.expert = {{DType::kQ4_0, 40, 20}};
  costs.n_slabs = 2;
  return costs;
}

MachineFigures ExampleMachine() {
  MachineFigures machine;
  machine.memory_bytes_per_second = 1000;
  machine.disk_rates = {{10, 16, 100, 50, 200}};
  return machine;
}

AnswerStatistics Always(int n_used, int n_missed) {
  AnswerStatistics statistics;
  statistics.share_of_misses.assign(static_cast<std::size_t>(n_used) + 1, 0);
  statistics.share_of_misses[static_cast<std::size_t>(n_missed)] = 1;
  statistics.hit_rate = 1 - static_cast<double>(n_missed) / n_used;
  return statistics;
}

DecodeCase With(Foresight foresight, double recall = 0) {
  DecodeCase options;
  options.foresight = foresight;
  options.recall = recall;
  return options;
}

TEST(CostModel, ThePipelineOfDesign) {
  // Dense 0.1 s; two misses 0.4 s of disk, longer than two residents of 0.02 s; then the last.
  const DecodeSeconds seconds =
      PredictDecode(Example(), ExampleMachine(), Always(4, 2), With(Foresight::kNone));
  EXPECT_NEAR(seconds.total(), 10 * (0.1 + 0.4 + 0.02) + 0.05, 1e-9);
  EXPECT_NEAR(seconds.disk, 10 * (0.4 + 0.02 - 0.08), 1e-9);
  EXPECT_NEAR(seconds.dense, 1.0, 1e-9);
  // The same as the limit that bench prints for as many bytes.
  TokenCost cost;
  cost.dense_layer_bytes = 1000;
  cost.output_bytes = 50;
  cost.expert_bytes = 10 * 4 * 20;
  cost.missed_bytes = 10 * 2 * 20;
  cost.record_bytes = 20;
  cost.n_layers = 10;
  EXPECT_NEAR(seconds.total(), PipelineLimitSeconds(cost, {100, 1000}), 1e-9);
}

TEST(CostModel, ResidentExpertsHideReads) {
  MachineFigures machine = ExampleMachine();
  machine.disk_rates = {{10, 16, 100000, 100000, 100000}};
  const DecodeSeconds seconds =
      PredictDecode(Example(), machine, Always(4, 1), With(Foresight::kNone));
  EXPECT_NEAR(seconds.total(), 10 * (0.1 + 0.06 + 0.02) + 0.05, 1e-9);
  EXPECT_EQ(seconds.disk, 0);
}

// Residents are computed first, each read one when it is there; reads come one after the other.
double ScheduledSeconds(int n_used, int n_missed, double read_s, double product_s) {
  double now_s = (n_used - n_missed) * product_s;
  for (int i = 1; i <= n_missed; ++i) now_s = std::max(now_s, i * read_s) + product_s;
  return now_s;
}

TEST(CostModel, ProductsAndReadsAsAScheduleRunsThem) {
  for (const double rate : {100.0, 500.0, 900.0, 1100.0, 2000.0, 1e5}) {
    MachineFigures machine = ExampleMachine();
    machine.disk_rates = {{10, 16, rate, rate, rate}};
    for (int n_missed = 0; n_missed <= 4; ++n_missed) {
      const DecodeSeconds seconds =
          PredictDecode(Example(), machine, Always(4, n_missed), With(Foresight::kNone));
      const double experts_s = ScheduledSeconds(4, n_missed, 20 / rate, 0.02);
      EXPECT_NEAR(seconds.total(), 10 * (0.1 + experts_s) + 0.05, 1e-9) << rate << " " << n_missed;
      EXPECT_NEAR(seconds.experts, 10 * 0.08, 1e-9);
    }
  }
}

// Figures of all sizes, noisy ones among them: disks that are faster or slower at greater depths.
struct RandomCase {
  ModelCosts costs;
  MachineFigures machine;
};

RandomCase MakeRandomCase(std::uint64_t seed) {
  std::mt19937_64 random(seed);
  const auto between = [&random](double low, double high) {
    return low * std::pow(high / low, std::uniform_real_distribution<double>()(random));
  };
  RandomCase made;
  made.costs.n_layers = static_cast<int>(between(1, 100));
  made.costs.n_used = static_cast<int>(between(1, 17));
  made.costs.n_experts = made.costs.n_used * static_cast<int>(between(1, 64));
  const auto weights = [&between](DType dtype, double least, double most) {
    const double n = between(least, most);
    return std::vector<WeightCost>{{dtype, n, n}};
  };
  made.costs.dense = weights(DType::kQ8_0, 1e6, 1e11);
  made.costs.output = weights(DType::kQ8_0, 1e5, 1e10);
  made.costs.router = weights(DType::kF32, 1e4, 1e9);
  made.costs.expert = weights(DType::kQ4_0, 1e4, 1e8);
  made.costs.n_slabs = 3;
  made.machine.memory_bytes_per_second = between(1e9, 1e12);
  made.machine.read_cpu_seconds = between(1e-7, 1e-3);
  made.machine.layer_overhead_seconds = between(1e-6, 1e-3);
  for (const std::uint64_t read_bytes : {4096u, 65536u, 1048576u}) {
    for (const int depth : {1, 4, 16}) {
      const double rate = between(1e7, 1e10);
      made.machine.disk_rates.push_back(
          {read_bytes, depth, rate, rate / between(1, 10), rate * between(1, 10)});
    }
  }
  for (const DType dtype : {DType::kQ8_0, DType::kQ4_0}) {
    made.machine.products.push_back({dtype, between(1e8, 1e12), between(1e9, 1e13), 0});
  }
  return made;
}

// Of `n_used` experts each is absent with the same probability.
AnswerStatistics Absent(int n_used, double probability) {
  AnswerStatistics statistics;
  statistics.hit_rate = 1 - probability;
  for (int n = 0; n <= n_used; ++n) {
    const double ways =
        std::exp(std::lgamma(n_used + 1) - std::lgamma(n + 1) - std::lgamma(n_used - n + 1));
    statistics.share_of_misses.push_back(ways * std::pow(probability, n) *
                                         std::pow(1 - probability, n_used - n));
  }
  return statistics;
}

TEST(CostModel, AnswersNeverTakeLongerWithMoreMemory) {
  for (std::uint64_t seed = 0; seed < 500; ++seed) {
    const RandomCase made = MakeRandomCase(seed);
    for (const Foresight foresight :
         {Foresight::kNone, Foresight::kLookahead, Foresight::kPerfect}) {
      double last = std::numeric_limits<double>::infinity();
      for (int twentieth = 0; twentieth <= 20; ++twentieth) {
        DecodeCase options = With(foresight, 0.75);
        options.resident_share = twentieth / 20.0;
        const AnswerStatistics routing = Absent(made.costs.n_used, 1 - options.resident_share);
        const double seconds = ExpectedDecode(made.costs, made.machine, routing, options).total();
        EXPECT_LE(seconds, last * (1 + 1e-9)) << "seed " << seed << " at " << twentieth;
        last = seconds;
      }
    }
  }
}

TEST(CostModel, NothingMissedIsMemoryAlone) {
  for (const Foresight foresight : {Foresight::kNone, Foresight::kLookahead, Foresight::kPerfect}) {
    const DecodeSeconds seconds =
        PredictDecode(Example(), ExampleMachine(), Always(4, 0), With(foresight, 0.5));
    EXPECT_NEAR(seconds.total(), 10 * (0.1 + 0.08) + 0.05, 1e-9);
  }
}

TEST(CostModel, ForesightHelpsInOrder) {
  for (int n_missed = 1; n_missed <= 4; ++n_missed) {
    const auto total = [n_missed](Foresight foresight, double recall) {
      return PredictDecode(Example(), ExampleMachine(), Always(4, n_missed),
                           With(foresight, recall))
          .total();
    };
    const double none = total(Foresight::kNone, 0);
    EXPECT_DOUBLE_EQ(total(Foresight::kLookahead, 0), none);
    EXPECT_LT(total(Foresight::kLookahead, 0.5), none);
    EXPECT_LT(total(Foresight::kLookahead, 1), total(Foresight::kLookahead, 0.5));
    EXPECT_LE(total(Foresight::kPerfect, 0), total(Foresight::kLookahead, 1));
  }
  // Perfect: four misses of 20 bytes at 100 bytes/s in each of ten layers, and nothing else.
  EXPECT_NEAR(
      PredictDecode(Example(), ExampleMachine(), Always(4, 4), With(Foresight::kPerfect)).total(),
      8.0, 1e-9);
}

TEST(CostModel, StateAndCacheAreRead) {
  ModelCosts costs = Example();
  costs.state_bytes = 2000;
  costs.kv_bytes_per_position = 3;
  DecodeCase options = With(Foresight::kNone);
  options.position = 100;
  MachineFigures machine = ExampleMachine();
  const double before =
      PredictDecode(Example(), machine, Always(4, 0), With(Foresight::kNone)).total();
  EXPECT_NEAR(PredictDecode(costs, machine, Always(4, 0), options).total(), before + 2 + 0.3, 1e-9);
  machine.state_bytes_per_second = 500;
  machine.layer_overhead_seconds = 0.01;
  EXPECT_NEAR(PredictDecode(costs, machine, Always(4, 0), options).total(), before + 4 + 0.3 + 0.1,
              1e-9);
}

TEST(CostModel, AskingForReadsAndGuessingCost) {
  ModelCosts costs = Example();
  costs.n_slabs = 3;
  costs.router = {{DType::kQ8_0, 100, 100}};
  MachineFigures machine = ExampleMachine();
  const auto total = [&](Foresight foresight, int n_missed) {
    return PredictDecode(costs, machine, Always(4, n_missed), With(foresight, 0)).total();
  };
  const double before = total(Foresight::kNone, 2);
  EXPECT_NEAR(total(Foresight::kLookahead, 2), before + 0.1, 1e-9);
  EXPECT_NEAR(total(Foresight::kLookahead, 0), total(Foresight::kNone, 0), 1e-9);
  machine.read_cpu_seconds = 0.001;
  EXPECT_NEAR(total(Foresight::kNone, 2), before + 10 * 2 * 3 * 0.001, 1e-9);
}

TEST(CostModel, ProductsFromOneTokenToMany) {
  MachineFigures machine = ExampleMachine();
  ProductRate rate;
  rate.dtype = DType::kQ8_0;
  rate.bytes_per_second = 100;
  rate.few_multiply_adds_per_second = 250;
  rate.multiply_adds_per_second = 1000;
  machine.products = {rate};
  const std::vector<WeightCost> weights = {{DType::kQ8_0, 1000, 1000}};
  EXPECT_DOUBLE_EQ(ProductSeconds(weights, machine, 1), 10);
  EXPECT_DOUBLE_EQ(ProductSeconds(weights, machine, 4), 16);
  EXPECT_DOUBLE_EQ(ProductSeconds(weights, machine, 2.5), 13);
  EXPECT_DOUBLE_EQ(ProductSeconds(weights, machine, 64), 64);
  EXPECT_DOUBLE_EQ(ProductSeconds(weights, machine, 640), 640);
  // Where no products are known they run at the memory rate.
  machine.products.clear();
  EXPECT_DOUBLE_EQ(ProductSeconds({{DType::kQ4_0, 1000, 500}}, machine, 1), 0.5);
}

TEST(CostModel, ATypeWithoutProductsIsNoFasterThanOneWith) {
  MachineFigures machine = ExampleMachine();
  machine.memory_bytes_per_second = 1e12;
  machine.products = {{DType::kQ4_K, 100, 1000, 250}};
  const auto seconds = [&machine](DType dtype, double n_tokens) {
    const DTypeInfo& info = GetDTypeInfo(dtype);
    const double n_bytes = 256.0 * info.bytes_per_block / info.elements_per_block;
    return ProductSeconds({{dtype, 256, n_bytes}}, machine, n_tokens);
  };
  for (const double n_tokens : {1.0, 2.0, 4.0, 64.0, 1000.0}) {
    const double known_s = seconds(DType::kQ4_K, n_tokens);
    for (const DType dtype : AllDTypes()) {
      EXPECT_GE(seconds(dtype, n_tokens), known_s * (1 - 1e-9)) << DTypeName(dtype);
    }
  }
}

TEST(CostModel, ADiskThatChangesCostsWhatItsSlowMomentsCost) {
  // Two misses take 0.8, 0.4 and 0.2 s at 50, 100 and 200 bytes/s; one of them hides two residents.
  const DecodeSeconds answer =
      ExpectedDecode(Example(), ExampleMachine(), Always(4, 2), With(Foresight::kNone));
  EXPECT_NEAR(answer.total(), 10 * (0.1 + (0.8 + 2 * 0.4 + 0.2) / 4 + 0.02) + 0.05, 1e-9);
  EXPECT_NEAR(answer.disk, 10 * ((0.8 + 2 * 0.4 + 0.2) / 4 - 0.06), 1e-9);
  PromptStatistics routing;
  routing.experts_used = 16;
  routing.experts_read = 10;  // 200 bytes, 4, 2 and 1 s
  PrefillCase prompt;
  prompt.n_tokens = prompt.batch_tokens = 64;
  EXPECT_NEAR(ExpectedPrefill(Example(), ExampleMachine(), routing, prompt).total(),
              10 * (4 + 2 * 2 + 1) / 4.0, 1e-9);
}

TEST(CostModel, PromptsHideReadsBehindProducts) {
  MachineFigures machine = ExampleMachine();
  machine.multiply_adds_per_second = 1e5;
  PromptStatistics routing;
  routing.experts_used = 16;
  routing.experts_read = 10;  // 200 bytes, 2 s of disk per layer and batch
  PrefillCase options;
  options.n_tokens = 128;
  options.batch_tokens = 64;
  const PrefillSeconds seconds = PredictPrefill(Example(), machine, routing, options);
  EXPECT_NEAR(seconds.compute + seconds.disk,
              2 * 10 * 2.0 + ProductSeconds(Example().output, machine), 1e-6);
  options.overlaps = false;
  EXPECT_GT(PredictPrefill(Example(), machine, routing, options).total(), seconds.total());
  machine.multiply_adds_per_second = 0;
  EXPECT_DOUBLE_EQ(PredictPrefill(Example(), machine, routing, options).total(), 40);
}

constexpr const char* kConfig = R"({"model_type": "qwen3_5_moe", "text_config": {
  "model_type": "qwen3_5_moe_text", "num_hidden_layers": 8, "hidden_size": 512,
  "num_experts": 32, "num_experts_per_tok": 4, "moe_intermediate_size": 256,
  "shared_expert_intermediate_size": 512, "num_attention_heads": 4, "num_key_value_heads": 2,
  "head_dim": 128, "linear_num_key_heads": 4, "linear_num_value_heads": 8,
  "linear_key_head_dim": 128, "linear_value_head_dim": 128, "linear_conv_kernel_dim": 4,
  "vocab_size": 1024, "max_position_embeddings": 4096, "full_attention_interval": 4}})";

TEST(HfConfig, ShapeOfAPublishedConfiguration) {
  const Result<SynthShape> shape = ParseHfConfig(kConfig);
  ASSERT_TRUE(shape.ok()) << shape.status().message();
  EXPECT_EQ(shape->n_layers, 8);
  EXPECT_EQ(shape->n_experts, 32);
  EXPECT_EQ(shape->d_shared, 512);
  EXPECT_EQ(shape->n_value_heads, 8);
}

TEST(HfConfig, WhatIsWrongIsNamed) {
  const auto changed = [](const std::string& from, const std::string& to) {
    std::string text = kConfig;
    const std::size_t at = text.find(from);
    return text.replace(at, from.size(), to);
  };
  const std::pair<std::string, const char*> cases[] = {
      {"", "not a JSON object"},
      {changed("\"qwen3_5_moe_text\"", "\"llama\""), "llama"},
      {changed("\"num_experts\": 32", "\"num_experts\": 0"), "num_experts"},
      {changed("\"num_experts\": 32", "\"num_experts\": 1e3"), "num_experts"},
      {changed("\"num_experts\": 32", "\"num_experts\": 3"), "4 of 3"},
      {changed("\"hidden_size\": 512,", ""), "hidden_size"},
      {changed("\"full_attention_interval\": 4", "\"full_attention_interval\": 3"),
       "interval of 3"},
      {changed("\"linear_value_head_dim\": 128", "\"linear_value_head_dim\": 64"), "64"},
  };
  for (const auto& [text, part] : cases) {
    const Result<SynthShape> shape = ParseHfConfig(text);
    ASSERT_FALSE(shape.ok()) << text;
    EXPECT_NE(shape.status().message().find(part), std::string::npos) << shape.status().message();
  }
}

SynthShape SmallShape() { return ParseHfConfig(kConfig).value(); }

PlannerOptions SmallOptions() {
  PlannerOptions options;
  options.engine.n_threads = 1;
  options.engine.process_bytes = 16 << 20;
  options.routing = RoutingGenerator::FromName("mid").value();
  options.prompt_tokens = 32;
  return options;
}

TEST(Planner, HeadersAloneGiveTheEnginesOwnPlan) {
  const Result<PhantomModel> phantom =
      PhantomModel::FromShape(SmallShape(), {DType::kQ4_K, DType::kQ8_0});
  ASSERT_TRUE(phantom.ok()) << phantom.status().message();
  MachineFigures machine;
  machine.memory_bytes_per_second = 1e10;
  machine.disk_rates = {{1, 16, 1e9, 5e8, 2e9}};
  machine.multiply_adds_per_second = 1e10;
  Planner planner(machine, SmallOptions());
  const Result<PlanTypes> first = planner.Plan("a", phantom->path(), {});
  ASSERT_TRUE(first.ok()) << first.status().message();
  EXPECT_GT(first->whole_budget_bytes, first->smallest_budget_bytes);
  EXPECT_GT(phantom->size_bytes(), first->file_bytes);
  EXPECT_NEAR(first->bits_per_weight, 4.5, 1e-9);
  std::vector<std::uint64_t> budgets = CurveBudgets(*first, 12);
  budgets.insert(budgets.begin(), first->smallest_budget_bytes / 2);
  const Result<PlanTypes> plan = planner.Plan("a", phantom->path(), budgets);
  ASSERT_TRUE(plan.ok()) << plan.status().message();
  EXPECT_FALSE(plan->rows[0].problem.empty());
  double last = 0;
  for (std::size_t i = 1; i < plan->rows.size(); ++i) {
    const PlanRow& row = plan->rows[i];
    ASSERT_TRUE(row.problem.empty()) << row.problem;
    EXPECT_GE(row.decode.expected, last * 0.999) << i;  // rises with memory
    EXPECT_LE(row.decode.low, row.decode.expected);
    EXPECT_GE(row.decode.high, row.decode.expected);
    EXPECT_GE(row.decode_limit, row.decode.expected * 0.999);
    EXPECT_GT(row.prefill.expected, 0);
    last = row.decode.expected;
  }
  EXPECT_TRUE(plan->rows.back().plan.slots.holds_all);
  EXPECT_EQ(plan->rows.back().hit_rate, 1);
}

TEST(Planner, RangesHoldWhatIsExpected) {
  const Result<PhantomModel> phantom =
      PhantomModel::FromShape(SmallShape(), {DType::kQ4_K, DType::kQ8_0});
  ASSERT_TRUE(phantom.ok()) << phantom.status().message();
  Planner planner(ExampleMachine(), SmallOptions());
  const Result<std::unique_ptr<Forecast>> forecast = planner.Open(phantom->path());
  ASSERT_TRUE(forecast.ok()) << forecast.status().message();
  const std::uint64_t least = (*forecast)->SmallestBudget();
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    const MachineFigures machine = MakeRandomCase(seed).machine;
    for (const std::uint64_t budget_bytes : {least, least + least / 10, least + least / 3}) {
      const Result<PlanRow> row = planner.RowOf(**forecast, machine, budget_bytes);
      ASSERT_TRUE(row.ok()) << row.status().message();
      for (const RateRange& range : {row->decode, row->prefill}) {
        EXPECT_GT(range.low, 0) << seed;
        EXPECT_LT(range.low, range.expected) << seed;
        EXPECT_LT(range.expected, range.high) << seed;
      }
      EXPECT_GE(row->decode_limit, row->decode.expected) << seed;
    }
  }
}

TEST(Planner, WhatIsNotKnownIsNotZero) {
  const Result<PhantomModel> phantom =
      PhantomModel::FromShape(SmallShape(), {DType::kQ4_K, DType::kQ8_0});
  ASSERT_TRUE(phantom.ok()) << phantom.status().message();
  Planner planner(ExampleMachine(), SmallOptions());
  PlanReport report;
  report.machine = ExampleMachine();
  report.has_prefill_compute = false;
  const Result<PlanTypes> plan = planner.Plan("all", phantom->path(), {std::uint64_t{1} << 40});
  ASSERT_TRUE(plan.ok()) << plan.status().message();
  ASSERT_TRUE(plan->rows[0].plan.slots.holds_all);
  report.types = {*plan};
  const nlohmann::json row = ToJson(report)["types"][0]["budgets"][0];
  EXPECT_TRUE(row["prefill_tokens_per_second"].is_null()) << row;
  EXPECT_TRUE(row["prefill_seconds"].is_null()) << row;
  EXPECT_GT(row["decode_tokens_per_second"]["expected"], 0) << row;
  EXPECT_NE(ToMarkdown(report).find(") | - | "), std::string::npos) << ToMarkdown(report);
}

TEST(Planner, NobodyKnowsWhatFitsADiskThatNobodyKnows) {
  const Result<PhantomModel> phantom =
      PhantomModel::FromShape(SmallShape(), {DType::kQ4_K, DType::kQ8_0});
  ASSERT_TRUE(phantom.ok()) << phantom.status().message();
  const auto report = [&phantom](std::optional<std::uint64_t> free_bytes) {
    PlannerOptions options = SmallOptions();
    options.disk_free_bytes = free_bytes;
    PlanReport made;
    made.machine = ExampleMachine();
    made.types = {Planner(ExampleMachine(), options).Plan("all", phantom->path(), {}).value()};
    return made;
  };
  const std::pair<std::optional<std::uint64_t>, const char*> cases[] = {
      {std::nullopt, " | - | "}, {0, " | no | "}, {std::uint64_t{1} << 40, " | yes | "}};
  for (const auto& [free_bytes, part] : cases) {
    const PlanReport made = report(free_bytes);
    EXPECT_NE(ToMarkdown(made).find(part), std::string::npos) << part;
    const nlohmann::json fits = ToJson(made)["types"][0]["fits_disk"];
    EXPECT_EQ(fits, free_bytes ? nlohmann::json(*free_bytes > 0) : nlohmann::json());
  }
}

TEST(Planner, ReportsSayWhoseProductsStandForOthers) {
  PlanReport report;
  report.machine = ExampleMachine();
  report.product_types = {DType::kQ4_K, DType::kQ4_0};
  EXPECT_EQ(ToMarkdown(report).find("lacks products"), std::string::npos);
  EXPECT_FALSE(ToJson(report).contains("products_taken_from"));
  report.machine.products = {{DType::kQ4_K, 7, 8, 9}};
  EXPECT_NE(ToMarkdown(report).find("Q4_0 from Q4_K\n"), std::string::npos) << ToMarkdown(report);
  EXPECT_EQ(ToJson(report)["products_taken_from"], nlohmann::json({{"Q4_0", "Q4_K"}}));
}

TEST(Planner, ReportsSayWhyMoreMemoryPredictsLess) {
  PlanRow less;
  less.budget_bytes = std::uint64_t{17} << 30;
  less.plan.max_batch = 2048;
  less.decode = less.prefill = {9, 10, 11};
  PlanRow more = less;
  more.budget_bytes += 1;
  more.plan.max_batch = 4096;
  PlanReport report;
  report.machine = ExampleMachine();
  report.types = {{"types", 90, true, 8, 10, 110, {less, more}}};
  EXPECT_EQ(ToMarkdown(report).find("--batch"), std::string::npos);
  report.types[0].rows[1].prefill.expected = 9.9;
  EXPECT_NE(ToMarkdown(report).find("in batches of 4096, "), std::string::npos);
  EXPECT_NE(ToMarkdown(report).find("; --batch 2048 gives"), std::string::npos);
  const nlohmann::json rows = ToJson(report)["types"][0]["budgets"];
  EXPECT_FALSE(rows[0].contains("faster_batch_tokens"));
  EXPECT_EQ(rows[1]["faster_batch_tokens"], 2048);
  report.types[0].rows[1].prefill = RateRange();  // reads nothing
  EXPECT_EQ(ToMarkdown(report).find("--batch"), std::string::npos);
  EXPECT_FALSE(ToJson(report)["types"][0]["budgets"][1].contains("faster_batch_tokens"));
}

TEST(Planner, AMachinesNameMovesNoCursor) {
  PlanReport report;
  report.machine = ExampleMachine();
  report.machine.name = "a\x1b[31m\nb";
  report.machine.disk = "c\nd";
  EXPECT_NE(ToMarkdown(report).find("machine: a[31m b, disk c d ("), std::string::npos)
      << ToMarkdown(report);
}

TEST(PlanChart, NamesInAnyBytesStayXml) {
  PlanReport report;
  report.model = "a\xff<b>\x01\xef\xbf\xbf&\xc3\xa9.gguf";
  const std::string svg = ToSvg(report, {});
  EXPECT_NE(svg.find(">a\xef\xbf\xbd&lt;b&gt;\xef\xbf\xbd&amp;\xc3\xa9.gguf<"), std::string::npos)
      << svg;
}

TEST(Planner, AdviceSaysWhatItBrings) {
  PlanReport report;
  report.main_budget_bytes = 100;
  PlanRow row;
  row.budget_bytes = 100;
  row.decode = {9, 10, 11};
  report.types = {{"types", 90, true, 8, 10, 110, {row}}};
  report.advice = {{"a disk", 12.5}, {"a lamp", 9.999}, {"a chair", 10.004}, {"a stone", 9}};
  const std::string text = ToMarkdown(report);
  EXPECT_NE(text.find("with a disk: 12.50 tokens/s (+25 %)"), std::string::npos) << text;
  EXPECT_NE(text.find("with a lamp: 10.00 tokens/s (no difference)"), std::string::npos) << text;
  EXPECT_NE(text.find("with a chair: 10.00 tokens/s (no difference)"), std::string::npos) << text;
  EXPECT_NE(text.find("with a stone: 9.00 tokens/s (-10 %)"), std::string::npos) << text;
}

TEST(Planner, ReportsNameTheBestThatFitsWhole) {
  PlanReport report;
  report.main_budget_bytes = 100;
  PlanTypes big{"big", 90, true, 8, 10, 110, {}};
  PlanTypes middle{"middle", 70, true, 4, 10, 95, {}};
  PlanTypes small{"small", 50, true, 2, 10, 60, {}};
  report.types = {small, big, middle};
  ASSERT_NE(BestWhole(report), nullptr);
  EXPECT_EQ(BestWhole(report)->name, "middle");
  report.main_budget_bytes = 50;
  EXPECT_EQ(BestWhole(report), nullptr);
  EXPECT_EQ(MainRow(report), nullptr);
}

}  // namespace
}  // namespace larder
