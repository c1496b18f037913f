// Tests of a session's memory: parts do not overlap, sizes add up, clearing forgets.
#include "state/session_state.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace larder {
namespace {

StateShape MixedShape() {
  StateShape shape;
  shape.layers = {{.n_recurrent = 2 * 16 * 16, .n_convolution = 96},
                  {.n_kv_heads = 2, .head_dim = 32},
                  {.n_kv_heads = 1, .head_dim = 8, .n_recurrent = 5}};
  return shape;
}

std::uint16_t* Halves(std::byte* rows) { return reinterpret_cast<std::uint16_t*>(rows); }

TEST(SessionState, PartsDoNotOverlap) {
  const std::int64_t capacity = 7;
  SessionState state = SessionState::Allocate(MixedShape(), capacity).value();
  std::fill_n(Halves(state.keys(1)), 2 * capacity * 32, std::uint16_t{1});
  std::fill_n(Halves(state.values(1)), 2 * capacity * 32, std::uint16_t{2});
  std::fill_n(Halves(state.keys(2)), capacity * 8, std::uint16_t{3});
  std::fill_n(state.recurrent(0), 512, 4.0f);
  std::fill_n(state.convolution(0), 96, 5.0f);
  std::fill_n(state.recurrent(2), 5, 6.0f);
  EXPECT_TRUE(std::all_of(Halves(state.keys(1)), Halves(state.keys(1)) + 2 * capacity * 32,
                          [](std::uint16_t x) { return x == 1; }));
  EXPECT_TRUE(std::all_of(Halves(state.values(1)), Halves(state.values(1)) + 2 * capacity * 32,
                          [](std::uint16_t x) { return x == 2; }));
  EXPECT_EQ(Halves(state.keys(2))[capacity * 8 - 1], 3);
  EXPECT_EQ(state.recurrent(0)[511], 4.0f);
  EXPECT_EQ(state.convolution(0)[0], 5.0f);
  EXPECT_EQ(state.keys(0), nullptr);
  EXPECT_EQ(state.recurrent(1), nullptr);
}

TEST(SessionState, ClearForgetsRecurrentParts) {
  SessionState state = SessionState::Allocate(MixedShape(), 3).value();
  state.recurrent(0)[17] = 1.0f;
  state.convolution(0)[95] = 1.0f;
  state.recurrent(2)[4] = 1.0f;
  state.Advance(2);
  state.Clear();
  EXPECT_EQ(state.n_tokens(), 0);
  EXPECT_EQ(state.recurrent(0)[17], 0.0f);
  EXPECT_EQ(state.convolution(0)[95], 0.0f);
  EXPECT_EQ(state.recurrent(2)[4], 0.0f);
}

TEST(StateShape, KnownModelTakesWhatIsPublished) {
  // Qwen3.5-35B-A3B: 40 layers, every fourth full attention; 62.9 MB recurrent, 20,480 bytes of KV
  // per token.
  StateShape shape;
  for (int layer = 0; layer < 40; ++layer) {
    if (layer % 4 == 3) {
      shape.layers.push_back({.n_kv_heads = 2, .head_dim = 256});
    } else {
      shape.layers.push_back({.n_recurrent = 32 * 128 * 128, .n_convolution = 8192 * 3});
    }
  }
  const std::uint64_t empty = shape.SizeBytes(0);
  EXPECT_EQ(empty, 30u * (32 * 128 * 128 + 8192 * 3) * 4);
  EXPECT_EQ(shape.SizeBytes(1000) - empty, 1000u * 20480u);
  EXPECT_EQ(shape.KvBytesPerToken(), 20480u);
  shape.kv_dtype = DType::kQ8_0;
  EXPECT_EQ(shape.SizeBytes(1000) - empty, 1000u * 20480u * 34 / 64);
  EXPECT_EQ(shape.KvBytesPerToken(), 20480u * 34 / 64);
}

TEST(SessionState, QuantizedRowsDoNotOverlap) {
  StateShape shape;
  shape.layers = {{.n_kv_heads = 2, .head_dim = 64}};
  shape.kv_dtype = DType::kQ8_0;
  const std::int64_t capacity = 5;
  const SessionState state = SessionState::Allocate(shape, capacity).value();
  EXPECT_EQ(state.kv_dtype(), DType::kQ8_0);
  EXPECT_GE(state.values(0) - state.keys(0), 2 * capacity * 68);
  std::fill_n(state.values(0), 2 * capacity * 68, std::byte{1});
  EXPECT_TRUE(std::all_of(state.keys(0), state.keys(0) + 2 * capacity * 68,
                          [](std::byte x) { return x == std::byte{0}; }));
}

TEST(SessionState, CheckpointBringsRecurrentPartsBack) {
  StateShape shape = MixedShape();
  const std::uint64_t without = shape.SizeBytes(3);
  shape.has_checkpoint = true;
  EXPECT_EQ(shape.SizeBytes(3) - without, (2 * 16 * 16 + 96 + 16) * sizeof(float));
  SessionState state = SessionState::Allocate(shape, 3).value();
  EXPECT_EQ(state.checkpoint_tokens(), -1);
  state.recurrent(0)[511] = 4.0f;
  state.convolution(0)[95] = 5.0f;
  state.keys(1)[0] = std::byte{7};
  state.Advance(2);
  state.SetCheckpoint();
  state.recurrent(0)[511] = 1.0f;
  state.convolution(0)[95] = 1.0f;
  state.recurrent(2)[0] = 9.0f;
  state.Advance(1);
  state.RestoreCheckpoint();
  EXPECT_EQ(state.n_tokens(), 2);
  EXPECT_EQ(state.recurrent(0)[511], 4.0f);
  EXPECT_EQ(state.convolution(0)[95], 5.0f);
  EXPECT_EQ(state.recurrent(2)[0], 0.0f);
  EXPECT_EQ(state.keys(1)[0], std::byte{7});
  EXPECT_EQ(state.checkpoint_tokens(), 2);
  state.Clear();
  EXPECT_EQ(state.checkpoint_tokens(), -1);
}

}  // namespace
}  // namespace larder
