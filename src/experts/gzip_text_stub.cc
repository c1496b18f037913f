// Without zlib: plain files only.
#include <array>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <system_error>

#include "experts/gzip_text.h"

namespace larder {
namespace {

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};

}  // namespace

Result<std::string> ReadMaybeGzippedText(const std::string& path) {
  const std::unique_ptr<std::FILE, CloseFile> file(std::fopen(path.c_str(), "rbe"));
  if (file == nullptr) {
    return NotFound("cannot open {}: {}", path, std::generic_category().message(errno));
  }
  std::string text;
  std::array<char, 1 << 16> chunk;
  while (const std::size_t n_read = std::fread(chunk.data(), 1, chunk.size(), file.get())) {
    text.append(chunk.data(), n_read);
    if (text.size() > std::size_t{1} << 30) return DataError("{} holds more than 1 GiB", path);
  }
  if (std::ferror(file.get()) != 0) {
    return IoError("cannot read {}: {}", path, std::generic_category().message(errno));
  }
  if (text.compare(0, 2, "\x1f\x8b") == 0) {
    return Unsupported("{} is compressed, and this build has no zlib; gunzip it first", path);
  }
  return text;
}

}  // namespace larder
