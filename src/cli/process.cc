// posix_spawn, because fork would copy the page tables of all expert slots.
#include "cli/process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "base/clock.h"

extern char** environ;

namespace larder {

namespace {

constexpr int kPollMs = 100;

class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  ~Descriptor() { Close(); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }
  void Reset(int fd) {
    Close();
    fd_ = fd;
  }
  void Close() {
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
  }

 private:
  int fd_;
};

// What the program reads: a file in memory, so that nobody waits for anybody.
Status OpenInput(const std::string& input, Descriptor* descriptor) {
  descriptor->Reset(memfd_create("input", MFD_CLOEXEC));
  std::size_t n_written = 0;
  while (descriptor->get() >= 0 && n_written < input.size()) {
    const ssize_t n = write(descriptor->get(), input.data() + n_written, input.size() - n_written);
    if (n <= 0) break;
    n_written += static_cast<std::size_t>(n);
  }
  if (n_written < input.size() || lseek(descriptor->get(), 0, SEEK_SET) != 0) {
    return IoError("cannot hand a program its input: {}", std::strerror(errno));
  }
  return Status::Ok();
}

Result<pid_t> Spawn(const std::vector<std::string>& arguments, const std::string& folder, int in,
                    int out) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);
  posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, out, STDERR_FILENO);
  posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
  if (!folder.empty()) posix_spawn_file_actions_addchdir_np(&actions, folder.c_str());
  sigset_t defaults, none;
  sigemptyset(&none);
  sigemptyset(&defaults);
  for (const int signal_number : {SIGINT, SIGTERM, SIGHUP, SIGPIPE}) {
    sigaddset(&defaults, signal_number);
  }
  posix_spawnattr_setsigdefault(&attributes, &defaults);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes,
                           POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
  std::vector<char*> words;
  for (const std::string& argument : arguments)
    words.push_back(const_cast<char*>(argument.c_str()));
  words.push_back(nullptr);
  pid_t pid = -1;
  const int error = posix_spawn(&pid, words[0], &actions, &attributes, words.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (error != 0) return IoError("cannot start {}: {}", arguments[0], std::strerror(error));
  return pid;
}

// A runaway program cannot fill the disk with one file, burn CPU for ever or leave a core.
void Limit(pid_t pid, double seconds) {
  const auto cpu_seconds = static_cast<rlim_t>(seconds) + 5;
  const rlimit cpu = {cpu_seconds, cpu_seconds};
  const rlimit file_size = {rlim_t{1} << 30, rlim_t{1} << 30};
  const rlimit core = {0, 0};
  prlimit(pid, RLIMIT_CPU, &cpu, nullptr);
  prlimit(pid, RLIMIT_FSIZE, &file_size, nullptr);
  prlimit(pid, RLIMIT_CORE, &core, nullptr);
}

// Reads what is there within one poll. False: nobody can write any more.
bool ReadSome(int fd, std::size_t limit_bytes, ProcessOutcome* outcome) {
  pollfd waited = {.fd = fd, .events = POLLIN, .revents = 0};
  if (poll(&waited, 1, kPollMs) <= 0) return true;
  char buffer[16384];
  const ssize_t n = read(fd, buffer, sizeof(buffer));
  if (n < 0) return errno == EINTR || errno == EAGAIN;
  if (n == 0) return false;
  const std::size_t room = limit_bytes - std::min(limit_bytes, outcome->output.size());
  const std::size_t n_kept = std::min(room, static_cast<std::size_t>(n));
  outcome->output.append(buffer, n_kept);
  outcome->truncated = outcome->truncated || n_kept < static_cast<std::size_t>(n);
  return true;
}

int ExitStatus(int wait_status) {
  return WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 128 + WTERMSIG(wait_status);
}

}  // namespace

Result<ProcessOutcome> RunProcess(const std::vector<std::string>& arguments,
                                  const std::string& folder, const std::string& input,
                                  const ProcessLimits& limits) {
  Descriptor in, out_read, out_write;
  LARDER_RETURN_IF_ERROR(OpenInput(input, &in));
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return IoError("no pipe: {}", std::strerror(errno));
  out_read.Reset(ends[0]);
  out_write.Reset(ends[1]);
  LARDER_ASSIGN_OR_RETURN(const pid_t pid, Spawn(arguments, folder, in.get(), out_write.get()));
  out_write.Close();
  Limit(pid, limits.seconds);
  ProcessOutcome outcome;
  const std::int64_t start_us = NowUs();
  int wait_status = 0;
  bool ended = false, open = true;
  while (!ended) {
    if (open) {
      open = ReadSome(out_read.get(), limits.output_bytes, &outcome);
    } else {
      poll(nullptr, 0, kPollMs / 10);
    }
    ended = waitpid(pid, &wait_status, WNOHANG) == pid;
    outcome.timed_out = !ended && SecondsSince(start_us) > limits.seconds;
    outcome.cancelled = !ended && limits.cancelled && limits.cancelled();
    if (outcome.timed_out || outcome.cancelled) {
      kill(-pid, SIGKILL);
      waitpid(pid, &wait_status, 0);
      ended = true;
    }
  }
  // What it left running in its group goes too; then all that was written is in the pipe.
  kill(-pid, SIGKILL);
  fcntl(out_read.get(), F_SETFL, O_NONBLOCK);
  for (std::size_t before = 0; open; before = outcome.output.size()) {
    open = ReadSome(out_read.get(), limits.output_bytes, &outcome) &&
           outcome.output.size() > before && outcome.output.size() < limits.output_bytes;
  }
  outcome.exit_status = ExitStatus(wait_status);
  return outcome;
}

std::string FindProgram(const std::string& name) {
  const char* path = std::getenv("PATH");
  std::string rest = path == nullptr ? "/usr/bin:/bin" : path;
  while (!rest.empty()) {
    const std::size_t colon = rest.find(':');
    const std::string candidate = rest.substr(0, colon) + "/" + name;
    rest = colon == std::string::npos ? "" : rest.substr(colon + 1);
    struct stat info = {};
    if (candidate[0] == '/' && stat(candidate.c_str(), &info) == 0 && S_ISREG(info.st_mode) &&
        access(candidate.c_str(), X_OK) == 0) {
      return candidate;
    }
  }
  return "";
}

}  // namespace larder
