// Records which experts a model chooses, for `larder run --trace-routing`. The model goes layer by
// layer through a batch, the trace token by token: tokens wait here until their last layer. Changes
// nothing. One thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "experts/routing_trace_writer.h"
#include "models/model.h"

namespace larder {

class RoutingRecorder final : public RoutingSource {
 public:
  RoutingRecorder(std::unique_ptr<RoutingTraceWriter> writer, int n_layers)
      : writer_(std::move(writer)), n_layers_(n_layers) {}

  bool Choose(int, std::int64_t, std::span<std::int32_t>) override { return false; }
  void Routed(int layer, std::int64_t position, std::span<const std::int32_t> ids,
              std::span<const float> weights, const ExpertStore& store) override;

  /// Tokens from now on belong to the answer.
  void BeginAnswer() { is_answer_ = true; }
  /// Ends the file; tokens that did not reach their last layer are not in it.
  Status Finish() { return writer_->Finish(); }

 private:
  std::unique_ptr<RoutingTraceWriter> writer_;
  int n_layers_;
  bool is_answer_ = false;
  std::unordered_map<std::int64_t, std::vector<RoutingTraceEntry>> waiting_;  // by position
};

}  // namespace larder
