// GGUF v3 reader: headers only, one part or several. Every count, length, offset and product is
// hostile until checked. Source: the GGUF specification.
#pragma once

#include <string>

#include "base/status.h"
#include "format/metadata.h"
#include "format/tensor_directory.h"

namespace larder {

struct GgufModel {
  Metadata metadata;  // of the first part, without split.*
  TensorDirectory tensors;
};

/// Opens a model by its only or first file. Split files "-00001-of-000NN.gguf" are found beside it;
/// a missing part is named; giving a later part is refused with the name of the first. A tensor of
/// an unimplemented type is kUnsupported (naming tensor and type); tensors must lie inside their
/// file, at aligned offsets, and must not overlap.
Result<GgufModel> OpenGguf(const std::string& path);

}  // namespace larder
