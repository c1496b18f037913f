// Measures a machine for the cost model: reads of several sizes and depths from a file of its own
// (written, opened and removed at once, so that nothing stays behind), the memory, and the products
// of several weight types with the kernels that the engine uses. Each call owns its buffers and
// threads and gives them back.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/status.h"
#include "cli/machine_figures.h"
#include "io/async_reader.h"

namespace larder {

struct MachineProbeOptions {
  std::string folder = ".";  // on the disk to be measured
  int n_threads = 1;
  bool quick = false;  // a smaller file, fewer sizes, shorter
  IoMode mode = IoMode::kAuto;
  std::vector<DType> types;                              // products measured
  std::function<void(const std::string& what)> on_step;  // may be empty
  std::function<bool()> interrupted;                     // may be empty
};

/// About 15 seconds, 4 when quick, and as many more as the disk needs to write 1 GiB (256 MiB).
/// kIoError when the folder cannot be written.
Result<MachineFigures> ProbeMachine(const MachineProbeOptions& options);

/// Only the products of `types`, added to figures that lack them.
Status ProbeProducts(const MachineProbeOptions& options, const std::vector<DType>& types,
                     MachineFigures* figures);

}  // namespace larder
