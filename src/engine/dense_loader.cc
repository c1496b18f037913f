// Runs of neighbouring dense tensors, read in pieces of 4 MiB.
#include "engine/dense_loader.h"

#include <algorithm>

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

std::vector<ReadRequest> PlanReads(const TensorDirectory& directory, const std::vector<Run>& runs,
                                   std::byte* arena, bool direct) {
  std::vector<ReadRequest> reads;
  for (const Run& run : runs) {
    const File& file = directory.file(run.file_index);
    for (std::uint64_t at = run.begin; at < run.end; at += kPieceBytes) {
      reads.push_back({.file = &file,
                       .offset = at,
                       .size_bytes = std::min(kPieceBytes, run.end - at),
                       .dst = arena + run.arena_offset + (at - run.begin),
                       .direct = direct,
                       .tag = reads.size()});
    }
  }
  return reads;
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
  const std::vector<ReadRequest> reads = PlanReads(directory, runs, arena.memory.data(), direct);
  std::uint64_t done_bytes = 0;
  for (std::size_t i = 0; i < reads.size(); i += kPiecesAtOnce) {
    const std::size_t count = std::min(kPiecesAtOnce, reads.size() - i);
    const std::span<const ReadRequest> batch(reads.data() + i, count);
    LARDER_RETURN_IF_ERROR(ReadAll(*reader, batch).WithContext("reading the dense weights"));
    for (const ReadRequest& read : batch) done_bytes += read.size_bytes;
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
