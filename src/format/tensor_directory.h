// Where every tensor of a model lies: name, shape, type, file, offset. Made by a format reader from
// headers alone; owns the open files.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/status.h"
#include "io/file.h"
#include "tensor/dtype.h"

namespace larder {

struct TensorInfo {
  std::string name;
  DType dtype = DType::kF32;
  int n_dims = 0;
  /// Fastest first, as GGUF stores them: a matrix is [n_cols, n_rows], stacked experts are
  /// [n_cols, n_rows, n_experts]. Unused ones are 1.
  std::array<std::int64_t, 4> dims = {1, 1, 1, 1};
  int file_index = 0;
  std::uint64_t offset = 0;  // from the start of the file
  std::uint64_t size_bytes = 0;

  std::int64_t n_elements() const { return dims[0] * dims[1] * dims[2] * dims[3]; }
  std::string ShapeText() const;  // "[2048, 512, 256]"
};

class TensorDirectory {
 public:
  /// nullptr when there is none of that name.
  const TensorInfo* Find(std::string_view name) const;
  const std::vector<TensorInfo>& tensors() const { return tensors_; }
  const File& file(int file_index) const { return *files_[static_cast<std::size_t>(file_index)]; }
  int n_files() const { return static_cast<int>(files_.size()); }
  std::uint64_t total_tensor_bytes() const;

  /// Takes the file over and returns its index.
  int AddFile(std::unique_ptr<File> file);
  /// A second tensor of the same name is kDataError.
  Status AddTensor(TensorInfo tensor);

 private:
  std::vector<std::unique_ptr<File>> files_;
  std::vector<TensorInfo> tensors_;
  std::unordered_map<std::string, std::size_t> index_by_name_;
};

}  // namespace larder
