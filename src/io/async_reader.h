// AsyncReader: many reads in flight, reaped by the thread that waits for them. Implementations:
// io_uring, a pread thread pool, and decorators that inject faults or throttle. One thread submits
// and reaps (the engine's); readers may have threads of their own behind this interface.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/status.h"
#include "io/file.h"

namespace larder {

/// One read. With `direct`, offset, size and dst must be multiples of the file's
/// direct_alignment(); the reader falls back to the page cache when the file has no direct
/// descriptor. A direct read may reach past the end of the file: then it completes with the bytes
/// that exist.
struct ReadRequest {
  const File* file = nullptr;  // outlives the read
  std::uint64_t offset = 0;
  std::size_t size_bytes = 0;
  std::byte* dst = nullptr;  // [size_bytes], not touched by the caller until the read completes
  bool direct = false;
  std::uint64_t tag = 0;  // returned with the completion
};

struct ReadCompletion {
  std::uint64_t tag = 0;
  /// Bytes read on success, which is less than asked only at the end of the file; short reads in
  /// the middle of a file are continued by the reader.
  std::size_t size_bytes = 0;
  /// 0, or the errno of the failure.
  int error = 0;
};

class AsyncReader {
 public:
  virtual ~AsyncReader() = default;

  /// "io_uring", "threads", "io_uring throttled to 0.5 GB/s" ...
  virtual std::string name() const = 0;

  /// Queues all requests, in this order; never blocks on the disk (it may keep a queue of its own
  /// beyond the device's depth). Fails only when the reader itself is broken; then none was queued.
  virtual Status Submit(std::span<const ReadRequest> requests) = 0;

  /// Writes finished reads into `out` and returns how many. Waits until there is at least one when
  /// `timeout_us` is not 0 (negative: for as long as it takes); 0 if none is in flight.
  virtual Result<std::size_t> Reap(std::span<ReadCompletion> out, std::int64_t timeout_us) = 0;

  /// Reads submitted and not yet reaped.
  virtual std::size_t n_in_flight() const = 0;
};

enum class IoMode { kAuto, kUring, kThreads };

/// "auto", "uring" or "threads".
Result<IoMode> ParseIoMode(const std::string& text);

struct AsyncReaderOptions {
  IoMode mode = IoMode::kAuto;
  /// Reads given to the device at once; more wait in the reader. 16 saturates one NVMe disk.
  int depth = 16;
};

/// kAuto takes io_uring, or threads when the kernel, a container or the build refuses it; kUring
/// fails when it is refused, with the reason.
Result<std::unique_ptr<AsyncReader>> MakeAsyncReader(const AsyncReaderOptions& options);

/// Waits for all of `requests` and fails if one fails or comes back short of the bytes that exist
/// in its file. No other read may be in flight.
Status ReadAll(AsyncReader& reader, std::span<const ReadRequest> requests);

}  // namespace larder
