// A small writer of NumPy's .npy files (version 1.0): float32 matrices, row by row. Writes to
// PATH.tmp and renames on Finish; an unfinished file is removed. Source: numpy.lib.format.
#pragma once

#include <cstdint>
#include <cstdio>
#include <memory>
#include <span>
#include <string>

#include "base/status.h"

namespace larder {

class NpyWriter {
 public:
  /// Creates the file of a [n_rows, n_cols] matrix.
  static Result<std::unique_ptr<NpyWriter>> Create(const std::string& path, std::int64_t n_rows,
                                                   std::int64_t n_cols);
  ~NpyWriter();
  NpyWriter(const NpyWriter&) = delete;
  NpyWriter& operator=(const NpyWriter&) = delete;

  /// Appends whole rows.
  Status Write(std::span<const float> values);
  Status Finish();

 private:
  NpyWriter(std::string path, std::FILE* file);

  std::string path_;
  std::FILE* file_;
};

}  // namespace larder
