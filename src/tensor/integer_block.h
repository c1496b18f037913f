// One quantized block as integers and two floats, the common form of every type that is not decoded
// by code of its own: what the decoder multiplies out and what the portable product sums. Plain
// data and pure functions, any thread.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tensor/dtype.h"

namespace larder {

/// Element i is d * scales[i / 16] * q[i] - dmin * mins[i / 16]. Where the format's scale is an odd
/// multiple of a fraction of d (the IQ types), d is that fraction, which is exact. Only the first
/// 32 elements are set for types of 32. |scale * q| < 2^13 and mins are below 2^4.
struct IntegerBlock {
  alignas(64) std::int8_t q[256];
  std::int16_t scales[16];
  std::int16_t mins[16];  // unset unless has_mins
  float d;
  float dmin;
  bool has_mins;
};

using UnpackFunction = void (*)(const std::byte* block, IntegerBlock* out);

/// The function that unpacks one block of `dtype` from any address; null for float types and for
/// those with code of their own (Q8_0, Q4_0, Q4_K, Q5_K, Q6_K). Any block contents are safe.
UnpackFunction UnpackFunctionFor(DType dtype);

}  // namespace larder
