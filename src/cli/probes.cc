// The probes of disk and memory.
#include "cli/probes.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <memory>
#include <system_error>
#include <vector>

#include "base/clock.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/thread_pool.h"
#include "io/test_readers.h"

namespace larder {

namespace {

constexpr std::size_t kWordsPerPiece = (std::size_t{4} << 20) / sizeof(std::uint64_t);

// Eight sums, so that additions do not wait for each other.
std::uint64_t SumWords(const std::uint64_t* words, std::size_t n_words) {
  std::uint64_t sums[8] = {};
  for (std::size_t i = 0; i + 8 <= n_words; i += 8) {
    for (std::size_t j = 0; j < 8; ++j) sums[j] += words[i + j];
  }
  std::uint64_t total = 0;
  for (const std::uint64_t sum : sums) total += sum;
  return total;
}

}  // namespace

std::uint64_t MemoryProbeBytes(std::optional<std::uint64_t> budget_bytes,
                               const std::string& model_path) {
  constexpr std::uint64_t kLeastOfModel = std::uint64_t{64} << 20;
  constexpr std::uint64_t kLeastBytes = std::uint64_t{256} << 20;
  constexpr std::uint64_t kMostBytes = std::uint64_t{2} << 30;
  std::uint64_t n_bytes = kLeastBytes;
#ifdef _SC_LEVEL3_CACHE_SIZE
  // Servers have caches of several hundred MiB, of which a rented share sees all.
  const std::int64_t cache_bytes = sysconf(_SC_LEVEL3_CACHE_SIZE);
  if (cache_bytes > 0) {
    n_bytes = std::clamp(4 * static_cast<std::uint64_t>(cache_bytes), kLeastBytes, kMostBytes);
  }
#endif
  if (budget_bytes) n_bytes = std::min(n_bytes, *budget_bytes / 4);
  std::error_code error;
  const std::uintmax_t model_bytes = std::filesystem::file_size(model_path, error);
  if (!error) n_bytes = std::min<std::uint64_t>(n_bytes, std::max(model_bytes, kLeastOfModel));
  return std::max<std::uint64_t>(n_bytes, 1 << 20);
}

Result<double> ProbeMemoryRate(int n_threads, std::uint64_t buffer_bytes) {
  LARDER_ASSIGN_OR_RETURN(PageBuffer buffer,
                          PageBuffer::Allocate(static_cast<std::size_t>(buffer_bytes), true));
  ThreadPool pool(n_threads);
  auto* words = reinterpret_cast<std::uint64_t*>(buffer.data());
  const std::size_t n_pieces =
      std::max<std::size_t>(1, buffer.size_bytes() / sizeof(std::uint64_t) / kWordsPerPiece);
  const std::size_t n_words =
      std::min(n_pieces * kWordsPerPiece, buffer.size_bytes() / sizeof(std::uint64_t));
  std::atomic<std::uint64_t> sink{0};
  std::vector<double> rates;
  for (int round = 0; round < 8; ++round) {
    const std::int64_t start_us = NowUs();
    pool.ParallelFor(n_pieces, 1, [&](std::size_t begin, std::size_t end, int) {
      const std::size_t first = begin * kWordsPerPiece;
      const std::size_t last = std::min(end * kWordsPerPiece, n_words);
      // The first round makes the pages; untouched ones would all be one page of zeros.
      if (round == 0) std::fill(words + first, words + last, first + 1);
      sink.fetch_add(SumWords(words + first, last - first), std::memory_order_relaxed);
    });
    const double seconds = std::max(SecondsSince(start_us), 1e-6);
    if (round > 0) {
      rates.push_back(static_cast<double>(n_words * sizeof(std::uint64_t)) / seconds);
    }
  }
  LARDER_CHECK(sink.load() != 0);
  // The median: on shared machines single rounds are off by a factor of two either way.
  std::nth_element(rates.begin(), rates.begin() + 3, rates.end());
  return rates[3];
}

namespace {

// Keeps `depth` reads of random records in flight and counts the bytes that come back.
class DiskProbe {
 public:
  DiskProbe(const ExpertBank& bank, const DiskProbeOptions& options, AsyncReader* reader)
      : bank_(bank), options_(options), reader_(reader), random_(options.seed) {}

  Result<double> Run() {
    std::size_t largest_bytes = 0;
    for (const ExpertLayerLayout& layer : bank_.layers) {
      for (const SlabLayout& slab : layer.slabs) {
        largest_bytes = std::max(largest_bytes, static_cast<std::size_t>(slab.size_bytes));
      }
    }
    const std::size_t slot_bytes = AlignUp(largest_bytes, kMaxAlignment) + kMaxAlignment;
    const auto n_slots = static_cast<std::size_t>(options_.depth);
    LARDER_ASSIGN_OR_RETURN(PageBuffer buffer, PageBuffer::Allocate(slot_bytes * n_slots, true));
    buffer_ = std::move(buffer);
    // Touching the buffer is no part of the disk's time.
    std::fill(buffer_.data(), buffer_.data() + buffer_.size_bytes(), std::byte{0});
    slot_bytes_ = slot_bytes;
    const std::int64_t start_us = NowUs();
    for (std::size_t slot = 0; slot < n_slots; ++slot) LARDER_RETURN_IF_ERROR(SubmitNext(slot));
    std::uint64_t n_bytes = 0;
    std::vector<ReadCompletion> done(n_slots);
    while (reader_->n_in_flight() > 0) {
      LARDER_ASSIGN_OR_RETURN(const std::size_t n_done, reader_->Reap(done, -1));
      for (std::size_t i = 0; i < n_done; ++i) {
        if (done[i].error != 0) return IoError("the disk probe could not read the model file");
        n_bytes += done[i].size_bytes;
        const bool more =
            SecondsSince(start_us) < options_.max_seconds && n_bytes < options_.max_bytes;
        if (more) LARDER_RETURN_IF_ERROR(SubmitNext(static_cast<std::size_t>(done[i].tag)));
      }
    }
    return static_cast<double>(n_bytes) / std::max(SecondsSince(start_us), 1e-6);
  }

 private:
  static constexpr std::size_t kMaxAlignment = 64 << 10;

  // The slabs of one random record after the other, as a miss reads them.
  const SlabLayout& NextSlab() {
    const std::vector<SlabLayout>* slabs = &bank_.layers[layer_].slabs;
    if (next_slab_ >= slabs->size()) {
      layer_ = static_cast<std::size_t>(random_.NextBelow(bank_.layers.size()));
      expert_ = random_.NextBelow(static_cast<std::uint64_t>(bank_.n_experts));
      next_slab_ = 0;
      slabs = &bank_.layers[layer_].slabs;
    }
    return (*slabs)[next_slab_++];
  }

  Status SubmitNext(std::size_t slot) {
    const SlabLayout& slab = NextSlab();
    const File& file = bank_.directory->file(slab.file_index);
    const std::uint64_t begin = slab.offset + expert_ * slab.size_bytes;
    const std::size_t alignment = file.direct_alignment();
    LARDER_CHECK(alignment <= kMaxAlignment);
    ReadRequest request;
    request.file = &file;
    request.direct = options_.direct;
    request.offset = options_.direct ? AlignDown(begin, alignment) : begin;
    const std::uint64_t end = begin + slab.size_bytes;
    request.size_bytes = static_cast<std::size_t>(
        (options_.direct ? AlignUp(end, alignment) : end) - request.offset);
    request.dst = buffer_.data() + slot * slot_bytes_;
    request.tag = slot;
    return reader_->Submit({&request, 1});
  }

  const ExpertBank& bank_;
  const DiskProbeOptions& options_;
  AsyncReader* reader_;
  SplitMix64 random_;
  PageBuffer buffer_;
  std::size_t slot_bytes_ = 0;
  std::size_t layer_ = 0;
  std::uint64_t expert_ = 0;
  std::size_t next_slab_ = SIZE_MAX;
};

}  // namespace

Result<double> ProbeDiskRate(const ExpertBank& bank, const DiskProbeOptions& options) {
  if (bank.layers.empty() || bank.n_experts == 0) {
    return InvalidArgument("the model has no experts to read");
  }
  AsyncReaderOptions reader_options;
  reader_options.mode = options.mode;
  reader_options.depth = options.depth;
  LARDER_ASSIGN_OR_RETURN(std::unique_ptr<AsyncReader> reader, MakeAsyncReader(reader_options));
  if (options.throttle_bytes_per_second > 0) {
    reader = MakeThrottlingReader(std::move(reader), options.throttle_bytes_per_second);
  }
  DiskProbe probe(bank, options, reader.get());
  Result<double> rate = probe.Run();
  if (rate.ok()) return rate;
  // Reads still in flight write into the probe's buffer: they must end before it does.
  std::vector<ReadCompletion> rest(static_cast<std::size_t>(options.depth));
  while (reader->n_in_flight() > 0) {
    const Result<std::size_t> reaped = reader->Reap(rest, -1);
    if (!reaped.ok()) break;
  }
  return rate;
}

}  // namespace larder
