// The chain on small distributions, against probabilities computed here, and its reproducibility.
#include "sample/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/random.h"
#include "sample/exact_exp.h"
#include "sample/logprobs.h"

namespace larder {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
const float kNan = std::nanf("");

SamplerParams Params(double temperature, int top_k, double top_p, double min_p,
                     std::uint64_t seed = 1) {
  SamplerParams params;
  params.temperature = temperature;
  params.top_k = top_k;
  params.top_p = top_p;
  params.min_p = min_p;
  params.seed = seed;
  return params;
}

std::vector<int> Count(const SamplerParams& params, const std::vector<float>& logits, int n) {
  Sampler sampler(params);
  std::vector<int> counts(logits.size());
  for (int i = 0; i < n; ++i) ++counts[static_cast<std::size_t>(sampler.Sample(logits))];
  return counts;
}

TEST(Sampler, GreedyTakesTheLowestOfEquals) {
  Sampler sampler(Params(0, 0, 1, 0));
  EXPECT_EQ(sampler.Sample(std::vector<float>{1, 3, 3, 2}), 1);
  EXPECT_EQ(sampler.Sample(std::vector<float>{kNan, -kInf, -2, kNan}), 2);
  EXPECT_EQ(sampler.Sample(std::vector<float>{kNan, kNan}), 0);
  EXPECT_EQ(sampler.Sample(std::vector<float>{0, kInf, kInf}), 1);
}

TEST(Sampler, FollowsTheSoftmax) {
  const std::vector<float> logits = {0.0f, 1.0f, -1.0f, 2.0f};
  for (const double temperature : {0.5, 1.0, 2.0}) {
    double total = 0;
    for (const float logit : logits) total += std::exp(logit / temperature);
    constexpr int kDraws = 40000;
    const std::vector<int> counts = Count(Params(temperature, 0, 1, 0), logits, kDraws);
    for (std::size_t i = 0; i < logits.size(); ++i) {
      const double p = std::exp(logits[i] / temperature) / total;
      // Five standard deviations of a binomial.
      EXPECT_NEAR(counts[i], p * kDraws, 5 * std::sqrt(kDraws * p * (1 - p))) << temperature;
    }
  }
}

TEST(Sampler, TopKKeepsTheLargestTiesToTheLowerId) {
  const std::vector<int> counts = Count(Params(5, 2, 1, 0), {1, 2, 0, 2, 2}, 2000);
  EXPECT_GT(counts[1], 0);
  EXPECT_GT(counts[3], 0);
  EXPECT_EQ(counts[1] + counts[3], 2000);
}

TEST(Sampler, TopPKeepsTheFewestThatReachIt) {
  // Probabilities 0.5, 0.25, 0.125, 0.125.
  const float ln2 = std::log(2.0f);
  const std::vector<float> logits = {ln2, 3 * ln2, ln2, 2 * ln2};
  const std::vector<int> counts = Count(Params(1, 0, 0.7, 0), logits, 3000);
  EXPECT_EQ(counts[0] + counts[2], 0);
  EXPECT_NEAR(counts[1], 2000, 150);
  EXPECT_EQ(Count(Params(1, 0, 0.0, 0), logits, 100)[1], 100);
  EXPECT_EQ(Count(Params(1, 0, 0.4, 0), logits, 100)[1], 100);
}

TEST(Sampler, MinPIsRelativeToTheLargest) {
  const std::vector<float> logits = {0.0f, -1.0f, -3.0f};  // 1, 0.37, 0.05 of the largest
  const std::vector<int> counts = Count(Params(3, 0, 1, 0.2), logits, 2000);
  EXPECT_GT(counts[1], 0);
  EXPECT_EQ(counts[2], 0);
  EXPECT_EQ(Count(Params(3, 0, 1, 1.0), logits, 100)[0], 100);
}

TEST(Sampler, CutsComeBeforeTheTemperature) {
  // At temperature 1 the first token has 0.73 of the mass: top-p 0.7 keeps it alone however hot.
  EXPECT_EQ(Count(Params(50, 0, 0.7, 0), {1, 0}, 500)[0], 500);
}

TEST(Sampler, LargeVocabulariesWithAndWithoutTopK) {
  SplitMix64 random(5);
  std::vector<float> logits(250000);
  for (float& logit : logits) logit = static_cast<float>(random.NextUnit() * 20 - 10);
  // A top-k no smaller than what top-p reaches changes nothing.
  std::vector<float> peaked(250000, -40.0f);
  for (std::size_t i = 0; i < 900; ++i) peaked[i * 271] = static_cast<float>(random.NextUnit() * 3);
  Sampler all(Params(1, 0, 0.9, 0, 9));
  Sampler some(Params(1, 2000, 0.9, 0, 9));
  for (int i = 0; i < 20; ++i) EXPECT_EQ(all.Sample(peaked), some.Sample(peaked));
  Sampler ten(Params(0.8, 10, 1, 0, 3));
  std::vector<float> sorted = logits;
  std::sort(sorted.begin(), sorted.end(), std::greater<>());
  for (int i = 0; i < 20; ++i) {
    EXPECT_GE(logits[static_cast<std::size_t>(ten.Sample(logits))], sorted[9]);
  }
}

TEST(Sampler, IsReproducible) {
  SplitMix64 random(11);
  std::vector<float> logits(300);
  for (float& logit : logits) logit = static_cast<float>(random.NextUnit() * 6);
  const auto draw = [&](std::uint64_t seed) {
    Sampler sampler(Params(0.9, 50, 0.9, 0.01, seed));
    std::vector<std::int32_t> tokens;
    for (int i = 0; i < 12; ++i) tokens.push_back(sampler.Sample(logits));
    return tokens;
  };
  EXPECT_EQ(draw(42), draw(42));
  EXPECT_NE(draw(42), draw(43));
  // Computed by a second implementation of the chain, in Python.
  EXPECT_EQ(draw(42),
            (std::vector<std::int32_t>{17, 171, 206, 195, 71, 225, 88, 202, 195, 156, 88, 298}));
}

TEST(Sampler, ExtremeLogits) {
  EXPECT_EQ(Count(Params(1, 0, 0.95, 0), {-kInf, 1e30f, -1e30f, kNan}, 50)[1], 50);
  EXPECT_EQ(Count(Params(1e-300, 0, 1, 0), {1, 2, 1.9999999f}, 50)[1], 50);
  EXPECT_EQ(Count(Params(1, 40, 0.95, 0.1), {7}, 5)[0], 5);
}

// The chain as its definition says it, with a full sort and the C library's exponential. `unit` is
// the random number; `near` tells that it is too close to a border for the last bits not to matter.
struct Reference {
  std::vector<double> probabilities;  // by id
  std::int32_t token = -1;
  bool near = false;
};

void Penalize(const SamplerParams& params, const std::vector<std::int32_t>& prompt,
              const std::vector<std::int32_t>& answer, std::vector<float>& logits) {
  std::vector<std::int32_t> all = prompt;
  all.insert(all.end(), answer.begin(), answer.end());
  const auto window = static_cast<std::size_t>(params.penalty_window);
  const std::size_t from = window > 0 && all.size() > window ? all.size() - window : 0;
  for (std::size_t id = 0; id < logits.size(); ++id) {
    int n_seen = 0, n_sampled = 0;
    for (std::size_t i = from; i < all.size(); ++i) {
      const bool same = static_cast<std::size_t>(all[i]) == id;
      n_seen += same;
      n_sampled += same && i >= prompt.size();
    }
    double logit = logits[id];
    if (n_seen > 0) {
      logit = logit > 0 ? logit / params.repeat_penalty : logit * params.repeat_penalty;
    }
    if (n_sampled > 0) {
      logit -= params.presence_penalty + n_sampled * params.frequency_penalty;
    }
    logits[id] = static_cast<float>(logit);
  }
}

Reference SampleByDefinition(const SamplerParams& params, const std::vector<float>& logits,
                             AllowedBits allowed, double unit) {
  std::vector<std::int32_t> ids;
  for (std::int32_t id = 0; id < static_cast<std::int32_t>(logits.size()); ++id) {
    const auto i = static_cast<std::size_t>(id);
    if (allowed.empty() || (allowed[i / 64] >> (i % 64) & 1) != 0) ids.push_back(id);
  }
  Reference reference;
  const auto logit = [&](std::int32_t id) { return logits[static_cast<std::size_t>(id)]; };
  // Only the plain softmax, and min-p alone, go through the tokens in the order of ids.
  std::vector<std::int32_t> sorted = ids;
  std::stable_sort(sorted.begin(), sorted.end(),
                   [&](std::int32_t a, std::int32_t b) { return logit(a) > logit(b); });
  const double largest = logit(sorted[0]);
  if (params.top_k > 0 || params.top_p < 1) ids = sorted;
  if (params.top_k > 0) ids.resize(std::min<std::size_t>(ids.size(), params.top_k));
  if (params.top_p < 1) {
    double total = 0, sum = 0;
    for (const std::int32_t id : ids) total += std::exp(logit(id) - largest);
    for (std::size_t i = 0; i < ids.size(); ++i) {
      sum += std::exp(logit(ids[i]) - largest);
      reference.near |= std::abs(sum - params.top_p * total) < 1e-9 * total;
      if (sum < params.top_p * total) continue;
      ids.resize(i + 1);
    }
  }
  std::erase_if(ids, [&](std::int32_t id) {
    reference.near |= std::abs(std::exp(logit(id) - largest) - params.min_p) < 1e-9 * params.min_p;
    return std::exp(logit(id) - largest) < params.min_p;
  });
  reference.probabilities.assign(logits.size(), 0.0);
  double total = 0, sum = 0;
  for (const std::int32_t id : ids) total += std::exp((logit(id) - largest) / params.temperature);
  for (const std::int32_t id : ids) {
    const double p = std::exp((logit(id) - largest) / params.temperature) / total;
    reference.probabilities[static_cast<std::size_t>(id)] = p;
    sum += p;
    reference.near |= std::abs(sum - unit) < 1e-9;
    if (reference.token < 0 && unit < sum) reference.token = id;
  }
  if (reference.token < 0) reference.token = ids.back();
  return reference;
}

SamplerParams RandomParams(SplitMix64& random) {
  SamplerParams params;
  params.temperature = 0.2 + 2 * random.NextUnit();
  params.top_k = random.NextBelow(3) == 0 ? 0 : 1 + static_cast<int>(random.NextBelow(60));
  params.top_p = random.NextBelow(3) == 0 ? 1.0 : random.NextUnit();
  params.min_p = random.NextBelow(2) == 0 ? 0.0 : random.NextUnit() * 0.3;
  if (random.NextBelow(2) == 0) {
    params.repeat_penalty = 0.8 + random.NextUnit();
    params.presence_penalty = random.NextUnit() * 3 - 1;
    params.frequency_penalty = random.NextUnit();
    params.penalty_window = static_cast<int>(random.NextBelow(12));
  }
  params.seed = random.Next();
  return params;
}

TEST(Sampler, EqualsTheChainByDefinition) {
  SplitMix64 random(77);
  int n_near = 0;
  for (int round = 0; round < 400; ++round) {
    SamplerParams params = RandomParams(random);
    std::vector<float> logits(1 + random.NextBelow(300));
    // Halves make ties.
    const bool ties = random.NextBelow(4) == 0;
    for (float& logit : logits) {
      const double value = random.NextUnit() * 12 - 6;
      logit = static_cast<float>(ties ? std::round(value * 2) / 2 : value);
    }
    std::vector<std::int32_t> prompt(random.NextBelow(8));
    for (std::int32_t& id : prompt) id = static_cast<std::int32_t>(random.NextBelow(logits.size()));
    std::vector<float> biased = logits;
    for (std::uint64_t n = random.NextBelow(4); n > 0; --n) {
      const auto id = static_cast<std::int32_t>(random.NextBelow(logits.size()));
      const double bias = random.NextUnit() * 10 - 5;
      params.logit_bias.push_back({id, bias});
      float& logit = biased[static_cast<std::size_t>(id)];
      logit = static_cast<float>(logit + bias);
    }
    std::vector<std::uint64_t> mask;
    if (random.NextBelow(2) == 0) {
      mask.resize((logits.size() + 63) / 64);
      for (std::uint64_t& word : mask) word = random.Next() & random.Next();
      mask[0] |= 1;
    }
    Sampler sampler(params);
    sampler.AddPrompt(prompt);
    std::vector<std::int32_t> answer;
    for (std::uint64_t n = 0; n < 5; ++n) {
      std::vector<float> expected = biased;
      Penalize(params, prompt, answer, expected);
      const Reference reference =
          SampleByDefinition(params, expected, mask, SplitMix64::UnitAt(params.seed, n));
      const std::int32_t token = sampler.Sample(logits, mask);
      n_near += reference.near;
      ASSERT_TRUE(reference.near || token == reference.token)
          << "round " << round << ": " << token << " for " << reference.token;
      sampler.Accept(token);
      answer.push_back(token);
    }
  }
  EXPECT_LT(n_near, 40);
}

// Pearson's statistic over `n` draws; its bar is the mean of the chi-square distribution plus six
// standard deviations.
TEST(Sampler, DrawsFollowTheirProbabilities) {
  SplitMix64 random(31);
  constexpr int kDraws = 20000;
  for (int round = 0; round < 6; ++round) {
    SamplerParams params = RandomParams(random);
    params.repeat_penalty = 1;
    params.presence_penalty = params.frequency_penalty = 0;
    std::vector<float> logits(20);
    for (float& logit : logits) logit = static_cast<float>(random.NextUnit() * 3);
    const Reference reference = SampleByDefinition(params, logits, {}, 0.5);
    const std::vector<int> counts = Count(params, logits, kDraws);
    double statistic = 0;
    int n_cells = 0;
    for (std::size_t i = 0; i < logits.size(); ++i) {
      const double expected = reference.probabilities[i] * kDraws;
      if (expected == 0) {
        EXPECT_EQ(counts[i], 0);
        continue;
      }
      statistic += (counts[i] - expected) * (counts[i] - expected) / expected;
      ++n_cells;
    }
    const double freedom = n_cells - 1;
    EXPECT_LE(statistic, freedom + 6 * std::sqrt(2 * freedom)) << "round " << round;
  }
}

TEST(Sampler, TokensBeyondAMaskAreForbidden) {
  std::vector<float> logits(100, 1.0f);
  logits[99] = 9;
  Sampler greedy(Params(0, 0, 1, 0));
  const std::vector<std::uint64_t> first_word = {~std::uint64_t{0} << 5};
  EXPECT_EQ(greedy.Sample(logits, first_word), 5);
  const std::vector<std::uint64_t> longer(10, ~std::uint64_t{0});
  EXPECT_EQ(greedy.Sample(logits, longer), 99);
}

TEST(TopLogits, EqualAFullSort) {
  SplitMix64 random(8);
  for (int round = 0; round < 300; ++round) {
    std::vector<float> logits(1 + random.NextBelow(700));
    for (float& logit : logits) {
      logit =
          random.NextBelow(20) == 0 ? kNan : static_cast<float>(std::round(random.NextUnit() * 50));
    }
    std::vector<std::uint64_t> allowed(round % 2 == 0 ? 0 : 1 + random.NextBelow(11));
    for (std::uint64_t& word : allowed) {
      word = random.NextBelow(3) == 0 ? ~std::uint64_t{0} : random.Next() & random.Next();
    }
    std::vector<Candidate> expected;
    ForEachAllowed(logits, allowed, [&](std::int32_t id, float logit) {
      expected.push_back({logit, id});
    });
    std::stable_sort(expected.begin(), expected.end(),
                     [](const Candidate& a, const Candidate& b) { return a.logit > b.logit; });
    std::vector<Candidate> top;
    const std::size_t k = 1 + random.NextBelow(90);
    TopLogits(logits, allowed, k, top);
    ASSERT_EQ(top.size(), std::min(k, expected.size()));
    for (std::size_t i = 0; i < top.size(); ++i) ASSERT_EQ(top[i].id, expected[i].id);
  }
}

TEST(Sampler, PenaltiesForgetWhatLeavesTheWindow) {
  SamplerParams params = Params(0, 0, 1, 0);
  params.repeat_penalty = 2.0;
  params.penalty_window = 2;
  Sampler sampler(params);
  const std::vector<float> logits = {4, 3, -1};
  const std::int32_t prompt[] = {0};
  sampler.AddPrompt(prompt);
  EXPECT_EQ(sampler.Sample(logits), 1);
  sampler.Accept(1);
  EXPECT_EQ(sampler.Sample(logits), 0);  // 2 against 1.5
  sampler.Accept(2);
  EXPECT_EQ(sampler.Sample(logits), 0);  // token 0 has left: 4 against 1.5
}

TEST(Sampler, BiasCanForbid) {
  SamplerParams params = Params(0, 0, 1, 0);
  params.logit_bias = {{1, -kInf}, {2, 1.5}, {900, 5}};
  Sampler sampler(params);
  EXPECT_EQ(sampler.Sample(std::vector<float>{1, 9, 0}), 2);
}

TEST(ExactExp, IsWithinItsBound) {
  SplitMix64 random(2);
  for (int i = 0; i < 50000; ++i) {
    const double x = -random.NextUnit() * (i % 2 == 0 ? 40 : 699);
    // The bound, and half a unit in the last place of the C library's own.
    ASSERT_NEAR(ExactExp(x) / std::exp(x), 1.0, 1e-15 + 2e-16) << x;
  }
  EXPECT_EQ(ExactExp(0), 1.0);
  EXPECT_EQ(ExactExp(-kInf), 0.0);
  EXPECT_EQ(ExactExp(kNan), 0.0);
  EXPECT_EQ(ExactExp(-1e300), 0.0);
}

TEST(Logprobs, AreTheLogarithmOfTheSoftmax) {
  SplitMix64 random(4);
  std::vector<float> logits(1000);
  for (float& logit : logits) logit = static_cast<float>(random.NextUnit() * 20 - 10);
  logits[5] = kNan;
  double total = 0;
  for (const float logit : logits) total += std::isnan(logit) ? 0 : std::exp(double{logit});
  const Logprobs result = ComputeLogprobs(logits, 17, 4);
  EXPECT_NEAR(result.chosen, double{logits[17]} - std::log(total), 1e-12);
  ASSERT_EQ(result.top.size(), 4u);
  for (const TokenLogprob& entry : result.top) {
    const double logit = logits[static_cast<std::size_t>(entry.token)];
    EXPECT_NEAR(entry.logprob, logit - std::log(total), 1e-12);
  }
  EXPECT_GT(result.top[0].logprob, result.top[3].logprob);
  EXPECT_EQ(ComputeLogprobs(logits, 5, 0).chosen, -double{kInf});
  EXPECT_EQ(ComputeLogprobs(std::vector<float>{1, kInf}, 1, 2).chosen, 0.0);
  EXPECT_EQ(ComputeLogprobs(std::vector<float>{1, kInf}, 1, 9).top.size(), 2u);
}

TEST(SamplerParams, AreChecked) {
  EXPECT_TRUE(CheckSamplerParams(SamplerParams()).ok());
  EXPECT_FALSE(CheckSamplerParams(Params(-1, 0, 1, 0)).ok());
  EXPECT_FALSE(CheckSamplerParams(Params(kNan, 0, 1, 0)).ok());
  EXPECT_FALSE(CheckSamplerParams(Params(1, -1, 1, 0)).ok());
  EXPECT_FALSE(CheckSamplerParams(Params(1, 0, 1.1, 0)).ok());
  EXPECT_FALSE(CheckSamplerParams(Params(1, 0, 1, kNan)).ok());
  const auto refused = [](auto change) {
    SamplerParams params;
    change(params);
    return !CheckSamplerParams(params).ok();
  };
  EXPECT_TRUE(refused([](SamplerParams& p) { p.repeat_penalty = 0; }));
  EXPECT_TRUE(refused([](SamplerParams& p) { p.repeat_penalty = kInf; }));
  EXPECT_TRUE(refused([](SamplerParams& p) { p.presence_penalty = kNan; }));
  EXPECT_TRUE(refused([](SamplerParams& p) { p.frequency_penalty = kInf; }));
  EXPECT_TRUE(refused([](SamplerParams& p) { p.penalty_window = -1; }));
  EXPECT_TRUE(refused([](SamplerParams& p) { p.logit_bias = {{-1, 0}}; }));
  EXPECT_TRUE(refused([](SamplerParams& p) { p.logit_bias = {{1, kInf}}; }));
  EXPECT_FALSE(refused([](SamplerParams& p) { p.logit_bias = {{1, -kInf}}; }));
}

TEST(Sampler, TakesOnlyAllowedTokens) {
  std::vector<float> logits(130, 5.0f);
  logits[3] = -kInf;
  logits[129] = kNan;
  for (const double temperature : {0.0, 0.7, 50.0}) {
    for (const int top_k : {0, 1, 40}) {
      Sampler sampler(Params(temperature, top_k, 0.95, 0.0));
      const std::vector<std::uint64_t> poor = {8, 0, 2};  // tokens 3 and 129
      const std::vector<std::uint64_t> one = {0, 1, 2};   // 64 and 129
      for (int i = 0; i < 20; ++i) {
        const std::int32_t token = sampler.Sample(logits, poor);
        EXPECT_TRUE(token == 3 || token == 129) << token;
        EXPECT_EQ(sampler.Sample(logits, one), 64);
      }
    }
  }
}

TEST(Sampler, AMaskThatAllowsAllChangesNothing) {
  const std::vector<float> logits = {1.0f, 0.5f, 2.0f, -1.0f, 0.0f};
  Sampler plain(Params(1.0, 0, 1.0, 0.0));
  Sampler masked(Params(1.0, 0, 1.0, 0.0));
  const std::vector<std::uint64_t> all = {~std::uint64_t{0}};
  for (int i = 0; i < 200; ++i) EXPECT_EQ(masked.Sample(logits, all), plain.Sample(logits));
}

TEST(SamplerParams, TakeTheModelsValues) {
  const SamplerParams params =
      ModelSamplerParams([](const std::string& key) -> std::optional<double> {
        if (key == "general.sampling.temp") return 0.6;
        if (key == "general.sampling.top_k") return 20;
        if (key == "general.sampling.top_p") return 1.5;
        if (key == "general.sampling.penalty_repeat") return 1.1;
        if (key == "general.sampling.penalty_last_n") return -1;
        return std::nullopt;
      });
  EXPECT_EQ(params.temperature, 0.6);
  EXPECT_EQ(params.top_k, 20);
  EXPECT_EQ(params.top_p, SamplerParams().top_p);
  EXPECT_EQ(params.min_p, SamplerParams().min_p);
  EXPECT_EQ(params.repeat_penalty, 1.1);
  EXPECT_EQ(params.penalty_window, 0);
}

}  // namespace
}  // namespace larder
