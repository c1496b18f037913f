// Tokens wait between their first and their last layer.
#include "cli/routing_replay.h"

#include <algorithm>

#include "base/check.h"

namespace larder {

// The next token of the sequence, for `position`; whatever waited there was never finished.
RoutingReplay::Token& RoutingReplay::Draw(std::int64_t position) {
  Token& token = waiting_[position];
  token = Token();
  sequence_->NextToken();
  for (int i = 0; i < n_layers_; ++i) {
    const std::span<const std::int32_t> chosen = sequence_->Experts(i);
    token.experts.insert(token.experts.end(), chosen.begin(), chosen.end());
  }
  return token;
}

std::span<const std::int32_t> RoutingReplay::ExpertsOf(const Token& token, int layer,
                                                       std::size_t n_used) const {
  LARDER_CHECK(token.experts.size() == n_used * static_cast<std::size_t>(n_layers_));
  return std::span(token.experts).subspan(static_cast<std::size_t>(layer) * n_used, n_used);
}

bool RoutingReplay::Choose(int layer, std::int64_t position, std::span<std::int32_t> ids) {
  const auto found = waiting_.find(position);
  const bool is_drawn = found != waiting_.end() && (layer > 0 || !found->second.has_begun);
  Token& token = is_drawn ? found->second : Draw(position);
  token.has_begun = true;
  const auto chosen = ExpertsOf(token, layer, ids.size());
  std::copy(chosen.begin(), chosen.end(), ids.begin());
  if (layer == n_layers_ - 1) waiting_.erase(position);
  return true;
}

bool RoutingReplay::Guess(int layer, std::int64_t position, std::span<std::int32_t> ids) {
  const auto found = waiting_.find(position);
  // Layer 0 is guessed at before anything else is known of the token.
  const bool is_drawn = found != waiting_.end() && (layer > 0 || !found->second.has_begun);
  const Token& token = is_drawn ? found->second : Draw(position);
  guesser_.Guess(ExpertsOf(token, layer, ids.size()), ids);
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
