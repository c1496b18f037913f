// Whether a model reasons before it answers, and how long at most: what --think says. Plain values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/status.h"

namespace larder {

struct ThinkMode {
  bool on = false;
  std::optional<std::int64_t> limit_tokens;  // absent: as long as the model likes

  /// The most tokens of reasoning: none at all when it is off, whatever the model would like.
  std::optional<std::int64_t> most_tokens() const { return on ? limit_tokens : 0; }
};

/// "on", "off", or the most tokens of reasoning; 0 is "off", the empty word "on".
Result<ThinkMode> ParseThink(const std::string& word);

/// "on", "off", "at most 256 tokens".
std::string DescribeThink(const ThinkMode& mode);

}  // namespace larder
