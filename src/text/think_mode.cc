// Words to a ThinkMode and back.
#include "text/think_mode.h"

#include <fmt/format.h>

#include <charconv>

namespace larder {

Result<ThinkMode> ParseThink(const std::string& word) {
  ThinkMode mode;
  if (word == "off") return mode;
  mode.on = true;
  if (word == "on" || word.empty()) return mode;
  std::int64_t limit_tokens = 0;
  const char* end = word.data() + word.size();
  const auto [stop, error] = std::from_chars(word.data(), end, limit_tokens);
  if (error != std::errc() || stop != end || limit_tokens < 0) {
    return InvalidArgument("--think is 'on', 'off' or the most tokens of reasoning, not '{}'",
                           word);
  }
  if (limit_tokens == 0) return ThinkMode();
  mode.limit_tokens = limit_tokens;
  return mode;
}

std::string DescribeThink(const ThinkMode& mode) {
  if (!mode.on) return "off";
  if (!mode.limit_tokens) return "on";
  return fmt::format("at most {} tokens", *mode.limit_tokens);
}

}  // namespace larder
