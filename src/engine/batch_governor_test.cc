// The governor against made-up machines whose costs are known: it must find the faster way.
#include "engine/batch_governor.h"

#include <gtest/gtest.h>

#include <functional>
#include <numeric>

namespace larder {
namespace {

// Plays `n_tokens` tokens of `n_sessions`; `cost_us` says what a step costs that serves these, when
// the sessions of the step before were those. Returns tokens per second and each session's share.
struct Played {
  double per_second = 0;
  std::vector<std::int64_t> n_tokens;
  std::int64_t n_together = 0;  // steps
};
using Cost = std::function<std::int64_t(const std::vector<int>& served, std::int64_t in_a_row)>;
using Waiting = Cost;  // of that cost, for the disk

Played Play(BatchGovernor& governor, int n_sessions, std::int64_t n_tokens, const Cost& cost_us,
            const Waiting& waiting_us = nullptr) {
  std::vector<int> ready(static_cast<std::size_t>(n_sessions));
  std::iota(ready.begin(), ready.end(), 0);
  Played played;
  played.n_tokens.resize(ready.size());
  std::vector<int> last;
  std::int64_t in_a_row = 0;
  std::int64_t elapsed_us = 0;
  for (std::int64_t done = 0; done < n_tokens;) {
    const std::vector<int> served = governor.Choose(ready);
    in_a_row = served == last ? in_a_row + 1 : 0;
    last = served;
    const std::int64_t us = cost_us(served, in_a_row);
    governor.Record(us, waiting_us ? waiting_us(served, in_a_row) : 0);
    elapsed_us += us;
    done += static_cast<std::int64_t>(served.size());
    if (served.size() > 1) ++played.n_together;
    for (const int one : served) ++played.n_tokens[static_cast<std::size_t>(one)];
  }
  played.per_second = 1e6 * static_cast<double>(n_tokens) / static_cast<double>(elapsed_us);
  return played;
}

void ExpectFair(const Played& played, std::int64_t tolerance) {
  const auto [least, most] = std::minmax_element(played.n_tokens.begin(), played.n_tokens.end());
  EXPECT_LE(*most - *least, tolerance);
}

TEST(BatchGovernor, WhereEveryExpertIsInMemoryNothingElseIsTried) {
  BatchGovernor governor(BatchMode::kAuto, 64, true);
  const Cost cost = [](const std::vector<int>& served, std::int64_t) {
    return 100000 * static_cast<std::int64_t>(served.size());
  };
  EXPECT_EQ(Play(governor, 4, 4000, cost).n_together, 1000);
  EXPECT_NE(governor.decision().find("in memory"), std::string::npos) << governor.decision();
}

// Turns begin slowly, but even without any wait they would lose: a few tokens tell.
TEST(BatchGovernor, TurnsThatCannotWinAreNotTriedForLong) {
  BatchGovernor governor(BatchMode::kAuto, 64, false);
  const Cost cost = [](const std::vector<int>& served, std::int64_t in_a_row) -> std::int64_t {
    if (served.size() > 1) return 150000;
    return 60000 + std::max<std::int64_t>(0, 64 - in_a_row) * 1000;
  };
  const Waiting waiting = [](const std::vector<int>& served, std::int64_t) -> std::int64_t {
    return served.size() > 1 ? 40000 : 10000;
  };
  const Played played = Play(governor, 4, 400, cost, waiting);
  EXPECT_GE(4 * played.n_together, 390);
  EXPECT_NE(governor.decision().find("together"), std::string::npos) << governor.decision();
}

TEST(BatchGovernor, InMemoryAllGoTogether) {
  BatchGovernor governor(BatchMode::kAuto, 64, false);
  const Cost cost = [](const std::vector<int>& served, std::int64_t) {
    return 100000 + 20000 * static_cast<std::int64_t>(served.size());
  };
  Play(governor, 1, 20, cost);
  const Played played = Play(governor, 4, 1000, cost);
  EXPECT_GE(played.per_second, 0.99 * 4 / 0.18);
  ExpectFair(played, 4);
  EXPECT_NE(governor.decision().find("together"), std::string::npos) << governor.decision();
  EXPECT_TRUE(governor.TakeChanged());
  EXPECT_FALSE(governor.TakeChanged());
}

// Four sessions push each other's experts out: a step of four costs five times one session's, and a
// turn begins slowly, until its experts are back.
TEST(BatchGovernor, WhenTogetherIsSlowerTheyTakeTurnsLongEnough) {
  BatchGovernor governor(BatchMode::kAuto, 64, false);
  const Cost cost = [](const std::vector<int>& served, std::int64_t in_a_row) -> std::int64_t {
    if (served.size() > 1) return 125000 * static_cast<std::int64_t>(served.size());
    return 100000 + 150000 / (1 + in_a_row);
  };
  const Waiting waiting = [](const std::vector<int>&, std::int64_t in_a_row) -> std::int64_t {
    return 150000 / (1 + in_a_row);
  };
  Play(governor, 4, 3000, cost, waiting);
  const Played played = Play(governor, 4, 4000, cost, waiting);
  EXPECT_GE(played.per_second, 0.93 * 10);
  ExpectFair(played, 260);
  EXPECT_NE(governor.decision().find("turns"), std::string::npos) << governor.decision();
  EXPECT_GT(governor.turn_tokens(), 30);
}

TEST(BatchGovernor, ItNoticesThatThingsHaveChanged) {
  BatchGovernor governor(BatchMode::kAuto, 64, false);
  bool together_is_good = false;
  const Cost cost = [&](const std::vector<int>& served, std::int64_t) -> std::int64_t {
    const auto n = static_cast<std::int64_t>(served.size());
    return n == 1 ? 100000 : together_is_good ? 150000 : 120000 * n;
  };
  EXPECT_LT(Play(governor, 3, 2000, cost).n_together, 200);
  together_is_good = true;
  Play(governor, 3, 9000, cost);
  const Played played = Play(governor, 3, 1000, cost);
  EXPECT_GT(played.n_together, 250);
}

TEST(BatchGovernor, AsAskedFor) {
  const Cost cost = [](const std::vector<int>&, std::int64_t) { return 1000; };
  BatchGovernor never(BatchMode::kNever, 64, false);
  EXPECT_EQ(Play(never, 4, 400, cost).n_together, 0);
  BatchGovernor always(BatchMode::kAlways, 64, false);
  EXPECT_EQ(Play(always, 4, 400, cost).n_together, 100);
  BatchGovernor narrow(BatchMode::kAlways, 3,
                       false);  // three of four at a time, all of them served
  const Played played = Play(narrow, 4, 1200, cost);
  EXPECT_EQ(played.n_together, 400);
  ExpectFair(played, 3);
  BatchGovernor one_row(BatchMode::kAuto, 1, false);
  EXPECT_EQ(Play(one_row, 4, 400, cost).n_together, 0);
}

// Sessions come and go: whoever is ready is served, nobody else.
TEST(BatchGovernor, OnlyTheReadyAreServed) {
  BatchGovernor governor(BatchMode::kAuto, 2, false);
  std::vector<std::vector<int>> sets = {{2}, {0, 3}, {1, 2, 3}, {0, 1, 2, 3}, {3}, {1, 3}};
  for (int i = 0; i < 3000; ++i) {
    const std::vector<int>& ready = sets[static_cast<std::size_t>(i / 5) % sets.size()];
    const std::vector<int> served = governor.Choose(ready);
    ASSERT_FALSE(served.empty());
    ASSERT_LE(served.size(), 2u);
    for (const int one : served) {
      EXPECT_NE(std::find(ready.begin(), ready.end(), one), ready.end());
    }
    governor.Record(100 + i % 7 * 10, 0);
  }
}

}  // namespace
}  // namespace larder
