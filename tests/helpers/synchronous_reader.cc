// Reads with pread; completions wait in a queue.
#include "helpers/synchronous_reader.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <deque>

namespace larder {

namespace {

class SynchronousReader final : public AsyncReader {
 public:
  std::string name() const override { return "synchronous"; }

  Status Submit(std::span<const ReadRequest> requests) override {
    for (const ReadRequest& request : requests) {
      const ssize_t n = pread(request.file->cached_fd(), request.dst, request.size_bytes,
                              static_cast<off_t>(request.offset));
      finished_.push_back(
          {request.tag, static_cast<std::size_t>(std::max<ssize_t>(n, 0)), n < 0 ? errno : 0});
    }
    return Status::Ok();
  }

  Result<std::size_t> Reap(std::span<ReadCompletion> out, std::int64_t) override {
    const std::size_t n = std::min(out.size(), finished_.size());
    std::copy_n(finished_.begin(), n, out.begin());
    finished_.erase(finished_.begin(), finished_.begin() + static_cast<std::ptrdiff_t>(n));
    return n;
  }

  std::size_t n_in_flight() const override { return finished_.size(); }

 private:
  std::deque<ReadCompletion> finished_;
};

}  // namespace

std::unique_ptr<AsyncReader> MakeSynchronousReader() {
  return std::make_unique<SynchronousReader>();
}

}  // namespace larder
