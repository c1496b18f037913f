// What the kernel tests share: random inputs, aligned scratch, comparison of bits.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "base/isa.h"
#include "base/memory.h"
#include "base/random.h"
#include "tensor/blocks.h"
#include "tensor/codec.h"

namespace larder {

class AlignedBytes {
 public:
  explicit AlignedBytes(std::size_t bytes)
      : buffer_(std::move(PageBuffer::Allocate(bytes, false)).value()) {}
  std::byte* data() const { return buffer_.data(); }

 private:
  PageBuffer buffer_;
};

inline std::vector<float> RandomFloats(std::uint64_t seed, std::int64_t n, float scale) {
  SplitMix64 random(seed);
  std::vector<float> values(static_cast<std::size_t>(n));
  for (float& value : values) {
    double sum = 0;
    for (int i = 0; i < 6; ++i) sum += random.NextUnit() - 0.5;
    value = scale * static_cast<float>(sum * 1.41421356);
  }
  return values;
}

/// Random bytes whose half (or float) scales are finite, so that products can be compared.
inline void FillWithFiniteBlocks(DType dtype, std::int64_t n_elements, std::uint64_t seed,
                                 std::byte* out) {
  SplitMix64 random(seed);
  const DTypeInfo& info = GetDTypeInfo(dtype);
  const std::int64_t n_blocks = n_elements / info.elements_per_block;
  std::vector<float> decoded(static_cast<std::size_t>(info.elements_per_block));
  for (std::int64_t block = 0; block < n_blocks; ++block) {
    bool finite = false;
    while (!finite) {
      for (std::int64_t i = 0; i < info.bytes_per_block; ++i) {
        out[i] = static_cast<std::byte>(random.Next());
      }
      DecodeRow(dtype, out, decoded.data(), info.elements_per_block);
      finite = true;
      for (float value : decoded) finite = finite && std::fabs(value) < 1e15f;
    }
    out += info.bytes_per_block;
  }
}

/// Weights of about the size of `scale`: random values encoded, or for a type that is only read
/// random blocks whose largest value lies between one and eight times `scale`.
inline void FillWithWeights(DType dtype, std::uint64_t seed, std::int64_t n_elements, float scale,
                            std::byte* out) {
  if (HasEncoder(dtype)) {
    EncodeRow(dtype, RandomFloats(seed, n_elements, scale).data(), out, n_elements);
    return;
  }
  const DTypeInfo& info = GetDTypeInfo(dtype);
  std::vector<float> decoded(static_cast<std::size_t>(info.elements_per_block));
  for (std::int64_t i = 0; i < n_elements; i += info.elements_per_block) {
    float largest = HUGE_VALF;
    while (!(largest >= scale && largest <= 8 * scale)) {
      FillWithFiniteBlocks(dtype, info.elements_per_block, ++seed * 7919, out);
      DecodeRow(dtype, out, decoded.data(), info.elements_per_block);
      largest = 0.0f;
      for (float value : decoded) largest = std::fmax(largest, std::fabs(value));
    }
    out += info.bytes_per_block;
  }
}

inline bool SameBits(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.size() != b.size()) return false;
  return a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

/// The instruction set of a run: LARDER_ISA, or the processor's best.
inline Isa TestIsa() { return ChooseIsa().value(); }

/// Those up to it.
inline std::vector<Isa> IsasHere() {
  std::vector<Isa> isas;
  for (Isa isa : {Isa::kScalar, Isa::kAvx2, Isa::kAvx512}) {
    if (isa <= TestIsa()) isas.push_back(isa);
  }
  return isas;
}

}  // namespace larder
