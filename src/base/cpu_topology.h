// Which CPUs the process may use, how they differ, and how many threads that makes: the affinity
// mask, the CPU quota of its cgroups (v1 and v2, every ancestor), cores shared by two CPUs, and
// fast and slow core types. Reads /proc and /sys below a root that tests replace. Pure otherwise.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace larder {

struct Cpu {
  int id = 0;
  int core = 0;          // lowest CPU that shares its core
  bool is_fast = false;  // of the fastest core type ("performance"); all are where types are equal
};

struct CpuTopology {
  std::vector<Cpu> cpus;  // those allowed, ascending
  double quota = 0;       // CPUs' worth of time that the cgroups grant; infinity: no limit
};

/// The CPUs of this thread's affinity mask, ascending.
std::vector<int> AllowedCpus();

/// `root` is "" for the real system. CPUs of which /sys says nothing count as equal cores.
CpuTopology ReadCpuTopology(const std::string& root, const std::vector<int>& allowed);

enum class PinMode {
  kAuto,   // threads stay on fast cores where there are slow ones, else are free
  kNone,   // threads are free
  kCores,  // each thread on a CPU of its own
};

struct ThreadPlan {
  int n_threads = 1;
  /// Empty: any. One list for all threads, or one per thread: where thread i may run.
  std::vector<std::vector<int>> places;
  bool oversubscribed = false;  // more threads than CPUs' worth of time: waiting must not spin

  const std::vector<int>& Place(int thread) const;
};

/// `n_threads` 0: one per fast core, no more than the quota rounded up. Cores come before their
/// second CPUs, fast ones before slow ones.
ThreadPlan PlanThreads(const CpuTopology& topology, int n_threads, PinMode pin);

/// Of this process, now.
ThreadPlan PlanThreads(int n_threads, PinMode pin);

/// The threads of a plan that was not told how many.
int DefaultThreadCount();

/// How many CPUs this process may use: the affinity mask, and the quota rounded up.
int UsableCpuCount();

}  // namespace larder
