// Presence, shape and type checks of a model's tensors.
#include "models/tensor_binder.h"

#include <algorithm>
#include <array>

namespace larder {

const TensorInfo* TensorBinder::Find(const std::string& name,
                                     std::initializer_list<std::int64_t> dims) {
  if (!status_.ok()) return nullptr;
  const TensorInfo* tensor = directory_->Find(name);
  if (tensor == nullptr) {
    status_ = DataError("the file has no tensor '{}'; it is incomplete or not of this architecture",
                        name);
    return nullptr;
  }
  std::array<std::int64_t, 4> expected = {1, 1, 1, 1};
  std::copy(dims.begin(), dims.end(), expected.begin());
  if (tensor->dims != expected) {
    TensorInfo wanted;
    wanted.dims = expected;
    wanted.n_dims = static_cast<int>(dims.size());
    status_ = DataError("tensor '{}' has shape {} where {} was expected", name, tensor->ShapeText(),
                        wanted.ShapeText());
    return nullptr;
  }
  used_.insert(name);
  return tensor;
}

void TensorBinder::Matrix(const std::string& name, std::initializer_list<std::int64_t> dims) {
  const TensorInfo* tensor = Find(name, dims);
  if (tensor != nullptr) layout_->dense.push_back(tensor);
}

void TensorBinder::Vector(const std::string& name, std::initializer_list<std::int64_t> dims) {
  const TensorInfo* tensor = Find(name, dims);
  if (tensor == nullptr) return;
  if (tensor->dtype != DType::kF32) {
    status_ = Unsupported("tensor '{}' has type {}; only F32 is supported there", name,
                          DTypeName(tensor->dtype));
    return;
  }
  layout_->dense.push_back(tensor);
}

void TensorBinder::Embedding(const std::string& name, std::initializer_list<std::int64_t> dims,
                             bool tied) {
  const TensorInfo* tensor = Find(name, dims);
  if (tensor == nullptr) return;
  layout_->embedding = tensor;
  layout_->tied_output = tied;
  if (tied) layout_->dense.push_back(tensor);
}

void TensorBinder::ExpertSlab(const std::string& name, std::initializer_list<std::int64_t> dims,
                              ExpertLayerLayout* layer) {
  const TensorInfo* tensor = Find(name, dims);
  if (tensor == nullptr) return;
  const auto n_experts = static_cast<std::uint64_t>(tensor->dims[2]);
  layer->slabs.push_back({.file_index = tensor->file_index,
                          .offset = tensor->offset,
                          .size_bytes = tensor->size_bytes / n_experts,
                          .dtype = tensor->dtype,
                          .n_rows = tensor->dims[1],
                          .n_cols = tensor->dims[0]});
}

Status TensorBinder::Finish() {
  LARDER_RETURN_IF_ERROR(status_);
  for (const TensorInfo& tensor : directory_->tensors()) {
    if (used_.count(tensor.name) == 0) layout_->unused.push_back(&tensor);
  }
  return Status::Ok();
}

}  // namespace larder
