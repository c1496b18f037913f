// A fork-join pool: one caller gives work, all threads (the caller is thread 0) take part, the call
// returns when all of it is done. Waiting workers spin briefly, then sleep: no thread is busy while
// only the disk works. One caller at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

#include "base/cpu_topology.h"

namespace larder {

/// A non-owning reference to a callable; the callable outlives the call it is passed to.
template <typename Signature>
class FunctionRef;
template <typename R, typename... Args>
class FunctionRef<R(Args...)> {
 public:
  template <typename F>
  FunctionRef(F&& function)  // NOLINT: implicit on purpose
      : object_(const_cast<void*>(static_cast<const void*>(&function))),
        call_([](void* object, Args... args) -> R {
          return (*static_cast<std::remove_reference_t<F>*>(object))(static_cast<Args>(args)...);
        }) {}
  R operator()(Args... args) const { return call_(object_, static_cast<Args>(args)...); }

 private:
  void* object_;
  R (*call_)(void*, Args...);
};

class ThreadPool {
 public:
  /// `n_threads` >= 1 counts the caller. Threads may run anywhere.
  explicit ThreadPool(int n_threads);
  /// As many threads, where the plan says; so does the caller from its first ParallelFor on.
  explicit ThreadPool(const ThreadPlan& plan);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int n_threads() const;

  /// Calls `body(begin, end, thread)` until [0, count) is covered once, in pieces of at most
  /// `grain` items handed out in ascending order. `thread` is in [0, n_threads).
  void ParallelFor(std::size_t count, std::size_t grain,
                   FunctionRef<void(std::size_t begin, std::size_t end, int thread)> body);

  /// Called by the caller's thread between two of its pieces, at most every `period_us`, so that it
  /// can look after something else (reads in flight) while it computes for long. May not use the
  /// pool. An empty function ends it.
  void SetBetweenPieces(std::function<void()> function, std::int64_t period_us);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace larder
