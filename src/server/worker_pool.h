// A few threads that read requests: parsing, rendering and schemas take too long for the thread
// that looks after the connections. Heavy work is done one piece at a time, so that there is a
// thread for the rest, and always by some thread, so that the rest cannot hold it up for ever. Any
// thread may add work.
#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstddef>
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

  /// Work with a weight is heavy: the lightest piece goes first, unless one has waited too long.
  void Add(std::function<void()> work, std::size_t weight = 0) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (weight == 0) {
        queue_.push_back(std::move(work));
      } else {
        heavy_queue_.push_back({std::move(work), weight, Clock::now()});
      }
    }
    wake_.notify_one();
  }

 private:
  using Clock = std::chrono::steady_clock;
  struct HeavyWork {
    std::function<void()> work;
    std::size_t weight;
    Clock::time_point since;
  };
  static constexpr std::chrono::seconds kLongestWait{5};

  bool MayTakeHeavy() const { return !heavy_runs_ && !heavy_queue_.empty(); }

  std::function<void()> TakeHeavy() {
    auto chosen = heavy_queue_.begin();  // the oldest
    if (Clock::now() - chosen->since < kLongestWait) {
      chosen = std::min_element(
          heavy_queue_.begin(), heavy_queue_.end(),
          [](const HeavyWork& a, const HeavyWork& b) { return a.weight < b.weight; });
    }
    std::function<void()> work = std::move(chosen->work);
    heavy_queue_.erase(chosen);
    return work;
  }

  std::function<void()> TakeLight() {
    std::function<void()> work = std::move(queue_.front());
    queue_.pop_front();
    return work;
  }

  void Run() {
    std::unique_lock<std::mutex> lock(mutex_);
    while (true) {
      wake_.wait(lock, [this] { return stopping_ || !queue_.empty() || MayTakeHeavy(); });
      const bool heavy = MayTakeHeavy();
      if (!heavy && queue_.empty()) return;
      std::function<void()> work = heavy ? TakeHeavy() : TakeLight();
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
  std::deque<HeavyWork> heavy_queue_;  // oldest first
  bool heavy_runs_ = false;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace larder
