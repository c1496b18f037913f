// Trials, rates, and the length of a turn.
#include "engine/batch_governor.h"

#include <algorithm>

namespace larder {

namespace {

constexpr std::int64_t kTrialTokens = 24;     // of each session, for one way
constexpr std::int64_t kTrialWarmTokens = 4;  // of them not measured: slots change hands
constexpr std::int64_t kShortestTurn = 8;
constexpr std::int64_t kLongestTurn = 256;
constexpr double kTurnLoss = 0.04;              // of a turn's time, that its beginning may cost
constexpr double kMargin = 1.03;                // a way must be this much faster to be changed to
constexpr std::int64_t kLookAgainTokens = 512;  // the first time; doubled up to
constexpr std::int64_t kLookAgainMost = 8192;
constexpr double kKept = 0.998;      // of what was measured, at each new token
constexpr double kEnoughTokens = 8;  // to know how fast one session computes

}  // namespace

void BatchGovernor::Rate::Add(std::int64_t n, std::int64_t us, double kept) {
  n_tokens = kept * n_tokens + static_cast<double>(n);
  elapsed_us = kept * elapsed_us + static_cast<double>(std::max<std::int64_t>(us, 1));
}

BatchGovernor::BatchGovernor(BatchMode mode, std::int64_t max_rows, bool all_resident)
    : mode_(mode), max_rows_(max_rows), all_resident_(all_resident), turn_tokens_(kShortestTurn) {
  if (mode_ == BatchMode::kNever) Say("sessions take turns: as asked for");
  if (mode_ == BatchMode::kAlways) Say("sessions answer together: as asked for");
  if (max_rows_ <= 1) Say("sessions take turns: the budget has room for one token at a time");
}

void BatchGovernor::Say(std::string text) {
  if (text == decision_) return;
  decision_ = std::move(text);
  changed_ = true;
}

bool BatchGovernor::TakeChanged() {
  const bool changed = changed_;
  changed_ = false;
  return changed;
}

std::vector<int> BatchGovernor::Choose(std::span<const int> ready) {
  n_ready_ = ready.size();
  const bool may_share = mode_ != BatchMode::kNever && max_rows_ > 1 && ready.size() > 1;
  Figures& figures = figures_[ready.size()];
  const bool together = may_share && (mode_ == BatchMode::kAlways || figures.way == Way::kTogether);
  std::vector<int> served;
  // From the session whose turn it is, around: with fewer rows than sessions all get their share.
  const auto begin = std::lower_bound(ready.begin(), ready.end(), turn_);
  const auto first = static_cast<std::size_t>(begin - ready.begin());
  if (together) {
    const std::size_t count = std::min(ready.size(), static_cast<std::size_t>(max_rows_));
    for (std::size_t i = 0; i < count; ++i) served.push_back(ready[(first + i) % ready.size()]);
    if (count < ready.size()) turn_ = ready[(first + count) % ready.size()];
    std::sort(served.begin(), served.end());
  } else {
    const bool goes_on = begin != ready.end() && *begin == turn_ && turn_done_ < turn_tokens_;
    if (!goes_on) {
      const auto next = std::upper_bound(ready.begin(), ready.end(), turn_);
      turn_ = next != ready.end() ? *next : ready.front();
      turn_done_ = turn_us_ = turn_late_us_ = turn_late_tokens_ = 0;
    }
    served.push_back(turn_);
  }
  n_served_ = served.size();
  return served;
}

// How much the beginning of a turn costs, and how long a turn must be for that to be little.
void BatchGovernor::MeasureTurn(std::int64_t elapsed_us, Figures* figures) {
  ++turn_done_;
  turn_us_ += elapsed_us;
  if (2 * turn_done_ > turn_tokens_) {
    turn_late_us_ += elapsed_us;
    ++turn_late_tokens_;
  }
  if (turn_done_ < turn_tokens_ || turn_late_us_ == 0) return;
  const double steady_us = static_cast<double>(turn_late_us_) /
                           static_cast<double>(turn_late_tokens_) * static_cast<double>(turn_done_);
  const double loss = static_cast<double>(turn_us_) / steady_us - 1;
  if (loss > kTurnLoss && turn_tokens_ < kLongestTurn) {
    turn_tokens_ *= 2;
    if (figures->is_trial) BeginTrial(figures, Way::kTurns);
  } else if (loss < kTurnLoss / 4) {
    turn_tokens_ = std::max(kShortestTurn, turn_tokens_ / 2);
  }
}

void BatchGovernor::Record(std::int64_t elapsed_us, std::int64_t waiting_us) {
  if (n_ready_ == 1) alone_.Add(1, elapsed_us, kKept);
  if (n_served_ == 1) unhindered_.Add(1, elapsed_us - waiting_us, kKept);
  if (n_ready_ <= 1) return;
  Figures& figures = figures_[n_ready_];
  const auto served = static_cast<std::int64_t>(n_served_);
  const auto n_ready = static_cast<std::int64_t>(n_ready_);
  const bool decides = mode_ == BatchMode::kAuto && max_rows_ > 1;
  if (decides && !figures.is_trial) {
    figures.Of(figures.way).Add(served, elapsed_us, kKept);
    figures.since_decision += served;
    if (figures.since_decision >= figures.look_again_after) {
      if (figures.way == Way::kTurns) {
        BeginTrial(&figures, Way::kTogether);
      } else if (TurnsAreHopeless(figures)) {
        figures.since_decision = 0;
      } else {
        BeginTrial(&figures, Way::kTurns);
      }
    }
  } else if (decides) {
    const std::int64_t warm = kTrialWarmTokens * (figures.way == Way::kTogether ? n_ready : 1);
    const bool is_warm = figures.trial_tokens >= warm;
    figures.trial_tokens += served;
    if (is_warm) figures.Of(figures.way).Add(served, elapsed_us, 1.0);
  }
  if (n_served_ == 1) MeasureTurn(elapsed_us, &figures);
  if (!decides || !figures.is_trial) return;
  const std::int64_t each = figures.way == Way::kTogether ? kTrialWarmTokens + kTrialTokens
                                                          : std::max(kTrialTokens, turn_tokens_);
  // How long turns must be takes long to find out: not where no turn could win.
  const bool is_vain =
      figures.way == Way::kTurns && figures.together.is_known() && TurnsAreHopeless(figures);
  if (is_vain || figures.trial_tokens >= each * n_ready) EndTrial(&figures);
}

void BatchGovernor::BeginTrial(Figures* figures, Way way) {
  figures->is_trial = true;
  figures->trial_tokens = 0;
  figures->way = way;
  figures->Of(way) = Rate();
  if (way == Way::kTurns) turn_done_ = turn_tokens_;  // a new turn begins
}

// No turn is faster than a session that has the machine to itself, nor than one that never waits
// for the disk.
bool BatchGovernor::TurnsAreHopeless(const Figures& figures) const {
  if (all_resident_) return true;
  const double together = figures.together.PerSecond();
  if (unhindered_.n_tokens >= kEnoughTokens && together > kMargin * unhindered_.PerSecond()) {
    return true;
  }
  return alone_.is_known() && together > kMargin * alone_.PerSecond();
}

void BatchGovernor::EndTrial(Figures* figures) {
  const double together = figures->together.PerSecond();
  if (!figures->turns.is_known() && !TurnsAreHopeless(*figures)) {
    BeginTrial(figures, Way::kTurns);
    return;
  }
  figures->is_trial = false;
  figures->since_decision = 0;
  figures->look_again_after =
      std::clamp(2 * figures->look_again_after, kLookAgainTokens, kLookAgainMost);
  if (all_resident_) {
    figures->way = Way::kTogether;
    return Say(
        fmt::format("{} sessions answer together: every expert is in memory; {:.2f} tokens/s",
                    n_ready_, together));
  }
  const double turns = figures->turns.is_known() ? figures->turns.PerSecond()
                       : alone_.is_known()       ? alone_.PerSecond()
                                                 : unhindered_.PerSecond();
  // Answers that come evenly are worth a little.
  figures->way = turns > kMargin * together ? Way::kTurns : Way::kTogether;
  if (figures->way == Way::kTogether) {
    Say(fmt::format("{} sessions answer together: {:.2f} tokens/s, one at a time {:.2f}", n_ready_,
                    together, turns));
  } else {
    Say(fmt::format("{} sessions take turns of {} tokens: {:.2f} tokens/s, together {:.2f}",
                    n_ready_, turn_tokens_, turns, together));
  }
}

}  // namespace larder
