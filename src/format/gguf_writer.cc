// The file behind GgufWriter: space is asked for at once, bytes go out in large pieces, and what
// has reached the disk is dropped from the page cache so that writing a model of 20 GB pushes
// nothing else out.
#include "format/gguf_writer.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include <filesystem>
#include <system_error>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "base/memory.h"
#include "base/size.h"
#include "format/gguf_header_writer.h"

namespace larder {

namespace {

constexpr std::size_t kBufferBytes = std::size_t{1} << 20;
constexpr std::uint64_t kFlushWindowBytes = std::uint64_t{32} << 20;

}  // namespace

struct GgufWriter::Impl {
  std::string path;
  std::string temporary_path;
  int fd = -1;
  std::uint32_t alignment = 32;
  std::vector<std::uint64_t> tensor_sizes_bytes;
  std::size_t n_complete = 0;               // tensors
  std::uint64_t current_written_bytes = 0;  // of the tensor after those
  std::string buffer;
  std::uint64_t file_written_bytes = 0;
  std::uint64_t flush_started_bytes = 0;  // write-back was asked for up to here
  std::uint64_t flushed_bytes = 0;        // and is known to be over up to here

  Status Failure(const char* doing, int error) const;
  Status Reserve(std::uint64_t size_bytes) const;
  Status Put(const void* data, std::size_t size_bytes);
  Status PutBuffer();
  Status WriteOut(const char* data, std::size_t size_bytes);
  void KeepPageCacheSmall();
  Status CompleteTensors();
};

Status GgufWriter::Impl::Failure(const char* doing, int error) const {
  if (error == ENOSPC || error == EDQUOT) {
    return IoError("{} {} failed: the disk is full; free some space", doing, path);
  }
  return IoError("{} {} failed: {}; check the disk or write elsewhere", doing, path,
                 std::strerror(error));
}

// Takes the space now, so that a full disk is known before the work and not after it. Asked first:
// a reservation that fails half-way would take all that is left for a moment.
Status GgufWriter::Impl::Reserve(std::uint64_t size_bytes) const {
  struct statvfs space {};
  if (fstatvfs(fd, &space) == 0) {
    const std::uint64_t free_bytes = std::uint64_t{space.f_bavail} * space.f_frsize;
    if (free_bytes < size_bytes) {
      return IoError("{} needs {} and its disk has {} free; free some space or write elsewhere",
                     path, FormatBytes(size_bytes), FormatBytes(free_bytes));
    }
  }
  int rc = 0;
  do {
    rc = fallocate(fd, 0, 0, static_cast<off_t>(size_bytes));
  } while (rc != 0 && errno == EINTR);
  if (rc == 0 || (errno != ENOSPC && errno != EDQUOT && errno != EFBIG)) return Status::Ok();
  return Failure("writing", errno);
}

Status GgufWriter::Impl::WriteOut(const char* data, std::size_t size_bytes) {
  while (size_bytes > 0) {
    const ssize_t n = write(fd, data, std::min<std::size_t>(size_bytes, kFlushWindowBytes));
    if (n < 0) {
      if (errno == EINTR) continue;
      return Failure("writing", errno);
    }
    data += n;
    size_bytes -= static_cast<std::size_t>(n);
    file_written_bytes += static_cast<std::uint64_t>(n);
    KeepPageCacheSmall();
  }
  return Status::Ok();
}

// One window is on its way to the disk while the next is filled; the one before is dropped.
void GgufWriter::Impl::KeepPageCacheSmall() {
  if (file_written_bytes - flush_started_bytes < kFlushWindowBytes) return;
  sync_file_range(fd, static_cast<off_t>(flush_started_bytes),
                  static_cast<off_t>(file_written_bytes - flush_started_bytes),
                  SYNC_FILE_RANGE_WRITE);
  if (flush_started_bytes > flushed_bytes) {
    const auto start = static_cast<off_t>(flushed_bytes);
    const auto length = static_cast<off_t>(flush_started_bytes - flushed_bytes);
    sync_file_range(
        fd, start, length,
        SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER);
    posix_fadvise(fd, start, length, POSIX_FADV_DONTNEED);
  }
  flushed_bytes = flush_started_bytes;
  flush_started_bytes = file_written_bytes;
}

Status GgufWriter::Impl::PutBuffer() {
  LARDER_RETURN_IF_ERROR(WriteOut(buffer.data(), buffer.size()));
  buffer.clear();
  return Status::Ok();
}

Status GgufWriter::Impl::Put(const void* data, std::size_t size_bytes) {
  const char* bytes = static_cast<const char*>(data);
  if (buffer.size() + size_bytes > kBufferBytes) LARDER_RETURN_IF_ERROR(PutBuffer());
  if (size_bytes >= kBufferBytes) return WriteOut(bytes, size_bytes);
  buffer.append(bytes, size_bytes);
  return Status::Ok();
}

// Pads and steps over a tensor that is full.
Status GgufWriter::Impl::CompleteTensors() {
  const std::uint64_t size = tensor_sizes_bytes[n_complete];
  if (current_written_bytes < size) return Status::Ok();
  const std::string padding(AlignUp(size, alignment) - size, '\0');
  LARDER_RETURN_IF_ERROR(Put(padding.data(), padding.size()));
  ++n_complete;
  current_written_bytes = 0;
  return Status::Ok();
}

Status CheckOutputPath(const std::string& path) {
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  std::error_code ignored;
  if (!folder.empty() && !std::filesystem::is_directory(folder, ignored)) {
    return InvalidArgument("there is no folder {} for the output {}; make it first",
                           folder.string(), path);
  }
  for (const std::string& name : {path, path + ".tmp"}) {
    struct stat found {};
    if (stat(name.c_str(), &found) != 0 || S_ISREG(found.st_mode)) continue;
    if (S_ISDIR(found.st_mode)) {
      return InvalidArgument("the output {} is a folder; give a file name in it", name);
    }
    return InvalidArgument("the output {} is not a regular file; give the name of one", name);
  }
  return Status::Ok();
}

GgufWriter::GgufWriter(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

GgufWriter::~GgufWriter() {
  if (impl_->fd < 0) return;
  close(impl_->fd);
  unlink(impl_->temporary_path.c_str());
}

Result<std::unique_ptr<GgufWriter>> GgufWriter::Create(
    const std::string& path, const Metadata& metadata,
    const std::vector<TensorDeclaration>& tensors, std::uint32_t alignment) {
  LARDER_RETURN_IF_ERROR(CheckOutputPath(path));
  LARDER_ASSIGN_OR_RETURN(GgufHeader header, MakeGgufHeader(metadata, tensors, alignment));
  auto impl = std::make_unique<Impl>();
  impl->path = path;
  impl->temporary_path = path + ".tmp";
  impl->alignment = alignment;
  impl->tensor_sizes_bytes = std::move(header.tensor_sizes_bytes);
  impl->buffer.reserve(kBufferBytes);
  impl->fd = open(impl->temporary_path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (impl->fd < 0) {
    return IoError("cannot create {}: {}; choose a folder that exists and may be written to",
                   impl->temporary_path, std::strerror(errno));
  }
  auto writer = std::unique_ptr<GgufWriter>(new GgufWriter(std::move(impl)));
  LARDER_RETURN_IF_ERROR(writer->impl_->Reserve(header.file_size_bytes));
  LARDER_RETURN_IF_ERROR(writer->impl_->Put(header.bytes.data(), header.bytes.size()));
  return writer;
}

Status GgufWriter::Write(std::span<const std::byte> bytes) {
  if (bytes.empty()) return Status::Ok();
  LARDER_CHECK(impl_->n_complete < impl_->tensor_sizes_bytes.size());
  const std::uint64_t size = impl_->tensor_sizes_bytes[impl_->n_complete];
  LARDER_CHECK(bytes.size() <= size - impl_->current_written_bytes);
  LARDER_RETURN_IF_ERROR(impl_->Put(bytes.data(), bytes.size()));
  impl_->current_written_bytes += bytes.size();
  return impl_->CompleteTensors();
}

Status GgufWriter::Finish() {
  LARDER_CHECK(impl_->fd >= 0);
  LARDER_CHECK(impl_->n_complete == impl_->tensor_sizes_bytes.size());
  LARDER_RETURN_IF_ERROR(impl_->PutBuffer());
  if (fdatasync(impl_->fd) != 0) return impl_->Failure("writing", errno);
  if (std::rename(impl_->temporary_path.c_str(), impl_->path.c_str()) != 0) {
    return impl_->Failure("renaming the finished file to", errno);
  }
  const int fd = impl_->fd;
  impl_->fd = -1;
  if (close(fd) != 0) return impl_->Failure("closing", errno);
  return Status::Ok();
}

}  // namespace larder
