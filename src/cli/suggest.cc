// Edit distance over short words.
#include "cli/suggest.h"

#include <algorithm>

namespace larder {

int EditDistance(std::string_view a, std::string_view b) {
  std::vector<std::vector<int>> cost(a.size() + 1, std::vector<int>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i) cost[i][0] = static_cast<int>(i);
  for (std::size_t j = 0; j <= b.size(); ++j) cost[0][j] = static_cast<int>(j);
  for (std::size_t i = 1; i <= a.size(); ++i) {
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const int replaced = cost[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      cost[i][j] = std::min({cost[i - 1][j] + 1, cost[i][j - 1] + 1, replaced});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) cost[i][j] = std::min(cost[i][j], cost[i - 2][j - 2] + 1);
    }
  }
  return cost[a.size()][b.size()];
}

std::string NearestWord(std::string_view word, const std::vector<std::string>& known) {
  // A third of the letters may be wrong; a word that begins like a known one is meant, too.
  int best_distance = std::max(1, static_cast<int>(word.size()) / 3) + 1;
  std::string best;
  for (const std::string& candidate : known) {
    int distance = EditDistance(word, candidate);
    const bool is_prefix = word.size() >= 3 && candidate.compare(0, word.size(), word) == 0;
    if (is_prefix) distance = std::min(distance, 1);
    if (distance < best_distance) {
      best_distance = distance;
      best = candidate;
    }
  }
  return best;
}

}  // namespace larder
