// Importance of weight columns for quantizing: the mean squared activation that each column met, as
// importance-matrix tools store it in a GGUF file (tensors NAME.in_sum2 [n_cols, n_matrices] and
// NAME.counts [1, n_matrices], both F32, for the weight tensor NAME). Owns its values; immutable
// once loaded, any thread.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/status.h"

namespace larder {

class ImportanceTable {
 public:
  /// kDataError for a file without such tensors, with a sum that lacks its counts, or with a
  /// negative or non-finite value.
  static Result<ImportanceTable> Load(const std::string& path);

  /// Weights [n_cols] of matrix `matrix` (an expert; 0 for plain matrices) of tensor `name`; null
  /// where nothing was measured. A table of another width or number of matrices is kDataError.
  Result<const float*> Find(const std::string& name, std::int64_t n_cols, std::int64_t matrix,
                            std::int64_t n_matrices) const;

 private:
  struct Entry {
    std::int64_t n_cols = 0;
    std::int64_t n_matrices = 0;
    std::vector<float> values;   // [n_matrices, n_cols]
    std::vector<bool> measured;  // [n_matrices]
  };
  std::map<std::string, Entry> entries_;
};

}  // namespace larder
