// The pool of blocks.
#include "cli/random_blocks.h"

#include <cstring>

#include "base/check.h"
#include "tensor/codec.h"

namespace larder {

namespace {

// A power of two, so that 12 random bits choose a block: five draws per random word.
constexpr std::size_t kPoolBlocks = 4096;
constexpr int kPoolBits = 12;
constexpr int kDrawsPerWord = 5;

}  // namespace

float NextNormal(SplitMix64* random) {
  const std::uint64_t word = random->Next();
  const auto sum = static_cast<float>((word & 0xffff) + (word >> 16 & 0xffff) +
                                      (word >> 32 & 0xffff) + (word >> 48));
  // Four uniform numbers of variance 1/12 each: deviation sqrt(1/3) of 65536.
  return (sum - 131070.0f) * (1.7320508f / 65536.0f);
}

RandomBlocks::RandomBlocks(DType dtype, float deviation, std::uint64_t seed)
    : dtype_(dtype),
      deviation_(deviation),
      block_bytes_(static_cast<std::size_t>(GetDTypeInfo(dtype).bytes_per_block)) {
  const auto n_elements = static_cast<std::size_t>(GetDTypeInfo(dtype).elements_per_block);
  if (n_elements == 1) return;
  SplitMix64 random(seed);
  std::vector<float> values(n_elements);
  pool_.resize(kPoolBlocks * block_bytes_);
  for (std::size_t block = 0; block < kPoolBlocks; ++block) {
    for (float& value : values) value = deviation * NextNormal(&random);
    EncodeRow(dtype, values.data(), pool_.data() + block * block_bytes_,
              static_cast<std::int64_t>(n_elements));
  }
}

void RandomBlocks::Fill(SplitMix64* random, std::span<std::byte> out) const {
  LARDER_CHECK(out.size() % block_bytes_ == 0);
  if (pool_.empty()) {
    constexpr std::size_t kRun = 256;
    float values[kRun];
    for (std::size_t at = 0; at < out.size(); at += kRun * block_bytes_) {
      const std::size_t n = std::min(kRun, (out.size() - at) / block_bytes_);
      for (std::size_t i = 0; i < n; ++i) values[i] = deviation_ * NextNormal(random);
      EncodeRow(dtype_, values, out.data() + at, static_cast<std::int64_t>(n));
    }
    return;
  }
  std::uint64_t word = 0;
  int n_draws = 0;
  for (std::size_t at = 0; at < out.size(); at += block_bytes_) {
    if (n_draws == 0) {
      word = random->Next();
      n_draws = kDrawsPerWord;
    }
    const std::size_t block = static_cast<std::size_t>(word & (kPoolBlocks - 1));
    std::memcpy(out.data() + at, pool_.data() + block * block_bytes_, block_bytes_);
    word >>= kPoolBits;
    --n_draws;
  }
}

}  // namespace larder
