// Looking, and opening without writing.
#include "cli/output_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "cli/replacing_file.h"

namespace larder {

namespace {

// Parts of a split model are known by this as well.
bool IsModel(const std::string& path) {
  char magic[4] = {};
  std::ifstream file(path, std::ios::binary);
  return file.read(magic, sizeof(magic)) && std::memcmp(magic, "GGUF", sizeof(magic)) == 0;
}

Status TryToOpen(const std::string& path, int flags) {
  const int fd = open(path.c_str(), O_WRONLY | O_CLOEXEC | flags, 0666);
  if (fd >= 0) {
    close(fd);
    return Status::Ok();
  }
  if (errno == ENOENT) {
    return InvalidArgument("there is no folder for the output {}; make it first", path);
  }
  return IoError("cannot write {}: {}", path, std::strerror(errno));
}

Status TryToCreate(const std::string& path) {
  struct stat info = {};
  if (lstat(path.c_str(), &info) == 0) {
    return InvalidArgument("the output {} is a link that leads nowhere", path);
  }
  LARDER_RETURN_IF_ERROR(TryToOpen(path, O_CREAT | O_EXCL));
  unlink(path.c_str());
  return Status::Ok();
}

}  // namespace

Status CheckOutputFile(const std::string& path, const std::vector<std::string>& inputs) {
  if (path.empty()) return Status::Ok();
  struct stat info = {};
  if (stat(path.c_str(), &info) != 0) return TryToCreate(path);
  if (S_ISDIR(info.st_mode)) {
    return InvalidArgument("the output {} is a folder; give a file name in it", path);
  }
  // Opening a pipe would wait for its reader.
  if (!S_ISREG(info.st_mode)) {
    if (access(path.c_str(), W_OK) == 0) return Status::Ok();
    return IoError("cannot write {}: {}", path, std::strerror(errno));
  }
  for (const std::string& input : inputs) {
    std::error_code error;
    if (!std::filesystem::equivalent(path, input, error)) continue;
    return InvalidArgument("the output {} is an input of this run; write to another file", path);
  }
  if (IsModel(path)) {
    return InvalidArgument("the output {} is a model; write to another file", path);
  }
  return TryToOpen(path, 0);
}

Status CheckReplacedFile(const std::string& path, const std::vector<std::string>& inputs) {
  if (path.empty()) return Status::Ok();
  LARDER_RETURN_IF_ERROR(CheckOutputFile(path, inputs));
  // Unfinished, it leaves nothing behind.
  return ReplacingFile::Create(path).status();
}

bool IsSameFile(const std::string& path, const std::string& other) {
  if (path.empty() || other.empty()) return false;
  std::error_code error;
  if (std::filesystem::equivalent(path, other, error)) return true;
  const auto resolved = [](const std::string& name) {
    std::error_code ignored;
    return std::filesystem::weakly_canonical(std::filesystem::absolute(name, ignored), ignored);
  };
  return resolved(path) == resolved(other);
}

}  // namespace larder
