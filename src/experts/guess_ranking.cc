// Shares as moving averages.
#include "experts/guess_ranking.h"

#include <algorithm>

namespace larder {
namespace {

constexpr double kMemory = 1.0 / 256;  // weight of the newest guess of a class
// Heat of a single use is 1 and halves with every half-life of the policy.
constexpr std::array<float, 3> kHeatSteps = {0.05f, 0.25f, 1.0f};

}  // namespace

GuessRanking::GuessRanking() {
  // Until something is learned the router's order counts.
  for (std::size_t i = 0; i < share_right_.size(); ++i) {
    share_right_[i] = 0.6 - 0.2 * static_cast<double>(i / kHeats) / static_cast<double>(kPlaces);
  }
}

int GuessRanking::ClassOf(std::size_t place, float heat) {
  const auto step = static_cast<std::size_t>(
      std::upper_bound(kHeatSteps.begin(), kHeatSteps.end(), heat) - kHeatSteps.begin());
  return static_cast<int>(std::min(place, kPlaces - 1) * kHeats + step);
}

void GuessRanking::Learn(int guess_class, bool was_right) {
  double& share = share_right_[static_cast<std::size_t>(guess_class)];
  share += kMemory * ((was_right ? 1.0 : 0.0) - share);
}

}  // namespace larder
