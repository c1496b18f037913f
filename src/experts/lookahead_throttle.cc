// Steps of the same size both ways: one more read brings about as much when it is in time and
// wanted as it costs when it is late and not. Reads in flight share the disk and end together, so a
// window that was a little too short costs several steps at once.
#include "experts/lookahead_throttle.h"

#include <algorithm>
#include <limits>

namespace larder {
namespace {

constexpr double kLeastLimit = 0.0625;  // reads per layer: still learns when the disk is saturated
constexpr double kMostLimit = 48;
constexpr double kStep = 0.25;
constexpr double kMemory = 1.0 / 64;       // weight of the newest outcome
constexpr double kLeastUseful = 0.1;       // below, reads ahead cost more than they bring
constexpr double kLeastMisses = 1.0 / 32;  // below, there is nothing to win
constexpr double kLeastPromptUseful = 0.5;
constexpr std::uint64_t kProbeEvery = 16;
constexpr std::int64_t kNoLimit = std::numeric_limits<std::int64_t>::max();

void Average(double value, double* mean) { *mean += kMemory * (value - *mean); }

}  // namespace

Result<LookaheadMode> ParseLookaheadMode(const std::string& text) {
  if (text == "auto") return LookaheadMode::kAuto;
  if (text == "on") return LookaheadMode::kOn;
  if (text == "off") return LookaheadMode::kOff;
  return InvalidArgument("--lookahead must be auto, on or off, not '{}'", text);
}

std::int64_t LookaheadThrottle::Allowance(bool is_prompt) {
  if (mode_ == LookaheadMode::kOff) return 0;
  if (mode_ == LookaheadMode::kOn) return kNoLimit;
  if (is_prompt) {
    if (prompt_useful_ >= kLeastPromptUseful) return kNoLimit;
    return ++n_skipped_ % kProbeEvery == 0 ? max_in_flight_ : 0;
  }
  if (misses_ < kLeastMisses || useful_ < kLeastUseful) {
    return ++n_skipped_ % kProbeEvery == 0 ? 1 : 0;
  }
  credit_ += limit_;
  const auto n_reads = static_cast<std::int64_t>(credit_);
  credit_ -= static_cast<double>(n_reads);
  return n_reads;
}

void LookaheadThrottle::Judge(const AdviceOutcome& outcome) {
  if (outcome.begun_bytes > 0) {
    const double share =
        static_cast<double>(outcome.useful_bytes) / static_cast<double>(outcome.begun_bytes);
    Average(share, outcome.is_prompt ? &prompt_useful_ : &useful_);
  }
  if (outcome.is_prompt) return;
  if (outcome.n_useless_in_flight > 0) {
    limit_ -= kStep * static_cast<double>(outcome.n_useless_in_flight);
  } else if (outcome.was_limited && outcome.n_in_flight == 0 && outcome.n_left_out > 0) {
    limit_ += kStep;
  }
  limit_ = std::clamp(limit_, kLeastLimit, kMostLimit);
}

void LookaheadThrottle::Requested(double n_misses) { Average(n_misses, &misses_); }

}  // namespace larder
