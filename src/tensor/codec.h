// Scalar encoders and decoders of every implemented type: the truth the kernels are tested against.
// Pure functions, any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "tensor/dtype.h"

namespace larder {

/// Decodes `n_elements` (a multiple of the type's block) from `blocks` into `out`. Exact: the
/// values are those of the `gguf` Python package, bit for bit. Any block contents are safe.
void DecodeRow(DType dtype, const std::byte* blocks, float* out, std::int64_t n_elements);

/// Whether EncodeRow can write the type. The IQ1, IQ2, IQ3 and TQ types are only read.
bool HasEncoder(DType dtype);

/// As DTypeFromName, and kUnsupported with the writable names for a type that can only be read.
Result<DType> WritableDTypeFromName(std::string_view name);

/// Encodes `n_elements` (a multiple of the block) into `blocks`. `importance`, when given, weighs
/// the squared error per element [n_elements] (ignored by types without a search). The type must
/// have an encoder (else a bug); non-finite input is the caller's to refuse (see AllFinite).
void EncodeRow(DType dtype, const float* values, std::byte* blocks, std::int64_t n_elements,
               const float* importance = nullptr);

bool AllFinite(const float* values, std::int64_t n_elements);

/// IEEE half and bfloat16, round to nearest even, subnormals and infinities kept.
float HalfToFloat(std::uint16_t bits);
std::uint16_t FloatToHalf(float value);
float BFloat16ToFloat(std::uint16_t bits);
std::uint16_t FloatToBFloat16(float value);

}  // namespace larder
