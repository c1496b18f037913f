// Detection of the instruction set and LARDER_ISA.
#include "base/isa.h"

#include <cstdlib>
#include <cstring>

#if LARDER_X86
#include <xmmintrin.h>
#endif

namespace larder {

const char* IsaName(Isa isa) {
  switch (isa) {
    case Isa::kScalar:
      return "scalar";
    case Isa::kAvx2:
      return "avx2";
    case Isa::kAvx512:
      return "avx512";
  }
  return "unknown";
}

Isa BestIsa() {
#if LARDER_X86
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                    __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                      __builtin_cpu_supports("avx512vnni");
  if (avx2 && avx512) return Isa::kAvx512;
  if (avx2) return Isa::kAvx2;
#endif
  return Isa::kScalar;
}

Result<Isa> ChooseIsa() {
  const Isa best = BestIsa();
  const char* forced = std::getenv("LARDER_ISA");
  if (forced == nullptr || forced[0] == '\0') return best;
  for (Isa isa : {Isa::kScalar, Isa::kAvx2, Isa::kAvx512}) {
    if (std::strcmp(forced, IsaName(isa)) != 0) continue;
    if (isa > best) {
      return InvalidArgument(
          "LARDER_ISA={} is not supported by this processor; the best here is {}", forced,
          IsaName(best));
    }
    return isa;
  }
  return InvalidArgument("LARDER_ISA={} is not one of scalar, avx2, avx512", forced);
}

void ResetFloatEnvironment() {
#if LARDER_X86
  _mm_setcsr(0x1f80);
#endif
}

}  // namespace larder
