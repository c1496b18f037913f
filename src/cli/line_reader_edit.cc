// Line editing and history with libedit. Its own waiting is replaced, so that Ctrl-C is seen while
// nobody types.
#include <fcntl.h>
#include <histedit.h>
#include <locale.h>
#include <poll.h>
#include <termios.h>
#include <unistd.h>
#include <wchar.h>

#include <cstring>
#include <utility>

#include "cli/line_reader.h"
#include "cli/output.h"

namespace larder {

namespace {

constexpr int kHistoryLines = 1000;

class EditReader final : public LineReader {
 public:
  explicit EditReader(std::function<bool()> interrupted) : interrupted_(std::move(interrupted)) {}
  ~EditReader() override {
    if (edit_ != nullptr) el_end(edit_);
    if (history_ != nullptr) history_end(history_);
  }
  EditReader(const EditReader&) = delete;
  EditReader& operator=(const EditReader&) = delete;

  bool Start(const std::string& history_path) {
    // Characters are what the terminal says they are; without a locale, UTF-8.
    if (setlocale(LC_CTYPE, "") == nullptr || MB_CUR_MAX == 1) setlocale(LC_CTYPE, "C.UTF-8");
    edit_ = el_init("larder", stdin, stderr, stderr);
    history_ = history_init();
    if (edit_ == nullptr || history_ == nullptr) return false;
    HistEvent event;
    history(history_, &event, H_SETSIZE, kHistoryLines);
    history(history_, &event, H_SETUNIQUE, 1);
    history_path_ = history_path;
    if (!history_path_.empty()) {
      // What people say to a model is theirs alone.
      const int fd = open(history_path_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
      if (fd >= 0) close(fd);
      history(history_, &event, H_LOAD, history_path_.c_str());
    }
    el_set(edit_, EL_CLIENTDATA, this);
    el_set(edit_, EL_PROMPT, &EditReader::Prompt);
    el_set(edit_, EL_EDITOR, "emacs");
    el_set(edit_, EL_HIST, history, history_);
    el_set(edit_, EL_GETCFN, &EditReader::NextCharacter);
    el_set(edit_, EL_BIND, "^R", "em-inc-search-prev", nullptr);
    el_set(edit_, EL_BIND, "\033[3~", "ed-delete-next-char", nullptr);
    el_set(edit_, EL_BIND, "\033[H", "ed-move-to-beg", nullptr);
    el_set(edit_, EL_BIND, "\033[F", "ed-move-to-end", nullptr);
    return true;
  }

  Outcome Read(const std::string& prompt, std::string* line) override {
    el_resize(edit_);
    prompt_ = prompt;
    was_interrupted_ = false;
    line->clear();
    int n_bytes = 0;
    const char* text = el_gets(edit_, &n_bytes);
    if (was_interrupted_) {
      el_reset(edit_);
      PutText(stderr, "^C\n");
      return Outcome::kInterrupted;
    }
    if (text == nullptr || n_bytes <= 0) {
      PutText(stderr, "\n");
      return Outcome::kEnd;
    }
    line->assign(text, static_cast<std::size_t>(n_bytes));
    while (!line->empty() && (line->back() == '\n' || line->back() == '\r')) line->pop_back();
    return Outcome::kLine;
  }

  void Remember(const std::string& line) override {
    if (line.empty() || line.find('\n') != std::string::npos) return;
    HistEvent event;
    history(history_, &event, H_ENTER, line.c_str());
    if (history_path_.empty()) return;
    history(history_, &event, H_SAVE, history_path_.c_str());
  }

  bool on_terminal() const override { return true; }

  bool more_waits() const override {
    pollfd waited = {.fd = STDIN_FILENO, .events = POLLIN, .revents = 0};
    return poll(&waited, 1, 30) > 0;
  }

  void ForgetTyped() override { tcflush(STDIN_FILENO, TCIFLUSH); }

 private:
  static EditReader* Of(EditLine* edit) {
    void* self = nullptr;
    el_get(edit, EL_CLIENTDATA, &self);
    return static_cast<EditReader*>(self);
  }

  static char* Prompt(EditLine* edit) { return Of(edit)->prompt_.data(); }

  // One character from the terminal; -1 after Ctrl-C.
  static int NextCharacter(EditLine* edit, wchar_t* character) {
    EditReader* self = Of(edit);
    mbstate_t state;
    std::memset(&state, 0, sizeof(state));
    for (;;) {
      pollfd waited = {.fd = STDIN_FILENO, .events = POLLIN, .revents = 0};
      const int ready = poll(&waited, 1, 200);
      if (self->interrupted_()) {
        self->was_interrupted_ = true;
        return -1;
      }
      if (ready <= 0) continue;
      char byte = 0;
      const ssize_t n = read(STDIN_FILENO, &byte, 1);
      if (n == 0) return 0;
      if (n < 0) continue;
      const std::size_t length = mbrtowc(character, &byte, 1, &state);
      if (length == static_cast<std::size_t>(-2)) continue;
      if (length == static_cast<std::size_t>(-1)) std::memset(&state, 0, sizeof(state));
      if (length != static_cast<std::size_t>(-1)) return 1;
    }
  }

  std::function<bool()> interrupted_;
  EditLine* edit_ = nullptr;
  History* history_ = nullptr;
  std::string history_path_;
  std::string prompt_;
  bool was_interrupted_ = false;
};

}  // namespace

std::unique_ptr<LineReader> MakeEditReader(const std::string& history_path,
                                           std::function<bool()> interrupted) {
  auto reader = std::make_unique<EditReader>(std::move(interrupted));
  if (!reader->Start(history_path)) return nullptr;
  return reader;
}

}  // namespace larder
