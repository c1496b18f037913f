// The state machine of one read.
#include "io/read_progress.h"

#include <algorithm>
#include <cerrno>

#include "base/check.h"
#include "base/memory.h"

namespace larder {

namespace {
constexpr std::size_t kMaxTransferBytes = std::size_t{1} << 30;
constexpr int kMaxRetries = 1000;
}  // namespace

ReadProgress::ReadProgress(const ReadRequest& request) : request_(request) {
  LARDER_CHECK(request.file != nullptr);
  LARDER_CHECK(request.dst != nullptr || request.size_bytes == 0);
  completion_.tag = request.tag;
  direct_ = request.direct && request.file->direct_fd() >= 0;
  if (direct_) {
    const std::size_t alignment = request.file->direct_alignment();
    LARDER_CHECK(request.offset % alignment == 0 && request.size_bytes % alignment == 0);
    LARDER_CHECK(reinterpret_cast<std::uintptr_t>(request.dst) % alignment == 0);
  }
  if (request.size_bytes == 0) Finish(0, 0);
}

int ReadProgress::fd() const {
  return direct_ ? request_.file->direct_fd() : request_.file->cached_fd();
}

std::size_t ReadProgress::size_bytes() const {
  return std::min(request_.size_bytes - done_bytes_, kMaxTransferBytes);
}

bool ReadProgress::Finish(std::size_t size_bytes, int error) {
  finished_ = true;
  completion_.size_bytes = error == 0 ? size_bytes : 0;
  completion_.error = error;
  return true;
}

bool ReadProgress::Advance(std::int64_t result) {
  LARDER_CHECK(!finished_);
  if (result > 0) {
    if (static_cast<std::uint64_t>(result) > size_bytes()) return Finish(0, EIO);
    return ContinueOrFinish(done_bytes_ + static_cast<std::size_t>(result));
  }
  if (result == 0) return Finish(done_bytes_, 0);  // the end of the file
  const int error = static_cast<int>(-result);
  if ((error == EAGAIN || error == EINTR) && ++n_retries_ <= kMaxRetries) return false;
  if ((error == EINVAL || error == EOPNOTSUPP) && direct_) {
    direct_ = false;
    return false;
  }
  return Finish(0, error);
}

bool ReadProgress::ContinueOrFinish(std::size_t new_end) {
  const bool at_end = request_.offset + new_end >= request_.file->size_bytes();
  if (new_end == request_.size_bytes || at_end) return Finish(new_end, 0);
  if (!direct_) {
    done_bytes_ = new_end;
    return false;
  }
  // A direct read can only go on at an aligned place; where that would not advance, give it up.
  const std::size_t aligned = AlignDown(new_end, request_.file->direct_alignment());
  if (aligned == done_bytes_) direct_ = false;
  done_bytes_ = aligned;
  return false;
}

}  // namespace larder
