// Which rows of a step belong to which timeline. Parts that are cancelled on the way leave it:
// their rows are taken out and the others move up. Made for one Forward; one thread.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "models/model.h"

namespace larder {

/// Rows of one part, [first_row, first_row + n_rows), at positions first_position.. of its state.
struct RowRange {
  BatchPart* part = nullptr;
  std::int64_t first_row = 0;
  std::int64_t n_rows = 0;
  std::int64_t first_position = 0;
};

class BatchRows {
 public:
  explicit BatchRows(std::span<BatchPart> parts);

  std::int64_t n_rows() const { return n_rows_; }
  /// Of the parts that are left, in order.
  std::span<const RowRange> ranges() const { return ranges_; }
  /// The tokens of all rows.
  std::span<const std::int32_t> tokens() const { return tokens_; }

  /// Drops the parts that were cancelled since, and their rows of x [n_rows(), d]. False when no
  /// part is left.
  bool DropCancelled(Matrix x);

  /// Advances the states of the parts that are left.
  void Advance();

 private:
  std::vector<RowRange> ranges_;
  std::vector<std::int32_t> tokens_;
  std::int64_t n_rows_ = 0;
};

}  // namespace larder
