// The arithmetic of a memory budget.
#include "engine/memory_plan.h"

#include <algorithm>

#include "base/size.h"
#include "engine/dense_loader.h"
#include "kernels/cpu_ops.h"

namespace larder {

namespace {

constexpr std::int64_t kLargestBatch = 4096;
constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;
constexpr std::uint64_t kUsefulSnapshots = 32;  // of recurrent states, beside four whole contexts

// What one setting of batch and embedding costs besides the expert slots.
struct FixedCost {
  std::uint64_t dense_bytes = 0;
  std::uint64_t state_bytes = 0;
  std::uint64_t scratch_bytes = 0;
  std::uint64_t prefix_bytes = 0;
  std::uint64_t total() const { return dense_bytes + state_bytes + scratch_bytes + prefix_bytes; }
};

SlabLayout EmbeddingLayout(const TensorInfo& embedding) {
  return {.file_index = embedding.file_index,
          .offset = embedding.offset,
          .size_bytes = embedding.size_bytes,
          .dtype = embedding.dtype,
          .n_rows = embedding.dims[1],
          .n_cols = embedding.dims[0]};
}

FixedCost CostOf(const MemoryRequest& request, std::int64_t batch, bool embedding_streams) {
  const Model& model = *request.model;
  const TensorDirectory& directory = *model.layout().bank.directory;
  FixedCost cost;
  cost.dense_bytes = DenseArenaBytes(directory, ResidentTensors(model.layout(), embedding_streams));
  cost.state_bytes = static_cast<std::uint64_t>(request.n_sessions) *
                     StateShapeOf(request).SizeBytes(request.context_tokens);
  cost.prefix_bytes = request.prefix_cache_bytes;
  cost.scratch_bytes =
      model.ScratchBytes(batch) +
      CpuOpsScratchBytes(model.ops_limits(batch, request.context_tokens), request.n_threads) +
      static_cast<std::uint64_t>(LogitRows(batch) *
                                 (model.shape().n_vocab + model.shape().d_model)) *
          sizeof(float);
  if (embedding_streams) {
    cost.scratch_bytes += StreamedRowStoreBytes(EmbeddingLayout(*model.layout().embedding), batch);
  }
  return cost;
}

// Page tables of 4 KiB pages, huge-page rounding of the few large buffers, and small allocations.
std::uint64_t ReserveBytes(std::uint64_t planned_bytes) {
  const std::uint64_t rounding = planned_bytes > 256 * kMiB ? 12 * kMiB : 2 * kMiB;
  return planned_bytes / 512 + rounding;
}

// The process itself is not the same size in every run (mapped library pages, heap layout, the
// kernel's rounded counters): a budget that was named works in the next.
std::uint64_t SafetyBytes(const MemoryRequest& request, std::uint64_t planned_bytes) {
  return kMiB + planned_bytes / 200 + request.process_bytes / 8;
}

std::uint64_t DefaultBudget(const MemoryRequest& request) {
  const std::uint64_t all = request.available_bytes + request.process_bytes;
  const std::uint64_t for_the_system = std::min(all / 4, std::max(all / 10, 1024 * kMiB));
  return all - for_the_system;
}

bool EmbeddingCanStream(const ModelLayout& layout) { return !layout.tied_output; }

// Its scratch stays below a thirty-second of the budget: a prompt reads the experts once per
// batch, an answer wants the memory for slots.
bool AffordsBatch(const MemoryRequest& request, std::int64_t batch, std::uint64_t budget_bytes,
                  bool embedding_streams) {
  const FixedCost cost = CostOf(request, batch, embedding_streams);
  const std::uint64_t used =
      request.process_bytes + cost.total() + MinimumSlotBytes(request.model->layout().bank);
  return cost.scratch_bytes <= budget_bytes / 32 && used + ReserveBytes(used) <= budget_bytes;
}

// The batch that was asked for, else the preferred or the largest that the budget affords.
std::int64_t ChooseBatch(const MemoryRequest& request, std::uint64_t budget_bytes,
                         bool embedding_streams) {
  if (request.max_batch > 0) return request.max_batch;
  const std::int64_t preferred = request.preferred_batch;
  if (preferred > 0 && AffordsBatch(request, preferred, budget_bytes, embedding_streams)) {
    return preferred;
  }
  const std::int64_t largest = std::min(kLargestBatch, request.context_tokens);
  for (std::int64_t batch = largest; batch > 1; batch /= 2) {
    if (AffordsBatch(request, batch, budget_bytes, embedding_streams)) return batch;
  }
  return 1;
}

void ChooseMode(const MemoryRequest& request, EnginePlan* plan) {
  const TensorDirectory& directory = *request.model->layout().bank.directory;
  if (!plan->slots.holds_all) {
    plan->mode = "streams";
    plan->mode_reason = "the budget has no slots for all experts";
    plan->direct_reads = true;
    return;
  }
  const std::uint64_t pages_bytes = directory.total_tensor_bytes();
  plan->direct_reads = pages_bytes + plan->slots.total_bytes > request.available_bytes;
  plan->mode = plan->direct_reads ? "nearly fits" : "everything fits";
  plan->mode_reason =
      plan->direct_reads
          ? "every expert has a slot, but there is no room for the file's pages beside them"
          : "every expert has a slot, and the file stays in the page cache for the next start";
}

void DescribeMode(const MemoryRequest& request, EnginePlan* plan) {
  ChooseMode(request, plan);
  if (request.read_path != ReadPath::kAuto) {
    plan->direct_reads = request.read_path == ReadPath::kDirect;
  }
}

}  // namespace

StateShape StateShapeOf(const MemoryRequest& request) {
  StateShape shape = request.model->state_shape();
  shape.kv_dtype = request.kv_dtype;
  shape.has_checkpoint = request.checkpoint;
  return shape;
}

std::int64_t LogitRows(std::int64_t max_batch) { return std::min<std::int64_t>(max_batch, 8); }

std::vector<const TensorInfo*> ResidentTensors(const ModelLayout& layout, bool embedding_streams) {
  std::vector<const TensorInfo*> tensors = layout.dense;
  if (!layout.tied_output && !embedding_streams) tensors.push_back(layout.embedding);
  return tensors;
}

std::uint64_t SmallestBudgetOf(const MemoryRequest& request) {
  const ModelLayout& layout = request.model->layout();
  const std::int64_t batch = std::max<std::int64_t>(request.max_batch, 1);
  const std::uint64_t used = request.process_bytes +
                             CostOf(request, batch, EmbeddingCanStream(layout)).total() +
                             MinimumSlotBytes(layout.bank);
  return used + ReserveBytes(used) + SafetyBytes(request, used);
}

namespace {

// What a share of the budget gives the beginnings of prompts: no more than is of use, and nothing
// where the rest would not fit.
std::uint64_t PrefixShareBytes(const MemoryRequest& request, std::uint64_t budget_bytes) {
  const StateShape shape = StateShapeOf(request);
  const std::uint64_t useful =
      4 * shape.SizeBytes(request.context_tokens) + kUsefulSnapshots * shape.RecurrentBytes();
  const std::uint64_t share = std::min(budget_bytes / 16, useful);
  return SmallestBudgetOf(request) + share <= budget_bytes ? share : 0;
}

}  // namespace

Result<EnginePlan> PlanMemory(const MemoryRequest& asked) {
  MemoryRequest request = asked;
  if (request.prefix_cache_by_share) request.prefix_cache_bytes = 0;
  const std::uint64_t smallest_budget_bytes = SmallestBudgetOf(request);
  if (request.prefix_cache_by_share) {
    const std::uint64_t budget_bytes =
        request.budget_given ? request.budget_bytes : DefaultBudget(request);
    request.prefix_cache_bytes = PrefixShareBytes(request, budget_bytes);
  }
  const ModelLayout& layout = request.model->layout();
  EnginePlan plan;
  plan.budget_given = request.budget_given;
  plan.budget_bytes = request.budget_given ? request.budget_bytes : DefaultBudget(request);
  plan.context_tokens = request.context_tokens;
  plan.kv_dtype = request.kv_dtype;
  plan.n_sessions = request.n_sessions;
  plan.prefix_cache_bytes = request.prefix_cache_bytes;
  plan.kv_bytes_per_token = StateShapeOf(request).KvBytesPerToken();
  plan.process_bytes = request.process_bytes;
  plan.smallest_budget_bytes = smallest_budget_bytes;

  const std::uint64_t all_slots = MaximumSlotBytes(layout.bank);
  FixedCost cost;
  const auto settle = [&](bool embedding_streams) {
    plan.embedding_streams = embedding_streams;
    plan.max_batch = ChooseBatch(request, plan.budget_bytes, embedding_streams);
    cost = CostOf(request, plan.max_batch, embedding_streams);
    return request.process_bytes + cost.total();
  };
  std::uint64_t used = settle(false);
  const std::uint64_t everything = used + all_slots;
  if (everything + ReserveBytes(everything) > plan.budget_bytes && EmbeddingCanStream(layout)) {
    used = settle(true);
  }
  plan.dense_bytes = cost.dense_bytes;
  plan.state_bytes = cost.state_bytes;
  plan.scratch_bytes = cost.scratch_bytes;

  const std::uint64_t reserve = ReserveBytes(std::min(plan.budget_bytes, used + all_slots));
  plan.process_bytes += reserve;
  const std::uint64_t least_slots = MinimumSlotBytes(layout.bank);
  if (used + reserve + least_slots > plan.budget_bytes) {
    return OutOfMemory(
        "a memory budget of {} is too small for this model; the smallest that works is "
        "--memory {}",
        FormatBytes(plan.budget_bytes), SizeToPaste(plan.smallest_budget_bytes));
  }
  const std::uint64_t room = plan.budget_bytes - used - reserve;
  const std::uint64_t safety = std::min(SafetyBytes(request, used), room - least_slots);
  const std::uint64_t slot_budget = std::min(room - safety, all_slots);
  LARDER_ASSIGN_OR_RETURN(plan.slots, PlanSlots(layout.bank, slot_budget));
  DescribeMode(request, &plan);
  return plan;
}

}  // namespace larder
