// Instruction sets: which one runs, and the macros between which code for one of them stands.
// Standard headers must be included before LARDER_TARGET_BEGIN (their inline functions would
// otherwise be built for that instruction set and leak into the rest of the program).
#pragma once

#include <string>

#include "base/status.h"

#if defined(__x86_64__)
#define LARDER_X86 1
#else
#define LARDER_X86 0
#endif

#define LARDER_PRAGMA(text) _Pragma(#text)
#if defined(__clang__)
#define LARDER_TARGET_BEGIN(features) \
  LARDER_PRAGMA(clang attribute push(__attribute__((target(features))), apply_to = function))
#define LARDER_TARGET_END LARDER_PRAGMA(clang attribute pop)
#else
#define LARDER_TARGET_BEGIN(features) \
  LARDER_PRAGMA(GCC push_options) LARDER_PRAGMA(GCC target(features))
#define LARDER_TARGET_END LARDER_PRAGMA(GCC pop_options)
#endif

#define LARDER_AVX2_FEATURES "avx2,fma,f16c,bmi,bmi2"
#define LARDER_AVX512_FEATURES \
  "avx2,fma,f16c,bmi,bmi2,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni"

namespace larder {

enum class Isa { kScalar, kAvx2, kAvx512 };

const char* IsaName(Isa isa);

/// The best instruction set of this processor (kAvx512 needs F, BW, DQ, VL and VNNI).
Isa BestIsa();

/// BestIsa, or the one that the environment variable LARDER_ISA (scalar|avx2|avx512) forces.
/// An unknown word, or a set this processor lacks, is kInvalidArgument.
Result<Isa> ChooseIsa();

/// Sets rounding to nearest and leaves denormals on (MXCSR default) in the calling thread, so that
/// every thread computes the same bits whatever a library did to it.
void ResetFloatEnvironment();

}  // namespace larder
