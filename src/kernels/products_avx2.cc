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
#include "kernels/unpacked_body.inc"
#include "kernels/block_kinds.inc"
#include "kernels/tile_avx2.inc"
#include "kernels/tile_body.inc"
// clang-format on

}  // namespace

void QuantizedProductAvx2(const MatMulTask& task) {
  switch (task.dtype) {
    case DType::kQ8_0:
      return MultiplyAll<BlockQ8_0>(task);
    case DType::kQ4_0:
      return MultiplyAll<BlockQ4_0>(task);
    case DType::kQ4_K:
      return MultiplyAll<BlockQ4K>(task);
    case DType::kQ5_K:
      return MultiplyAll<BlockQ5K>(task);
    case DType::kQ6_K:
      return MultiplyAll<BlockQ6K>(task);
    default:
      return MultiplyUnpacked(task);
  }
}

}  // namespace larder
LARDER_TARGET_END
#else
namespace larder {
void QuantizedProductAvx2(const MatMulTask&) {}
}  // namespace larder
#endif
