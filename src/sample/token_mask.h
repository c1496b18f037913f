// Which tokens may come next, one bit for each: what a grammar hands to the sampler. A plain value;
// whoever makes it keeps it, the sampler only reads it during a call.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/check.h"

namespace larder {

class TokenMask {
 public:
  static constexpr std::size_t kBitsPerWord = 64;

  TokenMask() = default;
  explicit TokenMask(std::size_t n_tokens, bool allowed = false) { Resize(n_tokens, allowed); }

  /// All tokens get the same bit.
  void Resize(std::size_t n_tokens, bool allowed) {
    n_tokens_ = n_tokens;
    words_.assign((n_tokens + kBitsPerWord - 1) / kBitsPerWord, allowed ? ~std::uint64_t{0} : 0);
    const std::size_t n_last = n_tokens % kBitsPerWord;
    if (allowed && n_last != 0) words_.back() = (std::uint64_t{1} << n_last) - 1;
  }

  std::size_t size() const { return n_tokens_; }

  /// False for ids out of range.
  bool Allows(std::int32_t token) const {
    const auto i = static_cast<std::size_t>(token);
    return token >= 0 && i < n_tokens_ && (words_[i / kBitsPerWord] >> (i % kBitsPerWord) & 1) != 0;
  }

  void Allow(std::int32_t token) { Word(token) |= Bit(token); }
  void Forbid(std::int32_t token) { Word(token) &= ~Bit(token); }

  std::size_t n_allowed() const {
    std::size_t n = 0;
    for (const std::uint64_t word : words_) n += static_cast<std::size_t>(std::popcount(word));
    return n;
  }

  /// Token i is bit i % 64, from the lowest, of word i / 64. Bits from size() on must stay 0.
  std::span<const std::uint64_t> words() const { return words_; }
  std::span<std::uint64_t> words() { return words_; }

 private:
  std::uint64_t& Word(std::int32_t token) {
    LARDER_CHECK(token >= 0 && static_cast<std::size_t>(token) < n_tokens_);
    return words_[static_cast<std::size_t>(token) / kBitsPerWord];
  }
  static std::uint64_t Bit(std::int32_t token) {
    return std::uint64_t{1} << (static_cast<std::size_t>(token) % kBitsPerWord);
  }

  std::vector<std::uint64_t> words_;
  std::size_t n_tokens_ = 0;
};

}  // namespace larder
