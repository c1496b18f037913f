// Scalar encoders: the float types, Q8_0, Q4_0, Q4_K, Q5_K, Q6_K, and the way to all others
// (encode_blocks.h). Pure functions, any thread.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/check.h"
#include "tensor/blocks.h"
#include "tensor/codec.h"
#include "tensor/encode_blocks.h"
#include "tensor/encode_search.h"

namespace larder {

namespace {

void PackScaleMin6(const std::uint8_t* scales, const std::uint8_t* mins, std::uint8_t* packed) {
  for (int j = 0; j < 4; ++j) {
    packed[j] = static_cast<std::uint8_t>(scales[j] | ((scales[j + 4] >> 4) << 6));
    packed[j + 4] = static_cast<std::uint8_t>(mins[j] | ((mins[j + 4] >> 4) << 6));
    packed[j + 8] = static_cast<std::uint8_t>((scales[j + 4] & 15) | ((mins[j + 4] & 15) << 4));
  }
}

struct KQuants {
  std::uint16_t d;
  std::uint16_t dmin;
  std::uint8_t packed[12];
  std::uint8_t q[256];
};

// Q4_K (q_max 15) and Q5_K (q_max 31) differ only in how the integers are packed.
KQuants QuantizeK(const float* x, const float* importance, float q_max) {
  float weights[256];
  const float mean_square = MeanSquare(x, 256);
  FillWeights(x, importance, 256, mean_square, weights);
  ScaleMin fits[8];
  float max_scale = 0.0f;
  float max_min = 0.0f;
  for (int j = 0; j < 8; ++j) {
    fits[j] = SearchScaleMin(x + 32 * j, weights + 32 * j, 32, q_max);
    max_scale = std::max(max_scale, fits[j].scale);
    max_min = std::max(max_min, fits[j].min);
  }
  KQuants out;
  out.d = FloatToHalfBits(std::min(max_scale / 63.0f, 65504.0f));
  out.dmin = FloatToHalfBits(std::min(max_min / 63.0f, 65504.0f));
  const float d = HalfBitsToFloat(out.d);
  const float dmin = HalfBitsToFloat(out.dmin);
  std::uint8_t scales[8];
  std::uint8_t mins[8];
  for (int j = 0; j < 8; ++j) {
    ChooseScaleMin(x + 32 * j, weights + 32 * j, 32, q_max, 63, d, dmin, fits[j], &scales[j],
                   &mins[j]);
    const float inverse = Reciprocal(d * static_cast<float>(scales[j]));
    const float min = dmin * static_cast<float>(mins[j]);
    for (int i = 32 * j; i < 32 * j + 32; ++i) {
      out.q[i] = static_cast<std::uint8_t>(RoundClamped((x[i] + min) * inverse, 0.0f, q_max));
    }
  }
  PackScaleMin6(scales, mins, out.packed);
  return out;
}

void EncodeBlock(const float* x, const float* importance, BlockQ4K* block) {
  const KQuants k = QuantizeK(x, importance, 15.0f);
  block->d = k.d;
  block->dmin = k.dmin;
  std::memcpy(block->scales, k.packed, sizeof(k.packed));
  for (int g = 0; g < 4; ++g) {
    for (int i = 0; i < 32; ++i) {
      block->qs[32 * g + i] =
          static_cast<std::uint8_t>(k.q[64 * g + i] | (k.q[64 * g + 32 + i] << 4));
    }
  }
}

void EncodeBlock(const float* x, const float* importance, BlockQ5K* block) {
  const KQuants k = QuantizeK(x, importance, 31.0f);
  block->d = k.d;
  block->dmin = k.dmin;
  std::memcpy(block->scales, k.packed, sizeof(k.packed));
  std::memset(block->qh, 0, sizeof(block->qh));
  for (int g = 0; g < 4; ++g) {
    for (int i = 0; i < 32; ++i) {
      const int low = k.q[64 * g + i];
      const int high = k.q[64 * g + 32 + i];
      block->qs[32 * g + i] = static_cast<std::uint8_t>((low & 15) | ((high & 15) << 4));
      block->qh[i] = static_cast<std::uint8_t>(block->qh[i] | ((low >> 4) << (2 * g)) |
                                               ((high >> 4) << (2 * g + 1)));
    }
  }
}

void EncodeBlock(const float* x, const float* importance, BlockQ6K* block) {
  float weights[256];
  for (int i = 0; i < 256; ++i) weights[i] = importance != nullptr ? importance[i] : x[i] * x[i];
  float fits[16];
  float extreme = 0.0f;
  for (int j = 0; j < 16; ++j) {
    fits[j] = SearchSymmetricScale(x + 16 * j, weights + 16 * j, 16, 32.0f);
    if (std::fabs(fits[j]) > std::fabs(extreme)) extreme = fits[j];
  }
  block->d = FloatToHalfBits(std::clamp(extreme / -128.0f, -65504.0f, 65504.0f));
  const float d = HalfBitsToFloat(block->d);
  std::uint8_t q[256];
  for (int j = 0; j < 16; ++j) {
    QuantizeSigned16(x + 16 * j, weights + 16 * j, fits[j], d, 32.0f, -128, 127, &block->scales[j],
                     q + 16 * j);
  }
  for (int h = 0; h < 2; ++h) {
    for (int i = 0; i < 32; ++i) {
      const std::uint8_t* part = q + 128 * h + i;
      block->ql[64 * h + i] = static_cast<std::uint8_t>((part[0] & 15) | ((part[64] & 15) << 4));
      block->ql[64 * h + 32 + i] =
          static_cast<std::uint8_t>((part[32] & 15) | ((part[96] & 15) << 4));
      block->qh[32 * h + i] =
          static_cast<std::uint8_t>((part[0] >> 4) | ((part[32] >> 4) << 2) |
                                    ((part[64] >> 4) << 4) | ((part[96] >> 4) << 6));
    }
  }
}

void EncodeBlock(const float* x, const float* importance, BlockQ4_0* block) {
  float weights[32];
  for (int i = 0; i < 32; ++i) weights[i] = importance != nullptr ? importance[i] : x[i] * x[i];
  const float scale = SearchSymmetricScale(x, weights, 32, 8.0f);
  block->d = FloatToHalfBits(std::clamp(scale, -65504.0f, 65504.0f));
  const float inverse = Reciprocal(HalfBitsToFloat(block->d));
  for (int i = 0; i < 16; ++i) {
    const int low = static_cast<int>(RoundClamped(x[i] * inverse, -8.0f, 7.0f)) + 8;
    const int high = static_cast<int>(RoundClamped(x[i + 16] * inverse, -8.0f, 7.0f)) + 8;
    block->qs[i] = static_cast<std::uint8_t>(low | (high << 4));
  }
}

void EncodeBlock(const float* x, const float*, BlockQ8_0* block) {
  float largest = 0.0f;
  for (int i = 0; i < 32; ++i) largest = std::max(largest, std::fabs(x[i]));
  block->d = FloatToHalfBits(std::min(largest / 127.0f, 65504.0f));
  const float inverse = Reciprocal(HalfBitsToFloat(block->d));
  for (int i = 0; i < 32; ++i) {
    block->qs[i] = static_cast<std::int8_t>(RoundClamped(x[i] * inverse, -127.0f, 127.0f));
  }
}

template <typename Block>
void EncodeBlocks(const float* values, const float* importance, std::byte* blocks,
                  std::int64_t n_elements, std::int64_t per_block) {
  for (std::int64_t i = 0; i < n_elements; i += per_block) {
    Block block;
    EncodeBlock(values + i, importance != nullptr ? importance + i : nullptr, &block);
    std::memcpy(blocks, &block, sizeof(block));
    blocks += sizeof(block);
  }
}

template <typename Convert>
void EncodeWords(const float* values, std::byte* words, std::int64_t n_elements, Convert convert) {
  for (std::int64_t i = 0; i < n_elements; ++i) {
    const std::uint16_t bits = convert(values[i]);
    std::memcpy(words + 2 * i, &bits, sizeof(bits));
  }
}

void EncodeOtherRow(DType dtype, const float* values, const float* importance, std::byte* blocks,
                    std::int64_t n_elements) {
  switch (dtype) {
    case DType::kQ4_1:
      return EncodeBlocks<BlockQ4_1>(values, importance, blocks, n_elements, kSmallBlock);
    case DType::kQ5_0:
      return EncodeBlocks<BlockQ5_0>(values, importance, blocks, n_elements, kSmallBlock);
    case DType::kQ5_1:
      return EncodeBlocks<BlockQ5_1>(values, importance, blocks, n_elements, kSmallBlock);
    case DType::kIQ4_NL:
      return EncodeBlocks<BlockIq4Nl>(values, importance, blocks, n_elements, kSmallBlock);
    case DType::kMXFP4:
      return EncodeBlocks<BlockMxfp4>(values, importance, blocks, n_elements, kSmallBlock);
    case DType::kQ2_K:
      return EncodeBlocks<BlockQ2K>(values, importance, blocks, n_elements, kSuperBlock);
    case DType::kQ3_K:
      return EncodeBlocks<BlockQ3K>(values, importance, blocks, n_elements, kSuperBlock);
    case DType::kIQ4_XS:
      return EncodeBlocks<BlockIq4Xs>(values, importance, blocks, n_elements, kSuperBlock);
    default:
      LARDER_CHECK(!"a type with an encoder (HasEncoder)");
  }
}

}  // namespace

void EncodeRow(DType dtype, const float* values, std::byte* blocks, std::int64_t n_elements,
               const float* importance) {
  LARDER_CHECK(n_elements >= 0 && n_elements % GetDTypeInfo(dtype).elements_per_block == 0);
  if (n_elements == 0) return;
  switch (dtype) {
    case DType::kF32:
      std::memcpy(blocks, values, static_cast<std::size_t>(n_elements) * sizeof(float));
      return;
    case DType::kF16:
      return EncodeWords(values, blocks, n_elements, FloatToHalfBits);
    case DType::kBF16:
      return EncodeWords(values, blocks, n_elements, FloatToBFloat16Bits);
    case DType::kQ8_0:
      return EncodeBlocks<BlockQ8_0>(values, importance, blocks, n_elements, kSmallBlock);
    case DType::kQ4_0:
      return EncodeBlocks<BlockQ4_0>(values, importance, blocks, n_elements, kSmallBlock);
    case DType::kQ4_K:
      return EncodeBlocks<BlockQ4K>(values, importance, blocks, n_elements, kSuperBlock);
    case DType::kQ5_K:
      return EncodeBlocks<BlockQ5K>(values, importance, blocks, n_elements, kSuperBlock);
    case DType::kQ6_K:
      return EncodeBlocks<BlockQ6K>(values, importance, blocks, n_elements, kSuperBlock);
    default:
      return EncodeOtherRow(dtype, values, importance, blocks, n_elements);
  }
}

bool HasEncoder(DType dtype) {
  switch (dtype) {
    case DType::kIQ3_XXS:
    case DType::kIQ3_S:
    case DType::kIQ2_XXS:
    case DType::kIQ2_XS:
    case DType::kIQ2_S:
    case DType::kIQ1_S:
    case DType::kIQ1_M:
    case DType::kTQ1_0:
    case DType::kTQ2_0:
      return false;
    default:
      return true;
  }
}

Result<DType> WritableDTypeFromName(std::string_view name) {
  const Result<DType> dtype = DTypeFromName(name);
  if (dtype.ok() && HasEncoder(*dtype)) return dtype;
  std::string names;
  for (DType writable : AllDTypes()) {
    if (!HasEncoder(writable)) continue;
    if (!names.empty()) names += ", ";
    names += DTypeName(writable);
  }
  if (!dtype.ok()) {
    return Unsupported("type '{}' is not supported; choose one of {}", name, names);
  }
  return Unsupported("{} can be read but not written; choose one of {}", DTypeName(*dtype), names);
}

}  // namespace larder
