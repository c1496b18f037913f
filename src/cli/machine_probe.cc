// The probes of products and of the delta rule, and all probes together.
#include "cli/machine_probe.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <span>

#include "base/check.h"
#include "base/clock.h"
#include "base/isa.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/thread_pool.h"
#include "cli/disk_probe.h"
#include "cli/machine_info.h"
#include "cli/probes.h"
#include "cli/random_blocks.h"
#include "kernels/cpu_ops.h"
#include "tensor/codec.h"

namespace larder {

namespace {

constexpr std::int64_t kColumns = 2048;
constexpr std::int64_t kRowsOfOne = 4096;  // of one matrix
constexpr std::uint64_t kQuickProductBytes = std::uint64_t{128} << 20;
constexpr std::int64_t kHeads = 32;
constexpr std::int64_t kStateDim = 128;

double MedianOf(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// Seconds of `work`, the median of several calls.
template <typename Work>
double MedianSeconds(int n_rounds, const Work& work) {
  std::vector<double> seconds;
  for (int round = 0; round < n_rounds; ++round) {
    const std::int64_t start_us = NowUs();
    work();
    seconds.push_back(std::max(SecondsSince(start_us), 1e-6));
  }
  return MedianOf(seconds);
}

// Matrices of one type, one after the other in memory, and inputs and outputs for them.
class ProductProbe {
 public:
  /// `memory` is borrowed, and has room for two matrices at least.
  ProductProbe(DType dtype, Ops* ops, const PageBuffer& memory)
      : dtype_(dtype),
        ops_(ops),
        n_matrices_(memory.size_bytes() / matrix_bytes()),
        weights_(memory.data()) {
    LARDER_CHECK(n_matrices_ >= 2);
    SplitMix64 random(1);
    const std::span<std::byte> first(weights_, matrix_bytes());
    if (HasEncoder(dtype)) {
      RandomBlocks(dtype, 0.02f, 1).Fill(&random, first);
    } else {
      std::fill(first.begin(), first.end(), std::byte{0x11});  // as fast as any other contents
    }
    for (std::size_t i = 1; i < n_matrices_; ++i) {
      std::copy(first.begin(), first.end(), weights_ + i * matrix_bytes());
    }
    input_.resize(static_cast<std::size_t>(kColumns) * 64);
    for (float& value : input_) value = static_cast<float>(random.NextUnit()) - 0.5f;
    output_.resize(static_cast<std::size_t>(kRowsOfOne) * 64);
  }

  /// Seconds of `n_tokens` with `n_matrices` of the matrices, at most all.
  double Seconds(std::int64_t n_tokens, std::size_t n_matrices, int n_rounds) {
    n_matrices = std::min(n_matrices, n_matrices_);
    const ConstMatrix x(input_.data(), n_tokens, kColumns);
    std::size_t next = 0;
    return MedianSeconds(
               n_rounds,
               [&] {
                 for (std::size_t i = 0; i < n_matrices; ++i) {
                   const std::size_t matrix = next++ % n_matrices_;
                   const WeightView view{weights_ + matrix * matrix_bytes(), dtype_, kRowsOfOne,
                                         kColumns};
                   const Product product{view, Matrix(output_.data(), n_tokens, kRowsOfOne)};
                   ops_->MatMul(x, {&product, 1});
                 }
               }) /
           static_cast<double>(n_matrices);
  }

  std::size_t n_matrices() const { return n_matrices_; }
  std::size_t matrix_bytes() const { return RowBytes(dtype_, kColumns) * std::size_t{kRowsOfOne}; }

 private:
  DType dtype_ = DType::kF32;
  Ops* ops_ = nullptr;
  std::size_t n_matrices_ = 0;
  std::byte* weights_ = nullptr;
  std::vector<float> input_;
  std::vector<float> output_;
};

ProductRate ProbeProduct(DType dtype, Ops* ops, const PageBuffer& memory, bool quick) {
  ProductProbe probe(dtype, ops, memory);
  const double n_elements = static_cast<double>(kColumns * kRowsOfOne);
  const int n_rounds = quick ? 3 : 7;
  const auto few = static_cast<std::int64_t>(ProductRate::kFewTokens);
  const auto many = static_cast<std::int64_t>(ProductRate::kManyTokens);
  ProductRate rate;
  rate.dtype = dtype;
  rate.bytes_per_second =
      static_cast<double>(probe.matrix_bytes()) / probe.Seconds(1, probe.n_matrices(), n_rounds);
  rate.few_multiply_adds_per_second =
      static_cast<double>(few) * n_elements / probe.Seconds(few, probe.n_matrices(), n_rounds);
  rate.multiply_adds_per_second =
      static_cast<double>(many) * n_elements / probe.Seconds(many, 2, n_rounds);
  return rate;
}

// Bytes of the delta rule's state per second, one token: the states of several layers in turn.
double ProbeState(Ops* ops, int n_rounds) {
  constexpr std::size_t kLayers = 16;
  const std::size_t state_floats = static_cast<std::size_t>(kHeads * kStateDim * kStateDim);
  std::vector<float> states(state_floats * kLayers);
  const std::size_t n = static_cast<std::size_t>(kHeads * kStateDim);
  std::vector<float> q(n, 0.1f), k(n, 0.1f), v(n, 0.1f), out(n), small(kHeads, -0.1f);
  const auto heads = [&](float* data) {
    return Heads{data, 1, kHeads, kStateDim, kHeads * kStateDim, kStateDim};
  };
  const double seconds = MedianSeconds(n_rounds, [&] {
    for (std::size_t layer = 0; layer < kLayers; ++layer) {
      DeltaRuleArgs args;
      args.q = heads(q.data());
      args.k = heads(k.data());
      args.v = heads(v.data());
      args.a = ConstMatrix(small.data(), 1, kHeads);
      args.b = ConstMatrix(small.data(), 1, kHeads);
      args.neg_exp_a = small.data();
      args.dt_bias = small.data();
      args.state = states.data() + layer * state_floats;
      args.out = heads(out.data());
      ops->GatedDeltaRule(args);
    }
  });
  return static_cast<double>(kLayers * state_floats * sizeof(float)) / seconds;
}

// A layer's operations (norms, rope, router, three per expert, sums) are some forty rounds of the
// pool; what they cost beside their work.
double ProbeLayerOverhead(ThreadPool* pool, int n_rounds) {
  constexpr int kOperations = 40;
  std::vector<float> values(2048, 1.0f);
  return MedianSeconds(n_rounds, [&] {
    for (int i = 0; i < kOperations; ++i) {
      pool->ParallelFor(2, 1, [&](std::size_t begin, std::size_t end, int) {
        for (std::size_t j = begin * 1024; j < end * 1024; ++j) values[j] *= 0.999f;
      });
    }
  });
}

Status ProbeDisk(const MachineProbeOptions& options, MachineFigures* figures) {
  const std::uint64_t size_bytes = std::uint64_t{options.quick ? 256u : 1024u} << 20;
  if (options.on_step)
    options.on_step(fmt::format("writing {} MiB to measure the disk", size_bytes >> 20));
  LARDER_ASSIGN_OR_RETURN(const DiskProbeFile file,
                          DiskProbeFile::Write(options.folder, size_bytes, options.interrupted));
  const std::vector<std::uint64_t> sizes =
      options.quick ? std::vector<std::uint64_t>{256 << 10, 1024 << 10}
                    : std::vector<std::uint64_t>{64 << 10, 256 << 10, 576 << 10, 2048 << 10};
  const std::vector<int> depths =
      options.quick ? std::vector<int>{2, 16} : std::vector<int>{1, 3, 6, 16};
  const int n_rounds = options.quick ? 3 : 6;
  const double seconds = options.quick ? 0.12 : 0.2;
  if (options.on_step) options.on_step("reading from the disk");
  std::vector<std::vector<double>> rates(sizes.size() * depths.size());
  std::vector<double> cpu_seconds;  // of reads as large as a slab, many in flight
  // Whole rounds, so that a disk that changes from second to second changes for all alike.
  for (int round = 0; round < n_rounds; ++round) {
    for (std::size_t i = 0; i < rates.size(); ++i) {
      if (options.interrupted && options.interrupted()) return Cancelled("interrupted");
      LARDER_ASSIGN_OR_RETURN(
          const DiskRound result,
          file.Read(sizes[i / depths.size()], depths[i % depths.size()], seconds, options.mode,
                    static_cast<std::uint64_t>(round) * 1000 + i + 1));
      rates[i].push_back(result.bytes_per_second);
      if (i / depths.size() + 2 == sizes.size()) cpu_seconds.push_back(result.cpu_seconds_per_read);
    }
  }
  figures->read_cpu_seconds = MedianOf(std::move(cpu_seconds));
  for (std::size_t i = 0; i < rates.size(); ++i) {
    const auto [lowest, highest] = std::minmax_element(rates[i].begin(), rates[i].end());
    figures->disk_rates.push_back({sizes[i / depths.size()], depths[i % depths.size()],
                                   MedianOf(rates[i]), *lowest, *highest});
  }
  return Status::Ok();
}

}  // namespace

Status ProbeProducts(const MachineProbeOptions& options, const std::vector<DType>& types,
                     MachineFigures* figures) {
  LARDER_ASSIGN_OR_RETURN(const Isa isa, ChooseIsa());
  ThreadPool pool(options.n_threads);
  OpsLimits limits;
  limits.max_tokens = static_cast<std::int64_t>(ProductRate::kManyTokens);
  limits.max_input_dim = kHeads * kStateDim;
  LARDER_ASSIGN_OR_RETURN(const std::unique_ptr<Ops> ops, MakeCpuOps(isa, &pool, limits));
  // Beyond the caches: a rented share of a server sees hundreds of MiB of them.
  PageBuffer memory;
  for (const DType dtype : types) {
    const bool is_known =
        std::any_of(figures->products.begin(), figures->products.end(),
                    [dtype](const ProductRate& rate) { return rate.dtype == dtype; });
    if (is_known) continue;
    if (options.interrupted && options.interrupted()) return Cancelled("interrupted");
    if (options.on_step) options.on_step(fmt::format("products with {}", DTypeName(dtype)));
    if (memory.size_bytes() == 0) {
      const std::uint64_t n_bytes =
          options.quick ? kQuickProductBytes : MemoryProbeBytes(std::nullopt, "");
      LARDER_ASSIGN_OR_RETURN(memory, PageBuffer::Allocate(n_bytes, true));
    }
    figures->products.push_back(ProbeProduct(dtype, ops.get(), memory, options.quick));
  }
  if (figures->state_bytes_per_second == 0) {
    figures->state_bytes_per_second = ProbeState(ops.get(), options.quick ? 5 : 15);
    figures->layer_overhead_seconds = ProbeLayerOverhead(&pool, 25);
  }
  return Status::Ok();
}

Result<MachineFigures> ProbeMachine(const MachineProbeOptions& options) {
  MachineFigures figures;
  figures.name = CpuName();
  figures.disk = DiskName(options.folder);
  figures.n_threads = options.n_threads;
  const std::int64_t n_pages = sysconf(_SC_PHYS_PAGES);
  if (n_pages > 0) figures.memory_bytes = static_cast<std::uint64_t>(n_pages) * kPageBytes;
  figures.disk_free_bytes = FreeDiskBytes(options.folder);
  LARDER_RETURN_IF_ERROR(ProbeDisk(options, &figures));
  if (options.on_step) options.on_step("reading memory");
  LARDER_ASSIGN_OR_RETURN(figures.memory_bytes_per_second,
                          ProbeMemoryRate(options.n_threads, MemoryProbeBytes(std::nullopt, "")));
  LARDER_RETURN_IF_ERROR(ProbeProducts(options, options.types, &figures));
  return figures;
}

}  // namespace larder
