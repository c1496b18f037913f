// Tokens wait between their first and their last layer.
#include "cli/routing_replay.h"

#include <algorithm>

#include "base/check.h"

namespace larder {

bool RoutingReplay::Choose(int layer, std::int64_t position, std::span<std::int32_t> ids) {
  std::vector<std::int32_t>& experts = waiting_[position];
  if (layer == 0) {
    experts.clear();
    sequence_->NextToken();
    for (int i = 0; i < n_layers_; ++i) {
      const std::span<const std::int32_t> chosen = sequence_->Experts(i);
      LARDER_CHECK(chosen.size() == ids.size());
      experts.insert(experts.end(), chosen.begin(), chosen.end());
    }
  }
  LARDER_CHECK(experts.size() == ids.size() * static_cast<std::size_t>(n_layers_));
  std::copy_n(experts.begin() + static_cast<std::ptrdiff_t>(ids.size()) * layer, ids.size(),
              ids.begin());
  if (layer == n_layers_ - 1) waiting_.erase(position);
  return true;
}

bool RoutingCounter::Choose(int layer, std::int64_t, std::span<std::int32_t> ids) {
  const std::size_t row = static_cast<std::size_t>(layer) * static_cast<std::size_t>(n_experts_);
  for (const std::int32_t id : ids) used_[row + static_cast<std::size_t>(id)] = true;
  return false;
}

int RoutingCounter::LeastUsed() const {
  std::ptrdiff_t least = n_experts_;
  for (int layer = 0; layer < n_layers_; ++layer) {
    const auto row = used_.begin() + static_cast<std::ptrdiff_t>(layer) * n_experts_;
    least = std::min(least, std::count(row, row + n_experts_, true));
  }
  return static_cast<int>(least);
}

}  // namespace larder
