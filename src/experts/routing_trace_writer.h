// RoutingTraceWriter: writes routing traces as RoutingTrace reads them: a comment with the shape,
// the heading step,layer,slot,expert,weight,resident,phase, and one line per expert of each layer
// of each step. `slot` is the place in the router's order, best first; `weight` is 0 for an expert
// that was left out; `resident` is 1 when it was in memory before its layer asked; `phase` is 0 for
// tokens of a prompt and 1 for those of an answer. One thread.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "experts/gzip_text.h"

namespace larder {

struct RoutingTraceShape {
  int n_layers = 0;
  int n_experts = 0;
  int n_used = 0;
};

/// One chosen expert.
struct RoutingTraceEntry {
  std::int32_t expert = 0;
  float weight = 0;
  bool is_resident = false;
};

class RoutingTraceWriter {
 public:
  /// Compressed when `path` ends in .gz. Nothing stands at `path` until Finish.
  static Result<std::unique_ptr<RoutingTraceWriter>> Create(const std::string& path,
                                                            const RoutingTraceShape& shape);

  /// The next step: entries [n_layers, n_used]. A failure is kept for Finish.
  void AddStep(std::int64_t step, bool is_answer, std::span<const RoutingTraceEntry> entries);

  Status Finish();

 private:
  RoutingTraceWriter(std::unique_ptr<TextFileWriter> file, const RoutingTraceShape& shape)
      : file_(std::move(file)), shape_(shape) {}

  std::unique_ptr<TextFileWriter> file_;
  RoutingTraceShape shape_;
  Status status_;
};

}  // namespace larder
