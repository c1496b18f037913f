// Through zlib, which passes plain files on as they are.
#include "experts/gzip_text.h"

#include <zlib.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <system_error>
#include <utility>

#include "base/check.h"

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

Result<std::unique_ptr<TextFileWriter>> TextFileWriter::Create(const std::string& path) {
  // "T" writes what it is given, without compression.
  const bool is_compressed = path.size() > 3 && path.compare(path.size() - 3, 3, ".gz") == 0;
  errno = 0;
  void* file = gzopen((path + ".tmp").c_str(), is_compressed ? "wbe" : "wbTe");
  if (file == nullptr) {
    return InvalidArgument("cannot write {}: {}", path, std::generic_category().message(errno));
  }
  return std::unique_ptr<TextFileWriter>(new TextFileWriter(path, file));
}

TextFileWriter::~TextFileWriter() {
  if (file_ == nullptr) return;
  gzclose_w(static_cast<gzFile>(file_));
  std::remove((path_ + ".tmp").c_str());
}

Status TextFileWriter::Write(std::string_view text) {
  if (text.empty() || gzwrite(static_cast<gzFile>(file_), text.data(),
                              static_cast<unsigned>(text.size())) == static_cast<int>(text.size()))
    return Status::Ok();
  return IoError("cannot write {}: {}", path_, std::generic_category().message(errno));
}

Status TextFileWriter::Finish() {
  LARDER_CHECK(file_ != nullptr);
  errno = 0;
  const bool is_closed = gzclose_w(static_cast<gzFile>(std::exchange(file_, nullptr))) == Z_OK;
  if (is_closed && std::rename((path_ + ".tmp").c_str(), path_.c_str()) == 0) return Status::Ok();
  const Status failed =
      IoError("cannot write {}: {}", path_, std::generic_category().message(errno));
  std::remove((path_ + ".tmp").c_str());
  return failed;
}

}  // namespace larder
