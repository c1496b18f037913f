// What the model itself thought of a token and of its rivals. Pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace larder {

struct TokenLogprob {
  std::int32_t token;
  double logprob;  // nats; -infinity for a logit of -infinity or NaN
};

struct Logprobs {
  double chosen = 0;
  std::vector<TokenLogprob> top;  // the most likely first, ties to the lower id
};

/// The logarithm of softmax(logits) at temperature 1, before any bias, penalty, mask or cut: for
/// `chosen`, and for the `n_top` largest (fewer if there are fewer tokens). `logits` [n_vocab];
/// `chosen` must be in range.
Logprobs ComputeLogprobs(std::span<const float> logits, std::int32_t chosen, std::size_t n_top);

}  // namespace larder
