// DiskProbeFile: a file of random bytes on a disk, without a name, and random reads of it. One
// thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/status.h"
#include "io/async_reader.h"
#include "io/file.h"

namespace larder {

/// What a round of reads came to.
struct DiskRound {
  double bytes_per_second = 0;
  double cpu_seconds_per_read = 0;  // of the thread that asks for them
};

class DiskProbeFile {
 public:
  /// Writes `size_bytes` in `folder`, flushes them to the disk and takes the name away.
  static Result<DiskProbeFile> Write(const std::string& folder, std::uint64_t size_bytes,
                                     const std::function<bool()>& interrupted);

  /// Direct reads of `read_bytes` at random places, `depth` in flight, for `seconds`. kUnsupported
  /// where the filesystem has no direct reads.
  Result<DiskRound> Read(std::uint64_t read_bytes, int depth, double seconds, IoMode mode,
                         std::uint64_t seed) const;

 private:
  std::unique_ptr<File> file_;
};

/// Free bytes of the filesystem that holds `folder`; nothing when it does not say.
std::optional<std::uint64_t> FreeDiskBytes(const std::string& folder);

}  // namespace larder
