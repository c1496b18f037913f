// ExpertStore: slots, pins, and the request under way. All state belongs to the engine's thread;
// only the AsyncReader works elsewhere, and it writes into slots that are loading and nowhere else.
#include "experts/expert_store.h"

#include <algorithm>
#include <bit>
#include <functional>
#include <utility>

#include "base/clock.h"
#include "base/memory.h"
#include "experts/cache_policy.h"
#include "experts/retrying_reader.h"
#include "experts/slot_layout.h"

namespace larder {
namespace {

struct Slot {
  std::int32_t layer = -1;
  std::int32_t expert = -1;  // -1: empty
  std::int32_t n_pins = 0;   // handles, and one for a request that has not handed it out
  std::int16_t n_reads_open = 0;
  bool is_ready = false;
  bool has_failed = false;  // a read into it did, others may be in flight
};

// The slots of one size class.
struct SlotPool {
  PageBuffer memory;
  std::uint64_t slot_bytes = 0;
  std::vector<Slot> slots;
  std::vector<std::int32_t> empty;  // stack
  std::unique_ptr<CachePolicy> policy;
  std::function<bool(int slot)> is_evictable;

  Slot& At(int slot) { return slots[static_cast<std::size_t>(slot)]; }
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

struct ExpertStore::Impl {
  Impl(const ExpertBank* bank_in, AsyncReader* reader, const ExpertStoreOptions& options_in)
      : options(options_in),
        n_experts(static_cast<std::size_t>(bank_in->n_experts)),
        reads(reader, {options_in.max_read_retries, options_in.retry_backoff_us}, &stats) {}

  Status Allocate(const ExpertBank& bank);
  std::int32_t& SlotOf(int layer, int expert) {
    return slot_of[static_cast<std::size_t>(layer) * n_experts + static_cast<std::size_t>(expert)];
  }
  LayerPlace& Layer(int layer) { return layers[static_cast<std::size_t>(layer)]; }
  SlotPool& PoolOf(int layer) { return pools[static_cast<std::size_t>(Layer(layer).pool)]; }

  std::size_t n_pending() const {
    return (ready.size() - n_handed_out) + n_loading + (waiting.size() - n_admitted);
  }
  bool HasWaiting() const { return n_admitted < waiting.size(); }

  int TakeSlot();
  void Load(int slot, int expert);
  void Drop(SlotPool& pool, int slot);
  Status FillSlots();
  Status Settle();
  Status Advance();
  void End();
  Status Fail(Status why);
  ExpertWeights Weights(int slot) const;

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

  // The request under way.
  int request_layer = -1;
  std::vector<std::int32_t> ready;  // slots, pinned; the first n_handed_out belong to handles
  std::size_t n_handed_out = 0;
  std::vector<std::int32_t> waiting;  // missing experts, ascending; the first n_admitted have slots
  std::size_t n_admitted = 0;
  std::size_t n_loading = 0;          // slots
  std::vector<ReadOutcome> outcomes;  // scratch
};

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
    pool.policy = MakeHeatPolicy(n_slots, layout.n_layers_of_class[i], bank.n_experts);
    pool.is_evictable = [&pool](int slot) {
      return pool.At(slot).is_ready && pool.At(slot).n_pins == 0;
    };
  }
  return Status::Ok();
}

// A slot for an expert of the request's layer, or -1 while all are pinned or loading.
int ExpertStore::Impl::TakeSlot() {
  SlotPool& pool = PoolOf(request_layer);
  if (!pool.empty.empty()) {
    const int slot = pool.empty.back();
    pool.empty.pop_back();
    return slot;
  }
  const int slot = pool.policy->Victim(Layer(request_layer).layer_in_pool, pool.is_evictable);
  if (slot < 0) return -1;
  Slot& state = pool.At(slot);
  LARDER_CHECK(state.is_ready && state.n_pins == 0);
  SlotOf(state.layer, state.expert) = -1;
  return slot;
}

// Queues the reads of `expert` of the request's layer into `slot`.
void ExpertStore::Impl::Load(int slot, int expert) {
  const LayerPlace& place = Layer(request_layer);
  SlotPool& pool = PoolOf(request_layer);
  Slot& state = pool.At(slot);
  state = Slot();
  state.layer = request_layer;
  state.expert = expert;
  state.n_pins = 1;
  state.n_reads_open = static_cast<std::int16_t>(place.slabs.size());
  SlotOf(request_layer, expert) = slot;
  pool.policy->Admitted(slot, place.layer_in_pool, expert);
  ++n_loading;
  for (const SlabPlace& slab : place.slabs) {
    const std::uint64_t offset = slab.FileOffset(expert);
    const std::uint64_t skew = offset & (alignment - 1);
    std::byte* region = pool.Data(slot) + slab.region_offset;
    RetryableRead read;
    read.file = slab.file;
    read.direct = options.direct;
    read.owner = OwnerOf(place.pool, slot);
    if (options.direct) {
      read.offset = offset - skew;
      read.size_bytes = AlignUp(skew + slab.layout.size_bytes, alignment);
      read.needed_bytes = skew + slab.layout.size_bytes;
      read.dst = region;
    } else {
      read.offset = offset;
      read.size_bytes = read.needed_bytes = slab.layout.size_bytes;
      read.dst = region + skew;
    }
    reads.Add(read);
  }
}

// Forgets the contents of a slot whose reads did not all succeed; none of them is in flight.
void ExpertStore::Impl::Drop(SlotPool& pool, int slot) {
  Slot& state = pool.At(slot);
  SlotOf(state.layer, state.expert) = -1;
  state = Slot();
  pool.empty.push_back(slot);
}

// Gives slots to waiting experts as long as there are any, and submits their reads in one call.
Status ExpertStore::Impl::FillSlots() {
  while (HasWaiting()) {
    const int slot = TakeSlot();
    if (slot < 0) break;
    Load(slot, waiting[n_admitted++]);
  }
  return reads.Submit();
}

// Books `outcomes`; returns the first failure among them.
Status ExpertStore::Impl::Settle() {
  Status failure;
  for (ReadOutcome& outcome : outcomes) {
    SlotPool& pool = pools[outcome.owner >> 32];
    const auto slot = static_cast<int>(outcome.owner & 0xffffffffu);
    Slot& state = pool.At(slot);
    if (!outcome.status.ok()) {
      state.has_failed = true;
      if (failure.ok()) {
        failure = outcome.status.WithContext(
            fmt::format("expert {} of layer {}", state.expert, state.layer));
      }
    }
    if (--state.n_reads_open > 0) continue;
    --n_loading;
    if (state.has_failed) {
      Drop(pool, slot);
      continue;
    }
    state.is_ready = true;
    ready.push_back(slot);
    if (options.direct || !options.drop_cached) continue;
    for (const SlabPlace& slab : Layer(state.layer).slabs) {
      const std::uint64_t begin = AlignDown(slab.FileOffset(state.expert), kPageBytes);
      const std::uint64_t end = slab.FileOffset(state.expert) + slab.layout.size_bytes;
      slab.file->DropFromPageCache(begin, AlignUp(end, kPageBytes) - begin);
    }
  }
  outcomes.clear();
  return failure;
}

// Makes at least one expert ready, without waiting when one is.
Status ExpertStore::Impl::Advance() {
  LARDER_RETURN_IF_ERROR(FillSlots());
  if (reads.n_open() > 0) {
    LARDER_RETURN_IF_ERROR(reads.Reap(false, &outcomes));
    LARDER_RETURN_IF_ERROR(Settle());
  }
  if (n_handed_out < ready.size()) return Status::Ok();
  const std::int64_t start_us = NowUs();
  while (n_handed_out == ready.size()) {
    // Else the caller holds handles of every slot: nothing could ever become ready.
    LARDER_CHECK(reads.n_open() > 0);
    LARDER_RETURN_IF_ERROR(reads.Reap(true, &outcomes));
    LARDER_RETURN_IF_ERROR(Settle());
  }
  stats.stall_us += NowUs() - start_us;
  return Status::Ok();
}

// Ends the request: waits for its reads in flight, unpins what was not handed out.
void ExpertStore::Impl::End() {
  if (n_pending() > 0) {
    is_broken = is_broken || !reads.Abandon(&outcomes).ok();
    static_cast<void>(Settle());  // given up on purpose
    SlotPool& pool = PoolOf(request_layer);
    while (n_handed_out < ready.size()) --pool.At(ready[n_handed_out++]).n_pins;
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
  if (impl_->reads.n_in_flight() > 0) {
    // A broken reader may still write: its target must stay mapped.
    for (SlotPool& pool : impl_->pools) KeepMapped(std::move(pool.memory));
  }
  for (const SlotPool& pool : impl_->pools) {
    for (const Slot& slot : pool.slots) LARDER_CHECK(slot.n_pins == 0 || !slot.is_ready);
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

Status ExpertStore::Request(int layer, std::span<const std::int32_t> experts) {
  Impl& impl = *impl_;
  LARDER_CHECK(impl.n_pending() == 0);
  LARDER_CHECK(layer >= 0 && static_cast<std::size_t>(layer) < impl.layers.size());
  const LayerPlace& place = impl.Layer(layer);
  LARDER_CHECK(place.pool >= 0);
  if (impl.is_broken) return IoError("an earlier disk failure left reads open; start again");
  impl.End();
  impl.request_layer = layer;
  SlotPool& pool = impl.PoolOf(layer);
  for (const std::int32_t expert : experts) {
    LARDER_CHECK(expert >= 0 && static_cast<std::size_t>(expert) < impl.n_experts);
  }
  pool.policy->Requested(place.layer_in_pool, experts);
  for (const std::int32_t expert : experts) {
    const int slot = impl.SlotOf(layer, expert);
    if (slot < 0) {
      impl.waiting.push_back(expert);
      continue;
    }
    LARDER_CHECK(pool.At(slot).is_ready);
    ++pool.At(slot).n_pins;
    impl.ready.push_back(slot);
  }
  impl.stats.n_hits += impl.ready.size();
  impl.stats.n_misses += impl.waiting.size();
  impl.stats.bytes_requested += experts.size() * place.record_bytes;
  if (impl.waiting.empty()) return Status::Ok();
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
  if (impl.HasWaiting() || impl.n_loading > 0) {
    const Status status = impl.Advance();
    if (!status.ok()) return impl.Fail(status);
  }
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

void ExpertStore::Cancel() { impl_->End(); }

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
  Slot& state = impl_->pools[static_cast<std::size_t>(pool)].At(slot);
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
