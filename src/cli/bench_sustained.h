// A long run in windows of time: whether a machine keeps its rate when it gets warm. Pure.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace larder {

struct SustainedWindow {
  double seconds = 0;
  std::int64_t n_tokens = 0;
  double hit_rate = 0;
  double bytes_read = 0;

  double rate() const { return seconds > 0 ? static_cast<double>(n_tokens) / seconds : 0; }
};

struct SustainedRun {
  std::vector<SustainedWindow> windows;
  bool is_interrupted = false;  // before its time was over

  /// Rate of the last quarter of the windows over that of the first; none with fewer than two.
  std::optional<double> LastOverFirst() const;
  double Rate() const;
};

std::string ToMarkdown(const SustainedRun& run);
nlohmann::json ToJson(const SustainedRun& run);

}  // namespace larder
