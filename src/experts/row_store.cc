// Row stores: copies out of a resident matrix, or aligned superset reads into a staging buffer of
// fixed size that the store owns.
#include "experts/row_store.h"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "experts/retrying_reader.h"

namespace larder {
namespace {

class ResidentRowStore final : public RowStore {
 public:
  explicit ResidentRowStore(const WeightView& matrix) : matrix_(matrix) {}

  Status Fetch(std::span<const std::int32_t> rows, std::byte* out) override {
    const std::size_t row_bytes = matrix_.row_bytes();
    for (const std::int32_t row : rows) {
      LARDER_CHECK(row >= 0 && row < matrix_.n_rows);
      std::memcpy(out, matrix_.row(row), row_bytes);
      out += row_bytes;
    }
    return Status::Ok();
  }

 private:
  WeightView matrix_;
};

// What one row's read needs at most: its aligned superset.
std::uint64_t StagedRowBytes(std::uint64_t row_bytes, std::uint64_t alignment) {
  return AlignUp(row_bytes + alignment - 1, alignment);
}

class StreamedRowStore final : public RowStore {
 public:
  StreamedRowStore(const File* file, const SlabLayout& matrix, AsyncReader* reader, bool direct,
                   PageBuffer staging)
      : file_(file),
        offset_(matrix.offset),
        row_bytes_(RowBytes(matrix.dtype, matrix.n_cols)),
        n_rows_(matrix.n_rows),
        direct_(direct),
        alignment_(file->direct_alignment()),
        staging_(std::move(staging)),
        reader_(reader),
        reads_(reader, RetryOptions(), &stats_) {}

  ~StreamedRowStore() override {
    // A broken reader may still write: its target must stay mapped.
    if (reads_.n_in_flight() > 0) KeepMapped(std::move(staging_));
  }

  Status Fetch(std::span<const std::int32_t> rows, std::byte* out) override {
    LARDER_CHECK(reader_->n_in_flight() == 0);
    const std::size_t batch_rows = std::max<std::size_t>(1, staging_.size_bytes() / RegionBytes());
    while (!rows.empty()) {
      const std::size_t n_rows = std::min(rows.size(), batch_rows);
      LARDER_RETURN_IF_ERROR(FetchBatch(rows.first(n_rows), out));
      rows = rows.subspan(n_rows);
      out += n_rows * row_bytes_;
    }
    return Status::Ok();
  }

 private:
  std::size_t RegionBytes() const { return StagedRowBytes(row_bytes_, alignment_); }
  std::uint64_t RowOffset(std::int32_t row) const {
    return offset_ + static_cast<std::uint64_t>(row) * row_bytes_;
  }

  // Rows that fit the staging buffer.
  Status FetchBatch(std::span<const std::int32_t> rows, std::byte* out) {
    for (std::size_t i = 0; i < rows.size(); ++i) {
      LARDER_CHECK(rows[i] >= 0 && rows[i] < n_rows_);
      const std::uint64_t offset = RowOffset(rows[i]);
      const std::uint64_t skew = direct_ ? offset % alignment_ : 0;
      RetryableRead read;
      read.file = file_;
      read.offset = offset - skew;
      read.needed_bytes = skew + row_bytes_;
      read.size_bytes = direct_ ? AlignUp(read.needed_bytes, alignment_) : read.needed_bytes;
      read.dst = staging_.data() + i * RegionBytes();
      read.direct = direct_;
      read.owner = i;
      reads_.Add(read);
    }
    const Status status = WaitForAll();
    if (!status.ok()) {
      outcomes_.clear();
      // When even this fails, reads stay in flight and the destructor knows what to do.
      static_cast<void>(reads_.Abandon(&outcomes_));
      return status.WithContext("token embedding");
    }
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const std::uint64_t skew = direct_ ? RowOffset(rows[i]) % alignment_ : 0;
      std::memcpy(out + i * row_bytes_, staging_.data() + i * RegionBytes() + skew, row_bytes_);
    }
    return Status::Ok();
  }

  Status WaitForAll() {
    while (reads_.n_open() > 0) {
      outcomes_.clear();
      LARDER_RETURN_IF_ERROR(reads_.Reap(true, &outcomes_));
      for (const ReadOutcome& outcome : outcomes_) LARDER_RETURN_IF_ERROR(outcome.status);
    }
    return Status::Ok();
  }

  const File* file_;
  std::uint64_t offset_;
  std::size_t row_bytes_;
  std::int64_t n_rows_;
  bool direct_;
  std::uint64_t alignment_;
  PageBuffer staging_;
  AsyncReader* reader_;
  ExpertStats stats_;  // before reads_, which counts into it
  RetryingReader reads_;
  std::vector<ReadOutcome> outcomes_;
};

}  // namespace

std::unique_ptr<RowStore> MakeResidentRowStore(const WeightView& matrix) {
  return std::make_unique<ResidentRowStore>(matrix);
}

std::uint64_t StreamedRowStoreBytes(const SlabLayout& matrix, std::int64_t max_rows) {
  return StagedRowBytes(RowBytes(matrix.dtype, matrix.n_cols), kPageBytes) *
         static_cast<std::uint64_t>(std::max<std::int64_t>(max_rows, 1));
}

Result<std::unique_ptr<RowStore>> MakeStreamedRowStore(const TensorDirectory* directory,
                                                       const SlabLayout& matrix,
                                                       AsyncReader* reader, bool direct,
                                                       std::int64_t max_rows) {
  const File& file = directory->file(matrix.file_index);
  const std::uint64_t row_bytes = RowBytes(matrix.dtype, matrix.n_cols);
  if (matrix.offset > file.size_bytes() ||
      row_bytes > (file.size_bytes() - matrix.offset) / static_cast<std::uint64_t>(matrix.n_rows)) {
    return DataError("{} ends before the token embedding does; download it again", file.path());
  }
  // A device with coarser alignment gets fewer rows at a time, not more memory.
  const std::uint64_t staging_bytes = std::max(StreamedRowStoreBytes(matrix, max_rows),
                                               StagedRowBytes(row_bytes, file.direct_alignment()));
  LARDER_ASSIGN_OR_RETURN(PageBuffer staging, PageBuffer::Allocate(staging_bytes, false));
  if (reinterpret_cast<std::uintptr_t>(staging.data()) % file.direct_alignment() != 0) {
    LARDER_ASSIGN_OR_RETURN(staging, PageBuffer::Allocate(staging_bytes, true));
  }
  return std::unique_ptr<RowStore>(
      std::make_unique<StreamedRowStore>(&file, matrix, reader, direct, std::move(staging)));
}

}  // namespace larder
