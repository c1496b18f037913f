// GGUF v3 writer, in constant memory: declare all tensors, then give their bytes in order. Writes
// to PATH.tmp and renames on Finish; an unfinished file is removed.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "format/metadata.h"
#include "format/tensor_directory.h"

namespace larder {

/// kInvalidArgument when `path`, or the PATH.tmp that is renamed to it, is there and no regular
/// file (a device, a pipe, a folder): renaming would replace it. To be asked before the work.
Status CheckOutputPath(const std::string& path);

class GgufWriter {
 public:
  struct TensorDeclaration {
    std::string name;
    DType dtype = DType::kF32;
    std::vector<std::int64_t> dims;  // fastest first
  };

  /// Creates the file and writes header, metadata and tensor infos. `alignment` is a power of two
  /// of at least 8 and is recorded as general.alignment when it is not 32.
  static Result<std::unique_ptr<GgufWriter>> Create(const std::string& path,
                                                    const Metadata& metadata,
                                                    const std::vector<TensorDeclaration>& tensors,
                                                    std::uint32_t alignment = 32);
  ~GgufWriter();
  GgufWriter(const GgufWriter&) = delete;
  GgufWriter& operator=(const GgufWriter&) = delete;

  /// Appends bytes of the current tensor; when it is full (padded to the alignment by the writer)
  /// the next one begins. Writing beyond the last tensor, or across a tensor's end, is a bug.
  Status Write(std::span<const std::byte> bytes);

  /// All tensors must be complete. Flushes and renames; the disk being full is kIoError.
  Status Finish();

 private:
  struct Impl;
  explicit GgufWriter(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace larder
