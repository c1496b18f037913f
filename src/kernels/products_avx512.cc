// Products of quantized weights on AVX-512 (F, BW, DQ, VL, VNNI).
#include <bit>
#include <cstring>
#include <type_traits>

#include "base/isa.h"
#include "kernels/quantized_product.h"

#if LARDER_X86
#include <immintrin.h>

#include "tensor/blocks.h"
#include "tensor/integer_block.h"
#include "tensor/iq_tables.h"

LARDER_TARGET_BEGIN(LARDER_AVX512_FEATURES)
namespace larder {
namespace {

// In this order: later bodies use earlier ones.
// clang-format off
#include "kernels/vec_avx512.inc"
#include "kernels/math_body.inc"
#include "kernels/block_kinds.inc"
#include "kernels/tile_avx512.inc"
#include "kernels/scales_x86.inc"
#include "kernels/parts_avx512.inc"
#include "kernels/tile_parts_avx512.inc"
#include "kernels/tile_body.inc"
#include "kernels/row_avx512.inc"
#include "kernels/row_parts_avx512.inc"
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

#include "kernels/product_switch.inc"

}  // namespace

void QuantizedProductAvx512(const MatMulTask& task) { ProductOfType(task); }

}  // namespace larder
LARDER_TARGET_END
#else
namespace larder {
void QuantizedProductAvx512(const MatMulTask&) {}
}  // namespace larder
#endif
