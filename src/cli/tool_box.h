// The tools that `larder chat` gives a model: read a file, list a folder, run a command, and the
// user's own. Files are read inside one folder only, whatever links say; commands run under
// bubblewrap, which shows them that folder and the system's programs, nothing else, and no network.
// One thread.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/status.h"
#include "text/message.h"

namespace larder {

struct ToolBoxOptions {
  bool builtin = false;      // read_file, list_folder, run_command
  std::string folder = ".";  // what the tools see
  bool unconfined = false;   // commands run as the user, without bubblewrap
  double seconds = 30;       // of a command
  std::size_t output_bytes = 32 << 10;
  std::vector<std::string> commands;  // the user's own: NAME=COMMAND
};

class ToolBox {
 public:
  ToolBox() = default;

  /// kNotFound when there is no such folder, kInvalidArgument for a command that is none. Where
  /// commands cannot be confined, they are left out and `warning()` says why.
  static Result<ToolBox> Make(const ToolBoxOptions& options);

  const std::vector<ToolDefinition>& definitions() const { return definitions_; }
  const std::string& warning() const { return warning_; }
  const std::string& folder() const { return folder_; }

  /// A call in one line, for whoever has to allow it: "run_command  ls -l". Control characters are
  /// shown, not obeyed.
  std::string Describe(const ToolCall& call) const;

  /// Carries a call out. The result is a JSON object for the model: {"content": ...},
  /// {"files": ...}, {"output": ...}, or {"error": a sentence}.
  std::string Run(const ToolCall& call, const std::function<bool()>& cancelled) const;

 private:
  struct UserTool {
    std::string name;
    std::string command;
  };

  Status AddUserTool(const std::string& text);
  void FindSandbox();
  Result<std::string> Resolve(const std::string& path) const;
  std::string ReadFile(const std::string& path) const;
  std::string ListFolder(const std::string& path) const;
  std::string RunCommand(const std::string& command, const std::string& input,
                         const std::function<bool()>& cancelled) const;
  std::vector<std::string> Confined(const std::string& command) const;

  ToolBoxOptions options_;
  std::string folder_;  // absolute, without links
  std::string bubblewrap_;
  std::string warning_;
  std::vector<ToolDefinition> definitions_;
  std::vector<UserTool> user_tools_;
};

}  // namespace larder
