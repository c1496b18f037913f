// Writing the nameless file and reading it.
#include "cli/disk_probe.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <vector>

#include "base/clock.h"
#include "base/memory.h"
#include "base/random.h"

namespace larder {

namespace {

constexpr std::size_t kPieceBytes = std::size_t{4} << 20;

Status WritePiece(int fd, const std::byte* data, std::size_t size_bytes) {
  std::size_t done = 0;
  while (done < size_bytes) {
    const ssize_t n = write(fd, data + done, size_bytes - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      return IoError("cannot write the probe's file: {}; name another folder with --disk",
                     n == 0 ? "no space" : std::strerror(errno));
    }
    done += static_cast<std::size_t>(n);
  }
  return Status::Ok();
}

// Random bytes: disks that compress or drop zeros would look faster than they are.
Status Fill(int fd, std::uint64_t size_bytes, const std::function<bool()>& interrupted) {
  std::vector<std::uint64_t> words(kPieceBytes / sizeof(std::uint64_t));
  SplitMix64 random(1);
  for (std::uint64_t at = 0; at < size_bytes; at += kPieceBytes) {
    if (interrupted && interrupted()) return Cancelled("interrupted");
    for (std::uint64_t& word : words) word = random.Next();
    const auto n_bytes =
        static_cast<std::size_t>(std::min<std::uint64_t>(kPieceBytes, size_bytes - at));
    LARDER_RETURN_IF_ERROR(
        WritePiece(fd, reinterpret_cast<const std::byte*>(words.data()), n_bytes));
  }
  if (fdatasync(fd) != 0) return IoError("cannot flush the probe's file: {}", std::strerror(errno));
  return Status::Ok();
}

double ThreadCpuSeconds() {
  struct timespec now {};
  if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now) != 0) return 0;
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

// Removes the name and closes the descriptor, however the probe ends.
struct NamedFile {
  std::string path;
  int fd = -1;
  ~NamedFile() {
    if (fd < 0) return;
    close(fd);
    unlink(path.c_str());
  }
};

}  // namespace

Result<DiskProbeFile> DiskProbeFile::Write(const std::string& folder, std::uint64_t size_bytes,
                                           const std::function<bool()>& interrupted) {
  NamedFile named;
  named.path = fmt::format("{}/.larder-probe-{}", folder, getpid());
  named.fd = open(named.path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (named.fd < 0) {
    return IoError("cannot write in {} to measure its disk: {}; name another folder with --disk",
                   folder, std::strerror(errno));
  }
  LARDER_RETURN_IF_ERROR(Fill(named.fd, size_bytes, interrupted));
  DiskProbeFile probe;
  LARDER_ASSIGN_OR_RETURN(probe.file_, File::Open(named.path));
  probe.file_->DropFromPageCache(0, size_bytes);
  return probe;
}

Result<DiskRound> DiskProbeFile::Read(std::uint64_t read_bytes, int depth, double seconds,
                                      IoMode mode, std::uint64_t seed) const {
  const std::size_t alignment = file_->direct_alignment();
  if (file_->direct_fd() < 0) {
    return Unsupported("the filesystem of {} has no direct reads; name another folder with --disk",
                       file_->path());
  }
  const auto size_bytes = static_cast<std::size_t>(AlignUp(read_bytes, alignment));
  const auto n_slots = static_cast<std::size_t>(depth);
  LARDER_ASSIGN_OR_RETURN(const PageBuffer buffer,
                          PageBuffer::Allocate(size_bytes * n_slots, true));
  std::fill(buffer.data(), buffer.data() + buffer.size_bytes(), std::byte{0});
  LARDER_ASSIGN_OR_RETURN(const std::unique_ptr<AsyncReader> reader,
                          MakeAsyncReader({mode, depth}));
  SplitMix64 random(seed);
  const std::uint64_t n_places = std::max<std::uint64_t>(1, file_->size_bytes() / size_bytes);
  const auto request = [&](std::size_t slot) {
    ReadRequest one;
    one.file = file_.get();
    one.direct = true;
    one.offset = random.NextBelow(n_places) * size_bytes;
    one.size_bytes = size_bytes;
    one.dst = buffer.data() + slot * size_bytes;
    one.tag = slot;
    return one;
  };
  Status status;
  std::uint64_t n_bytes = 0;
  const double start_cpu_s = ThreadCpuSeconds();
  const std::int64_t start_us = NowUs();
  for (std::size_t slot = 0; slot < n_slots && status.ok(); ++slot) {
    const ReadRequest one = request(slot);
    status = reader->Submit({&one, 1});
  }
  std::vector<ReadCompletion> done(n_slots);
  // Reads in flight write into the buffer: all must end before it does.
  while (reader->n_in_flight() > 0) {
    const Result<std::size_t> n_done = reader->Reap(done, -1);
    if (!n_done.ok()) return n_done.status();
    for (std::size_t i = 0; i < *n_done; ++i) {
      if (done[i].error != 0 && status.ok()) status = IoError("the disk probe could not read");
      n_bytes += done[i].size_bytes;
      if (!status.ok() || SecondsSince(start_us) >= seconds) continue;
      const ReadRequest one = request(static_cast<std::size_t>(done[i].tag));
      status = reader->Submit({&one, 1});
    }
  }
  LARDER_RETURN_IF_ERROR(status);
  DiskRound round;
  round.bytes_per_second = static_cast<double>(n_bytes) / std::max(SecondsSince(start_us), 1e-6);
  const double n_reads = static_cast<double>(n_bytes) / static_cast<double>(size_bytes);
  round.cpu_seconds_per_read = (ThreadCpuSeconds() - start_cpu_s) / std::max(n_reads, 1.0);
  return round;
}

std::optional<std::uint64_t> FreeDiskBytes(const std::string& folder) {
  struct statvfs info {};
  if (statvfs(folder.c_str(), &info) != 0) return std::nullopt;
  return static_cast<std::uint64_t>(info.f_bavail) * info.f_frsize;
}

}  // namespace larder
