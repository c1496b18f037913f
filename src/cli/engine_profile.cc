// The profile's file.
#include "cli/engine_profile.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "cli/bench_runner.h"
#include "cli/machine_figures.h"
#include "cli/machine_info.h"
#include "cli/output.h"
#include "cli/token_list.h"

namespace larder {

std::string ToText(const EngineProfile& profile) {
  const nlohmann::json json = {{"settings", ToJson(profile.settings)},
                               {"options", profile.settings.Options()},
                               {"budget_bytes", profile.budget_bytes},
                               {"gain", profile.gain},
                               {"n_tries", profile.n_tries}};
  return json.dump(2) + "\n";
}

Result<EngineProfile> ParseEngineProfile(const std::string& text) {
  const nlohmann::json json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object() || !json.contains("settings")) {
    return InvalidArgument("the profile is no JSON object with settings");
  }
  EngineProfile profile;
  LARDER_ASSIGN_OR_RETURN(profile.settings, TuneSettingsFromJson(json["settings"]));
  const auto number = [&json](const char* key) {
    const auto found = json.find(key);
    return found != json.end() && found->is_number() ? found->get<double>() : 0.0;
  };
  profile.budget_bytes = static_cast<std::uint64_t>(std::clamp(number("budget_bytes"), 0.0, 1e18));
  profile.gain = number("gain");
  profile.n_tries = static_cast<int>(std::clamp(number("n_tries"), 0.0, 1e9));
  return profile;
}

std::string ProfilePath(const std::string& model_path) {
  const std::string folder = CacheFolder();
  std::error_code error;
  const std::uintmax_t size_bytes = std::filesystem::file_size(model_path, error);
  if (folder.empty() || error) return "";
  const std::string name = std::filesystem::path(model_path).filename().string();
  const std::string key = fmt::format("{}|{}|{}", name, size_bytes, CpuName());
  return fmt::format("{}/profile-{:016x}.json", folder, Fnv1a(key.data(), key.size()));
}

std::optional<EngineProfile> FindProfile(const std::string& model_path,
                                         std::optional<std::uint64_t> budget_bytes) {
  const std::string path = ProfilePath(model_path);
  std::error_code error;
  if (path.empty() || !std::filesystem::is_regular_file(path, error)) return std::nullopt;
  const Result<std::string> text = ReadTextFile(path);
  const Result<EngineProfile> profile =
      text.ok() ? ParseEngineProfile(*text) : Result<EngineProfile>(text.status());
  if (!profile.ok()) {
    PrintTo(stderr, "larder: {} is not used: {}\n", path, profile.status().message());
    return std::nullopt;
  }
  const auto asked = static_cast<double>(budget_bytes.value_or(0));
  const auto found = static_cast<double>(profile->budget_bytes);
  if (asked < 0.8 * found || asked > 1.2 * found) return std::nullopt;
  return *profile;
}

}  // namespace larder
