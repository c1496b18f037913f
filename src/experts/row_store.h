// RowStore: rows of one matrix (the token embedding), either resident or read from the file when
// asked for. One engine thread; no expert read may be in flight during Fetch.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "base/memory.h"
#include "base/status.h"
#include "experts/expert_bank.h"
#include "io/async_reader.h"
#include "tensor/tensor_view.h"

namespace larder {

class RowStore {
 public:
  virtual ~RowStore() = default;

  /// Gathers the encoded rows into out [rows.size(), row_bytes]. Row numbers must be in range. A
  /// read that fails after its retries is returned, and nothing of `out` is to be used.
  virtual Status Fetch(std::span<const std::int32_t> rows, std::byte* out) = 0;
};

/// Over a matrix in memory, which outlives the store.
std::unique_ptr<RowStore> MakeResidentRowStore(const WeightView& matrix);

/// What MakeStreamedRowStore allocates for Fetch calls of up to `max_rows` rows.
std::uint64_t StreamedRowStoreBytes(const SlabLayout& matrix, std::int64_t max_rows);

/// Over a matrix in a file of `directory`; directory and reader outlive the store.
Result<std::unique_ptr<RowStore>> MakeStreamedRowStore(const TensorDirectory* directory,
                                                       const SlabLayout& matrix,
                                                       AsyncReader* reader, bool direct,
                                                       std::int64_t max_rows);

}  // namespace larder
