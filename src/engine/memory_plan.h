// MemoryPlan: cuts a budget into the process itself, dense weights, session state, scratch and
// expert slots, before anything large is allocated. Pure arithmetic over the model's layout.
#pragma once

#include <cstdint>

#include "base/status.h"
#include "engine/engine.h"

namespace larder {

struct MemoryRequest {
  const Model* model = nullptr;
  std::uint64_t process_bytes = 0;    // resident now, with tokenizer and threads
  std::uint64_t available_bytes = 0;  // what the system could give on top of that
  std::int64_t context_tokens = 0;
  DType kv_dtype = DType::kF16;
  int n_sessions = 1;
  std::uint64_t prefix_cache_bytes = 0;
  bool prefix_cache_by_share = false;  // instead: a share of the budget, where there is room
  std::int64_t max_batch = 0;          // 0: chosen here
  std::int64_t preferred_batch = 0;    // chosen here when it is as cheap as a choice must be
  int n_threads = 1;
  bool checkpoint = false;  // the session's state has one
  ReadPath read_path = ReadPath::kAuto;
  bool budget_given = false;
  std::uint64_t budget_bytes = 0;  // when given
};

/// What a session of this request keeps.
StateShape StateShapeOf(const MemoryRequest& request);

/// Rows of logits computed at once, and their bytes.
std::int64_t LogitRows(std::int64_t max_batch);

/// The dense tensors a plan keeps in memory: the layout's, and the embedding unless it streams.
std::vector<const TensorInfo*> ResidentTensors(const ModelLayout& layout, bool embedding_streams);

/// Fills the sizes, slots, batch, mode and smallest budget of a plan. kOutOfMemory when the budget
/// is too small, naming the smallest that works.
Result<EnginePlan> PlanMemory(const MemoryRequest& request);

/// The smallest budget for this request's context: batches of one token, the fewest slots.
std::uint64_t SmallestBudgetOf(const MemoryRequest& request);

}  // namespace larder
