// A tiny qwen35moe file made on the spot, whole or damaged in a chosen way. For tests of errors;
// its weights are random and mean nothing.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "format/gguf_writer.h"

namespace larder {

struct TinyModelParts {
  Metadata metadata;
  std::vector<GgufWriter::TensorDeclaration> tensors;
};

/// The parts of a sound file: 4 layers (the last with full attention), 8 experts, 2 used.
TinyModelParts MakeTinyModelParts();

/// Writes the parts, after `change` had its way with them, to `path`.
void WriteTinyModel(const std::string& path,
                    const std::function<void(TinyModelParts*)>& change = nullptr);

/// A file name in the test's temporary folder, removed beforehand.
std::string TemporaryPath(const std::string& name);

}  // namespace larder
