// A progress line on stderr for long work, with the time left; silent unless stderr is a terminal.
// One thread. The line is erased when the object goes.
#pragma once

#include <cstdint>
#include <string>

namespace larder {

class ProgressLine {
 public:
  enum class Unit { kBytes, kTokens };

  ProgressLine(std::string label, Unit unit);
  ~ProgressLine() { Erase(); }
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  /// Redraws at most ten times a second.
  void Update(std::uint64_t n_done, std::uint64_t n_total);
  /// Clears the line, so that other text may follow.
  void Erase();

 private:
  std::string label_;
  Unit unit_;
  bool on_terminal_ = false;
  bool drawn_ = false;
  std::int64_t start_us_ = 0;
  std::int64_t last_draw_us_ = 0;
};

/// "42 s", "3 min 05 s", "1 h 02 min".
std::string FormatDuration(double seconds);

}  // namespace larder
