// For tests of this room: a bank of random bytes in temporary files, and a reader that completes in
// random order, late, and with faults of choice. It touches the target only when it completes, so
// that a slot reused too early shows as wrong bytes.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/memory.h"
#include "base/random.h"
#include "experts/expert_bank.h"
#include "experts/expert_store.h"
#include "io/async_reader.h"
#include "io/test_readers.h"

namespace larder::testing {

struct BankShape {
  int n_layers = 3;
  int n_experts = 8;
  int n_used = 2;
  std::int64_t d_model = 64;
  std::int64_t d_ff = 96;
  bool fused = false;
  std::uint64_t first_offset = 1376;          // of no alignment that matters
  std::vector<DType> dtypes = {DType::kF16};  // of layer i: dtypes[i % size]
  bool down_in_second_file = false;
};

class TestBank {
 public:
  explicit TestBank(const BankShape& shape) {
    bank.n_experts = shape.n_experts;
    bank.n_used = shape.n_used;
    std::array<std::uint64_t, 2> ends = {shape.first_offset, shape.first_offset};
    for (int i = 0; i < shape.n_layers; ++i) {
      const DType dtype = shape.dtypes[static_cast<std::size_t>(i) % shape.dtypes.size()];
      ExpertLayerLayout layer;
      layer.fused_gate_up = shape.fused;
      const auto add = [&](std::int64_t n_rows, std::int64_t n_cols, int file) {
        const std::uint64_t size_bytes =
            RowBytes(dtype, n_cols) * static_cast<std::uint64_t>(n_rows);
        auto& end = ends[static_cast<std::size_t>(file)];
        layer.slabs.push_back({file, end, size_bytes, dtype, n_rows, n_cols});
        end += size_bytes * static_cast<std::uint64_t>(shape.n_experts) + 32;
      };
      if (shape.fused) {
        add(2 * shape.d_ff, shape.d_model, 0);
      } else {
        add(shape.d_ff, shape.d_model, 0);
        add(shape.d_ff, shape.d_model, 0);
      }
      add(shape.d_model, shape.d_ff, shape.down_in_second_file ? 1 : 0);
      bank.layers.push_back(layer);
    }
    for (int file = 0; file < 2; ++file) {
      const auto index = static_cast<std::size_t>(file);
      // Nothing behind the last slab: its superset reaches past the end of the file.
      contents_[index] = RandomBytes(ends[index] - 32 * (ends[index] > shape.first_offset), file);
      paths_[index] = WriteTemporary(contents_[index]);
      auto opened = File::Open(paths_[index]);
      LARDER_CHECK(opened.ok());
      std::remove(paths_[index].c_str());  // it lives as long as it is open, death tests included
      directory_.AddFile(std::move(*opened));
    }
    bank.directory = &directory_;
  }
  TestBank(const TestBank&) = delete;
  TestBank& operator=(const TestBank&) = delete;

  std::span<const std::byte> Slab(int layer, std::size_t slab, int expert) const {
    const SlabLayout& layout = bank.layers[static_cast<std::size_t>(layer)].slabs[slab];
    return std::span(contents_[static_cast<std::size_t>(layout.file_index)])
        .subspan(layout.offset + static_cast<std::uint64_t>(expert) * layout.size_bytes,
                 layout.size_bytes);
  }

  /// Every byte and shape of the three views.
  bool Matches(int layer, const ExpertHandle& handle) const {
    const ExpertLayerLayout& layout = bank.layers[static_cast<std::size_t>(layer)];
    const ExpertWeights& weights = handle.weights();
    const SlabLayout& down = layout.slabs.back();
    if (weights.down.n_rows != down.n_rows || weights.down.n_cols != down.n_cols) return false;
    if (weights.gate.n_rows != down.n_cols || weights.up.n_rows != down.n_cols) return false;
    if (weights.gate.n_cols != down.n_rows || weights.up.n_cols != down.n_rows) return false;
    const auto first = Slab(layer, 0, handle.expert());
    const std::size_t half = first.size() / 2;
    const auto gate = layout.fused_gate_up ? first.first(half) : first;
    const auto up = layout.fused_gate_up ? first.subspan(half) : Slab(layer, 1, handle.expert());
    return Same(weights.gate, gate) && Same(weights.up, up) &&
           Same(weights.down, Slab(layer, layout.slabs.size() - 1, handle.expert()));
  }

  const std::string& path(int file) const { return paths_[static_cast<std::size_t>(file)]; }
  const File& file(int index) const { return directory_.file(index); }
  const TensorDirectory* directory() const { return &directory_; }
  std::span<const std::byte> contents(int file) const {
    return contents_[static_cast<std::size_t>(file)];
  }

  ExpertBank bank;

 private:
  static bool Same(const WeightView& view, std::span<const std::byte> bytes) {
    return view.size_bytes() == bytes.size() &&
           std::memcmp(view.data, bytes.data(), bytes.size()) == 0;
  }
  static std::vector<std::byte> RandomBytes(std::uint64_t size_bytes, int seed) {
    SplitMix64 random(static_cast<std::uint64_t>(seed) + 77);
    std::vector<std::byte> bytes(size_bytes);
    for (std::byte& byte : bytes) byte = static_cast<std::byte>(random.Next());
    return bytes;
  }
  static std::string WriteTemporary(const std::vector<std::byte>& bytes) {
    std::string path = ::testing::TempDir() + "larder_experts_XXXXXX";
    const int fd = mkstemp(path.data());
    LARDER_CHECK(fd >= 0);
    LARDER_CHECK(write(fd, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
    close(fd);
    return path;
  }

  TensorDirectory directory_;
  std::array<std::string, 2> paths_;
  std::array<std::vector<std::byte>, 2> contents_;
};

class ShufflingReader final : public AsyncReader {
 public:
  explicit ShufflingReader(std::uint64_t seed) : random_(seed) {}

  std::string name() const override { return "shuffling"; }

  Status Submit(std::span<const ReadRequest> requests) override {
    if (submit_fails) return IoError("the reader is broken");
    batches.emplace_back(requests.begin(), requests.end());
    for (const ReadRequest& request : requests) {
      for (const Pending& other : pending_) {
        EXPECT_TRUE(request.dst + request.size_bytes <= other.request.dst ||
                    other.request.dst + other.request.size_bytes <= request.dst)
            << "two reads in flight into the same bytes";
      }
      if (request.direct) {
        EXPECT_EQ(request.offset % 4096, 0u);
        EXPECT_EQ(request.size_bytes % 4096, 0u);
        EXPECT_EQ(reinterpret_cast<std::uintptr_t>(request.dst) % 4096, 0u);
      }
      const FaultKind kind = decide ? decide(n_submitted_, request) : FaultKind::kNone;
      ++n_submitted_;
      const int patience =
          static_cast<int>(random_.NextBelow(3)) + (kind == FaultKind::kLate ? 50 : 0);
      pending_.push_back({request, kind, patience});
    }
    return Status::Ok();
  }

  Result<std::size_t> Reap(std::span<ReadCompletion> out, std::int64_t timeout_us) override {
    if (reap_fails) return IoError("the reader is broken");
    std::size_t n_out = 0;
    while (n_out == 0 && !pending_.empty()) {
      for (Pending& pending : pending_) --pending.patience;
      for (std::size_t i = pending_.size(); i > 0; --i) {
        std::swap(pending_[i - 1], pending_[random_.NextBelow(i)]);
      }
      for (std::size_t i = pending_.size(); i > 0 && n_out < out.size(); --i) {
        if (pending_[i - 1].patience > 0) continue;
        out[n_out++] = Finish(pending_[i - 1]);
        pending_.erase(pending_.begin() + static_cast<std::ptrdiff_t>(i - 1));
      }
      if (timeout_us == 0) break;
    }
    return n_out;
  }

  std::size_t n_in_flight() const override { return pending_.size(); }
  std::uint64_t n_submitted() const { return n_submitted_; }

  /// What happens to the n-th read.
  std::function<FaultKind(std::uint64_t n, const ReadRequest&)> decide;
  std::vector<std::vector<ReadRequest>> batches;  // of every Submit
  bool submit_fails = false;
  bool reap_fails = false;

 private:
  struct Pending {
    ReadRequest request;
    FaultKind kind;
    int patience;  // Reap calls until it completes
  };

  ReadCompletion Finish(const Pending& pending) {
    const ReadRequest& request = pending.request;
    const ssize_t n_read = pread(request.file->cached_fd(), request.dst, request.size_bytes,
                                 static_cast<off_t>(request.offset));
    LARDER_CHECK(n_read >= 0);
    ReadCompletion completion{request.tag, static_cast<std::size_t>(n_read), 0};
    const std::size_t spoiled = completion.size_bytes / 2;
    switch (pending.kind) {
      case FaultKind::kError:
        completion = {request.tag, 0, EIO};
        break;
      case FaultKind::kShort:
        completion.size_bytes = spoiled;
        break;
      case FaultKind::kCorrupt:
        completion.size_bytes = request.size_bytes + 4096;
        break;
      default:
        return completion;
    }
    std::memset(request.dst + spoiled, 0xee, static_cast<std::size_t>(n_read) - spoiled);
    return completion;
  }

  SplitMix64 random_;
  std::uint64_t n_submitted_ = 0;
  std::vector<Pending> pending_;
};

/// `count` distinct experts in random order.
inline std::vector<std::int32_t> SomeExperts(SplitMix64& random, int n_experts, int count) {
  std::vector<std::int32_t> all;
  for (int i = 0; i < n_experts; ++i) all.push_back(i);
  for (int i = n_experts - 1; i > 0; --i) {
    std::swap(all[static_cast<std::size_t>(i)],
              all[random.NextBelow(static_cast<std::uint64_t>(i) + 1)]);
  }
  all.resize(static_cast<std::size_t>(count));
  return all;
}

/// Carries a request through, comparing every byte of every expert when it is handed out and when
/// it is given back; handles are kept for a while at random, as far as the store allows it.
inline Status RunRequest(ExpertStore& store, const TestBank& bank, int layer,
                         std::span<const std::int32_t> experts, std::size_t max_experts,
                         SplitMix64& random) {
  LARDER_RETURN_IF_ERROR(store.Request(layer, experts));
  std::vector<std::int32_t> seen;
  std::vector<ExpertHandle> held;
  while (store.n_pending() > 0) {
    const std::size_t n_pending = store.n_pending();
    const std::size_t n_held = held.size();
    LARDER_RETURN_IF_ERROR(store.Next(max_experts, &held));
    EXPECT_GT(held.size(), n_held);
    EXPECT_LE(held.size() - n_held, max_experts);
    EXPECT_EQ(store.n_pending(), n_pending - (held.size() - n_held));
    for (std::size_t i = n_held; i < held.size(); ++i) {
      EXPECT_TRUE(bank.Matches(layer, held[i])) << "expert " << held[i].expert();
      EXPECT_TRUE(store.IsResident(layer, held[i].expert()));
      seen.push_back(held[i].expert());
    }
    if (held.size() < store.MaxWave(layer) && random.NextBelow(2) == 0) continue;
    for (const ExpertHandle& handle : held) EXPECT_TRUE(bank.Matches(layer, handle));
    held.clear();
  }
  for (const ExpertHandle& handle : held) EXPECT_TRUE(bank.Matches(layer, handle));
  std::vector<std::int32_t> wanted(experts.begin(), experts.end());
  std::sort(wanted.begin(), wanted.end());
  std::sort(seen.begin(), seen.end());
  EXPECT_EQ(seen, wanted);
  return Status::Ok();
}

}  // namespace larder::testing
