// CpuOps::MatMul with several products, and the experts: same bits on every instruction set, thread
// count and grouping of the work, and close to the operations they are made of.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <numeric>
#include <vector>

#include "kernels/cpu_ops.h"
#include "kernels/kernel_table.h"
#include "kernels/test_util.h"

namespace larder {
namespace {

using Floats = std::vector<float>;

std::size_t Index(std::int64_t i) { return static_cast<std::size_t>(i); }

// An encoded random matrix at an odd address.
struct Weights {
  std::vector<std::byte> bytes;
  Floats decoded;
  WeightView view;

  Weights(DType dtype, std::int64_t n_rows, std::int64_t n_cols, std::uint64_t seed) {
    bytes.resize(RowBytes(dtype, n_rows * n_cols) + 1);
    FillWithWeights(dtype, seed, n_rows * n_cols, 0.08f, bytes.data() + 1);
    decoded.resize(Index(n_rows * n_cols));
    DecodeRow(dtype, bytes.data() + 1, decoded.data(), n_rows * n_cols);
    view = {bytes.data() + 1, dtype, n_rows, n_cols};
  }
};

OpsLimits TestLimits(std::int64_t d_model, std::int64_t d_ff) {
  OpsLimits limits;
  limits.max_tokens = 600;
  limits.max_input_dim = d_model;
  limits.expert_model_dim = d_model;
  limits.expert_ff_dim = d_ff;
  limits.max_experts = 8;
  limits.n_used = 2;
  return limits;
}

TEST(MatMulOp, MixedTypesStridesAndManyTokens) {
  const std::int64_t d_in = 512;
  std::deque<Weights> weights;
  std::int64_t rows = 3;
  for (DType dtype : AllDTypes()) {
    weights.emplace_back(dtype, rows, d_in, static_cast<std::uint64_t>(rows));
    rows += 29;
  }
  for (std::int64_t n_tokens : {1, 5, 300}) {
    const Floats x = RandomFloats(1, n_tokens * (d_in + 3), 1.0f);
    Floats first;
    for (Isa isa : IsasHere()) {
      for (int n_threads : {1, 3}) {
        ThreadPool pool(n_threads);
        auto ops = MakeCpuOps(isa, &pool, TestLimits(d_in, 256));
        ASSERT_TRUE(ops.ok());
        std::deque<Floats> outs;
        std::vector<Product> products;
        for (const Weights& w : weights) {
          outs.emplace_back(Index(n_tokens * (w.view.n_rows + 2)), 7.0f);
          products.push_back(
              {w.view, Matrix(outs.back().data(), n_tokens, w.view.n_rows, w.view.n_rows + 2)});
        }
        ops.value()->MatMul(ConstMatrix(x.data(), n_tokens, d_in, d_in + 3), products);
        Floats got;
        for (const Floats& out : outs) got.insert(got.end(), out.begin(), out.end());
        if (first.empty()) first = got;
        ASSERT_TRUE(SameBits(first, got)) << IsaName(isa) << " threads " << n_threads;
      }
    }
    // Each token's row equals the product of that token alone; padding stays untouched.
    ThreadPool pool(1);
    auto ops = MakeCpuOps(TestIsa(), &pool, TestLimits(d_in, 256));
    std::size_t at = 0;
    for (const Weights& w : weights) {
      const std::int64_t stride = w.view.n_rows + 2;
      for (std::int64_t t = 0; t < n_tokens; t += 37) {
        Floats alone(Index(w.view.n_rows));
        const Product product{w.view, Matrix(alone.data(), 1, w.view.n_rows)};
        ops.value()->MatMul(ConstMatrix(x.data() + t * (d_in + 3), 1, d_in), {&product, 1});
        const auto begin = first.begin() + static_cast<std::ptrdiff_t>(at) + t * stride;
        ASSERT_TRUE(SameBits(alone, Floats(begin, begin + w.view.n_rows)));
        ASSERT_EQ(begin[w.view.n_rows], 7.0f);
      }
      at += Index(n_tokens * stride);
    }
  }
}

struct ExpertSet {
  std::deque<Weights> weights;  // gate, up, down of each expert
  std::vector<std::vector<std::int32_t>> tokens;
  std::vector<std::vector<std::int32_t>> out_rows;
  std::vector<ExpertWork> works;
  std::int64_t n_outputs = 0;

  ExpertSet(DType gate_type, DType down_type, std::int64_t d_model, std::int64_t d_ff,
            std::int64_t n_tokens, std::int64_t n_experts) {
    SplitMix64 random(5);
    for (std::int64_t e = 0; e < n_experts; ++e) {
      weights.emplace_back(gate_type, d_ff, d_model, random.Next());
      weights.emplace_back(gate_type, d_ff, d_model, random.Next());
      weights.emplace_back(down_type, d_model, d_ff, random.Next());
      tokens.emplace_back();
      out_rows.emplace_back();
      for (std::int64_t t = 0; t < n_tokens; ++t) {
        if (n_tokens > 1 && random.NextBelow(3) == 0) continue;
        tokens.back().push_back(static_cast<std::int32_t>(n_tokens - 1 - t));
        out_rows.back().push_back(static_cast<std::int32_t>(n_outputs++));
      }
    }
    for (std::int64_t e = 0; e < n_experts; ++e) {
      works.push_back({weights[Index(3 * e)].view, weights[Index(3 * e + 1)].view,
                       weights[Index(3 * e + 2)].view, tokens[Index(e)], out_rows[Index(e)]});
    }
  }
};

void CheckExperts(DType gate_type, DType down_type, std::int64_t d_model, std::int64_t d_ff,
                  std::int64_t n_tokens, std::int64_t n_experts) {
  const ExpertSet set(gate_type, down_type, d_model, d_ff, n_tokens, n_experts);
  const Floats x = RandomFloats(1, n_tokens * d_model, 1.0f);
  const ConstMatrix xm(x.data(), n_tokens, d_model);
  Floats first;
  for (Isa isa : IsasHere()) {
    for (int n_threads : {1, 3}) {
      ThreadPool pool(n_threads);
      auto ops = MakeCpuOps(isa, &pool, TestLimits(d_model, d_ff));
      ASSERT_TRUE(ops.ok());
      for (bool one_by_one : {false, true}) {
        Floats got(Index(set.n_outputs * d_model), 3.0f);
        const Matrix out(got.data(), set.n_outputs, d_model);
        ops.value()->PrepareExperts(xm);
        if (one_by_one) {
          for (std::size_t e = set.works.size(); e-- > 0;)
            ops.value()->RunExperts({&set.works[e], 1}, out);
        } else {
          ops.value()->RunExperts(set.works, out);
        }
        if (first.empty()) first = got;
        ASSERT_TRUE(SameBits(first, got)) << IsaName(isa) << " threads " << n_threads;
      }
    }
  }
  // The same through MatMul and SwiGlu, token by token.
  ThreadPool pool(1);
  auto ops = MakeCpuOps(TestIsa(), &pool, TestLimits(std::max(d_model, d_ff), d_ff));
  for (const ExpertWork& work : set.works) {
    for (std::size_t i = 0; i < work.tokens.size(); i += 5) {
      Floats gate(Index(d_ff));
      Floats up(Index(d_ff));
      Floats out(Index(d_model));
      const Product inner[] = {{work.gate, Matrix(gate.data(), 1, d_ff)},
                               {work.up, Matrix(up.data(), 1, d_ff)}};
      ops.value()->MatMul(xm.Rows(work.tokens[i], work.tokens[i] + 1), inner);
      const Matrix hidden(gate.data(), 1, d_ff);
      ops.value()->SwiGlu(hidden, ConstMatrix(up.data(), 1, d_ff), hidden);
      const Product outer{work.down, Matrix(out.data(), 1, d_model)};
      ops.value()->MatMul(hidden, {&outer, 1});
      const auto begin = first.begin() + work.out_rows[i] * d_model;
      ASSERT_TRUE(SameBits(out, Floats(begin, begin + d_model)));
    }
  }
}

TEST(Experts, OneTokenManyExperts) { CheckExperts(DType::kQ4_K, DType::kQ6_K, 256, 512, 1, 8); }
TEST(Experts, ManyTokensMoreThanTheScratchHolds) {
  CheckExperts(DType::kQ4_K, DType::kQ4_K, 256, 256, 600, 2);
}
TEST(Experts, AwkwardWidths) {
  CheckExperts(DType::kQ8_0, DType::kQ4_0, 96, 288, 17, 3);
  CheckExperts(DType::kF32, DType::kF16, 24, 40, 9, 4);
  CheckExperts(DType::kBF16, DType::kF32, 24, 300, 9, 2);
  CheckExperts(DType::kQ5_K, DType::kQ8_0, 512, 768, 3, 2);
}

}  // namespace
}  // namespace larder
