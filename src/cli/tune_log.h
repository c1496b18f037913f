// The log of larder tune as a file: one run at a time goes on with it and adds lines. What is no
// such log is left as it is. One thread.
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/status.h"
#include "cli/tuner.h"

namespace larder {

/// What all experiments of a log share besides the model and the machine.
struct TuneExchange {
  std::uint64_t budget_bytes = 0;  // 0: the default
  std::int64_t context_tokens = 0;
  std::int64_t n_prompt = 0;
  std::int64_t n_answer = 0;
  std::string workload;
};

/// TunerOptions::run of `larder tune`: the model, this machine with the CPUs that this process may
/// use, and the exchange.
nlohmann::json DescribeTuneRun(const std::string& model_path, const TuneExchange& exchange);

class TuneLog {
 public:
  /// Reads and locks the log at `path`; a file that is not there is made, and goes again unless
  /// Begin follows; another is not changed yet. With `again` its lines do not count, otherwise all
  /// must be of `run`. kInvalidArgument: it is no log, or of another run (the difference is named);
  /// kUnavailable: another process holds it.
  static Result<std::unique_ptr<TuneLog>> Open(const std::string& path, const nlohmann::json& run,
                                               bool again);
  ~TuneLog();
  TuneLog(const TuneLog&) = delete;
  TuneLog& operator=(const TuneLog&) = delete;

  const std::vector<TuneTry>& tries() const { return tries_; }

  /// Before the first Append: writes the header where there is none, takes away a last line that
  /// was cut off and, with `again`, all others.
  Status Begin();
  Status Append(const TuneTry& one);

 private:
  TuneLog(std::string path, int fd, bool is_new)
      : path_(std::move(path)), fd_(fd), is_new_(is_new) {}
  Status Lock();
  Status Read(const nlohmann::json& run, bool again);
  Status Write(const std::string& text);

  std::string path_;
  int fd_;
  bool is_new_;           // made by Open, nothing written yet
  bool is_ours_ = false;  // locked
  std::vector<TuneTry> tries_;
  std::size_t whole_bytes_ = 0;  // of the lines that stay
};

}  // namespace larder
