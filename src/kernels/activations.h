// Activations as products take them: float rows for float weights, int8 blocks for quantized ones.
// A block of 32 (weights in blocks of 32) or 256 (the K, IQ and TQ types) has a float scale d =
// max|x| / 127 that is not rounded to half, and q = x * (127 / max|x|) rounded to nearest even.
// Sums of q over 16 and 32 serve weights with mins or offsets. A record is one row. Plain layout,
// no ownership.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tensor/dtype.h"

namespace larder {

enum class ActivationKind { kFloat, kBlock32, kBlock256 };
inline constexpr int kActivationKinds = 3;

inline ActivationKind ActivationKindFor(DType dtype) {
  switch (dtype) {
    case DType::kQ8_0:
    case DType::kQ4_0:
    case DType::kQ4_1:
    case DType::kQ5_0:
    case DType::kQ5_1:
    case DType::kIQ4_NL:
    case DType::kMXFP4:
      return ActivationKind::kBlock32;
    case DType::kF32:
    case DType::kF16:
    case DType::kBF16:
      return ActivationKind::kFloat;
    default:
      return ActivationKind::kBlock256;
  }
}

/// Byte offsets inside a record of n elements: q int8 [n], d float [n / 32 or n / 256],
/// sums32 int16 [n / 32], sums16 int16 [n / 16]. Each section starts on a cache line.
struct ActivationLayout {
  std::size_t d = 0;
  std::size_t sums32 = 0;
  std::size_t sums16 = 0;
  std::size_t total = 0;

  ActivationLayout(ActivationKind kind, std::int64_t n) {
    const auto count = static_cast<std::size_t>(n);
    if (kind == ActivationKind::kFloat) {
      total = Line(count * sizeof(float));
      return;
    }
    d = Line(count);
    sums32 = d + Line(count / (kind == ActivationKind::kBlock32 ? 32 : 256) * sizeof(float));
    sums16 = sums32 + Line(count / 32 * sizeof(std::int16_t));
    total = sums16 + Line(count / 16 * sizeof(std::int16_t));
  }

 private:
  static std::size_t Line(std::size_t bytes) { return (bytes + 63) / 64 * 64; }
};

}  // namespace larder
