// Unpacking of quantized blocks into integers, one function per type. Layouts: blocks.h. Pure
// functions, any thread.
#include "tensor/integer_block.h"

#include <cstring>

#include "tensor/blocks.h"
#include "tensor/iq_tables.h"

namespace larder {

namespace {

// One scale for a whole block of 32.
void SetSingleScale(std::uint16_t d, IntegerBlock* out) {
  out->d = HalfBitsToFloat(d);
  out->scales[0] = 1;
  out->scales[1] = 1;
  out->has_mins = false;
}

// Value d * q + m is d * q - (-m) * 1.
void SetOffset(std::uint16_t m, IntegerBlock* out) {
  out->dmin = -HalfBitsToFloat(m);
  out->mins[0] = 1;
  out->mins[1] = 1;
  out->has_mins = true;
}

void Unpack(const BlockQ4_1& block, IntegerBlock* out) {
  SetSingleScale(block.d, out);
  SetOffset(block.m, out);
  for (int i = 0; i < 16; ++i) {
    out->q[i] = static_cast<std::int8_t>(block.qs[i] & 15);
    out->q[i + 16] = static_cast<std::int8_t>(block.qs[i] >> 4);
  }
}

void UnpackFiveBits(const std::uint8_t* qs, const std::uint8_t* qh, int offset, std::int8_t* q) {
  for (int i = 0; i < 16; ++i) {
    const int low_high = (qh[i / 8] >> (i % 8)) & 1;
    const int high_high = (qh[2 + i / 8] >> (i % 8)) & 1;
    q[i] = static_cast<std::int8_t>(((qs[i] & 15) | (low_high << 4)) - offset);
    q[i + 16] = static_cast<std::int8_t>(((qs[i] >> 4) | (high_high << 4)) - offset);
  }
}

void Unpack(const BlockQ5_0& block, IntegerBlock* out) {
  SetSingleScale(block.d, out);
  UnpackFiveBits(block.qs, block.qh, 16, out->q);
}

void Unpack(const BlockQ5_1& block, IntegerBlock* out) {
  SetSingleScale(block.d, out);
  SetOffset(block.m, out);
  UnpackFiveBits(block.qs, block.qh, 0, out->q);
}

void Unpack(const BlockQ2K& block, IntegerBlock* out) {
  out->d = HalfBitsToFloat(block.d);
  out->dmin = HalfBitsToFloat(block.dmin);
  out->has_mins = true;
  for (int k = 0; k < 16; ++k) {
    out->scales[k] = block.scales[k] & 15;
    out->mins[k] = block.scales[k] >> 4;
  }
  for (int i = 0; i < 256; ++i) {
    out->q[i] = (block.qs[32 * (i / 128) + i % 32] >> (2 * (i % 128 / 32))) & 3;
  }
}

void Unpack(const BlockQ3K& block, IntegerBlock* out) {
  out->d = HalfBitsToFloat(block.d);
  out->has_mins = false;
  for (int k = 0; k < 16; ++k) {
    out->scales[k] = static_cast<std::int16_t>(UnpackScaleQ3K(block.scales, k));
  }
  for (int i = 0; i < 256; ++i) {
    const int low = (block.qs[32 * (i / 128) + i % 32] >> (2 * (i % 128 / 32))) & 3;
    const int high = (block.hmask[i % 32] >> (i / 32)) & 1;
    out->q[i] = static_cast<std::int8_t>((low | (high << 2)) - 4);
  }
}

void UnpackNibbles(const std::uint8_t* qs, const std::int8_t* values, std::int8_t* q) {
  for (int i = 0; i < 16; ++i) {
    q[i] = values[qs[i] & 15];
    q[i + 16] = values[qs[i] >> 4];
  }
}

void Unpack(const BlockIq4Nl& block, IntegerBlock* out) {
  SetSingleScale(block.d, out);
  UnpackNibbles(block.qs, kIq4Values, out->q);
}

void Unpack(const BlockMxfp4& block, IntegerBlock* out) {
  SetSingleScale(0, out);
  out->d = Mxfp4HalfScale(block.e);
  UnpackNibbles(block.qs, kMxfp4Values, out->q);
}

void Unpack(const BlockIq4Xs& block, IntegerBlock* out) {
  out->d = HalfBitsToFloat(block.d);
  out->has_mins = false;
  for (int j = 0; j < 8; ++j) {
    const int low = (block.scales_l[j / 2] >> (4 * (j % 2))) & 15;
    const int high = (block.scales_h >> (2 * j)) & 3;
    const auto scale = static_cast<std::int16_t>((low | (high << 4)) - 32);
    out->scales[2 * j] = scale;
    out->scales[2 * j + 1] = scale;
    UnpackNibbles(block.qs + 16 * j, kIq4Values, out->q + 32 * j);
  }
}

// n <= 8 values of a grid row, those with their bit in `signs` negated.
void PutSigned(std::uint64_t row, unsigned signs, int n, std::int8_t* q) {
  for (int i = 0; i < n; ++i) {
    const auto value = static_cast<std::int8_t>(row >> (8 * i));
    const int minus = static_cast<int>((signs >> i) & 1u);
    q[i] = static_cast<std::int8_t>((value ^ -minus) + minus);
  }
}

std::uint32_t LoadWord(const std::uint8_t* p) {
  std::uint32_t word;
  std::memcpy(&word, p, sizeof(word));
  return word;
}

void SetScalePair(int scale, int pair, IntegerBlock* out) {
  out->scales[2 * pair] = static_cast<std::int16_t>(scale);
  out->scales[2 * pair + 1] = static_cast<std::int16_t>(scale);
}

void Unpack(const BlockIq3Xxs& block, IntegerBlock* out) {
  out->d = HalfBitsToFloat(block.d) * 0.25f;
  out->has_mins = false;
  for (int j = 0; j < 8; ++j) {
    const std::uint32_t word = LoadWord(block.signs_and_scales + 4 * j);
    SetScalePair(static_cast<int>(2 * (word >> 28) + 1), j, out);
    for (int k = 0; k < 8; ++k) {
      const unsigned signs = EvenSigns((word >> (7 * (k / 2))) & 127u);
      PutSigned(kIq3XxsGrid[block.qs[8 * j + k]], signs >> (4 * (k % 2)), 4,
                out->q + 32 * j + 4 * k);
    }
  }
}

void Unpack(const BlockIq3S& block, IntegerBlock* out) {
  out->d = HalfBitsToFloat(block.d);
  out->has_mins = false;
  for (int j = 0; j < 8; ++j) {
    SetScalePair(2 * ((block.scales[j / 2] >> (4 * (j % 2))) & 15) + 1, j, out);
    for (int k = 0; k < 8; ++k) {
      const std::size_t row = block.qs[8 * j + k] | ((block.qh[j] >> k) & 1u) << 8;
      PutSigned(kIq3SGrid[row], unsigned{block.signs[4 * j + k / 2]} >> (4 * (k % 2)), 4,
                out->q + 32 * j + 4 * k);
    }
  }
}

void Unpack(const BlockIq2Xxs& block, IntegerBlock* out) {
  out->d = HalfBitsToFloat(block.d) * 0.125f;
  out->has_mins = false;
  for (int j = 0; j < 8; ++j) {
    const std::uint32_t word = LoadWord(block.qs + 8 * j + 4);
    SetScalePair(static_cast<int>(2 * (word >> 28) + 1), j, out);
    for (int k = 0; k < 4; ++k) {
      PutSigned(kIq2XxsGrid[block.qs[8 * j + k]], EvenSigns((word >> (7 * k)) & 127u), 8,
                out->q + 32 * j + 8 * k);
    }
  }
}

// IQ2_XS and IQ2_S: a nibble of scale for each 16.
void SetNibbleScales(const std::uint8_t* scales, IntegerBlock* out) {
  for (int k = 0; k < 16; ++k) {
    out->scales[k] = static_cast<std::int16_t>(2 * ((scales[k / 2] >> (4 * (k % 2))) & 15) + 1);
  }
}

void Unpack(const BlockIq2Xs& block, IntegerBlock* out) {
  out->d = HalfBitsToFloat(block.d) * 0.125f;
  out->has_mins = false;
  SetNibbleScales(block.scales, out);
  for (int g = 0; g < 32; ++g) {
    PutSigned(kIq2XsGrid[block.qs[g] & 511u], EvenSigns(block.qs[g] >> 9), 8, out->q + 8 * g);
  }
}

void Unpack(const BlockIq2S& block, IntegerBlock* out) {
  out->d = HalfBitsToFloat(block.d) * 0.125f;
  out->has_mins = false;
  SetNibbleScales(block.scales, out);
  for (int g = 0; g < 32; ++g) {
    const std::size_t row = block.qs[g] | ((block.qh[g / 4] >> (2 * (g % 4))) & 3u) << 8;
    PutSigned(kIq2SGrid[row], block.signs[g], 8, out->q + 8 * g);
  }
}

// Grid values shifted up or down by an eighth, in eighths.
void PutShifted(std::uint64_t row, bool down, std::int8_t* q) {
  for (int i = 0; i < 8; ++i) {
    const auto value = static_cast<std::int8_t>(row >> (8 * i));
    q[i] = static_cast<std::int8_t>(8 * value + (down ? -1 : 1));
  }
}

void Unpack(const BlockIq1S& block, IntegerBlock* out) {
  out->d = HalfBitsToFloat(block.d) * 0.125f;
  out->has_mins = false;
  for (int j = 0; j < 8; ++j) {
    const unsigned high = block.qh[j];
    SetScalePair(static_cast<int>(2 * ((high >> 12) & 7u) + 1), j, out);
    for (int k = 0; k < 4; ++k) {
      const std::size_t row = block.qs[4 * j + k] | ((high >> (3 * k)) & 7u) << 8;
      PutShifted(kIq1Grid[row], (high & 0x8000u) != 0, out->q + 32 * j + 8 * k);
    }
  }
}

void Unpack(const BlockIq1M& block, IntegerBlock* out) {
  unsigned d = 0;
  for (int i = 0; i < 4; ++i) d |= (block.scales[i] & 0xf000u) >> (12 - 4 * i);
  out->d = HalfBitsToFloat(static_cast<std::uint16_t>(d)) * 0.125f;
  out->has_mins = false;
  for (int k = 0; k < 16; ++k) {
    out->scales[k] =
        static_cast<std::int16_t>(2 * ((block.scales[k / 4] >> (3 * (k % 4))) & 7) + 1);
  }
  for (int g = 0; g < 32; ++g) {
    const unsigned nibble = (block.qh[g / 2] >> (4 * (g % 2))) & 15u;
    const std::size_t row = block.qs[g] | (nibble & 7u) << 8;
    PutShifted(kIq1Grid[row], (nibble & 8u) != 0, out->q + 8 * g);
  }
}

void SetWholeScale(std::uint16_t d, IntegerBlock* out) {
  out->d = HalfBitsToFloat(d);
  out->has_mins = false;
  for (std::int16_t& scale : out->scales) scale = 1;
}

// `n_digits` digits of each of n bytes, most significant first: q[n * digit + i] from bytes[i].
void UnpackDigits(const std::uint8_t* bytes, int n, int n_digits, std::int8_t* q) {
  for (int i = 0; i < n; ++i) {
    unsigned fraction = bytes[i];
    for (int digit = 0; digit < n_digits; ++digit) {
      q[n * digit + i] = static_cast<std::int8_t>(static_cast<int>(fraction * 3 >> 8) - 1);
      fraction = fraction * 3 & 255u;
    }
  }
}

void Unpack(const BlockTq1_0& block, IntegerBlock* out) {
  SetWholeScale(block.d, out);
  UnpackDigits(block.qs, 32, 5, out->q);
  UnpackDigits(block.qs + 32, 16, 5, out->q + 160);
  UnpackDigits(block.qh, 4, 4, out->q + 240);
}

void Unpack(const BlockTq2_0& block, IntegerBlock* out) {
  SetWholeScale(block.d, out);
  for (int i = 0; i < 256; ++i) {
    const int q = (block.qs[32 * (i / 128) + i % 32] >> (2 * (i % 128 / 32))) & 3;
    out->q[i] = static_cast<std::int8_t>(q - 1);
  }
}

template <typename Block>
void UnpackAt(const std::byte* bytes, IntegerBlock* out) {
  Block block;
  std::memcpy(&block, bytes, sizeof(block));
  Unpack(block, out);
}

}  // namespace

UnpackFunction UnpackFunctionFor(DType dtype) {
  switch (dtype) {
    case DType::kQ4_1:
      return UnpackAt<BlockQ4_1>;
    case DType::kQ5_0:
      return UnpackAt<BlockQ5_0>;
    case DType::kQ5_1:
      return UnpackAt<BlockQ5_1>;
    case DType::kQ2_K:
      return UnpackAt<BlockQ2K>;
    case DType::kQ3_K:
      return UnpackAt<BlockQ3K>;
    case DType::kIQ4_NL:
      return UnpackAt<BlockIq4Nl>;
    case DType::kIQ4_XS:
      return UnpackAt<BlockIq4Xs>;
    case DType::kIQ3_XXS:
      return UnpackAt<BlockIq3Xxs>;
    case DType::kIQ3_S:
      return UnpackAt<BlockIq3S>;
    case DType::kIQ2_XXS:
      return UnpackAt<BlockIq2Xxs>;
    case DType::kIQ2_XS:
      return UnpackAt<BlockIq2Xs>;
    case DType::kIQ2_S:
      return UnpackAt<BlockIq2S>;
    case DType::kIQ1_S:
      return UnpackAt<BlockIq1S>;
    case DType::kIQ1_M:
      return UnpackAt<BlockIq1M>;
    case DType::kTQ1_0:
      return UnpackAt<BlockTq1_0>;
    case DType::kTQ2_0:
      return UnpackAt<BlockTq2_0>;
    case DType::kMXFP4:
      return UnpackAt<BlockMxfp4>;
    default:
      return nullptr;
  }
}

}  // namespace larder
