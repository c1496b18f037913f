// ExpertStore: slots, pins, and the request under way.
#include "experts/expert_store.h"

#include <algorithm>
#include <bit>
#include <functional>
#include <utility>

#include "base/clock.h"
#include "base/memory.h"
#include "experts/expert_store_impl.h"
#include "experts/slot_layout.h"

namespace larder {
namespace {

Status CheckSlab(const ExpertBank& bank, std::size_t layer, const SlabLayout& slab) {
  const auto n_experts = static_cast<std::uint64_t>(bank.n_experts);
  if (slab.file_index < 0 || slab.file_index >= bank.directory->n_files()) {
    return DataError("the experts of layer {} lie in file {} of {}", layer, slab.file_index,
                     bank.directory->n_files());
  }
  if (slab.n_rows <= 0 || slab.n_cols <= 0 ||
      slab.size_bytes !=
          RowBytes(slab.dtype, slab.n_cols) * static_cast<std::uint64_t>(slab.n_rows)) {
    return DataError("the experts of layer {} have {} bytes, which their shape contradicts", layer,
                     slab.size_bytes);
  }
  const File& file = bank.directory->file(slab.file_index);
  if (slab.offset > file.size_bytes() ||
      slab.size_bytes > (file.size_bytes() - slab.offset) / n_experts) {
    return DataError("{} ends before the experts of layer {} do; download it again", file.path(),
                     layer);
  }
  return Status::Ok();
}

Status CheckBank(const ExpertBank& bank) {
  if (bank.directory == nullptr || bank.n_experts < 1 || bank.n_used < 1 ||
      bank.n_used > bank.n_experts) {
    return InvalidArgument("{} of {} experts cannot be used", bank.n_used, bank.n_experts);
  }
  for (std::size_t i = 0; i < bank.layers.size(); ++i) {
    const ExpertLayerLayout& layer = bank.layers[i];
    if (layer.slabs.empty()) continue;  // a dense layer
    if (layer.slabs.size() != (layer.fused_gate_up ? 2u : 3u) ||
        (layer.fused_gate_up && layer.slabs[0].n_rows % 2 != 0)) {
      return DataError("the experts of layer {} have {} matrices", i, layer.slabs.size());
    }
    for (const SlabLayout& slab : layer.slabs) LARDER_RETURN_IF_ERROR(CheckSlab(bank, i, slab));
  }
  return Status::Ok();
}

std::uint64_t OwnerOf(int pool, int slot) {
  return static_cast<std::uint64_t>(pool) << 32 | static_cast<std::uint32_t>(slot);
}

}  // namespace

Status ExpertStore::Impl::Allocate(const ExpertBank& bank) {
  LARDER_ASSIGN_OR_RETURN(plan, PlanSlots(bank, options.slot_budget_bytes));
  const SlotLayout layout = MakeSlotLayout(bank);
  alignment = layout.alignment;
  LARDER_CHECK(std::has_single_bit(alignment));
  slot_of.assign(bank.layers.size() * n_experts, -1);
  for (std::size_t i = 0; i < bank.layers.size(); ++i) {
    const SlotLayout::Layer& from = layout.layers[i];
    LayerPlace place{from.class_index,
                     from.layer_in_class,
                     bank.layers[i].fused_gate_up,
                     bank.layers[i].record_bytes(),
                     {}};
    for (std::size_t s = 0; s < bank.layers[i].slabs.size(); ++s) {
      const SlabLayout& slab = bank.layers[i].slabs[s];
      place.slabs.push_back({&bank.directory->file(slab.file_index), slab, from.region_offsets[s]});
    }
    layers.push_back(std::move(place));
  }
  pools.resize(plan.classes.size());
  for (std::size_t i = 0; i < pools.size(); ++i) {
    SlotPool& pool = pools[i];
    const auto n_slots = static_cast<int>(plan.classes[i].n_slots);
    pool.slot_bytes = plan.classes[i].slot_bytes;
    LARDER_ASSIGN_OR_RETURN(
        pool.memory,
        PageBuffer::Allocate(static_cast<std::size_t>(n_slots) * pool.slot_bytes, true));
    pool.slots.resize(static_cast<std::size_t>(n_slots));
    for (int slot = n_slots - 1; slot >= 0; --slot) pool.empty.push_back(slot);
    pool.policy = MakeHeatPolicy(n_slots, layout.n_layers_of_class[i], bank.n_experts,
                                 options.heat_half_life);
    pool.is_evictable = [&pool](int slot) {
      return pool.At(slot).is_ready && pool.At(slot).n_pins == 0;
    };
    // Advice never costs what the layer ahead is expected to use.
    pool.is_evictable_ahead = [this, &pool](int slot) {
      const ExpertSlot& state = pool.At(slot);
      return state.is_ready && state.n_pins == 0 &&
             (state.layer != advice.layer ||
              advice.is_guessed[static_cast<std::size_t>(state.expert)] == 0);
    };
  }
  return Status::Ok();
}

// A slot for an expert of `layer`, or -1 while none is empty or may be given up.
int ExpertStore::Impl::TakeSlot(int layer, const std::function<bool(int slot)>& evictable) {
  SlotPool& pool = PoolOf(layer);
  if (!pool.empty.empty()) {
    const int slot = pool.empty.back();
    pool.empty.pop_back();
    return slot;
  }
  const PolicyClock clock(&stats);
  const int slot = pool.policy->Victim(Layer(layer).layer_in_pool, evictable);
  if (slot < 0) return -1;
  const ExpertSlot& state = pool.At(slot);
  LARDER_CHECK(state.is_ready && state.n_pins == 0);
  SlotOf(state.layer, state.expert) = -1;
  return slot;
}

// Makes `slot` the place of an expert, without any read yet.
void ExpertStore::Impl::Occupy(int slot, int layer, int expert) {
  const LayerPlace& place = Layer(layer);
  SlotPool& pool = PoolOf(layer);
  ExpertSlot& state = pool.At(slot);
  state = ExpertSlot();
  state.layer = layer;
  state.expert = expert;
  SlotOf(layer, expert) = slot;
  const PolicyClock clock(&stats);
  pool.policy->Admitted(slot, place.layer_in_pool, expert);
}

// Queues a read of what comes next in the slot: the rest of a slab, or its next `max_bytes`, a
// multiple of the alignment.
void ExpertStore::Impl::BeginRead(SlotPool& pool, int slot, std::uint64_t max_bytes) {
  ExpertSlot& state = pool.At(slot);
  const LayerPlace& place = Layer(state.layer);
  const SlabPlace& slab = place.slabs[static_cast<std::size_t>(state.n_slabs_begun)];
  ++state.n_reads_open;
  const std::uint64_t skew = slab.FileOffset(state.expert) & (alignment - 1);
  const std::uint64_t lead = options.direct ? skew : 0;  // read, not needed
  const std::uint64_t left = lead + slab.layout.size_bytes - state.begun_bytes;
  RetryableRead read;
  read.file = slab.file;
  read.direct = options.direct;
  read.owner = OwnerOf(place.pool, slot);
  read.offset = slab.FileOffset(state.expert) - lead + state.begun_bytes;
  read.needed_bytes = std::min(max_bytes, left);
  read.size_bytes = options.direct ? AlignUp(read.needed_bytes, alignment) : read.needed_bytes;
  read.dst = pool.Data(slot) + slab.region_offset + (skew - lead) + state.begun_bytes;
  if (read.needed_bytes < left) {
    state.begun_bytes += read.needed_bytes;
  } else {
    ++state.n_slabs_begun;
    state.begun_bytes = 0;
  }
  reads.Add(read);
}

void ExpertStore::Impl::BeginRest(SlotPool& pool, int slot) {
  const std::size_t n_slabs = Layer(pool.At(slot).layer).slabs.size();
  while (static_cast<std::size_t>(pool.At(slot).n_slabs_begun) < n_slabs) {
    BeginRead(pool, slot, kWholeSlab);
  }
}

// Forgets the contents of a slot whose reads did not all succeed; none of them is in flight.
void ExpertStore::Impl::Drop(SlotPool& pool, int slot) {
  ExpertSlot& state = pool.At(slot);
  SlotOf(state.layer, state.expert) = -1;
  if (advice.layer == state.layer && advice.partial_slot == slot) advice.partial_slot = -1;
  state = ExpertSlot();
  pool.empty.push_back(slot);
}

// Gives slots to waiting experts as long as there are any, and submits their reads in one call.
Status ExpertStore::Impl::FillSlots() {
  while (HasWaiting()) {
    SlotPool& pool = PoolOf(request_layer);
    const int slot = TakeSlot(request_layer, pool.is_evictable);
    if (slot < 0) break;
    const int expert = waiting[n_admitted++];
    Occupy(slot, request_layer, expert);
    pool.At(slot).n_pins = 1;
    ++n_loading;
    BeginRest(pool, slot);
    Note(TimelineKind::kReadBegun, request_layer, expert);
  }
  return reads.Submit();
}

// The last open read of `slot` ended.
void ExpertStore::Impl::Finish(SlotPool& pool, int slot) {
  ExpertSlot& state = pool.At(slot);
  const bool is_demanded = state.n_pins > 0;
  const LayerPlace& place = Layer(state.layer);
  if (is_demanded) --n_loading;
  if (state.has_failed) {
    // A read ahead that had failed before the request joined it: read it again, for the request.
    if (is_demanded) waiting.push_back(state.expert);
    return Drop(pool, slot);
  }
  if (static_cast<std::size_t>(state.n_slabs_begun) < place.slabs.size()) return;
  state.is_ready = true;
  if (is_demanded) ready.push_back(slot);
  Note(is_demanded ? TimelineKind::kReadDone : TimelineKind::kAheadDone, state.layer, state.expert);
  if (options.direct || !options.drop_cached) return;
  for (const SlabPlace& slab : place.slabs) {
    const std::uint64_t begin = AlignDown(slab.FileOffset(state.expert), kPageBytes);
    const std::uint64_t end = slab.FileOffset(state.expert) + slab.layout.size_bytes;
    slab.file->DropFromPageCache(begin, AlignUp(end, kPageBytes) - begin);
  }
}

// Books `outcomes`; returns the first failure of a read that the request needs.
Status ExpertStore::Impl::Settle() {
  Status failure;
  for (ReadOutcome& outcome : outcomes) {
    SlotPool& pool = pools[outcome.owner >> 32];
    const auto slot = static_cast<int>(outcome.owner & 0xffffffffu);
    ExpertSlot& state = pool.At(slot);
    const bool is_demanded = state.n_pins > 0;
    if (!is_demanded) --n_ahead_open;
    if (!outcome.status.ok()) {
      state.has_failed = true;
      if (failure.ok() && is_demanded) {
        failure = outcome.status.WithContext(
            fmt::format("expert {} of layer {}", state.expert, state.layer));
      }
    }
    if (--state.n_reads_open == 0) Finish(pool, slot);
  }
  outcomes.clear();
  return failure;
}

// Makes at least one expert ready, without waiting when one is.
Status ExpertStore::Impl::Advance() {
  LARDER_RETURN_IF_ERROR(std::exchange(deferred_failure, Status::Ok()));
  LARDER_RETURN_IF_ERROR(FillSlots());
  if (reads.n_open() > 0) {
    LARDER_RETURN_IF_ERROR(reads.Reap(false, &outcomes));
    LARDER_RETURN_IF_ERROR(Settle());
  }
  if (n_handed_out < ready.size()) return Status::Ok();
  const std::int64_t start_us = NowUs();
  while (n_handed_out == ready.size()) {
    // A slot that was being read ahead may have come free.
    LARDER_RETURN_IF_ERROR(FillSlots());
    if (IsCancelled()) return Cancelled("stopped");
    // Else the caller holds handles of every slot: nothing could ever become ready.
    LARDER_CHECK(reads.n_open() > 0);
    LARDER_RETURN_IF_ERROR(reads.Reap(true, &outcomes, WaitLimitUs()));
    LARDER_RETURN_IF_ERROR(Settle());
  }
  stats.stall_us += NowUs() - start_us;
  return Status::Ok();
}

// Ends the request: waits for its reads in flight, unpins what was not handed out.
void ExpertStore::Impl::End() {
  if (n_pending() > 0) {
    DropAdvice();
    is_broken = is_broken || !reads.Abandon(&outcomes).ok();
    static_cast<void>(Settle());  // given up on purpose
    SlotPool& pool = PoolOf(request_layer);
    while (n_handed_out < ready.size()) --pool.At(ready[n_handed_out++]).n_pins;
    deferred_failure = Status::Ok();
  }
  ready.clear();
  waiting.clear();
  n_handed_out = n_admitted = n_loading = 0;
}

// Ends the request without waiting: what it was reading goes on as a read ahead does.
void ExpertStore::Impl::Leave() {
  if (n_pending() > 0) {
    DropAdvice();
    SlotPool& pool = PoolOf(request_layer);
    for (ExpertSlot& slot : pool.slots) {
      if (slot.expert < 0 || slot.is_ready || slot.n_pins == 0) continue;
      slot.n_pins = 0;
      n_ahead_open += slot.n_reads_open;
    }
    while (n_handed_out < ready.size()) --pool.At(ready[n_handed_out++]).n_pins;
    deferred_failure = Status::Ok();
  }
  ready.clear();
  waiting.clear();
  n_handed_out = n_admitted = n_loading = 0;
}

Status ExpertStore::Impl::Fail(Status why) {
  End();
  return why;
}

ExpertWeights ExpertStore::Impl::Weights(int slot) const {
  const LayerPlace& place = layers[static_cast<std::size_t>(request_layer)];
  const SlotPool& pool = pools[static_cast<std::size_t>(place.pool)];
  const int expert = pool.slots[static_cast<std::size_t>(slot)].expert;
  const auto view = [&](std::size_t index) {
    const SlabPlace& slab = place.slabs[index];
    const std::uint64_t skew = slab.FileOffset(expert) & (alignment - 1);
    return WeightView{pool.Data(slot) + slab.region_offset + skew, slab.layout.dtype,
                      slab.layout.n_rows, slab.layout.n_cols};
  };
  if (!place.fused_gate_up) return {view(0), view(1), view(2)};
  WeightView gate = view(0);
  gate.n_rows /= 2;
  WeightView up = gate;
  up.data += place.slabs[0].layout.size_bytes / 2;
  return {gate, up, view(1)};
}

ExpertStore::ExpertStore(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Result<std::unique_ptr<ExpertStore>> ExpertStore::Create(const ExpertBank* bank,
                                                         AsyncReader* reader,
                                                         const ExpertStoreOptions& options) {
  LARDER_RETURN_IF_ERROR(CheckBank(*bank));
  auto impl = std::make_unique<Impl>(bank, reader, options);
  LARDER_RETURN_IF_ERROR(impl->Allocate(*bank));
  return std::unique_ptr<ExpertStore>(new ExpertStore(std::move(impl)));
}

ExpertStore::~ExpertStore() {
  impl_->End();
  impl_->DropAdvice();
  if (impl_->reads.n_open() > 0) {
    static_cast<void>(impl_->reads.Abandon(&impl_->outcomes));
    static_cast<void>(impl_->Settle());
  }
  if (impl_->reads.n_in_flight() > 0) {
    // A broken reader may still write: its target must stay mapped.
    for (SlotPool& pool : impl_->pools) KeepMapped(std::move(pool.memory));
  }
  for (const SlotPool& pool : impl_->pools) {
    for (const ExpertSlot& slot : pool.slots) LARDER_CHECK(slot.n_pins == 0 || !slot.is_ready);
  }
}

void ExpertStore::Prefault(ThreadPool* pool) {
  constexpr std::size_t kPieceBytes = 32 * kHugePageBytes;
  for (const SlotPool& slots : impl_->pools) {
    const std::size_t n_pieces = (slots.memory.size_bytes() + kPieceBytes - 1) / kPieceBytes;
    pool->ParallelFor(n_pieces, 1, [&](std::size_t begin, std::size_t end, int) {
      slots.memory.Prefault(begin * kPieceBytes, end * kPieceBytes);
    });
  }
}

// Books one expert of a request: a hit is pinned, a read ahead is joined, the rest waits.
void ExpertStore::Impl::Take(int expert) {
  SlotPool& pool = PoolOf(request_layer);
  const int slot = SlotOf(request_layer, expert);
  if (slot < 0) {
    ++stats.n_misses;
    waiting.push_back(expert);
    return;
  }
  ExpertSlot& state = pool.At(slot);
  if (state.is_ahead || !state.is_ready) {
    ++stats.n_misses;
    ++stats.n_read_ahead;
    state.is_ahead = false;
  } else {
    ++stats.n_hits;
  }
  ++state.n_pins;
  if (state.is_ready) return ready.push_back(slot);
  n_ahead_open -= state.n_reads_open;
  ++n_loading;
  BeginRest(pool, slot);
}

Status ExpertStore::Request(int layer, std::span<const std::int32_t> experts,
                            const TokenCounts& tokens) {
  Impl& impl = *impl_;
  LARDER_CHECK(impl.n_pending() == 0);
  LARDER_CHECK(layer >= 0 && static_cast<std::size_t>(layer) < impl.layers.size());
  const LayerPlace& place = impl.Layer(layer);
  LARDER_CHECK(place.pool >= 0);
  if (impl.is_broken) return IoError("an earlier disk failure left reads open; start again");
  impl.End();
  impl.request_layer = layer;
  for (const std::int32_t expert : experts) {
    LARDER_CHECK(expert >= 0 && static_cast<std::size_t>(expert) < impl.n_experts);
  }
  impl.Note(TimelineKind::kRequest, layer, static_cast<int>(experts.size()));
  impl.JudgeAdvice(layer, experts);
  {
    const PolicyClock clock(&impl.stats);
    impl.PoolOf(layer).policy->Requested(place.layer_in_pool, experts, tokens);
  }
  const std::uint64_t n_misses = impl.stats.n_misses;
  for (const std::int32_t expert : experts) impl.Take(expert);
  ++impl.stats.n_requests;
  impl.throttle.Requested(static_cast<double>(impl.stats.n_misses - n_misses));
  impl.stats.bytes_requested += experts.size() * place.record_bytes;
  if (impl.waiting.empty() && impl.n_loading == 0) return Status::Ok();
  std::sort(impl.waiting.begin(), impl.waiting.end());
  LARDER_CHECK(std::adjacent_find(impl.waiting.begin(), impl.waiting.end()) == impl.waiting.end());
  const Status status = impl.FillSlots();
  return status.ok() ? status : impl.Fail(status);
}

std::size_t ExpertStore::n_pending() const { return impl_->n_pending(); }

Status ExpertStore::Next(std::size_t max_experts, std::vector<ExpertHandle>* out) {
  Impl& impl = *impl_;
  LARDER_CHECK(max_experts > 0);
  if (impl.n_pending() == 0) return Status::Ok();
  if (impl.IsCancelled()) {
    impl.Leave();
    return Cancelled("stopped");
  }
  if (impl.HasWaiting() || impl.n_loading > 0 || !impl.deferred_failure.ok()) {
    const Status status = impl.Advance();
    if (status.code() == StatusCode::kCancelled) {
      impl.Leave();
      return status;
    }
    if (!status.ok()) return impl.Fail(status);
  }
  impl.PumpAhead();
  impl.PumpWarmStart();
  if (impl.HasWaiting()) max_experts = std::min(max_experts, MaxWave(impl.request_layer));
  const int pool = impl.Layer(impl.request_layer).pool;
  for (; max_experts > 0 && impl.n_handed_out < impl.ready.size(); --max_experts) {
    const int slot = impl.ready[impl.n_handed_out++];
    ExpertHandle handle;  // takes over the request's pin
    handle.store_ = this;
    handle.pool_ = pool;
    handle.slot_ = slot;
    handle.expert_ = impl.PoolOf(impl.request_layer).At(slot).expert;
    handle.weights_ = impl.Weights(slot);
    out->push_back(std::move(handle));
  }
  return Status::Ok();
}

std::size_t ExpertStore::MaxWave(int layer) const {
  return std::max<std::size_t>(1, impl_->PoolOf(layer).slots.size() / 2);
}

void ExpertStore::Cancel() { impl_->Leave(); }

void ExpertStore::SetCancelFlag(const std::atomic<bool>* cancelled) {
  impl_->cancelled = cancelled;
}

void ExpertStore::SetTimeline(ExpertTimeline* timeline) { impl_->timeline = timeline; }

const SlotPlan& ExpertStore::plan() const { return impl_->plan; }

const ExpertStats& ExpertStore::stats() const { return impl_->stats; }

void ExpertStore::ResetStats() {
  impl_->stats = ExpertStats();
  impl_->reads.RestartBusyClock();
}

bool ExpertStore::IsResident(int layer, int expert) const {
  const int slot = impl_->SlotOf(layer, expert);
  return slot >= 0 && impl_->PoolOf(layer).At(slot).is_ready;
}

void ExpertStore::Unpin(int pool, int slot) {
  ExpertSlot& state = impl_->pools[static_cast<std::size_t>(pool)].At(slot);
  LARDER_CHECK(state.is_ready && state.n_pins > 0);
  --state.n_pins;
}

ExpertHandle::ExpertHandle(ExpertHandle&& other) noexcept
    : store_(std::exchange(other.store_, nullptr)),
      pool_(other.pool_),
      slot_(other.slot_),
      expert_(other.expert_),
      weights_(other.weights_) {}

ExpertHandle& ExpertHandle::operator=(ExpertHandle&& other) noexcept {
  if (this == &other) return *this;
  if (store_ != nullptr) store_->Unpin(pool_, slot_);
  store_ = std::exchange(other.store_, nullptr);
  pool_ = other.pool_;
  slot_ = other.slot_;
  expert_ = other.expert_;
  weights_ = other.weights_;
  return *this;
}

ExpertHandle::~ExpertHandle() {
  if (store_ != nullptr) store_->Unpin(pool_, slot_);
}

}  // namespace larder
