// The header of one GGUF file, from any source of bytes: what gguf_reader.h puts together.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "format/byte_source.h"
#include "format/metadata.h"
#include "format/tensor_directory.h"

namespace larder {

struct GgufPart {
  Metadata metadata;
  std::vector<TensorInfo> tensors;  // in the file's order, offsets from the start of the file
  std::uint32_t alignment = 32;
};

/// Reads and checks the header; `name` stands in front of every error. The source's size counts:
/// tensors must lie inside it, at aligned offsets, without overlap, each name once.
Result<GgufPart> ParseGgufPart(const ByteSource& source, const std::string& name);

/// The bytes of one tensor, or false when a size is negative, does not fit the type's blocks or
/// overflows 63 bits.
bool TensorBytes(DType dtype, const std::array<std::int64_t, 4>& dims, std::uint64_t* size_bytes);

/// Alignments GGUF data may have: powers of two from 8 to 1 MiB.
bool IsGgufAlignment(std::uint64_t alignment);

}  // namespace larder
