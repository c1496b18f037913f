// The kernel table for AVX2, FMA and F16C.
#include <bit>
#include <cstring>

#include "kernels/kernel_table.h"
#include "kernels/quantized_product.h"
#include "tensor/blocks.h"

#if LARDER_X86
#include <immintrin.h>

LARDER_TARGET_BEGIN(LARDER_AVX2_FEATURES)
namespace larder {
namespace {

constexpr int kAttnRows = 2;
constexpr int kAttnFewRows = 1;
constexpr int kAttnSums = 4;
constexpr int kFloatRows = 2;
constexpr int kFloatTokens = 2;

// In this order: later bodies use earlier ones.
// clang-format off
#include "kernels/vec_avx2.inc"
#include "kernels/math_body.inc"
#include "kernels/row_body.inc"
#include "kernels/attention_body.inc"
#include "kernels/state_body.inc"
#include "kernels/float_matmul_body.inc"
// clang-format on

void MatMulQuantized(const MatMulTask& task) { QuantizedProductAvx2(task); }

#include "kernels/table_body.inc"

}  // namespace
}  // namespace larder
LARDER_TARGET_END
#endif

namespace larder {

const KernelTable& Avx2Kernels() {
#if LARDER_X86
  static const KernelTable table = MakeTable(Isa::kAvx2);
  return table;
#else
  return ScalarKernels();
#endif
}

}  // namespace larder
