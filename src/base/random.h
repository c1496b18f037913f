// SplitMix64: a small generator whose sequence is the same on every platform. Not for secrets.
// Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators" (2014).
#pragma once

#include <cstdint>

namespace larder {

class SplitMix64 {
 public:
  explicit SplitMix64(std::uint64_t seed) : state_(seed) {}

  std::uint64_t Next() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15ull);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
  }

  /// Uniform in [0, 1), 53 random bits.
  double NextUnit() { return static_cast<double>(Next() >> 11) * 0x1.0p-53; }

  /// Uniform in [0, bound), bound > 0 (bias below 2^-32 for bounds below 2^32).
  std::uint64_t NextBelow(std::uint64_t bound) {
    return static_cast<std::uint64_t>(static_cast<unsigned __int128>(Next()) * bound >> 64);
  }

 private:
  std::uint64_t state_;
};

}  // namespace larder
