// ExpertStore's lookahead: reads ahead of their request. Advice names the experts a layer will
// probably ask for; absent ones are read slab by slab while no read of a request is open, and the
// layer's request joins those it wants, at whatever point they are, and gives the rest up.
#include <algorithm>
#include <cmath>

#include "base/memory.h"
#include "experts/expert_store.h"
#include "experts/expert_store_impl.h"

namespace larder {
namespace {

constexpr unsigned char kGuessed = 1;
constexpr unsigned char kWanted = 2;

// Reads ahead never hold more of the slots than this share.
constexpr std::size_t kSlotsPerAhead = 4;

// A slab that the disk takes longer for is read ahead in pieces of about the second.
constexpr double kLongReadSeconds = 0.5e-3;
constexpr double kPieceSeconds = 0.3e-3;
constexpr double kLeastPieceBytes = 65536;  // smaller ones cost more than they win

std::uint64_t BytesBegun(const LayerPlace& place, const ExpertSlot& slot) {
  std::uint64_t n_bytes = 0;
  for (std::int16_t i = 0; i < slot.n_slabs_begun; ++i) {
    n_bytes += place.slabs[static_cast<std::size_t>(i)].layout.size_bytes;
  }
  return n_bytes + slot.begun_bytes;
}

}  // namespace

// Which of the guesses to read, in which order.
void ExpertStore::Impl::TakeAdvice(int layer, std::span<const std::int32_t> experts) {
  advice.layer = layer;
  advice.is_guessed.assign(n_experts, 0);
  const PolicyClock clock(&stats);
  CachePolicy& policy = *PoolOf(layer).policy;
  const int layer_in_pool = Layer(layer).layer_in_pool;
  for (std::size_t i = 0; i < experts.size(); ++i) {
    const std::int32_t expert = experts[i];
    LARDER_CHECK(expert >= 0 && static_cast<std::size_t>(expert) < n_experts);
    unsigned char& mark = advice.is_guessed[static_cast<std::size_t>(expert)];
    if (mark == 0 && SlotOf(layer, expert) < 0) {
      advice.missing.push_back(
          {expert, GuessRanking::ClassOf(i, policy.HeatOf(layer_in_pool, expert))});
    }
    mark = kGuessed;
  }
  policy.Expected(layer_in_pool, experts);
  if (!advice.is_prompt) {  // a prompt reads in the order of the file
    std::stable_sort(advice.missing.begin(), advice.missing.end(),
                     [this](const MissingGuess& a, const MissingGuess& b) {
                       return ranking.ShareRight(a.guess_class) > ranking.ShareRight(b.guess_class);
                     });
  }
}

void ExpertStore::Impl::Advise(int layer, std::span<const std::int32_t> experts) {
  DropAdvice();
  TakeAdvice(layer, experts);
  PumpAhead();
}

// How much of a slab one read ahead takes. Where a whole one occupies the disk for long, a wrong
// guess that is still being read when the request comes costs it as long: there slabs are cut.
std::uint64_t ExpertStore::Impl::AheadBytes(const SlabLayout& slab) const {
  if (options.ahead_read_bytes > 0) return options.ahead_read_bytes;
  const double rate = reads.bytes_per_second();
  const auto size = static_cast<double>(slab.size_bytes + alignment - 1);  // what lies before it
  // A prompt's guesses are nearly always right.
  if (advice.is_prompt || rate <= 0 || size <= kLongReadSeconds * rate) return kWholeSlab;
  const double n_pieces = std::ceil(size / std::max(kPieceSeconds * rate, kLeastPieceBytes));
  if (n_pieces <= 1) return kWholeSlab;
  return AlignUp(static_cast<std::uint64_t>(std::ceil(size / n_pieces)), alignment);
}

// Begins the next read of the advice; false when there is none, or no slot for it.
bool ExpertStore::Impl::BeginNextAhead() {
  SlotPool& pool = PoolOf(advice.layer);
  if (advice.partial_slot < 0) {
    if (advice.n_begun == advice.missing.size()) return false;
    if (advice.n_begun >= pool.slots.size() / kSlotsPerAhead) return false;
    const int expert = advice.missing[advice.n_begun].expert;
    if (SlotOf(advice.layer, expert) >= 0) return false;  // a request of this very layer came first
    const int slot = TakeSlot(advice.layer, pool.is_evictable_ahead);
    if (slot < 0) return false;
    Occupy(slot, advice.layer, expert);
    pool.At(slot).is_ahead = true;
    advice.partial_slot = slot;
    ++advice.n_begun;
    ++stats.n_ahead_begun;
    Note(TimelineKind::kAheadBegun, advice.layer, expert);
  }
  const std::vector<SlabPlace>& slabs = Layer(advice.layer).slabs;
  const ExpertSlot& state = pool.At(advice.partial_slot);
  const SlabPlace& next = slabs[static_cast<std::size_t>(state.n_slabs_begun)];
  BeginRead(pool, advice.partial_slot, AheadBytes(next.layout));
  ++n_ahead_open;
  --advice.n_reads_left;
  if (static_cast<std::size_t>(state.n_slabs_begun) == slabs.size()) {
    advice.partial_slot = -1;
  }
  return true;
}

// Begins reads of the advice as long as the disk has nothing better to do.
void ExpertStore::Impl::PumpAhead() {
  if (advice.layer < 0 || n_loading > 0 || HasWaiting() || is_broken) return;
  bool has_begun = false;
  while (n_ahead_open < throttle.max_in_flight() && advice.n_reads_left > 0 && BeginNextAhead()) {
    has_begun = true;
  }
  if (has_begun && !reads.Submit().ok()) is_broken = true;
}

// The request of the advised layer has come: counts what was right, and ends the advice.
void ExpertStore::Impl::JudgeAdvice(int layer, std::span<const std::int32_t> experts) {
  if (advice.layer != layer) return DropAdvice();
  if (n_ahead_open > 0) {  // what is done by now did not stand in the way
    is_broken = is_broken || !reads.Reap(false, &outcomes).ok();
    static_cast<void>(Settle());  // no request is under way
  }
  for (const std::int32_t expert : experts) {
    unsigned char& mark = advice.is_guessed[static_cast<std::size_t>(expert)];
    if (mark == kGuessed) ++stats.n_guess_right;
    mark |= kWanted;
  }
  ++stats.n_guess_requests;
  stats.n_guess_wanted += experts.size();
  for (const MissingGuess& guess : advice.missing) {
    if (advice.is_prompt) break;
    ranking.Learn(guess.guess_class,
                  (advice.is_guessed[static_cast<std::size_t>(guess.expert)] & kWanted) != 0);
  }
  AdviceOutcome outcome;
  outcome.is_prompt = advice.is_prompt;
  outcome.was_limited = advice.n_reads_left == 0;
  outcome.n_left_out = static_cast<std::int64_t>(advice.missing.size() - advice.n_begun);
  stats.n_ahead_throttled += static_cast<std::uint64_t>(outcome.n_left_out);
  if (advice.partial_slot >= 0) ++outcome.n_left_out;
  for (std::size_t i = 0; i < advice.n_begun; ++i) {
    const int expert = advice.missing[i].expert;
    const int slot = SlotOf(layer, expert);
    if (slot < 0) continue;  // its read failed
    const ExpertSlot& state = PoolOf(layer).At(slot);
    const bool is_wanted = (advice.is_guessed[static_cast<std::size_t>(expert)] & kWanted) != 0;
    const std::uint64_t n_bytes = BytesBegun(Layer(layer), state);
    outcome.begun_bytes += n_bytes;
    outcome.n_in_flight += state.n_reads_open;
    if (is_wanted) {
      outcome.useful_bytes += n_bytes;
      stats.ahead_useful_bytes += n_bytes;
      if (slot == advice.partial_slot) advice.partial_slot = -1;  // the request reads the rest
    } else {
      outcome.n_useless_in_flight += state.n_reads_open;
    }
  }
  throttle.Judge(outcome);
  DropAdvice();
}

// Ends the advice. What is wanted by the request at hand was marked so before; the rest was wasted.
void ExpertStore::Impl::DropAdvice() {
  if (advice.layer < 0) return;
  SlotPool& pool = PoolOf(advice.layer);
  for (std::size_t i = 0; i < advice.n_begun; ++i) {
    const int expert = advice.missing[i].expert;
    const int slot = SlotOf(advice.layer, expert);
    if (slot < 0 || (advice.is_guessed[static_cast<std::size_t>(expert)] & kWanted) != 0) continue;
    pool.At(slot).is_ahead = false;
    stats.ahead_wasted_bytes += BytesBegun(Layer(advice.layer), pool.At(slot));
  }
  if (const int slot = std::exchange(advice.partial_slot, -1); slot >= 0) {
    // Never whole: its slot comes free now, or with its last read in flight.
    pool.At(slot).has_failed = true;
    if (pool.At(slot).n_reads_open == 0) Drop(pool, slot);
  }
  advice.layer = -1;
  advice.missing.clear();
  advice.n_begun = 0;
}

void ExpertStore::Impl::Poll() {
  if (is_broken || (reads.n_open() == 0 && advice.layer < 0 && warm_start.empty())) return;
  const bool is_requested = n_pending() > 0;
  Status status = reads.Reap(false, &outcomes);
  is_broken = !status.ok();
  const Status settled = Settle();
  if (status.ok()) status = settled;
  if (status.ok() && HasWaiting()) status = FillSlots();
  if (status.ok()) {
    PumpAhead();
    return PumpWarmStart();
  }
  if (is_requested) deferred_failure = std::move(status);
}

bool ExpertStore::WantsAdvice(int layer, std::int64_t n_tokens) {
  Impl& impl = *impl_;
  const LayerPlace& place = impl.Layer(layer);
  if (impl.is_broken || place.pool < 0) return false;
  if (impl.PoolOf(layer).slots.size() < kSlotsPerAhead) return false;
  const auto row = impl.slot_of.begin() +
                   static_cast<std::ptrdiff_t>(layer) * static_cast<std::ptrdiff_t>(impl.n_experts);
  const bool may_miss =
      !impl.plan.holds_all || std::any_of(row, row + static_cast<std::ptrdiff_t>(impl.n_experts),
                                          [](std::int32_t slot) { return slot < 0; });
  if (!may_miss) return false;
  impl.DropAdvice();
  impl.advice.is_prompt = n_tokens > 1;
  impl.advice.n_reads_left = impl.throttle.Allowance(n_tokens > 1);
  return impl.advice.n_reads_left > 0;
}

void ExpertStore::Advise(int layer, std::span<const std::int32_t> experts) {
  impl_->Advise(layer, experts);
}

void ExpertStore::SetLookahead(LookaheadMode mode) { impl_->throttle.SetMode(mode); }

void ExpertStore::Poll() { impl_->Poll(); }

Status ExpertStore::Drain() {
  Impl& impl = *impl_;
  LARDER_CHECK(impl.n_pending() == 0);
  impl.DropAdvice();
  while (impl.reads.n_open() > 0 && !impl.is_broken) {
    if (impl.IsCancelled()) return Cancelled("stopped");
    const Status status = impl.reads.Reap(true, &impl.outcomes, impl.WaitLimitUs());
    static_cast<void>(impl.Settle());
    if (!status.ok()) {
      impl.is_broken = true;
      return status;
    }
  }
  return impl.is_broken ? IoError("an earlier disk failure left reads open; start again")
                        : Status::Ok();
}

}  // namespace larder
