// Threads for made-up machines: folders that look like /proc and /sys of hybrid processors, phones,
// shared cores and containers of both cgroup versions.
#include "base/cpu_topology.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <set>
#include <thread>

#include "base/thread_pool.h"

namespace larder {
namespace {

class FakeMachine : public testing::Test {
 protected:
  FakeMachine() {
    root_ = testing::TempDir() + "larder_cpus_" + std::to_string(getpid()) + "_" +
            testing::UnitTest::GetInstance()->current_test_info()->name();
    std::filesystem::create_directories(root_);
  }
  ~FakeMachine() override { std::filesystem::remove_all(root_); }

  void Write(const std::string& path, const std::string& text) {
    std::filesystem::create_directories(std::filesystem::path(root_ + path).parent_path());
    std::ofstream(root_ + path) << text << "\n";
  }
  void WriteCpu(int cpu, const std::string& file, const std::string& text) {
    Write("/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/" + file, text);
  }
  // CPUs 0.. that share cores in pairs, as many pairs as `n_cores`.
  void WritePairs(int first, int n_cores) {
    for (int core = 0; core < n_cores; ++core) {
      const int cpu = first + 2 * core;
      const std::string pair = std::to_string(cpu) + "-" + std::to_string(cpu + 1);
      WriteCpu(cpu, "topology/thread_siblings_list", pair);
      WriteCpu(cpu + 1, "topology/thread_siblings_list", pair);
    }
  }

  static std::vector<int> Range(int n) {
    std::vector<int> cpus;
    for (int i = 0; i < n; ++i) cpus.push_back(i);
    return cpus;
  }
  CpuTopology Read(const std::vector<int>& allowed) const {
    return ReadCpuTopology(root_, allowed);
  }

  std::string root_;
};

TEST_F(FakeMachine, NothingKnownIsOneThreadPerCpu) {
  const CpuTopology topology = Read(Range(6));
  EXPECT_EQ(topology.cpus.size(), 6u);
  EXPECT_EQ(topology.quota, HUGE_VAL);
  const ThreadPlan plan = PlanThreads(topology, 0, PinMode::kAuto);
  EXPECT_EQ(plan.n_threads, 6);
  EXPECT_TRUE(plan.places.empty());
  EXPECT_FALSE(plan.oversubscribed);
}

TEST_F(FakeMachine, SharedCoresCountOnce) {
  WritePairs(0, 4);
  const ThreadPlan plan = PlanThreads(Read(Range(8)), 0, PinMode::kCores);
  EXPECT_EQ(plan.n_threads, 4);
  EXPECT_EQ(plan.places, (std::vector<std::vector<int>>{{0}, {2}, {4}, {6}}));
  // The second CPUs come last.
  const ThreadPlan six = PlanThreads(Read(Range(8)), 6, PinMode::kCores);
  EXPECT_EQ(six.Place(4), std::vector<int>{1});
  EXPECT_EQ(six.Place(5), std::vector<int>{3});
  // A mask that holds one CPU of each of two cores and both of a third.
  EXPECT_EQ(PlanThreads(Read({1, 3, 4, 5}), 0, PinMode::kAuto).n_threads, 3);
}

TEST_F(FakeMachine, IntelHybridUsesPerformanceCores) {
  WritePairs(0, 2);  // 0-3: two performance cores; 4-7: efficiency
  Write("/sys/devices/cpu_core/cpus", "0-3");
  Write("/sys/devices/cpu_atom/cpus", "4-7");
  const ThreadPlan plan = PlanThreads(Read(Range(8)), 0, PinMode::kAuto);
  EXPECT_EQ(plan.n_threads, 2);
  EXPECT_EQ(plan.Place(0), (std::vector<int>{0, 1, 2, 3}));
  EXPECT_EQ(plan.Place(1), (std::vector<int>{0, 1, 2, 3}));
  // Asked for more than they are, threads are free to run anywhere.
  EXPECT_TRUE(PlanThreads(Read(Range(8)), 6, PinMode::kAuto).places.empty());
  EXPECT_TRUE(PlanThreads(Read(Range(8)), 0, PinMode::kNone).places.empty());
  // A mask of efficiency cores alone is a machine of equal cores.
  const ThreadPlan slow = PlanThreads(Read({4, 5, 6}), 0, PinMode::kAuto);
  EXPECT_EQ(slow.n_threads, 3);
  EXPECT_TRUE(slow.places.empty());
}

TEST_F(FakeMachine, CapacityAndClockTellCoreTypesApart) {
  const int capacities[] = {381, 381, 381, 381, 871, 871, 871, 1024};
  for (int cpu = 0; cpu < 8; ++cpu) {
    WriteCpu(cpu, "cpu_capacity", std::to_string(capacities[cpu]));
  }
  EXPECT_EQ(PlanThreads(Read(Range(8)), 0, PinMode::kAuto).n_threads, 4);
  // By clock: favoured cores differ by little, another type by much.
  for (int cpu = 0; cpu < 8; ++cpu) {
    WriteCpu(cpu, "cpu_capacity", "1024");
    WriteCpu(cpu, "cpufreq/cpuinfo_max_freq",
             cpu < 2   ? "5800000"
             : cpu < 6 ? "5500000"
                       : "4300000");
  }
  EXPECT_EQ(PlanThreads(Read(Range(8)), 0, PinMode::kAuto).n_threads, 6);
  // A clock that one CPU does not tell says nothing.
  WriteCpu(3, "cpufreq/cpuinfo_max_freq", "");
  EXPECT_EQ(PlanThreads(Read(Range(8)), 0, PinMode::kAuto).n_threads, 8);
}

TEST_F(FakeMachine, UnifiedQuotaOfAnyAncestorCounts) {
  Write("/proc/self/cgroup", "0::/user.slice/job/step");
  Write("/proc/self/mountinfo",
        "31 23 0:28 / /sys/fs/cgroup rw,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate");
  Write("/sys/fs/cgroup/user.slice/job/step/cpu.max", "max 100000");
  EXPECT_EQ(Read(Range(8)).quota, HUGE_VAL);
  Write("/sys/fs/cgroup/user.slice/job/cpu.max", "250000 100000");
  EXPECT_DOUBLE_EQ(Read(Range(8)).quota, 2.5);
  const ThreadPlan plan = PlanThreads(Read(Range(8)), 0, PinMode::kAuto);
  EXPECT_EQ(plan.n_threads, 3);
  EXPECT_FALSE(plan.oversubscribed);
  EXPECT_TRUE(PlanThreads(Read(Range(8)), 8, PinMode::kAuto).oversubscribed);
  Write("/sys/fs/cgroup/user.slice/job/step/cpu.max", "20000 100000");
  EXPECT_EQ(PlanThreads(Read(Range(8)), 0, PinMode::kAuto).n_threads, 1);
}

TEST_F(FakeMachine, ContainerWithoutCgroupNamespace) {
  // Version 1: the host's path in /proc, the container's own group mounted.
  Write("/proc/self/cgroup", "5:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n1:name=systemd:/x");
  Write("/proc/self/mountinfo",
        "40 39 0:30 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n"
        "41 39 0:31 /docker/abc /sys/fs/cgroup/cpuacct,cpu ro - cgroup cgroup rw,cpuacct,cpu");
  Write("/sys/fs/cgroup/cpuacct,cpu/cpu.cfs_quota_us", "400000");
  Write("/sys/fs/cgroup/cpuacct,cpu/cpu.cfs_period_us", "100000");
  EXPECT_DOUBLE_EQ(Read(Range(64)).quota, 4.0);
  EXPECT_EQ(PlanThreads(Read(Range(64)), 0, PinMode::kAuto).n_threads, 4);
  Write("/sys/fs/cgroup/cpuacct,cpu/cpu.cfs_quota_us", "-1");
  EXPECT_EQ(Read(Range(64)).quota, HUGE_VAL);
}

TEST_F(FakeMachine, NonsenseIsIgnored) {
  WriteCpu(0, "topology/thread_siblings_list", "0-999999999");
  WriteCpu(1, "topology/thread_siblings_list", "7,x");
  WriteCpu(2, "topology/thread_siblings_list", "-5");
  WriteCpu(0, "cpu_capacity", "nan");
  Write("/sys/devices/cpu_atom/cpus", "3-1");
  Write("/proc/self/cgroup", "0\n::::\n0::/a");
  Write("/proc/self/mountinfo", "- - -\n1 2 3 / /sys/fs/cgroup rw - cgroup2 x rw");
  Write("/sys/fs/cgroup/a/cpu.max", "100000 0");
  const CpuTopology topology = Read(Range(3));
  EXPECT_EQ(topology.quota, HUGE_VAL);
  EXPECT_EQ(PlanThreads(topology, 0, PinMode::kAuto).n_threads, 3);
}

TEST(CpuTopology, ThisMachineHasAtLeastOneThread) {
  EXPECT_GE(UsableCpuCount(), 1);
  EXPECT_GE(DefaultThreadCount(), 1);
  EXPECT_LE(DefaultThreadCount(), UsableCpuCount());
  EXPECT_LE(UsableCpuCount(), static_cast<int>(AllowedCpus().size()));
}

TEST(ThreadPool, PlacedThreadsStayThereAndTheCallerComesBack) {
  const std::vector<int> before = AllowedCpus();
  {
    ThreadPlan plan;
    plan.n_threads = 2;
    plan.places = {{before.front()}, {before.back()}};
    ThreadPool pool(plan);
    std::vector<int> seen[2];
    const auto body = [&](std::size_t, std::size_t, int thread) { seen[thread] = AllowedCpus(); };
    for (int i = 0; i < 100; ++i) pool.ParallelFor(64, 1, body);
    EXPECT_EQ(seen[0], std::vector<int>{before.front()});
    if (!seen[1].empty()) {
      EXPECT_EQ(seen[1], std::vector<int>{before.back()});
    }
  }
  EXPECT_EQ(AllowedCpus(), before);
}

TEST(ThreadPool, TheCallerBeforeComesBackToo) {
  const std::vector<int> before = AllowedCpus();
  ThreadPlan plan;
  plan.n_threads = 2;
  plan.places = {{before.front()}};
  const auto nothing = [](std::size_t, std::size_t, int) {};
  ThreadPool pool(plan);
  pool.ParallelFor(8, 1, nothing);
  EXPECT_EQ(AllowedCpus(), std::vector<int>{before.front()});
  std::vector<int> seen;
  std::thread([&] {
    pool.ParallelFor(8, 1, nothing);
    seen = AllowedCpus();
  }).join();
  EXPECT_EQ(seen, std::vector<int>{before.front()});
  EXPECT_EQ(AllowedCpus(), before);
}

TEST(ThreadPool, CoversEveryIndexOnceInManyShortJobs) {
  for (const int n_threads : {1, 2, 5}) {
    ThreadPool pool(n_threads);
    for (std::size_t count = 0; count < 200; ++count) {
      std::vector<int> times(count, 0);
      const auto body = [&](std::size_t begin, std::size_t end, int thread) {
        ASSERT_LT(thread, n_threads);
        for (std::size_t i = begin; i < end; ++i) ++times[i];
      };
      pool.ParallelFor(count, 1 + count % 7, body);
      for (const int n : times) ASSERT_EQ(n, 1);
    }
  }
}

double CpuSeconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         1e-6 * static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

TEST(ThreadPool, NobodyIsBusyWhileTheCallerWaits) {
  ThreadPlan plan;
  plan.n_threads = 4;  // also where there are fewer CPUs: they may spin
  ThreadPool pool(plan);
  const auto nothing = [](std::size_t, std::size_t, int) {};
  const double begin = CpuSeconds();
  // As a decode step does whose experts come from the disk: short work, then a long wait.
  for (int i = 0; i < 10; ++i) {
    pool.ParallelFor(64, 1, nothing);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  // Four spinning threads would take 0.8 s; waking and 20 us of spinning take about a millisecond.
  EXPECT_LT(CpuSeconds() - begin, 0.1);
}

}  // namespace
}  // namespace larder
