// Decoders against the golden blocks of the `gguf` Python package; encoders by their round trip;
// half conversions against exact arithmetic.
#include "tensor/codec.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>
#include <limits>
#include <string>
#include <vector>

#include "base/random.h"
#include "tensor/blocks.h"

namespace larder {
namespace {

std::vector<char> ReadGolden(const std::string& name) {
  std::ifstream in(std::string(LARDER_SOURCE_DIR) + "/tests/golden/blocks/" + name,
                   std::ios::binary);
  EXPECT_TRUE(in.good()) << name;
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

float RandomNormal(SplitMix64& random) {
  double sum = 0;
  for (int i = 0; i < 12; ++i) sum += random.NextUnit();
  return static_cast<float>(sum - 6.0);
}

std::vector<float> RandomValues(std::uint64_t seed, int n, float scale) {
  SplitMix64 random(seed);
  std::vector<float> values(static_cast<std::size_t>(n));
  for (float& value : values) value = scale * RandomNormal(random);
  return values;
}

// Relative root-mean-square error after a round trip.
double RoundTripError(DType dtype, const std::vector<float>& values, const float* importance) {
  const auto n = static_cast<std::int64_t>(values.size());
  std::vector<std::byte> blocks(RowBytes(dtype, n));
  std::vector<float> back(values.size());
  EncodeRow(dtype, values.data(), blocks.data(), n, importance);
  DecodeRow(dtype, blocks.data(), back.data(), n);
  double error = 0;
  double norm = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double weight = importance != nullptr ? importance[i] : 1.0;
    error += weight * (double{back[i]} - values[i]) * (double{back[i]} - values[i]);
    norm += weight * double{values[i]} * values[i];
  }
  return std::sqrt(error / norm);
}

TEST(Codec, DecodersMatchGoldenBlocksBitForBit) {
  for (DType dtype : AllDTypes()) {
    if (dtype == DType::kF32) continue;
    const std::string name(DTypeName(dtype));
    const std::vector<char> blocks = ReadGolden(name + ".bin");
    const std::vector<char> expected = ReadGolden(name + ".f32");
    ASSERT_GE(expected.size(), 4096u) << name;
    const auto n = static_cast<std::int64_t>(expected.size() / sizeof(float));
    ASSERT_EQ(blocks.size(), RowBytes(dtype, n)) << name;
    std::vector<std::byte> unaligned(blocks.size() + 1);
    std::memcpy(unaligned.data() + 1, blocks.data(), blocks.size());
    std::vector<float> decoded(static_cast<std::size_t>(n));
    DecodeRow(dtype, unaligned.data() + 1, decoded.data(), n);
    for (std::size_t i = 0; i < decoded.size(); ++i) {
      float want;
      std::memcpy(&want, expected.data() + 4 * i, 4);
      if (std::isnan(want)) {
        ASSERT_TRUE(std::isnan(decoded[i])) << name << " element " << i;
      } else {
        ASSERT_EQ(std::bit_cast<std::uint32_t>(decoded[i]), std::bit_cast<std::uint32_t>(want))
            << name << " element " << i;
      }
    }
  }
}

TEST(Codec, AnyBytesDecodeWithoutHarm) {
  SplitMix64 random(7);
  for (DType dtype : AllDTypes()) {
    std::vector<std::byte> blocks(RowBytes(dtype, 1024));
    std::vector<float> out(1024);
    for (int round = 0; round < 50; ++round) {
      for (std::byte& b : blocks) b = static_cast<std::byte>(random.Next());
      DecodeRow(dtype, blocks.data(), out.data(), 1024);
    }
  }
}

TEST(Codec, RoundTripStaysWithinTheTypesError) {
  // Bounds for normal values: about the uniform quantization error of each type's step.
  const std::pair<DType, double> bounds[] = {
      {DType::kF32, 0},       {DType::kF16, 3e-4},      {DType::kBF16, 2.4e-3},
      {DType::kQ8_0, 0.0065}, {DType::kQ4_0, 0.095},    {DType::kQ4_K, 0.073},
      {DType::kQ5_K, 0.037},  {DType::kQ6_K, 0.0205},   {DType::kQ4_1, 0.072},
      {DType::kQ5_0, 0.0415}, {DType::kQ5_1, 0.035},    {DType::kQ2_K, 0.272},
      {DType::kQ3_K, 0.148},  {DType::kIQ4_NL, 0.0745}, {DType::kIQ4_XS, 0.0752},
      {DType::kMXFP4, 0.115},
  };
  for (float scale : {1.0f, 0.02f, 300.0f}) {
    const std::vector<float> values = RandomValues(11, 256 * 64, scale);
    for (const auto& [dtype, bound] : bounds) {
      EXPECT_LE(RoundTripError(dtype, values, nullptr), bound) << DTypeName(dtype);
    }
  }
}

TEST(Codec, ImportanceLowersTheWeightedError) {
  const std::vector<float> values = RandomValues(3, 256 * 64, 1.0f);
  std::vector<float> importance(values.size());
  SplitMix64 random(5);
  for (float& w : importance) {
    const double unit = random.NextUnit();
    w = static_cast<float>(unit * unit * unit * unit + 1e-3);
  }
  for (DType dtype : AllDTypes()) {
    if (GetDTypeInfo(dtype).elements_per_block == 1 || dtype == DType::kQ8_0) continue;
    if (!HasEncoder(dtype)) continue;
    std::vector<std::byte> plain(RowBytes(dtype, static_cast<std::int64_t>(values.size())));
    std::vector<float> back(values.size());
    EncodeRow(dtype, values.data(), plain.data(), static_cast<std::int64_t>(values.size()));
    DecodeRow(dtype, plain.data(), back.data(), static_cast<std::int64_t>(values.size()));
    double error = 0;
    double norm = 0;
    for (std::size_t i = 0; i < values.size(); ++i) {
      error += importance[i] * std::pow(double{back[i]} - values[i], 2);
      norm += importance[i] * std::pow(double{values[i]}, 2);
    }
    EXPECT_LT(RoundTripError(dtype, values, importance.data()), std::sqrt(error / norm))
        << DTypeName(dtype);
  }
}

TEST(Codec, AwkwardValuesRoundTrip) {
  const float cases[] = {0.0f, -1.0f, 1.0f, 1e-30f, -1e-8f, 1e4f, -6e4f};
  for (DType dtype : AllDTypes()) {
    if (!HasEncoder(dtype)) continue;
    // The step of the coarsest types is an eighth of the range; Q2_K has four levels, and MXFP4
    // only powers of two as scales. Below the half range all is 0.
    const bool coarse = dtype == DType::kQ2_K || dtype == DType::kMXFP4;
    for (float value : cases) {
      std::vector<float> values(256, value);
      values[17] = -value / 3;
      std::vector<std::byte> blocks(RowBytes(dtype, 256));
      std::vector<float> back(256);
      EncodeRow(dtype, values.data(), blocks.data(), 256);
      DecodeRow(dtype, blocks.data(), back.data(), 256);
      for (int i = 0; i < 256; ++i) {
        ASSERT_NEAR(back[static_cast<std::size_t>(i)], values[static_cast<std::size_t>(i)],
                    std::fabs(value) / (coarse ? 5 : 8) + 1e-5)
            << DTypeName(dtype) << " value " << value;
      }
    }
  }
}

TEST(Codec, EncodersNeverGiveWhatIsNotFinite) {
  SplitMix64 random(23);
  for (DType dtype : AllDTypes()) {
    if (!HasEncoder(dtype) || dtype == DType::kF16) continue;
    std::vector<float> values(256);
    std::vector<std::byte> blocks(RowBytes(dtype, 256));
    for (int round = 0; round < 200; ++round) {
      const float scale = std::ldexp(1.0f, static_cast<int>(random.Next() % 40) - 25);
      for (float& value : values) {
        value = random.Next() % 4 == 0 ? 0.0f : scale * RandomNormal(random);
        if (random.Next() % 50 == 0) value *= 100.0f;
      }
      EncodeRow(dtype, values.data(), blocks.data(), 256);
      std::vector<float> back(256);
      DecodeRow(dtype, blocks.data(), back.data(), 256);
      ASSERT_TRUE(AllFinite(back.data(), 256)) << DTypeName(dtype) << " scale " << scale;
    }
  }
}

TEST(DTypes, OnlyTypesWithAnEncoderAreWritable) {
  EXPECT_EQ(*WritableDTypeFromName("iq4_xs"), DType::kIQ4_XS);
  const Result<DType> read_only = WritableDTypeFromName("IQ2_XS");
  ASSERT_FALSE(read_only.ok());
  EXPECT_EQ(read_only.status().code(), StatusCode::kUnsupported);
  EXPECT_NE(read_only.status().message().find("IQ2_XS can be read but not written"),
            std::string::npos);
  EXPECT_NE(read_only.status().message().find("Q2_K, Q3_K"), std::string::npos);
  EXPECT_EQ(read_only.status().message().find("IQ2_XXS"), std::string::npos);
  EXPECT_FALSE(WritableDTypeFromName("Q9").ok());
}

TEST(Codec, HalfConversionIsExactBothWays) {
  for (std::uint32_t bits = 0; bits < 0x10000u; ++bits) {
    const auto half = static_cast<std::uint16_t>(bits);
    const int exponent = (half >> 10) & 31;
    const int mantissa = half & 1023;
    double want =
        exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024 + mantissa, exponent - 25);
    if (exponent == 31) want = mantissa == 0 ? HUGE_VAL : std::nan("");
    if ((half & 0x8000u) != 0) want = -want;
    const float got = HalfToFloat(half);
    if (std::isnan(want)) {
      ASSERT_TRUE(std::isnan(got));
      ASSERT_TRUE(std::isnan(HalfToFloat(FloatToHalf(got))));
      continue;
    }
    ASSERT_EQ(double{got}, want) << bits;
    ASSERT_EQ(FloatToHalf(got), half) << bits;
    // Midpoints go to the even neighbour; a hair beside them to the nearer one.
    if (exponent == 31 || (half & 0x7fffu) == 0x7bffu) continue;
    const float next = HalfToFloat(static_cast<std::uint16_t>(half + 1));
    const float middle = (got + next) / 2;
    const auto even = static_cast<std::uint16_t>((half & 1) != 0 ? half + 1 : half);
    ASSERT_EQ(FloatToHalf(middle), even) << bits;
    ASSERT_EQ(FloatToHalf(std::nextafterf(middle, got)), half) << bits;
    ASSERT_EQ(FloatToHalf(std::nextafterf(middle, next)), half + 1) << bits;
  }
  EXPECT_EQ(FloatToHalf(65519.99f), 0x7bffu);
  EXPECT_EQ(FloatToHalf(65520.0f), 0x7c00u);
  EXPECT_EQ(FloatToHalf(-1e30f), 0xfc00u);
}

TEST(Codec, BFloat16RoundsToNearestEven) {
  EXPECT_EQ(FloatToBFloat16(1.0f), 0x3f80u);
  EXPECT_EQ(FloatToBFloat16(std::bit_cast<float>(0x3f808000u)), 0x3f80u);
  EXPECT_EQ(FloatToBFloat16(std::bit_cast<float>(0x3f818000u)), 0x3f82u);
  EXPECT_EQ(FloatToBFloat16(std::bit_cast<float>(0x3f808001u)), 0x3f81u);
  EXPECT_TRUE(std::isnan(BFloat16ToFloat(FloatToBFloat16(std::bit_cast<float>(0x7f800001u)))));
  EXPECT_EQ(FloatToBFloat16(std::numeric_limits<float>::infinity()), 0x7f80u);
}

TEST(Codec, AllFiniteSeesEveryBadValue) {
  std::vector<float> values(100, -3.0f);
  EXPECT_TRUE(AllFinite(values.data(), 100));
  for (float bad : {std::nanf(""), HUGE_VALF, -HUGE_VALF}) {
    values[99] = bad;
    EXPECT_FALSE(AllFinite(values.data(), 100));
    EXPECT_TRUE(AllFinite(values.data(), 99));
  }
}

TEST(DTypes, NamesAndNumbers) {
  for (DType dtype : AllDTypes()) {
    EXPECT_EQ(*DTypeFromGguf(static_cast<std::uint32_t>(dtype)), dtype);
    EXPECT_EQ(*DTypeFromName(DTypeName(dtype)), dtype);
  }
  EXPECT_EQ(*DTypeFromName("q4_k"), DType::kQ4_K);
  EXPECT_EQ(*DTypeFromName("bf16"), DType::kBF16);
  const Result<DType> known = DTypeFromGguf(40);
  ASSERT_FALSE(known.ok());
  EXPECT_EQ(known.status().code(), StatusCode::kUnsupported);
  EXPECT_NE(known.status().message().find("NVFP4"), std::string::npos);
  const Result<DType> unknown = DTypeFromGguf(133);
  ASSERT_FALSE(unknown.ok());
  EXPECT_NE(unknown.status().message().find("133"), std::string::npos);
  EXPECT_NE(DTypeFromName("Q9").status().message().find("Q4_K"), std::string::npos);
  EXPECT_EQ(RowBytes(DType::kQ4_K, 512), 288u);
  EXPECT_EQ(RowBytes(DType::kF32, 3), 12u);
}

}  // namespace
}  // namespace larder
