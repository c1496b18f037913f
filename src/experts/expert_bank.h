// Which bytes of which file an expert is: the layout of all streamed weights of a model. Made once
// by the model's binding from the TensorDirectory; plain data, immutable.
#pragma once

#include <cstdint>
#include <vector>

#include "format/tensor_directory.h"
#include "tensor/tensor_view.h"

namespace larder {

/// One contiguous piece of an expert: expert e of the layer lies at offset + e * size_bytes.
struct SlabLayout {
  int file_index = 0;
  std::uint64_t offset = 0;
  std::uint64_t size_bytes = 0;  // of one expert
  DType dtype = DType::kF32;
  std::int64_t n_rows = 0;
  std::int64_t n_cols = 0;
};

/// A layer's expert record: {gate, up, down}, or {gate_up, down} when fused (gate rows first).
struct ExpertLayerLayout {
  std::vector<SlabLayout> slabs;
  bool fused_gate_up = false;

  std::uint64_t record_bytes() const;
};

struct ExpertBank {
  const TensorDirectory* directory = nullptr;  // outlives the bank
  std::vector<ExpertLayerLayout> layers;       // [n_layers]
  int n_experts = 0;
  int n_used = 0;

  std::uint64_t total_bytes() const;
};

/// An expert in memory: views into a slot.
struct ExpertWeights {
  WeightView gate;  // [d_ff, d_model]
  WeightView up;    // [d_ff, d_model]
  WeightView down;  // [d_model, d_ff]
};

}  // namespace larder
