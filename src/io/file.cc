// File: opening with errors a person can act on, the O_DIRECT descriptor and its alignment.
#include "io/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>

#include "base/memory.h"

namespace larder {

namespace {

constexpr std::size_t kDefaultAlignment = 4096;
constexpr std::size_t kMaxAlignment = std::size_t{1} << 20;
// Linux transfers at most 0x7ffff000 bytes in one call.
constexpr std::size_t kMaxTransferBytes = std::size_t{1} << 30;

Status OpenError(const std::string& path, int error) {
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      return NotFound("there is no file {}; check the path", path);
    case EACCES:
    case EPERM:
      return IoError("no permission to read {}; run as a user who may, or chmod it", path);
    case EMFILE:
    case ENFILE:
      return IoError("too many open files to open {}; raise the limit with ulimit -n", path);
    default:
      return IoError("cannot open {}: {}", path, std::strerror(error));
  }
}

// The alignment direct reads of this descriptor need, or 0 when it does not take direct reads.
std::size_t DirectAlignment(int fd) {
#ifdef STATX_DIOALIGN
  struct statx info {};
  if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &info) == 0 &&
      (info.stx_mask & STATX_DIOALIGN) != 0) {
    if (info.stx_dio_offset_align == 0) return 0;
    const std::size_t asked =
        std::max<std::size_t>(info.stx_dio_offset_align, info.stx_dio_mem_align);
    const std::size_t alignment = std::bit_ceil(std::max(asked, kDefaultAlignment));
    return alignment <= kMaxAlignment ? alignment : 0;
  }
#else
  static_cast<void>(fd);
#endif
  return kDefaultAlignment;
}

// A second descriptor of the same file with O_DIRECT, or -1.
int OpenDirect(const std::string& path, const struct stat& cached) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_DIRECT);
  if (fd < 0) return -1;
  struct stat info {};
  const bool same =
      fstat(fd, &info) == 0 && info.st_dev == cached.st_dev && info.st_ino == cached.st_ino;
  if (same) return fd;
  close(fd);
  return -1;
}

}  // namespace

Result<std::unique_ptr<File>> File::Open(const std::string& path) {
  if (path.empty()) return InvalidArgument("the file name is empty; give the path of a file");
  // Looked at before opening: opening a named pipe would wait for a writer.
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) return OpenError(path, errno);
  if (S_ISDIR(info.st_mode)) {
    return InvalidArgument("{} is a directory; give a file inside it", path);
  }
  if (!S_ISREG(info.st_mode)) {
    return InvalidArgument("{} is not a regular file; copy it to a disk and give that", path);
  }
  auto file = std::unique_ptr<File>(new File());
  file->path_ = path;
  file->cached_fd_ = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file->cached_fd_ < 0) return OpenError(path, errno);
  if (fstat(file->cached_fd_, &info) != 0) return OpenError(path, errno);
  file->size_bytes_ = static_cast<std::uint64_t>(info.st_size);
  file->direct_fd_ = OpenDirect(path, info);
  if (file->direct_fd_ >= 0) {
    const std::size_t alignment = DirectAlignment(file->direct_fd_);
    if (alignment != 0) {
      file->direct_alignment_ = alignment;
    } else {
      close(file->direct_fd_);
      file->direct_fd_ = -1;
    }
  }
  return file;
}

File::~File() {
  if (cached_fd_ >= 0) close(cached_fd_);
  if (direct_fd_ >= 0) close(direct_fd_);
}

Status File::ReadAt(std::uint64_t offset, void* out, std::size_t size_bytes) const {
  if (offset > size_bytes_ || size_bytes > size_bytes_ - offset) {
    return DataError("{} ends at byte {}, before byte {} that is needed; download it again", path_,
                     size_bytes_, offset + size_bytes);
  }
  auto* bytes = static_cast<std::byte*>(out);
  std::size_t done = 0;
  while (done < size_bytes) {
    const std::size_t n_asked = std::min(size_bytes - done, kMaxTransferBytes);
    const ssize_t n = pread(cached_fd_, bytes + done, n_asked, static_cast<off_t>(offset + done));
    if (n > 0) {
      done += static_cast<std::size_t>(n);
    } else if (n == 0) {
      return DataError("{} became shorter while it was read; leave it alone while Larder runs",
                       path_);
    } else if (errno != EINTR) {
      return IoError("reading {} at byte {} failed: {}; check the disk", path_, offset + done,
                     std::strerror(errno));
    }
  }
  return Status::Ok();
}

void File::DropFromPageCache(std::uint64_t offset, std::uint64_t size_bytes) const {
  if (size_bytes == 0 || offset >= size_bytes_) return;  // a length of 0 would mean all of it
  const std::uint64_t begin = AlignDown(offset, kPageBytes);
  const std::uint64_t end = std::min(size_bytes, size_bytes_ - offset) + offset;
  const std::uint64_t length = AlignUp(end, kPageBytes) - begin;
  posix_fadvise(cached_fd_, static_cast<off_t>(begin), static_cast<off_t>(length),
                POSIX_FADV_DONTNEED);
}

}  // namespace larder
