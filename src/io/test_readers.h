// Decorators of an AsyncReader: one injects faults (tests), one limits the rate (tests, benchmarks
// of slower disks). Each owns the reader it wraps.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>

#include "io/async_reader.h"

namespace larder {

enum class FaultKind {
  kNone,
  kError,    // completes with EIO
  kShort,    // completes with half of the bytes, as if the file had ended
  kLate,     // completes `delay_us` later than it did
  kCorrupt,  // reports more bytes than were asked for
};

/// A delay longer than anything else takes, at no cost in time: the read completes only when its
/// caller waits and no other read is left.
inline constexpr std::int64_t kUntilNothingElse = std::numeric_limits<std::int64_t>::max();

struct Fault {
  FaultKind kind = FaultKind::kNone;
  std::int64_t delay_us = 0;
};

/// `decide(n)` says what happens to the n-th submitted read (from 0).
std::unique_ptr<AsyncReader> MakeFaultInjectingReader(std::unique_ptr<AsyncReader> inner,
                                                      std::function<Fault(std::uint64_t n)> decide);

/// No more than `bytes_per_second` in the long run; completions are held back, not reads.
std::unique_ptr<AsyncReader> MakeThrottlingReader(std::unique_ptr<AsyncReader> inner,
                                                  double bytes_per_second);

}  // namespace larder
