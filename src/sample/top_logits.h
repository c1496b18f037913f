// The largest of many logits without sorting them all. Pure functions; NaN counts as -infinity.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace larder {

/// Bit i % 64, from the lowest, of word i / 64 is token i's; tokens beyond the words are not
/// allowed, bits beyond the tokens mean nothing. Empty: all tokens are allowed.
using AllowedBits = std::span<const std::uint64_t>;

struct Candidate {
  float logit;
  std::int32_t id;
};

/// Larger logits first, ties to the lower id: a total order, so that every platform agrees.
inline bool Before(const Candidate& a, const Candidate& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
}

/// -infinity for NaN.
float CleanLogit(float logit);

/// The `k` > 0 first in the order of Before, sorted, of those that `allowed` allows.
/// One pass; what cannot enter is passed over 64 at a time.
void TopLogits(std::span<const float> logits, AllowedBits allowed, std::size_t k,
               std::vector<Candidate>& top);

/// Calls take(id, logit) for every allowed token, ascending; the logit is clean.
template <typename Take>
void ForEachAllowed(std::span<const float> logits, AllowedBits allowed, Take take) {
  if (allowed.empty()) {
    for (std::size_t i = 0; i < logits.size(); ++i) {
      take(static_cast<std::int32_t>(i), CleanLogit(logits[i]));
    }
    return;
  }
  for (std::size_t w = 0; w < allowed.size(); ++w) {
    for (std::uint64_t left = allowed[w]; left != 0; left &= left - 1) {
      const std::size_t i = w * 64 + static_cast<std::size_t>(std::countr_zero(left));
      if (i >= logits.size()) return;
      take(static_cast<std::int32_t>(i), CleanLogit(logits[i]));
    }
  }
}

}  // namespace larder
