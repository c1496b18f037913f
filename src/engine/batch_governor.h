// BatchGovernor: which of the answering sessions the next step serves: all together, or one of them
// for some tokens while the others wait. Together, weights and shared experts are read once for
// all; but sessions whose experts are not each other's push them out of the slots, and then four
// together can be slower than one after the other. It measures both and takes the faster, looks
// again now and then, and says why. Where nothing is read from the disk there is nothing to try:
// then all go together. Pure arithmetic over what it is told; one thread.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "engine/scheduler.h"

namespace larder {

class BatchGovernor {
 public:
  /// At most `max_rows` sessions in a step. `all_resident`: every expert is in memory.
  BatchGovernor(BatchMode mode, std::int64_t max_rows, bool all_resident);

  /// Of the sessions that have a token to append (`ready`, ascending, not empty): those that the
  /// next step serves.
  std::vector<int> Choose(std::span<const int> ready);

  /// What Choose gave was served alone (no prompt with it) in this time, `waiting_us` of it spent
  /// on nothing but the disk.
  void Record(std::int64_t elapsed_us, std::int64_t waiting_us);

  /// What is done now, and why.
  const std::string& decision() const { return decision_; }
  /// Whether `decision` changed since this was last asked.
  bool TakeChanged();

  /// Tokens that a turn lasts now.
  std::int64_t turn_tokens() const { return turn_tokens_; }

 private:
  enum class Way { kTogether, kTurns };
  /// Tokens per second of one way, for one number of sessions; the past fades.
  struct Rate {
    double n_tokens = 0;
    double elapsed_us = 0;
    void Add(std::int64_t n, std::int64_t us, double kept);
    bool is_known() const { return n_tokens > 0; }
    double PerSecond() const { return is_known() ? 1e6 * n_tokens / elapsed_us : 0; }
  };
  struct Figures {
    Rate together;
    Rate turns;
    Rate& Of(Way one) { return one == Way::kTogether ? together : turns; }
    Way way = Way::kTogether;
    std::int64_t since_decision = 0;  // tokens
    std::int64_t look_again_after = 0;
    bool is_trial = true;
    std::int64_t trial_tokens = 0;
  };

  void MeasureTurn(std::int64_t elapsed_us, Figures* figures);
  void BeginTrial(Figures* figures, Way way);
  void EndTrial(Figures* figures);
  bool TurnsAreHopeless(const Figures& figures) const;
  void Say(std::string text);

  BatchMode mode_;
  std::int64_t max_rows_;
  bool all_resident_;
  std::map<std::size_t, Figures> figures_;  // by the number of sessions
  Rate alone_;                              // of the only session there is
  Rate unhindered_;                         // of one session, were its experts always there
  std::size_t n_ready_ = 0;
  std::size_t n_served_ = 0;
  // The turn under way.
  int turn_ = -1;
  std::int64_t turn_done_ = 0;
  std::int64_t turn_tokens_;
  std::int64_t turn_us_ = 0;
  std::int64_t turn_late_us_ = 0;  // of its second half
  std::int64_t turn_late_tokens_ = 0;
  std::string decision_;
  bool changed_ = false;
};

}  // namespace larder
