// log softmax = (logit - largest) - log(sum of e^(logit - largest)), the sum in the order of ids.
#include "sample/logprobs.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/check.h"
#include "sample/exact_exp.h"
#include "sample/top_logits.h"

namespace larder {

Logprobs ComputeLogprobs(std::span<const float> logits, std::int32_t chosen, std::size_t n_top) {
  LARDER_CHECK(chosen >= 0 && static_cast<std::size_t>(chosen) < logits.size());
  std::vector<Candidate> top;
  TopLogits(logits, {}, std::max<std::size_t>(n_top, 1), top);
  const double largest = static_cast<double>(top[0].logit);
  double total = 0.0;
  ForEachAllowed(logits, {}, [&](std::int32_t, float logit) {
    total += ExactExp(static_cast<double>(logit) - largest);
  });
  const auto logprob = [&](float logit) {
    // Infinite logits share the whole; nothing can be said about the rest.
    if (!std::isfinite(largest)) {
      return static_cast<double>(logit) == largest ? 0.0 : -std::numeric_limits<double>::infinity();
    }
    return (static_cast<double>(logit) - largest) - std::log(total);
  };
  Logprobs result;
  result.chosen = logprob(CleanLogit(logits[static_cast<std::size_t>(chosen)]));
  for (std::size_t i = 0; i < n_top && i < top.size(); ++i) {
    result.top.push_back({top[i].id, logprob(top[i].logit)});
  }
  return result;
}

}  // namespace larder
