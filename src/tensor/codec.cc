// Scalar decoders of every implemented type. Blocks are copied out before use, so their address
// needs no alignment. Pure functions, any thread.
#include "tensor/codec.h"

#include <cmath>
#include <cstring>

#include "base/check.h"
#include "tensor/blocks.h"
#include "tensor/integer_block.h"

namespace larder {

namespace {

void DecodeBlock(const BlockQ8_0& block, float* out) {
  const float d = HalfBitsToFloat(block.d);
  for (int i = 0; i < 32; ++i) out[i] = d * static_cast<float>(block.qs[i]);
}

void DecodeBlock(const BlockQ4_0& block, float* out) {
  const float d = HalfBitsToFloat(block.d);
  for (int i = 0; i < 16; ++i) {
    out[i] = d * static_cast<float>((block.qs[i] & 15) - 8);
    out[i + 16] = d * static_cast<float>((block.qs[i] >> 4) - 8);
  }
}

void DecodeBlock(const BlockQ4K& block, float* out) {
  const float d = HalfBitsToFloat(block.d);
  const float dmin = HalfBitsToFloat(block.dmin);
  for (int j = 0; j < 8; ++j) {
    std::uint8_t scale;
    std::uint8_t min;
    UnpackScaleMin6(block.scales, j, &scale, &min);
    const float step = d * static_cast<float>(scale);
    const float offset = dmin * static_cast<float>(min);
    for (int i = 0; i < 32; ++i) {
      const int q = (block.qs[32 * (j / 2) + i] >> (4 * (j % 2))) & 15;
      out[32 * j + i] = step * static_cast<float>(q) - offset;
    }
  }
}

void DecodeBlock(const BlockQ5K& block, float* out) {
  const float d = HalfBitsToFloat(block.d);
  const float dmin = HalfBitsToFloat(block.dmin);
  for (int j = 0; j < 8; ++j) {
    std::uint8_t scale;
    std::uint8_t min;
    UnpackScaleMin6(block.scales, j, &scale, &min);
    const float step = d * static_cast<float>(scale);
    const float offset = dmin * static_cast<float>(min);
    for (int i = 0; i < 32; ++i) {
      const int low = (block.qs[32 * (j / 2) + i] >> (4 * (j % 2))) & 15;
      const int q = low | (((block.qh[i] >> j) & 1) << 4);
      out[32 * j + i] = step * static_cast<float>(q) - offset;
    }
  }
}

void DecodeBlock(const BlockQ6K& block, float* out) {
  const float d = HalfBitsToFloat(block.d);
  for (int h = 0; h < 2; ++h) {
    for (int k = 0; k < 4; ++k) {
      for (int i = 0; i < 32; ++i) {
        const int low = (block.ql[64 * h + 32 * (k % 2) + i] >> (4 * (k / 2))) & 15;
        const int high = (block.qh[32 * h + i] >> (2 * k)) & 3;
        const float step = d * static_cast<float>(block.scales[8 * h + 2 * k + i / 16]);
        out[128 * h + 32 * k + i] = step * static_cast<float>((low | (high << 4)) - 32);
      }
    }
  }
}

template <typename Block>
void DecodeBlocks(const std::byte* blocks, float* out, std::int64_t n_elements,
                  std::int64_t per_block) {
  for (std::int64_t i = 0; i < n_elements; i += per_block) {
    Block block;
    std::memcpy(&block, blocks, sizeof(block));
    DecodeBlock(block, out + i);
    blocks += sizeof(block);
  }
}

// Types in the common integer form. The products d * scale and its product with q are exact or
// rounded as the `gguf` package rounds them.
void DecodeIntegers(DType dtype, const std::byte* blocks, float* out, std::int64_t n_elements) {
  const UnpackFunction unpack = UnpackFunctionFor(dtype);
  LARDER_CHECK(unpack != nullptr);
  const DTypeInfo& info = GetDTypeInfo(dtype);
  IntegerBlock block;
  for (std::int64_t first = 0; first < n_elements; first += info.elements_per_block) {
    unpack(blocks, &block);
    blocks += info.bytes_per_block;
    for (int k = 0; k < info.elements_per_block / 16; ++k) {
      const float step = block.d * static_cast<float>(block.scales[k]);
      const float offset = block.has_mins ? block.dmin * static_cast<float>(block.mins[k]) : 0.0f;
      for (int i = 16 * k; i < 16 * k + 16; ++i) {
        out[first + i] = step * static_cast<float>(block.q[i]) - offset;
      }
    }
  }
}

template <typename Convert>
void DecodeWords(const std::byte* words, float* out, std::int64_t n_elements, Convert convert) {
  for (std::int64_t i = 0; i < n_elements; ++i) {
    std::uint16_t bits;
    std::memcpy(&bits, words + 2 * i, sizeof(bits));
    out[i] = convert(bits);
  }
}

}  // namespace

void DecodeRow(DType dtype, const std::byte* blocks, float* out, std::int64_t n_elements) {
  LARDER_CHECK(n_elements >= 0 && n_elements % GetDTypeInfo(dtype).elements_per_block == 0);
  if (n_elements == 0) return;
  switch (dtype) {
    case DType::kF32:
      std::memcpy(out, blocks, static_cast<std::size_t>(n_elements) * sizeof(float));
      return;
    case DType::kF16:
      return DecodeWords(blocks, out, n_elements, HalfBitsToFloat);
    case DType::kBF16:
      return DecodeWords(blocks, out, n_elements, BFloat16BitsToFloat);
    case DType::kQ8_0:
      return DecodeBlocks<BlockQ8_0>(blocks, out, n_elements, kSmallBlock);
    case DType::kQ4_0:
      return DecodeBlocks<BlockQ4_0>(blocks, out, n_elements, kSmallBlock);
    case DType::kQ4_K:
      return DecodeBlocks<BlockQ4K>(blocks, out, n_elements, kSuperBlock);
    case DType::kQ5_K:
      return DecodeBlocks<BlockQ5K>(blocks, out, n_elements, kSuperBlock);
    case DType::kQ6_K:
      return DecodeBlocks<BlockQ6K>(blocks, out, n_elements, kSuperBlock);
    default:
      return DecodeIntegers(dtype, blocks, out, n_elements);
  }
}

bool AllFinite(const float* values, std::int64_t n_elements) {
  // The exponent is all ones exactly for infinities and NaNs.
  std::uint32_t bad = 0;
  for (std::int64_t i = 0; i < n_elements; ++i) {
    const std::uint32_t bits = std::bit_cast<std::uint32_t>(values[i]);
    bad |= static_cast<std::uint32_t>((bits & 0x7f800000u) == 0x7f800000u);
  }
  return bad == 0;
}

float HalfToFloat(std::uint16_t bits) { return HalfBitsToFloat(bits); }
std::uint16_t FloatToHalf(float value) { return FloatToHalfBits(value); }
float BFloat16ToFloat(std::uint16_t bits) { return BFloat16BitsToFloat(bits); }
std::uint16_t FloatToBFloat16(float value) { return FloatToBFloat16Bits(value); }

}  // namespace larder
