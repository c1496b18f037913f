// RoutingGuesser: plays a lookahead of given recall for benchmarks whose routing is generated or
// recorded. A guess contains each true expert with that probability; the rest are experts that will
// not be used, drawn evenly from all of them (a real router's errors are likelier to be resident),
// and the order says nothing. One thread.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/random.h"

namespace larder {

class RoutingGuesser {
 public:
  /// 0 <= recall <= 1. The guesses depend on the seed and the calls before alone.
  RoutingGuesser(double recall, int n_experts, std::uint64_t seed);

  /// `guess` gets as many distinct experts as `truth` has.
  void Guess(std::span<const std::int32_t> truth, std::span<std::int32_t> guess);

 private:
  double recall_;
  SplitMix64 random_;
  std::vector<unsigned char> is_taken_;  // [n_experts] scratch, clear between calls
};

}  // namespace larder
