// A guess at a known truth.
#include "experts/routing_guesser.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace larder {

RoutingGuesser::RoutingGuesser(double recall, int n_experts, std::uint64_t seed)
    : recall_(recall), random_(seed), is_taken_(static_cast<std::size_t>(n_experts), 0) {
  LARDER_CHECK(0 <= recall && recall <= 1 && n_experts > 0);
}

void RoutingGuesser::Guess(std::span<const std::int32_t> truth, std::span<std::int32_t> guess) {
  LARDER_CHECK(truth.size() == guess.size());
  std::size_t n_guessed = 0;
  for (const std::int32_t expert : truth) {
    is_taken_[static_cast<std::size_t>(expert)] = 1;
    if (random_.NextUnit() < recall_) guess[n_guessed++] = expert;
  }
  std::size_t n_unused = is_taken_.size() - truth.size();
  while (n_guessed < guess.size() && n_unused > 0) {
    const auto expert = random_.NextBelow(is_taken_.size());
    if (is_taken_[expert] != 0) continue;
    is_taken_[expert] = 1;
    --n_unused;
    guess[n_guessed++] = static_cast<std::int32_t>(expert);
  }
  // More than half of all are used: there are not enough wrong ones.
  for (std::size_t i = 0; n_guessed < guess.size(); ++i) {
    if (std::find(guess.begin(), guess.begin() + static_cast<std::ptrdiff_t>(n_guessed),
                  truth[i]) == guess.begin() + static_cast<std::ptrdiff_t>(n_guessed)) {
      guess[n_guessed++] = truth[i];
    }
  }
  for (const std::int32_t expert : truth) is_taken_[static_cast<std::size_t>(expert)] = 0;
  for (const std::int32_t expert : guess) is_taken_[static_cast<std::size_t>(expert)] = 0;
  for (std::size_t last = guess.size(); last > 1; --last) {
    std::swap(guess[last - 1], guess[random_.NextBelow(last)]);
  }
}

}  // namespace larder
