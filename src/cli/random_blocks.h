// Random weights in any element type, fast and the same for the same seed on every platform: blocks
// are drawn from a pool that was encoded from normal values once. Immutable after making; any
// thread may draw.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/random.h"
#include "tensor/dtype.h"

namespace larder {

/// About normal with mean 0 and deviation 1 (the sum of four uniform numbers, within 3.47).
float NextNormal(SplitMix64* random);

class RandomBlocks {
 public:
  /// Values of deviation `deviation`.
  RandomBlocks(DType dtype, float deviation, std::uint64_t seed);

  /// Fills whole blocks; `out.size()` is a multiple of bytes_per_block.
  void Fill(SplitMix64* random, std::span<std::byte> out) const;

 private:
  DType dtype_;
  float deviation_;
  std::size_t block_bytes_;
  std::vector<std::byte> pool_;  // empty for types of one element per block
};

}  // namespace larder
