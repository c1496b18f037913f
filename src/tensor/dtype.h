// Element types of tensors, numbered as GGUF numbers them, and their block geometry.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace larder {

enum class DType : std::uint32_t {
  kF32 = 0,
  kF16 = 1,
  kQ4_0 = 2,
  kQ4_1 = 3,
  kQ5_0 = 6,
  kQ5_1 = 7,
  kQ8_0 = 8,
  kQ2_K = 10,
  kQ3_K = 11,
  kQ4_K = 12,
  kQ5_K = 13,
  kQ6_K = 14,
  kIQ2_XXS = 16,
  kIQ2_XS = 17,
  kIQ3_XXS = 18,
  kIQ1_S = 19,
  kIQ4_NL = 20,
  kIQ3_S = 21,
  kIQ2_S = 22,
  kIQ4_XS = 23,
  kIQ1_M = 29,
  kBF16 = 30,
  kTQ1_0 = 34,
  kTQ2_0 = 35,
  kMXFP4 = 39,
};

struct DTypeInfo {
  DType dtype;
  std::string_view name;  // as people write it: "Q4_K"
  std::int64_t elements_per_block;
  std::int64_t bytes_per_block;
};

/// Geometry of an implemented type.
const DTypeInfo& GetDTypeInfo(DType dtype);
std::string_view DTypeName(DType dtype);

/// The type behind a GGUF number. A number that is known upstream but not implemented here, or
/// unknown, is kUnsupported, by name where it has one ("type NVFP4 is not supported yet; ...").
Result<DType> DTypeFromGguf(std::uint32_t number);

/// "Q4_K", "q4_k", "f16" ...; kUnsupported with the list of implemented names otherwise.
Result<DType> DTypeFromName(std::string_view name);

/// All implemented types, in GGUF order.
const std::vector<DType>& AllDTypes();

/// Bytes of one row of `n_elements`, which must be a multiple of the block (else a bug).
std::size_t RowBytes(DType dtype, std::int64_t n_elements);

}  // namespace larder
