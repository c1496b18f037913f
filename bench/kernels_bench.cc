// Speed of the kernels beside the machine's limits, measured in the same run: a plain read loop for
// products with one token, a plain loop of int8 dot products for many. Usage:
//   kernels_bench [--threads N] [--type NAME] [--megabytes N] [--isa scalar|avx2|avx512]
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/memory.h"
#include "base/random.h"
#include "kernels/cpu_ops.h"
#include "tensor/codec.h"

#if LARDER_X86
#include <immintrin.h>
#endif

namespace larder {
namespace {

constexpr std::size_t kDotBytes = 16384;

#if LARDER_X86
// Multiply-adds of unsigned with signed bytes as the instruction set has them: 16 KiB of rows from
// the first cache level against four tokens in registers.
__attribute__((target(LARDER_AVX512_FEATURES))) void DotAvx512(const std::uint8_t* rows,
                                                               std::size_t bytes,
                                                               std::int32_t* out) {
  __m512i sum[4][2] = {};
  const __m512i x[4] = {_mm512_set1_epi8(1), _mm512_set1_epi8(2), _mm512_set1_epi8(3),
                        _mm512_set1_epi8(4)};
  for (std::size_t i = 0; i < bytes; i += 128) {
    for (std::size_t k = 0; k < 2; ++k) {
      const __m512i w = _mm512_loadu_si512(rows + i + 64 * k);
      for (int t = 0; t < 4; ++t) sum[t][k] = _mm512_dpbusd_epi32(sum[t][k], w, x[t]);
    }
  }
  __m512i total = _mm512_setzero_si512();
  for (auto& pair : sum) {
    total = _mm512_add_epi32(total, _mm512_add_epi32(pair[0], pair[1]));
  }
  _mm512_storeu_si512(out, total);
}
__attribute__((target(LARDER_AVX2_FEATURES))) void DotAvx2(const std::uint8_t* rows,
                                                           std::size_t bytes, std::int32_t* out) {
  __m256i sum[4] = {};
  const __m256i one = _mm256_set1_epi16(1);
  const __m256i x[4] = {_mm256_set1_epi8(1), _mm256_set1_epi8(2), _mm256_set1_epi8(3),
                        _mm256_set1_epi8(4)};
  for (std::size_t i = 0; i < bytes; i += 32) {
    const __m256i w = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(rows + i));
    for (int t = 0; t < 4; ++t) {
      const __m256i pairs = _mm256_maddubs_epi16(w, x[t]);
      sum[t] = _mm256_add_epi32(sum[t], _mm256_madd_epi16(pairs, one));
    }
  }
  __m256i total = _mm256_setzero_si256();
  for (const __m256i& s : sum) total = _mm256_add_epi32(total, s);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), total);
}
#endif

void DotScalar(const std::uint8_t* rows, std::size_t bytes, std::int32_t* out) {
  for (std::int32_t t = 0; t < 4; ++t) {
    std::int32_t sum = 0;
    for (std::size_t i = 0; i < bytes; ++i) sum += rows[i] * (t + 1);
    out[t] = sum;
  }
}

constexpr std::size_t kSliceBytes = std::size_t{4} << 20;  // about one matrix of a layer

struct Options {
  int n_threads = UsableCpuCount();
  std::string type;
  std::size_t megabytes = 256;
  Isa isa = BestIsa();
};

// Seconds of one call: the fastest tenth of many short ones, so that other work on the machine does
// not count. `body(i)` gets the number of the call.
template <typename Body>
double ShortSeconds(int n_calls, Body body) {
  std::vector<double> seconds;
  for (int i = 0; i < n_calls; ++i) {
    const std::int64_t begin = NowUs();
    body(i);
    seconds.push_back(SecondsSince(begin));
  }
  const auto rank = seconds.begin() + n_calls / 10;
  std::nth_element(seconds.begin(), rank, seconds.end());
  return *rank;
}

using Words = std::uint64_t __attribute__((vector_size(16)));

// Bytes per second of reading the buffer with every thread: loads, additions and a prefetch.
double ReadRate(ThreadPool& pool, const std::byte* data, std::size_t bytes) {
  std::uint64_t sums[64] = {};
  const std::size_t piece = kSliceBytes / 16;
  const auto n_slices = static_cast<int>(bytes / kSliceBytes);
  const double seconds = ShortSeconds(3 * n_slices, [&](int call) {
    const std::byte* slice = data + static_cast<std::size_t>(call % n_slices) * kSliceBytes;
    const auto body = [&](std::size_t begin, std::size_t end, int thread) {
      Words sum[4] = {};
      const auto* from = reinterpret_cast<const Words*>(slice + begin * piece);
      const auto* to = reinterpret_cast<const Words*>(slice + end * piece);
      for (; from < to; from += 4) {
        __builtin_prefetch(from + 1024, 0, 2);
        for (int k = 0; k < 4; ++k) sum[k] += from[k];
      }
      for (const Words& s : sum) sums[thread] += s[0] + s[1];
    };
    pool.ParallelFor(16, 1, body);
  });
  volatile std::uint64_t sink = sums[0];
  static_cast<void>(sink);
  return static_cast<double>(kSliceBytes) / seconds;
}

// Operations per second (two per multiply-add) of the plain dot loop on every thread.
double DotRate(ThreadPool& pool, Isa isa) {
  auto dot = DotScalar;
#if LARDER_X86
  if (isa == Isa::kAvx2) dot = DotAvx2;
  if (isa == Isa::kAvx512) dot = DotAvx512;
#endif
  constexpr std::size_t kRounds = 64;
  const std::vector<std::uint8_t> rows(kDotBytes, 1);
  const auto n_threads = static_cast<std::size_t>(pool.n_threads());
  const double seconds = ShortSeconds(60, [&](int) {
    pool.ParallelFor(n_threads, 1, [&](std::size_t begin, std::size_t end, int) {
      volatile std::int32_t sink = 0;
      for (std::size_t round = 0; round < kRounds * (end - begin); ++round) {
        std::int32_t out[16] = {};
        dot(rows.data(), kDotBytes, out);
        sink = sink + out[0];
      }
    });
  });
  return 8.0 * static_cast<double>(kDotBytes * kRounds * n_threads) / seconds;
}

class Bench {
 public:
  explicit Bench(const Options& options) : options_(options), pool_(options.n_threads) {
    bytes_ = options.megabytes << 20;
    buffer_ = std::move(PageBuffer::Allocate(bytes_, true)).value();
    std::memset(buffer_.data(), 1, bytes_);  // untouched pages would all be one page of zeros
    OpsLimits limits;
    limits.max_tokens = 512;
    limits.max_input_dim = kColumns;
    limits.expert_model_dim = kColumns;
    limits.expert_ff_dim = 512;
    limits.max_experts = 256;
    limits.n_used = 8;
    limits.n_heads = 16;
    limits.head_dim = 256;
    limits.max_positions = 32768;
    ops_ = std::move(MakeCpuOps(options.isa, &pool_, limits)).value();
    x_.resize(512 * kColumns);
    SplitMix64 random(1);
    for (float& value : x_) value = static_cast<float>(random.NextUnit() * 2 - 1);
  }

  void Run() {
    const double read = ReadRate(pool_, buffer_.data(), bytes_);
    fmt::print(
        "{} on {} threads, {} MiB of weights in calls of 4, rows of {}; read loop {:.1f} GB/s, dot "
        "loop {:.0f} GOP/s\n",
        IsaName(options_.isa), options_.n_threads, options_.megabytes, kColumns, read * 1e-9,
        DotRate(pool_, options_.isa) * 1e-9);
    fmt::print("{:7} {:>10} {:>8} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}\n", "type", "GB/s", "of read",
               "GOP/s 2", "GOP/s 3", "GOP/s 4", "GOP/s 7", "GOP/s 16", "GOP/s 512");
    for (DType dtype : AllDTypes()) {
      if (options_.type.empty() || options_.type == DTypeName(dtype)) RunType(dtype, read);
    }
    if (options_.type.empty()) {
      RunExperts(read);
      RunAttention(read);
      RunDeltaRule(read);
      for (const std::int64_t n_tokens : {1, 64}) RunRows(n_tokens, read);
    }
  }

 private:
  static constexpr std::int64_t kColumns = 2048;

  void RunType(DType dtype, double read) {
    const std::size_t row_bytes = RowBytes(dtype, kColumns);
    const auto n_rows = static_cast<std::int64_t>(bytes_ / row_bytes);
    Fill(dtype, n_rows);
    const WeightView weights{buffer_.data(), dtype, n_rows, kColumns};
    const std::int64_t slice_rows = static_cast<std::int64_t>(kSliceBytes / row_bytes);
    const std::int64_t n_slices = n_rows / slice_rows;
    std::vector<float> out(static_cast<std::size_t>(slice_rows));
    const double seconds = ShortSeconds(static_cast<int>(3 * n_slices), [&](int call) {
      const std::int64_t first = call % n_slices * slice_rows;
      const Product product{weights.Rows(first, first + slice_rows),
                            Matrix(out.data(), 1, slice_rows)};
      ops_->MatMul(ConstMatrix(x_.data(), 1, kColumns), {&product, 1});
    });
    const double rate = static_cast<double>(row_bytes) * static_cast<double>(slice_rows) / seconds;
    fmt::print("{:7} {:10.1f} {:7.0f}%", DTypeName(dtype), rate * 1e-9, 100 * rate / read);
    for (std::int64_t n_tokens : {2, 3, 4, 7, 16, 512})
      fmt::print(" {:9.0f}", ManyTokens(weights, n_tokens));
    fmt::print("\n");
  }

  // GOP/s (two per multiply-add) of a product with rows that stay in the last-level cache.
  double ManyTokens(const WeightView& weights, std::int64_t n_tokens) {
    const std::int64_t n_rows = std::clamp<std::int64_t>(65536 / n_tokens, 32, 512);
    std::vector<float> out(static_cast<std::size_t>(n_tokens * n_rows));
    const Product product{weights.Rows(0, n_rows), Matrix(out.data(), n_tokens, n_rows)};
    const double seconds = ShortSeconds(n_tokens > 100 ? 20 : 60, [&](int) {
      ops_->MatMul(ConstMatrix(x_.data(), n_tokens, kColumns), {&product, 1});
    });
    return 2e-9 * static_cast<double>(n_rows * n_tokens * kColumns) / seconds;
  }

  // Experts of the 35B-A3B shape in Q4_K: 8 of them with one token each, then one with many.
  void RunExperts(double read) {
    constexpr std::int64_t kModel = kColumns;
    constexpr std::int64_t kHidden = 512;
    const std::size_t slab = RowBytes(DType::kQ4_K, kModel * kHidden);
    Fill(DType::kQ4_K, static_cast<std::int64_t>(bytes_ / RowBytes(DType::kQ4_K, kColumns)));
    const auto n_experts = static_cast<int>(bytes_ / (3 * slab));
    const auto expert = [&](int index, std::span<const std::int32_t> tokens) {
      const std::byte* data = buffer_.data() + static_cast<std::size_t>(index) * 3 * slab;
      return ExpertWork{{data, DType::kQ4_K, kHidden, kModel},
                        {data + slab, DType::kQ4_K, kHidden, kModel},
                        {data + 2 * slab, DType::kQ4_K, kModel, kHidden},
                        tokens,
                        tokens};
    };
    std::vector<std::int32_t> tokens(128);
    for (std::size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<std::int32_t>(i);
    std::vector<float> out(tokens.size() * kModel);
    const Matrix out_rows(out.data(), static_cast<std::int64_t>(tokens.size()), kModel);
    ops_->PrepareExperts(ConstMatrix(x_.data(), 128, kModel));
    const double one = ShortSeconds(100, [&](int call) {
      std::vector<ExpertWork> works;
      for (int i = 0; i < 8; ++i) {
        works.push_back(expert((call * 8 + i) % n_experts,
                               std::span(tokens).subspan(static_cast<std::size_t>(i), 1)));
      }
      ops_->RunExperts(works, out_rows);
    });
    const double rate = 24 * static_cast<double>(slab) / one;
    fmt::print("8 experts, one token each: {:.1f} GB/s, {:.0f}% of read\n", rate * 1e-9,
               100 * rate / read);
    for (std::size_t n_tokens : {2, 4, 7, 16, 64, 128}) {
      const double many = ShortSeconds(60, [&](int call) {
        const ExpertWork work = expert(call % n_experts, std::span(tokens).first(n_tokens));
        ops_->RunExperts({&work, 1}, out_rows);
      });
      const double gops =
          6e-9 * static_cast<double>(kModel * kHidden) * static_cast<double>(n_tokens) / many;
      fmt::print("one expert, {} tokens: {:.0f} GOP/s\n", n_tokens, gops);
    }
  }

  // 16 query heads over 2 KV heads of 256, as in 35B-A3B.
  void RunAttention(double read) {
    constexpr std::int64_t kHeads = 16;
    constexpr std::int64_t kDim = 256;
    for (std::int64_t context : {512, 4096}) {
      const auto n = static_cast<std::size_t>(2 * context * kDim);
      std::vector<std::uint16_t> keys(n, FloatToHalf(0.01f));
      std::vector<std::uint16_t> values(n, FloatToHalf(0.5f));
      const KvView cache{reinterpret_cast<std::byte*>(keys.data()),
                         reinterpret_cast<std::byte*>(values.data()),
                         DType::kF16,
                         2,
                         context,
                         kDim};
      std::vector<float> out(static_cast<std::size_t>(kHeads * kDim) * 64);
      for (std::int64_t n_tokens : {1, 4}) {
        const double seconds = ShortSeconds(50, [&](int) {
          ops_->Attention(ConstHeads{x_.data(), n_tokens, kHeads, kDim, kHeads * kDim, kDim}, cache,
                          context - n_tokens, 0.0625f,
                          Heads{out.data(), n_tokens, kHeads, kDim, kHeads * kDim, kDim});
        });
        const double rate = 4.0 * static_cast<double>(n) / seconds;
        const double gops =
            4e-9 * static_cast<double>(n_tokens * kHeads * kDim * context) / seconds;
        fmt::print(
            "attention, {} tokens at {}: {:.0f} us, {:.1f} GB/s ({:.0f}% of read), {:.0f} GOP/s\n",
            n_tokens, context, seconds * 1e6, rate * 1e-9, 100 * rate / read, gops);
      }
    }
  }

  // 16 key heads and 32 value heads of 128, as in 35B-A3B.
  void RunDeltaRule(double read) {
    constexpr std::int64_t kKeyHeads = 16;
    constexpr std::int64_t kValueHeads = 32;
    constexpr std::int64_t kDim = 128;
    std::vector<float> state(static_cast<std::size_t>(kValueHeads * kDim * kDim));
    std::vector<float> out(static_cast<std::size_t>(128 * kValueHeads * kDim));
    std::vector<float> neg_exp_a(kValueHeads, -1.0f);
    std::vector<float> dt_bias(kValueHeads, 0.1f);
    for (std::int64_t n_tokens : {1, 8, 64}) {
      DeltaRuleArgs args;
      args.q = {x_.data(), n_tokens, kKeyHeads, kDim, kKeyHeads * kDim, kDim};
      args.k = {x_.data() + 1000, n_tokens, kKeyHeads, kDim, kKeyHeads * kDim, kDim};
      args.v = {x_.data(), n_tokens, kValueHeads, kDim, kValueHeads * kDim, kDim};
      args.a = ConstMatrix(x_.data(), n_tokens, kValueHeads);
      args.b = ConstMatrix(x_.data(), n_tokens, kValueHeads);
      args.neg_exp_a = neg_exp_a.data();
      args.dt_bias = dt_bias.data();
      args.state = state.data();
      args.out = {out.data(), n_tokens, kValueHeads, kDim, kValueHeads * kDim, kDim};
      const double seconds = ShortSeconds(30, [&](int) { ops_->GatedDeltaRule(args); });
      // Every token reads and writes the state, which stays in the caches between them.
      const double rate =
          8.0 * static_cast<double>(n_tokens) * static_cast<double>(state.size()) / seconds;
      fmt::print(
          "delta rule, {} tokens: {:.1f} us per token, {:.1f} GB/s of state, {:.0f}% of read\n",
          n_tokens, seconds * 1e6 / static_cast<double>(n_tokens), rate * 1e-9, 100 * rate / read);
    }
  }

  // The operations on rows, with the 35B-A3B shape's sizes: bytes they read and write.
  void RunRows(std::int64_t n_tokens, double read) {
    constexpr std::int64_t kChannels = 8192;  // of the convolution
    constexpr std::int64_t kWidth = 4;
    constexpr std::int64_t kExperts = 256;
    constexpr std::int64_t kUsed = 8;
    const auto n = static_cast<std::size_t>(n_tokens);
    std::vector<float> in(n * kChannels * 2, 0.5f);
    std::vector<float> out(n * kChannels * 2, 0.25f);
    std::vector<float> weight(kChannels * kWidth, 1.0f);
    std::vector<float> state(kChannels * (kWidth - 1), 0.5f);
    std::vector<std::int32_t> ids(n * kUsed);
    const auto print = [&](const char* name, std::int64_t floats_per_token, const auto& work) {
      const double seconds = ShortSeconds(200, [&](int) { work(); });
      const double rate = 4.0 * static_cast<double>(n_tokens * floats_per_token) / seconds;
      fmt::print("{}, {} tokens: {:.2f} us per token, {:.1f} GB/s, {:.0f}% of read\n", name,
                 n_tokens, seconds * 1e6 / static_cast<double>(n_tokens), rate * 1e-9,
                 100 * rate / read);
    };
    const auto rows = [&](std::vector<float>& data, std::int64_t width) {
      return Matrix(data.data(), n_tokens, width);
    };
    const auto heads = [&](std::vector<float>& data, std::int64_t count, std::int64_t dim) {
      return Heads{data.data(), n_tokens, count, dim, count * dim, dim};
    };
    print("norm of 2048", 2 * kColumns,
          [&] { ops_->RmsNorm(rows(in, kColumns), weight.data(), 1e-6f, rows(out, kColumns)); });
    print("norm and rope of 16 heads of 256", 2 * 16 * 256, [&] {
      ops_->NormRope(heads(out, 16, 256), weight.data(), 1e-6f, {64, 1e7f}, 1000);
    });
    print("gated norm of 32 heads of 128", 3 * 32 * 128, [&] {
      ops_->GatedRmsNorm(heads(out, 32, 128), heads(in, 32, 128), weight.data(), 1e-6f);
    });
    print("SwiGLU of 512", 3 * 512,
          [&] { ops_->SwiGlu(rows(in, 512), rows(in, 512), rows(out, 512)); });
    print("convolution of 8192 channels", 2 * kChannels + (2 * kWidth - 1) * kChannels / n_tokens,
          [&] {
            ops_->CausalConvSilu(rows(in, kChannels), weight.data(), kWidth, state.data(),
                                 rows(out, kChannels));
          });
    print("router's 8 of 256", kExperts,
          [&] { ops_->Route(rows(in, kExperts), kUsed, ids.data(), out.data()); });
    std::vector<float> outputs(n * kUsed * kColumns, 0.5f);
    const ConstMatrix of_experts(outputs.data(), n_tokens * kUsed, kColumns);
    print("sum of 8 experts", (kUsed + 2) * kColumns,
          [&] { ops_->SumExperts(of_experts, weight.data(), kUsed, rows(out, kColumns)); });
  }

  // One row repeated: the values do not matter.
  void Fill(DType dtype, std::int64_t n_rows) {
    const std::size_t row_bytes = RowBytes(dtype, kColumns);
    // Types that are only read get any bytes, so that their grids are met all over.
    if (HasEncoder(dtype)) {
      EncodeRow(dtype, x_.data(), buffer_.data(), kColumns);
    } else {
      SplitMix64 random(1);
      for (std::size_t i = 0; i < row_bytes; ++i) {
        buffer_.data()[i] = static_cast<std::byte>(random.Next() >> 32);
      }
    }
    for (std::int64_t r = 1; r < n_rows; ++r) {
      std::memcpy(buffer_.data() + static_cast<std::size_t>(r) * row_bytes, buffer_.data(),
                  row_bytes);
    }
  }

  Options options_;
  ThreadPool pool_;
  std::size_t bytes_ = 0;
  PageBuffer buffer_;
  std::unique_ptr<Ops> ops_;
  std::vector<float> x_;
};

int Main(int argc, char** argv) {
  Options options;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string word = argv[i];
    const std::string value = argv[i + 1];
    if (word == "--threads") options.n_threads = std::max(1, std::atoi(value.c_str()));
    if (word == "--type") options.type = value;
    if (word == "--megabytes")
      options.megabytes = static_cast<std::size_t>(std::max(16, std::atoi(value.c_str())));
    for (Isa isa : {Isa::kScalar, Isa::kAvx2, Isa::kAvx512}) {
      if (word == "--isa" && value == IsaName(isa)) options.isa = std::min(isa, BestIsa());
    }
  }
  Bench(options).Run();
  return 0;
}

}  // namespace
}  // namespace larder

int main(int argc, char** argv) { return larder::Main(argc, argv); }
