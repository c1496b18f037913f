// The kernel table for AVX-512 (F, BW, DQ, VL, VNNI, VBMI).
#include <bit>
#include <cstring>
#include <type_traits>

#include "kernels/kernel_table.h"
#include "tensor/blocks.h"
#include "tensor/integer_block.h"

#if LARDER_X86
#include <immintrin.h>

LARDER_TARGET_BEGIN(LARDER_AVX512_FEATURES)
namespace larder {
namespace {

#define LARDER_REDUCE_4X4
constexpr int kAttnRows = 8;
constexpr int kAttnFewRows = 4;
constexpr int kAttnSums = 16;
constexpr int kFloatRows = 4;
constexpr int kFloatTokens = 4;

// In this order: later bodies use earlier ones.
// clang-format off
#include "kernels/vec_avx512.inc"
#include "kernels/math_body.inc"
#include "kernels/row_body.inc"
#include "kernels/attention_body.inc"
#include "kernels/state_body.inc"
#include "kernels/float_matmul_body.inc"
#include "kernels/unpacked_body.inc"
#include "kernels/block_kinds.inc"
#include "kernels/tile_avx512.inc"
#include "kernels/tile_body.inc"
#include "kernels/row_avx512.inc"
// clang-format on

// Few tokens meet the rows in the file's layout, more are worth unpacking tiles for (measured: the
// tiles win from five on).
template <typename Block>
void MultiplyFewOrMany(const MatMulTask& task) {
  switch (task.n_tokens) {
    case 1:
      return MultiplyFew<Block, 1>(task);
    case 2:
      return MultiplyFew<Block, 2>(task);
    case 3:
      return MultiplyFew<Block, 3>(task);
    case 4:
      return MultiplyFew<Block, 4>(task);
    default:
      return MultiplyAll<Block>(task);
  }
}

void MatMulQuantized(const MatMulTask& task) {
  switch (task.dtype) {
    case DType::kQ8_0:
      return MultiplyFewOrMany<BlockQ8_0>(task);
    case DType::kQ4_0:
      return MultiplyFewOrMany<BlockQ4_0>(task);
    case DType::kQ4_K:
      return MultiplyFewOrMany<BlockQ4K>(task);
    case DType::kQ5_K:
      return MultiplyFewOrMany<BlockQ5K>(task);
    case DType::kQ6_K:
      return MultiplyFewOrMany<BlockQ6K>(task);
    default:
      return MultiplyUnpacked(task);
  }
}

#include "kernels/table_body.inc"

}  // namespace
}  // namespace larder
LARDER_TARGET_END
#endif

namespace larder {

const KernelTable& Avx512Kernels() {
#if LARDER_X86
  static const KernelTable table = MakeTable(Isa::kAvx512);
  return table;
#else
  return ScalarKernels();
#endif
}

}  // namespace larder
