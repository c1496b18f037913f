// Which type each tensor of a model gets when it is quantized. Pure functions.
#pragma once

#include <string>
#include <vector>

#include "base/status.h"
#include "format/metadata.h"
#include "format/tensor_directory.h"

namespace larder {

struct QuantizeTypes {
  DType experts = DType::kQ4_K;
  DType dense = DType::kQ8_0;
};

/// The type named behind `option`, one that can be written; else kInvalidArgument with the nearest.
Result<DType> ParseWritableType(const char* option, const std::string& name);

struct TensorPlan {
  const TensorInfo* source = nullptr;
  DType target = DType::kF32;
  bool fell_back = false;  // the row length fits no block of the type that was asked for
  bool copies() const { return source->dtype == target; }
};

/// Small tensors that quantizers of the llama.cpp family leave alone: vectors, norms, routers, the
/// convolution and the decay of linear attention, biases.
bool StaysAsItIs(const TensorInfo& tensor);

/// `wanted`, or the nearest simpler type whose block divides `n_cols`: K types become Q8_0, then
/// F16 where even 32 does not divide it.
DType TypeThatFits(DType wanted, std::int64_t n_cols);

/// One plan per tensor, in the source's order. `directory` outlives them.
std::vector<TensorPlan> PlanQuantization(const TensorDirectory& directory, QuantizeTypes types);

/// The source's metadata with general.file_type and general.quantization_version set.
Metadata QuantizedMetadata(const Metadata& source, QuantizeTypes types);

}  // namespace larder
