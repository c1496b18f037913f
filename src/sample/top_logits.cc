// A heap of the k best, its worst in front; a block of 64 whose largest is no better than that one
// is not looked at any closer.
#include "sample/top_logits.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

namespace larder {
namespace {

constexpr std::size_t kBlock = 64;
constexpr float kLowest = -std::numeric_limits<float>::infinity();

// In eight lanes, which compilers make vectors of; NaN loses every comparison.
float LargestOfBlock(const float* logits) {
  constexpr std::size_t kLanes = 8;
  float largest[kLanes];
  for (float& lane : largest) lane = kLowest;
  for (std::size_t i = 0; i < kBlock; i += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      const float logit = logits[i + lane];
      largest[lane] = logit > largest[lane] ? logit : largest[lane];
    }
  }
  return *std::max_element(largest, largest + kLanes);
}

std::uint64_t AllowedInBlock(AllowedBits allowed, std::size_t block, std::size_t n_logits) {
  std::uint64_t word = ~std::uint64_t{0};
  if (!allowed.empty()) word = block < allowed.size() ? allowed[block] : 0;
  const std::size_t n_left = n_logits - block * kBlock;
  return n_left < kBlock ? word & ((std::uint64_t{1} << n_left) - 1) : word;
}

}  // namespace

float CleanLogit(float logit) { return std::isnan(logit) ? kLowest : logit; }

void TopLogits(std::span<const float> logits, AllowedBits allowed, std::size_t k,
               std::vector<Candidate>& top) {
  top.clear();
  for (std::size_t begin = 0; begin < logits.size(); begin += kBlock) {
    const std::uint64_t word = AllowedInBlock(allowed, begin / kBlock, logits.size());
    if (word == 0) continue;
    const bool whole = begin + kBlock <= logits.size();
    if (top.size() == k && whole && !(LargestOfBlock(&logits[begin]) > top.front().logit)) continue;
    for (std::uint64_t left = word; left != 0; left &= left - 1) {
      const std::size_t i = begin + static_cast<std::size_t>(std::countr_zero(left));
      const Candidate candidate{CleanLogit(logits[i]), static_cast<std::int32_t>(i)};
      if (top.size() < k) {
        top.push_back(candidate);
        std::push_heap(top.begin(), top.end(), Before);
      } else if (candidate.logit > top.front().logit) {
        std::pop_heap(top.begin(), top.end(), Before);
        top.back() = candidate;
        std::push_heap(top.begin(), top.end(), Before);
      }
    }
  }
  std::sort_heap(top.begin(), top.end(), Before);
}

}  // namespace larder
