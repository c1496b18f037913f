// Lines from the user: with editing and history on a terminal, plain from a file or a pipe. One at
// a time, one thread.
#pragma once

#include <functional>
#include <memory>
#include <string>

namespace larder {

class LineReader {
 public:
  enum class Outcome { kLine, kEnd, kInterrupted };

  virtual ~LineReader() = default;

  /// The next line without its end. The prompt is shown on a terminal only.
  virtual Outcome Read(const std::string& prompt, std::string* line) = 0;
  virtual void Remember(const std::string& line) { (void)line; }
  virtual bool on_terminal() const = 0;
  /// More has been typed or pasted already.
  virtual bool more_waits() const { return false; }
  /// What was typed before a question was seen is no answer to it.
  virtual void ForgetTyped() {}
};

/// Reads file descriptor 0. `interrupted` is asked while waiting: a Ctrl-C ends the line, and its
/// function says so once.
std::unique_ptr<LineReader> MakePlainReader(std::function<bool()> interrupted);

/// With libedit, on a terminal: null where Larder is built without it or it cannot start.
/// `history_path` may be empty: no history is kept.
std::unique_ptr<LineReader> MakeEditReader(const std::string& history_path,
                                           std::function<bool()> interrupted);

/// The one that fits stdin and stderr.
std::unique_ptr<LineReader> MakeLineReader(const std::string& history_path,
                                           std::function<bool()> interrupted);

/// $XDG_STATE_HOME/larder/chat_history or ~/.local/state/larder/chat_history, its folder made;
/// empty when there is no home.
std::string ChatHistoryPath();

}  // namespace larder
