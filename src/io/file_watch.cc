// Identity of files by fstat.
#include "io/file_watch.h"

#include <sys/stat.h>
#include <time.h>

#include <cerrno>
#include <cstring>

namespace larder {

namespace {

std::int64_t Nanoseconds(const struct timespec& time) {
  return static_cast<std::int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
}

}  // namespace

std::int64_t FileClockNs() {
  struct timespec now {};
  clock_gettime(CLOCK_REALTIME, &now);
  return Nanoseconds(now);
}

FileWatch::FileWatch(const File* file, std::int64_t opened_ns) : file_(file) {
  struct stat info {};
  if (fstat(file->cached_fd(), &info) != 0) return;
  device_ = info.st_dev;
  inode_ = info.st_ino;
  modified_ns_ = Nanoseconds(info.st_mtim);
  // Between the opening and now; a time in the future is only odd.
  if (modified_ns_ > opened_ns && modified_ns_ <= FileClockNs()) modified_ns_ = -1;
}

Status FileWatch::Check() const {
  const std::string& path = file_->path();
  struct stat info {};
  if (fstat(file_->cached_fd(), &info) != 0) {
    return IoError("cannot look at {}: {}; check the disk", path, std::strerror(errno));
  }
  const auto size_bytes = static_cast<std::uint64_t>(info.st_size);
  if (size_bytes < file_->size_bytes()) {
    return IoError("{} became shorter while Larder was using it; restore the file and start again",
                   path);
  }
  if (size_bytes != file_->size_bytes() || Nanoseconds(info.st_mtim) != modified_ns_) {
    return IoError("{} was written to while Larder was using it; start again with a whole file",
                   path);
  }
  if (stat(path.c_str(), &info) != 0) return Status::Ok();
  if (info.st_dev == device_ && info.st_ino == inode_) return Status::Ok();
  return IoError("{} was replaced while Larder was using it; start again to use the new file",
                 path);
}

}  // namespace larder
