// Layout of a session's memory: all KV caches, then all recurrent and convolution states.
#include "state/session_state.h"

#include <algorithm>
#include <cstring>

namespace larder {

namespace {

constexpr std::uint64_t kPartAlignment = 64;

// Keys or values of one position.
std::uint64_t KvRowsBytes(const LayerStateShape& layer, DType dtype) {
  if (layer.n_kv_heads == 0) return 0;
  return static_cast<std::uint64_t>(layer.n_kv_heads) * RowBytes(dtype, layer.head_dim);
}

std::uint64_t KvPartBytes(const LayerStateShape& layer, DType dtype, std::int64_t capacity) {
  return AlignUp(KvRowsBytes(layer, dtype) * static_cast<std::uint64_t>(capacity), kPartAlignment);
}

std::uint64_t FloatPartBytes(std::int64_t n_floats) {
  return AlignUp(static_cast<std::uint64_t>(n_floats) * sizeof(float), kPartAlignment);
}

}  // namespace

std::uint64_t StateShape::KvBytesPerToken() const {
  std::uint64_t bytes = 0;
  for (const LayerStateShape& layer : layers) bytes += 2 * KvRowsBytes(layer, kv_dtype);
  return bytes;
}

std::uint64_t StateShape::RecurrentBytes() const {
  std::uint64_t bytes = 0;
  for (const LayerStateShape& layer : layers) {
    bytes += FloatPartBytes(layer.n_recurrent) + FloatPartBytes(layer.n_convolution);
  }
  return bytes;
}

std::uint64_t StateShape::SizeBytes(std::int64_t capacity) const {
  std::uint64_t size_bytes = 0;
  for (const LayerStateShape& layer : layers) {
    size_bytes += 2 * KvPartBytes(layer, kv_dtype, capacity) + FloatPartBytes(layer.n_recurrent) +
                  FloatPartBytes(layer.n_convolution);
    if (has_checkpoint) {
      size_bytes += FloatPartBytes(layer.n_recurrent) + FloatPartBytes(layer.n_convolution);
    }
  }
  return size_bytes;
}

Result<SessionState> SessionState::Allocate(const StateShape& shape, std::int64_t capacity) {
  SessionState state;
  state.capacity_ = capacity;
  state.kv_dtype_ = shape.kv_dtype;
  state.shape_ = shape;
  state.offsets_.assign(shape.layers.size() * 4, -1);
  std::uint64_t end = 0;
  const auto place = [&](std::size_t layer, std::size_t part, std::uint64_t size_bytes) {
    if (size_bytes == 0) return;
    state.offsets_[layer * 4 + part] = static_cast<std::int64_t>(end);
    end += size_bytes;
  };
  for (std::size_t layer = 0; layer < shape.layers.size(); ++layer) {
    place(layer, 0, KvPartBytes(shape.layers[layer], shape.kv_dtype, capacity));
    place(layer, 1, KvPartBytes(shape.layers[layer], shape.kv_dtype, capacity));
  }
  state.recurrent_begin_ = end;
  for (std::size_t layer = 0; layer < shape.layers.size(); ++layer) {
    place(layer, 2, FloatPartBytes(shape.layers[layer].n_recurrent));
    place(layer, 3, FloatPartBytes(shape.layers[layer].n_convolution));
  }
  state.recurrent_end_ = end;
  state.recurrent_bytes_ = state.recurrent_end_ - state.recurrent_begin_;
  state.checkpoint_begin_ = end;
  if (shape.has_checkpoint) end += state.recurrent_bytes_;
  LARDER_ASSIGN_OR_RETURN(state.buffer_, PageBuffer::Allocate(end, end >= 2 * kHugePageBytes));
  return state;
}

void SessionState::Clear() {
  // Old keys and values are never read again: positions from 0 are written before they are read.
  const std::span<std::byte> part = recurrent_part();
  std::fill(part.begin(), part.end(), std::byte{0});
  n_tokens_ = 0;
  checkpoint_tokens_ = -1;
}

void SessionState::SetCheckpoint() {
  LARDER_CHECK(checkpoint_begin_ + recurrent_bytes_ <= buffer_.size_bytes());
  std::memcpy(buffer_.data() + checkpoint_begin_, buffer_.data() + recurrent_begin_,
              recurrent_bytes_);
  checkpoint_tokens_ = n_tokens_;
}

void SessionState::RestoreCheckpoint() {
  LARDER_CHECK(checkpoint_tokens_ >= 0);
  // Keys and values from here on are written again before they are read.
  std::memcpy(buffer_.data() + recurrent_begin_, buffer_.data() + checkpoint_begin_,
              recurrent_bytes_);
  n_tokens_ = checkpoint_tokens_;
}

void SessionState::SetTokens(std::int64_t n_tokens) {
  LARDER_CHECK(0 <= n_tokens && n_tokens <= capacity_);
  n_tokens_ = n_tokens;
}

void SessionState::CopyRecurrent(int layer, std::byte* part) const {
  const LayerStateShape& shape = shape_.layers[static_cast<std::size_t>(layer)];
  const auto copy = [&](const float* from, std::int64_t n_floats) {
    if (n_floats == 0) return;
    const auto* bytes = reinterpret_cast<const std::byte*>(from);
    std::memcpy(part + (bytes - recurrent_part().data()), bytes,
                static_cast<std::size_t>(n_floats) * sizeof(float));
  };
  copy(recurrent(layer), shape.n_recurrent);
  copy(convolution(layer), shape.n_convolution);
}

// visit(rows, size_bytes) for every run of keys or values that lies in one piece.
template <typename Visit>
void SessionState::VisitKv(std::int64_t first, std::int64_t count, Visit visit) const {
  LARDER_CHECK(0 <= first && 0 <= count && first + count <= capacity_);
  for (std::size_t i = 0; i < shape_.layers.size(); ++i) {
    const LayerStateShape& layer = shape_.layers[i];
    if (layer.n_kv_heads == 0) continue;
    const std::size_t row_bytes = RowBytes(kv_dtype_, layer.head_dim);
    for (std::byte* rows : {keys(static_cast<int>(i)), values(static_cast<int>(i))}) {
      for (std::int64_t head = 0; head < layer.n_kv_heads; ++head) {
        visit(rows + static_cast<std::size_t>(head * capacity_ + first) * row_bytes,
              static_cast<std::size_t>(count) * row_bytes);
      }
    }
  }
}

void SessionState::SaveKv(std::int64_t first, std::int64_t count, std::byte* out) const {
  VisitKv(first, count, [&out](const std::byte* rows, std::size_t size_bytes) {
    std::memcpy(out, rows, size_bytes);
    out += size_bytes;
  });
}

void SessionState::LoadKv(std::int64_t first, std::int64_t count, const std::byte* in) {
  VisitKv(first, count, [&in](std::byte* rows, std::size_t size_bytes) {
    std::memcpy(rows, in, size_bytes);
    in += size_bytes;
  });
}

void SessionState::CopyKv(const SessionState& from, std::int64_t first, std::int64_t count) {
  std::vector<const std::byte*> runs;
  from.VisitKv(first, count, [&runs](const std::byte* rows, std::size_t) { runs.push_back(rows); });
  std::size_t next = 0;
  VisitKv(first, count, [&](std::byte* rows, std::size_t size_bytes) {
    std::memcpy(rows, runs[next++], size_bytes);
  });
}

}  // namespace larder
