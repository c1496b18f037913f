// Memory: page-aligned anonymous buffers (the only large allocations of the program), and what the
// process and the machine use. Buffers have one owner and move; they are zero when made.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "base/status.h"

namespace larder {

inline constexpr std::size_t kPageBytes = 4096;
inline constexpr std::size_t kHugePageBytes = std::size_t{2} << 20;

constexpr std::uint64_t AlignUp(std::uint64_t value, std::uint64_t alignment) {
  return (value + alignment - 1) / alignment * alignment;
}
constexpr std::uint64_t AlignDown(std::uint64_t value, std::uint64_t alignment) {
  return value / alignment * alignment;
}

class PageBuffer {
 public:
  PageBuffer() = default;
  /// Maps `size_bytes` of zeroed memory, aligned to 2 MiB when `huge_pages` (advised, not
  /// promised), else to a page. Pages become resident when first touched.
  static Result<PageBuffer> Allocate(std::size_t size_bytes, bool huge_pages);

  PageBuffer(PageBuffer&& other) noexcept { *this = std::move(other); }
  PageBuffer& operator=(PageBuffer&& other) noexcept;
  PageBuffer(const PageBuffer&) = delete;
  PageBuffer& operator=(const PageBuffer&) = delete;
  ~PageBuffer() { Free(); }

  /// Makes the pages of [begin, end) resident now; contents stay. Any thread, ranges may be
  /// disjoint.
  void Prefault(std::size_t begin, std::size_t end) const;

  std::byte* data() const { return data_; }
  std::size_t size_bytes() const { return size_bytes_; }

 private:
  void Free();

  std::byte* data_ = nullptr;
  std::size_t size_bytes_ = 0;
  void* mapping_ = nullptr;
  std::size_t mapping_bytes_ = 0;
};

/// Resident memory of this process now, and its peak since the start, in bytes (/proc/self/status).
std::uint64_t ResidentBytes();
std::uint64_t PeakResidentBytes();

/// What this process may still take: the least of MemAvailable and the memory cgroups' room
/// (v1 and v2, every ancestor), in bytes.
std::uint64_t AvailableMemoryBytes();

}  // namespace larder
