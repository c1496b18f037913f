// Plain lines, and where the history lies.
#include "cli/line_reader.h"

#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "cli/output.h"

namespace larder {

namespace {

class PlainReader final : public LineReader {
 public:
  explicit PlainReader(std::function<bool()> interrupted)
      : interrupted_(std::move(interrupted)), terminal_(isatty(STDIN_FILENO) != 0) {}

  Outcome Read(const std::string& prompt, std::string* line) override {
    if (terminal_) {
      PutText(stderr, prompt);
      std::fflush(stderr);
    }
    line->clear();
    for (;;) {
      const std::size_t end = buffer_.find('\n', n_searched_);
      n_searched_ = buffer_.size();
      if (end != std::string::npos) {
        *line = Take(end + 1);
        return Outcome::kLine;
      }
      if (ended_) {
        if (buffer_.empty()) return Outcome::kEnd;
        *line = Take(buffer_.size());
        return Outcome::kLine;
      }
      if (!Fill()) return Outcome::kInterrupted;
    }
  }

  bool on_terminal() const override { return terminal_; }

 private:
  std::string Take(std::size_t n_bytes) {
    std::string line = buffer_.substr(0, n_bytes);
    buffer_.erase(0, n_bytes);
    n_searched_ = 0;
    if (!line.empty() && line.back() == '\n') line.pop_back();
    if (!line.empty() && line.back() == '\r') line.pop_back();
    return line;
  }

  // False: Ctrl-C while waiting.
  bool Fill() {
    pollfd waited = {.fd = STDIN_FILENO, .events = POLLIN, .revents = 0};
    while (poll(&waited, 1, 200) == 0 || (waited.revents == 0 && errno == EINTR)) {
      if (interrupted_()) return false;
    }
    char block[4096];
    const ssize_t n = read(STDIN_FILENO, block, sizeof(block));
    if (n > 0) buffer_.append(block, static_cast<std::size_t>(n));
    if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN)) ended_ = true;
    return true;
  }

  std::function<bool()> interrupted_;
  bool terminal_;
  bool ended_ = false;
  std::string buffer_;
  std::size_t n_searched_ = 0;
};

bool MakeFolders(const std::string& path) {
  for (std::size_t slash = path.find('/', 1); slash != std::string::npos;
       slash = path.find('/', slash + 1)) {
    if (mkdir(path.substr(0, slash).c_str(), 0700) != 0 && errno != EEXIST) return false;
  }
  return true;
}

}  // namespace

std::unique_ptr<LineReader> MakePlainReader(std::function<bool()> interrupted) {
  return std::make_unique<PlainReader>(std::move(interrupted));
}

std::unique_ptr<LineReader> MakeLineReader(const std::string& history_path,
                                           std::function<bool()> interrupted) {
  const char* terminal = std::getenv("TERM");
  const bool capable = terminal != nullptr && std::string(terminal) != "dumb";
  if (capable && isatty(STDIN_FILENO) != 0 && isatty(STDERR_FILENO) != 0) {
    std::unique_ptr<LineReader> reader = MakeEditReader(history_path, interrupted);
    if (reader != nullptr) return reader;
  }
  return MakePlainReader(std::move(interrupted));
}

std::string ChatHistoryPath() {
  const char* state = std::getenv("XDG_STATE_HOME");
  const char* home = std::getenv("HOME");
  std::string folder;
  if (state != nullptr && state[0] == '/') {
    folder = state;
  } else if (home != nullptr && home[0] == '/') {
    folder = std::string(home) + "/.local/state";
  }
  if (folder.empty()) return "";
  const std::string path = folder + "/larder/chat_history";
  return MakeFolders(path) ? path : "";
}

}  // namespace larder
