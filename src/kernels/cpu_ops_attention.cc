// CpuOps: the KV cache and attention over it. The cache is cut at multiples of kAttentionChunk
// positions; a row's chunks are merged in ascending order, whether one thread walks them or many
// threads compute them first.
#include <algorithm>

#include "base/check.h"
#include "kernels/cpu_ops_impl.h"
#include "kernels/cpu_ops_rows.h"
#include "tensor/codec.h"

namespace larder {

namespace {

std::int64_t CeilDiv(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

}  // namespace

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
  /// The rows of a KV head that share one pass over a chunk.
  AttentionRows Tile(std::int64_t head, std::int64_t tile) const {
    AttentionRows rows = *this;
    rows.kv_head = head;
    rows.first_row = tile * kAttentionRows;
    rows.n_rows = std::min(kAttentionRows, n_rows - rows.first_row);
    return rows;
  }
  /// Positions [0, view) are visible to the row.
  std::int64_t View(std::int64_t row) const { return first_position + Token(row) + 1; }
};

void CpuOps::AppendKv(ConstHeads keys, ConstHeads values, std::int64_t first_position,
                      const KvView& cache) {
  LARDER_CHECK(keys.n_heads == cache.n_kv_heads && values.n_heads == cache.n_kv_heads);
  LARDER_CHECK(keys.head_dim == cache.head_dim && values.head_dim == cache.head_dim);
  LARDER_CHECK(first_position + keys.n_tokens <= cache.capacity);
  LARDER_CHECK(cache.dtype == DType::kF16 || cache.dtype == DType::kQ8_0);
  const auto encode = [&](const float* from, std::byte* to) {
    if (cache.dtype == DType::kF16) {
      kernels_.to_half(from, cache.head_dim, reinterpret_cast<std::uint16_t*>(to));
    } else {
      EncodeRow(cache.dtype, from, to, cache.head_dim);
    }
  };
  ForHeads(keys, [&](std::int64_t t, std::int64_t h) {
    const std::size_t at = cache.Offset(h, first_position + t);
    encode(keys.at(t, h), cache.keys + at);
    encode(values.at(t, h), cache.values + at);
  });
}

// One chunk for at most kAttentionRows rows; rows that see nothing of it are left alone.
void CpuOps::AttendRows(const AttentionRows& rows, const ChunkPlace& place, float* maxima,
                        float* sums, float* outs, int thread) {
  const std::int64_t chunk = place.chunk;
  const float* queries[kAttentionRows];
  std::int32_t n_visible[kAttentionRows];
  for (std::int64_t r = 0; r < rows.n_rows; ++r) {
    queries[r] = rows.queries.at(rows.Token(r), rows.Head(r));
    n_visible[r] = static_cast<std::int32_t>(
        std::clamp<std::int64_t>(rows.View(r) - chunk * kAttentionChunk, 0, kAttentionChunk));
  }
  const KvView& cache = rows.cache;
  AttentionChunkTask task;
  task.queries = queries;
  task.n_visible = n_visible;
  task.n_rows = rows.n_rows;
  task.dtype = cache.dtype;
  task.keys = cache.keys + cache.Offset(rows.kv_head, chunk * kAttentionChunk);
  task.values = cache.values + cache.Offset(rows.kv_head, chunk * kAttentionChunk);
  if (place.next_chunk >= 0) {
    task.next_keys =
        cache.keys + cache.Offset(place.next_kv_head, place.next_chunk * kAttentionChunk);
  }
  task.row_bytes = static_cast<std::int64_t>(cache.row_bytes());
  task.head_dim = cache.head_dim;
  task.scale = rows.scale;
  task.unpacked = reinterpret_cast<float*>(ThreadScratch(thread));
  task.scores = task.unpacked + kAttentionBlock * UnpackedHead(cache.head_dim);
  task.maxima = maxima;
  task.sums = sums;
  task.outs = outs;
  kernels_.attend_chunk(task);
}

// Each thread takes some rows through all their chunks.
void CpuOps::AttendByRows(const AttentionRows& all) {
  const std::int64_t n_tiles = CeilDiv(all.n_rows, kAttentionRows);
  const std::int64_t head_dim = all.cache.head_dim;
  ForRows(n_tiles * all.cache.n_kv_heads, kWorkPerPiece, [&](std::int64_t item, int thread) {
    const AttentionRows rows = all.Tile(item / n_tiles, item % n_tiles);
    float maxima[kAttentionRows];
    float sums[kAttentionRows];
    AttentionState states[kAttentionRows];
    float* outs = reinterpret_cast<float*>(ThreadScratch(thread)) +
                  kAttentionBlock * UnpackedHead(head_dim) + kAttentionRows * kAttentionScores;
    const std::int64_t n_chunks = CeilDiv(rows.View(rows.n_rows - 1), kAttentionChunk);
    for (std::int64_t chunk = 0; chunk < n_chunks; ++chunk) {
      const std::int64_t next = chunk + 1 < n_chunks ? chunk + 1 : -1;
      AttendRows(rows, {chunk, rows.kv_head, next}, maxima, sums, outs, thread);
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
  const std::int64_t n_tiles = CeilDiv(all.n_rows, kAttentionRows);
  const std::int64_t n_chunks = CeilDiv(all.View(all.n_rows - 1), kAttentionChunk);
  const std::int64_t batch = kAttentionPartials / total_rows;
  auto* outs = reinterpret_cast<float*>(scratch_.data() + plan_.partial_outs);
  auto* maxima = reinterpret_cast<float*>(scratch_.data() + plan_.partial_max);
  auto* sums = reinterpret_cast<float*>(scratch_.data() + plan_.partial_sum);
  AttentionState states[kAttentionPartials];
  for (std::int64_t first = 0; first < n_chunks; first += batch) {
    const std::int64_t count = std::min(batch, n_chunks - first);
    const std::int64_t n_items = n_heads * count * n_tiles;
    ForRows(n_items, kWorkPerPiece, [&](std::int64_t item, int thread) {
      const std::int64_t part = item / n_tiles;  // kv_head * count + chunk
      const AttentionRows rows = all.Tile(part / count, item % n_tiles);
      // Pieces are handed out in order: this thread's next one is likely as many on as threads are.
      const std::int64_t next = (item + pool_->n_threads()) / n_tiles;
      const bool more = item + pool_->n_threads() < n_items;
      const ChunkPlace place = {first + part % count, next / count,
                                more ? first + next % count : -1};
      const std::int64_t at = (part % count * n_heads + rows.kv_head) * all.n_rows + rows.first_row;
      AttendRows(rows, place, maxima + at, sums + at, outs + at * head_dim, thread);
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
  // Rows alone would leave threads without work: the chunks are shared too. Either way, the bits
  // are the same.
  const std::int64_t n_items = CeilDiv(all.n_rows, kAttentionRows) * cache.n_kv_heads;
  const bool few = n_items < 4 * pool_->n_threads();
  if (few && 2 * all.n_rows * cache.n_kv_heads <= kAttentionPartials &&
      first_position + queries.n_tokens > kAttentionChunk) {
    AttendByChunks(all);
  } else {
    AttendByRows(all);
  }
}

}  // namespace larder
