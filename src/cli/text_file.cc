// Writing with its errors named.
#include "cli/text_file.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

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

Status ReplaceTextFile(const std::string& path, std::string_view text) {
  std::string target = path;
  mode_t mode = S_IRUSR | S_IWUSR;
  struct stat info = {};
  if (stat(path.c_str(), &info) == 0) {
    if (!S_ISREG(info.st_mode)) return InvalidArgument("{} is no file to write to", path);
    mode = info.st_mode & 07777;
    char* real = realpath(path.c_str(), nullptr);
    if (real == nullptr) return IoError("cannot write {}: {}", path, std::strerror(errno));
    target = real;
    free(real);
  } else if (lstat(path.c_str(), &info) == 0) {
    return InvalidArgument("{} is a link that leads nowhere", path);
  }
  std::string beside = target + ".XXXXXX";
  const int fd = mkostemp(beside.data(), O_CLOEXEC);
  std::FILE* file = fd < 0 ? nullptr : fdopen(fd, "wb");
  bool done = file != nullptr && fchmod(fd, mode) == 0 &&
              std::fwrite(text.data(), 1, text.size(), file) == text.size();
  done = file != nullptr && std::fclose(file) == 0 && done;
  if (done && std::rename(beside.c_str(), target.c_str()) == 0) return Status::Ok();
  const int error = errno;
  if (fd >= 0) std::remove(beside.c_str());
  return IoError("cannot write {}: {}", path, std::strerror(error));
}

}  // namespace larder
