// What the encoders share: searches for the scale (and min) of a sub-block that leaves the smallest
// weighted squared error. A grid of candidate scales, each refined by weighted least squares on the
// integers it gives, as is usual for these formats. Only for encode*.cc. Pure functions, any
// thread.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "tensor/blocks.h"

namespace larder {

// Four floats at once, as GCC and clang build them on every processor.
using Four = float __attribute__((vector_size(16)));

inline Four Load(const float* p) {
  Four v;
  std::memcpy(&v, p, sizeof(v));
  return v;
}
inline Four Fill(float value) { return Four{value, value, value, value}; }
inline float Sum(Four v) { return (v[0] + v[2]) + (v[1] + v[3]); }

// Round to nearest even, clamped to [low, high]; NaN gives `low`. Adding 1.5 * 2^23 leaves no bits
// below one.
inline Four RoundClamped(Four value, float low, float high) {
  value = value > Fill(low) ? value : Fill(low);
  value = value < Fill(high) ? value : Fill(high);
  const Four magic = Fill(12582912.0f);
  return (value + magic) - magic;
}
inline float RoundClamped(float value, float low, float high) {
  value = value > low ? value : low;
  value = value < high ? value : high;
  return (value + 12582912.0f) - 12582912.0f;
}

inline float Reciprocal(float value) { return value != 0.0f ? 1.0f / value : 0.0f; }

// What an element's squared error counts: larger values matter more, because they meet larger
// activations, unless measured importance says so directly.
inline void FillWeights(const float* x, const float* importance, int n, float mean_square,
                        float* weights) {
  for (int i = 0; i < n; ++i) {
    weights[i] = importance != nullptr ? importance[i] * std::sqrt(mean_square + x[i] * x[i])
                                       : std::sqrt(mean_square) + std::fabs(x[i]);
  }
}

inline float MeanSquare(const float* x, int n) {
  float sum = 0.0f;
  for (int i = 0; i < n; ++i) sum += x[i] * x[i];
  return sum / static_cast<float>(n);
}

// With the integers q that `inverse` gives: sums of w x q and w q q.
inline void CorrelateSymmetric(const float* x, const float* weights, int n, float inverse,
                               float half_range, float* xq_out, float* qq_out) {
  Four xq = {};
  Four qq = {};
  for (int i = 0; i < n; i += 4) {
    const Four w = Load(weights + i);
    const Four v = Load(x + i);
    const Four q = RoundClamped(v * inverse, -half_range, half_range - 1.0f);
    xq += w * v * q;
    qq += w * q * q;
  }
  *xq_out = Sum(xq);
  *qq_out = Sum(qq);
}

// The best scale s for x ~ s * q with q in [-half_range, half_range - 1]; 0 for an all-zero block.
inline float SearchSymmetricScale(const float* x, const float* weights, int n, float half_range) {
  float extreme = 0.0f;
  for (int i = 0; i < n; ++i) {
    if (std::fabs(x[i]) > std::fabs(extreme)) extreme = x[i];
  }
  if (!(std::fabs(extreme) > 1e-30f)) return 0.0f;
  float best_scale = 0.0f;
  float best_gain = -1.0f;
  for (int step = -9; step <= 9; ++step) {
    // Both signs: the extreme value may lie on the longer (negative) side or on the shorter one.
    for (float side : {-1.0f, 1.0f}) {
      const float top = half_range - (side > 0 ? 1.0f : 0.0f);
      const float inverse = side * (top + 0.1f * static_cast<float>(step)) / extreme;
      float xq;
      float qq;
      CorrelateSymmetric(x, weights, n, inverse, half_range, &xq, &qq);
      // With s = xq / qq the error is sum w x^2 - xq^2 / qq: the largest gain wins.
      if (qq > 0.0f && xq * xq > best_gain * qq) {
        best_gain = xq * xq / qq;
        best_scale = xq / qq;
      }
    }
  }
  return best_scale;
}

struct ScaleMin {
  float scale = 0.0f;
  float min = 0.0f;  // x ~ scale * q - min, min >= 0
};

inline float WeightedError(const float* x, const float* weights, int n, float q_max,
                           const ScaleMin& fit) {
  const float inverse = Reciprocal(fit.scale);
  Four errors = {};
  for (int i = 0; i < n; i += 4) {
    const Four v = Load(x + i);
    const Four q = RoundClamped((v + fit.min) * inverse, 0.0f, q_max);
    const Four difference = fit.scale * q - fit.min - v;
    errors += Load(weights + i) * difference * difference;
  }
  return Sum(errors);
}

// Weighted moments of the values that stay the same over a search.
struct Moments {
  float w = 0.0f;
  float wx = 0.0f;
};

// Least squares of (scale, min) for the integers that `fit` gives.
inline ScaleMin Refit(const float* x, const float* weights, int n, float q_max,
                      const Moments& moments, const ScaleMin& fit) {
  const float inverse = Reciprocal(fit.scale);
  Four sum_q = {};
  Four sum_qq = {};
  Four sum_xq = {};
  for (int i = 0; i < n; i += 4) {
    const Four v = Load(x + i);
    const Four q = RoundClamped((v + fit.min) * inverse, 0.0f, q_max);
    const Four wq = Load(weights + i) * q;
    sum_q += wq;
    sum_qq += wq * q;
    sum_xq += wq * v;
  }
  const double sw = moments.w;
  const double sx = moments.wx;
  const double sq = Sum(sum_q);
  const double sqq = Sum(sum_qq);
  const double sxq = Sum(sum_xq);
  const double determinant = sw * sqq - sq * sq;
  if (!(determinant > 0)) return fit;
  double scale = (sw * sxq - sx * sq) / determinant;
  double min = -(sqq * sx - sq * sxq) / determinant;
  if (min < 0) {
    min = 0;
    scale = sqq > 0 ? sxq / sqq : 0;
  }
  if (!(scale > 0)) return fit;
  return {static_cast<float>(scale), static_cast<float>(min)};
}

inline ScaleMin SearchScaleMin(const float* x, const float* weights, int n, float q_max) {
  const float low = std::min(*std::min_element(x, x + n), 0.0f);
  const float high = *std::max_element(x, x + n);
  if (!(high > low)) return {0.0f, -low};
  Moments moments;
  for (int i = 0; i < n; ++i) {
    moments.w += weights[i];
    moments.wx += weights[i] * x[i];
  }
  ScaleMin best{(high - low) / q_max, -low};
  float best_error = WeightedError(x, weights, n, q_max, best);
  const ScaleMin start = best;
  for (int step = -5; step <= 14; ++step) {
    const float levels = q_max + 0.1f * static_cast<float>(step);
    ScaleMin fit{start.scale * q_max / levels, start.min};
    fit = Refit(x, weights, n, q_max, moments, fit);
    const float error = WeightedError(x, weights, n, q_max, fit);
    if (error < best_error) {
      best = fit;
      best_error = error;
    }
  }
  return best;
}

// Rounds one sub-block's scale and min to multiples of d and dmin: of the neighbouring integers,
// the pair with the smallest error.
inline void ChooseScaleMin(const float* x, const float* weights, int n, float q_max, int limit,
                           float d, float dmin, const ScaleMin& fit, std::uint8_t* scale_out,
                           std::uint8_t* min_out) {
  const int scale_near =
      static_cast<int>(RoundClamped(fit.scale * Reciprocal(d), 0.0f, static_cast<float>(limit)));
  const int min_near =
      static_cast<int>(RoundClamped(fit.min * Reciprocal(dmin), 0.0f, static_cast<float>(limit)));
  float best_error = HUGE_VALF;
  *scale_out = static_cast<std::uint8_t>(scale_near);
  *min_out = static_cast<std::uint8_t>(min_near);
  for (int scale = std::max(scale_near - 1, 0); scale <= std::min(scale_near + 1, limit); ++scale) {
    for (int min = std::max(min_near - 1, 0); min <= std::min(min_near + 1, limit); ++min) {
      const ScaleMin rounded{d * static_cast<float>(scale), dmin * static_cast<float>(min)};
      const float error = WeightedError(x, weights, n, q_max, rounded);
      if (error < best_error) {
        best_error = error;
        *scale_out = static_cast<std::uint8_t>(scale);
        *min_out = static_cast<std::uint8_t>(min);
      }
    }
  }
}

// The integer scale in [low, high] and the integers in [-half_range, half_range) of one sub-block
// of 16, for a given d; q is stored with half_range added.
inline void QuantizeSigned16(const float* x, const float* weights, float fit, float d,
                             float half_range, int low, int high, std::int8_t* scale_out,
                             std::uint8_t* q) {
  const int near = static_cast<int>(
      RoundClamped(fit * Reciprocal(d), static_cast<float>(low), static_cast<float>(high)));
  float best_error = HUGE_VALF;
  int best = near;
  for (int scale = std::max(near - 1, low); scale <= std::min(near + 1, high); ++scale) {
    const float step = d * static_cast<float>(scale);
    const float inverse = Reciprocal(step);
    Four errors = {};
    for (int i = 0; i < 16; i += 4) {
      const Four v = Load(x + i);
      const Four difference = step * RoundClamped(inverse * v, -half_range, half_range - 1.0f) - v;
      errors += Load(weights + i) * difference * difference;
    }
    const float error = Sum(errors);
    if (error < best_error) {
      best_error = error;
      best = scale;
    }
  }
  *scale_out = static_cast<std::int8_t>(best);
  const float inverse = Reciprocal(d * static_cast<float>(best));
  for (int i = 0; i < 16; ++i) {
    q[i] = static_cast<std::uint8_t>(RoundClamped(inverse * x[i], -half_range, half_range - 1.0f) +
                                     half_range);
  }
}

}  // namespace larder
