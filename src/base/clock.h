// Monotonic time.
#pragma once

#include <chrono>
#include <cstdint>

namespace larder {

/// Microseconds since some fixed moment; never goes back.
inline std::int64_t NowUs() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

inline double SecondsSince(std::int64_t start_us) {
  return static_cast<double>(NowUs() - start_us) * 1e-6;
}

}  // namespace larder
