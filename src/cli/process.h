// Runs another program with a limit on its time and on how much of its output is kept. One call,
// one thread; nothing of the program outlives the call.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "base/status.h"

namespace larder {

struct ProcessLimits {
  double seconds = 30;
  std::size_t output_bytes = 32 << 10;  // more is read and dropped
  std::function<bool()> cancelled;      // asked ten times a second; true ends the program
};

struct ProcessOutcome {
  int exit_status = 0;  // 128 + the signal that ended it
  std::string output;   // stdout and stderr as they came
  bool timed_out = false;
  bool cancelled = false;
  bool truncated = false;
};

/// `arguments[0]` is a program's path. It starts in `folder`, reads `input`, and leads a process
/// group of its own, which is killed whole at the end. kIoError when it cannot be started.
Result<ProcessOutcome> RunProcess(const std::vector<std::string>& arguments,
                                  const std::string& folder, const std::string& input,
                                  const ProcessLimits& limits);

/// The path of an executable of this name in $PATH; empty: there is none.
std::string FindProgram(const std::string& name);

}  // namespace larder
