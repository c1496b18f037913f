// A row of backticks is known by what follows it.
#include "cli/markdown_painter.h"

#include <utility>

namespace larder {

namespace {

constexpr const char* kPlain = "\033[0m";
constexpr const char* kBold = "\033[1m";
constexpr const char* kCode = "\033[36m";
constexpr int kFenceTicks = 3;

}  // namespace

std::string MarkdownPainter::Paint(std::string_view text) {
  std::string shown;
  for (const char c : text) {
    if (c == '`') {
      if (n_ticks_++ == 0) ticks_began_line_ = at_line_start_;
      at_line_start_ = false;
      shown += c;
      continue;
    }
    shown += EndTicks();
    if (c == '\n') {
      shown += EndLine() + c;
      at_line_start_ = true;
      continue;
    }
    if (c == '#' && at_line_start_ && !in_fence_ && !in_heading_) {
      in_heading_ = true;
      shown += kBold;
    }
    shown += c;
    if (c != ' ') at_line_start_ = false;
  }
  return shown;
}

std::string MarkdownPainter::End() {
  std::string shown = EndTicks();
  if (in_fence_ || in_heading_ || n_code_ticks_ > 0) shown += kPlain;
  *this = MarkdownPainter();
  return shown;
}

std::string MarkdownPainter::EndTicks() {
  const int n_ticks = std::exchange(n_ticks_, 0);
  if (n_ticks == 0) return "";
  if (ticks_began_line_ && n_ticks >= kFenceTicks) {
    in_fence_ = !in_fence_;
    return in_fence_ ? kCode : kPlain;
  }
  if (in_fence_) return "";
  if (n_code_ticks_ == 0) {
    n_code_ticks_ = n_ticks;
    return kCode;
  }
  if (n_code_ticks_ != n_ticks) return "";
  n_code_ticks_ = 0;
  return in_heading_ ? std::string(kPlain) + kBold : kPlain;
}

// Code within a line ends with it at the latest: a lone backtick must not colour all that follows.
std::string MarkdownPainter::EndLine() {
  if (!in_heading_ && n_code_ticks_ == 0) return "";
  in_heading_ = false;
  n_code_ticks_ = 0;
  return kPlain;
}

}  // namespace larder
