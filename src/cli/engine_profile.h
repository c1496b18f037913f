// A profile: the settings that `larder tune` found for one model on one machine and budget, kept in
// the user's cache folder and taken by later runs that do not say otherwise. One file per model and
// machine, one profile per budget. Plain data, JSON.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "cli/tune_settings.h"

namespace larder {

struct EngineProfile {
  TuneSettings settings;
  std::uint64_t budget_bytes = 0;  // it was found with; 0: the default
  double gain = 1;                 // speed over the defaults', as measured at the end
  int n_tries = 0;
};

std::string ToText(const std::vector<EngineProfile>& profiles);
/// kInvalidArgument says what is wrong with it.
Result<std::vector<EngineProfile>> ParseEngineProfiles(const std::string& text);

/// Where the profiles of a model lie: by its file's name and size, this processor, the CPUs that
/// this process may use and the file's disk; empty when there is no cache folder, or no such file.
std::string ProfilePath(const std::string& model_path);

/// Of `profiles` the one whose budget is nearest, within a fifth; nullptr when there is none.
const EngineProfile* NearestProfile(const std::vector<EngineProfile>& profiles,
                                    std::uint64_t budget_bytes);

/// The profile for this model and budget (0: the default), when there is one. A damaged file is
/// said on stderr and left alone.
std::optional<EngineProfile> FindProfile(const std::string& model_path, std::uint64_t budget_bytes);

/// Keeps `profile` in place of those for the same budget. The file is whole at any time, whoever
/// else saves; a damaged one is moved aside, which is said on stderr.
Status SaveProfile(const std::string& model_path, const EngineProfile& profile);

}  // namespace larder
