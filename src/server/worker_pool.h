// A few threads that read requests: parsing, rendering and schemas take too long for the thread
// that looks after the connections. Heavy work is done one piece at a time, so that there is a
// thread for the rest. Any thread may add work.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace larder {

class WorkerPool {
 public:
  explicit WorkerPool(int n_threads) {
    for (int i = 0; i < n_threads; ++i) threads_.emplace_back([this] { Run(); });
  }
  /// What was added is still done.
  ~WorkerPool() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  void Add(std::function<void()> work, bool heavy = false) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      (heavy ? heavy_queue_ : queue_).push_back(std::move(work));
    }
    wake_.notify_one();
  }

 private:
  bool MayTakeHeavy() const { return !heavy_runs_ && !heavy_queue_.empty(); }

  void Run() {
    std::unique_lock<std::mutex> lock(mutex_);
    while (true) {
      wake_.wait(lock, [this] { return stopping_ || !queue_.empty() || MayTakeHeavy(); });
      const bool heavy = queue_.empty();
      if (heavy && !MayTakeHeavy()) return;
      std::deque<std::function<void()>>& queue = heavy ? heavy_queue_ : queue_;
      std::function<void()> work = std::move(queue.front());
      queue.pop_front();
      if (heavy) heavy_runs_ = true;
      lock.unlock();
      work();
      work = nullptr;
      lock.lock();
      if (!heavy) continue;
      heavy_runs_ = false;
      wake_.notify_one();
    }
  }

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> queue_;
  std::deque<std::function<void()>> heavy_queue_;
  bool heavy_runs_ = false;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace larder
