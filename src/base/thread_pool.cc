// The fork-join pool: a generation counter starts a job, an atomic cursor hands out its pieces, a
// count of finished workers ends it. Workers spin for about 20 us, then wait on the counter's
// futex.
#include "base/thread_pool.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <fstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/clock.h"
#include "base/isa.h"

namespace larder {

namespace {

inline void CpuRelax() {
#if LARDER_X86
  __builtin_ia32_pause();
#endif
}

constexpr int kSpinRounds = 1000;

}  // namespace

struct ThreadPool::Impl {
  using Body = FunctionRef<void(std::size_t, std::size_t, int)>;

  std::atomic<std::uint32_t> generation{0};
  std::atomic<std::uint32_t> n_finished{0};
  std::atomic<bool> stopping{false};
  std::atomic<std::size_t> cursor{0};
  std::size_t count = 0;
  std::size_t grain = 1;
  const Body* body = nullptr;
  std::vector<std::thread> workers;
  std::function<void()> between_pieces;
  std::int64_t between_period_us = 0;
  std::int64_t between_due_us = 0;

  void BetweenPieces() {
    if (!between_pieces) return;
    const std::int64_t now_us = NowUs();
    if (now_us < between_due_us) return;
    between_due_us = now_us + between_period_us;
    between_pieces();
  }

  void TakePieces(int thread) {
    while (true) {
      const std::size_t begin = cursor.fetch_add(grain, std::memory_order_relaxed);
      if (begin >= count) return;
      (*body)(begin, std::min(count, begin + grain), thread);
      if (thread == 0) BetweenPieces();
    }
  }

  void WorkerLoop(int thread) {
    ResetFloatEnvironment();
    std::uint32_t seen = 0;
    while (true) {
      for (int round = 0; round < kSpinRounds && generation.load(std::memory_order_acquire) == seen;
           ++round) {
        CpuRelax();
      }
      generation.wait(seen, std::memory_order_acquire);
      seen = generation.load(std::memory_order_acquire);
      if (stopping.load(std::memory_order_acquire)) return;
      TakePieces(thread);
      n_finished.fetch_add(1, std::memory_order_acq_rel);
      n_finished.notify_one();
    }
  }
};

ThreadPool::ThreadPool(int n_threads) : impl_(std::make_unique<Impl>()) {
  LARDER_CHECK(n_threads >= 1);
  ResetFloatEnvironment();
  for (int thread = 1; thread < n_threads; ++thread) {
    impl_->workers.emplace_back([this, thread] { impl_->WorkerLoop(thread); });
  }
}

ThreadPool::~ThreadPool() {
  impl_->stopping.store(true, std::memory_order_release);
  impl_->generation.fetch_add(1, std::memory_order_acq_rel);
  impl_->generation.notify_all();
  for (std::thread& worker : impl_->workers) worker.join();
}

int ThreadPool::n_threads() const { return static_cast<int>(impl_->workers.size()) + 1; }

void ThreadPool::ParallelFor(std::size_t count, std::size_t grain,
                             FunctionRef<void(std::size_t, std::size_t, int)> body) {
  if (count == 0) return;
  grain = std::max<std::size_t>(grain, 1);
  if (impl_->workers.empty() || count <= grain) {
    for (std::size_t begin = 0; begin < count; begin += grain) {
      body(begin, std::min(count, begin + grain), 0);
      impl_->BetweenPieces();
    }
    return;
  }
  impl_->count = count;
  impl_->grain = grain;
  impl_->body = &body;
  impl_->cursor.store(0, std::memory_order_relaxed);
  impl_->n_finished.store(0, std::memory_order_relaxed);
  impl_->generation.fetch_add(1, std::memory_order_acq_rel);
  impl_->generation.notify_all();
  impl_->TakePieces(0);
  const auto n_workers = static_cast<std::uint32_t>(impl_->workers.size());
  for (int round = 0;; ++round) {
    const std::uint32_t finished = impl_->n_finished.load(std::memory_order_acquire);
    if (finished == n_workers) return;
    if (round < kSpinRounds) {
      CpuRelax();
    } else {
      impl_->n_finished.wait(finished, std::memory_order_acquire);
    }
  }
}

void ThreadPool::SetBetweenPieces(std::function<void()> function, std::int64_t period_us) {
  impl_->between_pieces = std::move(function);
  impl_->between_period_us = period_us;
}

namespace {

// CPU quota of one cgroup directory in CPUs; infinity when there is none.
double CgroupCpuQuota(const std::string& directory) {
  double quota = -1;
  double period = 0;
  std::ifstream v2(directory + "/cpu.max");
  if (!(v2 >> quota >> period)) {
    std::ifstream v1_quota(directory + "/cpu.cfs_quota_us");
    std::ifstream v1_period(directory + "/cpu.cfs_period_us");
    if (!(v1_quota >> quota) || !(v1_period >> period)) return HUGE_VAL;
  }
  return quota > 0 && period > 0 ? quota / period : HUGE_VAL;
}

}  // namespace

int UsableCpuCount() {
  cpu_set_t set;
  CPU_ZERO(&set);
  int n_cpus = static_cast<int>(std::thread::hardware_concurrency());
  if (sched_getaffinity(0, sizeof(set), &set) == 0) n_cpus = CPU_COUNT(&set);
  double quota = HUGE_VAL;
  std::ifstream in("/proc/self/cgroup");
  std::string line;
  while (std::getline(in, line)) {
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string path = line.substr(second + 1);
    if (controllers.empty()) quota = std::min(quota, CgroupCpuQuota("/sys/fs/cgroup" + path));
    if (controllers.find("cpu") == 0 && controllers.find("cpuset") != 0) {
      quota = std::min(quota, CgroupCpuQuota("/sys/fs/cgroup/" + controllers + path));
    }
  }
  if (quota < n_cpus) n_cpus = static_cast<int>(std::ceil(quota));
  return std::max(n_cpus, 1);
}

}  // namespace larder
