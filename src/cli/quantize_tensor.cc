// Read a piece, decode and encode its rows, write it.
#include "cli/quantize_tensor.h"

#include <algorithm>
#include <cmath>
#include <mutex>

#include "tensor/codec.h"

namespace larder {

namespace {
constexpr std::uint64_t kPieceBytes = std::uint64_t{8} << 20;
}

TensorConverter::TensorConverter(const TensorDirectory* directory, GgufWriter* writer,
                                 ThreadPool* pool, const ImportanceTable* importance)
    : directory_(directory),
      writer_(writer),
      pool_(pool),
      importance_(importance),
      rows_(static_cast<std::size_t>(pool->n_threads())) {}

Status TensorConverter::ConvertRows(const TensorPlan& plan, std::int64_t n_rows,
                                    std::int64_t first_row) {
  const std::int64_t n_cols = plan.source->dims[0];
  const std::size_t source_row_bytes = RowBytes(plan.source->dtype, n_cols);
  const std::size_t target_row_bytes = RowBytes(plan.target, n_cols);
  target_.resize(target_row_bytes * static_cast<std::size_t>(n_rows));
  const std::int64_t rows_per_matrix = std::max<std::int64_t>(plan.source->dims[1], 1);
  const std::int64_t n_matrices = plan.source->dims[2] * plan.source->dims[3];
  std::vector<const float*> importance(static_cast<std::size_t>(n_matrices), nullptr);
  for (std::int64_t m = 0; importance_ != nullptr && m < n_matrices; ++m) {
    LARDER_ASSIGN_OR_RETURN(importance[static_cast<std::size_t>(m)],
                            importance_->Find(plan.source->name, n_cols, m, n_matrices));
  }
  std::mutex mutex;
  std::int64_t bad_row = -1;
  std::int64_t bad_col = 0;
  pool_->ParallelFor(
      static_cast<std::size_t>(n_rows), 4, [&](std::size_t begin, std::size_t end, int thread) {
        std::vector<float>& row = rows_[static_cast<std::size_t>(thread)];
        row.resize(static_cast<std::size_t>(n_cols));
        for (std::size_t i = begin; i < end; ++i) {
          DecodeRow(plan.source->dtype, source_.data() + i * source_row_bytes, row.data(), n_cols);
          if (!AllFinite(row.data(), n_cols)) {
            const auto at =
                std::find_if(row.begin(), row.end(), [](float x) { return !std::isfinite(x); });
            const std::lock_guard<std::mutex> lock(mutex);
            bad_row = first_row + static_cast<std::int64_t>(i);
            bad_col = at - row.begin();
            return;
          }
          const std::int64_t matrix = (first_row + static_cast<std::int64_t>(i)) / rows_per_matrix;
          EncodeRow(plan.target, row.data(), target_.data() + i * target_row_bytes, n_cols,
                    importance[static_cast<std::size_t>(matrix)]);
        }
      });
  if (bad_row >= 0) {
    return DataError(
        "tensor '{}' has a value that is not a finite number in row {}, column {}; "
        "the source file is damaged or was converted wrongly",
        plan.source->name, bad_row, bad_col);
  }
  return writer_->Write(target_);
}

Status TensorConverter::Convert(const TensorPlan& plan,
                                const std::function<bool(std::uint64_t)>& on_progress) {
  const TensorInfo& tensor = *plan.source;
  const File& file = directory_->file(tensor.file_index);
  const std::size_t row_bytes = RowBytes(tensor.dtype, tensor.dims[0]);
  const std::int64_t n_rows = tensor.n_elements() / std::max<std::int64_t>(tensor.dims[0], 1);
  const auto rows_per_piece = std::max<std::int64_t>(
      1, static_cast<std::int64_t>(kPieceBytes / std::max<std::size_t>(row_bytes, 1)));
  for (std::int64_t row = 0; row < n_rows; row += rows_per_piece) {
    const std::int64_t n_now = std::min(rows_per_piece, n_rows - row);
    const std::uint64_t begin = static_cast<std::uint64_t>(row) * row_bytes;
    source_.resize(static_cast<std::size_t>(n_now) * row_bytes);
    LARDER_RETURN_IF_ERROR(file.ReadAt(tensor.offset + begin, source_.data(), source_.size()));
    file.DropFromPageCache(tensor.offset + begin, source_.size());
    if (plan.copies()) {
      LARDER_RETURN_IF_ERROR(writer_->Write(source_));
    } else {
      LARDER_RETURN_IF_ERROR(ConvertRows(plan, n_now, row));
    }
    if (!on_progress(begin + source_.size())) return Cancelled("stopped");
  }
  return Status::Ok();
}

}  // namespace larder
