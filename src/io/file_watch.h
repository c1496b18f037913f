// FileWatch: whether an open file is still what it was when it was opened. One thread.
#pragma once

#include <cstdint>

#include "base/status.h"
#include "io/file.h"

namespace larder {

/// Now, never behind the times that the kernel gives files, in nanoseconds since 1970.
std::int64_t FileClockNs();

class FileWatch {
 public:
  /// `file` outlives the watch; it was opened at `opened_ns` of FileClockNs() or later. What was
  /// written to it since then counts as changed.
  FileWatch(const File* file, std::int64_t opened_ns);

  /// kIoError when the file was written to, cut, or replaced by another since it was opened (by its
  /// size, the time of its last change, and what its path leads to now). A file that was only
  /// removed or moved away is unchanged: its bytes stay until it is closed. Two system calls.
  Status Check() const;

  /// When it was last written to, in nanoseconds since 1970.
  std::int64_t modified_ns() const { return modified_ns_; }

 private:
  const File* file_;
  std::uint64_t device_ = 0;
  std::uint64_t inode_ = 0;
  std::int64_t modified_ns_ = 0;
};

}  // namespace larder
