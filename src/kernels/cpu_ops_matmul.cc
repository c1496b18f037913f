// CpuOps: products and experts. A call of MatMul is one parallel region over row blocks of all its
// products (and one to quantize its input); a call of RunExperts is two: gate, up, SwiGLU and
// quantization of the hidden row, then down.
#include <algorithm>

#include "base/check.h"
#include "kernels/cpu_ops_impl.h"
#include "kernels/cpu_ops_rows.h"

namespace larder {

namespace {

constexpr std::int64_t kRowTile = 16;  // rows a kernel takes together
constexpr std::int64_t kMaxRowsPerPiece = 256;

// Rows per piece: whole tiles, about eight pieces per thread.
std::int64_t PieceRows(std::int64_t n_rows, int n_threads) {
  const std::int64_t per_piece = n_rows / (8 * n_threads);
  return std::clamp((per_piece + kRowTile - 1) / kRowTile * kRowTile, kRowTile, kMaxRowsPerPiece);
}

std::int64_t CeilDiv(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

MatMulTask TaskFor(const WeightView& weights, std::int64_t first_row, std::int64_t n_rows) {
  MatMulTask task;
  task.dtype = weights.dtype;
  task.row_bytes = weights.row_bytes();
  task.weights = weights.data + static_cast<std::size_t>(first_row) * task.row_bytes;
  task.n_rows = n_rows;
  task.n_cols = weights.n_cols;
  return task;
}

}  // namespace

CpuOps::Rows CpuOps::QuantizeRows(ConstMatrix x, ActivationKind kind, std::byte* records) {
  if (kind == ActivationKind::kFloat) {
    return {reinterpret_cast<const std::byte*>(x.data),
            static_cast<std::size_t>(x.stride) * sizeof(float)};
  }
  const std::size_t stride = ActivationLayout(kind, x.n_cols).total;
  ForRows(x.n_rows, 2 * x.n_cols, [&](std::int64_t t, int) {
    kernels_.quantize(kind, x.row(t), x.n_cols, 0, x.n_cols,
                      records + static_cast<std::size_t>(t) * stride);
  });
  return {records, stride};
}

void CpuOps::MatMul(ConstMatrix x, std::span<const Product> products) {
  LARDER_CHECK(x.n_cols <= limits_.max_input_dim && x.n_rows <= limits_.max_tokens);
  for (const Product& product : products) {
    LARDER_CHECK(product.weights.n_cols == x.n_cols && product.out.n_rows == x.n_rows);
    LARDER_CHECK(product.weights.n_rows == product.out.n_cols);
  }
  for (std::int64_t first = 0; first < x.n_rows; first += kMatMulTokens) {
    MatMulBlock(x.Rows(first, std::min(first + kMatMulTokens, x.n_rows)), products, first);
  }
}

void CpuOps::MatMulBlock(ConstMatrix x, std::span<const Product> products,
                         std::int64_t first_token) {
  Rows rows[kActivationKinds];
  std::int64_t total_rows = 0;
  for (const Product& product : products) {
    const ActivationKind kind = ActivationKindFor(product.weights.dtype);
    const auto i = static_cast<std::size_t>(kind);
    if (rows[i].data == nullptr) {
      rows[i] = QuantizeRows(x, kind, scratch_.data() + plan_.activations[i]);
    }
    total_rows += product.weights.n_rows;
  }
  const std::int64_t piece_rows = PieceRows(total_rows, pool_->n_threads());
  std::int64_t n_pieces = 0;
  for (const Product& product : products) n_pieces += CeilDiv(product.weights.n_rows, piece_rows);
  ForRows(n_pieces, kWorkPerPiece, [&](std::int64_t piece, int thread) {
    const Product* product = products.data();
    while (piece >= CeilDiv(product->weights.n_rows, piece_rows)) {
      piece -= CeilDiv(product->weights.n_rows, piece_rows);
      ++product;
    }
    const std::int64_t first = piece * piece_rows;
    const std::int64_t n_rows = std::min(piece_rows, product->weights.n_rows - first);
    MatMulTask task = TaskFor(product->weights, first, n_rows);
    const auto i = static_cast<std::size_t>(ActivationKindFor(task.dtype));
    task.activations = rows[i].data;
    task.activation_stride = rows[i].stride;
    task.n_tokens = x.n_rows;
    task.out = product->out.row(first_token) + first;
    task.out_stride = product->out.stride;
    // Pieces are handed out in order: this thread's next one is likely as many on as threads are.
    const std::int64_t after = first + pool_->n_threads() * piece_rows;
    if (after < product->weights.n_rows) task.next = product->weights.row(after);
    task.scratch = MatMulScratch(thread);
    kernels_.matmul(task);
  });
}

void CpuOps::PrepareExperts(ConstMatrix x) {
  LARDER_CHECK(x.n_rows <= limits_.max_tokens && x.n_cols == limits_.expert_model_dim);
  expert_x_ = x;
  for (bool& ready : expert_ready_) ready = false;
}

CpuOps::Rows CpuOps::ExpertInput(ActivationKind kind) {
  const auto i = static_cast<std::size_t>(kind);
  std::byte* records = scratch_.data() + plan_.expert_activations[i];
  if (kind != ActivationKind::kFloat && expert_ready_[i]) {
    return {records, ActivationLayout(kind, expert_x_.n_cols).total};
  }
  expert_ready_[i] = true;
  return QuantizeRows(expert_x_, kind, records);
}

void CpuOps::RunExperts(std::span<const ExpertWork> works, Matrix out) {
  segments_.clear();
  std::int64_t used = 0;
  for (const ExpertWork& work : works) {
    LARDER_CHECK(work.tokens.size() == work.out_rows.size());
    LARDER_CHECK(work.gate.n_cols == expert_x_.n_cols && work.up.n_cols == expert_x_.n_cols);
    LARDER_CHECK(work.gate.n_rows == work.down.n_cols && work.up.n_rows == work.down.n_cols);
    LARDER_CHECK(work.down.n_rows == out.n_cols && work.down.n_cols == limits_.expert_ff_dim);
    const auto n_tokens = static_cast<std::int64_t>(work.tokens.size());
    std::int64_t first = 0;
    while (first < n_tokens) {
      if (used == plan_.n_hidden_rows) {
        RunSegments(out);
        segments_.clear();
        used = 0;
      }
      const std::int64_t count =
          std::min({n_tokens - first, kExpertTokens, plan_.n_hidden_rows - used});
      segments_.push_back({&work, first, count, used});
      first += count;
      used += count;
    }
  }
  if (!segments_.empty()) RunSegments(out);
}

void CpuOps::RunSegments(Matrix out) {
  for (const Segment& segment : segments_) {
    // Quantizes on first use; pieces below only look it up.
    ExpertInput(ActivationKindFor(segment.work->gate.dtype));
    ExpertInput(ActivationKindFor(segment.work->up.dtype));
  }
  const auto n_segments = static_cast<std::int64_t>(segments_.size());
  const std::int64_t n_blocks = CeilDiv(limits_.expert_ff_dim, kExpertColumns);
  ForRows(n_segments * n_blocks, kWorkPerPiece, [&](std::int64_t item, int thread) {
    const std::int64_t later = item + pool_->n_threads();
    const std::byte* next =
        later < n_segments * n_blocks
            ? segments_[static_cast<std::size_t>(later / n_blocks)].work->gate.row(
                  later % n_blocks * kExpertColumns)
            : nullptr;
    ExpertHidden(segments_[static_cast<std::size_t>(item / n_blocks)],
                 item % n_blocks * kExpertColumns, next, thread);
  });
  const std::int64_t piece_rows = PieceRows(n_segments * out.n_cols, pool_->n_threads());
  const std::int64_t n_pieces = CeilDiv(out.n_cols, piece_rows);
  ForRows(n_segments * n_pieces, kWorkPerPiece, [&](std::int64_t item, int thread) {
    const std::int64_t first = item % n_pieces * piece_rows;
    const std::int64_t later = item + pool_->n_threads();
    const std::byte* next =
        later < n_segments * n_pieces
            ? segments_[static_cast<std::size_t>(later / n_pieces)].work->down.row(
                  later % n_pieces * piece_rows)
            : nullptr;
    ExpertDown(segments_[static_cast<std::size_t>(item / n_pieces)], first,
               std::min(piece_rows, out.n_cols - first), out, next, thread);
  });
}

// Columns [first_column, + kExpertColumns) of SiLU(gate x) * up x, quantized as `down` takes them.
void CpuOps::ExpertHidden(const Segment& segment, std::int64_t first_column, const std::byte* next,
                          int thread) {
  const ExpertWork& work = *segment.work;
  const std::int64_t d_ff = work.down.n_cols;
  const std::int64_t n_columns = std::min(kExpertColumns, d_ff - first_column);
  auto* gate = reinterpret_cast<float*>(ThreadScratch(thread));
  float* up = gate + kExpertTokens * kExpertColumns;
  for (const auto& [weights, values] : {std::pair{&work.gate, gate}, std::pair{&work.up, up}}) {
    MatMulTask task = TaskFor(*weights, first_column, n_columns);
    const ActivationKind kind = ActivationKindFor(task.dtype);
    const Rows rows =
        kind == ActivationKind::kFloat
            ? Rows{reinterpret_cast<const std::byte*>(expert_x_.data),
                   static_cast<std::size_t>(expert_x_.stride) * sizeof(float)}
            : Rows{scratch_.data() + plan_.expert_activations[static_cast<std::size_t>(kind)],
                   ActivationLayout(kind, expert_x_.n_cols).total};
    task.activations = rows.data;
    task.activation_stride = rows.stride;
    task.token_rows = work.tokens.data() + segment.first;
    task.n_tokens = segment.n_tokens;
    task.next = weights == &work.gate ? work.up.row(first_column) : next;
    task.out = values;
    task.out_stride = kExpertColumns;
    task.scratch = MatMulScratch(thread);
    kernels_.matmul(task);
  }
  const ActivationKind kind = ActivationKindFor(work.down.dtype);
  std::byte* hidden = scratch_.data() + plan_.hidden;
  for (std::int64_t t = 0; t < segment.n_tokens; ++t) {
    float* row = gate + t * kExpertColumns;
    kernels_.swiglu(row, up + t * kExpertColumns, n_columns, row);
    kernels_.quantize(
        kind, row, d_ff, first_column, n_columns,
        hidden + static_cast<std::size_t>(segment.hidden_row + t) * plan_.hidden_row_bytes);
  }
}

void CpuOps::ExpertDown(const Segment& segment, std::int64_t first_row, std::int64_t n_rows,
                        Matrix out, const std::byte* next, int thread) {
  const ExpertWork& work = *segment.work;
  MatMulTask task = TaskFor(work.down, first_row, n_rows);
  task.activations = scratch_.data() + plan_.hidden +
                     static_cast<std::size_t>(segment.hidden_row) * plan_.hidden_row_bytes;
  task.activation_stride = plan_.hidden_row_bytes;
  task.n_tokens = segment.n_tokens;
  task.next = next;
  task.out = out.data + first_row;
  task.out_stride = out.stride;
  task.out_rows = work.out_rows.data() + segment.first;
  task.scratch = MatMulScratch(thread);
  kernels_.matmul(task);
}

}  // namespace larder
