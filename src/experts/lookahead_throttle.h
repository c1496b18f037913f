// LookaheadThrottle: how many reads ahead of their request are worth it, learned from what became
// of the ones before. Answers are decided read by read: those that had not finished when the
// layer's request came and were not for it stood in its way (fewer next time), and guesses left out
// while the disk was done early could have been read (more next time). Prompts are judged by the
// share of useful bytes alone. Pure arithmetic.
#pragma once

#include <cstdint>
#include <string>

#include "base/status.h"

namespace larder {

enum class LookaheadMode {
  kAuto,  // as much as pays
  kOn,    // always, everything: for tests and experiments
  kOff,
};

/// "auto", "on" or "off".
Result<LookaheadMode> ParseLookaheadMode(const std::string& text);

/// What became of the advice for one layer when its request came. Reads are of slabs or pieces of
/// them.
struct AdviceOutcome {
  bool is_prompt = false;
  bool was_limited = false;  // as many reads were begun as were allowed
  std::uint64_t begun_bytes = 0;
  std::uint64_t useful_bytes = 0;        // of them, of experts requested
  std::int64_t n_left_out = 0;           // experts
  std::int64_t n_in_flight = 0;          // reads begun that had not finished
  std::int64_t n_useless_in_flight = 0;  // of them, of experts not requested
};

class LookaheadThrottle {
 public:
  /// Reads that one layer's advice may have in flight, unless another number is asked for.
  static constexpr std::int64_t kMaxInFlight = 12;

  explicit LookaheadThrottle(LookaheadMode mode, std::int64_t max_in_flight = kMaxInFlight)
      : mode_(mode), max_in_flight_(max_in_flight) {}

  std::int64_t max_in_flight() const { return max_in_flight_; }

  /// Reads that the next advice may begin; 0: do not even guess.
  std::int64_t Allowance(bool is_prompt);
  void Judge(const AdviceOutcome& outcome);
  /// A request found `n_misses` experts absent, read ahead or not.
  void Requested(double n_misses);

  /// What was learned stays.
  void SetMode(LookaheadMode mode) { mode_ = mode; }

 private:
  LookaheadMode mode_;
  std::int64_t max_in_flight_;
  double limit_ = 4;     // reads per layer of an answer
  double credit_ = 0;    // fractions of reads, saved up
  double useful_ = 0.5;  // share of an answer's reads, moving average
  double prompt_useful_ = 1;
  double misses_ = 1;  // per request, moving average
  std::uint64_t n_skipped_ = 0;
};

}  // namespace larder
