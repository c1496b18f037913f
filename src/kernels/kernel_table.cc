// Which table serves which instruction set.
#include "kernels/kernel_table.h"

namespace larder {

const KernelTable& GetKernels(Isa isa) {
  switch (isa) {
    case Isa::kScalar:
      return ScalarKernels();
    case Isa::kAvx2:
      return Avx2Kernels();
    case Isa::kAvx512:
      return Avx512Kernels();
  }
  return ScalarKernels();
}

}  // namespace larder
