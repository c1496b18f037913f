// The fork-join pool: a gate lets workers into the job while it lasts, an atomic cursor hands out
// its pieces, the caller shuts the gate and waits for those inside. A worker that wakes too late
// finds the gate shut and nobody waits for it. Workers spin for about 20 us, then wait on the futex
// of a generation counter.
#include "base/thread_pool.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
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

constexpr std::chrono::microseconds kSpin{20};
constexpr int kRoundsPerLook = 32;

// Waits until done() or the spinning time is over; says whether it was done.
template <typename Done>
bool SpinUntil(bool may_spin, Done done) {
  if (done()) return true;
  if (!may_spin) return false;
  const auto end = std::chrono::steady_clock::now() + kSpin;
  do {
    for (int round = 0; round < kRoundsPerLook; ++round) {
      if (done()) return true;
      CpuRelax();
    }
  } while (std::chrono::steady_clock::now() < end);
  return false;
}

// A place that is refused (CPUs taken offline since) leaves the thread where it was.
// `thread` 0: the calling one.
void StayOn(const std::vector<int>& cpus, pid_t thread = 0) {
  if (cpus.empty()) return;
  const auto n_cpus = static_cast<std::size_t>(*std::max_element(cpus.begin(), cpus.end()) + 1);
  cpu_set_t* set = CPU_ALLOC(n_cpus);
  if (set == nullptr) return;
  CPU_ZERO_S(CPU_ALLOC_SIZE(n_cpus), set);
  for (const int cpu : cpus) {
    CPU_SET_S(static_cast<std::size_t>(cpu), CPU_ALLOC_SIZE(n_cpus), set);
  }
  sched_setaffinity(thread, CPU_ALLOC_SIZE(n_cpus), set);
  CPU_FREE(set);
}

}  // namespace

struct ThreadPool::Impl {
  using Body = FunctionRef<void(std::size_t, std::size_t, int)>;
  static constexpr std::uint32_t kOpen = 1u << 31;

  ThreadPlan plan;
  pid_t placed_caller = 0;       // the thread whose place is set as thread 0's
  std::vector<int> callers_own;  // where callers may run but for that
  std::atomic<std::uint32_t> generation{0};
  std::atomic<std::uint32_t> gate{0};  // kOpen while a job lasts, plus the workers inside
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

  bool Enter() {
    std::uint32_t inside = gate.load(std::memory_order_acquire);
    while ((inside & kOpen) != 0) {
      if (gate.compare_exchange_weak(inside, inside + 1, std::memory_order_acq_rel,
                                     std::memory_order_acquire)) {
        return true;
      }
    }
    return false;
  }

  void Leave() {
    if (gate.fetch_sub(1, std::memory_order_acq_rel) == 1) gate.notify_one();
  }

  void WorkerLoop(int thread) {
    ResetFloatEnvironment();
    StayOn(plan.Place(thread));
    std::uint32_t seen = 0;
    while (true) {
      SpinUntil(!plan.oversubscribed,
                [&] { return generation.load(std::memory_order_acquire) != seen; });
      generation.wait(seen, std::memory_order_acquire);
      seen = generation.load(std::memory_order_acquire);
      if (stopping.load(std::memory_order_acquire)) return;
      if (!Enter()) continue;
      TakePieces(thread);
      Leave();
    }
  }

  void PlaceCaller() {
    if (plan.places.empty() || placed_caller == gettid()) return;
    // The caller before goes on elsewhere, and what it starts inherits its place.
    if (placed_caller != 0) StayOn(callers_own, placed_caller);
    placed_caller = gettid();
    StayOn(plan.Place(0));
  }

  // No more than the pieces can feed: a sleeper's wake costs more than a small piece.
  void WakeWorkers(std::size_t n_pieces) {
    generation.fetch_add(1, std::memory_order_acq_rel);
    if (n_pieces > workers.size()) {
      generation.notify_all();
    } else {
      for (std::size_t i = 1; i < n_pieces; ++i) generation.notify_one();
    }
  }
};

ThreadPool::ThreadPool(int n_threads) : ThreadPool(PlanThreads(n_threads, PinMode::kNone)) {}

ThreadPool::ThreadPool(const ThreadPlan& plan) : impl_(std::make_unique<Impl>()) {
  LARDER_CHECK(plan.n_threads >= 1);
  impl_->plan = plan;
  impl_->callers_own = AllowedCpus();
  ResetFloatEnvironment();
  for (int thread = 1; thread < plan.n_threads; ++thread) {
    impl_->workers.emplace_back([this, thread] { impl_->WorkerLoop(thread); });
  }
}

ThreadPool::~ThreadPool() {
  impl_->stopping.store(true, std::memory_order_release);
  impl_->generation.fetch_add(1, std::memory_order_acq_rel);
  impl_->generation.notify_all();
  for (std::thread& worker : impl_->workers) worker.join();
  if (impl_->placed_caller != 0) StayOn(impl_->callers_own, impl_->placed_caller);
}

int ThreadPool::n_threads() const { return static_cast<int>(impl_->workers.size()) + 1; }

void ThreadPool::ParallelFor(std::size_t count, std::size_t grain,
                             FunctionRef<void(std::size_t, std::size_t, int)> body) {
  if (count == 0) return;
  impl_->PlaceCaller();
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
  impl_->gate.store(Impl::kOpen, std::memory_order_release);
  impl_->WakeWorkers((count + grain - 1) / grain);
  impl_->TakePieces(0);
  impl_->gate.fetch_and(~Impl::kOpen, std::memory_order_acq_rel);
  const auto inside = [this] { return impl_->gate.load(std::memory_order_acquire); };
  while (!SpinUntil(!impl_->plan.oversubscribed, [&] { return inside() == 0; })) {
    const std::uint32_t n_inside = inside();
    if (n_inside != 0) impl_->gate.wait(n_inside, std::memory_order_acquire);
  }
}

void ThreadPool::SetBetweenPieces(std::function<void()> function, std::int64_t period_us) {
  impl_->between_pieces = std::move(function);
  impl_->between_period_us = period_us;
}

}  // namespace larder
