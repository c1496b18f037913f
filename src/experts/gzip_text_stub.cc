// Without zlib: plain files only.
#include <array>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <system_error>
#include <utility>

#include "base/check.h"
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

Result<std::unique_ptr<TextFileWriter>> TextFileWriter::Create(const std::string& path) {
  if (path.size() > 3 && path.compare(path.size() - 3, 3, ".gz") == 0) {
    return Unsupported("{} asks for compression, and this build has no zlib; leave .gz off", path);
  }
  void* file = std::fopen((path + ".tmp").c_str(), "wbe");
  if (file == nullptr) {
    return InvalidArgument("cannot write {}: {}", path, std::generic_category().message(errno));
  }
  return std::unique_ptr<TextFileWriter>(new TextFileWriter(path, file));
}

TextFileWriter::~TextFileWriter() {
  if (file_ == nullptr) return;
  std::fclose(static_cast<std::FILE*>(file_));
  std::remove((path_ + ".tmp").c_str());
}

Status TextFileWriter::Write(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), static_cast<std::FILE*>(file_)) == text.size())
    return Status::Ok();
  return IoError("cannot write {}: {}", path_, std::generic_category().message(errno));
}

Status TextFileWriter::Finish() {
  LARDER_CHECK(file_ != nullptr);
  errno = 0;
  const bool is_closed = std::fclose(static_cast<std::FILE*>(std::exchange(file_, nullptr))) == 0;
  if (is_closed && std::rename((path_ + ".tmp").c_str(), path_.c_str()) == 0) return Status::Ok();
  const Status failed =
      IoError("cannot write {}: {}", path_, std::generic_category().message(errno));
  std::remove((path_ + ".tmp").c_str());
  return failed;
}

}  // namespace larder
