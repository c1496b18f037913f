// What all architectures share: the registry by name, and the weights' table.
#include "models/model.h"

#include "models/qwen35moe.h"

namespace larder {

std::uint64_t ModelLayout::dense_bytes() const {
  std::uint64_t size_bytes = 0;
  for (const TensorInfo* tensor : dense) size_bytes += tensor->size_bytes;
  return size_bytes;
}

void DenseWeights::Add(const TensorInfo& tensor, const std::byte* data) {
  views_[tensor.name] = {data, tensor.dtype, tensor.n_elements() / tensor.dims[0], tensor.dims[0]};
}

WeightView DenseWeights::Get(const std::string& name) const {
  const auto found = views_.find(name);
  LARDER_CHECK(found != views_.end());
  return found->second;
}

Result<std::unique_ptr<Model>> MakeModel(const GgufModel& file, const ModelOverrides& overrides) {
  LARDER_ASSIGN_OR_RETURN(const std::string architecture,
                          file.metadata.GetString("general.architecture"));
  if (architecture == Qwen35Moe::kArchitecture) return Qwen35Moe::Create(file, overrides);
  return Unsupported("architecture '{}' is not supported; Larder runs qwen35moe so far",
                     architecture);
}

}  // namespace larder
