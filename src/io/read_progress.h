// ReadProgress: how far one request has come, and what to ask of the kernel next. Shared by the
// readers, so that short reads, the end of the file, refused direct reads and passing errors are
// treated alike. Plain value, used by one thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>

#include "io/async_reader.h"

namespace larder {

class ReadProgress {
 public:
  ReadProgress() = default;
  explicit ReadProgress(const ReadRequest& request);

  /// The next read to issue: descriptor, position, length (at most 1 GiB) and where it goes. A
  /// direct read stays aligned even when it continues a short one.
  int fd() const;
  std::uint64_t offset() const { return request_.offset + done_bytes_; }
  std::byte* dst() const { return request_.dst + done_bytes_; }
  std::size_t size_bytes() const;

  /// Takes the outcome of that read: bytes, or a negative errno. True when the request is finished.
  bool Advance(std::int64_t result);

  /// Valid when Advance returned true or finished() held from the start (a read of nothing).
  bool finished() const { return finished_; }
  const ReadCompletion& completion() const { return completion_; }

 private:
  bool Finish(std::size_t size_bytes, int error);
  bool ContinueOrFinish(std::size_t new_end);

  ReadRequest request_;
  bool direct_ = false;
  bool finished_ = false;
  std::size_t done_bytes_ = 0;  // where the next read starts
  int n_retries_ = 0;
  ReadCompletion completion_;
};

}  // namespace larder
