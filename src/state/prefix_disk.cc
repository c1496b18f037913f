// The folder, its index in memory, and the thread that writes.
#include "state/prefix_disk.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <ctime>
#include <deque>
#include <filesystem>
#include <limits>
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
constexpr const char* kLockFile = "lock";
constexpr std::int64_t kAbandonedNs = std::int64_t{600} * 1000000000;  // of a temporary file
constexpr int kLockTries = 1000;                                       // 10 ms apart

std::int64_t WallNs() {
  struct timespec now {};
  clock_gettime(CLOCK_REALTIME, &now);
  return std::int64_t{now.tv_sec} * 1000000000 + now.tv_nsec;
}

std::int64_t Today() { return static_cast<std::int64_t>(std::time(nullptr)) / 86400; }

bool IsIdentityName(const std::string& name) {
  return name.size() == 16 && name.find_first_not_of("0123456789abcdef") == std::string::npos;
}

// When a file goes: first by its last use, then by its depth, negative.
using Rank = std::pair<std::int64_t, std::int64_t>;

struct Entry {
  std::int64_t n_tokens = 0;
  std::uint64_t size_bytes = 0;
  std::int64_t last_use_ns = 0;

  Rank rank() const { return {last_use_ns, -n_tokens}; }
};

// A file of another model, which only the size limit is concerned with.
struct OtherFile {
  std::string path;
  Entry entry;
};

// What is in the folder.
struct Listing {
  std::unordered_map<PrefixId, Entry, PrefixIdHash> own;
  std::vector<OtherFile> others;
  std::uint64_t used_bytes = 0;
};

// PrefixDiskStats, read without waiting for the disk.
struct Figures {
  std::atomic<std::uint64_t> used_bytes = 0;
  std::atomic<std::uint64_t> written_bytes = 0;
  std::atomic<std::uint64_t> read_bytes = 0;
  std::atomic<std::uint64_t> n_ignored = 0;
  std::atomic<std::uint64_t> n_refused = 0;
};

// "DAY BYTES\n", both without a sign; nullopt: anything else.
std::optional<std::pair<std::int64_t, std::uint64_t>> ParseDayCount(std::string_view text) {
  std::uint64_t day = 0;
  std::uint64_t bytes = 0;
  const char* end = text.data() + text.size();
  const auto [space, day_error] = std::from_chars(text.data(), end, day);
  if (day_error != std::errc() || space == end || *space != ' ') return std::nullopt;
  const auto [line_end, bytes_error] = std::from_chars(space + 1, end, bytes);
  if (bytes_error != std::errc() || line_end == end || *line_end != '\n') return std::nullopt;
  return std::pair(static_cast<std::int64_t>(day), bytes);
}

// The right to write and delete, which one process has at a time and gives back with the object.
class FolderLock {
 public:
  FolderLock() = default;
  ~FolderLock() {
    if (fd_ >= 0) close(fd_);
  }
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

  /// Whether it is had now; kIoError when it never can be.
  Result<bool> Try(const std::string& folder) {
    const std::string path = folder + "/" + kLockFile;
    if (fd_ < 0) fd_ = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd_ >= 0 && flock(fd_, LOCK_EX | LOCK_NB) == 0) return true;
    if (fd_ >= 0 && (errno == EWOULDBLOCK || errno == EINTR)) return false;
    return IoError("locking {} failed: {}", path, std::strerror(errno));
  }

 private:
  int fd_ = -1;
};

void ListFolder(const fs::path& path, bool is_own, Listing* listing) {
  std::error_code error;
  for (fs::directory_iterator it(path, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    struct stat info {};
    if (lstat(it->path().c_str(), &info) != 0 || !S_ISREG(info.st_mode)) continue;
    Entry entry;
    entry.size_bytes = static_cast<std::uint64_t>(info.st_size);
    entry.last_use_ns = std::int64_t{info.st_mtim.tv_sec} * 1000000000 + info.st_mtim.tv_nsec;
    const std::int64_t age_ns = WallNs() - entry.last_use_ns;
    if (name.rfind(kTemporaryPrefix, 0) == 0) {
      if (age_ns > kAbandonedNs) {
        unlink(it->path().c_str());
      } else {
        listing->used_bytes += entry.size_bytes;
      }
      continue;
    }
    const std::optional<PrefixId> id = ParsePrefixFileName(name);
    if (!id) continue;
    entry.n_tokens = id->n_tokens;
    // A clock that was wrong must not keep a file for ever.
    if (age_ns < -kAbandonedNs) entry.last_use_ns = 0;
    listing->used_bytes += entry.size_bytes;
    if (is_own) {
      listing->own[*id] = entry;
    } else {
      listing->others.push_back({it->path().string(), entry});
    }
  }
}

}  // namespace

struct PrefixDisk::Impl {
  PrefixDiskOptions options;
  std::string folder;  // of this identity

  mutable std::mutex mutex;
  std::condition_variable changed;
  std::unordered_map<PrefixId, Entry, PrefixIdHash> entries;
  std::vector<OtherFile> others;
  struct Job {
    PrefixId id;
    PrefixBlob blob;
    std::int64_t last_use_ns = 0;
  };
  std::deque<Job> queue;  // the first is being written
  std::int64_t moment_ns = 0;
  Figures figures;
  bool broken = false;        // writing failed: no more of it
  std::int64_t full_day = 0;  // on which no more is written
  bool stopping = false;
  std::uint64_t n_temporary = 0;
  std::thread writer;

  Status MakeFolders() const;
  void Scan();
  void Forget(const PrefixId& id);
  void Free(std::uint64_t size_bytes);
  void MarkUsed(const PrefixId& id, std::int64_t last_use_ns);
  bool MakeRoom(std::uint64_t size_bytes, const Rank& rank);
  Result<std::uint64_t> WrittenToday() const;
  Status SetWrittenToday(std::uint64_t bytes) const;
  bool DayHasRoom(const Result<std::uint64_t>& today_bytes, std::uint64_t size_bytes);
  Result<bool> LockFolder(FolderLock* folder_lock);
  void WriteLoop();
  Status WriteFirst(std::unique_lock<std::mutex>* lock);
  Status WriteOne(const Job& job, std::uint64_t number) const;
  std::string PathOf(const PrefixId& id) const { return folder + "/" + PrefixFileName(id); }
};

// ---- What is there ------------------------------------------------------------------------------

Status PrefixDisk::Impl::MakeFolders() const {
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
  return Status::Ok();
}

// Other processes add and delete files too.
void PrefixDisk::Impl::Scan() {
  Listing listing;
  std::error_code error;
  for (fs::directory_iterator it(options.folder, error), end; !error && it != end;
       it.increment(error)) {
    if (!IsIdentityName(it->path().filename().string())) continue;
    ListFolder(it->path(), it->path().string() == folder, &listing);
  }
  const std::lock_guard lock(mutex);
  for (auto& [id, entry] : listing.own) {
    // A file system may keep times less exactly.
    const auto known = entries.find(id);
    if (known == entries.end()) continue;
    entry.last_use_ns = std::max(entry.last_use_ns, known->second.last_use_ns);
  }
  entries = std::move(listing.own);
  others = std::move(listing.others);
  figures.used_bytes = listing.used_bytes;
}

void PrefixDisk::Impl::Forget(const PrefixId& id) {
  const auto found = entries.find(id);
  if (found == entries.end()) return;
  Free(found->second.size_bytes);
  entries.erase(found);
}

void PrefixDisk::Impl::Free(std::uint64_t size_bytes) {
  figures.used_bytes -= std::min(figures.used_bytes.load(), size_bytes);
}

// In the file's time too, for other processes and later ones.
void PrefixDisk::Impl::MarkUsed(const PrefixId& id, std::int64_t last_use_ns) {
  const struct timespec used = {last_use_ns / 1000000000, last_use_ns % 1000000000};
  const struct timespec times[2] = {used, used};
  const bool is_done = utimensat(AT_FDCWD, PathOf(id).c_str(), times, AT_SYMLINK_NOFOLLOW) == 0;
  if (!is_done && errno == ENOENT) return Forget(id);  // another process has deleted it
  entries[id].last_use_ns = last_use_ns;
}

// Deletes what goes first until `size_bytes` more fit; false when they do not fit even without
// everything that goes before a file of this rank.
bool PrefixDisk::Impl::MakeRoom(std::uint64_t size_bytes, const Rank& rank) {
  if (figures.used_bytes + size_bytes <= options.limit_bytes) return true;
  struct Victim {
    Rank rank;
    std::optional<PrefixId> own;
    OtherFile* other = nullptr;
  };
  std::vector<Victim> victims;
  for (const auto& [id, entry] : entries) {
    if (entry.rank() < rank) victims.push_back({entry.rank(), id, nullptr});
  }
  for (OtherFile& file : others) {
    if (file.entry.rank() < rank) victims.push_back({file.entry.rank(), std::nullopt, &file});
  }
  std::sort(victims.begin(), victims.end(),
            [](const Victim& a, const Victim& b) { return a.rank < b.rank; });
  for (const Victim& victim : victims) {
    const std::string path = victim.own ? PathOf(*victim.own) : victim.other->path;
    if (unlink(path.c_str()) != 0 && errno != ENOENT) break;
    if (victim.own) {
      Forget(*victim.own);
    } else {
      Free(victim.other->entry.size_bytes);
      victim.other->path.clear();
    }
    if (figures.used_bytes + size_bytes <= options.limit_bytes) break;
  }
  const auto is_gone = [](const OtherFile& file) { return file.path.empty(); };
  others.erase(std::remove_if(others.begin(), others.end(), is_gone), others.end());
  return figures.used_bytes + size_bytes <= options.limit_bytes;
}

// ---- Bytes per day ------------------------------------------------------------------------------

// What all processes have written today, 0 when the count is of another day; an error when the
// count is there and cannot be known.
Result<std::uint64_t> PrefixDisk::Impl::WrittenToday() const {
  const std::string path = options.folder + "/" + kDayFile;
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0 && errno == ENOENT) return std::uint64_t{0};
  struct stat info {};
  char text[64] = {};
  const bool is_read =
      fd >= 0 && fstat(fd, &info) == 0 && pread(fd, text, sizeof(text) - 1, 0) >= 0;
  const int failure = errno;
  if (fd >= 0) close(fd);
  if (!is_read) return IoError("{} cannot be read: {}", path, std::strerror(failure));
  if (const auto count = ParseDayCount(text)) {
    return count->first == Today() ? count->second : std::uint64_t{0};
  }
  if (info.st_mtim.tv_sec / 86400 != Today()) return std::uint64_t{0};
  return DataError("{} is damaged", path);
}

// By renaming: there is the old count or the new one.
Status PrefixDisk::Impl::SetWrittenToday(std::uint64_t bytes) const {
  const std::string path = options.folder + "/" + kDayFile;
  const std::string temporary = path + ".new";
  const std::string text = fmt::format("{} {}\n", Today(), bytes);
  const int fd =
      open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  const bool is_written =
      fd >= 0 && write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  const bool is_done = is_written && rename(temporary.c_str(), path.c_str()) == 0;
  const int failure = errno;
  if (fd >= 0) close(fd);
  if (is_done) return Status::Ok();
  return IoError("writing {} failed: {}", path, std::strerror(failure));
}

// Whether so much more may be written; says once a day that it may not.
bool PrefixDisk::Impl::DayHasRoom(const Result<std::uint64_t>& today_bytes,
                                  std::uint64_t size_bytes) {
  if (today_bytes.ok() && *today_bytes <= options.daily_bytes &&
      size_bytes <= options.daily_bytes - *today_bytes) {
    return true;
  }
  ++figures.n_refused;
  if (full_day == Today()) return false;
  full_day = Today();
  if (today_bytes.ok()) {
    LogWarning(
        "the prompt cache has written its {} for today; nothing more is saved until tomorrow",
        FormatBytes(options.daily_bytes));
  } else {
    LogWarning("{}; nothing more is saved until tomorrow", today_bytes.status().message());
  }
  return false;
}

// ---- Writing ------------------------------------------------------------------------------------

// False when Stop ends the wait, or another process does not let go of it.
Result<bool> PrefixDisk::Impl::LockFolder(FolderLock* folder_lock) {
  LARDER_RETURN_IF_ERROR(MakeFolders());  // somebody may have cleared them away
  for (int i = 0; i < kLockTries; ++i) {
    LARDER_ASSIGN_OR_RETURN(const bool has_it, folder_lock->Try(options.folder));
    if (has_it) return true;
    std::unique_lock lock(mutex);
    changed.wait_for(lock, std::chrono::milliseconds(10), [this] { return stopping; });
    if (stopping) return false;
  }
  LogWarning("another process holds {}/{}; some prompts are not saved", options.folder, kLockFile);
  return false;
}

Status PrefixDisk::Impl::WriteOne(const Job& job, std::uint64_t number) const {
  const PrefixFileFacts facts = {options.identity, job.id, job.blob->size_bytes()};
  const std::string temporary = fmt::format("{}{}-{}", kTemporaryPrefix, getpid(), number);
  // A killed process may have had the same number.
  unlink((folder + "/" + temporary).c_str());
  return WritePrefixFile(folder, temporary, PrefixFileName(job.id), facts,
                         {job.blob->data(), job.blob->size_bytes()});
}

// Writes the first of the queue if the limits allow it. The folder is locked.
Status PrefixDisk::Impl::WriteFirst(std::unique_lock<std::mutex>* lock) {
  const Job job = queue.front();
  const std::uint64_t size_bytes = kPrefixHeaderBytes + job.blob->size_bytes();
  const std::uint64_t number = n_temporary++;
  if (entries.count(job.id) != 0) {  // another process was quicker
    MarkUsed(job.id, std::max(job.last_use_ns, entries[job.id].last_use_ns));
    return Status::Ok();
  }
  const Result<std::uint64_t> today_bytes = WrittenToday();
  if (!DayHasRoom(today_bytes, size_bytes)) return Status::Ok();
  if (!MakeRoom(size_bytes, {job.last_use_ns, -job.id.n_tokens})) return Status::Ok();
  lock->unlock();
  // Counted first: a crash between the two counts too much.
  Status written = SetWrittenToday(*today_bytes + size_bytes);
  if (written.ok()) written = WriteOne(job, number);
  lock->lock();
  if (!written.ok()) return written;
  figures.written_bytes += size_bytes;
  figures.used_bytes += size_bytes;
  entries[job.id] = {job.id.n_tokens, size_bytes, 0};
  MarkUsed(job.id, queue.front().last_use_ns);
  return Status::Ok();
}

void PrefixDisk::Impl::WriteLoop() {
  std::unique_lock lock(mutex);
  while (true) {
    changed.wait(lock, [this] { return stopping || !queue.empty(); });
    if (queue.empty()) return;
    lock.unlock();
    FolderLock folder_lock;
    const Result<bool> locked = LockFolder(&folder_lock);
    if (locked.ok() && *locked) Scan();
    lock.lock();
    Status status = locked.status();
    if (!status.ok() || !*locked) queue.clear();
    while (!queue.empty() && status.ok()) {
      status = WriteFirst(&lock);
      queue.pop_front();
    }
    if (!status.ok()) {
      LogWarning("{}; nothing more is saved in this run", status.message());
      broken = true;
      queue.clear();
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
  LARDER_RETURN_IF_ERROR(impl->MakeFolders());
  impl->moment_ns = WallNs();
  FolderLock folder_lock;
  const Result<bool> locked = folder_lock.Try(options.folder);
  impl->Scan();
  if (locked.ok() && *locked) {
    impl->MakeRoom(0, {std::numeric_limits<std::int64_t>::max(), 0});
  }
  return std::unique_ptr<PrefixDisk>(new PrefixDisk(std::move(impl)));
}

std::uint64_t PrefixDisk::limit_bytes() const { return impl_->options.limit_bytes; }

void PrefixDisk::BeginUse() {
  const std::lock_guard lock(impl_->mutex);
  impl_->moment_ns = std::max(WallNs(), impl_->moment_ns + 1);
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
    (void)Touch(id);
    const std::lock_guard lock(impl_->mutex);
    impl_->figures.read_bytes += out.size();
    return true;
  }
  const std::lock_guard lock(impl_->mutex);
  if (status.code() == StatusCode::kDataError) {
    ++impl_->figures.n_ignored;
    LogWarning("a kept prompt is ignored: {}", status.message());
    unlink(impl_->PathOf(id).c_str());
  }
  impl_->Forget(id);
  return false;
}

bool PrefixDisk::Touch(const PrefixId& id) {
  const std::lock_guard lock(impl_->mutex);
  for (Impl::Job& job : impl_->queue) {
    if (!(job.id == id)) continue;
    job.last_use_ns = impl_->moment_ns;
    return true;
  }
  if (impl_->entries.count(id) == 0) return false;
  impl_->MarkUsed(id, impl_->moment_ns);
  return impl_->entries.count(id) != 0;
}

void PrefixDisk::Write(const PrefixId& id, PrefixBlob blob) {
  if (Has(id)) return;
  const std::uint64_t size_bytes = kPrefixHeaderBytes + blob->size_bytes();
  const std::lock_guard lock(impl_->mutex);
  if (impl_->broken || impl_->stopping || size_bytes > impl_->options.limit_bytes) return;
  if (impl_->full_day == Today()) {
    ++impl_->figures.n_refused;
    return;
  }
  impl_->queue.push_back({id, std::move(blob), impl_->moment_ns});
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
  const Figures& figures = impl_->figures;
  return {figures.used_bytes, figures.written_bytes, figures.read_bytes, figures.n_ignored,
          figures.n_refused};
}

std::size_t PrefixDisk::n_queued() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->queue.size();
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
