// Anonymous mappings, /proc figures and cgroup limits.
#include "base/memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <limits>
#include <sstream>
#include <string>

#include "base/available_memory.h"

namespace larder {

Result<PageBuffer> PageBuffer::Allocate(std::size_t size_bytes, bool huge_pages) {
  PageBuffer buffer;
  if (size_bytes == 0) return buffer;
  const std::size_t alignment = huge_pages ? kHugePageBytes : kPageBytes;
  const std::size_t mapping_bytes = AlignUp(size_bytes, kPageBytes) + (huge_pages ? alignment : 0);
  void* mapping = mmap(nullptr, mapping_bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapping == MAP_FAILED) {
    return OutOfMemory("the system refused {} bytes of memory ({}); lower --memory", size_bytes,
                       std::strerror(errno));
  }
  const auto address = reinterpret_cast<std::uintptr_t>(mapping);
  buffer.mapping_ = mapping;
  buffer.mapping_bytes_ = mapping_bytes;
  buffer.data_ = reinterpret_cast<std::byte*>(AlignUp(address, alignment));
  buffer.size_bytes_ = size_bytes;
  if (huge_pages) madvise(buffer.data_, AlignUp(size_bytes, kPageBytes), MADV_HUGEPAGE);
  return buffer;
}

PageBuffer& PageBuffer::operator=(PageBuffer&& other) noexcept {
  if (this == &other) return *this;
  Free();
  data_ = std::exchange(other.data_, nullptr);
  size_bytes_ = std::exchange(other.size_bytes_, 0);
  mapping_ = std::exchange(other.mapping_, nullptr);
  mapping_bytes_ = std::exchange(other.mapping_bytes_, 0);
  return *this;
}

void PageBuffer::Prefault(std::size_t begin, std::size_t end) const {
  end = std::min<std::size_t>(end, AlignUp(size_bytes_, kPageBytes));
  begin = AlignDown(begin, kPageBytes);
  if (begin >= end) return;
#ifdef MADV_POPULATE_WRITE
  if (madvise(data_ + begin, AlignUp(end - begin, kPageBytes), MADV_POPULATE_WRITE) == 0) return;
#endif
  for (std::size_t at = begin; at < std::min(end, size_bytes_); at += kPageBytes) {
    volatile std::byte* page = data_ + at;
    *page = *page;  // kernels before 5.14: touching is the way
  }
}

void PageBuffer::Free() {
  if (mapping_ != nullptr) munmap(mapping_, mapping_bytes_);
  mapping_ = nullptr;
  data_ = nullptr;
}

namespace {

// "Name:   123 kB" in a /proc file, in bytes; 0 when absent.
std::uint64_t ProcField(const std::string& path, const std::string& name) {
  std::ifstream in(path);
  std::string line;
  while (std::getline(in, line)) {
    if (line.compare(0, name.size(), name) != 0) continue;
    std::istringstream fields(line.substr(name.size()));
    std::uint64_t kilobytes = 0;
    fields >> kilobytes;
    return kilobytes * 1024;
  }
  return 0;
}

constexpr std::uint64_t kNoLimit = std::numeric_limits<std::uint64_t>::max();

std::uint64_t ReadNumber(const std::string& path, std::uint64_t when_absent) {
  std::ifstream in(path);
  std::uint64_t value = 0;
  return in >> value ? value : when_absent;  // "max" fails to parse: no limit
}

// A "key value" line of memory.stat.
std::uint64_t ReadStat(const std::string& path, const std::string& key) {
  std::ifstream in(path);
  std::string name;
  std::uint64_t value = 0;
  while (in >> name >> value) {
    if (name == key) return value;
  }
  return 0;
}

// Room under one cgroup directory: limit - usage + page cache that can be dropped.
std::uint64_t CgroupRoom(const std::string& directory, bool v2) {
  const std::string limit_file = v2 ? "/memory.max" : "/memory.limit_in_bytes";
  const std::string usage_file = v2 ? "/memory.current" : "/memory.usage_in_bytes";
  const std::uint64_t limit = ReadNumber(directory + limit_file, kNoLimit);
  if (limit >= (std::uint64_t{1} << 60)) return kNoLimit;
  const std::uint64_t usage = ReadNumber(directory + usage_file, 0);
  const std::uint64_t droppable =
      ReadStat(directory + "/memory.stat", v2 ? "inactive_file" : "total_inactive_file");
  const std::uint64_t held = usage > droppable ? usage - droppable : 0;
  return limit > held ? limit - held : 0;
}

// The least room of a cgroup and all its ancestors.
std::uint64_t CgroupRoomUpwards(const std::string& mount, std::string path, bool v2) {
  std::uint64_t room = kNoLimit;
  while (true) {
    room = std::min(room, CgroupRoom(mount + path, v2));
    const std::size_t slash = path.rfind('/');
    if (slash == std::string::npos) return room;
    path.resize(slash);
  }
}

}  // namespace

std::uint64_t ResidentBytes() { return ProcField("/proc/self/status", "VmRSS:"); }
std::uint64_t PeakResidentBytes() { return ProcField("/proc/self/status", "VmHWM:"); }

std::uint64_t AvailableMemoryBytes() { return AvailableMemoryBytesUnder(""); }

std::uint64_t AvailableMemoryBytesUnder(const std::string& root) {
  std::uint64_t room = ProcField(root + "/proc/meminfo", "MemAvailable:");
  const std::string cgroups = root + "/sys/fs/cgroup";
  std::ifstream in(root + "/proc/self/cgroup");
  std::string line;
  while (std::getline(in, line)) {  // "5:memory:/path" (v1) or "0::/path" (v2)
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    std::string path = line.substr(second + 1);
    if (path == "/") path.clear();
    if (controllers.empty()) {
      room = std::min(room, CgroupRoomUpwards(cgroups, path, true));
      room = std::min(room, CgroupRoomUpwards(cgroups + "/unified", path, true));
    } else if (controllers == "memory") {
      room = std::min(room, CgroupRoomUpwards(cgroups + "/memory", path, false));
    }
  }
  return room;
}

}  // namespace larder
