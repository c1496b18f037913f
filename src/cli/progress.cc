// Draws the progress line.
#include "cli/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <utility>

#include "base/clock.h"
#include "base/size.h"
#include "cli/output.h"

namespace larder {

namespace {
constexpr std::int64_t kRedrawUs = 100'000;
constexpr int kBarWidth = 24;
}  // namespace

std::string FormatDuration(double seconds) {
  const auto whole = static_cast<std::int64_t>(seconds + 0.5);
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{} min {:02} s", whole / 60, whole % 60);
  return fmt::format("{} h {:02} min", whole / 3600, whole % 3600 / 60);
}

ProgressLine::ProgressLine(std::string label, Unit unit)
    : label_(std::move(label)),
      unit_(unit),
      on_terminal_(isatty(STDERR_FILENO) != 0),
      start_us_(NowUs()) {}

void ProgressLine::Update(std::uint64_t n_done, std::uint64_t n_total) {
  if (!on_terminal_ || n_total == 0) return;
  const std::int64_t now_us = NowUs();
  if (drawn_ && now_us - last_draw_us_ < kRedrawUs && n_done < n_total) return;
  last_draw_us_ = now_us;
  drawn_ = true;
  const double share = std::min(1.0, static_cast<double>(n_done) / static_cast<double>(n_total));
  const double elapsed_s = static_cast<double>(now_us - start_us_) * 1e-6;
  const int n_full = static_cast<int>(share * kBarWidth);
  const std::string bar = std::string(static_cast<std::size_t>(n_full), '#') +
                          std::string(static_cast<std::size_t>(kBarWidth - n_full), '.');
  const std::string amount =
      unit_ == Unit::kBytes ? fmt::format("{} of {}", FormatBytes(n_done), FormatBytes(n_total))
                            : fmt::format("{} of {} tokens", n_done, n_total);
  std::string left;
  if (share > 0.01 && elapsed_s > 0.5) {
    left = fmt::format(", {} left", FormatDuration(elapsed_s * (1 - share) / share));
  }
  PrintTo(stderr, "\r{} [{}] {}{}\x1b[K", label_, bar, amount, left);
  std::fflush(stderr);
}

void ProgressLine::Erase() {
  if (!drawn_) return;
  PrintTo(stderr, "\r\x1b[K");
  std::fflush(stderr);
  drawn_ = false;
}

}  // namespace larder
