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
  explicit AttentionRun(const AttentionCase& shape) : shape_(shape) {
    const std::int64_t capacity = shape.first_position + shape.n_tokens + 5;
    const std::int64_t n = shape.n_kv_heads * capacity * shape.head_dim;
    // Positions never written hold NaN: no output may depend on them.
    keys_.assign(Index(n), 0x7e00u);
    values_.assign(Index(n), 0x7e00u);
    cache_ = {keys_.data(), values_.data(), shape.n_kv_heads, capacity, shape.head_dim};
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

  double Cached(const Floats& from, std::int64_t p, std::int64_t kv_head, std::int64_t i) const {
    return HalfToFloat(
        FloatToHalf(from[Index((p * shape_.n_kv_heads + kv_head) * shape_.head_dim + i)]));
  }

  void ExpectHeadClose(const Floats& got, std::int64_t t, std::int64_t h, std::int64_t kv) const {
    const std::int64_t view = shape_.first_position + t + 1;
    const float* query = queries_.data() + (t * shape_.n_heads + h) * shape_.head_dim;
    std::vector<double> weights(Index(view));
    double sum = 0;
    for (std::int64_t p = 0; p < view; ++p) {
      double score = 0;
      for (std::int64_t i = 0; i < shape_.head_dim; ++i)
        score += query[i] * Cached(new_keys_, p, kv, i);
      weights[Index(p)] = std::exp(score * double{Scale()});
      sum += weights[Index(p)];
    }
    for (std::int64_t i = 0; i < shape_.head_dim; i += 7) {
      double want = 0;
      for (std::int64_t p = 0; p < view; ++p)
        want += weights[Index(p)] / sum * Cached(new_values_, p, kv, i);
      // Scores of a few units with a relative error of 2^-20 move weights that sum to one.
      ASSERT_NEAR(got[Index((t * shape_.n_heads + h) * shape_.head_dim + i)], want, 2e-5)
          << "token " << t << " head " << h << " dim " << i;
    }
  }

  AttentionCase shape_;
  std::vector<std::uint16_t> keys_;
  std::vector<std::uint16_t> values_;
  KvView cache_;
  Floats new_keys_;
  Floats new_values_;
  Floats queries_;
};

TEST(Attention, MatchesReferenceOnEveryIsaThreadCountAndBatch) {
  const AttentionCase cases[] = {
      {1, 1, 16, 0, 1},     {4, 2, 32, 0, 9},    {3, 1, 24, 250, 12},
      {16, 2, 64, 1000, 5}, {8, 1, 256, 511, 3}, {6, 2, 64, 0, 64},
  };
  for (const AttentionCase& shape : cases) {
    AttentionRun run(shape);
    Floats first;
    for (Isa isa : IsasHere()) {
      for (int n_threads : {1, 3}) {
        ThreadPool pool(n_threads);
        auto ops = MakeCpuOps(isa, &pool, TestLimits());
        for (std::int64_t batch :
             {std::int64_t{1}, std::int64_t{2}, std::int64_t{7}, shape.n_tokens}) {
          const Floats got = run.Run(*ops.value(), batch);
          if (first.empty()) first = got;
          ASSERT_TRUE(SameBits(first, got)) << IsaName(isa) << " threads " << n_threads << " batch "
                                            << batch << " head_dim " << shape.head_dim;
        }
      }
    }
    run.ExpectClose(first);
  }
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
