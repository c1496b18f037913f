// SplitMix64: a small generator whose sequence is the same on every platform. Not for secrets.
// Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators" (2014).
#pragma once

#include <cstdint>

namespace larder {

class SplitMix64 {
 public:
  explicit SplitMix64(std::uint64_t seed) : state_(seed) {}

  std::uint64_t Next() { return Mix(state_ += kStep); }

  /// Uniform in [0, 1), 53 random bits.
  double NextUnit() { return Unit(Next()); }

  /// Number `n` (from 0) of the sequence of `seed` by itself: what the n-th NextUnit gives. A
  /// stream that counts its draws needs no other state.
  static double UnitAt(std::uint64_t seed, std::uint64_t n) {
    return Unit(Mix(seed + (n + 1) * kStep));
  }

  /// Uniform in [0, bound), bound > 0 (bias below 2^-32 for bounds below 2^32).
  std::uint64_t NextBelow(std::uint64_t bound) {
    return static_cast<std::uint64_t>(static_cast<unsigned __int128>(Next()) * bound >> 64);
  }

 private:
  static constexpr std::uint64_t kStep = 0x9e3779b97f4a7c15ull;

  static std::uint64_t Mix(std::uint64_t z) {
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
  }
  static double Unit(std::uint64_t bits) { return static_cast<double>(bits >> 11) * 0x1.0p-53; }

  std::uint64_t state_;
};

}  // namespace larder
