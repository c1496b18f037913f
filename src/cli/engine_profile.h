// A profile: the settings that `larder tune` found for one model on one machine and budget, kept in
// the user's cache folder and taken by later runs that do not say otherwise. Plain data, JSON.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/status.h"
#include "cli/tune_settings.h"

namespace larder {

struct EngineProfile {
  TuneSettings settings;
  std::uint64_t budget_bytes = 0;  // it was found with; 0: the default
  double gain = 1;                 // speed over the defaults', as last measured
  int n_tries = 0;
};

std::string ToText(const EngineProfile& profile);
/// kInvalidArgument says what is wrong with it.
Result<EngineProfile> ParseEngineProfile(const std::string& text);

/// Where the profile of a model lies: by its file's name and size and this processor; empty when
/// there is no cache folder, or no such file.
std::string ProfilePath(const std::string& model_path);

/// The profile for this model and budget, when there is one: found with a budget within a fifth of
/// this one. A damaged one is said on stderr and left alone.
std::optional<EngineProfile> FindProfile(const std::string& model_path,
                                         std::optional<std::uint64_t> budget_bytes);

}  // namespace larder
