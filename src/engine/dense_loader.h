// Dense weights: read once into one arena, in runs of neighbouring tensors, as aligned supersets so
// that O_DIRECT reads need no copy. The arena owns the memory; views point into it.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "base/memory.h"
#include "base/status.h"
#include "io/async_reader.h"
#include "models/model.h"

namespace larder {

struct DenseArena {
  PageBuffer memory;
  DenseWeights weights;
};

/// Bytes of the arena for these tensors.
std::uint64_t DenseArenaBytes(const TensorDirectory& directory,
                              const std::vector<const TensorInfo*>& tensors);

/// Reads the tensors; a read that fails is tried again. `progress(done_bytes, total_bytes)` may be
/// empty.
Result<DenseArena> LoadDense(const TensorDirectory& directory,
                             const std::vector<const TensorInfo*>& tensors, AsyncReader* reader,
                             bool direct,
                             const std::function<void(std::uint64_t, std::uint64_t)>& progress);

}  // namespace larder
