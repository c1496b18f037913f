// Products of quantized weights on AVX2, FMA and F16C.
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

LARDER_TARGET_BEGIN(LARDER_AVX2_FEATURES)
namespace larder {
namespace {

// In this order: later bodies use earlier ones.
// clang-format off
#include "kernels/vec_avx2.inc"
#include "kernels/block_kinds.inc"
#include "kernels/tile_avx2.inc"
#include "kernels/scales_x86.inc"
#include "kernels/parts_avx2.inc"
#include "kernels/tile_parts_avx2.inc"
#include "kernels/tile_body.inc"
#include "kernels/row_avx2.inc"
// clang-format on

// One or two tokens meet the rows in the file's layout, more are worth unpacking tiles for.
template <typename Block>
void MultiplyFewOrMany(const MatMulTask& task) {
  switch (task.n_tokens) {
    case 1:
      return MultiplyFew<Block, 1>(task);
    case 2:
      return MultiplyFew<Block, 2>(task);
    default:
      return MultiplyAll<Block>(task);
  }
}

#include "kernels/product_switch.inc"

}  // namespace

void QuantizedProductAvx2(const MatMulTask& task) { ProductOfType(task); }

}  // namespace larder
LARDER_TARGET_END
#else
namespace larder {
void QuantizedProductAvx2(const MatMulTask&) {}
}  // namespace larder
#endif
