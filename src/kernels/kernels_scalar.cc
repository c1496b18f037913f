// The scalar kernel table: plain C++, the reference for the others and the fallback everywhere.
#include <bit>
#include <cstring>

#include "kernels/kernel_table.h"
#include "tensor/blocks.h"
#include "tensor/integer_block.h"

namespace larder {

namespace {

constexpr int kAttnRows = 1;
constexpr int kAttnFewRows = 1;
constexpr int kAttnSums = 1;
constexpr int kFloatRows = 1;
constexpr int kFloatTokens = 1;

// In this order: later bodies use earlier ones.
// clang-format off
#include "kernels/vec_scalar.inc"
#include "kernels/math_body.inc"
#include "kernels/row_body.inc"
#include "kernels/attention_body.inc"
#include "kernels/state_body.inc"
#include "kernels/float_matmul_body.inc"
#include "kernels/unpacked_body.inc"
// clang-format on

// One record of activations (activations.h).
struct Record {
  const std::int8_t* q;
  const float* d;
  const std::int16_t* sums32;
};

// The canonical order of every quantized product: exact integers inside a block, then one fma per
// block and term in ascending block order: acc = fma(d_w * d_a, isum, acc), and for types with mins
// acc = fma(-(dmin * d_a), msum, acc).
float DotBlocks(const BlockQ8_0& block, const Record& x, std::int64_t index, float acc) {
  std::int32_t sum = 0;
  for (int i = 0; i < 32; ++i) sum += block.qs[i] * x.q[32 * index + i];
  return __builtin_fmaf(HalfBitsToFloat(block.d) * x.d[index], static_cast<float>(sum), acc);
}

float DotBlocks(const BlockQ4_0& block, const Record& x, std::int64_t index, float acc) {
  std::int32_t sum = 0;
  const std::int8_t* q = x.q + 32 * index;
  for (int i = 0; i < 16; ++i) {
    sum += ((block.qs[i] & 15) - 8) * q[i] + ((block.qs[i] >> 4) - 8) * q[i + 16];
  }
  return __builtin_fmaf(HalfBitsToFloat(block.d) * x.d[index], static_cast<float>(sum), acc);
}

// Q4_K and Q5_K share everything but their integers.
template <typename Block, typename Unpack>
float DotScaleMin(const Block& block, const Record& x, std::int64_t index, float acc,
                  Unpack unpack) {
  std::int32_t sum = 0;
  std::int32_t min_sum = 0;
  for (int j = 0; j < 8; ++j) {
    std::uint8_t scale;
    std::uint8_t min;
    UnpackScaleMin6(block.scales, j, &scale, &min);
    const std::int8_t* q = x.q + 256 * index + 32 * j;
    std::int32_t part = 0;
    for (int i = 0; i < 32; ++i) part += unpack(block, j, i) * q[i];
    sum += scale * part;
    min_sum += min * x.sums32[8 * index + j];
  }
  const float d = x.d[index];
  acc = __builtin_fmaf(HalfBitsToFloat(block.d) * d, static_cast<float>(sum), acc);
  return __builtin_fmaf(-(HalfBitsToFloat(block.dmin) * d), static_cast<float>(min_sum), acc);
}

template <typename Block>
int UnpackNibble(const Block& block, int j, int i) {
  return (block.qs[32 * (j / 2) + i] >> (4 * (j % 2))) & 15;
}

float DotBlocks(const BlockQ4K& block, const Record& x, std::int64_t index, float acc) {
  return DotScaleMin(block, x, index, acc, UnpackNibble<BlockQ4K>);
}

int UnpackQ5(const BlockQ5K& block, int j, int i) {
  return UnpackNibble(block, j, i) | (((block.qh[i] >> j) & 1) << 4);
}

float DotBlocks(const BlockQ5K& block, const Record& x, std::int64_t index, float acc) {
  return DotScaleMin(block, x, index, acc, UnpackQ5);
}

float DotBlocks(const BlockQ6K& block, const Record& x, std::int64_t index, float acc) {
  std::int32_t sum = 0;
  for (int j = 0; j < 16; ++j) {
    const int h = j / 8;
    const int k = (j % 8) / 2;
    const std::int8_t* q = x.q + 256 * index + 16 * j;
    std::int32_t part = 0;
    for (int i = 0; i < 16; ++i) {
      const int l = 16 * (j % 2) + i;
      const int low = (block.ql[64 * h + 32 * (k % 2) + l] >> (4 * (k / 2))) & 15;
      const int high = (block.qh[32 * h + l] >> (2 * k)) & 3;
      part += ((low | (high << 4)) - 32) * q[i];
    }
    sum += block.scales[j] * part;
  }
  return __builtin_fmaf(HalfBitsToFloat(block.d) * x.d[index], static_cast<float>(sum), acc);
}

template <typename Block, int kBlockElements>
void QuantizedRows(const MatMulTask& task, ActivationKind kind) {
  const ActivationLayout layout(kind, task.n_cols);
  for (std::int64_t t = 0; t < task.n_tokens; ++t) {
    const std::byte* record = task.Activation(t);
    const Record x = {reinterpret_cast<const std::int8_t*>(record),
                      reinterpret_cast<const float*>(record + layout.d),
                      reinterpret_cast<const std::int16_t*>(record + layout.sums32)};
    float* out = task.Out(t);
    for (std::int64_t r = 0; r < task.n_rows; ++r) {
      const std::byte* weights = task.weights + static_cast<std::size_t>(r) * task.row_bytes;
      float acc = 0.0f;
      for (std::int64_t index = 0; index < task.n_cols / kBlockElements; ++index) {
        Block block;
        std::memcpy(&block, weights + static_cast<std::size_t>(index) * sizeof(Block),
                    sizeof(Block));
        acc = DotBlocks(block, x, index, acc);
      }
      out[r] = acc;
    }
  }
}

void MatMulQuantized(const MatMulTask& task) {
  switch (task.dtype) {
    case DType::kQ8_0:
      return QuantizedRows<BlockQ8_0, 32>(task, ActivationKind::kBlock32);
    case DType::kQ4_0:
      return QuantizedRows<BlockQ4_0, 32>(task, ActivationKind::kBlock32);
    case DType::kQ4_K:
      return QuantizedRows<BlockQ4K, 256>(task, ActivationKind::kBlock256);
    case DType::kQ5_K:
      return QuantizedRows<BlockQ5K, 256>(task, ActivationKind::kBlock256);
    case DType::kQ6_K:
      return QuantizedRows<BlockQ6K, 256>(task, ActivationKind::kBlock256);
    default:
      return MultiplyUnpacked(task);
  }
}

#include "kernels/table_body.inc"

}  // namespace

const KernelTable& ScalarKernels() {
  static const KernelTable table = MakeTable(Isa::kScalar);
  return table;
}

}  // namespace larder
