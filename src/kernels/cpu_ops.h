// Ops on the CPU: the kernel table of one instruction set, a thread pool, and scratch allocated
// once. Kernels neither allocate, lock, log, read files nor fail.
#pragma once

#include <cstdint>
#include <memory>

#include "base/isa.h"
#include "base/status.h"
#include "base/thread_pool.h"
#include "kernels/ops.h"

namespace larder {

/// What MakeCpuOps allocates for `limits` with `n_threads`, in bytes (it counts in the budget).
std::uint64_t CpuOpsScratchBytes(const OpsLimits& limits, int n_threads);

/// `pool` outlives the ops.
Result<std::unique_ptr<Ops>> MakeCpuOps(Isa isa, ThreadPool* pool, const OpsLimits& limits);

}  // namespace larder
