// Products of every type on every instruction set: the same bits everywhere, whatever the batch,
// the address or the instruction set, and close to a double-precision product.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <memory>
#include <numeric>
#include <vector>

#include "kernels/kernel_table.h"
#include "kernels/test_util.h"
#include "tensor/codec.h"

namespace larder {
namespace {

struct Shape {
  std::int64_t n_rows;
  std::int64_t n_cols;
  std::int64_t n_tokens;
};

// Records of every token, as CpuOps makes them.
std::vector<std::byte> MakeRecords(const KernelTable& kernels, ActivationKind kind,
                                   const std::vector<float>& x, std::int64_t n_cols,
                                   std::size_t* stride) {
  const std::int64_t n_tokens = static_cast<std::int64_t>(x.size()) / n_cols;
  *stride = ActivationLayout(kind, n_cols).total;
  std::vector<std::byte> records(static_cast<std::size_t>(n_tokens) * *stride);
  for (std::int64_t t = 0; t < n_tokens; ++t) {
    kernels.quantize(kind, x.data() + t * n_cols, n_cols, 0, n_cols,
                     records.data() + static_cast<std::size_t>(t) * *stride);
  }
  return records;
}

// out [n_tokens, n_rows], tokens given in batches of `batch`.
std::vector<float> Multiply(const KernelTable& kernels, DType dtype, const std::byte* weights,
                            const std::vector<float>& x, const Shape& shape, std::int64_t batch) {
  std::size_t stride = 0;
  const std::vector<std::byte> records =
      MakeRecords(kernels, ActivationKindFor(dtype), x, shape.n_cols, &stride);
  std::vector<float> out(static_cast<std::size_t>(shape.n_rows * shape.n_tokens), -1.0f);
  AlignedBytes scratch(kMatMulScratchBytes);
  for (std::int64_t first = 0; first < shape.n_tokens; first += batch) {
    MatMulTask task;
    task.weights = weights;
    task.dtype = dtype;
    task.n_rows = shape.n_rows;
    task.n_cols = shape.n_cols;
    task.row_bytes = RowBytes(dtype, shape.n_cols);
    task.activations = records.data() + static_cast<std::size_t>(first) * stride;
    task.activation_stride = stride;
    task.n_tokens = std::min(batch, shape.n_tokens - first);
    task.out = out.data() + first * shape.n_rows;
    task.out_stride = shape.n_rows;
    task.scratch = scratch.data();
    kernels.matmul(task);
  }
  return out;
}

std::vector<Shape> ShapesFor(DType dtype) {
  const std::int64_t block = std::max<std::int64_t>(GetDTypeInfo(dtype).elements_per_block, 1);
  if (block == 1) return {{1, 1, 1}, {3, 17, 2}, {16, 64, 5}, {5, 10007, 3}, {37, 130, 9}};
  if (block == 32) return {{1, 32, 1}, {17, 64, 5}, {5, 10016, 3}, {33, 288, 9}, {64, 256, 131}};
  return {{1, 256, 1}, {17, 512, 5}, {5, 10240, 3}, {33, 768, 9}, {64, 256, 131}};
}

class MatMulTypes : public ::testing::TestWithParam<DType> {};

TEST_P(MatMulTypes, SameBitsOnEveryIsaBatchAndAddress) {
  const DType dtype = GetParam();
  for (const Shape& shape : ShapesFor(dtype)) {
    for (bool random_bytes : {false, true}) {
      const std::size_t bytes = RowBytes(dtype, shape.n_cols * shape.n_rows);
      std::vector<std::byte> weights(bytes + 1);
      if (random_bytes) {
        FillWithFiniteBlocks(dtype, shape.n_rows * shape.n_cols, 17, weights.data() + 1);
      } else {
        FillWithWeights(dtype, 3, shape.n_rows * shape.n_cols, 0.1f, weights.data() + 1);
      }
      const std::vector<std::byte> aligned(weights.begin() + 1, weights.end());
      const std::vector<float> x = RandomFloats(5, shape.n_tokens * shape.n_cols, 2.0f);
      const std::vector<float> truth =
          Multiply(ScalarKernels(), dtype, aligned.data(), x, shape, shape.n_tokens);
      for (Isa isa : IsasHere()) {
        const KernelTable& kernels = GetKernels(isa);
        for (std::int64_t batch :
             {std::int64_t{1}, std::int64_t{2}, std::int64_t{3}, std::int64_t{7}, shape.n_tokens}) {
          if (isa == Isa::kScalar && batch != 1) continue;
          const std::vector<float> got =
              Multiply(kernels, dtype, weights.data() + 1, x, shape, batch);
          ASSERT_TRUE(SameBits(truth, got))
              << IsaName(isa) << " batch " << batch << " rows " << shape.n_rows << " columns "
              << shape.n_cols << " random " << random_bytes;
        }
      }
    }
  }
}

// Shapes nobody chose, weights in buffers that end with their last block.
TEST_P(MatMulTypes, SameBitsOnRandomShapes) {
  const DType dtype = GetParam();
  const std::int64_t block = std::max<std::int64_t>(GetDTypeInfo(dtype).elements_per_block, 1);
  SplitMix64 random(static_cast<std::uint64_t>(dtype) + 77);
  const auto below = [&random](std::uint64_t n) {
    return static_cast<std::int64_t>(random.Next() % n);
  };
  for (int round = 0; round < 8; ++round) {
    const Shape shape{1 + below(40), block * (1 + below(block == 256 ? 4 : 19)), 1 + below(11)};
    const std::size_t bytes = RowBytes(dtype, shape.n_cols * shape.n_rows);
    const auto weights = std::make_unique<std::byte[]>(bytes);
    FillWithFiniteBlocks(dtype, shape.n_rows * shape.n_cols, random.Next(), weights.get());
    const std::vector<float> x = RandomFloats(random.Next(), shape.n_tokens * shape.n_cols, 2.0f);
    const std::vector<float> truth =
        Multiply(ScalarKernels(), dtype, weights.get(), x, shape, shape.n_tokens);
    for (Isa isa : IsasHere()) {
      for (std::int64_t batch : {shape.n_tokens, 1 + below(4)}) {
        ASSERT_TRUE(
            SameBits(truth, Multiply(GetKernels(isa), dtype, weights.get(), x, shape, batch)))
            << IsaName(isa) << " batch " << batch << " rows " << shape.n_rows << " columns "
            << shape.n_cols << " tokens " << shape.n_tokens;
      }
    }
  }
}

// The tolerance: each activation is off by at most half a step d, each block's float operations
// (two per block) by 2^-24 of the running magnitude.
TEST_P(MatMulTypes, CloseToADoubleProduct) {
  const DType dtype = GetParam();
  const ActivationKind kind = ActivationKindFor(dtype);
  for (const Shape& shape : ShapesFor(dtype)) {
    std::vector<std::byte> weights(RowBytes(dtype, shape.n_rows * shape.n_cols));
    FillWithWeights(dtype, 3, shape.n_rows * shape.n_cols, 0.1f, weights.data());
    std::vector<float> decoded(static_cast<std::size_t>(shape.n_rows * shape.n_cols));
    DecodeRow(dtype, weights.data(), decoded.data(), shape.n_rows * shape.n_cols);
    const std::vector<float> x = RandomFloats(5, shape.n_tokens * shape.n_cols, 2.0f);
    const std::vector<float> got =
        Multiply(GetKernels(TestIsa()), dtype, weights.data(), x, shape, shape.n_tokens);
    const std::int64_t block = kind == ActivationKind::kBlock32 ? 32 : 256;
    std::vector<double> largest(x.size() / static_cast<std::size_t>(block) + 1);
    for (std::size_t i = 0; i < x.size(); ++i) {
      double* most = &largest[i / static_cast<std::size_t>(block)];
      *most = std::max(*most, std::fabs(double{x[i]}));
    }
    for (std::int64_t t = 0; t < shape.n_tokens; ++t) {
      for (std::int64_t r = 0; r < shape.n_rows; ++r) {
        double sum = 0;
        double magnitude = 0;
        double tolerance = 0;
        for (std::int64_t i = 0; i < shape.n_cols; ++i) {
          const double weight = decoded[static_cast<std::size_t>(r * shape.n_cols + i)];
          const double value = x[static_cast<std::size_t>(t * shape.n_cols + i)];
          sum += weight * value;
          magnitude += std::fabs(weight * value);
          if (kind == ActivationKind::kFloat) continue;
          const double most = largest[static_cast<std::size_t>((t * shape.n_cols + i) / block)];
          tolerance += std::fabs(weight) * most / 127 * 0.5001;
        }
        const double steps =
            kind == ActivationKind::kFloat
                ? static_cast<double>(shape.n_cols) / 16 + 5
                : 2.0 * static_cast<double>(shape.n_cols) / static_cast<double>(block);
        // Types with mins cancel: their two terms are each up to a few times the sum's magnitude.
        tolerance += (steps + 2) * 0x1p-24 * 8 * magnitude + 1e-30;
        ASSERT_NEAR(got[static_cast<std::size_t>(t * shape.n_rows + r)], sum, tolerance)
            << "rows " << shape.n_rows << " columns " << shape.n_cols;
      }
    }
  }
}

// Over many products the error must be that of rounding to nearest, not of truncation.
TEST_P(MatMulTypes, ErrorHasTheSizeOfRounding) {
  const DType dtype = GetParam();
  const Shape shape{64, 1024, 8};
  std::vector<std::byte> weights(RowBytes(dtype, shape.n_rows * shape.n_cols));
  FillWithWeights(dtype, 9, shape.n_rows * shape.n_cols, 0.1f, weights.data());
  std::vector<float> decoded(static_cast<std::size_t>(shape.n_rows * shape.n_cols));
  DecodeRow(dtype, weights.data(), decoded.data(), shape.n_rows * shape.n_cols);
  const std::vector<float> x = RandomFloats(15, shape.n_tokens * shape.n_cols, 2.0f);
  const std::vector<float> got =
      Multiply(GetKernels(TestIsa()), dtype, weights.data(), x, shape, shape.n_tokens);
  double error = 0;
  double norm = 0;
  for (std::int64_t t = 0; t < shape.n_tokens; ++t) {
    for (std::int64_t r = 0; r < shape.n_rows; ++r) {
      double sum = 0;
      for (std::int64_t i = 0; i < shape.n_cols; ++i) {
        sum += double{decoded[static_cast<std::size_t>(r * shape.n_cols + i)]} *
               x[static_cast<std::size_t>(t * shape.n_cols + i)];
      }
      error += std::pow(sum - got[static_cast<std::size_t>(t * shape.n_rows + r)], 2);
      norm += sum * sum;
    }
  }
  // max|x| of 256 normal values is about 3 sigma: a step of 3/127, a deviation of step / sqrt(12).
  const bool is_float = ActivationKindFor(dtype) == ActivationKind::kFloat;
  EXPECT_LT(std::sqrt(error / norm), is_float ? 1e-6 : 3.2 / 127 / std::sqrt(12.0));
}

INSTANTIATE_TEST_SUITE_P(All, MatMulTypes, ::testing::ValuesIn(AllDTypes()),
                         [](const auto& type) { return std::string(DTypeName(type.param)); });

TEST(Quantize, SameBitsOnEveryIsa) {
  for (auto kind : {ActivationKind::kBlock32, ActivationKind::kBlock256}) {
    std::vector<float> x = RandomFloats(1, 1024, 3.0f);
    std::fill(x.begin(), x.begin() + 256, 0.0f);
    x[300] = 1e20f;
    for (std::size_t i = 512; i < 768; ++i) x[i] *= 1e-36f;
    std::size_t stride = 0;
    const auto truth = MakeRecords(ScalarKernels(), kind, x, 1024, &stride);
    for (Isa isa : IsasHere()) {
      EXPECT_TRUE(truth == MakeRecords(GetKernels(isa), kind, x, 1024, &stride)) << IsaName(isa);
    }
    const ActivationLayout layout(kind, 1024);
    const auto* q = reinterpret_cast<const std::int8_t*>(truth.data());
    const auto* sums32 = reinterpret_cast<const std::int16_t*>(truth.data() + layout.sums32);
    const auto* sums16 = reinterpret_cast<const std::int16_t*>(truth.data() + layout.sums16);
    for (int i = 0; i < 32; ++i) {
      EXPECT_EQ(sums32[i], std::accumulate(q + 32 * i, q + 32 * i + 32, 0));
      EXPECT_EQ(sums16[2 * i], std::accumulate(q + 32 * i, q + 32 * i + 16, 0));
    }
    EXPECT_EQ(q[300], 127);
  }
}

TEST(Quantize, NonFiniteInputPoisonsItsRow) {
  for (float bad : {std::nanf(""), HUGE_VALF, -HUGE_VALF}) {
    for (Isa isa : IsasHere()) {
      std::vector<float> x = RandomFloats(1, 512, 3.0f);
      x[77] = bad;
      std::vector<float> w = RandomFloats(2, 512, 1.0f);
      std::vector<std::byte> weights(RowBytes(DType::kQ4_K, 512));
      EncodeRow(DType::kQ4_K, w.data(), weights.data(), 512);
      const auto out = Multiply(GetKernels(isa), DType::kQ4_K, weights.data(), x, {1, 512, 1}, 1);
      EXPECT_FALSE(std::isfinite(out[0])) << IsaName(isa);
    }
  }
}

}  // namespace
}  // namespace larder
