// Scratch memory of a model: matrices cut from one allocation. The same code counts (no memory) and
// places, so that the budget's figure and the allocation cannot differ.
#pragma once

#include <cstdint>

#include "base/memory.h"
#include "tensor/tensor_view.h"

namespace larder {

class ScratchCutter {
 public:
  /// With `base` null only counts.
  explicit ScratchCutter(std::byte* base) : base_(base) {}

  Matrix Floats(std::int64_t n_rows, std::int64_t n_cols) {
    return {reinterpret_cast<float*>(Bytes(static_cast<std::uint64_t>(n_rows * n_cols) * 4)),
            n_rows, n_cols};
  }
  std::byte* Bytes(std::uint64_t size_bytes) {
    std::byte* start = base_ == nullptr ? nullptr : base_ + used_bytes_;
    used_bytes_ = AlignUp(used_bytes_ + size_bytes, 64);
    return start;
  }
  std::uint64_t used_bytes() const { return used_bytes_; }
  /// Back to an earlier mark: what is cut next shares memory with what was cut since.
  void Rewind(std::uint64_t mark) { used_bytes_ = mark; }
  void RaiseTo(std::uint64_t mark) { used_bytes_ = mark > used_bytes_ ? mark : used_bytes_; }

 private:
  std::byte* base_;
  std::uint64_t used_bytes_ = 0;
};

}  // namespace larder
