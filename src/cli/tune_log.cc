// Reading, locking, appending.
#include "cli/tune_log.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "base/cpu_topology.h"
#include "cli/machine_info.h"
#include "cli/timing.h"
#include "cli/token_list.h"

namespace larder {

namespace {

constexpr std::uint64_t kMostBytes = std::uint64_t{64} << 20;

Status CheckSameRun(const std::vector<TuneTry>& tries, const nlohmann::json& run) {
  for (const TuneTry& one : tries) {
    for (const auto& [name, value] : run.items()) {
      const nlohmann::json before = one.run.value(name, nlohmann::json());
      if (before == value) continue;
      return InvalidArgument(
          "its experiments were made with {} {}, not {}; name another log with --log, or begin it "
          "anew with --again",
          name, DumpJson(before), DumpJson(value));
    }
  }
  return Status::Ok();
}

}  // namespace

nlohmann::json DescribeTuneRun(const std::string& model_path, const TuneExchange& exchange) {
  std::error_code error;
  const std::uintmax_t size_bytes = std::filesystem::file_size(model_path, error);
  const nlohmann::json run = {{"model", std::filesystem::path(model_path).filename().string()},
                              {"model_bytes", error ? 0 : size_bytes},
                              {"budget_bytes", exchange.budget_bytes},
                              {"ctx", exchange.context_tokens},
                              {"n_prompt", exchange.n_prompt},
                              {"n_answer", exchange.n_answer},
                              {"workload", exchange.workload},
                              {"cpu", CpuName()},
                              {"cpus", UsableCpuCount()},
                              {"disk", DiskName(model_path)}};
  return nlohmann::json::parse(DumpJson(run));  // as it reads back from a line
}

Result<std::unique_ptr<TuneLog>> TuneLog::Open(const std::string& path, const nlohmann::json& run,
                                               bool again) {
  struct stat info = {};
  if (stat(path.c_str(), &info) == 0 && !S_ISREG(info.st_mode)) {
    return InvalidArgument("the log {} is no regular file; give the name of one", path);
  }
  constexpr int kFlags = O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC;
  int fd = open(path.c_str(), kFlags | O_EXCL, 0666);
  const bool is_new = fd >= 0;
  if (!is_new) fd = open(path.c_str(), kFlags, 0666);
  if (fd < 0) return IoError("cannot write {}: {}", path, std::strerror(errno));
  std::unique_ptr<TuneLog> log(new TuneLog(path, fd, is_new));
  LARDER_RETURN_IF_ERROR(log->Lock());
  LARDER_RETURN_IF_ERROR(log->Read(run, again));
  return log;
}

TuneLog::~TuneLog() {
  if (is_new_ && is_ours_) unlink(path_.c_str());
  close(fd_);
}

Status TuneLog::Lock() {
  struct stat info = {};
  const bool is_locked = flock(fd_, LOCK_EX | LOCK_NB) == 0;
  // Whoever made it may have taken it away meanwhile.
  is_ours_ = is_locked && fstat(fd_, &info) == 0 && info.st_nlink > 0;
  if (is_ours_) return Status::Ok();
  if (is_locked || errno == EWOULDBLOCK) {
    return Unavailable("another larder tune writes {}; wait for it, or name another with --log",
                       path_);
  }
  return IoError("cannot lock {}: {}", path_, std::strerror(errno));
}

Status TuneLog::Read(const nlohmann::json& run, bool again) {
  const Result<std::string> read = ReadRegularFile(path_, kMostBytes);
  const bool is_too_large = read.status().code() == StatusCode::kInvalidArgument;
  if (!read.ok() && !is_too_large) return read.status();
  if (is_too_large || !IsTuneLog(*read)) {
    return InvalidArgument("{} is no log of larder tune; name another with --log", path_);
  }
  if (again) return Status::Ok();
  Result<std::vector<TuneTry>> tries = ReadTuneLog(*read);
  if (!tries.ok()) return tries.status().WithContext(path_ + " (--again begins anew)");
  const Status is_same = CheckSameRun(*tries, run);
  if (!is_same.ok()) return is_same.WithContext(path_);
  tries_ = std::move(*tries);
  whole_bytes_ = read->rfind('\n') + 1;  // 0 when there is no whole line
  return Status::Ok();
}

Status TuneLog::Begin() {
  if (ftruncate(fd_, static_cast<off_t>(whole_bytes_)) != 0) {
    return IoError("cannot write {}: {}", path_, std::strerror(errno));
  }
  is_new_ = false;
  return whole_bytes_ == 0 ? Write(kTuneLogHeader) : Status::Ok();
}

Status TuneLog::Append(const TuneTry& one) { return Write(one.Line()); }

Status TuneLog::Write(const std::string& text) {
  std::size_t done = 0;
  while (done < text.size()) {
    const ssize_t n = write(fd_, text.data() + done, text.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      return IoError("cannot write {}: {}", path_, n == 0 ? "no space" : std::strerror(errno));
    }
    done += static_cast<std::size_t>(n);
  }
  return Status::Ok();
}

}  // namespace larder
