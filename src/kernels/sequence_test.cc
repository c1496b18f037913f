// Attention and the gated delta rule against double-precision references, and the same bits on
// every instruction set, thread count and split of the tokens into batches.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <vector>

#include "kernels/cpu_ops.h"
#include "kernels/kernel_table.h"
#include "kernels/test_util.h"

namespace larder {
namespace {

using Floats = std::vector<float>;

std::size_t Index(std::int64_t i) { return static_cast<std::size_t>(i); }

OpsLimits TestLimits() {
  OpsLimits limits;
  limits.max_tokens = 64;
  limits.max_input_dim = 256;
  limits.n_heads = 16;
  limits.head_dim = 256;
  limits.max_positions = 4096;
  return limits;
}

struct AttentionCase {
  std::int64_t n_heads;
  std::int64_t n_kv_heads;
  std::int64_t head_dim;
  std::int64_t first_position;
  std::int64_t n_tokens;
};

// Fills a cache with random halves (positions before first_position and the tokens' own), attends
// in batches of `batch`.
class AttentionRun {
 public:
  AttentionRun(const AttentionCase& shape, DType dtype) : shape_(shape) {
    const std::int64_t capacity = shape.first_position + shape.n_tokens + 5;
    const std::size_t n = RowBytes(dtype, shape.head_dim) * Index(shape.n_kv_heads * capacity);
    // Positions never written hold NaN (halves, or scales of halves): no output may depend on them.
    keys_.assign(n, std::byte{0x7e});
    values_.assign(n, std::byte{0x7e});
    cache_ = {keys_.data(), values_.data(), dtype, shape.n_kv_heads, capacity, shape.head_dim};
    const std::int64_t n_positions = shape.first_position + shape.n_tokens;
    new_keys_ = RandomFloats(1, n_positions * shape.n_kv_heads * shape.head_dim, 1.0f);
    new_values_ = RandomFloats(2, n_positions * shape.n_kv_heads * shape.head_dim, 1.0f);
    queries_ = RandomFloats(3, shape.n_tokens * shape.n_heads * shape.head_dim, 1.0f);
  }

  Floats Run(Ops& ops, std::int64_t batch) {
    Append(ops, 0, shape_.first_position);
    Floats out(queries_.size());
    const std::int64_t stride = shape_.n_heads * shape_.head_dim;
    for (std::int64_t first = 0; first < shape_.n_tokens; first += batch) {
      const std::int64_t n = std::min(batch, shape_.n_tokens - first);
      Append(ops, shape_.first_position + first, n);
      ops.Attention(ConstHeads{queries_.data() + first * stride, n, shape_.n_heads, shape_.head_dim,
                               stride, shape_.head_dim},
                    cache_, shape_.first_position + first, Scale(),
                    Heads{out.data() + first * stride, n, shape_.n_heads, shape_.head_dim, stride,
                          shape_.head_dim});
    }
    return out;
  }

  // Of the keys' and values' blocks: the distance between neighbouring Q8_0 values.
  double LargestStep() const {
    float largest = 0;
    for (const float x : new_keys_) largest = std::max(largest, std::fabs(x));
    for (const float x : new_values_) largest = std::max(largest, std::fabs(x));
    return largest / 127.0 * (1 + 0x1p-11);
  }

  double QuantizationBound() const {
    double query_sum = 0;
    for (std::size_t row = 0; row < queries_.size(); row += Index(shape_.head_dim)) {
      double sum = 0;
      for (std::int64_t i = 0; i < shape_.head_dim; ++i) {
        sum += std::fabs(queries_[row + Index(i)]);
      }
      query_sum = std::max(query_sum, sum);
    }
    // Half a step, and 2^-11 of the value for the F16 cache that stands for the exact one.
    const double wrong = LargestStep() * (0.5 + 127 * 0x1p-11);
    const double score = query_sum * wrong * double{Scale()};
    return std::expm1(2 * score) * 127 * LargestStep() + wrong;
  }

  float Scale() const { return 1.0f / std::sqrt(static_cast<float>(shape_.head_dim)); }

  void ExpectClose(const Floats& got) const {
    const std::int64_t group = shape_.n_heads / shape_.n_kv_heads;
    for (std::int64_t t = 0; t < shape_.n_tokens; ++t) {
      for (std::int64_t h = 0; h < shape_.n_heads; ++h) ExpectHeadClose(got, t, h, h / group);
    }
  }

 private:
  void Append(Ops& ops, std::int64_t first, std::int64_t n) {
    const std::int64_t stride = shape_.n_kv_heads * shape_.head_dim;
    const auto heads = [&](const Floats& from) {
      return ConstHeads{from.data() + first * stride,
                        n,
                        shape_.n_kv_heads,
                        shape_.head_dim,
                        stride,
                        shape_.head_dim};
    };
    ops.AppendKv(heads(new_keys_), heads(new_values_), first, cache_);
  }

  // The values that the cache holds for a head, encoded and decoded by the scalar truth.
  Floats Decoded(const Floats& from, std::int64_t kv_head, std::int64_t n_positions) const {
    Floats out(Index(n_positions * shape_.head_dim));
    std::vector<std::byte> row(RowBytes(cache_.dtype, shape_.head_dim));
    for (std::int64_t p = 0; p < n_positions; ++p) {
      const float* values = &from[Index((p * shape_.n_kv_heads + kv_head) * shape_.head_dim)];
      EncodeRow(cache_.dtype, values, row.data(), shape_.head_dim);
      DecodeRow(cache_.dtype, row.data(), &out[Index(p * shape_.head_dim)], shape_.head_dim);
    }
    return out;
  }

  void ExpectHeadClose(const Floats& got, std::int64_t t, std::int64_t h, std::int64_t kv) const {
    const std::int64_t view = shape_.first_position + t + 1;
    const float* query = queries_.data() + (t * shape_.n_heads + h) * shape_.head_dim;
    const Floats keys = Decoded(new_keys_, kv, view);
    const Floats values = Decoded(new_values_, kv, view);
    std::vector<double> weights(Index(view));
    double sum = 0;
    for (std::int64_t p = 0; p < view; ++p) {
      double score = 0;
      for (std::int64_t i = 0; i < shape_.head_dim; ++i)
        score += double{query[i]} * keys[Index(p * shape_.head_dim + i)];
      weights[Index(p)] = std::exp(score * double{Scale()});
      sum += weights[Index(p)];
    }
    for (std::int64_t i = 0; i < shape_.head_dim; i += 7) {
      double want = 0;
      for (std::int64_t p = 0; p < view; ++p)
        want += weights[Index(p)] / sum * values[Index(p * shape_.head_dim + i)];
      // Scores of a few units with a relative error of 2^-20 move weights that sum to one.
      ASSERT_NEAR(got[Index((t * shape_.n_heads + h) * shape_.head_dim + i)], want, 2e-5)
          << "token " << t << " head " << h << " dim " << i;
    }
  }

  AttentionCase shape_;
  std::vector<std::byte> keys_;
  std::vector<std::byte> values_;
  KvView cache_;
  Floats new_keys_;
  Floats new_values_;
  Floats queries_;
};

// The same bits on every instruction set, thread count and batch; those of the last run.
Floats RunEverywhere(AttentionRun& run, const AttentionCase& shape) {
  Floats first;
  for (Isa isa : IsasHere()) {
    for (int n_threads : {1, 3}) {
      ThreadPool pool(n_threads);
      auto ops = MakeCpuOps(isa, &pool, TestLimits());
      for (std::int64_t batch :
           {std::int64_t{1}, std::int64_t{2}, std::int64_t{7}, shape.n_tokens}) {
        const Floats got = run.Run(*ops.value(), batch);
        if (first.empty()) first = got;
        EXPECT_TRUE(SameBits(first, got)) << IsaName(isa) << " threads " << n_threads << " batch "
                                          << batch << " head_dim " << shape.head_dim;
      }
    }
  }
  return first;
}

TEST(Attention, MatchesReferenceOnEveryIsaThreadCountAndBatch) {
  const AttentionCase cases[] = {
      {1, 1, 16, 0, 1},     {4, 2, 32, 0, 9},    {3, 1, 24, 250, 12}, {5, 1, 128, 40, 33},
      {16, 2, 64, 1000, 5}, {8, 1, 256, 511, 3}, {6, 2, 64, 0, 64},   {16, 1, 40, 300, 21},
  };
  for (const AttentionCase& shape : cases) {
    AttentionRun run(shape, DType::kF16);
    run.ExpectClose(RunEverywhere(run, shape));
  }
}

TEST(Attention, QuantizedCacheMatchesReferenceOnEveryIsaThreadCountAndBatch) {
  const AttentionCase cases[] = {
      {4, 2, 32, 0, 9}, {3, 1, 96, 250, 12}, {16, 2, 64, 1000, 5}, {8, 1, 256, 511, 21}};
  for (const AttentionCase& shape : cases) {
    AttentionRun run(shape, DType::kQ8_0);
    run.ExpectClose(RunEverywhere(run, shape));
  }
}

// What Q8_0 may change against exact keys and values. A value is wrong by at most half a step of
// its block of 32, plus the rounding of its scale to half. A score q.k * scale moves by at most e =
// scale * sum |q_i| * step_i / 2, so each softmax weight by a factor within [e^-2e, e^2e], and the
// output by at most (e^2e - 1) * max |v| plus the largest half step of the values.
TEST(Attention, QuantizedCacheStaysInsideItsErrorBound) {
  const AttentionCase shape = {8, 1, 128, 700, 4};
  AttentionRun exact(shape, DType::kF16);
  AttentionRun quantized(shape, DType::kQ8_0);
  ThreadPool pool(2);
  auto ops = MakeCpuOps(BestIsa(), &pool, TestLimits());
  const Floats want = exact.Run(*ops.value(), 4);
  const Floats got = quantized.Run(*ops.value(), 4);
  const double bound = quantized.QuantizationBound();
  double worst = 0;
  double sum_squares = 0;
  for (std::size_t i = 0; i < want.size(); ++i) {
    worst = std::max(worst, std::fabs(double{got[i]} - want[i]));
    sum_squares += (double{got[i]} - want[i]) * (double{got[i]} - want[i]);
  }
  EXPECT_LE(worst, bound);
  EXPECT_GT(worst, 0.0);
  // The bound is for the worst case; errors of random sign are far smaller: the mean square stays
  // below that of one value's rounding, step^2 / 12, as averages over positions must.
  const double step = quantized.LargestStep();
  EXPECT_LT(std::sqrt(sum_squares / static_cast<double>(want.size())), step / std::sqrt(12.0));
}

struct DeltaCase {
  std::int64_t n_key_heads;
  std::int64_t n_value_heads;
  std::int64_t d_k;
  std::int64_t d_v;
};

class DeltaRun {
 public:
  static constexpr std::int64_t kTokens = 11;

  explicit DeltaRun(const DeltaCase& shape) : shape_(shape) {
    q_ = RandomFloats(1, kTokens * shape.n_key_heads * shape.d_k, 1.0f);
    k_ = RandomFloats(2, kTokens * shape.n_key_heads * shape.d_k, 1.0f);
    v_ = RandomFloats(3, kTokens * shape.n_value_heads * shape.d_v, 1.0f);
    a_ = RandomFloats(4, kTokens * shape.n_value_heads, 2.0f);
    b_ = RandomFloats(5, kTokens * shape.n_value_heads, 2.0f);
    neg_exp_a_ = RandomFloats(6, shape.n_value_heads, 0.3f);
    for (float& value : neg_exp_a_) value = -std::exp(value);
    dt_bias_ = RandomFloats(7, shape.n_value_heads, 1.0f);
    state_ = RandomFloats(8, shape.n_value_heads * shape.d_k * shape.d_v, 0.3f);
  }

  // Outputs, then the final state.
  Floats Run(Ops& ops, std::int64_t batch) const {
    Floats state = state_;
    Floats out(v_.size());
    for (std::int64_t first = 0; first < kTokens; first += batch) {
      const std::int64_t n = std::min(batch, kTokens - first);
      const std::int64_t key_stride = shape_.n_key_heads * shape_.d_k;
      const std::int64_t value_stride = shape_.n_value_heads * shape_.d_v;
      DeltaRuleArgs args;
      args.q = {q_.data() + first * key_stride,
                n,
                shape_.n_key_heads,
                shape_.d_k,
                key_stride,
                shape_.d_k};
      args.k = {k_.data() + first * key_stride,
                n,
                shape_.n_key_heads,
                shape_.d_k,
                key_stride,
                shape_.d_k};
      args.v = {v_.data() + first * value_stride,
                n,
                shape_.n_value_heads,
                shape_.d_v,
                value_stride,
                shape_.d_v};
      args.a = ConstMatrix(a_.data() + first * shape_.n_value_heads, n, shape_.n_value_heads);
      args.b = ConstMatrix(b_.data() + first * shape_.n_value_heads, n, shape_.n_value_heads);
      args.neg_exp_a = neg_exp_a_.data();
      args.dt_bias = dt_bias_.data();
      args.state = state.data();
      args.out = {out.data() + first * value_stride,
                  n,
                  shape_.n_value_heads,
                  shape_.d_v,
                  value_stride,
                  shape_.d_v};
      ops.GatedDeltaRule(args);
    }
    out.insert(out.end(), state.begin(), state.end());
    return out;
  }

  void ExpectClose(const Floats& got) const {
    for (std::int64_t j = 0; j < shape_.n_value_heads; ++j) ExpectHeadClose(got, j);
  }

 private:
  void ExpectHeadClose(const Floats& got, std::int64_t j) const {
    const std::int64_t d_k = shape_.d_k;
    const std::int64_t d_v = shape_.d_v;
    std::vector<double> s(state_.begin() + j * d_k * d_v, state_.begin() + (j + 1) * d_k * d_v);
    for (std::int64_t t = 0; t < kTokens; ++t) {
      const float* q = q_.data() + (t * shape_.n_key_heads + j % shape_.n_key_heads) * d_k;
      const float* k = k_.data() + (t * shape_.n_key_heads + j % shape_.n_key_heads) * d_k;
      double q_norm = 1e-6f;
      double k_norm = 1e-6f;
      for (std::int64_t i = 0; i < d_k; ++i) {
        q_norm += double{q[i]} * q[i];
        k_norm += double{k[i]} * k[i];
      }
      q_norm = 1 / std::sqrt(q_norm * static_cast<double>(d_k));
      k_norm = 1 / std::sqrt(k_norm);
      const std::int64_t at = t * shape_.n_value_heads + j;
      const double pre = double{a_[Index(at)]} + dt_bias_[Index(j)];
      const double decay = std::exp(neg_exp_a_[Index(j)] * std::log1p(std::exp(pre)));
      const double beta = 1 / (1 + std::exp(-double{b_[Index(at)]}));
      for (std::int64_t c = 0; c < d_v; ++c) {
        double recalled = 0;
        for (std::int64_t i = 0; i < d_k; ++i) {
          s[Index(i * d_v + c)] *= decay;
          recalled += s[Index(i * d_v + c)] * k[i] * k_norm;
        }
        const double change = beta * (v_[Index(at * d_v + c)] - recalled);
        double out = 0;
        for (std::int64_t i = 0; i < d_k; ++i) {
          s[Index(i * d_v + c)] += k[i] * k_norm * change;
          out += s[Index(i * d_v + c)] * q[i] * q_norm;
        }
        ASSERT_NEAR(got[Index(at * d_v + c)], out, 2e-5) << "token " << t << " head " << j;
      }
    }
    for (std::size_t i = 0; i < s.size(); ++i) {
      ASSERT_NEAR(got[v_.size() + Index(j * d_k * d_v) + i], s[i], 2e-5) << "head " << j;
    }
  }

  DeltaCase shape_;
  Floats q_, k_, v_, a_, b_, neg_exp_a_, dt_bias_, state_;
};

TEST(GatedDeltaRule, MatchesReferenceOnEveryIsaThreadCountAndBatch) {
  const DeltaCase cases[] = {{1, 1, 32, 32}, {2, 4, 64, 64}, {1, 4, 128, 128}, {2, 2, 20, 70}};
  for (const DeltaCase& shape : cases) {
    const DeltaRun run(shape);
    Floats first;
    for (Isa isa : IsasHere()) {
      for (int n_threads : {1, 3}) {
        ThreadPool pool(n_threads);
        auto ops = MakeCpuOps(isa, &pool, TestLimits());
        for (std::int64_t batch : {1, 2, 5, 11}) {
          const Floats got = run.Run(*ops.value(), batch);
          if (first.empty()) first = got;
          ASSERT_TRUE(SameBits(first, got)) << IsaName(isa) << " threads " << n_threads << " batch "
                                            << batch << " d_k " << shape.d_k;
        }
      }
    }
    run.ExpectClose(first);
  }
}

}  // namespace
}  // namespace larder
