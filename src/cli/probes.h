// Measures the machine: how fast memory and the disk can be read, in the way the engine reads them.
// Each call owns its buffers and threads and gives them back before it returns.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/status.h"
#include "experts/expert_bank.h"
#include "io/async_reader.h"

namespace larder {

/// Bytes of a buffer for ProbeMemoryRate that the last-level cache does not hold: four times as
/// large, from 256 MiB to 2 GiB; at most a quarter of the budget where there is one, and no more
/// than the model (but 64 MiB), since a model that lies in the cache is read from there. An empty
/// path stands for a model of any size.
std::uint64_t MemoryProbeBytes(std::optional<std::uint64_t> budget_bytes,
                               const std::string& model_path);

/// Bytes per second of a plain read loop over `buffer_bytes` by `n_threads` threads, the median of
/// a few rounds. The buffer should be larger than the last-level cache.
Result<double> ProbeMemoryRate(int n_threads, std::uint64_t buffer_bytes);

struct DiskProbeOptions {
  IoMode mode = IoMode::kAuto;
  int depth = 16;
  double throttle_bytes_per_second = 0;  // 0: no limit
  bool direct = true;
  double max_seconds = 1.0;
  std::uint64_t max_bytes = std::uint64_t{1} << 30;
  std::uint64_t seed = 1;
};

/// Bytes per second of random expert records of the model, read with the engine's reader, read size
/// and depth until time or bytes are up. Must not run beside another reader of the same disk.
Result<double> ProbeDiskRate(const ExpertBank& bank, const DiskProbeOptions& options);

}  // namespace larder
