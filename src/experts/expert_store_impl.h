// What an ExpertStore holds; private to this room. All state belongs to the engine's thread; only
// the AsyncReader works elsewhere, and it writes into slots that are loading and nowhere else.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "base/memory.h"
#include "experts/cache_policy.h"
#include "experts/expert_store.h"
#include "experts/guess_ranking.h"
#include "experts/lookahead_throttle.h"
#include "experts/retrying_reader.h"

namespace larder {

// Empty, loading (its reads begun, not all done) or ready. What loads without a pin was read ahead.
struct ExpertSlot {
  std::int32_t layer = -1;
  std::int32_t expert = -1;  // -1: empty
  std::int32_t n_pins = 0;   // handles, and one for a request that has not handed it out
  std::int16_t n_reads_open = 0;
  std::int16_t n_slabs_begun = 0;  // all of their bytes were queued
  bool is_ready = false;
  bool has_failed = false;        // a read into it did, others may be in flight
  bool is_ahead = false;          // read ahead, and not requested since
  std::uint64_t begun_bytes = 0;  // of the slab after those, that were queued
};

// The slots of one size class.
struct SlotPool {
  PageBuffer memory;
  std::uint64_t slot_bytes = 0;
  std::vector<ExpertSlot> slots;
  std::vector<std::int32_t> empty;  // stack
  std::unique_ptr<CachePolicy> policy;
  std::function<bool(int slot)> is_evictable;
  std::function<bool(int slot)> is_evictable_ahead;

  ExpertSlot& At(int slot) { return slots[static_cast<std::size_t>(slot)]; }
  std::byte* Data(int slot) const {
    return memory.data() + static_cast<std::size_t>(slot) * slot_bytes;
  }
};

// A slab of a layer, as reads and views need it.
struct SlabPlace {
  const File* file = nullptr;
  SlabLayout layout;
  std::uint64_t region_offset = 0;  // in the slot

  std::uint64_t FileOffset(int expert) const {
    return layout.offset + static_cast<std::uint64_t>(expert) * layout.size_bytes;
  }
};

struct LayerPlace {
  int pool = -1;
  int layer_in_pool = 0;
  bool fused_gate_up = false;
  std::uint64_t record_bytes = 0;
  std::vector<SlabPlace> slabs;
};

// An absent expert that was guessed.
struct MissingGuess {
  std::int32_t expert = -1;
  int guess_class = 0;  // of GuessRanking; of an answer
};

// What the lookahead was told of one layer, and what came of it.
struct Advice {
  int layer = -1;  // -1: none
  bool is_prompt = false;
  std::int64_t n_reads_left = 0;          // may still be begun
  std::vector<MissingGuess> missing;      // guessed and absent, most likely first
  std::size_t n_begun = 0;                // of `missing`, that were given a slot
  std::vector<unsigned char> is_guessed;  // [n_experts]
  int partial_slot = -1;                  // whose slabs are not all begun
};

// As many bytes as a slab has.
inline constexpr std::uint64_t kWholeSlab = std::numeric_limits<std::uint64_t>::max();

// Adds the time it lives to the policy's.
class PolicyClock {
 public:
  explicit PolicyClock(ExpertStats* stats) : stats_(stats), start_(Clock::now()) {}
  ~PolicyClock() {
    stats_->policy_ns +=
        std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - start_).count();
  }
  PolicyClock(const PolicyClock&) = delete;
  PolicyClock& operator=(const PolicyClock&) = delete;

 private:
  using Clock = std::chrono::steady_clock;
  ExpertStats* stats_;
  Clock::time_point start_;
};

// How soon one who waits for the disk sees that it was cancelled.
inline constexpr std::int64_t kCancelPollUs = 20'000;

struct ExpertStore::Impl {
  Impl(const ExpertBank* bank_in, AsyncReader* reader, const ExpertStoreOptions& options_in)
      : options(options_in),
        n_experts(static_cast<std::size_t>(bank_in->n_experts)),
        reads(reader, {options_in.max_read_retries, options_in.retry_backoff_us}, &stats),
        throttle(options_in.lookahead, options_in.lookahead_depth) {}

  Status Allocate(const ExpertBank& bank);
  std::int32_t& SlotOf(int layer, int expert) {
    return slot_of[static_cast<std::size_t>(layer) * n_experts + static_cast<std::size_t>(expert)];
  }
  LayerPlace& Layer(int layer) { return layers[static_cast<std::size_t>(layer)]; }
  SlotPool& PoolOf(int layer) { return pools[static_cast<std::size_t>(Layer(layer).pool)]; }

  std::size_t n_pending() const {
    return (ready.size() - n_handed_out) + n_loading + (waiting.size() - n_admitted) +
           (deferred_failure.ok() ? 0 : 1);
  }
  bool HasWaiting() const { return n_admitted < waiting.size(); }

  // expert_store.cc: slots and the request under way.
  int TakeSlot(int layer, const std::function<bool(int slot)>& evictable);
  void Occupy(int slot, int layer, int expert);
  void BeginRead(SlotPool& pool, int slot, std::uint64_t max_bytes);
  void BeginRest(SlotPool& pool, int slot);
  void Drop(SlotPool& pool, int slot);
  void Take(int expert);
  Status FillSlots();
  Status Settle();
  void Finish(SlotPool& pool, int slot);
  Status Advance();
  void End();
  Status Fail(Status why);
  void Leave();
  bool IsCancelled() const {
    return cancelled != nullptr && cancelled->load(std::memory_order_relaxed);
  }
  std::int64_t WaitLimitUs() const { return cancelled == nullptr ? -1 : kCancelPollUs; }
  ExpertWeights Weights(int slot) const;
  void Note(TimelineKind kind, int layer, int expert) {
    if (timeline != nullptr) timeline->Add(kind, layer, expert);
  }

  // expert_warm_start.cc: reads of what earlier runs used.
  void PumpWarmStart();

  // expert_lookahead.cc: reads ahead of their request.
  void Advise(int layer, std::span<const std::int32_t> experts);
  void TakeAdvice(int layer, std::span<const std::int32_t> experts);
  void PumpAhead();
  bool BeginNextAhead();
  std::uint64_t AheadBytes(const SlabLayout& slab) const;
  void JudgeAdvice(int layer, std::span<const std::int32_t> experts);
  void DropAdvice();
  void Poll();

  ExpertStoreOptions options;
  std::size_t n_experts;
  SlotPlan plan;
  std::uint64_t alignment = 0;
  std::vector<LayerPlace> layers;
  std::vector<SlotPool> pools;
  std::vector<std::int32_t> slot_of;  // [n_layers, n_experts] -1: not resident nor loading
  ExpertStats stats;
  RetryingReader reads;
  bool is_broken = false;
  ExpertTimeline* timeline = nullptr;

  // The request under way.
  int request_layer = -1;
  std::vector<std::int32_t> ready;  // slots, pinned; the first n_handed_out belong to handles
  std::size_t n_handed_out = 0;
  std::vector<std::int32_t> waiting;  // missing experts, ascending; the first n_admitted have slots
  std::size_t n_admitted = 0;
  std::size_t n_loading = 0;          // slots
  Status deferred_failure;            // of a read that Poll saw fail
  std::vector<ReadOutcome> outcomes;  // scratch

  const std::atomic<bool>* cancelled = nullptr;

  std::vector<HotExpert> warm_start;  // hottest first; the first n_warm_begun were looked at
  std::size_t n_warm_begun = 0;

  LookaheadThrottle throttle;
  GuessRanking ranking;
  Advice advice;
  std::int64_t n_ahead_open = 0;  // reads in flight that no request has asked for
};

}  // namespace larder
