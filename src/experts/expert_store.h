// ExpertStore: the cache of expert slots. Slots are allocated once; a request pins what is
// resident, submits reads for what is not, and yields experts as they become ready, in waves no
// larger than the slots. One engine thread calls it; reads run in the AsyncReader.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "base/thread_pool.h"
#include "experts/cache_policy.h"
#include "experts/expert_bank.h"
#include "experts/expert_timeline.h"
#include "experts/heat_file.h"
#include "experts/lookahead_throttle.h"
#include "io/async_reader.h"

namespace larder {

class ExpertStore;

/// A pinned resident expert. Move-only; unpins when destroyed. Must not outlive its store.
class ExpertHandle {
 public:
  ExpertHandle() = default;
  ExpertHandle(ExpertHandle&& other) noexcept;
  ExpertHandle& operator=(ExpertHandle&& other) noexcept;
  ExpertHandle(const ExpertHandle&) = delete;
  ExpertHandle& operator=(const ExpertHandle&) = delete;
  ~ExpertHandle();

  int expert() const { return expert_; }
  const ExpertWeights& weights() const { return weights_; }

 private:
  friend class ExpertStore;
  ExpertStore* store_ = nullptr;
  int pool_ = 0;
  int slot_ = 0;
  int expert_ = 0;
  ExpertWeights weights_;
};

struct ExpertStats {
  std::uint64_t n_hits = 0;        // requested and resident
  std::uint64_t n_misses = 0;      // requested and read for it, now or ahead
  std::uint64_t n_read_ahead = 0;  // of the misses, whose reads had begun before the request
  std::uint64_t n_requests = 0;
  std::uint64_t n_warm_started = 0;   // read because earlier runs used them
  std::uint64_t bytes_read = 0;       // of the disk, alignment included
  std::uint64_t bytes_requested = 0;  // of expert records asked for, resident or not
  std::uint64_t n_reads = 0;
  std::uint64_t n_retries = 0;
  std::int64_t stall_us = 0;         // Next() had nothing ready and waited
  std::int64_t read_busy_us = 0;     // at least one read was in flight
  std::int64_t read_latency_us = 0;  // summed over reads
  std::int64_t policy_ns = 0;        // spent in the cache policy

  // The lookahead. Of requests it was asked about: experts used, and those among its guesses.
  std::uint64_t n_guess_wanted = 0;
  std::uint64_t n_guess_right = 0;
  std::uint64_t n_guess_requests = 0;
  std::uint64_t n_ahead_begun = 0;      // guessed experts read
  std::uint64_t n_ahead_throttled = 0;  // guessed and absent, but not read
  std::uint64_t ahead_useful_bytes = 0;
  std::uint64_t ahead_wasted_bytes = 0;
};

struct ExpertStoreOptions {
  std::uint64_t slot_budget_bytes = 0;  // all slots together stay within this
  bool direct = true;                   // O_DIRECT; else through the page cache
  bool drop_cached = false;             // with !direct: drop each record's pages after its read
  int max_read_retries = 3;
  std::int64_t retry_backoff_us = 2000;  // doubled at each retry
  LookaheadMode lookahead = LookaheadMode::kAuto;
  std::int64_t lookahead_depth = LookaheadThrottle::kMaxInFlight;  // reads ahead in flight, from 1
  std::uint64_t ahead_read_bytes = 0;     // of one, a multiple of 4096; 0: as the disk's rate says
  double heat_half_life = kHeatHalfLife;  // of the cache policy
};

/// Size classes: layers whose records have one aligned size (within 3 %) share slots.
struct SlotPlan {
  struct Class {
    std::uint64_t slot_bytes = 0;
    std::int64_t n_records = 0;  // that use this class in the whole model
    std::int64_t n_slots = 0;
  };
  std::vector<Class> classes;
  std::uint64_t total_bytes = 0;
  std::uint64_t overhead_bytes = 0;  // the store's own tables, beside total_bytes
  std::int64_t n_slots = 0;
  std::int64_t n_records = 0;
  bool holds_all = false;
  double waste_share = 0;  // bytes of slots that no record uses, of all
};

/// How `slot_budget_bytes` would be cut into slots, without allocating. kOutOfMemory when it is
/// below MinimumSlotBytes.
Result<SlotPlan> PlanSlots(const ExpertBank& bank, std::uint64_t slot_budget_bytes);
/// n_used slots of every size class: the least a token needs.
std::uint64_t MinimumSlotBytes(const ExpertBank& bank);
/// Slots for every expert of the model.
std::uint64_t MaximumSlotBytes(const ExpertBank& bank);

class ExpertStore {
 public:
  /// `bank` and `reader` outlive the store.
  static Result<std::unique_ptr<ExpertStore>> Create(const ExpertBank* bank, AsyncReader* reader,
                                                     const ExpertStoreOptions& options);
  ~ExpertStore();
  /// Makes all slots resident, on all threads of the pool, so that neither the first prompt pays
  /// for zeroing pages nor memory turns out to be missing later. Optional; before the first
  /// request.
  void Prefault(ThreadPool* pool);
  ExpertStore(const ExpertStore&) = delete;
  ExpertStore& operator=(const ExpertStore&) = delete;

  /// Begins the request for distinct `experts` of one layer, submitting the reads of all misses
  /// that find a slot at once, in file order (expert by expert, so that the first is whole soon).
  /// An unfinished previous request is a bug. Fails only when the reader is broken.
  /// `tokens` tells the policy how often a batch uses each of them.
  Status Request(int layer, std::span<const std::int32_t> experts, const TokenCounts& tokens = {});

  /// Whether a guess at the next request of `layer`, by `n_tokens` tokens, is worth its price: the
  /// lookahead is on, something may be missing, and the disk has time for it.
  bool WantsAdvice(int layer, std::int64_t n_tokens);
  /// Advice, never a promise: `experts` of `layer`, most likely first, will probably be requested
  /// next. Absent ones are read as soon as the request under way has all its reads, into slots that
  /// are empty or coldest, a few at a time, as far as the throttle allows; what nobody asks for
  /// then is given up. Follows a WantsAdvice that was true.
  void Advise(int layer, std::span<const std::int32_t> experts);
  void SetLookahead(LookaheadMode mode);
  /// What earlier runs used most: the policy takes over the heats, and the hottest are read into
  /// slots that are empty, a few at a time, whenever no request has a read open. Not while a
  /// request is under way.
  void WarmUp(std::vector<HotExpert> experts);
  /// What was used so far, hottest first, resident or not.
  std::vector<HotExpert> Heat() const;
  /// Looks after reads in flight, without waiting: for callers that compute for long.
  void Poll();
  /// Waits until no read is in flight, so that others may use the reader. Fails only when the
  /// reader is broken, or with kCancelled. Not while a request is under way.
  Status Drain();

  /// Experts of the request not yet handed out.
  std::size_t n_pending() const;

  /// Adds to `ready` between 1 and `max_experts` experts that are in memory: first all residents,
  /// then those whose reads completed, waiting only when there is none. Before it waits, reads of
  /// later experts are submitted into slots whose handles were given back. While experts wait for
  /// a slot, a call hands out at most MaxWave(layer), so that a caller who gives a wave back before
  /// it asks for the next has reads in flight while it computes. Holding handles of every slot
  /// while experts still wait for one is a bug. A read that fails after its retries cancels the
  /// request and is returned; the store stays consistent. Does nothing when none is pending.
  Status Next(std::size_t max_experts, std::vector<ExpertHandle>* ready);

  /// Half the slots that `layer` can use, at least 1: what one wave of a prompt may hold.
  std::size_t MaxWave(int layer) const;

  /// Records what happens to requests and reads from now on; nullptr ends it. Outlives its use.
  void SetTimeline(ExpertTimeline* timeline);

  /// Gives up the current request without waiting: its reads in flight end in the background.
  void Cancel();
  /// While *cancelled is true, Next gives up the request and returns kCancelled, and so does Drain,
  /// also when they wait for the disk. null: never. Outlives its use.
  void SetCancelFlag(const std::atomic<bool>* cancelled);

  const SlotPlan& plan() const;
  const ExpertStats& stats() const;
  void ResetStats();
  bool IsResident(int layer, int expert) const;

 private:
  friend class ExpertHandle;
  void Unpin(int pool, int slot);
  struct Impl;
  explicit ExpertStore(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace larder
