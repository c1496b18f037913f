// The demo model's two places, relative to /proc/self/exe.
#include "cli/demo_model.h"

#include <filesystem>
#include <system_error>

namespace larder {

Result<std::string> FindDemoModel() {
  namespace fs = std::filesystem;
  std::error_code error;
  const fs::path folder = fs::read_symlink("/proc/self/exe", error).parent_path();
  if (!error) {
    for (const char* place : {"../models/demo/larder-demo.gguf", "../share/larder/larder-demo.gguf",
                              "../share/larder/models/demo/larder-demo.gguf"}) {
      const fs::path path = (folder / place).lexically_normal();
      if (fs::is_regular_file(path, error)) return path.string();
    }
  }
  return NotFound(
      "no model was given and the demo model is not here; give a GGUF file with -m FILE");
}

Result<std::string> ResolveModel(const std::string& given) {
  if (!given.empty()) return given;
  return FindDemoModel();
}

}  // namespace larder
