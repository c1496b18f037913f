// Encoders of IQ4_NL, IQ4_XS and MXFP4, whose 4-bit codes stand for unevenly spaced values. Pure
// functions, any thread.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "tensor/encode_blocks.h"
#include "tensor/encode_search.h"
#include "tensor/iq_tables.h"

namespace larder {

namespace {

// The code of the nearest of kIq4Values: how many midpoints lie below. Ties go to the lower code.
int NearestIq4(float value) {
  int code = 0;
  for (int step = 8; step > 0; step /= 2) {
    const int next = code + step;
    const float middle = 0.5f * static_cast<float>(kIq4Values[next - 1] + kIq4Values[next]);
    if (value > middle) code = next;
  }
  return code;
}

// The scale s of least weighted error in x ~ s * kIq4Values[code], over 32 elements.
float SearchIq4Scale(const float* x, const float* weights) {
  float extreme = 0.0f;
  for (int i = 0; i < 32; ++i) {
    if (std::fabs(x[i]) > std::fabs(extreme)) extreme = x[i];
  }
  if (extreme == 0.0f) return 0.0f;
  float best_scale = extreme / -127.0f;
  float best_gain = -1.0f;
  // The table reaches -127 but only 113: both ways round are tried.
  for (float end : {-127.0f, 113.0f}) {
    for (int step = -7; step <= 7; ++step) {
      const float inverse = (end + static_cast<float>(step) * 2.5f) / extreme;
      float xq = 0.0f;
      float qq = 0.0f;
      for (int i = 0; i < 32; ++i) {
        const float q = kIq4Values[NearestIq4(x[i] * inverse)];
        xq += weights[i] * x[i] * q;
        qq += weights[i] * q * q;
      }
      if (qq > 0.0f && xq * xq > best_gain * qq) {
        best_gain = xq * xq / qq;
        best_scale = xq / qq;
      }
    }
  }
  return best_scale;
}

float Iq4Error(const float* x, const float* weights, float scale) {
  const float inverse = Reciprocal(scale);
  float error = 0.0f;
  for (int i = 0; i < 32; ++i) {
    const float difference = scale * kIq4Values[NearestIq4(x[i] * inverse)] - x[i];
    error += weights[i] * difference * difference;
  }
  return error;
}

void PackIq4(const float* x, float scale, std::uint8_t* qs) {
  const float inverse = Reciprocal(scale);
  for (int i = 0; i < 16; ++i) {
    qs[i] = static_cast<std::uint8_t>(NearestIq4(x[i] * inverse) | NearestIq4(x[i + 16] * inverse)
                                                                       << 4);
  }
}

// The MXFP4 code of the nearest value (doubled, as the table has them).
int NearestMxfp4(float value) {
  const float magnitude = std::fabs(value);
  int code = 0;
  while (code < 7 &&
         2.0f * magnitude > static_cast<float>(kMxfp4Values[code] + kMxfp4Values[code + 1])) {
    ++code;
  }
  return value < 0.0f && code != 0 ? code + 8 : code;
}

}  // namespace

void EncodeBlock(const float* x, const float* importance, BlockIq4Nl* block) {
  float weights[32];
  FillWeights(x, importance, 32, MeanSquare(x, 32), weights);
  const float scale = SearchIq4Scale(x, weights);
  block->d = FloatToHalfBits(std::clamp(scale, -65504.0f, 65504.0f));
  PackIq4(x, HalfBitsToFloat(block->d), block->qs);
}

void EncodeBlock(const float* x, const float* importance, BlockIq4Xs* block) {
  float weights[256];
  FillWeights(x, importance, 256, MeanSquare(x, 256), weights);
  float fits[8];
  float extreme = 0.0f;
  for (int j = 0; j < 8; ++j) {
    fits[j] = SearchIq4Scale(x + 32 * j, weights + 32 * j);
    if (std::fabs(fits[j]) > std::fabs(extreme)) extreme = fits[j];
  }
  block->d = FloatToHalfBits(std::clamp(extreme / -32.0f, -65504.0f, 65504.0f));
  block->scales_h = 0;
  std::memset(block->scales_l, 0, sizeof(block->scales_l));
  const float d = HalfBitsToFloat(block->d);
  for (int j = 0; j < 8; ++j) {
    const int near = static_cast<int>(RoundClamped(fits[j] * Reciprocal(d), -32.0f, 31.0f));
    int best = near;
    float best_error = HUGE_VALF;
    for (int scale = std::max(near - 1, -32); scale <= std::min(near + 1, 31); ++scale) {
      const float error = Iq4Error(x + 32 * j, weights + 32 * j, d * static_cast<float>(scale));
      if (error < best_error) {
        best_error = error;
        best = scale;
      }
    }
    PackIq4(x + 32 * j, d * static_cast<float>(best), block->qs + 16 * j);
    const int bits = best + 32;
    std::uint8_t* low = &block->scales_l[j / 2];
    *low = static_cast<std::uint8_t>(*low | (bits & 15) << (4 * (j % 2)));
    block->scales_h = static_cast<std::uint16_t>(block->scales_h | (bits >> 4) << (2 * j));
  }
}

void EncodeBlock(const float* x, const float* importance, BlockMxfp4* block) {
  float weights[32];
  FillWeights(x, importance, 32, MeanSquare(x, 32), weights);
  float largest = 0.0f;
  for (int i = 0; i < 32; ++i) largest = std::max(largest, std::fabs(x[i]));
  // The largest value meets the table's top binade, or the ones beside it.
  const int exponent = static_cast<int>(std::bit_cast<std::uint32_t>(largest) >> 23);
  float best_error = HUGE_VALF;
  block->e = static_cast<std::uint8_t>(std::clamp(exponent - 2, 0, 252));
  for (int e = std::clamp(exponent - 3, 0, 252); e <= std::clamp(exponent - 1, 0, 252); ++e) {
    const float scale = Mxfp4HalfScale(static_cast<std::uint8_t>(e));
    float error = 0.0f;
    for (int i = 0; i < 32; ++i) {
      const float difference = scale * kMxfp4Values[NearestMxfp4(x[i] / scale)] - x[i];
      error += weights[i] * difference * difference;
    }
    if (error < best_error) {
      best_error = error;
      block->e = static_cast<std::uint8_t>(e);
    }
  }
  const float scale = Mxfp4HalfScale(block->e);
  for (int i = 0; i < 16; ++i) {
    block->qs[i] = static_cast<std::uint8_t>(NearestMxfp4(x[i] / scale) |
                                             NearestMxfp4(x[i + 16] / scale) << 4);
  }
}

}  // namespace larder
