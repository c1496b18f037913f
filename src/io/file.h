// An open file: opened once, read from any thread at explicit offsets. Owns its descriptors: one
// through the page cache and, where the filesystem allows it, one with O_DIRECT.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "base/status.h"

namespace larder {

class File {
 public:
  /// Opens a regular file for reading. Missing file, directory and no permission are told apart.
  static Result<std::unique_ptr<File>> Open(const std::string& path);
  ~File();
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  const std::string& path() const { return path_; }
  std::uint64_t size_bytes() const { return size_bytes_; }
  int cached_fd() const { return cached_fd_; }
  /// -1 when the filesystem refuses O_DIRECT.
  int direct_fd() const { return direct_fd_; }
  /// What offset, length and address of a direct read must be multiples of (4096 unless the device
  /// asks for more).
  std::size_t direct_alignment() const { return direct_alignment_; }

  /// Reads exactly `size_bytes` at `offset` through the page cache; a short file is kDataError.
  Status ReadAt(std::uint64_t offset, void* out, std::size_t size_bytes) const;

  /// Asks the kernel to drop [offset, offset + size) of the page cache (POSIX_FADV_DONTNEED).
  void DropFromPageCache(std::uint64_t offset, std::uint64_t size_bytes) const;

 private:
  File() = default;

  std::string path_;
  std::uint64_t size_bytes_ = 0;
  int cached_fd_ = -1;
  int direct_fd_ = -1;
  std::size_t direct_alignment_ = 4096;
};

}  // namespace larder
