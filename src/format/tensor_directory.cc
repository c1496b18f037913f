// The directory's index and shapes as text.
#include "format/tensor_directory.h"

#include "format/printable.h"

namespace larder {

std::string TensorInfo::ShapeText() const {
  std::string text = "[";
  for (int i = 0; i < n_dims; ++i) {
    if (i > 0) text += ", ";
    text += std::to_string(dims[static_cast<std::size_t>(i)]);
  }
  return text + "]";
}

const TensorInfo* TensorDirectory::Find(std::string_view name) const {
  const auto found = index_by_name_.find(std::string(name));
  return found == index_by_name_.end() ? nullptr : &tensors_[found->second];
}

std::uint64_t TensorDirectory::total_tensor_bytes() const {
  std::uint64_t total = 0;
  for (const TensorInfo& tensor : tensors_) total += tensor.size_bytes;
  return total;
}

int TensorDirectory::AddFile(std::unique_ptr<File> file) {
  files_.push_back(std::move(file));
  return n_files() - 1;
}

Status TensorDirectory::AddTensor(TensorInfo tensor) {
  const auto [position, added] = index_by_name_.emplace(tensor.name, tensors_.size());
  if (!added) {
    return DataError("the tensor {} is there twice; the file is damaged, download it again",
                     Quoted(tensor.name));
  }
  tensors_.push_back(std::move(tensor));
  return Status::Ok();
}

}  // namespace larder
