// Reads /proc and /sys.
#include "cli/machine_info.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>

#include <filesystem>
#include <fstream>

namespace larder {

namespace {

std::string FirstLine(const std::filesystem::path& path) {
  std::ifstream in(path);
  std::string line;
  std::getline(in, line);
  while (!line.empty() && line.back() == ' ') line.pop_back();
  return line;
}

}  // namespace

std::string CpuName() {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);) {
    const std::size_t colon = line.find(": ");
    const bool named = line.rfind("model name", 0) == 0 || line.rfind("Model", 0) == 0;
    if (named && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown CPU";
}

std::string KernelName() {
  utsname names = {};
  if (uname(&names) != 0) return "unknown kernel";
  return fmt::format("{} {}", names.sysname, names.release);
}

std::string DiskName(const std::string& path) {
  namespace fs = std::filesystem;
  struct stat status = {};
  if (stat(path.c_str(), &status) != 0) return "unknown disk";
  std::error_code error;
  fs::path device = fs::canonical(
      fmt::format("/sys/dev/block/{}:{}", major(status.st_dev), minor(status.st_dev)), error);
  if (error) return "a filesystem without a block device";
  // A partition's folder lies inside its disk's.
  if (fs::exists(device / "partition", error)) device = device.parent_path();
  const std::string model = FirstLine(device / "device/model");
  const std::string name = device.filename().string();
  return model.empty() ? name : fmt::format("{} ({})", name, model);
}

}  // namespace larder
