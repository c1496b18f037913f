// SessionState: all that one timeline remembers: the KV cache of full-attention layers and the
// recurrent and convolution states of linear-attention layers. One allocation, made once for a
// fixed number of positions; one owner (the Session), one thread. Keys and values of some
// positions, and the recurrent part after some token, can be copied out and in again: kept
// beginnings of prompts are made of these.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/memory.h"
#include "base/status.h"
#include "tensor/dtype.h"

namespace larder {

/// What each layer keeps. Layers that keep nothing of a kind have 0 there.
struct LayerStateShape {
  std::int64_t n_kv_heads = 0;  // full attention: [n_kv_heads, capacity, head_dim] twice
  std::int64_t head_dim = 0;
  std::int64_t n_recurrent = 0;    // linear attention: floats of the delta rule's state
  std::int64_t n_convolution = 0;  // floats of the convolution's state
};

struct StateShape {
  std::vector<LayerStateShape> layers;
  DType kv_dtype = DType::kF16;  // of keys and values: F16, or Q8_0 where heads are whole blocks
  bool has_checkpoint = false;   // room for a second copy of the recurrent and convolution states

  /// Bytes of keys and values that one position adds.
  std::uint64_t KvBytesPerToken() const;
  /// Bytes of SessionState::recurrent_part(); 0 when every layer has full attention.
  std::uint64_t RecurrentBytes() const;
  /// Bytes of one session of `capacity` positions.
  std::uint64_t SizeBytes(std::int64_t capacity) const;
};

class SessionState {
 public:
  static Result<SessionState> Allocate(const StateShape& shape, std::int64_t capacity);

  /// Rows of kv_dtype [n_kv_heads, capacity, head_dim]; null for layers without.
  std::byte* keys(int layer) const { return at<std::byte>(layer, 0); }
  std::byte* values(int layer) const { return at<std::byte>(layer, 1); }
  float* recurrent(int layer) const { return at<float>(layer, 2); }
  float* convolution(int layer) const { return at<float>(layer, 3); }

  DType kv_dtype() const { return kv_dtype_; }
  std::int64_t capacity() const { return capacity_; }
  std::int64_t n_tokens() const { return n_tokens_; }
  void Advance(std::int64_t n_tokens) { n_tokens_ += n_tokens; }

  /// Forgets everything, the checkpoint too; the memory stays.
  void Clear();

  /// The recurrent and convolution states of all layers, [RecurrentBytes()].
  std::span<std::byte> recurrent_part() const {
    return {buffer_.data() + recurrent_begin_,
            static_cast<std::size_t>(recurrent_end_ - recurrent_begin_)};
  }
  /// Copies one layer's to its place in `part`, which is like recurrent_part().
  void CopyRecurrent(int layer, std::byte* part) const;

  /// Copies keys and values of positions [first, first + count) out, [count * KvBytesPerToken()] in
  /// an order of its own, or in.
  void SaveKv(std::int64_t first, std::int64_t count, std::byte* out) const;
  void LoadKv(std::int64_t first, std::int64_t count, const std::byte* in);
  /// Copies them from another state of the same shape, whatever its capacity.
  void CopyKv(const SessionState& from, std::int64_t first, std::int64_t count);

  /// Goes back, or on after LoadKv: the next token is at `n_tokens`, whose keys and values before
  /// it are in place and whose recurrent part the caller has put in place.
  void SetTokens(std::int64_t n_tokens);

  /// Remembers this moment: recurrent states are copied, keys and values stay where they are. One
  /// at a time; needs a shape with a checkpoint.
  void SetCheckpoint();
  /// Back to the checkpoint, which stays.
  void RestoreCheckpoint();
  /// Its position; -1: there is none.
  std::int64_t checkpoint_tokens() const { return checkpoint_tokens_; }

 private:
  template <typename T>
  T* at(int layer, int part) const {
    const std::int64_t offset = offsets_[static_cast<std::size_t>(layer) * 4 + part];
    return offset < 0 ? nullptr : reinterpret_cast<T*>(buffer_.data() + offset);
  }

  template <typename Visit>
  void VisitKv(std::int64_t first, std::int64_t count, Visit visit) const;

  PageBuffer buffer_;
  StateShape shape_;
  std::vector<std::int64_t> offsets_;  // [n_layers, 4], -1 where a layer keeps nothing
  std::uint64_t recurrent_begin_ = 0;  // recurrent and convolution parts lie behind the KV caches
  std::uint64_t recurrent_end_ = 0;
  DType kv_dtype_ = DType::kF16;
  std::uint64_t recurrent_bytes_ = 0;
  std::uint64_t checkpoint_begin_ = 0;  // behind them, where there is one
  std::int64_t checkpoint_tokens_ = -1;
  std::int64_t capacity_ = 0;
  std::int64_t n_tokens_ = 0;
};

}  // namespace larder
