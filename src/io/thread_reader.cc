// The pread thread pool. The mutex guards the two queues; a thread takes one request, reads it to
// its end without the lock, and puts the completion back. The destructor drops requests that no
// thread has begun and waits for those that are being read.
#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include "io/read_progress.h"
#include "io/reader_factories.h"

namespace larder {

namespace {

constexpr int kMaxThreads = 16;

ReadCompletion ReadToEnd(const ReadRequest& request) {
  ReadProgress progress(request);
  while (!progress.finished()) {
    const ssize_t n = pread(progress.fd(), progress.dst(), progress.size_bytes(),
                            static_cast<off_t>(progress.offset()));
    progress.Advance(n < 0 ? -errno : n);
  }
  return progress.completion();
}

class ThreadReader final : public AsyncReader {
 public:
  explicit ThreadReader(int n_threads) {
    for (int i = 0; i < n_threads; ++i) threads_.emplace_back([this] { Work(); });
  }

  ~ThreadReader() override {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      stopping_ = true;
      queue_.clear();
    }
    work_ready_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }

  std::string name() const override { return "threads"; }

  Status Submit(std::span<const ReadRequest> requests) override {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      queue_.insert(queue_.end(), requests.begin(), requests.end());
    }
    n_in_flight_ += requests.size();
    if (requests.size() == 1) {
      work_ready_.notify_one();
    } else {
      work_ready_.notify_all();
    }
    return Status::Ok();
  }

  Result<std::size_t> Reap(std::span<ReadCompletion> out, std::int64_t timeout_us) override {
    if (n_in_flight_ == 0 || out.empty()) return std::size_t{0};
    std::unique_lock<std::mutex> lock(mutex_);
    const auto any = [this] { return !finished_.empty(); };
    if (timeout_us < 0) {
      read_done_.wait(lock, any);
    } else if (timeout_us > 0) {
      read_done_.wait_for(lock, std::chrono::microseconds(timeout_us), any);
    }
    const std::size_t n = std::min(out.size(), finished_.size());
    for (std::size_t i = 0; i < n; ++i) {
      out[i] = finished_.front();
      finished_.pop_front();
    }
    n_in_flight_ -= n;
    return n;
  }

  std::size_t n_in_flight() const override { return n_in_flight_; }

 private:
  void Work() {
    std::unique_lock<std::mutex> lock(mutex_);
    while (true) {
      work_ready_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
      if (stopping_) return;
      const ReadRequest request = queue_.front();
      queue_.pop_front();
      lock.unlock();
      const ReadCompletion completion = ReadToEnd(request);
      lock.lock();
      finished_.push_back(completion);
      read_done_.notify_one();
    }
  }

  std::mutex mutex_;
  std::condition_variable work_ready_;
  std::condition_variable read_done_;
  std::deque<ReadRequest> queue_;
  std::deque<ReadCompletion> finished_;
  bool stopping_ = false;
  std::size_t n_in_flight_ = 0;  // the caller's thread only
  std::vector<std::thread> threads_;
};

}  // namespace

std::unique_ptr<AsyncReader> MakeThreadReader(int depth) {
  return std::make_unique<ThreadReader>(std::clamp(depth, 1, kMaxThreads));
}

}  // namespace larder
