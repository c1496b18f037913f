// For tests, fuzzers and benchmarks: random texts that a constraint allows, token by token.
#pragma once

#include <bit>
#include <functional>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/random.h"
#include "sample/token_constraint.h"

namespace larder {

/// The tokens of a mask.
inline std::vector<std::int32_t> MaskedTokens(std::span<const std::uint64_t> mask) {
  std::vector<std::int32_t> tokens;
  for (std::size_t i = 0; i < mask.size(); ++i) {
    for (std::uint64_t word = mask[i]; word != 0; word &= word - 1) {
      tokens.push_back(static_cast<std::int32_t>(i * 64) + std::countr_zero(word));
    }
  }
  return tokens;
}

class RandomWalk {
 public:
  RandomWalk(const Tokenizer& tokenizer, std::uint64_t seed)
      : tokenizer_(tokenizer), random_(seed) {}

  /// After so many tokens it takes the shortest way out that it sees.
  std::size_t hurry_after = 60;
  /// After so many more the text is left as it is, and `gave_up` says so.
  std::size_t give_up_after = std::size_t{1} << 40;
  bool gave_up = false;
  /// Called instead of Mask, to time or check it.
  std::function<std::span<const std::uint64_t>(TokenConstraint&)> mask;

  /// One text from the beginning to an end token. A state without any token is a bug.
  std::string Text(TokenConstraint& constraint) {
    constraint.Reset();
    std::string text;
    for (std::size_t n_made = 0;; ++n_made) {
      gave_up = n_made > hurry_after + give_up_after;
      if (gave_up) return text;
      const std::vector<std::int32_t> allowed =
          MaskedTokens(mask ? mask(constraint) : constraint.Mask());
      LARDER_CHECK(!allowed.empty());
      const std::int32_t token = Choose(allowed, constraint, n_made > hurry_after);
      LARDER_CHECK(constraint.Accept(token).ok());
      if (tokenizer_.IsEndOfGeneration(token)) return text;
      text += tokenizer_.TokenBytes(token);
    }
  }

 private:
  // Ends a quarter of the time where it may, and prefers single bytes half of the time, so that
  // brackets are not lost among the words.
  std::int32_t Choose(const std::vector<std::int32_t>& allowed, const TokenConstraint& constraint,
                      bool hurry) {
    if (constraint.may_end() && (hurry || constraint.must_end() || random_.NextBelow(4) == 0)) {
      for (const std::int32_t token : allowed) {
        if (tokenizer_.IsEndOfGeneration(token)) return token;
      }
    }
    std::vector<std::int32_t> single;
    for (const std::int32_t token : allowed) {
      if (tokenizer_.TokenBytes(token).size() == 1) single.push_back(token);
    }
    for (const char* closing : {"\"", "}", "]"}) {
      for (const std::int32_t token : single) {
        if (hurry && tokenizer_.TokenBytes(token) == closing) return token;
      }
    }
    const bool one_byte = !single.empty() && random_.NextBelow(2) == 0;
    const std::vector<std::int32_t>& from = one_byte ? single : allowed;
    return from[random_.NextBelow(from.size())];
  }

  const Tokenizer& tokenizer_;
  SplitMix64 random_;
};

}  // namespace larder
