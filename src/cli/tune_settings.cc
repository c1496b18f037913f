// Settings to words and back, and the steps between them.
#include "cli/tune_settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <sstream>

#include "cli/command.h"
#include "experts/cache_policy.h"

namespace larder {

namespace {

constexpr std::array<int, 6> kDepths = {4, 8, 16, 32, 64, 128};
constexpr std::array<std::int64_t, 9> kBatches = {8, 16, 32, 64, 128, 256, 512, 1024, 2048};
constexpr std::array<std::int64_t, 5> kAheadDepths = {4, 8, 12, 24, 48};
constexpr std::array<double, 6> kHalfLives = {12, 25, 50, 100, 200, 400};

Result<std::string> OneOf(const nlohmann::json& json, const char* key, const std::string& fallback,
                          std::initializer_list<const char*> allowed) {
  const auto found = json.find(key);
  if (found == json.end()) return fallback;
  const std::string value = found->is_string() ? found->get<std::string>() : "";
  for (const char* word : allowed) {
    if (value == word) return value;
  }
  return InvalidArgument("\"{}\" of a profile has no such value", key);
}

Result<std::int64_t> Whole(const nlohmann::json& json, const char* key, std::int64_t fallback,
                           std::int64_t least, std::int64_t most) {
  const auto found = json.find(key);
  if (found == json.end()) return fallback;
  const std::int64_t value = found->is_number_integer() ? found->get<std::int64_t>() : -1;
  if (value >= least && value <= most) return value;
  return InvalidArgument("\"{}\" of a profile is no whole number from {} to {}", key, least, most);
}

// The values next to `at` in a sorted list.
template <typename List>
std::vector<typename List::value_type> Beside(const List& list, typename List::value_type at) {
  std::vector<typename List::value_type> beside;
  const auto above = std::upper_bound(list.begin(), list.end(), at);
  if (above != list.end()) beside.push_back(*above);
  const auto below = std::lower_bound(list.begin(), list.end(), at);
  if (below != list.begin()) beside.push_back(*std::prev(below));
  return beside;
}

}  // namespace

std::vector<std::string> TuneSettings::Words() const {
  std::vector<std::string> words;
  std::istringstream stream(Options());
  for (std::string word; stream >> word;) words.push_back(word);
  return words;
}

std::string TuneSettings::Options() const {
  const TuneSettings defaults;
  std::string text;
  const auto add = [&text](const char* option, const auto& value, const auto& fallback) {
    if (value != fallback) text += fmt::format("{}{} {}", text.empty() ? "" : " ", option, value);
  };
  add("--threads", n_threads, defaults.n_threads);
  add("--pin", pin, defaults.pin);
  add("--batch", batch, defaults.batch);
  add("--io", io, defaults.io);
  add("--io-depth", io_depth, defaults.io_depth);
  add("--reads", reads, defaults.reads);
  add("--lookahead", lookahead, defaults.lookahead);
  add("--lookahead-depth", lookahead_depth, defaults.lookahead_depth);
  add("--cache-half-life", fmt::format("{:g}", cache_half_life),
      fmt::format("{:g}", defaults.cache_half_life));
  return text;
}

nlohmann::json ToJson(const TuneSettings& settings) {
  return {{"threads", settings.n_threads},
          {"pin", settings.pin},
          {"batch", settings.batch},
          {"io", settings.io},
          {"io_depth", settings.io_depth},
          {"reads", settings.reads},
          {"lookahead", settings.lookahead},
          {"lookahead_depth", settings.lookahead_depth},
          {"cache_half_life", settings.cache_half_life}};
}

std::string ChangeFrom(const TuneSettings& settings, const TuneSettings& against) {
  const nlohmann::json ours = ToJson(settings);
  const nlohmann::json theirs = ToJson(against);
  for (const auto& [key, value] : ours.items()) {
    if (value != theirs[key]) return fmt::format("{}={}", key, value.dump());
  }
  return "";
}

Result<TuneSettings> TuneSettingsFromJson(const nlohmann::json& json) {
  if (!json.is_object()) return InvalidArgument("the settings of a profile are no JSON object");
  TuneSettings settings;
  LARDER_ASSIGN_OR_RETURN(const std::int64_t n_threads, Whole(json, "threads", 0, 0, kMostThreads));
  LARDER_ASSIGN_OR_RETURN(const std::int64_t io_depth, Whole(json, "io_depth", 16, 1, 1024));
  LARDER_ASSIGN_OR_RETURN(settings.lookahead_depth, Whole(json, "lookahead_depth", 12, 1, 1024));
  LARDER_ASSIGN_OR_RETURN(settings.batch, Whole(json, "batch", 0, 0, 1 << 20));
  LARDER_ASSIGN_OR_RETURN(settings.io, OneOf(json, "io", "auto", {"auto", "uring", "threads"}));
  LARDER_ASSIGN_OR_RETURN(settings.reads,
                          OneOf(json, "reads", "auto", {"auto", "direct", "cached"}));
  LARDER_ASSIGN_OR_RETURN(settings.lookahead,
                          OneOf(json, "lookahead", "auto", {"auto", "on", "off"}));
  LARDER_ASSIGN_OR_RETURN(settings.pin, OneOf(json, "pin", "auto", {"auto", "none", "cores"}));
  if (const auto found = json.find("cache_half_life"); found != json.end()) {
    settings.cache_half_life = found->is_number() ? found->get<double>() : 0;
    if (!(settings.cache_half_life >= 1 && settings.cache_half_life <= kLongestHalfLife)) {
      return InvalidArgument("\"cache_half_life\" of a profile is no number from 1 to {:g}",
                             kLongestHalfLife);
    }
  }
  settings.n_threads = static_cast<int>(n_threads);
  settings.io_depth = static_cast<int>(io_depth);
  return settings;
}

std::vector<TuneProposal> Neighbours(const TuneSettings& best, const TuneLimits& limits) {
  std::vector<TuneProposal> proposals;
  const auto propose = [&](auto TuneSettings::*setting, const auto& value, const char* why) {
    TuneProposal proposal{best, why};
    proposal.settings.*setting = value;
    if (!(proposal.settings == best)) proposals.push_back(std::move(proposal));
  };
  const bool guesses = best.lookahead != "off";
  for (const int depth : Beside(kDepths, best.io_depth)) {
    propose(&TuneSettings::io_depth, depth,
            depth > best.io_depth ? "more reads in flight keep a fast disk busy"
                                  : "fewer reads in flight finish sooner each");
  }
  propose(&TuneSettings::reads, "cached", "free memory keeps what the budget has no slot for");
  propose(&TuneSettings::lookahead, "off", "a saturated disk has no time for guesses");
  for (const double half_life : Beside(kHalfLives, best.cache_half_life)) {
    propose(&TuneSettings::cache_half_life, half_life,
            half_life > best.cache_half_life
                ? "routing that drifts slowly rewards a longer memory"
                : "routing that drifts quickly wants a shorter memory");
  }
  if (guesses) {
    for (const std::int64_t depth : Beside(kAheadDepths, best.lookahead_depth)) {
      propose(&TuneSettings::lookahead_depth, depth,
              depth > best.lookahead_depth ? "more guesses under way while the layer computes"
                                           : "fewer guesses in the way of what is asked for");
    }
  }
  const std::int64_t present_batch = best.batch > 0 ? best.batch : limits.automatic_batch;
  for (const std::int64_t batch : Beside(kBatches, present_batch)) {
    if (batch >= limits.automatic_batch) continue;
    propose(&TuneSettings::batch, batch,
            batch > present_batch ? "larger batches read each expert less often"
                                  : "smaller batches leave more memory to experts");
  }
  const int n_threads = best.n_threads > 0 ? best.n_threads : limits.n_default_threads;
  if (n_threads > 1) {
    propose(&TuneSettings::n_threads, n_threads - 1, "a processor left to the disk and the system");
  }
  if (n_threads < limits.n_cpus) {
    propose(&TuneSettings::n_threads, n_threads + 1, "one thread more");
  }
  for (const char* pin : {"cores", "none", "auto"}) {
    propose(&TuneSettings::pin, pin, "where threads run");
  }
  propose(&TuneSettings::lookahead, "on", "an idle disk has time for every guess");
  propose(&TuneSettings::lookahead, "auto", "guesses as far as they pay");
  for (const char* io : {"threads", "auto"}) {
    propose(&TuneSettings::io, io, "another way to read");
  }
  for (const char* reads : {"direct", "auto"}) {
    propose(&TuneSettings::reads, reads, "past the page cache, which costs a copy");
  }
  return proposals;
}

}  // namespace larder
