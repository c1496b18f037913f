// Opening a name that nobody has, and renaming.
#include "cli/replacing_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

namespace larder {

ReplacingFile::ReplacingFile(std::string path, std::string target, std::string beside,
                             std::FILE* file)
    : path_(std::move(path)), target_(std::move(target)), beside_(std::move(beside)), file_(file) {}

Result<std::unique_ptr<ReplacingFile>> ReplacingFile::Create(const std::string& path) {
  std::string target = path;
  struct stat info = {};
  const bool is_there = stat(path.c_str(), &info) == 0;
  if (is_there) {
    if (!S_ISREG(info.st_mode)) {
      return InvalidArgument("the output {} is not a regular file; give the name of one", path);
    }
    std::error_code error;
    target = std::filesystem::canonical(path, error).string();
    if (error) return IoError("cannot write {}: {}", path, error.message());
  } else if (lstat(path.c_str(), &info) == 0) {
    return InvalidArgument("{} is a link that leads nowhere", path);
  }
  std::string beside;
  int fd = -1;
  for (int i = 0; fd < 0 && (i == 0 || errno == EEXIST); ++i) {
    beside = fmt::format("{}.{}-{}.tmp", target, getpid(), i);
    fd = open(beside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  }
  std::FILE* file = fd < 0 ? nullptr : fdopen(fd, "wb");
  if (file == nullptr) {
    const Status failed = IoError("cannot write {}: {}", path, std::strerror(errno));
    if (fd >= 0) {
      close(fd);
      unlink(beside.c_str());
    }
    return failed;
  }
  // Where the mode cannot be kept, the file is still written.
  if (is_there) static_cast<void>(fchmod(fd, info.st_mode & 07777));
  return std::unique_ptr<ReplacingFile>(
      new ReplacingFile(path, std::move(target), std::move(beside), file));
}

ReplacingFile::~ReplacingFile() {
  if (file_ == nullptr) return;
  std::fclose(file_);
  unlink(beside_.c_str());
}

Status ReplacingFile::Write(const void* data, std::size_t size_bytes) {
  if (std::fwrite(data, 1, size_bytes, file_) == size_bytes) return Status::Ok();
  return IoError("cannot write {}: {}", path_, std::strerror(errno));
}

Status ReplacingFile::Finish() {
  std::FILE* file = std::exchange(file_, nullptr);
  const bool lost = std::ferror(file) != 0;
  const bool is_closed = std::fclose(file) == 0;
  if (is_closed && !lost && std::rename(beside_.c_str(), target_.c_str()) == 0) {
    return Status::Ok();
  }
  const Status failed = IoError("cannot write {}: {}", path_, std::strerror(errno));
  unlink(beside_.c_str());
  return failed;
}

}  // namespace larder
