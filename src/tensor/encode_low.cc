// Encoders of Q2_K and Q3_K: blocks of 256 in sub-blocks of 16 with small scales. Pure functions,
// any thread.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "tensor/encode_blocks.h"
#include "tensor/encode_search.h"

namespace larder {

namespace {

// Two bits of each of 256 integers: element 128h + 32k + l in bits 2k.. of qs[32h + l].
void PackTwoBits(const std::uint8_t* q, std::uint8_t* qs) {
  for (int h = 0; h < 2; ++h) {
    for (int l = 0; l < 32; ++l) {
      const std::uint8_t* part = q + 128 * h + l;
      qs[32 * h + l] = static_cast<std::uint8_t>((part[0] & 3) | (part[32] & 3) << 2 |
                                                 (part[64] & 3) << 4 | (part[96] & 3) << 6);
    }
  }
}

}  // namespace

void EncodeBlock(const float* x, const float* importance, BlockQ2K* block) {
  float weights[256];
  FillWeights(x, importance, 256, MeanSquare(x, 256), weights);
  ScaleMin fits[16];
  float max_scale = 0.0f;
  float max_min = 0.0f;
  for (int j = 0; j < 16; ++j) {
    fits[j] = SearchScaleMin(x + 16 * j, weights + 16 * j, 16, 3.0f);
    max_scale = std::max(max_scale, fits[j].scale);
    max_min = std::max(max_min, fits[j].min);
  }
  block->d = FloatToHalfBits(std::min(max_scale / 15.0f, 65504.0f));
  block->dmin = FloatToHalfBits(std::min(max_min / 15.0f, 65504.0f));
  const float d = HalfBitsToFloat(block->d);
  const float dmin = HalfBitsToFloat(block->dmin);
  std::uint8_t q[256];
  for (int j = 0; j < 16; ++j) {
    std::uint8_t scale;
    std::uint8_t min;
    ChooseScaleMin(x + 16 * j, weights + 16 * j, 16, 3.0f, 15, d, dmin, fits[j], &scale, &min);
    block->scales[j] = static_cast<std::uint8_t>(scale | min << 4);
    const float inverse = Reciprocal(d * static_cast<float>(scale));
    const float offset = dmin * static_cast<float>(min);
    for (int i = 16 * j; i < 16 * j + 16; ++i) {
      q[i] = static_cast<std::uint8_t>(RoundClamped((x[i] + offset) * inverse, 0.0f, 3.0f));
    }
  }
  PackTwoBits(q, block->qs);
}

void EncodeBlock(const float* x, const float* importance, BlockQ3K* block) {
  float weights[256];
  FillWeights(x, importance, 256, MeanSquare(x, 256), weights);
  float fits[16];
  float extreme = 0.0f;
  for (int j = 0; j < 16; ++j) {
    fits[j] = SearchSymmetricScale(x + 16 * j, weights + 16 * j, 16, 4.0f);
    if (std::fabs(fits[j]) > std::fabs(extreme)) extreme = fits[j];
  }
  block->d = FloatToHalfBits(std::clamp(extreme / -32.0f, -65504.0f, 65504.0f));
  const float d = HalfBitsToFloat(block->d);
  std::uint8_t q[256];
  std::memset(block->scales, 0, sizeof(block->scales));
  for (int k = 0; k < 16; ++k) {
    std::int8_t scale;
    QuantizeSigned16(x + 16 * k, weights + 16 * k, fits[k], d, 4.0f, -32, 31, &scale, q + 16 * k);
    const int bits = scale + 32;
    std::uint8_t* low = &block->scales[k % 8];
    std::uint8_t* high = &block->scales[8 + k % 4];
    *low = static_cast<std::uint8_t>(*low | (bits & 15) << (4 * (k / 8)));
    *high = static_cast<std::uint8_t>(*high | (bits >> 4) << (2 * (k / 4)));
  }
  PackTwoBits(q, block->qs);
  std::memset(block->hmask, 0, sizeof(block->hmask));
  for (int i = 0; i < 256; ++i) {
    std::uint8_t* mask = &block->hmask[i % 32];
    *mask = static_cast<std::uint8_t>(*mask | (q[i] >> 2) << (i / 32));
  }
}

}  // namespace larder
