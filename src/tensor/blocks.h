// The quantized blocks as they lie in a GGUF file (little endian, packed), and the conversions of
// the half-width floats in them. Plain data and inline functions, any thread. Layouts: the public
// GGUF specification and the `gguf` Python package, which our decoders match bit for bit.
#pragma once

#include <bit>
#include <cstdint>

namespace larder {

static_assert(std::endian::native == std::endian::little, "block layouts are little endian");

constexpr int kSmallBlock = 32;   // elements of Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, IQ4_NL, MXFP4
constexpr int kSuperBlock = 256;  // elements of the K, IQ and TQ types

struct BlockQ8_0 {
  std::uint16_t d;  // half
  std::int8_t qs[32];
};
static_assert(sizeof(BlockQ8_0) == 34);

/// Element j is the low nibble of qs[j], element j + 16 its high nibble; value d * (q - 8).
struct BlockQ4_0 {
  std::uint16_t d;
  std::uint8_t qs[16];
};
static_assert(sizeof(BlockQ4_0) == 18);

/// Eight sub-blocks of 32 with 6-bit scales and mins packed in 12 bytes (ScaleMin6); value
/// d * scale * q - dmin * min. Bytes 32g..32g+31 hold sub-blocks 2g (low nibbles) and 2g + 1.
struct BlockQ4K {
  std::uint16_t d;
  std::uint16_t dmin;
  std::uint8_t scales[12];
  std::uint8_t qs[128];
};
static_assert(sizeof(BlockQ4K) == 144);

/// As Q4_K with a fifth bit: bit s of qh[l] belongs to element l of sub-block s.
struct BlockQ5K {
  std::uint16_t d;
  std::uint16_t dmin;
  std::uint8_t scales[12];
  std::uint8_t qh[32];
  std::uint8_t qs[128];
};
static_assert(sizeof(BlockQ5K) == 176);

/// Sixteen sub-blocks of 16 with 8-bit scales; value d * scale * (q - 32). Half h of 128 elements:
/// element 32k + l takes nibble k/2 of ql[64h + 32(k%2) + l] and bits 2k.. of qh[32h + l].
struct BlockQ6K {
  std::uint8_t ql[128];
  std::uint8_t qh[64];
  std::int8_t scales[16];
  std::uint16_t d;
};
static_assert(sizeof(BlockQ6K) == 210);

/// As Q4_0 without the offset; value d * q + m.
struct BlockQ4_1 {
  std::uint16_t d;
  std::uint16_t m;
  std::uint8_t qs[16];
};
static_assert(sizeof(BlockQ4_1) == 20);

/// As Q4_0 with a fifth bit, bit j of qh for element j; value d * (q - 16).
struct BlockQ5_0 {
  std::uint16_t d;
  std::uint8_t qh[4];
  std::uint8_t qs[16];
};
static_assert(sizeof(BlockQ5_0) == 22);

/// As Q5_0 without the offset; value d * q + m.
struct BlockQ5_1 {
  std::uint16_t d;
  std::uint16_t m;
  std::uint8_t qh[4];
  std::uint8_t qs[16];
};
static_assert(sizeof(BlockQ5_1) == 24);

/// Sixteen sub-blocks of 16, scale in the low nibble and min in the high one; value
/// d * scale * q - dmin * min. Element 128h + 32k + l has bits 2k.. of qs[32h + l].
struct BlockQ2K {
  std::uint8_t scales[16];
  std::uint8_t qs[64];
  std::uint16_t d;
  std::uint16_t dmin;
};
static_assert(sizeof(BlockQ2K) == 84);

/// Sixteen sub-blocks of 16 with 6-bit scales; value d * (scale - 32) * (q - 4). The low bits of q
/// lie as in Q2_K; its third bit is bit 4h + k of hmask[l].
struct BlockQ3K {
  std::uint8_t hmask[32];
  std::uint8_t qs[64];
  std::uint8_t scales[12];
  std::uint16_t d;
};
static_assert(sizeof(BlockQ3K) == 110);

/// Nibbles as in Q4_0 that index kIq4Values; value d * kIq4Values[q].
struct BlockIq4Nl {
  std::uint16_t d;
  std::uint8_t qs[16];
};
static_assert(sizeof(BlockIq4Nl) == 18);

/// Eight sub-blocks of 32 as IQ4_NL, with 6-bit scales; value d * (scale - 32) * kIq4Values[q].
struct BlockIq4Xs {
  std::uint16_t d;
  std::uint16_t scales_h;
  std::uint8_t scales_l[4];
  std::uint8_t qs[128];
};
static_assert(sizeof(BlockIq4Xs) == 136);

/// Grid rows of 4; per 32 elements a word of four 7-bit signs and a 4-bit scale.
struct BlockIq3Xxs {
  std::uint16_t d;
  std::uint8_t qs[64];
  std::uint8_t signs_and_scales[32];
};
static_assert(sizeof(BlockIq3Xxs) == 98);

/// Grid rows of 4 with a ninth bit in qh, a sign bit per element, a nibble of scale per 32.
struct BlockIq3S {
  std::uint16_t d;
  std::uint8_t qs[64];
  std::uint8_t qh[8];
  std::uint8_t signs[32];
  std::uint8_t scales[4];
};
static_assert(sizeof(BlockIq3S) == 110);

/// Per 32 elements two words: four grid rows of 8; four 7-bit signs and a 4-bit scale.
struct BlockIq2Xxs {
  std::uint16_t d;
  std::uint8_t qs[64];
};
static_assert(sizeof(BlockIq2Xxs) == 66);

/// Per 8 elements a 9-bit grid row and 7 sign bits; a nibble of scale per 16.
struct BlockIq2Xs {
  std::uint16_t d;
  std::uint16_t qs[32];
  std::uint8_t scales[8];
};
static_assert(sizeof(BlockIq2Xs) == 74);

/// Per 8 elements a grid row (two high bits in qh) and 8 sign bits; a nibble of scale per 16.
struct BlockIq2S {
  std::uint16_t d;
  std::uint8_t qs[32];
  std::uint8_t signs[32];
  std::uint8_t qh[8];
  std::uint8_t scales[8];
};
static_assert(sizeof(BlockIq2S) == 82);

/// Per 8 elements a grid row (three high bits in qh); qh also has a 3-bit scale per 32 and the sign
/// of the shift by an eighth.
struct BlockIq1S {
  std::uint16_t d;
  std::uint8_t qs[32];
  std::uint16_t qh[8];
};
static_assert(sizeof(BlockIq1S) == 50);

/// As IQ1_S with a scale per 16 and a shift per 8; the half d is in the top nibbles of `scales`.
struct BlockIq1M {
  std::uint8_t qs[32];
  std::uint8_t qh[16];
  std::uint16_t scales[4];
};
static_assert(sizeof(BlockIq1M) == 56);

/// Ternary digits, five (in qh four) to a byte as fractions of 256; value d * (digit - 1).
struct BlockTq1_0 {
  std::uint8_t qs[48];
  std::uint8_t qh[4];
  std::uint16_t d;
};
static_assert(sizeof(BlockTq1_0) == 54);

/// Bits as in Q2_K; value d * (q - 1).
struct BlockTq2_0 {
  std::uint8_t qs[64];
  std::uint16_t d;
};
static_assert(sizeof(BlockTq2_0) == 66);

/// Nibbles as in Q4_0 that index kMxfp4Values; value 2^(e - 128) * kMxfp4Values[q].
struct BlockMxfp4 {
  std::uint8_t e;
  std::uint8_t qs[16];
};
static_assert(sizeof(BlockMxfp4) == 17);

/// 2^(e - 128), subnormal at 0 and 1: half the scale of MXFP4, whose values are kept doubled.
inline float Mxfp4HalfScale(std::uint8_t e) {
  return std::bit_cast<float>(e < 2 ? 0x00200000u << e : static_cast<std::uint32_t>(e - 1) << 23);
}

/// The 6-bit scale (offset by 32) of sub-block `k` in [0, 16) of a Q3_K block.
inline int UnpackScaleQ3K(const std::uint8_t* packed, int k) {
  const int low = k < 8 ? packed[k] & 15 : packed[k - 8] >> 4;
  return (low | ((packed[8 + k % 4] >> (2 * (k / 4))) & 3) << 4) - 32;
}

/// The 6-bit scale and min of sub-block `j` in [0, 8) of a Q4_K or Q5_K block.
inline void UnpackScaleMin6(const std::uint8_t* packed, int j, std::uint8_t* scale,
                            std::uint8_t* min) {
  if (j < 4) {
    *scale = packed[j] & 63;
    *min = packed[j + 4] & 63;
  } else {
    *scale = static_cast<std::uint8_t>((packed[j + 4] & 15) | ((packed[j - 4] >> 6) << 4));
    *min = static_cast<std::uint8_t>((packed[j + 4] >> 4) | ((packed[j] >> 6) << 4));
  }
}

inline float HalfBitsToFloat(std::uint16_t half) {
  const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000u) << 16;
  const std::uint32_t exponent = (half >> 10) & 31u;
  const std::uint32_t mantissa = half & 0x3ffu;
  if (exponent == 0) {
    const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
    return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(magnitude));
  }
  if (exponent == 31) {
    const std::uint32_t quiet = mantissa != 0 ? 0x400000u : 0u;
    return std::bit_cast<float>(sign | 0x7f800000u | quiet | (mantissa << 13));
  }
  return std::bit_cast<float>(sign | ((exponent + 112u) << 23) | (mantissa << 13));
}

inline std::uint16_t FloatToHalfBits(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = (bits >> 16) & 0x8000u;
  std::uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) {
    return static_cast<std::uint16_t>(sign | 0x7e00u | ((magnitude >> 13) & 0x3ffu));
  }
  if (magnitude >= 0x47800000u) return static_cast<std::uint16_t>(sign | 0x7c00u);
  if (magnitude < 0x38800000u) {
    // Adding 0.5 lets the float unit round at 2^-24, the spacing of half subnormals.
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    return static_cast<std::uint16_t>(sign | (std::bit_cast<std::uint32_t>(shifted) - 0x3f000000u));
  }
  magnitude += 0xfffu + ((magnitude >> 13) & 1u);
  return static_cast<std::uint16_t>(sign | ((magnitude - 0x38000000u) >> 13));
}

inline float BFloat16BitsToFloat(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

inline std::uint16_t FloatToBFloat16Bits(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<std::uint16_t>((bits >> 16) | 0x40u);
  return static_cast<std::uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

}  // namespace larder
