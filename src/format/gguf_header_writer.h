// Bytes of a GGUF v3 header: everything before the data section.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "format/gguf_writer.h"

namespace larder {

struct GgufHeader {
  std::string bytes;  // padded to the alignment: the data section follows
  std::vector<std::uint64_t> tensor_sizes_bytes;
  std::uint64_t file_size_bytes = 0;  // with all tensors and their padding
};

/// kInvalidArgument for a repeated name, an impossible shape or alignment. Metadata whose values do
/// not fit their own types is a bug.
Result<GgufHeader> MakeGgufHeader(const Metadata& metadata,
                                  const std::vector<GgufWriter::TensorDeclaration>& tensors,
                                  std::uint32_t alignment);

}  // namespace larder
