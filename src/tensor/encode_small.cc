// Encoders of Q4_1, Q5_0 and Q5_1: blocks of 32 with one scale and perhaps one offset. Pure
// functions, any thread.
#include <algorithm>
#include <cstring>

#include "tensor/encode_blocks.h"
#include "tensor/encode_search.h"

namespace larder {

namespace {

// d and m of value d * q + m with q in [0, q_max], rounded to halves, and the integers.
void QuantizeOffset(const float* x, const float* importance, float q_max, std::uint16_t* d_bits,
                    std::uint16_t* m_bits, std::uint8_t* q) {
  float weights[32];
  FillWeights(x, importance, 32, MeanSquare(x, 32), weights);
  // Below its largest value the block lies at or below zero, where the search's min >= 0 is free.
  const float top = *std::max_element(x, x + 32);
  float below[32];
  for (int i = 0; i < 32; ++i) below[i] = x[i] - top;
  const ScaleMin fit = SearchScaleMin(below, weights, 32, q_max);
  *d_bits = FloatToHalfBits(std::min(fit.scale, 65504.0f));
  *m_bits = FloatToHalfBits(std::clamp(top - fit.min, -65504.0f, 65504.0f));
  const float inverse = Reciprocal(HalfBitsToFloat(*d_bits));
  const float m = HalfBitsToFloat(*m_bits);
  for (int i = 0; i < 32; ++i) {
    q[i] = static_cast<std::uint8_t>(RoundClamped((x[i] - m) * inverse, 0.0f, q_max));
  }
}

void PackFiveBits(const std::uint8_t* q, std::uint8_t* qs, std::uint8_t* qh) {
  std::memset(qh, 0, 4);
  for (int i = 0; i < 32; ++i) {
    qh[i / 8] = static_cast<std::uint8_t>(qh[i / 8] | (q[i] >> 4) << (i % 8));
  }
  for (int i = 0; i < 16; ++i) {
    qs[i] = static_cast<std::uint8_t>((q[i] & 15) | (q[i + 16] & 15) << 4);
  }
}

}  // namespace

void EncodeBlock(const float* x, const float* importance, BlockQ4_1* block) {
  std::uint8_t q[32];
  std::uint16_t d;
  std::uint16_t m;
  QuantizeOffset(x, importance, 15.0f, &d, &m, q);
  block->d = d;
  block->m = m;
  for (int i = 0; i < 16; ++i) block->qs[i] = static_cast<std::uint8_t>(q[i] | q[i + 16] << 4);
}

void EncodeBlock(const float* x, const float* importance, BlockQ5_1* block) {
  std::uint8_t q[32];
  std::uint16_t d;
  std::uint16_t m;
  QuantizeOffset(x, importance, 31.0f, &d, &m, q);
  block->d = d;
  block->m = m;
  PackFiveBits(q, block->qs, block->qh);
}

void EncodeBlock(const float* x, const float* importance, BlockQ5_0* block) {
  float weights[32];
  for (int i = 0; i < 32; ++i) weights[i] = importance != nullptr ? importance[i] : x[i] * x[i];
  const float scale = SearchSymmetricScale(x, weights, 32, 16.0f);
  block->d = FloatToHalfBits(std::clamp(scale, -65504.0f, 65504.0f));
  const float inverse = Reciprocal(HalfBitsToFloat(block->d));
  std::uint8_t q[32];
  for (int i = 0; i < 32; ++i) {
    q[i] = static_cast<std::uint8_t>(RoundClamped(x[i] * inverse, -16.0f, 15.0f) + 16.0f);
  }
  PackFiveBits(q, block->qs, block->qh);
}

}  // namespace larder
