// The operations of CpuOps (other than products) against plain double-precision references, and the
// same bits on every instruction set, thread count and batch.
#include "kernels/ops.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <vector>

#include "kernels/cpu_ops.h"
#include "kernels/kernel_table.h"
#include "kernels/test_util.h"

namespace larder {
namespace {

using Floats = std::vector<float>;

OpsLimits TestLimits() {
  OpsLimits limits;
  limits.max_tokens = 300;
  limits.max_input_dim = 2048;
  limits.expert_model_dim = 256;
  limits.expert_ff_dim = 512;
  limits.max_experts = 512;
  limits.n_used = 4;
  limits.n_heads = 16;
  limits.head_dim = 256;
  limits.max_positions = 4096;
  return limits;
}

// Runs `body` with every instruction set and 1, 2 and 4 threads; all must return the bits of the
// first, which is returned.
Floats OnAll(const std::function<Floats(Ops&)>& body) {
  Floats first;
  for (Isa isa : IsasHere()) {
    for (int n_threads : {1, 2, 4}) {
      ThreadPool pool(n_threads);
      auto ops = MakeCpuOps(isa, &pool, TestLimits());
      EXPECT_TRUE(ops.ok());
      Floats got = body(*ops.value());
      if (first.empty()) first = got;
      EXPECT_TRUE(SameBits(first, got)) << IsaName(isa) << " threads " << n_threads;
    }
  }
  return first;
}

double Sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

TEST(Exp, WithinTwoUlpAndSameBits) {
  Floats x;
  for (int i = -110000; i <= 92000; ++i) x.push_back(static_cast<float>(i) * 0.001f);
  SplitMix64 random(1);
  for (int i = 0; i < 100000; ++i) x.push_back(static_cast<float>(random.NextUnit() * 2 - 1));
  for (float special : {0.0f, -0.0f, HUGE_VALF, -HUGE_VALF, 1e30f, -1e30f}) x.push_back(special);
  Floats truth(x.size());
  ScalarKernels().exp_row(x.data(), static_cast<std::int64_t>(x.size()), truth.data());
  for (Isa isa : IsasHere()) {
    Floats got(x.size());
    GetKernels(isa).exp_row(x.data(), static_cast<std::int64_t>(x.size()), got.data());
    EXPECT_TRUE(SameBits(truth, got)) << IsaName(isa);
    float nan = std::nanf("");
    GetKernels(isa).exp_row(&nan, 1, &nan);
    EXPECT_TRUE(std::isnan(nan));
  }
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double want = std::exp(double{x[i]});
    if (want > double{std::numeric_limits<float>::max()}) {
      ASSERT_EQ(truth[i], HUGE_VALF) << x[i];
      continue;
    }
    const float near = static_cast<float>(want);
    const double ulp = std::max(std::nextafterf(near, HUGE_VALF) - double{near}, 0x1p-149);
    ASSERT_LE(std::fabs(truth[i] - want), 2 * ulp) << x[i];
  }
}

TEST(RowOps, NormsGatesAndSums) {
  for (std::int64_t n : {1, 15, 64, 257, 2048}) {
    const std::int64_t n_tokens = 5;
    const Floats x = RandomFloats(1, n_tokens * n, 2.0f);
    const Floats y = RandomFloats(2, n_tokens * n, 2.0f);
    const Floats weight = RandomFloats(3, n, 1.0f);
    const Floats gates = RandomFloats(4, n_tokens, 3.0f);
    const Floats got = OnAll([&](Ops& ops) {
      Floats all;
      Floats buffer(x.size());
      const ConstMatrix xm(x.data(), n_tokens, n);
      const ConstMatrix ym(y.data(), n_tokens, n);
      const auto keep = [&] { all.insert(all.end(), buffer.begin(), buffer.end()); };
      ops.RmsNorm(xm, weight.data(), 1e-6f, Matrix(buffer.data(), n_tokens, n));
      keep();
      buffer = x;
      ops.Add(Matrix(buffer.data(), n_tokens, n), ym);
      keep();
      ops.SwiGlu(xm, ym, Matrix(buffer.data(), n_tokens, n));
      keep();
      buffer = x;
      ops.AddGated(Matrix(buffer.data(), n_tokens, n), ym, ConstMatrix(gates.data(), n_tokens, 1));
      keep();
      buffer = x;
      ops.SigmoidGate(Heads{buffer.data(), n_tokens, 1, n, n, n},
                      ConstHeads{y.data(), n_tokens, 1, n, n, n});
      keep();
      buffer = x;
      ops.GatedRmsNorm(Heads{buffer.data(), n_tokens, 1, n, n, n},
                       ConstHeads{y.data(), n_tokens, 1, n, n, n}, weight.data(), 1e-5f);
      keep();
      return all;
    });
    const auto size = static_cast<std::size_t>(n_tokens * n);
    for (std::int64_t t = 0; t < n_tokens; ++t) {
      double squares = 0;
      for (std::int64_t i = 0; i < n; ++i)
        squares += std::pow(double{x[static_cast<std::size_t>(t * n + i)]}, 2);
      const double mean = squares / static_cast<double>(n);
      for (std::int64_t i = 0; i < n; ++i) {
        const auto at = static_cast<std::size_t>(t * n + i);
        const double a = x[at];
        const double b = y[at];
        const double w = weight[static_cast<std::size_t>(i)];
        const double wants[] = {a / std::sqrt(mean + 1e-6) * w,
                                a + b,
                                a * Sigmoid(a) * b,
                                a + b * Sigmoid(gates[static_cast<std::size_t>(t)]),
                                a * Sigmoid(b),
                                a / std::sqrt(mean + 1e-5) * w * b * Sigmoid(b)};
        for (std::size_t op = 0; op < std::size(wants); ++op) {
          // A dozen float operations of 2^-24 each, plus the error of a sum of n / 16 squares.
          const double relative = (16 + static_cast<double>(n) / 32) * 0x1p-24;
          const double tolerance =
              relative *
                  (std::fabs(wants[op]) + (op == 1 || op == 3 ? std::fabs(a) + std::fabs(b) : 0)) +
              1e-12;
          ASSERT_NEAR(got[op * size + at], wants[op], tolerance) << "op " << op << " n " << n;
        }
      }
    }
  }
}

TEST(NormRope, MatchesReferenceAndBatches) {
  const std::int64_t n_tokens = 7;
  const std::int64_t n_heads = 3;
  const std::int64_t dim = 64;
  for (std::int64_t n_dims : {16, 64}) {
    for (std::int64_t first : {0, 100000}) {
      const Floats x = RandomFloats(1, n_tokens * n_heads * 2 * dim, 1.5f);
      const Floats weight = RandomFloats(2, dim, 1.0f);
      const RopeParams rope{n_dims, 1e7f};
      const Floats got = OnAll([&](Ops& ops) {
        Floats all = x;
        const Heads heads{all.data(), n_tokens, n_heads, dim, n_heads * 2 * dim, 2 * dim};
        ops.NormRope(heads, weight.data(), 1e-6f, rope, first);
        Floats single = x;
        for (std::int64_t t = 0; t < n_tokens; ++t) {
          ops.NormRope(Heads{single.data() + t * n_heads * 2 * dim, 1, n_heads, dim,
                             n_heads * 2 * dim, 2 * dim},
                       weight.data(), 1e-6f, rope, first + t);
        }
        EXPECT_TRUE(SameBits(all, single));
        return all;
      });
      for (std::int64_t t = 0; t < n_tokens; ++t) {
        for (std::int64_t h = 0; h < n_heads; ++h) {
          const std::size_t at = static_cast<std::size_t>((t * n_heads + h) * 2 * dim);
          double squares = 0;
          for (std::int64_t i = 0; i < dim; ++i)
            squares += std::pow(double{x[at + static_cast<std::size_t>(i)]}, 2);
          std::vector<double> normed(static_cast<std::size_t>(dim));
          for (std::size_t i = 0; i < normed.size(); ++i) {
            normed[i] =
                x[at + i] / std::sqrt(squares / static_cast<double>(dim) + 1e-6) * weight[i];
          }
          const auto half = static_cast<std::size_t>(n_dims / 2);
          for (std::size_t j = 0; j < half; ++j) {
            const float frequency =
                1.0f /
                static_cast<float>(std::pow(1e7, static_cast<double>(static_cast<float>(2 * j) /
                                                                     static_cast<float>(n_dims))));
            const double angle = static_cast<float>(first + t) * frequency;
            const double a = normed[j];
            const double b = normed[j + half];
            const double scale = (std::fabs(a) + std::fabs(b)) * 20 * 0x1p-24 + 1e-12;
            ASSERT_NEAR(got[at + j], a * std::cos(angle) - b * std::sin(angle), scale);
            ASSERT_NEAR(got[at + j + half], b * std::cos(angle) + a * std::sin(angle), scale);
          }
          for (std::size_t j = 2 * half; j < normed.size(); ++j) {
            ASSERT_NEAR(got[at + j], normed[j], std::fabs(normed[j]) * 20 * 0x1p-24 + 1e-12);
          }
          ASSERT_EQ(got[at + static_cast<std::size_t>(dim)], x[at + static_cast<std::size_t>(dim)]);
        }
      }
    }
  }
}

TEST(Conv, MatchesReferenceAndContinues) {
  const std::int64_t n_tokens = 9;
  for (std::int64_t n_channels : {1, 70, 192}) {
    for (std::int64_t width : {1, 2, 4}) {
      const Floats x = RandomFloats(1, n_tokens * n_channels, 1.0f);
      const Floats weight = RandomFloats(2, n_channels * width, 1.0f);
      const Floats before = RandomFloats(3, n_channels * (width - 1), 1.0f);
      const Floats got = OnAll([&](Ops& ops) {
        Floats out(x.size());
        Floats state = before;
        ops.CausalConvSilu(ConstMatrix(x.data(), n_tokens, n_channels), weight.data(), width,
                           state.data(), Matrix(out.data(), n_tokens, n_channels));
        Floats split(x.size());
        Floats split_state = before;
        for (const auto& [begin, end] : {std::pair{0, 1}, std::pair{1, 3}, std::pair{3, 9}}) {
          ops.CausalConvSilu(ConstMatrix(x.data(), n_tokens, n_channels).Rows(begin, end),
                             weight.data(), width, split_state.data(),
                             Matrix(split.data(), n_tokens, n_channels).Rows(begin, end));
        }
        EXPECT_TRUE(SameBits(out, split));
        EXPECT_TRUE(SameBits(state, split_state));
        out.insert(out.end(), state.begin(), state.end());
        return out;
      });
      const auto input = [&](std::int64_t t, std::int64_t c) -> double {
        return t >= 0 ? x[static_cast<std::size_t>(t * n_channels + c)]
                      : before[static_cast<std::size_t>(c * (width - 1) + width - 1 + t)];
      };
      for (std::int64_t c = 0; c < n_channels; ++c) {
        for (std::int64_t t = 0; t < n_tokens; ++t) {
          double sum = 0;
          double magnitude = 0;
          for (std::int64_t k = 0; k < width; ++k) {
            const double term = double{weight[static_cast<std::size_t>(c * width + k)]} *
                                input(t - width + 1 + k, c);
            sum += term;
            magnitude += std::fabs(term);
          }
          ASSERT_NEAR(got[static_cast<std::size_t>(t * n_channels + c)], sum * Sigmoid(sum),
                      magnitude * 16 * 0x1p-24 + 1e-12);
        }
        for (std::int64_t k = 0; k < width - 1; ++k) {
          ASSERT_EQ(got[x.size() + static_cast<std::size_t>(c * (width - 1) + k)],
                    static_cast<float>(input(n_tokens - width + 1 + k, c)));
        }
      }
    }
  }
}

TEST(Route, PicksBestFirstWithTiesToTheLowerIndex) {
  const std::int64_t n_tokens = 6;
  const std::int64_t n_experts = 37;
  Floats logits = RandomFloats(1, n_tokens * n_experts, 2.0f);
  // Token 0: all equal; token 1: a tie for the top.
  std::fill(logits.begin(), logits.begin() + n_experts, 0.25f);
  logits[static_cast<std::size_t>(n_experts + 30)] = 50.0f;
  logits[static_cast<std::size_t>(n_experts + 12)] = 50.0f;
  const std::int64_t n_used = 4;
  const Floats got = OnAll([&](Ops& ops) {
    std::vector<std::int32_t> ids(static_cast<std::size_t>(n_tokens * n_used));
    Floats out(ids.size());
    ops.Route(ConstMatrix(logits.data(), n_tokens, n_experts), n_used, ids.data(), out.data());
    out.insert(out.end(), ids.begin(), ids.end());
    return out;
  });
  for (std::int64_t t = 0; t < n_tokens; ++t) {
    std::vector<std::int64_t> order(static_cast<std::size_t>(n_experts));
    std::iota(order.begin(), order.end(), 0);
    const float* row = logits.data() + t * n_experts;
    std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return row[a] > row[b]; });
    double sum = 0;
    for (std::int64_t k = 0; k < n_used; ++k)
      sum += std::exp(double{row[order[static_cast<std::size_t>(k)]]});
    for (std::int64_t k = 0; k < n_used; ++k) {
      const auto at = static_cast<std::size_t>(t * n_used + k);
      const std::int64_t id = order[static_cast<std::size_t>(k)];
      EXPECT_EQ(static_cast<std::int64_t>(got[at + static_cast<std::size_t>(n_tokens * n_used)]),
                id);
      EXPECT_NEAR(got[at], std::exp(double{row[id]}) / sum, 1e-6);
    }
  }
}

TEST(SumExperts, AddsInRouterOrder) {
  const std::int64_t n_tokens = 3;
  const std::int64_t n = 100;
  const Floats outputs = RandomFloats(1, n_tokens * 4 * n, 1.0f);
  const Floats weights = RandomFloats(2, n_tokens * 4, 1.0f);
  const Floats x = RandomFloats(3, n_tokens * n, 1.0f);
  const Floats got = OnAll([&](Ops& ops) {
    Floats out = x;
    ops.SumExperts(ConstMatrix(outputs.data(), n_tokens * 4, n), weights.data(), 4,
                   Matrix(out.data(), n_tokens, n));
    return out;
  });
  for (std::int64_t t = 0; t < n_tokens; ++t) {
    for (std::int64_t i = 0; i < n; ++i) {
      double sum = x[static_cast<std::size_t>(t * n + i)];
      for (std::int64_t k = 0; k < 4; ++k) {
        sum += double{weights[static_cast<std::size_t>(t * 4 + k)]} *
               outputs[static_cast<std::size_t>((t * 4 + k) * n + i)];
      }
      EXPECT_NEAR(got[static_cast<std::size_t>(t * n + i)], sum, 2e-6);
    }
  }
}

}  // namespace
}  // namespace larder
