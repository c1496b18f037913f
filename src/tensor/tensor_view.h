// Views of weights and activations: pointers with shapes, owning nothing. Whoever makes a view says
// who owns the memory (the dense arena, an expert slot, a scratch buffer).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "tensor/dtype.h"

namespace larder {

/// A weight matrix of any type, row-major: n_rows outputs of n_cols inputs each; a vector has one
/// row. Data need not be aligned beyond one byte (streamed slabs start at any file offset).
struct WeightView {
  const std::byte* data = nullptr;
  DType dtype = DType::kF32;
  std::int64_t n_rows = 0;
  std::int64_t n_cols = 0;

  std::size_t row_bytes() const { return RowBytes(dtype, n_cols); }
  std::size_t size_bytes() const { return row_bytes() * static_cast<std::size_t>(n_rows); }
  const std::byte* row(std::int64_t index) const {
    return data + static_cast<std::size_t>(index) * row_bytes();
  }
  /// Rows [begin, end) of this matrix.
  WeightView Rows(std::int64_t begin, std::int64_t end) const {
    LARDER_CHECK(0 <= begin && begin <= end && end <= n_rows);
    return {row(begin), dtype, end - begin, n_cols};
  }
};

/// A row-major float matrix [n_rows, n_cols] whose rows are `stride` floats apart.
template <typename T>
struct BasicMatrix {
  T* data = nullptr;
  std::int64_t n_rows = 0;
  std::int64_t n_cols = 0;
  std::int64_t stride = 0;

  BasicMatrix() = default;
  BasicMatrix(T* data_in, std::int64_t rows, std::int64_t cols)
      : data(data_in), n_rows(rows), n_cols(cols), stride(cols) {}
  BasicMatrix(T* data_in, std::int64_t rows, std::int64_t cols, std::int64_t stride_in)
      : data(data_in), n_rows(rows), n_cols(cols), stride(stride_in) {}
  /// A mutable matrix is a const one too.
  operator BasicMatrix<const T>() const { return {data, n_rows, n_cols, stride}; }  // NOLINT

  T* row(std::int64_t index) const { return data + index * stride; }
  /// Rows [begin, end).
  BasicMatrix Rows(std::int64_t begin, std::int64_t end) const {
    return {row(begin), end - begin, n_cols, stride};
  }
  /// Columns [begin, end).
  BasicMatrix Cols(std::int64_t begin, std::int64_t end) const {
    return {data + begin, n_rows, end - begin, stride};
  }
};

using Matrix = BasicMatrix<float>;
using ConstMatrix = BasicMatrix<const float>;

}  // namespace larder
