// The folder, its index in memory, and the thread that writes.
#include "state/prefix_disk.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <ctime>
#include <deque>
#include <filesystem>
#include <mutex>
#include <thread>
#include <unordered_map>

#include "base/log.h"
#include "base/size.h"

namespace larder {

namespace {

namespace fs = std::filesystem;

constexpr const char* kTemporaryPrefix = "writing-";
constexpr const char* kDayFile = "written-today";
constexpr std::int64_t kAbandonedNs = std::int64_t{600} * 1000000000;  // of a temporary file

std::int64_t WallNs() {
  struct timespec now {};
  clock_gettime(CLOCK_REALTIME, &now);
  return std::int64_t{now.tv_sec} * 1000000000 + now.tv_nsec;
}

std::int64_t Today() { return static_cast<std::int64_t>(std::time(nullptr)) / 86400; }

bool IsIdentityName(const std::string& name) {
  return name.size() == 16 && name.find_first_not_of("0123456789abcdef") == std::string::npos;
}

struct Entry {
  std::uint64_t size_bytes = 0;
  std::int64_t last_use_ns = 0;
};

// A file of any model, as far as the size limit is concerned.
struct ForeignFile {
  std::string path;
  Entry entry;
};

}  // namespace

struct PrefixDisk::Impl {
  PrefixDiskOptions options;
  std::string folder;  // of this identity

  mutable std::mutex mutex;
  std::condition_variable changed;
  std::unordered_map<PrefixId, Entry, PrefixIdHash> entries;
  std::vector<ForeignFile> others;
  struct Job {
    PrefixId id;
    PrefixBlob blob;
  };
  std::deque<Job> queue;  // the first is being written
  std::uint64_t queued_bytes = 0;
  PrefixDiskStats stats;
  bool broken = false;  // writing failed: no more of it
  bool said_daily = false;
  bool stopping = false;
  std::uint64_t n_temporary = 0;
  std::thread writer;

  Status Scan();
  void ScanFolder(const fs::path& path, bool is_own);
  void Forget(const PrefixId& id);
  void MakeRoom(std::uint64_t size_bytes);
  std::uint64_t CountToday(std::uint64_t more_bytes) const;
  void WriteLoop();
  Status WriteOne(const Job& job, std::uint64_t number);
  std::string PathOf(const PrefixId& id) const { return folder + "/" + PrefixFileName(id); }
};

// ---- What is there ------------------------------------------------------------------------------

void PrefixDisk::Impl::ScanFolder(const fs::path& path, bool is_own) {
  std::error_code error;
  for (fs::directory_iterator it(path, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    struct stat info {};
    if (lstat(it->path().c_str(), &info) != 0 || !S_ISREG(info.st_mode)) continue;
    const std::int64_t used_ns =
        std::int64_t{info.st_mtim.tv_sec} * 1000000000 + info.st_mtim.tv_nsec;
    if (name.rfind(kTemporaryPrefix, 0) == 0) {
      if (WallNs() - used_ns > kAbandonedNs) unlink(it->path().c_str());
      continue;
    }
    const std::optional<PrefixId> id = ParsePrefixFileName(name);
    if (!id) continue;
    const Entry entry = {static_cast<std::uint64_t>(info.st_size), used_ns};
    stats.used_bytes += entry.size_bytes;
    if (is_own) {
      entries[*id] = entry;
    } else {
      others.push_back({it->path().string(), entry});
    }
  }
}

Status PrefixDisk::Impl::Scan() {
  std::error_code error;
  fs::create_directories(options.folder, error);
  if (error) {
    return IoError("the prompt cache's folder {} cannot be made: {}", options.folder,
                   error.message());
  }
  if (mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) {
    return IoError("the prompt cache's folder {} cannot be made: {}", folder, std::strerror(errno));
  }
  if (access(folder.c_str(), R_OK | W_OK | X_OK) != 0) {
    return IoError("the prompt cache's folder {} cannot be used: {}", folder, std::strerror(errno));
  }
  for (fs::directory_iterator it(options.folder, error), end; !error && it != end;
       it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (!IsIdentityName(name)) continue;
    ScanFolder(it->path(), it->path().string() == folder);
  }
  return Status::Ok();
}

void PrefixDisk::Impl::Forget(const PrefixId& id) {
  const auto found = entries.find(id);
  if (found == entries.end()) return;
  stats.used_bytes -= found->second.size_bytes;
  entries.erase(found);
}

// Deletes what was used longest ago until `size_bytes` more fit.
void PrefixDisk::Impl::MakeRoom(std::uint64_t size_bytes) {
  while (stats.used_bytes + size_bytes > options.limit_bytes) {
    const auto older = [](const auto& a, const auto& b) {
      return a.second.last_use_ns < b.second.last_use_ns;
    };
    const auto own = std::min_element(entries.begin(), entries.end(), older);
    const auto other = std::min_element(others.begin(), others.end(),
                                        [](const ForeignFile& a, const ForeignFile& b) {
                                          return a.entry.last_use_ns < b.entry.last_use_ns;
                                        });
    if (own == entries.end() && other == others.end()) return;
    const bool take_own =
        other == others.end() ||
        (own != entries.end() && own->second.last_use_ns <= other->entry.last_use_ns);
    if (take_own) {
      unlink(PathOf(own->first).c_str());
      Forget(PrefixId(own->first));
    } else {
      unlink(other->path.c_str());
      stats.used_bytes -= other->entry.size_bytes;
      others.erase(other);
    }
  }
}

// ---- Bytes per day ------------------------------------------------------------------------------

// Adds to the day's count that all processes share, and returns it; 0 when nobody can say.
std::uint64_t PrefixDisk::Impl::CountToday(std::uint64_t more_bytes) const {
  const std::string path = options.folder + "/" + kDayFile;
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return 0;
  std::uint64_t total = 0;
  if (flock(fd, LOCK_EX) == 0) {
    char text[64] = {};
    const ssize_t size = pread(fd, text, sizeof(text) - 1, 0);
    long long day = 0;
    unsigned long long bytes = 0;
    if (size > 0 && std::sscanf(text, "%lld %llu", &day, &bytes) == 2 && day == Today()) {
      total = bytes;
    }
    total += more_bytes;
    if (more_bytes > 0) {
      const std::string now = fmt::format("{} {}\n", Today(), total);
      if (ftruncate(fd, 0) != 0 || pwrite(fd, now.data(), now.size(), 0) < 0) total = 0;
    }
  }
  close(fd);
  return total;
}

// ---- Writing ------------------------------------------------------------------------------------

Status PrefixDisk::Impl::WriteOne(const Job& job, std::uint64_t number) {
  const PrefixFileFacts facts = {options.identity, job.id, job.blob->size_bytes()};
  const std::string temporary = fmt::format("{}{}-{}", kTemporaryPrefix, getpid(), number);
  return WritePrefixFile(folder, temporary, PrefixFileName(job.id), facts,
                         {job.blob->data(), job.blob->size_bytes()});
}

void PrefixDisk::Impl::WriteLoop() {
  std::unique_lock lock(mutex);
  while (true) {
    changed.wait(lock, [this] { return stopping || !queue.empty(); });
    if (queue.empty()) return;
    const Job job = queue.front();
    const std::uint64_t size_bytes = kPrefixHeaderBytes + job.blob->size_bytes();
    MakeRoom(size_bytes);
    const std::uint64_t number = n_temporary++;
    lock.unlock();
    const Status written = WriteOne(job, number);
    if (written.ok()) (void)CountToday(size_bytes);
    lock.lock();
    if (written.ok()) {
      stats.written_bytes += size_bytes;
      stats.used_bytes += size_bytes;
      entries[job.id] = {size_bytes, WallNs()};
    } else {
      LogWarning("{}; nothing more is saved in this run", written.message());
      broken = true;
    }
    if (!queue.empty()) {  // Stop may have given it up meanwhile
      queued_bytes -= size_bytes;
      queue.pop_front();
    }
    if (broken) {
      queue.clear();
      queued_bytes = 0;
    }
    changed.notify_all();
  }
}

// ---- Interface ----------------------------------------------------------------------------------

PrefixDisk::PrefixDisk(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {
  impl_->writer = std::thread([this] { impl_->WriteLoop(); });
}

PrefixDisk::~PrefixDisk() { Stop(0); }

Result<std::unique_ptr<PrefixDisk>> PrefixDisk::Open(const PrefixDiskOptions& options) {
  auto impl = std::make_unique<Impl>();
  impl->options = options;
  impl->folder = options.folder + "/" + ToHex(std::span(options.identity).first(8));
  LARDER_RETURN_IF_ERROR(impl->Scan());
  impl->MakeRoom(0);
  return std::unique_ptr<PrefixDisk>(new PrefixDisk(std::move(impl)));
}

bool PrefixDisk::Has(const PrefixId& id) const {
  const std::lock_guard lock(impl_->mutex);
  const auto is_it = [&id](const Impl::Job& job) { return job.id == id; };
  return impl_->entries.count(id) != 0 ||
         std::any_of(impl_->queue.begin(), impl_->queue.end(), is_it);
}

bool PrefixDisk::Read(const PrefixId& id, std::span<std::byte> out) {
  {
    const std::lock_guard lock(impl_->mutex);
    if (impl_->entries.count(id) == 0) return false;
  }
  const Status status =
      ReadPrefixFile(impl_->PathOf(id), {impl_->options.identity, id, out.size()}, out);
  if (status.ok()) {
    Touch(id);
    const std::lock_guard lock(impl_->mutex);
    impl_->stats.read_bytes += out.size();
    return true;
  }
  const std::lock_guard lock(impl_->mutex);
  if (status.code() == StatusCode::kDataError) {
    ++impl_->stats.n_ignored;
    LogWarning("a kept prompt is ignored: {}", status.message());
    unlink(impl_->PathOf(id).c_str());
  }
  impl_->Forget(id);
  return false;
}

void PrefixDisk::Touch(const PrefixId& id) {
  const std::lock_guard lock(impl_->mutex);
  const auto found = impl_->entries.find(id);
  if (found == impl_->entries.end()) return;
  found->second.last_use_ns = WallNs();
  utimensat(AT_FDCWD, impl_->PathOf(id).c_str(), nullptr, AT_SYMLINK_NOFOLLOW);
}

void PrefixDisk::Write(const PrefixId& id, PrefixBlob blob) {
  if (Has(id)) return;
  const std::uint64_t size_bytes = kPrefixHeaderBytes + blob->size_bytes();
  const std::uint64_t today_bytes = impl_->CountToday(0);
  const std::lock_guard lock(impl_->mutex);
  if (impl_->broken || impl_->stopping || size_bytes > impl_->options.limit_bytes) return;
  if (today_bytes + impl_->queued_bytes + size_bytes > impl_->options.daily_bytes) {
    ++impl_->stats.n_refused;
    if (!impl_->said_daily) {
      LogInfo("the prompt cache has written its {} for today; nothing more is saved until tomorrow",
              FormatBytes(impl_->options.daily_bytes));
    }
    impl_->said_daily = true;
    return;
  }
  impl_->queue.push_back({id, std::move(blob)});
  impl_->queued_bytes += size_bytes;
  impl_->changed.notify_all();
}

std::vector<std::int64_t> PrefixDisk::SnapshotLengths() const {
  const std::lock_guard lock(impl_->mutex);
  std::vector<std::int64_t> lengths;
  for (const auto& [id, entry] : impl_->entries) {
    if (id.kind == PrefixKind::kSnapshot) lengths.push_back(id.n_tokens);
  }
  std::sort(lengths.rbegin(), lengths.rend());
  lengths.erase(std::unique(lengths.begin(), lengths.end()), lengths.end());
  return lengths;
}

PrefixDiskStats PrefixDisk::stats() const {
  const std::lock_guard lock(impl_->mutex);
  PrefixDiskStats stats = impl_->stats;
  stats.n_queued = impl_->queue.size();
  return stats;
}

void PrefixDisk::Stop(std::int64_t deadline_us) {
  if (!impl_->writer.joinable()) return;
  {
    std::unique_lock lock(impl_->mutex);
    impl_->changed.wait_for(lock, std::chrono::microseconds(deadline_us),
                            [this] { return impl_->queue.empty(); });
    // The one being written is finished; its job is taken off by the writer.
    if (impl_->queue.size() > 1) impl_->queue.erase(impl_->queue.begin() + 1, impl_->queue.end());
    impl_->stopping = true;
    impl_->changed.notify_all();
  }
  impl_->writer.join();
}

}  // namespace larder
