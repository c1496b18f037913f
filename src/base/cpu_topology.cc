// The files of /proc and /sys that say what the CPUs are.
#include "base/cpu_topology.h"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <sstream>
#include <thread>

namespace larder {

namespace {

constexpr int kMostCpus = 1 << 16;

// Numbers of a list such as "0-3,8"; nothing where it is not one.
std::vector<int> ParseCpuList(const std::string& text) {
  std::vector<int> cpus;
  std::istringstream in(text);
  std::string part;
  while (std::getline(in, part, ',')) {
    int first = 0;
    int last = 0;
    char dash = 0;
    std::istringstream range(part);
    if (!(range >> first)) return {};
    last = first;
    if (range >> dash && (dash != '-' || !(range >> last))) return {};
    if (first < 0 || last < first || last >= kMostCpus) return {};
    for (int cpu = first; cpu <= last; ++cpu) cpus.push_back(cpu);
  }
  return cpus;
}

std::vector<int> ReadCpuList(const std::string& path) {
  std::ifstream in(path);
  std::string line;
  return std::getline(in, line) ? ParseCpuList(line) : std::vector<int>();
}

double ReadNumber(const std::string& path) {
  std::ifstream in(path);
  double number = 0;
  return in >> number && number > 0 ? number : 0;
}

// CPU quota of one cgroup directory in CPUs; infinity when there is none.
double QuotaOf(const std::string& directory) {
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

// The least quota of a cgroup and all its ancestors up to where the hierarchy is mounted.
double QuotaUpwards(const std::string& mount, std::string path) {
  double quota = QuotaOf(mount);
  while (path.size() > 1 && path.front() == '/') {
    quota = std::min(quota, QuotaOf(mount + path));
    path.resize(path.rfind('/'));
  }
  return quota;
}

bool HasWord(const std::string& list, const std::string& word) {
  std::istringstream in(list);
  std::string part;
  while (std::getline(in, part, ',')) {
    if (part == word) return true;
  }
  return false;
}

struct CgroupMount {
  std::string root;   // the cgroup that is mounted: "/", or a container's own
  std::string point;  // where
};

// The mount of the hierarchy that holds the CPU controller: v1's, or the unified one.
CgroupMount FindMount(const std::string& root, bool unified) {
  std::ifstream in(root + "/proc/self/mountinfo");
  std::string line;
  while (std::getline(in, line)) {
    std::istringstream fields(line);
    std::string skip;
    CgroupMount mount;
    fields >> skip >> skip >> skip >> mount.root >> mount.point;
    const std::size_t dash = line.find(" - ");
    if (!fields || dash == std::string::npos) continue;
    std::istringstream rest(line.substr(dash + 3));
    std::string type;
    std::string options;
    rest >> type >> skip >> options;
    if (unified ? type == "cgroup2" : type == "cgroup" && HasWord(options, "cpu")) return mount;
  }
  return {};
}

double QuotaUnder(const std::string& root, std::string path, bool unified) {
  const CgroupMount mount = FindMount(root, unified);
  if (mount.point.empty()) return HUGE_VAL;
  // A container without a cgroup namespace sees the host's path, but its own group is mounted.
  if (mount.root != "/" && path.compare(0, mount.root.size(), mount.root) == 0) {
    path.erase(0, mount.root.size());
  }
  return QuotaUpwards(root + mount.point, path);
}

double ReadQuota(const std::string& root) {
  double quota = HUGE_VAL;
  std::ifstream in(root + "/proc/self/cgroup");
  std::string line;
  while (std::getline(in, line)) {
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const bool unified = controllers.empty();
    if (unified || HasWord(controllers, "cpu")) {
      quota = std::min(quota, QuotaUnder(root, line.substr(second + 1), unified));
    }
  }
  return quota;
}

// Intel names its slow cores; elsewhere capacity (ARM) or the highest clock tells them apart. Fast
// cores of one type differ by some per cent, types by a quarter and more.
std::vector<bool> FastCpus(const std::string& root, const std::vector<int>& cpus) {
  std::vector<bool> fast(cpus.size(), true);
  const std::vector<int> slow = ReadCpuList(root + "/sys/devices/cpu_atom/cpus");
  for (std::size_t i = 0; i < cpus.size(); ++i) {
    if (std::find(slow.begin(), slow.end(), cpus[i]) != slow.end()) fast[i] = false;
  }
  const bool some_slow = std::find(fast.begin(), fast.end(), false) != fast.end();
  const bool some_fast = std::find(fast.begin(), fast.end(), true) != fast.end();
  if (some_slow) return some_fast ? fast : std::vector<bool>(cpus.size(), true);
  for (const auto& [file, share] :
       {std::pair<const char*, double>{"/cpu_capacity", 0.7}, {"/cpufreq/cpuinfo_max_freq", 0.8}}) {
    std::vector<double> speeds;
    for (const int cpu : cpus) {
      speeds.push_back(
          ReadNumber(root + "/sys/devices/system/cpu/cpu" + std::to_string(cpu) + file));
    }
    const double most = *std::max_element(speeds.begin(), speeds.end());
    // A file that some CPUs lack says nothing about them.
    if (*std::min_element(speeds.begin(), speeds.end()) <= 0) continue;
    for (std::size_t i = 0; i < cpus.size(); ++i) fast[i] = speeds[i] >= share * most;
    if (std::find(fast.begin(), fast.end(), false) != fast.end()) break;
  }
  return fast;
}

// A capped double to int; quotas of a fraction still run one thread.
int CeilToCount(double cpus) {
  return cpus >= kMostCpus ? kMostCpus : std::max(1, static_cast<int>(std::ceil(cpus - 1e-9)));
}

// Fast cores, then slow cores, then second CPUs of fast ones, then of slow ones.
std::vector<Cpu> InOrderOfUse(const CpuTopology& topology) {
  std::vector<Cpu> order = topology.cpus;
  std::vector<int> seen;
  std::vector<std::pair<int, Cpu>> ranked;
  for (const Cpu& cpu : topology.cpus) {
    const bool second = std::find(seen.begin(), seen.end(), cpu.core) != seen.end();
    if (!second) seen.push_back(cpu.core);
    ranked.push_back({(second ? 2 : 0) + (cpu.is_fast ? 0 : 1), cpu});
  }
  std::stable_sort(ranked.begin(), ranked.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  for (std::size_t i = 0; i < ranked.size(); ++i) order[i] = ranked[i].second;
  return order;
}

int CountFastCores(const CpuTopology& topology) {
  std::vector<int> cores;
  for (const Cpu& cpu : topology.cpus) {
    if (cpu.is_fast && std::find(cores.begin(), cores.end(), cpu.core) == cores.end()) {
      cores.push_back(cpu.core);
    }
  }
  return std::max(1, static_cast<int>(cores.size()));
}

CpuTopology ThisProcess() { return ReadCpuTopology("", AllowedCpus()); }

}  // namespace

std::vector<int> AllowedCpus() {
  std::vector<int> cpus;
  for (int n_cpus = 1024; n_cpus <= kMostCpus; n_cpus *= 4) {
    cpu_set_t* set = CPU_ALLOC(static_cast<std::size_t>(n_cpus));
    if (set == nullptr) break;
    const std::size_t bytes = CPU_ALLOC_SIZE(static_cast<std::size_t>(n_cpus));
    CPU_ZERO_S(bytes, set);
    const bool known = sched_getaffinity(0, bytes, set) == 0;  // refused when the set is too small
    for (int cpu = 0; known && cpu < n_cpus; ++cpu) {
      if (CPU_ISSET_S(static_cast<std::size_t>(cpu), bytes, set)) cpus.push_back(cpu);
    }
    CPU_FREE(set);
    if (known) break;
  }
  if (cpus.empty()) {
    for (unsigned i = 0; i < std::max(1u, std::thread::hardware_concurrency()); ++i) {
      cpus.push_back(static_cast<int>(i));
    }
  }
  return cpus;
}

CpuTopology ReadCpuTopology(const std::string& root, const std::vector<int>& allowed) {
  CpuTopology topology;
  topology.quota = ReadQuota(root);
  const std::vector<bool> fast = FastCpus(root, allowed);
  for (std::size_t i = 0; i < allowed.size(); ++i) {
    const std::vector<int> siblings =
        ReadCpuList(root + "/sys/devices/system/cpu/cpu" + std::to_string(allowed[i]) +
                    "/topology/thread_siblings_list");
    const bool sane = std::find(siblings.begin(), siblings.end(), allowed[i]) != siblings.end();
    const int core = sane ? *std::min_element(siblings.begin(), siblings.end()) : allowed[i];
    topology.cpus.push_back({.id = allowed[i], .core = core, .is_fast = fast[i]});
  }
  return topology;
}

const std::vector<int>& ThreadPlan::Place(int thread) const {
  static const std::vector<int> anywhere;
  if (places.empty()) return anywhere;
  return places[static_cast<std::size_t>(thread) % places.size()];
}

ThreadPlan PlanThreads(const CpuTopology& topology, int n_threads, PinMode pin) {
  ThreadPlan plan;
  const int n_cpus = static_cast<int>(topology.cpus.size());
  plan.n_threads =
      n_threads > 0 ? n_threads : std::min(CountFastCores(topology), CeilToCount(topology.quota));
  plan.oversubscribed = plan.n_threads > std::min(n_cpus, CeilToCount(topology.quota));
  // More threads than CPUs cannot each have their own.
  if (pin == PinMode::kNone || n_cpus == 0 || plan.n_threads > n_cpus) return plan;
  const std::vector<Cpu> order = InOrderOfUse(topology);
  if (pin == PinMode::kCores) {
    for (int i = 0; i < plan.n_threads; ++i) {
      plan.places.push_back({order[static_cast<std::size_t>(i)].id});
    }
    return plan;
  }
  std::vector<int> fast;
  for (const Cpu& cpu : topology.cpus) {
    if (cpu.is_fast) fast.push_back(cpu.id);
  }
  // All equal: the system places threads better than we do. Too many for the fast ones: free too.
  if (static_cast<int>(fast.size()) == n_cpus || plan.n_threads > static_cast<int>(fast.size())) {
    return plan;
  }
  plan.places.push_back(std::move(fast));
  return plan;
}

ThreadPlan PlanThreads(int n_threads, PinMode pin) {
  return PlanThreads(ThisProcess(), n_threads, pin);
}

int DefaultThreadCount() { return PlanThreads(0, PinMode::kNone).n_threads; }

int UsableCpuCount() {
  const CpuTopology topology = ThisProcess();
  return std::min(static_cast<int>(topology.cpus.size()), CeilToCount(topology.quota));
}

}  // namespace larder
