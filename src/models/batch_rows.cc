// Rows of a step, and how some of them leave it.
#include "models/batch_rows.h"

#include <algorithm>

namespace larder {

BatchRows::BatchRows(std::span<BatchPart> parts) {
  for (BatchPart& part : parts) {
    const auto count = static_cast<std::int64_t>(part.tokens.size());
    LARDER_CHECK(count > 0);
    part.dropped = false;
    part.first_row = n_rows_;
    ranges_.push_back({&part, n_rows_, count, part.state->n_tokens()});
    tokens_.insert(tokens_.end(), part.tokens.begin(), part.tokens.end());
    n_rows_ += count;
  }
}

bool BatchRows::DropCancelled(Matrix x) {
  const auto is_cancelled = [](const RowRange& range) {
    const std::atomic<bool>* flag = range.part->cancelled;
    return flag != nullptr && flag->load(std::memory_order_relaxed);
  };
  std::size_t n_left = 0;
  std::int64_t end = 0;
  for (RowRange& range : ranges_) {
    if (is_cancelled(range)) {
      range.part->dropped = true;
      continue;
    }
    if (range.first_row != end) {
      std::copy(x.row(range.first_row), x.row(range.first_row) + range.n_rows * x.stride,
                x.row(end));
      range.first_row = end;
      range.part->first_row = end;
    }
    end += range.n_rows;
    ranges_[n_left++] = range;
  }
  ranges_.resize(n_left);
  n_rows_ = end;
  return n_left > 0;
}

void BatchRows::Advance() {
  for (const RowRange& range : ranges_) range.part->state->Advance(range.n_rows);
}

}  // namespace larder
