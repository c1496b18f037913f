// Reads sums and counts, divides them.
#include "cli/importance.h"

#include <algorithm>
#include <cmath>
#include <string_view>

#include "format/gguf_reader.h"

namespace larder {

namespace {

constexpr std::string_view kSums = ".in_sum2";
constexpr std::string_view kCounts = ".counts";
// Columns that met nothing still count a little, so that every scale search has something to fit.
constexpr float kLeastShare = 1e-6f;

Result<std::vector<float>> ReadFloats(const GgufModel& file, const TensorInfo& tensor) {
  if (tensor.dtype != DType::kF32) {
    return DataError("tensor '{}' of the importance file is {}, not F32", tensor.name,
                     DTypeName(tensor.dtype));
  }
  std::vector<float> values(static_cast<std::size_t>(tensor.n_elements()));
  LARDER_RETURN_IF_ERROR(
      file.tensors.file(tensor.file_index)
          .ReadAt(tensor.offset, reinterpret_cast<std::byte*>(values.data()), tensor.size_bytes));
  const bool good =
      std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v) && v >= 0; });
  if (!good) {
    return DataError("tensor '{}' of the importance file has a negative or non-finite value",
                     tensor.name);
  }
  return values;
}

// Sums of one matrix become means; false where nothing was counted.
bool Normalise(float count, float* values, std::int64_t n) {
  if (!(count > 0)) return false;
  double total = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    values[i] /= count;
    total += values[i];
  }
  const float least = kLeastShare * static_cast<float>(total / static_cast<double>(n));
  for (std::int64_t i = 0; i < n; ++i) values[i] = std::max(values[i], least);
  return total > 0 && std::isfinite(total);
}

}  // namespace

Result<ImportanceTable> ImportanceTable::Load(const std::string& path) {
  LARDER_ASSIGN_OR_RETURN(const GgufModel file, OpenGguf(path));
  ImportanceTable table;
  for (const TensorInfo& sums : file.tensors.tensors()) {
    if (!std::string_view(sums.name).ends_with(kSums)) continue;
    const std::string name = sums.name.substr(0, sums.name.size() - kSums.size());
    const TensorInfo* counts = file.tensors.Find(name + std::string(kCounts));
    Entry entry;
    entry.n_cols = sums.dims[0];
    entry.n_matrices = sums.n_elements() / std::max<std::int64_t>(sums.dims[0], 1);
    if (counts == nullptr || counts->n_elements() != entry.n_matrices) {
      return DataError("{} lacks the counts of '{}'; make the importance file again", path, name);
    }
    LARDER_ASSIGN_OR_RETURN(entry.values, ReadFloats(file, sums));
    LARDER_ASSIGN_OR_RETURN(const std::vector<float> n, ReadFloats(file, *counts));
    for (std::int64_t m = 0; m < entry.n_matrices; ++m) {
      entry.measured.push_back(Normalise(n[static_cast<std::size_t>(m)],
                                         entry.values.data() + m * entry.n_cols, entry.n_cols));
    }
    table.entries_.emplace(name, std::move(entry));
  }
  if (table.entries_.empty()) {
    return DataError("{} is no importance file: it has no tensor named '...{}'", path, kSums);
  }
  return table;
}

Result<const float*> ImportanceTable::Find(const std::string& name, std::int64_t n_cols,
                                           std::int64_t matrix, std::int64_t n_matrices) const {
  const auto found = entries_.find(name);
  if (found == entries_.end()) return nullptr;
  const Entry& entry = found->second;
  if (entry.n_cols != n_cols || entry.n_matrices != n_matrices) {
    return DataError(
        "the importance of '{}' is for {} x {} columns, the model has {} x {}; it was measured on "
        "another model",
        name, entry.n_matrices, entry.n_cols, n_matrices, n_cols);
  }
  if (!entry.measured[static_cast<std::size_t>(matrix)]) return nullptr;
  return entry.values.data() + matrix * n_cols;
}

}  // namespace larder
