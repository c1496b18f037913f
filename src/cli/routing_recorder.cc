// Tokens wait between their first and their last layer.
#include "cli/routing_recorder.h"

#include "experts/expert_store.h"

namespace larder {

void RoutingRecorder::Routed(int layer, std::int64_t position, std::span<const std::int32_t> ids,
                             std::span<const float> weights, const ExpertStore& store) {
  std::vector<RoutingTraceEntry>& entries = waiting_[position];
  if (layer == 0) entries.clear();
  for (std::size_t i = 0; i < ids.size(); ++i) {
    entries.push_back({ids[i], weights[i], store.IsResident(layer, ids[i])});
  }
  if (layer < n_layers_ - 1) return;
  writer_->AddStep(position, is_answer_, entries);
  waiting_.erase(position);
}

}  // namespace larder
