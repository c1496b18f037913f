// CpuOps: Ops over a kernel table and a thread pool. It owns its scratch, allocated once; weights,
// activations and state belong to the caller. One caller at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/memory.h"
#include "base/thread_pool.h"
#include "kernels/cpu_ops.h"
#include "kernels/kernel_table.h"

namespace larder {

/// Where each part of the scratch buffer lies, and what it holds.
struct ScratchPlan {
  // Per thread: the products' scratch, then a part that one operation at a time uses.
  std::size_t thread_bytes = 0;
  std::size_t activations[kActivationKinds] = {};         // [kMatMulTokens] records
  std::size_t expert_activations[kActivationKinds] = {};  // [max_tokens] records
  std::size_t hidden = 0;                                 // [n_hidden_rows] records
  std::size_t hidden_row_bytes = 0;
  std::int64_t n_hidden_rows = 0;
  std::size_t partial_outs = 0;  // [kAttentionPartials, head_dim]
  std::size_t partial_max = 0;
  std::size_t partial_sum = 0;
  std::size_t total_bytes = 0;

  ScratchPlan(const OpsLimits& limits, int n_threads);
};

inline constexpr std::int64_t kMatMulTokens = 256;        // tokens quantized at a time
inline constexpr std::int64_t kExpertTokens = 128;        // tokens of one expert segment
inline constexpr std::int64_t kExpertColumns = 256;       // hidden columns of one piece
inline constexpr std::int64_t kAttentionPartials = 1024;  // row x chunk results held at a time

class CpuOps : public Ops {
 public:
  CpuOps(Isa isa, ThreadPool* pool, const OpsLimits& limits, const ScratchPlan& plan,
         PageBuffer scratch);

  void MatMul(ConstMatrix x, std::span<const Product> products) override;
  void RmsNorm(ConstMatrix x, const float* weight, float eps, Matrix out) override;
  void Add(Matrix x, ConstMatrix y) override;
  void SwiGlu(ConstMatrix gate, ConstMatrix up, Matrix out) override;
  void AddGated(Matrix x, ConstMatrix y, ConstMatrix gate) override;
  void NormRope(Heads heads, const float* weight, float eps, const RopeParams& rope,
                std::int64_t first_position) override;
  void AppendKv(ConstHeads keys, ConstHeads values, std::int64_t first_position,
                const KvView& cache) override;
  void Attention(ConstHeads queries, const KvView& cache, std::int64_t first_position, float scale,
                 Heads out) override;
  void SigmoidGate(Heads x, ConstHeads gate) override;
  void CausalConvSilu(ConstMatrix x, const float* weight, std::int64_t width, float* state,
                      Matrix out) override;
  void GatedDeltaRule(const DeltaRuleArgs& args) override;
  void GatedRmsNorm(Heads x, ConstHeads z, const float* weight, float eps) override;
  void Route(ConstMatrix router_logits, std::int64_t n_used, std::int32_t* ids,
             float* weights) override;
  void PrepareExperts(ConstMatrix x) override;
  void RunExperts(std::span<const ExpertWork> works, Matrix out) override;
  void SumExperts(ConstMatrix outputs, const float* weights, std::int64_t n_used,
                  Matrix x) override;
  void DecodeRows(const WeightView& rows, Matrix out) override;

 private:
  /// Some tokens of one expert, with the first of their rows in the hidden scratch.
  struct Segment {
    const ExpertWork* work = nullptr;
    std::int64_t first = 0;
    std::int64_t n_tokens = 0;
    std::int64_t hidden_row = 0;
  };
  /// Quantized (or float) rows as a product's task takes them.
  struct Rows {
    const std::byte* data = nullptr;
    std::size_t stride = 0;
  };
  /// Query rows of one KV head: flat index i is token i / group, head kv_head * group + i % group.
  struct AttentionRows;
  /// A chunk, and the one this thread will likely take next (-1: none).
  struct ChunkPlace {
    std::int64_t chunk = 0;
    std::int64_t next_kv_head = 0;
    std::int64_t next_chunk = -1;
  };

  template <typename Body>
  void ForRows(std::int64_t n_rows, std::int64_t work_per_row, Body body);
  template <typename Body>
  void ForHeads(const ConstHeads& heads, Body body);

  Rows QuantizeRows(ConstMatrix x, ActivationKind kind, std::byte* records);
  void MatMulBlock(ConstMatrix x, std::span<const Product> products, std::int64_t first_token);
  Rows ExpertInput(ActivationKind kind);
  void RunSegments(Matrix out);
  void ExpertHidden(const Segment& segment, std::int64_t first_column, const std::byte* next,
                    int thread);
  void ExpertDown(const Segment& segment, std::int64_t first_row, std::int64_t n_rows, Matrix out,
                  const std::byte* next, int thread);
  void AttendRows(const AttentionRows& rows, const ChunkPlace& place, float* maxima, float* sums,
                  float* outs, int thread);
  void AttendByRows(const AttentionRows& all);
  void AttendByChunks(const AttentionRows& all);

  std::byte* MatMulScratch(int thread) const {
    return scratch_.data() + static_cast<std::size_t>(thread) * plan_.thread_bytes;
  }
  std::byte* ThreadScratch(int thread) const { return MatMulScratch(thread) + kMatMulScratchBytes; }

  const KernelTable& kernels_;
  ThreadPool* pool_;
  OpsLimits limits_;
  ScratchPlan plan_;
  PageBuffer scratch_;
  std::vector<float> inverse_frequencies_;  // of rope_
  RopeParams rope_;
  ConstMatrix expert_x_;
  bool expert_ready_[kActivationKinds] = {};
  std::vector<Segment> segments_;
};

}  // namespace larder
