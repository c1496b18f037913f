// Sizes of the expert bank.
#include "experts/expert_bank.h"

namespace larder {

std::uint64_t ExpertLayerLayout::record_bytes() const {
  std::uint64_t sum = 0;
  for (const SlabLayout& slab : slabs) sum += slab.size_bytes;
  return sum;
}

std::uint64_t ExpertBank::total_bytes() const {
  std::uint64_t sum = 0;
  for (const ExpertLayerLayout& layer : layers) sum += layer.record_bytes();
  return sum * static_cast<std::uint64_t>(n_experts);
}

}  // namespace larder
