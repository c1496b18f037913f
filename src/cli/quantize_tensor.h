// Converts one tensor from a file into a writer, in pieces of a few MiB: constant memory whatever
// the model. Owns its buffers; rows of a piece are shared out over the pool's threads.
#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <vector>

#include "base/status.h"
#include "base/thread_pool.h"
#include "cli/importance.h"
#include "cli/quantize_plan.h"
#include "format/gguf_writer.h"

namespace larder {

class TensorConverter {
 public:
  /// `directory`, `writer`, `pool` and `importance` (which may be null) outlive the converter.
  TensorConverter(const TensorDirectory* directory, GgufWriter* writer, ThreadPool* pool,
                  const ImportanceTable* importance);

  /// Copies or converts the tensor. A value that is not finite is kDataError naming tensor, row and
  /// column. `on_progress` receives source bytes done of this tensor; false from it is kCancelled.
  Status Convert(const TensorPlan& plan,
                 const std::function<bool(std::uint64_t done_bytes)>& on_progress);

 private:
  Status ConvertRows(const TensorPlan& plan, std::int64_t n_rows, std::int64_t first_row);

  const TensorDirectory* directory_;
  GgufWriter* writer_;
  ThreadPool* pool_;
  const ImportanceTable* importance_;
  std::vector<std::byte> source_;
  std::vector<std::byte> target_;
  std::vector<std::vector<float>> rows_;  // one per thread
};

}  // namespace larder
