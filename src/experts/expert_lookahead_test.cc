// The lookahead: what is read ahead is joined and never read twice, wrong guesses cost no request
// anything but time, faults of reads ahead never change a byte; the throttle and the guesser.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <utility>

#include "experts/expert_store.h"
#include "experts/guess_ranking.h"
#include "experts/lookahead_throttle.h"
#include "experts/routing_guesser.h"
#include "experts/store_testing.h"

namespace larder {
namespace {

using testing::BankShape;
using testing::RunRequest;
using testing::ShufflingReader;
using testing::SomeExperts;
using testing::TestBank;

constexpr int kSlabs = 3;  // of a record of the plain bank

BankShape WideShape() {
  BankShape shape;
  shape.n_experts = 32;
  shape.n_used = 4;
  return shape;
}

std::unique_ptr<ExpertStore> MakeStore(const TestBank& bank, AsyncReader* reader, unsigned n_tokens,
                                       LookaheadMode mode = LookaheadMode::kOn, int max_retries = 1,
                                       std::int64_t depth = LookaheadThrottle::kMaxInFlight,
                                       std::uint64_t ahead_read_bytes = 0, bool direct = true) {
  ExpertStoreOptions options;
  options.slot_budget_bytes = MinimumSlotBytes(bank.bank) * n_tokens;
  options.retry_backoff_us = 1;
  options.max_read_retries = max_retries;
  options.lookahead = mode;
  options.lookahead_depth = depth;
  options.ahead_read_bytes = ahead_read_bytes;
  options.direct = direct;
  auto store = ExpertStore::Create(&bank.bank, reader, options);
  LARDER_CHECK(store.ok());
  return std::move(*store);
}

std::size_t CountReads(const ShufflingReader& reader) {
  std::size_t n_reads = 0;
  for (const auto& batch : reader.batches) n_reads += batch.size();
  return n_reads;
}

std::vector<ExpertHandle> Collect(ExpertStore& store) {
  std::vector<ExpertHandle> handles;
  while (store.n_pending() > 0) EXPECT_TRUE(store.Next(64, &handles).ok());
  return handles;
}

TEST(Lookahead, ReadsOnceWhatIsAskedForLater) {
  const TestBank bank(WideShape());
  ShufflingReader reader(1);
  const auto store = MakeStore(bank, &reader, 8);
  const std::vector<std::int32_t> wanted = {3, 9, 17};
  ASSERT_TRUE(store->WantsAdvice(0, 1));
  store->Advise(0, wanted);
  EXPECT_EQ(CountReads(reader), 3u * kSlabs);
  ASSERT_TRUE(store->Drain().ok());
  for (const int expert : wanted) EXPECT_TRUE(store->IsResident(0, expert));
  // Drain ends the advice: what it read is still there.
  ASSERT_TRUE(store->Request(0, wanted).ok());
  for (const ExpertHandle& handle : Collect(*store)) EXPECT_TRUE(bank.Matches(0, handle));
  EXPECT_EQ(CountReads(reader), 3u * kSlabs);
}

TEST(Lookahead, NoMoreReadsInFlightThanAskedFor) {
  const TestBank bank(WideShape());
  for (const std::int64_t depth : {1, 5, 100}) {
    ShufflingReader reader(2);
    const auto store = MakeStore(bank, &reader, 8, LookaheadMode::kOn, 1, depth);
    ASSERT_TRUE(store->WantsAdvice(1, 1));
    store->Advise(1, std::vector<std::int32_t>{1, 2, 3, 4, 5, 6});
    EXPECT_EQ(CountReads(reader),
              std::min<std::size_t>(static_cast<std::size_t>(depth), 6 * kSlabs));
    ASSERT_TRUE(store->Request(1, std::vector<std::int32_t>{2, 4, 6, 20}).ok());
    for (const ExpertHandle& handle : Collect(*store)) EXPECT_TRUE(bank.Matches(1, handle));
  }
}

TEST(Lookahead, ARequestJoinsReadsUnderWay) {
  const TestBank bank(WideShape());
  ShufflingReader reader(2);
  const auto store = MakeStore(bank, &reader, 8);
  // More than may be in flight: the fifth expert and those after it are not begun.
  const std::vector<std::int32_t> guess = {1, 2, 3, 4, 5, 6};
  ASSERT_TRUE(store->WantsAdvice(1, 1));
  store->Advise(1, guess);
  EXPECT_EQ(CountReads(reader), static_cast<std::size_t>(LookaheadThrottle::kMaxInFlight));
  const std::vector<std::int32_t> wanted = {2, 4, 6, 20};
  ASSERT_TRUE(store->Request(1, wanted).ok());
  for (const ExpertHandle& handle : Collect(*store)) EXPECT_TRUE(bank.Matches(1, handle));
  ASSERT_TRUE(store->Drain().ok());
  EXPECT_EQ(CountReads(reader), 6u * kSlabs);  // 1 to 4, and 6 and 20
  std::set<std::uint64_t> offsets;
  for (const auto& batch : reader.batches) {
    for (const ReadRequest& read : batch) offsets.insert(read.offset);
  }
  EXPECT_EQ(offsets.size(), CountReads(reader));
  const ExpertStats& stats = store->stats();
  EXPECT_EQ(stats.n_hits, 0u);
  EXPECT_EQ(stats.n_misses, 4u);
  EXPECT_EQ(stats.n_read_ahead, 2u);
  EXPECT_EQ(stats.n_guess_wanted, 4u);
  EXPECT_EQ(stats.n_guess_right, 3u);
  EXPECT_EQ(stats.n_ahead_throttled, 2u);
  EXPECT_EQ(stats.ahead_useful_bytes, stats.ahead_wasted_bytes);
}

TEST(Lookahead, ARequestJoinsASlabThatIsPartlyRead) {
  BankShape shape = WideShape();
  for (int i = 0; i < 40; ++i) {
    shape.fused = i >= 20;
    const TestBank bank(shape);  // slabs of 12,288 bytes or twice as many that begin anywhere
    const std::int64_t depth = 1 + i % 20;
    ShufflingReader reader(8);
    const auto store = MakeStore(bank, &reader, 8, LookaheadMode::kOn, 1, depth, 4096);
    ASSERT_TRUE(store->WantsAdvice(1, 1));
    store->Advise(1, std::vector<std::int32_t>{5, 6});
    EXPECT_EQ(CountReads(reader), static_cast<std::size_t>(depth));
    for (const auto& batch : reader.batches) {
      for (const ReadRequest& read : batch) EXPECT_EQ(read.size_bytes, 4096u);
    }
    ASSERT_TRUE(store->Request(1, std::vector<std::int32_t>{5, 20}).ok());
    for (const ExpertHandle& handle : Collect(*store)) EXPECT_TRUE(bank.Matches(1, handle));
    ASSERT_TRUE(store->Drain().ok());
    // Nothing twice: the regions of both experts, and what had begun of the wrong one.
    // (Its slot may serve the request afterwards.)
    std::set<std::pair<std::byte*, std::uint64_t>> reads;
    for (const auto& batch : reader.batches) {
      for (const ReadRequest& read : batch) reads.insert({read.dst, read.offset});
    }
    EXPECT_EQ(reads.size(), CountReads(reader));
  }
}

TEST(Lookahead, WaitsUntilTheRequestHasItsReads) {
  const TestBank bank(WideShape());
  ShufflingReader reader(3);
  const auto store = MakeStore(bank, &reader, 8);
  const std::vector<std::int32_t> wanted = {0, 1, 2, 3};
  ASSERT_TRUE(store->Request(0, wanted).ok());
  const std::size_t n_demanded = CountReads(reader);
  EXPECT_EQ(n_demanded, 4u * kSlabs);
  ASSERT_TRUE(store->WantsAdvice(1, 1));
  const std::vector<std::int32_t> guess = {7, 8};
  store->Advise(1, guess);
  EXPECT_EQ(CountReads(reader), n_demanded);  // demand goes first
  std::vector<ExpertHandle> handles = Collect(*store);
  EXPECT_EQ(CountReads(reader), n_demanded + 2u * kSlabs);
  handles.clear();
  ASSERT_TRUE(store->Drain().ok());
}

TEST(Lookahead, NeverGivesUpWhatIsPinnedOrExpected) {
  const TestBank bank(WideShape());
  ShufflingReader reader(4);
  const auto store = MakeStore(bank, &reader, 2);  // 8 slots for 3 layers of 32 experts
  const std::vector<std::int32_t> next_layer = {10, 11};
  ASSERT_TRUE(store->Request(1, next_layer).ok());
  Collect(*store).clear();
  SplitMix64 random(5);
  for (int round = 0; round < 200; ++round) {
    const std::vector<std::int32_t> now = SomeExperts(random, 32, 4);
    ASSERT_TRUE(store->Request(0, now).ok());
    std::vector<ExpertHandle> held = Collect(*store);
    ASSERT_TRUE(store->WantsAdvice(1, 1));
    std::vector<std::int32_t> guess = SomeExperts(random, 32, 3);
    std::vector<std::int32_t> expected;
    for (const std::int32_t expert : guess) {
      if (store->IsResident(1, expert)) expected.push_back(expert);
    }
    store->Advise(1, guess);
    for (const std::int32_t expert : expected) EXPECT_TRUE(store->IsResident(1, expert));
    for (const ExpertHandle& handle : held) {
      EXPECT_TRUE(store->IsResident(0, handle.expert()));
      EXPECT_TRUE(bank.Matches(0, handle));
    }
    held.clear();
    guess[0] = (guess[0] + 1) % 32;  // partly wrong
    std::sort(guess.begin(), guess.end());
    guess.erase(std::unique(guess.begin(), guess.end()), guess.end());
    const Status status = RunRequest(*store, bank, 1, guess, 4, random);
    ASSERT_TRUE(status.ok()) << status.message();
    ASSERT_FALSE(HasFailure());
  }
  EXPECT_GT(store->stats().n_read_ahead, 0u);
  EXPECT_GT(store->stats().ahead_wasted_bytes, 0u);
}

// Tokens and prompts over all layers with guesses of every quality, looking after the disk at any
// moment; every byte is compared.
std::vector<Status> RunGuessing(ExpertStore& store, const TestBank& bank, std::uint64_t seed,
                                int n_tokens) {
  SplitMix64 random(seed);
  RoutingGuesser guesser(0.6, bank.bank.n_experts, seed);
  std::vector<Status> failures;
  const auto n_layers = static_cast<int>(bank.bank.layers.size());
  std::vector<std::int32_t> experts = SomeExperts(random, bank.bank.n_experts, 4);
  for (int i = 0; i < n_tokens * n_layers; ++i) {
    const int layer = i % n_layers;
    Status status = RunRequest(store, bank, layer, experts, 3, random);
    if (!status.ok()) failures.push_back(std::move(status));
    if (random.NextBelow(8) == 0) {
      if (!store.Drain().ok()) failures.push_back(IoError("drain"));
    }
    const int count = random.NextBelow(10) == 0 ? 20 : 4;
    experts = SomeExperts(random, bank.bank.n_experts, count);
    std::vector<std::int32_t> guess(experts.size());
    guesser.Guess(experts, guess);
    // Sometimes for a layer that is not next.
    const int guessed = random.NextBelow(8) == 0 ? layer : (layer + 1) % n_layers;
    if (store.WantsAdvice(guessed, count)) store.Advise(guessed, guess);
    for (auto n = random.NextBelow(4); n > 0; --n) store.Poll();
  }
  return failures;
}

TEST(Lookahead, EveryByteForEveryBudgetAndMode) {
  const TestBank bank(WideShape());
  for (const unsigned n_tokens : {1u, 2u, 4u, 12u, 24u}) {
    for (const LookaheadMode mode :
         {LookaheadMode::kOff, LookaheadMode::kAuto, LookaheadMode::kOn}) {
      for (const std::uint64_t ahead_read_bytes : {0, 4096, 8192}) {
        ShufflingReader reader(n_tokens);
        const auto store =
            MakeStore(bank, &reader, n_tokens, mode, 1, LookaheadThrottle::kMaxInFlight,
                      ahead_read_bytes, ahead_read_bytes != 8192);
        const std::vector<Status> failures = RunGuessing(*store, bank, 7, 60);
        ASSERT_TRUE(failures.empty()) << failures[0].message();
        ASSERT_FALSE(HasFailure());
        EXPECT_EQ(store->stats().n_ahead_begun > 0, mode != LookaheadMode::kOff);
        ASSERT_TRUE(store->Drain().ok());
        EXPECT_EQ(reader.n_in_flight(), 0u);
      }
    }
  }
}

TEST(Lookahead, NthReadFailsForEveryN) {
  const TestBank bank(WideShape());
  for (const FaultKind kind :
       {FaultKind::kError, FaultKind::kShort, FaultKind::kLate, FaultKind::kCorrupt}) {
    for (const int max_retries : {0, 1}) {
      for (std::uint64_t n = 0; n < 150; ++n) {
        ShufflingReader reader(n);
        reader.decide = [=](std::uint64_t i, const ReadRequest&) {
          return i == n ? kind : FaultKind::kNone;
        };
        const auto store = MakeStore(bank, &reader, 3, LookaheadMode::kOn, max_retries,
                                     LookaheadThrottle::kMaxInFlight, n % 2 == 0 ? 0 : 4096);
        const std::vector<Status> failures = RunGuessing(*store, bank, 11, 5);
        // Once is nothing where it is tried again; else it may hit a read of a request, and only
        // it.
        const bool may_fail = max_retries == 0 && kind != FaultKind::kLate;
        ASSERT_LE(failures.size(), may_fail ? 1u : 0u);
        ASSERT_FALSE(HasFailure());
      }
    }
  }
}

TEST(Lookahead, ABrokenReaderIsAnErrorNotAHang) {
  const TestBank bank(WideShape());
  ShufflingReader reader(6);
  const auto store = MakeStore(bank, &reader, 8);
  ASSERT_TRUE(store->WantsAdvice(0, 1));
  reader.submit_fails = true;
  const std::vector<std::int32_t> experts = {1, 2};
  store->Advise(0, experts);
  store->Poll();
  EXPECT_EQ(store->Request(0, experts).code(), StatusCode::kIoError);
  EXPECT_EQ(store->n_pending(), 0u);
}

TEST(Lookahead, OffAsksForNothing) {
  const TestBank bank(WideShape());
  ShufflingReader reader(7);
  EXPECT_FALSE(MakeStore(bank, &reader, 8, LookaheadMode::kOff)->WantsAdvice(0, 1));
  // Nothing can be missing once every expert is in its slot.
  const auto store = MakeStore(bank, &reader, 24);
  ASSERT_TRUE(store->plan().holds_all);
  SplitMix64 random(1);
  EXPECT_TRUE(store->WantsAdvice(0, 1));
  ASSERT_TRUE(RunRequest(*store, bank, 0, SomeExperts(random, 32, 32), 32, random).ok());
  EXPECT_FALSE(store->WantsAdvice(0, 1));
  EXPECT_TRUE(store->WantsAdvice(1, 1));
}

TEST(GuessRanking, LearnsWhichGuessesComeTrue) {
  GuessRanking ranking;
  const int first = GuessRanking::ClassOf(0, 0.01f);
  const int last = GuessRanking::ClassOf(7, 2.0f);
  ASSERT_NE(first, last);
  EXPECT_GT(ranking.ShareRight(first), ranking.ShareRight(last));  // the router's order, at first
  for (int i = 0; i < 2000; ++i) {
    ranking.Learn(first, i % 5 == 0);
    ranking.Learn(last, i % 5 != 0);
  }
  EXPECT_NEAR(ranking.ShareRight(first), 0.2, 0.05);
  EXPECT_NEAR(ranking.ShareRight(last), 0.8, 0.05);
  EXPECT_EQ(GuessRanking::ClassOf(1000, 0), GuessRanking::ClassOf(15, 0));
}

// A disk that has time for `room` reads between two requests, seven of ten of them wanted.
double SettledLimit(double room) {
  LookaheadThrottle throttle(LookaheadMode::kAuto);
  SplitMix64 random(3);
  double mean = 0;
  constexpr int kRounds = 4000;
  for (int i = 0; i < kRounds; ++i) {
    throttle.Requested(2);
    const std::int64_t allowed = std::min<std::int64_t>(throttle.Allowance(false), 30);
    if (i >= kRounds / 2) mean += static_cast<double>(allowed) / (kRounds / 2);
    if (allowed == 0) continue;
    AdviceOutcome outcome;
    outcome.was_limited = allowed < 30;
    outcome.begun_bytes = static_cast<std::uint64_t>(allowed);
    outcome.n_left_out = outcome.was_limited ? 1 : 0;
    for (std::int64_t read = 0; read < allowed; ++read) {
      const bool is_useful = random.NextBelow(10) < 7;
      const bool is_late = static_cast<double>(read) >= room + random.NextUnit() - 0.5;
      outcome.useful_bytes += is_useful ? 1 : 0;
      outcome.n_in_flight += is_late ? 1 : 0;
      outcome.n_useless_in_flight += is_late && !is_useful ? 1 : 0;
    }
    throttle.Judge(outcome);
  }
  return mean;
}

TEST(LookaheadThrottle, FindsTheRoomThatTheDiskHas) {
  EXPECT_LT(SettledLimit(0), 2);
  EXPECT_NEAR(SettledLimit(4), 5, 1);
  EXPECT_NEAR(SettledLimit(12), 13, 1);
  EXPECT_GT(SettledLimit(100), 25);
}

TEST(LookaheadThrottle, StopsWhenGuessesAreWorthlessOrNothingIsMissing) {
  LookaheadThrottle throttle(LookaheadMode::kAuto);
  std::int64_t n_allowed = 0;
  for (int i = 0; i < 2000; ++i) {
    throttle.Requested(2);
    const std::int64_t allowed = throttle.Allowance(false);
    if (i >= 1000) n_allowed += allowed;
    if (allowed > 0) throttle.Judge({.was_limited = true, .begun_bytes = 8, .n_left_out = 1});
  }
  EXPECT_LT(n_allowed, 200);
  EXPECT_GT(n_allowed, 0);  // it still looks whether guesses have become better

  LookaheadThrottle satisfied(LookaheadMode::kAuto);
  for (int i = 0; i < 1000; ++i) satisfied.Requested(0);
  int n_asked = 0;
  for (int i = 0; i < 160; ++i) n_asked += satisfied.Allowance(false) > 0 ? 1 : 0;
  EXPECT_EQ(n_asked, 10);
}

TEST(LookaheadThrottle, PromptsAreJudgedByUseAlone) {
  LookaheadThrottle throttle(LookaheadMode::kAuto);
  EXPECT_GT(throttle.Allowance(true), 1000);
  for (int i = 0; i < 200; ++i) {
    throttle.Judge({.is_prompt = true, .begun_bytes = 10, .useful_bytes = 2, .n_in_flight = 10});
  }
  EXPECT_EQ(throttle.Allowance(true), 0);
  for (int i = 0; i < 200; ++i) {
    throttle.Judge({.is_prompt = true, .begun_bytes = 10, .useful_bytes = 9, .n_in_flight = 10});
  }
  EXPECT_GT(throttle.Allowance(true), 1000);
}

TEST(RoutingGuesser, ContainsEachTrueExpertWithTheGivenProbability) {
  constexpr int kExperts = 256;
  SplitMix64 random(2);
  for (const double recall : {0.0, 0.6, 0.75, 0.9, 1.0}) {
    RoutingGuesser guesser(recall, kExperts, 3);
    std::vector<std::int32_t> guess(8);
    int n_right = 0;
    constexpr int kRounds = 2000;
    for (int round = 0; round < kRounds; ++round) {
      const std::vector<std::int32_t> truth = SomeExperts(random, kExperts, 8);
      guesser.Guess(truth, guess);
      ASSERT_EQ(std::set<std::int32_t>(guess.begin(), guess.end()).size(), guess.size());
      for (const std::int32_t expert : guess) {
        ASSERT_TRUE(0 <= expert && expert < kExperts);
        n_right += static_cast<int>(std::count(truth.begin(), truth.end(), expert));
      }
    }
    EXPECT_NEAR(n_right / (8.0 * kRounds), recall, 0.015);
  }
  // With more than half of the experts in use, wrong ones run out.
  RoutingGuesser guesser(0, 4, 1);
  const std::vector<std::int32_t> truth = {0, 1, 2};
  std::vector<std::int32_t> guess(3);
  guesser.Guess(truth, guess);
  EXPECT_EQ(std::set<std::int32_t>(guess.begin(), guess.end()).size(), 3u);
  EXPECT_EQ(std::count(guess.begin(), guess.end(), 3), 1);
}

}  // namespace
}  // namespace larder
