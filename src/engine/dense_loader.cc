// Runs of neighbouring dense tensors, read in pieces of 4 MiB.
#include "engine/dense_loader.h"

#include <algorithm>
#include <span>
#include <utility>

#include "experts/retrying_reader.h"

namespace larder {

namespace {

constexpr std::uint64_t kPieceBytes = std::uint64_t{4} << 20;
constexpr std::uint64_t kMergeGapBytes = std::uint64_t{64} << 10;
constexpr std::size_t kPiecesAtOnce = 32;

// A stretch of one file that holds tensors close to each other.
struct Run {
  int file_index = 0;
  std::uint64_t begin = 0;  // aligned for direct reads
  std::uint64_t end = 0;    // aligned too; may lie behind the end of the file
  std::uint64_t arena_offset = 0;
  std::vector<const TensorInfo*> tensors;
};

std::vector<Run> PlanRuns(const TensorDirectory& directory,
                          std::vector<const TensorInfo*> tensors) {
  std::sort(tensors.begin(), tensors.end(), [](const TensorInfo* a, const TensorInfo* b) {
    return a->file_index != b->file_index ? a->file_index < b->file_index : a->offset < b->offset;
  });
  std::vector<Run> runs;
  for (const TensorInfo* tensor : tensors) {
    const std::uint64_t alignment = directory.file(tensor->file_index).direct_alignment();
    const std::uint64_t begin = AlignDown(tensor->offset, alignment);
    const std::uint64_t end = AlignUp(tensor->offset + tensor->size_bytes, alignment);
    if (runs.empty() || runs.back().file_index != tensor->file_index ||
        begin > runs.back().end + kMergeGapBytes) {
      Run& run = runs.emplace_back();
      run.file_index = tensor->file_index;
      run.begin = begin;
      run.end = end;
    }
    runs.back().end = std::max(runs.back().end, end);
    runs.back().tensors.push_back(tensor);
  }
  std::uint64_t arena_offset = 0;
  for (Run& run : runs) {
    run.arena_offset = arena_offset;
    arena_offset += AlignUp(run.end - run.begin, kPageBytes);
  }
  return runs;
}

std::uint64_t ArenaBytes(const std::vector<Run>& runs) {
  if (runs.empty()) return 0;
  return runs.back().arena_offset + AlignUp(runs.back().end - runs.back().begin, kPageBytes);
}

std::vector<RetryableRead> PlanReads(const TensorDirectory& directory, const std::vector<Run>& runs,
                                     std::byte* arena, bool direct) {
  std::vector<RetryableRead> reads;
  for (const Run& run : runs) {
    const File& file = directory.file(run.file_index);
    for (std::uint64_t at = run.begin; at < run.end; at += kPieceBytes) {
      RetryableRead& read = reads.emplace_back();
      read.file = &file;
      read.offset = at;
      read.size_bytes = std::min(kPieceBytes, run.end - at);
      read.needed_bytes = std::min<std::uint64_t>(read.size_bytes, file.size_bytes() - at);
      read.dst = arena + run.arena_offset + (at - run.begin);
      read.direct = direct;
    }
  }
  return reads;
}

// Waits for all of `reads`; the first that fails for good is returned once none is in flight.
Status ReadPieces(std::span<const RetryableRead> reads, RetryingReader* reader) {
  for (const RetryableRead& read : reads) reader->Add(read);
  std::vector<ReadOutcome> outcomes;
  while (reader->n_open() > 0) {
    LARDER_RETURN_IF_ERROR(reader->Reap(true, &outcomes));
    for (const ReadOutcome& outcome : outcomes) {
      if (outcome.status.ok()) continue;
      const Status failure = outcome.status;
      LARDER_RETURN_IF_ERROR(reader->Abandon(&outcomes));
      return failure;
    }
    outcomes.clear();
  }
  return Status::Ok();
}

}  // namespace

std::uint64_t DenseArenaBytes(const TensorDirectory& directory,
                              const std::vector<const TensorInfo*>& tensors) {
  return ArenaBytes(PlanRuns(directory, tensors));
}

Result<DenseArena> LoadDense(const TensorDirectory& directory,
                             const std::vector<const TensorInfo*>& tensors, AsyncReader* reader,
                             bool direct,
                             const std::function<void(std::uint64_t, std::uint64_t)>& progress) {
  const std::vector<Run> runs = PlanRuns(directory, tensors);
  const std::uint64_t total_bytes = ArenaBytes(runs);
  DenseArena arena;
  LARDER_ASSIGN_OR_RETURN(arena.memory,
                          PageBuffer::Allocate(total_bytes, total_bytes >= 8 * kHugePageBytes));
  const std::vector<RetryableRead> reads = PlanReads(directory, runs, arena.memory.data(), direct);
  ExpertStats uncounted;
  RetryingReader retrying(reader, RetryOptions(), &uncounted);
  std::uint64_t done_bytes = 0;
  for (std::size_t i = 0; i < reads.size(); i += kPiecesAtOnce) {
    const std::size_t count = std::min(kPiecesAtOnce, reads.size() - i);
    const std::span<const RetryableRead> batch(reads.data() + i, count);
    const Status status = ReadPieces(batch, &retrying);
    if (!status.ok()) {
      // A broken reader may still write: its target must stay mapped.
      if (retrying.n_in_flight() > 0) KeepMapped(std::move(arena.memory));
      return status.WithContext("reading the dense weights");
    }
    for (const RetryableRead& read : batch) done_bytes += read.size_bytes;
    if (progress) progress(done_bytes, total_bytes);
  }
  for (const Run& run : runs) {
    for (const TensorInfo* tensor : run.tensors) {
      arena.weights.Add(*tensor,
                        arena.memory.data() + run.arena_offset + (tensor->offset - run.begin));
    }
  }
  return arena;
}

}  // namespace larder
