// What `larder tune` may change, all of it exact: settings of a run as options of the command line,
// as a line of the log, and their neighbours. Plain data, pure functions.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/status.h"

namespace larder {

struct TuneSettings {
  int n_threads = 0;                  // 0: default
  std::string pin = "auto";           // auto, none, cores
  std::int64_t batch = 0;             // prompt tokens at once; 0: from the budget
  std::string io = "auto";            // auto, uring, threads
  int io_depth = 16;                  // reads in flight
  std::string reads = "auto";         // auto, direct, cached
  std::string lookahead = "auto";     // auto, on, off
  std::int64_t lookahead_depth = 12;  // reads ahead in flight
  double cache_half_life = 50;        // of the cache policy, requests of a layer

  bool operator==(const TuneSettings&) const = default;

  /// "--threads 2 --io-depth 32": what differs from the defaults; empty for the defaults.
  std::string Options() const;
  std::vector<std::string> Words() const;
};

nlohmann::json ToJson(const TuneSettings& settings);
/// kInvalidArgument names the key whose value no run would take.
Result<TuneSettings> TuneSettingsFromJson(const nlohmann::json& json);

/// A change of one setting, and why it is worth a try.
struct TuneProposal {
  TuneSettings settings;
  std::string why;
};

/// "io_depth=32" for the first setting in which `settings` differs from `against`; empty for none.
std::string ChangeFrom(const TuneSettings& settings, const TuneSettings& against);

/// What there is to choose from.
struct TuneLimits {
  int n_default_threads = 1;
  int n_cpus = 1;
  /// What the budget gives, when the exchange's prompt fills it; only smaller ones are proposed,
  /// whose cost to long prompts shows and which later runs can afford too. 0: none are.
  std::int64_t automatic_batch = 0;
};

/// All that differ from `best` in one setting by one step, the likeliest to help first.
std::vector<TuneProposal> Neighbours(const TuneSettings& best, const TuneLimits& limits);

}  // namespace larder
