// The kernel table for AVX-512 (F, BW, DQ, VL, VNNI).
#include <bit>
#include <cstring>

#include "kernels/kernel_table.h"
#include "kernels/quantized_product.h"
#include "tensor/blocks.h"

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
// clang-format on

void MatMulQuantized(const MatMulTask& task) { QuantizedProductAvx512(task); }

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
