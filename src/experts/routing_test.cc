// The routing generator's statistics, and the trace reader on good, damaged and hostile files.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "experts/routing_generator.h"
#include "experts/routing_trace.h"

namespace larder {
namespace {

std::vector<std::int32_t> Copy(std::span<const std::int32_t> span) {
  return {span.begin(), span.end()};
}

TEST(RoutingGenerator, SequenceDependsOnTheSeedAlone) {
  const RoutingParams params = *RoutingGenerator::FromName("mid");
  RoutingGenerator a(params, 3, 64, 4, 5);
  RoutingGenerator b(params, 3, 64, 4, 5);
  RoutingGenerator c(params, 3, 64, 4, 6);
  bool differs = false;
  for (int token = 0; token < 20; ++token) {
    a.NextToken();
    b.NextToken();
    c.NextToken();
    for (int layer = 0; layer < 3; ++layer) {
      EXPECT_EQ(Copy(a.Experts(layer)), Copy(b.Experts(layer)));
      differs = differs || Copy(a.Experts(layer)) != Copy(c.Experts(layer));
    }
  }
  EXPECT_TRUE(differs);
}

TEST(RoutingGenerator, ExpertsAreDistinctAndInRangeForAllCounts) {
  for (const int n_used : {1, 2, 7, 8}) {
    RoutingGenerator generator(*RoutingGenerator::FromName("EASY"), 2, 8, n_used, 3);
    for (int token = 0; token < 200; ++token) {
      generator.NextToken();
      for (int layer = 0; layer < 2; ++layer) {
        const std::vector<std::int32_t> experts = Copy(generator.Experts(layer));
        const std::set<std::int32_t> distinct(experts.begin(), experts.end());
        ASSERT_EQ(distinct.size(), static_cast<std::size_t>(n_used));
        ASSERT_GE(*distinct.begin(), 0);
        ASSERT_LT(*distinct.rbegin(), 8);
      }
    }
  }
}

// Nearly all weight on few experts: the way out of endless rejection.
TEST(RoutingGenerator, SteepWeightsEnd) {
  RoutingGenerator generator({40, 0, 0, 0}, 1, 256, 8, 1);
  for (int token = 0; token < 50; ++token) {
    generator.NextToken();
    const std::vector<std::int32_t> experts = Copy(generator.Experts(0));
    ASSERT_EQ(std::set<std::int32_t>(experts.begin(), experts.end()).size(), 8u);
  }
}

// With one expert used and none kept, how often each appears is its weight.
TEST(RoutingGenerator, FollowsTheWeights) {
  constexpr int kExperts = 16;
  constexpr int kTokens = 200000;
  const RoutingParams params{1.5, 2, 0, 0};
  RoutingGenerator generator(params, 1, kExperts, 1, 11);
  std::vector<double> counts(kExperts, 0);
  for (int token = 0; token < kTokens; ++token) {
    generator.NextToken();
    counts[static_cast<std::size_t>(generator.Experts(0)[0])] += 1;
  }
  std::sort(counts.rbegin(), counts.rend());
  double sum = 0;
  for (int rank = 0; rank < kExperts; ++rank) sum += std::pow(rank + 3, -1.5);
  for (int rank = 0; rank < kExperts; ++rank) {
    const double expected = kTokens * std::pow(rank + 3, -1.5) / sum;
    EXPECT_NEAR(counts[static_cast<std::size_t>(rank)], expected, 5 * std::sqrt(expected));
  }
}

TEST(RoutingGenerator, KeepsTheShareAsked) {
  // Uniform weights: kept ones, and a draw that happens to repeat one.
  const RoutingParams params{0, 0, 0.30, 0};
  RoutingGenerator generator(params, 4, 256, 8, 2);
  generator.NextToken();
  std::int64_t n_shared = 0;
  for (int token = 0; token < 2000; ++token) {
    std::vector<std::vector<std::int32_t>> before;
    for (int layer = 0; layer < 4; ++layer) before.push_back(Copy(generator.Experts(layer)));
    generator.NextToken();
    for (int layer = 0; layer < 4; ++layer) {
      for (const int expert : generator.Experts(layer)) {
        const auto& old = before[static_cast<std::size_t>(layer)];
        n_shared += std::count(old.begin(), old.end(), expert);
      }
    }
  }
  const double share = static_cast<double>(n_shared) / (2000 * 4 * 8);
  EXPECT_NEAR(share, 0.30 + 0.70 * 5.6 / 253, 0.01);
}

TEST(RoutingGenerator, NamesAreChecked) {
  EXPECT_EQ(RoutingGenerator::FromName("hard")->drift, 0.005);
  EXPECT_EQ(RoutingGenerator::FromName("medium").status().code(), StatusCode::kInvalidArgument);
}

constexpr const char* kGood =
    "# route_trace v1\n"
    "# model=x arch=y n_layer=2 n_expert=8 n_expert_used=2\n"
    "turn,phase,step,layer,slot,expert,weight,residency,expert_bytes\n"
    "0,0,0,0,0,1,0.5,0,10\n"  // a prompt's step
    "0,1,1,0,0,3,0.5,0,10\n"
    "0,1,1,0,1,1,0.5,0,10\n"
    "0,1,1,1,0,0,0.5,0,10\r\n"
    "0,1,1,1,1,7,0.5,0,10\n"
    "0,1,2,0,0,5,0.5,0,10\n"
    "0,1,2,0,1,6,0.5,0,10\n"
    "0,1,2,1,0,2,0.5,0,10\n"
    "0,1,2,1,1,4,0.5,0,10";

TEST(RoutingTrace, ReadsDecodeSteps) {
  auto trace = RoutingTrace::Parse(kGood, "test");
  ASSERT_TRUE(trace.ok()) << trace.status().message();
  EXPECT_EQ(trace->n_layers(), 2);
  EXPECT_EQ(trace->n_experts(), 8);
  EXPECT_EQ(trace->n_used(), 2);
  EXPECT_EQ(trace->n_steps(), 2);
  trace->NextToken();
  EXPECT_EQ(Copy(trace->Experts(0)), (std::vector<std::int32_t>{3, 1}));
  EXPECT_EQ(Copy(trace->Experts(1)), (std::vector<std::int32_t>{0, 7}));
  trace->NextToken();
  EXPECT_EQ(Copy(trace->Experts(1)), (std::vector<std::int32_t>{2, 4}));
  trace->NextToken();
  EXPECT_EQ(Copy(trace->Experts(0)), (std::vector<std::int32_t>{3, 1})) << "begins again";
  EXPECT_TRUE(trace->CheckFits(2, 8, 2).ok());
  EXPECT_EQ(trace->CheckFits(3, 8, 2).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(trace->CheckFits(2, 4, 2).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(trace->CheckFits(2, 8, 3).code(), StatusCode::kInvalidArgument);
}

TEST(RoutingTrace, NeedsStepLayerAndExpertOnly) {
  const auto trace = RoutingTrace::Parse("step,layer,expert\n0,0,5\n1,0,2\n", "test");
  ASSERT_TRUE(trace.ok()) << trace.status().message();
  EXPECT_EQ(trace->n_experts(), 6);
  EXPECT_EQ(trace->n_steps(), 2);
}

TEST(RoutingTrace, RefusesDamagedTables) {
  for (const char* text : {
           "",
           "# n_expert=4\n",
           "step,layer,expert\n",
           "step,layer\n0,0\n",
           "step,layer,expert\n0,0\n",
           "step,layer,expert\n0,0,x\n",
           "step,layer,expert\n0,0,-1\n",
           "step,layer,expert\n0,0,99999999999999999999\n",
           "step,layer,expert\n0,0,70000\n",
           "step,layer,expert\n0,1,0\n",
           "step,layer,expert\n0,0,0\n0,0,0\n",
           "step,layer,expert\n0,0,0\n0,1,0\n1,0,0\n",
           "step,layer,expert\n0,0,0\n0,0,1\n1,0,0\n",
           "# x n_expert=4\nstep,layer,expert\n0,0,4\n",
       }) {
    EXPECT_EQ(RoutingTrace::Parse(text, "test").status().code(), StatusCode::kDataError) << text;
  }
}

TEST(RoutingTrace, EveryTruncationEndsCleanly) {
  const std::string text = kGood;
  int n_accepted = 0;
  for (std::size_t size = 0; size < text.size(); ++size) {
    n_accepted += RoutingTrace::Parse(text.substr(0, size), "test").ok() ? 1 : 0;
  }
  EXPECT_LT(n_accepted, 60) << "a text cut inside a step was taken";
}

TEST(RoutingTrace, UnreadableFilesAreErrors) {
  const std::string folder = ::testing::TempDir();
  EXPECT_EQ(RoutingTrace::Read(folder + "none.csv").status().code(), StatusCode::kNotFound);
  EXPECT_EQ(RoutingTrace::Read(folder).status().code(), StatusCode::kIoError) << "a directory";
}

TEST(RoutingTrace, ReadsTheRealOnes) {
  const std::string folder = std::string(LARDER_SOURCE_DIR) + "/../shared/testdata/traces/";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "no traces in " << folder;
  const auto trace = RoutingTrace::Read(folder + "qwen.route.csv.gz");
  if (trace.status().code() == StatusCode::kUnsupported) GTEST_SKIP() << "built without zlib";
  ASSERT_TRUE(trace.ok()) << trace.status().message();
  EXPECT_TRUE(trace->CheckFits(48, 128, 6).ok());
  EXPECT_EQ(trace->n_steps(), 128);
}

}  // namespace
}  // namespace larder
