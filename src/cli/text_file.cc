// Writing with its errors named.
#include "cli/text_file.h"

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace larder {

Status WriteTextFile(const std::string& path, std::string_view text) {
  std::FILE* file = std::fopen(path.c_str(), "wb");
  if (file == nullptr) return IoError("cannot write {}: {}", path, std::strerror(errno));
  const bool written = std::fwrite(text.data(), 1, text.size(), file) == text.size();
  if (std::fclose(file) == 0 && written) return Status::Ok();
  return IoError("cannot write {}: {}", path, std::strerror(errno));
}

}  // namespace larder
