// A small writer of NumPy's .npy files (version 1.0): float32 matrices, row by row. Takes
// the place of an older file on Finish; an unfinished one is removed. Source: numpy.lib.format.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/status.h"
#include "cli/replacing_file.h"

namespace larder {

class NpyWriter {
 public:
  /// Creates the file of a [n_rows, n_cols] matrix.
  static Result<std::unique_ptr<NpyWriter>> Create(const std::string& path, std::int64_t n_rows,
                                                   std::int64_t n_cols);

  /// Appends whole rows.
  Status Write(std::span<const float> values);
  Status Finish() { return file_->Finish(); }

 private:
  explicit NpyWriter(std::unique_ptr<ReplacingFile> file) : file_(std::move(file)) {}

  std::unique_ptr<ReplacingFile> file_;
};

}  // namespace larder
