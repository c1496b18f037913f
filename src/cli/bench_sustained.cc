// Sums over windows.
#include "cli/bench_sustained.h"

#include <fmt/format.h>

#include <algorithm>

namespace larder {

namespace {

double RateOf(const std::vector<SustainedWindow>& windows, std::size_t begin, std::size_t end) {
  SustainedWindow sum;
  for (std::size_t i = begin; i < end; ++i) {
    sum.seconds += windows[i].seconds;
    sum.n_tokens += windows[i].n_tokens;
  }
  return sum.rate();
}

}  // namespace

double SustainedRun::Rate() const { return RateOf(windows, 0, windows.size()); }

std::optional<double> SustainedRun::LastOverFirst() const {
  const std::size_t n = windows.size();
  if (n < 2) return std::nullopt;
  const std::size_t part = std::max<std::size_t>(1, n / 4);
  const double first = RateOf(windows, 0, part);
  if (first <= 0) return std::nullopt;
  return RateOf(windows, n - part, n) / first;
}

std::string ToMarkdown(const SustainedRun& run) {
  std::string text = "| from s | to s | tokens/s | hits | GB/s read |\n|---|---|---|---|---|\n";
  double at = 0;
  for (const SustainedWindow& window : run.windows) {
    text += fmt::format("| {:.0f} | {:.0f} | {:.2f} | {:.0f} % | {:.2f} |\n", at,
                        at + window.seconds, window.rate(), 100 * window.hit_rate,
                        window.seconds > 0 ? window.bytes_read / window.seconds / 1e9 : 0);
    at += window.seconds;
  }
  text += fmt::format("{:.2f} tokens/s over {:.0f} s{}", run.Rate(), at,
                      run.is_interrupted ? ", then interrupted" : "");
  if (const std::optional<double> ratio = run.LastOverFirst()) {
    text += fmt::format("; the last quarter ran at {:.3f} of the first", *ratio);
  }
  return text + "\n";
}

nlohmann::json ToJson(const SustainedRun& run) {
  const std::optional<double> ratio = run.LastOverFirst();
  nlohmann::json json = {{"tokens_per_second", run.Rate()},
                         {"last_over_first", ratio ? nlohmann::json(*ratio) : nlohmann::json()},
                         {"interrupted", run.is_interrupted},
                         {"windows", nlohmann::json::array()}};
  for (const SustainedWindow& window : run.windows) {
    json["windows"].push_back({{"seconds", window.seconds},
                               {"n_tokens", window.n_tokens},
                               {"tokens_per_second", window.rate()},
                               {"hit_rate", window.hit_rate},
                               {"bytes_read", window.bytes_read}});
  }
  return json;
}

}  // namespace larder
