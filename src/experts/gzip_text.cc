// Through zlib, which passes plain files on as they are.
#include "experts/gzip_text.h"

#include <zlib.h>

#include <array>
#include <cerrno>
#include <memory>
#include <system_error>

namespace larder {
namespace {

constexpr std::size_t kMaxTextBytes = std::size_t{1} << 30;

struct CloseGzip {
  void operator()(gzFile file) const { gzclose_r(file); }
};

}  // namespace

Result<std::string> ReadMaybeGzippedText(const std::string& path) {
  errno = 0;
  const std::unique_ptr<gzFile_s, CloseGzip> file(gzopen(path.c_str(), "rbe"));
  if (file == nullptr) {
    return NotFound("cannot open {}: {}", path, std::generic_category().message(errno));
  }
  std::string text;
  std::array<char, 1 << 16> chunk;
  while (true) {
    const int n_read = gzread(file.get(), chunk.data(), static_cast<unsigned>(chunk.size()));
    int code = Z_OK;
    const char* reason = gzerror(file.get(), &code);
    if (code == Z_ERRNO) {
      return IoError("cannot read {}: {}", path, std::generic_category().message(errno));
    }
    if (n_read < 0 || (code != Z_OK && code != Z_STREAM_END)) {
      return DataError("{}; the file is damaged, download it again", reason);  // names the file
    }
    if (n_read == 0) return text;
    text.append(chunk.data(), static_cast<std::size_t>(n_read));
    if (text.size() > kMaxTextBytes) return DataError("{} holds more than 1 GiB of text", path);
  }
}

}  // namespace larder
