// The profiles' file.
#include "cli/engine_profile.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "base/cpu_topology.h"
#include "cli/bench_runner.h"
#include "cli/machine_figures.h"
#include "cli/machine_info.h"
#include "cli/output.h"
#include "cli/text_file.h"
#include "cli/timing.h"
#include "cli/token_list.h"

namespace larder {

namespace {

constexpr std::size_t kMostProfiles = 1000;

nlohmann::json ToJson(const EngineProfile& profile) {
  return {{"settings", ToJson(profile.settings)},
          {"options", profile.settings.Options()},
          {"budget_bytes", profile.budget_bytes},
          {"gain", profile.gain},
          {"n_tries", profile.n_tries}};
}

Result<EngineProfile> ParseOne(const nlohmann::json& json) {
  if (!json.is_object() || !json.contains("settings")) {
    return InvalidArgument("a profile is no JSON object with settings");
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

}  // namespace

std::string ToText(const std::vector<EngineProfile>& profiles) {
  nlohmann::json list = nlohmann::json::array();
  for (const EngineProfile& profile : profiles) list.push_back(ToJson(profile));
  return DumpJson({{"profiles", std::move(list)}}, 2) + "\n";
}

Result<std::vector<EngineProfile>> ParseEngineProfiles(const std::string& text) {
  const nlohmann::json json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object() || !json.contains("profiles") || !json["profiles"].is_array() ||
      json["profiles"].size() > kMostProfiles) {
    return InvalidArgument("it is no JSON object with a list of profiles");
  }
  std::vector<EngineProfile> profiles;
  for (const nlohmann::json& one : json["profiles"]) {
    LARDER_ASSIGN_OR_RETURN(EngineProfile profile, ParseOne(one));
    profiles.push_back(std::move(profile));
  }
  return profiles;
}

std::string ProfilePath(const std::string& model_path) {
  const std::string folder = CacheFolder();
  std::error_code error;
  const std::uintmax_t size_bytes = std::filesystem::file_size(model_path, error);
  if (folder.empty() || error) return "";
  const std::string name = std::filesystem::path(model_path).filename().string();
  const std::string key = fmt::format("{}|{}|{}|{}|{}", name, size_bytes, CpuName(),
                                      UsableCpuCount(), DiskName(model_path));
  return fmt::format("{}/profile-{:016x}.json", folder, Fnv1a(key.data(), key.size()));
}

const EngineProfile* NearestProfile(const std::vector<EngineProfile>& profiles,
                                    std::uint64_t budget_bytes) {
  const auto asked = static_cast<double>(budget_bytes);
  const auto apart = [asked](const EngineProfile& profile) {
    return std::abs(static_cast<double>(profile.budget_bytes) - asked);
  };
  const EngineProfile* nearest = nullptr;
  for (const EngineProfile& profile : profiles) {
    if (apart(profile) > 0.2 * static_cast<double>(profile.budget_bytes)) continue;
    if (nearest == nullptr || apart(profile) < apart(*nearest)) nearest = &profile;
  }
  return nearest;
}

namespace {

Result<std::vector<EngineProfile>> ReadProfiles(const std::string& path) {
  LARDER_ASSIGN_OR_RETURN(const std::string text, ReadTextFile(path));
  return ParseEngineProfiles(text);
}

// One process at a time reads and replaces the profiles of a folder. Where the file system has no
// locks, a profile saved at the same moment may be lost.
class FolderLock {
 public:
  explicit FolderLock(const std::string& folder)
      : fd_(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
    while (fd_ >= 0 && flock(fd_, LOCK_EX) != 0 && errno == EINTR) {
    }
  }
  ~FolderLock() {
    if (fd_ >= 0) close(fd_);
  }
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  int fd_;
};

// Profiles of other budgets may still be read by eye from what is moved.
Status MoveAside(const std::string& path, const Status& damage) {
  const std::string aside = path + ".damaged";
  if (std::rename(path.c_str(), aside.c_str()) != 0) {
    return IoError("cannot move {} aside: {}", path, std::strerror(errno));
  }
  PrintTo(stderr, "larder: {} is moved to {}: {}\n", path, aside, damage.message());
  return Status::Ok();
}

}  // namespace

std::optional<EngineProfile> FindProfile(const std::string& model_path,
                                         std::uint64_t budget_bytes) {
  const std::string path = ProfilePath(model_path);
  std::error_code error;
  if (path.empty() || !std::filesystem::is_regular_file(path, error)) return std::nullopt;
  const Result<std::vector<EngineProfile>> profiles = ReadProfiles(path);
  if (!profiles.ok()) {
    PrintTo(stderr, "larder: {} is not used: {}\n", path, profiles.status().message());
    return std::nullopt;
  }
  const EngineProfile* nearest = NearestProfile(*profiles, budget_bytes);
  return nearest == nullptr ? std::nullopt : std::optional<EngineProfile>(*nearest);
}

Status SaveProfile(const std::string& model_path, const EngineProfile& profile) {
  const std::string path = ProfilePath(model_path);
  if (path.empty())
    return InvalidArgument("{} is no file, or there is no cache folder", model_path);
  const std::string folder = std::filesystem::path(path).parent_path();
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  const FolderLock lock(folder);
  std::vector<EngineProfile> kept = {profile};
  if (std::filesystem::is_regular_file(path, error)) {
    const Result<std::vector<EngineProfile>> before = ReadProfiles(path);
    if (!before.ok()) LARDER_RETURN_IF_ERROR(MoveAside(path, before.status()));
    for (const EngineProfile& other : before.ok() ? *before : std::vector<EngineProfile>()) {
      if (other.budget_bytes != profile.budget_bytes) kept.push_back(other);
    }
  }
  return ReplaceTextFile(path, ToText(kept));
}

}  // namespace larder
