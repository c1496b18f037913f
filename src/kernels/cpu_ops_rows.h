// CpuOps' loops over rows and heads: pieces large enough that handing them out costs little, and
// small calls stay on the calling thread.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/cpu_ops_impl.h"

namespace larder {

inline constexpr std::int64_t kWorkPerPiece = 16384;  // element operations, a few microseconds

/// body(row, thread) for every row, each about `work_per_row` element operations.
template <typename Body>
void CpuOps::ForRows(std::int64_t n_rows, std::int64_t work_per_row, Body body) {
  const std::int64_t grain =
      std::max<std::int64_t>(1, kWorkPerPiece / std::max<std::int64_t>(work_per_row, 1));
  const auto run = [&body](std::size_t begin, std::size_t end, int thread) {
    for (std::size_t row = begin; row < end; ++row) body(static_cast<std::int64_t>(row), thread);
  };
  pool_->ParallelFor(static_cast<std::size_t>(n_rows), static_cast<std::size_t>(grain), run);
}

/// body(token, head) for every head of every token.
template <typename Body>
void CpuOps::ForHeads(const ConstHeads& heads, Body body) {
  const std::int64_t n_heads = heads.n_heads;
  ForRows(heads.n_tokens * n_heads, 8 * heads.head_dim,
          [&](std::int64_t item, int) { body(item / n_heads, item % n_heads); });
}

}  // namespace larder
