// What a command is, the table of all, and the helpers every command uses to read its words and to
// report how it ended. One thread.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace larder {

inline constexpr int kExitSuccess = 0;
inline constexpr int kExitFailure = 1;
inline constexpr int kExitWrongUse = 2;

using Arguments = std::vector<std::string>;

struct Command {
  std::string_view name;
  std::string_view summary;
  int (*run)(const Arguments& arguments);  // the words behind the command's name
};

/// In the order of the overview.
std::span<const Command> AllCommands();

int RunMain(const Arguments& arguments);
int ChatMain(const Arguments& arguments);
int LogitsMain(const Arguments& arguments);
int PlanMain(const Arguments& arguments);
int TuneMain(const Arguments& arguments);
int EvalMain(const Arguments& arguments);
int PerplexityMain(const Arguments& arguments);
int InspectMain(const Arguments& arguments);
int TokenizeMain(const Arguments& arguments);
int DetokenizeMain(const Arguments& arguments);
int TemplateMain(const Arguments& arguments);
int QuantizeMain(const Arguments& arguments);
int SynthMain(const Arguments& arguments);
int BenchMain(const Arguments& arguments);

/// The most that --threads takes.
inline constexpr int kMostThreads = 1024;

/// For CLI::Option::check: a whole number from `least` to `most`; CLI11 alone takes -1 for a large
/// number and cuts what is too large. For options whose 0 in a struct means "not given".
CLI::Validator WholeNumber(std::int64_t least,
                           std::int64_t most = std::numeric_limits<std::int64_t>::max());

/// Prints "larder: sentence" to stderr.
void PrintError(const std::string& sentence);

/// PrintError, and the exit status that the failure's code asks for: 2 for kInvalidArgument,
/// InterruptExitStatus() for kCancelled (signals are its only source; nothing is printed), else 1.
int Fail(const Status& status);

/// One command's options, read with CLI11; none of its exceptions leave this class.
class CommandLine {
 public:
  /// `name` is "run"; `examples` are whole lines, shown at the end of --help.
  CommandLine(const std::string& name, const std::string& description, const std::string& examples);

  CLI::App& app() { return app_; }

  /// Nothing when the command may go on; otherwise the exit status: help was asked for (and is
  /// printed), or a word was wrong (and was named, with the nearest known one).
  std::optional<int> Parse(const Arguments& arguments);

  /// Whether the option was among the words.
  bool Given(const std::string& option) const { return app_.count(option) != 0; }

 private:
  int WrongWord(const std::string& word) const;
  int WrongUse(const std::string& sentence) const;
  std::vector<std::string> OptionNames() const;

  CLI::App app_;
  std::string name_;
};

}  // namespace larder
