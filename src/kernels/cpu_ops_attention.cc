// CpuOps: the KV cache and attention over it. The cache is cut at multiples of kAttentionChunk
// positions; a row's chunks are merged in ascending order, whether one thread walks them or many
// threads compute them first.
#include <algorithm>

#include "base/check.h"
#include "kernels/cpu_ops_impl.h"
#include "kernels/cpu_ops_rows.h"

namespace larder {

struct CpuOps::AttentionRows {
  ConstHeads queries;
  Heads out;
  KvView cache;
  std::int64_t first_position = 0;
  float scale = 1.0f;
  std::int64_t group = 1;      // query heads per KV head
  std::int64_t kv_head = 0;    // of this part
  std::int64_t first_row = 0;  // flat rows [first_row, first_row + n_rows) of that KV head
  std::int64_t n_rows = 0;

  std::int64_t Token(std::int64_t row) const { return (first_row + row) / group; }
  std::int64_t Head(std::int64_t row) const { return kv_head * group + (first_row + row) % group; }
  /// Positions [0, view) are visible to the row.
  std::int64_t View(std::int64_t row) const { return first_position + Token(row) + 1; }
};

void CpuOps::AppendKv(ConstHeads keys, ConstHeads values, std::int64_t first_position,
                      const KvView& cache) {
  LARDER_CHECK(keys.n_heads == cache.n_kv_heads && values.n_heads == cache.n_kv_heads);
  LARDER_CHECK(keys.head_dim == cache.head_dim && values.head_dim == cache.head_dim);
  LARDER_CHECK(first_position + keys.n_tokens <= cache.capacity);
  ForHeads(keys, [&](std::int64_t t, std::int64_t h) {
    const std::int64_t at = (h * cache.capacity + first_position + t) * cache.head_dim;
    kernels_.to_half(keys.at(t, h), cache.head_dim, cache.keys + at);
    kernels_.to_half(values.at(t, h), cache.head_dim, cache.values + at);
  });
}

// One chunk for at most kAttentionRows rows; rows that see nothing of it are left alone.
void CpuOps::AttendRows(const AttentionRows& rows, std::int64_t chunk, float* maxima, float* sums,
                        float* outs, int thread) {
  const float* queries[kAttentionRows];
  std::int32_t n_visible[kAttentionRows];
  for (std::int64_t r = 0; r < rows.n_rows; ++r) {
    queries[r] = rows.queries.at(rows.Token(r), rows.Head(r));
    n_visible[r] = static_cast<std::int32_t>(
        std::clamp<std::int64_t>(rows.View(r) - chunk * kAttentionChunk, 0, kAttentionChunk));
  }
  const std::int64_t at =
      (rows.kv_head * rows.cache.capacity + chunk * kAttentionChunk) * rows.cache.head_dim;
  AttentionChunkTask task;
  task.queries = queries;
  task.n_visible = n_visible;
  task.n_rows = rows.n_rows;
  task.keys = rows.cache.keys + at;
  task.values = rows.cache.values + at;
  task.head_dim = rows.cache.head_dim;
  task.scale = rows.scale;
  task.scores = reinterpret_cast<float*>(ThreadScratch(thread));
  task.maxima = maxima;
  task.sums = sums;
  task.outs = outs;
  kernels_.attend_chunk(task);
}

// Each thread takes some rows through all their chunks.
void CpuOps::AttendByRows(const AttentionRows& all) {
  const std::int64_t n_tiles = (all.n_rows + kAttentionRows - 1) / kAttentionRows;
  const std::int64_t head_dim = all.cache.head_dim;
  ForRows(n_tiles * all.cache.n_kv_heads, kWorkPerPiece, [&](std::int64_t item, int thread) {
    AttentionRows rows = all;
    rows.kv_head = item / n_tiles;
    rows.first_row = item % n_tiles * kAttentionRows;
    rows.n_rows = std::min(kAttentionRows, all.n_rows - rows.first_row);
    float maxima[kAttentionRows];
    float sums[kAttentionRows];
    AttentionState states[kAttentionRows];
    float* outs =
        reinterpret_cast<float*>(ThreadScratch(thread)) + kAttentionRows * kAttentionChunk;
    const std::int64_t longest = rows.View(rows.n_rows - 1);
    for (std::int64_t chunk = 0; chunk * kAttentionChunk < longest; ++chunk) {
      AttendRows(rows, chunk, maxima, sums, outs, thread);
      for (std::int64_t r = 0; r < rows.n_rows; ++r) {
        if (rows.View(r) <= chunk * kAttentionChunk) continue;
        kernels_.merge_chunk(maxima[r], sums[r], outs + r * head_dim, head_dim, &states[r],
                             rows.out.at(rows.Token(r), rows.Head(r)));
      }
    }
    for (std::int64_t r = 0; r < rows.n_rows; ++r) {
      kernels_.finish_attention(states[r].sum, head_dim, rows.out.at(rows.Token(r), rows.Head(r)));
    }
  });
}

// Few rows and a long cache: threads share the chunks, a batch at a time, then merge per row.
void CpuOps::AttendByChunks(const AttentionRows& all) {
  const std::int64_t head_dim = all.cache.head_dim;
  const std::int64_t n_heads = all.cache.n_kv_heads;
  const std::int64_t total_rows = all.n_rows * n_heads;
  const std::int64_t longest = all.View(all.n_rows - 1);
  const std::int64_t n_chunks = (longest + kAttentionChunk - 1) / kAttentionChunk;
  const std::int64_t batch = kAttentionPartials / total_rows;
  auto* outs = reinterpret_cast<float*>(scratch_.data() + plan_.partial_outs);
  auto* maxima = reinterpret_cast<float*>(scratch_.data() + plan_.partial_max);
  auto* sums = reinterpret_cast<float*>(scratch_.data() + plan_.partial_sum);
  AttentionState states[kAttentionPartials];
  for (std::int64_t first = 0; first < n_chunks; first += batch) {
    const std::int64_t count = std::min(batch, n_chunks - first);
    ForRows(n_heads * count, kWorkPerPiece, [&](std::int64_t item, int thread) {
      AttentionRows rows = all;
      rows.kv_head = item / count;
      const std::int64_t at = (item % count * n_heads + rows.kv_head) * all.n_rows;
      AttendRows(rows, first + item % count, maxima + at, sums + at, outs + at * head_dim, thread);
    });
    ForRows(total_rows, 2 * head_dim * count, [&](std::int64_t row, int) {
      AttentionRows rows = all;
      rows.kv_head = row / all.n_rows;
      const std::int64_t r = row % all.n_rows;
      float* out = rows.out.at(rows.Token(r), rows.Head(r));
      for (std::int64_t c = 0; c < count; ++c) {
        if (rows.View(r) <= (first + c) * kAttentionChunk) continue;
        const std::int64_t at = c * total_rows + row;
        kernels_.merge_chunk(maxima[at], sums[at], outs + at * head_dim, head_dim, &states[row],
                             out);
      }
      if (first + count == n_chunks) kernels_.finish_attention(states[row].sum, head_dim, out);
    });
  }
}

void CpuOps::Attention(ConstHeads queries, const KvView& cache, std::int64_t first_position,
                       float scale, Heads out) {
  LARDER_CHECK(queries.n_heads % cache.n_kv_heads == 0 && queries.head_dim == cache.head_dim);
  LARDER_CHECK(first_position + queries.n_tokens <= cache.capacity);
  LARDER_CHECK(cache.head_dim <= limits_.head_dim);
  if (queries.n_tokens == 0) return;
  AttentionRows all;
  all.queries = queries;
  all.out = out;
  all.cache = cache;
  all.first_position = first_position;
  all.scale = scale;
  all.group = queries.n_heads / cache.n_kv_heads;
  all.n_rows = queries.n_tokens * all.group;
  const std::int64_t n_tiles = (all.n_rows + kAttentionRows - 1) / kAttentionRows;
  const bool few = n_tiles == 1 && all.n_rows * cache.n_kv_heads <= kAttentionPartials;
  if (few && cache.n_kv_heads < 4 * pool_->n_threads() &&
      first_position + queries.n_tokens > kAttentionChunk) {
    AttendByChunks(all);
  } else {
    AttendByRows(all);
  }
}

}  // namespace larder
