// Speed of attention over a long KV cache beside the machine's limits, measured in the same run: a
// plain read loop for one token (keys and values are read once), a plain fma loop for a prompt.
// Sixteen query heads over two KV heads of 256, as in Qwen3.5-35B-A3B. Usage:
//   attention_bench [--threads N] [--context N] [--isa scalar|avx2|avx512] [--kv f16|q8_0]
//                   [--tokens 1|2|8|64]
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/memory.h"
#include "kernels/cpu_ops.h"
#include "tensor/codec.h"

namespace larder {
namespace {

constexpr std::int64_t kHeads = 16;
constexpr std::int64_t kKvHeads = 2;
constexpr std::int64_t kDim = 256;
constexpr std::int64_t kPromptTokens = 64;
constexpr std::int64_t kCachedLayers = 10;  // as many as the model has: no cache level holds them

struct Options {
  int n_threads = UsableCpuCount();
  std::int64_t context = 32768;
  Isa isa = BestIsa();
  DType kv_dtype = DType::kF16;
  std::int64_t n_tokens = 0;  // 0: 1, 2, 8 and kPromptTokens
};

// Median seconds of `n_calls` calls of body(i).
template <typename Body>
double MedianSeconds(int n_calls, Body body) {
  std::vector<double> seconds;
  for (int i = 0; i < n_calls; ++i) {
    const std::int64_t begin = NowUs();
    body(i);
    seconds.push_back(SecondsSince(begin));
  }
  const auto rank = seconds.begin() + n_calls / 2;
  std::nth_element(seconds.begin(), rank, seconds.end());
  return *rank;
}

using Words = std::uint64_t __attribute__((vector_size(16)));
using Lanes = float __attribute__((vector_size(64)));

// Bytes per second of a plain loop of loads over the buffer, on every thread.
double ReadRate(ThreadPool& pool, const std::byte* data, std::size_t bytes) {
  const std::size_t piece = std::size_t{256} << 10;
  volatile std::uint64_t sink = 0;
  const double seconds = MedianSeconds(5, [&](int) {
    const auto body = [&](std::size_t begin, std::size_t end, int) {
      Words sum[4] = {};
      const auto* from = reinterpret_cast<const Words*>(data + begin * piece);
      const auto* to = reinterpret_cast<const Words*>(data + end * piece);
      for (; from < to; from += 4) {
        __builtin_prefetch(from + 1024, 0, 2);
        for (int k = 0; k < 4; ++k) sum[k] += from[k];
      }
      sink = sink + sum[0][0] + sum[1][0] + sum[2][1] + sum[3][1];
    };
    pool.ParallelFor(bytes / piece, 1, body);
  });
  return static_cast<double>(bytes / piece * piece) / seconds;
}

// Multiply-adds per second of registers only, on every thread (AVX-512 where there is one).
double FmaRate(ThreadPool& pool, Isa isa);

LARDER_TARGET_BEGIN(LARDER_AVX512_FEATURES)
void FmaLoop(std::int64_t n_rounds, float* out) {
  Lanes sums[16] = {};
  const Lanes factor = Lanes{} + out[0];
  for (std::int64_t i = 0; i < n_rounds; ++i) {
    for (Lanes& sum : sums) {
      for (int l = 0; l < 16; ++l) sum[l] = __builtin_fmaf(sum[l], factor[l], factor[l]);
    }
  }
  for (const Lanes& sum : sums) out[0] += sum[0] + sum[15];
}
LARDER_TARGET_END

double FmaRate(ThreadPool& pool, Isa isa) {
  if (isa != Isa::kAvx512) return 0;
  constexpr std::int64_t kRounds = 1 << 20;
  std::vector<float> outs(static_cast<std::size_t>(pool.n_threads()) * 16, 1e-3f);
  const double seconds = MedianSeconds(5, [&](int) {
    const auto body = [&](std::size_t begin, std::size_t end, int) {
      for (std::size_t i = begin; i < end; ++i) FmaLoop(kRounds, &outs[i * 16]);
    };
    pool.ParallelFor(static_cast<std::size_t>(pool.n_threads()), 1, body);
  });
  return static_cast<double>(kRounds) * 256 * pool.n_threads() / seconds;
}

class Bench {
 public:
  explicit Bench(const Options& options) : options_(options), pool_(options.n_threads) {
    OpsLimits limits;
    limits.max_tokens = kPromptTokens;
    limits.n_heads = kHeads;
    limits.head_dim = kDim;
    limits.max_positions = options.context;
    ops_ = std::move(MakeCpuOps(options.isa, &pool_, limits)).value();
    const std::size_t n = kPromptTokens * kHeads * kDim;
    rows_ = std::move(PageBuffer::Allocate(2 * n * sizeof(float), false)).value();
    queries_ = reinterpret_cast<float*>(rows_.data());
    out_ = queries_ + n;
    for (std::size_t i = 0; i < n; ++i) queries_[i] = 0.01f * static_cast<float>(i % 37) - 0.18f;
    row_bytes_ = RowBytes(options.kv_dtype, kDim);
    part_bytes_ = AlignUp(row_bytes_ * static_cast<std::size_t>(kKvHeads * options.context), 4096);
    memory_ = std::move(PageBuffer::Allocate(2 * part_bytes_ * kCachedLayers, true)).value();
    std::vector<std::byte> row(row_bytes_);
    EncodeRow(options.kv_dtype, queries_, row.data(), kDim);
    for (std::size_t at = 0; at + row_bytes_ <= memory_.size_bytes(); at += row_bytes_) {
      std::memcpy(memory_.data() + at, row.data(), row_bytes_);
    }
  }

  void Run() {
    const double read = ReadRate(pool_, memory_.data(), memory_.size_bytes());
    const double fma = FmaRate(pool_, options_.isa);
    fmt::print("{} threads, {}, KV {}: read loop {:.1f} GB/s, fma loop {:.1f} G/s\n",
               options_.n_threads, IsaName(options_.isa), GetDTypeInfo(options_.kv_dtype).name,
               read * 1e-9, fma * 1e-9);
    for (std::int64_t n_tokens :
         {std::int64_t{1}, std::int64_t{2}, std::int64_t{8}, kPromptTokens}) {
      if (options_.n_tokens != 0 && options_.n_tokens != n_tokens) continue;
      RunTokens(n_tokens, read, fma);
    }
  }

 private:
  void RunTokens(std::int64_t n_tokens, double read, double fma) {
    const int n_calls = n_tokens > 8 ? 5 : 2 * static_cast<int>(kCachedLayers);
    const double seconds = MedianSeconds(n_calls, [&](int call) {
      KvView cache;
      std::byte* base =
          memory_.data() + 2 * part_bytes_ * static_cast<std::size_t>(call % kCachedLayers);
      cache.keys = base;
      cache.values = base + part_bytes_;
      cache.n_kv_heads = kKvHeads;
      cache.capacity = options_.context;
      cache.head_dim = kDim;
      cache.dtype = options_.kv_dtype;
      ops_->Attention(ConstHeads{queries_, n_tokens, kHeads, kDim, kHeads * kDim, kDim}, cache,
                      options_.context - n_tokens, 0.0625f,
                      Heads{out_, n_tokens, kHeads, kDim, kHeads * kDim, kDim});
    });
    const double bytes =
        2.0 * static_cast<double>(row_bytes_) * static_cast<double>(kKvHeads * options_.context);
    const double products =
        2.0 * static_cast<double>(n_tokens * kHeads * kDim) * static_cast<double>(options_.context);
    fmt::print(
        "{} tokens at {}: {:.0f} us, {:.1f} GB/s ({:.0f} % of read), {:.1f} G fma/s ({:.0f} %)\n",
        n_tokens, options_.context, seconds * 1e6, bytes / seconds * 1e-9,
        100 * bytes / seconds / read, products / seconds * 1e-9,
        fma > 0 ? 100 * products / seconds / fma : 0);
  }

  Options options_;
  ThreadPool pool_;
  std::unique_ptr<Ops> ops_;
  PageBuffer rows_;
  float* queries_ = nullptr;  // [kPromptTokens, kHeads, kDim]
  float* out_ = nullptr;
  std::size_t row_bytes_ = 0;
  std::size_t part_bytes_ = 0;
  PageBuffer memory_;
};

int Main(int argc, char** argv) {
  Options options;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string word = argv[i];
    const std::string value = argv[i + 1];
    if (word == "--threads") options.n_threads = std::max(1, std::atoi(value.c_str()));
    if (word == "--context") options.context = std::max(kPromptTokens, std::atol(value.c_str()));
    if (word == "--tokens") options.n_tokens = std::atol(value.c_str());
    if (word == "--kv" && value == "q8_0") options.kv_dtype = DType::kQ8_0;
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
