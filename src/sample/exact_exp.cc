// e^x = 2^k 2^(j/64) e^r with |r| <= ln(2)/128: a table for the middle factor, five terms of
// Taylor's series for the last.
#include "sample/exact_exp.h"

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace larder {
namespace {

constexpr int kSteps = 64;

/// 2^(j/64) by Taylor's series, summed when this is compiled, in IEEE doubles.
constexpr std::array<double, kSteps> kPowers = [] {
  std::array<double, kSteps> powers{};
  for (int j = 0; j < kSteps; ++j) {
    const double x = j * (0.69314718055994531 / kSteps);
    double sum = 1.0;
    for (int i = 20; i > 0; --i) sum = 1.0 + sum * x / i;
    powers[static_cast<std::size_t>(j)] = sum;
  }
  return powers;
}();

}  // namespace

double ExactExp(double x) {
  constexpr double kStepsPerNat = kSteps * 1.4426950408889634;
  // ln(2)/64 in two parts; the last 20 bits of the first are 0, so that n * kHigh is exact.
  constexpr double kHigh = 0.6931471803691238 / kSteps;
  constexpr double kLow = 1.9082149292705877e-10 / kSteps;
  if (!(x > -700.0)) return 0.0;
  const int n = -static_cast<int>(0.5 - x * kStepsPerNat);
  const double r = (x - n * kHigh) - n * kLow;
  const double series =
      1.0 + r * (1.0 + r * (1.0 / 2 + r * (1.0 / 6 + r * (1.0 / 24 + r * (1.0 / 120)))));
  const int j = n & (kSteps - 1);
  const auto exponent = static_cast<std::uint64_t>((n - j) / kSteps + 1023);
  return kPowers[static_cast<std::size_t>(j)] * series * std::bit_cast<double>(exponent << 52);
}

}  // namespace larder
