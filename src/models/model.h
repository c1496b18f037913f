// Model: one architecture bound to one file. Made in three steps: MakeModel reads the configuration
// and checks every tensor's presence, shape and type (headers only); Bind receives the dense
// weights once they are in memory; Forward runs. Immutable after Bind but for its scratch: one
// caller at a time. Models never see a file descriptor: streamed weights come from ExpertStore and
// RowStore.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/status.h"
#include "base/thread_pool.h"
#include "experts/expert_bank.h"
#include "experts/expert_store.h"
#include "experts/row_store.h"
#include "format/gguf_reader.h"
#include "kernels/ops.h"
#include "state/session_state.h"

namespace larder {

/// Facts about a model that the engine and the commands need, whatever its architecture.
struct ModelShape {
  std::string architecture;  // "qwen35moe"
  int n_layers = 0;          // run; without multi-token-prediction blocks
  int n_experts = 0;
  int n_used = 0;
  std::int64_t d_model = 0;
  std::int64_t d_expert = 0;
  std::int64_t n_vocab = 0;
  std::int64_t context_length = 0;  // trained
};

/// Which tensors of the file play which part.
struct ModelLayout {
  std::vector<const TensorInfo*> dense;   // read once, kept in memory
  const TensorInfo* embedding = nullptr;  // kept (tied) or streamed by rows
  bool tied_output = false;               // the output matrix is the embedding; it is in `dense`
  ExpertBank bank;                        // streamed
  std::vector<const TensorInfo*> unused;  // multi-token prediction, unknown extras

  std::uint64_t dense_bytes() const;
};

/// Dense weights by name, once they lie in memory; the engine owns the memory.
class DenseWeights {
 public:
  void Add(const TensorInfo& tensor, const std::byte* data);
  /// The view of a tensor that the layout listed as dense; another name is a bug.
  WeightView Get(const std::string& name) const;

 private:
  std::unordered_map<std::string, WeightView> views_;
};

/// Where a token's time goes, summed over calls.
struct PhaseTimes {
  std::int64_t embedding_us = 0;
  std::int64_t attention_us = 0;         // full-attention layers' mixers
  std::int64_t linear_attention_us = 0;  // delta-rule layers' mixers
  std::int64_t router_us = 0;            // norm, router, shared expert
  std::int64_t experts_us = 0;           // computing routed experts and their sum
  std::int64_t expert_wait_us = 0;       // waiting for the disk
  std::int64_t output_us = 0;            // final norm and output matrix
};

/// Sees which experts the router chose, and may choose others in its place (benchmarks replaying
/// generated or recorded routing, recorders of traces).
class RoutingSource {
 public:
  virtual ~RoutingSource() = default;
  /// The tokens that the following calls are about belong to this timeline (BatchPart::timeline).
  virtual void SetTimeline(int /*timeline*/) {}
  /// Called once per token and layer, tokens of a batch in order within each layer. `ids` [n_used]
  /// are the router's own; true says that they were replaced, by distinct ones, and their weights
  /// become 1 / n_used.
  virtual bool Choose(int layer, std::int64_t position, std::span<std::int32_t> ids) = 0;
  /// What is computed in the end, before it is requested of `store`: `ids` and `weights` [n_used],
  /// best first; a weight of 0 where ForwardContext::expert_mass left an expert out.
  virtual void Routed(int /*layer*/, std::int64_t /*position*/,
                      std::span<const std::int32_t> /*ids*/, std::span<const float> /*weights*/,
                      const ExpertStore& /*store*/) {}
  /// The same for the lookahead's guess at what Choose will give, most likely first; called before
  /// it, or not at all.
  virtual bool Guess(int /*layer*/, std::int64_t /*position*/, std::span<std::int32_t> /*ids*/) {
    return false;
  }
};

/// What Forward works with; all outlive the call.
struct ForwardContext {
  Ops* ops = nullptr;
  ExpertStore* experts = nullptr;
  ExpertTimeline* timeline = nullptr;  // may be null
  RowStore* embedding = nullptr;
  RoutingSource* routing = nullptr;  // null: the model's own router
  /// Below 1: of each token's experts only the first whose weights reach this sum. Changes answers.
  float expert_mass = 1;
  const FunctionRef<void(int n_layers_done)>* on_layer = nullptr;  // may be null
  PhaseTimes* times = nullptr;
};

/// Wants a copy of what the linear layers remember after some tokens of a part.
struct StateMark {
  std::int64_t n_tokens = 0;       // of the part, 1..tokens.size(); marks ascend
  std::byte* recurrent = nullptr;  // as SessionState::recurrent_part()
};

/// What one timeline gets in a step.
struct BatchPart {
  std::span<const std::int32_t> tokens;
  SessionState* state = nullptr;
  std::span<const StateMark> marks;
  /// Looked at once per layer, may be null: when true, the part leaves the step and the others go
  /// on; its state must be cleared.
  const std::atomic<bool>* cancelled = nullptr;
  int timeline = 0;
  bool dropped = false;        // set by Forward: it was cancelled
  std::int64_t first_row = 0;  // set by Forward: of the result, unless dropped
};

class Model {
 public:
  virtual ~Model() = default;

  const ModelShape& shape() const { return shape_; }
  const ModelLayout& layout() const { return layout_; }

  virtual StateShape state_shape() const = 0;
  virtual OpsLimits ops_limits(std::int64_t max_batch, std::int64_t max_positions) const = 0;
  virtual std::uint64_t ScratchBytes(std::int64_t max_batch) const = 0;

  /// Binds the weights and allocates scratch for batches of up to `max_batch` tokens.
  virtual Status Bind(const DenseWeights& weights, std::int64_t max_batch) = 0;

  /// Runs the parts' tokens, 1..max_batch in all, each part's at positions state->n_tokens().. of
  /// its own timeline, and advances the states. Returns the final normalised hidden states [tokens
  /// of the parts not dropped, d_model] in order, valid until the next call. A part's bits do not
  /// depend on its company. After a failure (a read, or kCancelled: every part was) all states must
  /// be cleared.
  virtual Result<ConstMatrix> Forward(const ForwardContext& context,
                                      std::span<BatchPart> parts) = 0;

  /// logits [hidden.n_rows, n_vocab] of final hidden states.
  virtual void Logits(const ForwardContext& context, ConstMatrix hidden, Matrix logits) = 0;

 protected:
  ModelShape shape_;
  ModelLayout layout_;
};

/// Changes that the user may ask for at load.
struct ModelOverrides {
  int n_used = 0;  // experts per token; 0: the model's own number. Changes the answer.
};

/// The model of general.architecture; kUnsupported names those that exist. A missing tensor or a
/// wrong shape is kDataError with both shapes. `file` outlives the model.
Result<std::unique_ptr<Model>> MakeModel(const GgufModel& file, const ModelOverrides& overrides);

}  // namespace larder
