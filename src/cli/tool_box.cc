// The tools and their walls.
#include "cli/tool_box.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "cli/process.h"
#include "text/message_json.h"
#include "text/utf8.h"

namespace larder {

namespace {

constexpr std::size_t kMaxFiles = 1000;

std::string Error(const std::string& sentence) { return JsonText({{"error", sentence}}); }

ToolDefinition OneTextTool(const std::string& name, const std::string& description,
                           const std::string& parameter, const std::string& about) {
  const OrderedJson parameters = {
      {"type", "object"},
      {"properties", {{parameter, {{"type", "string"}, {"description", about}}}}},
      {"required", {parameter}}};
  return MakeTool(name, description, JsonText(parameters));
}

// A text argument; nothing when it is missing.
std::string TextArgument(const ToolCall& call, const char* key, bool* found) {
  const Result<OrderedJson> arguments = ParseJson(call.arguments_json, "the arguments");
  *found = false;
  if (!arguments.ok() || !arguments->is_object()) return "";
  const auto value = arguments->find(key);
  if (value == arguments->end() || !value->is_string()) return "";
  *found = true;
  return value->get<std::string>();
}

// The one argument that a tool reads. What is shown before a call is allowed must be what it uses.
const char* ParameterOf(const std::string& tool) {
  if (tool == "read_file" || tool == "list_folder") return "path";
  return tool == "run_command" ? "command" : "input";
}

// What a terminal would obey or not show, among it what turns the direction of writing.
bool IsHidden(std::uint32_t c) {
  return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0xad || c == 0x61c ||
         (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
         (c >= 0x2060 && c <= 0x206f) || c == 0xfeff || c == kInvalidCodePoint;
}

// The text with all of that written out.
std::string Visible(const std::string& text) {
  std::string shown;
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Char c = DecodeUtf8(text, at);
    if (text[at] == '\n') {
      shown += "\\n";
    } else if (c.code_point < 0x80 && IsHidden(c.code_point)) {
      shown += fmt::format("\\x{:02x}", c.code_point);
    } else if (c.code_point == kInvalidCodePoint) {
      shown += fmt::format("\\x{:02x}", static_cast<unsigned char>(text[at]));
    } else if (IsHidden(c.code_point)) {
      shown += fmt::format("\\u{{{:x}}}", c.code_point);
    } else {
      shown += text.substr(at, c.n_bytes);
    }
    at += c.n_bytes;
  }
  return shown;
}

bool IsInside(const std::string& path, const std::string& folder) {
  if (path == folder || folder == "/") return true;
  return path.compare(0, folder.size(), folder) == 0 && path[folder.size()] == '/';
}

Result<std::string> RealPath(const std::string& path) {
  char* real = realpath(path.c_str(), nullptr);
  if (real == nullptr) return NotFound("there is no {}", path);
  std::string text(real);
  free(real);
  return text;
}

}  // namespace

Result<ToolBox> ToolBox::Make(const ToolBoxOptions& options) {
  ToolBox box;
  box.options_ = options;
  const Result<std::string> folder = RealPath(options.folder);
  struct stat info = {};
  if (!folder.ok() || stat(folder->c_str(), &info) != 0 || !S_ISDIR(info.st_mode)) {
    return NotFound("the tools' folder {} is not there", options.folder);
  }
  if (*folder == "/") {
    return InvalidArgument("the tools' folder cannot be /: give the one that they may write");
  }
  box.folder_ = *folder;
  if (options.builtin) {
    box.definitions_.push_back(
        OneTextTool("read_file", "Reads a file", "path", "Path of the file"));
    box.definitions_.push_back(
        OneTextTool("list_folder", "Lists the files in a folder", "path", "Path of the folder"));
  }
  if (options.builtin || !options.commands.empty()) box.FindSandbox();
  const auto n_without_commands = static_cast<std::ptrdiff_t>(box.definitions_.size());
  if (options.builtin) {
    box.definitions_.push_back(
        OneTextTool("run_command", "Runs a shell command", "command", "Command line"));
  }
  for (const std::string& command : options.commands) {
    LARDER_RETURN_IF_ERROR(box.AddUserTool(command));
  }
  if (!box.warning_.empty()) {
    box.definitions_.erase(box.definitions_.begin() + n_without_commands, box.definitions_.end());
    box.user_tools_.clear();
  }
  return box;
}

Status ToolBox::AddUserTool(const std::string& text) {
  const std::size_t equals = text.find('=');
  const std::string name = text.substr(0, equals);
  const bool is_name = !name.empty() && name.size() <= 64 &&
                       name.find_first_not_of(
                           "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                           "0123456789_-") == std::string::npos;
  if (equals == std::string::npos || !is_name || equals + 1 == text.size()) {
    return InvalidArgument(
        "--tool-command is NAME=COMMAND, the name of letters, digits, _ and -, not '{}'", text);
  }
  for (const ToolDefinition& tool : definitions_) {
    if (tool.name == name) return InvalidArgument("there are two tools named '{}'", name);
  }
  user_tools_.push_back({name, text.substr(equals + 1)});
  definitions_.push_back(OneTextTool(name, "Runs " + user_tools_.back().command, "input",
                                     "Text that the command reads"));
  return Status::Ok();
}

void ToolBox::FindSandbox() {
  if (options_.unconfined) return;
  bubblewrap_ = FindProgram("bwrap");
  std::string why = "bubblewrap is not installed";
  if (!bubblewrap_.empty()) {
    const Result<ProcessOutcome> tried =
        RunProcess(Confined("exit 42"), "", "", {.seconds = 10, .output_bytes = 1000});
    if (tried.ok() && tried->exit_status == 42) return;
    why = "bubblewrap does not work here";
    if (tried.ok() && !tried->output.empty()) {
      why += " (" + tried->output.substr(0, tried->output.find('\n')) + ")";
    }
  }
  warning_ = "the model gets no commands to run, because " + why +
             "; --unconfined runs them without its walls";
}

// The system's programs to read, the folder to write, nothing of the user's, no network. All else
// is read-only, so that a write outside the folder fails instead of vanishing.
std::vector<std::string> ToolBox::Confined(const std::string& command) const {
  std::vector<std::string> words = {bubblewrap_,         "--unshare-all", "--cap-drop", "ALL",
                                    "--die-with-parent", "--new-session", "--clearenv"};
  const auto add = [&words](std::initializer_list<std::string> more) {
    words.insert(words.end(), more);
  };
  for (const char* part : {"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc/alternatives",
                           "/etc/ld.so.cache", "/etc/passwd", "/etc/group", "/etc/localtime"}) {
    add({"--ro-bind-try", part, part});
  }
  add({"--proc", "/proc", "--dev", "/dev", "--remount-ro", "/dev"});
  add({"--bind", folder_, folder_, "--remount-ro", "/"});
  add({"--setenv", "PATH", "/usr/local/bin:/usr/bin:/bin", "--setenv", "HOME", folder_});
  add({"--setenv", "TMPDIR", folder_, "--setenv", "LANG", "C.UTF-8", "--chdir", folder_});
  add({"/bin/sh", "-c", command});
  return words;
}

std::string ToolBox::Describe(const ToolCall& call) const {
  bool found = false;
  std::string text = TextArgument(call, ParameterOf(call.name), &found);
  if (!found) text = call.arguments_json;
  for (const UserTool& tool : user_tools_) {
    if (tool.name == call.name) text = tool.command + " < " + text;
  }
  return Visible(call.name) + "  " + Visible(text);
}

std::string ToolBox::Run(const ToolCall& call, const std::function<bool()>& cancelled) const {
  const bool offered =
      std::any_of(definitions_.begin(), definitions_.end(),
                  [&call](const ToolDefinition& tool) { return tool.name == call.name; });
  if (!offered) return Error("there is no tool " + call.name);
  const char* key = ParameterOf(call.name);
  bool found = false;
  const std::string value = TextArgument(call, key, &found);
  if (!found) return Error(call.name + " needs a text '" + key + "'");
  if (value.find('\0') != std::string::npos) return Error("the text has a zero byte");
  if (call.name == "read_file" && options_.builtin) return ReadFile(value);
  if (call.name == "list_folder" && options_.builtin) return ListFolder(value);
  if (call.name == "run_command" && options_.builtin) return RunCommand(value, "", cancelled);
  for (const UserTool& tool : user_tools_) {
    if (tool.name == call.name) return RunCommand(tool.command, value, cancelled);
  }
  return Error("there is no tool " + call.name);
}

Result<std::string> ToolBox::Resolve(const std::string& path) const {
  const std::string whole = !path.empty() && path[0] == '/' ? path : folder_ + "/" + path;
  const Result<std::string> real = RealPath(whole);
  if (real.ok() && IsInside(*real, folder_)) return real;
  // Whether something outside exists is not told.
  const Result<std::string> parent = RealPath(whole.substr(0, whole.rfind('/')) + "/");
  const bool outside = real.ok() || !parent.ok() || !IsInside(*parent, folder_);
  if (outside) return InvalidArgument("{} is not in the folder", path);
  return NotFound("there is no {}", path);
}

std::string ToolBox::ReadFile(const std::string& path) const {
  const Result<std::string> real = Resolve(path);
  if (!real.ok()) return Error(real.status().message());
  const int fd = open(real->c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0) return Error(fmt::format("cannot read {}: {}", path, std::strerror(errno)));
  struct stat info = {};
  if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    close(fd);
    return Error(path + (S_ISDIR(info.st_mode) ? " is a folder" : " is no file"));
  }
  std::string content(options_.output_bytes + 1, '\0');
  std::size_t n_read = 0;
  while (n_read < content.size()) {
    const ssize_t n = read(fd, content.data() + n_read, content.size() - n_read);
    if (n <= 0) break;
    n_read += static_cast<std::size_t>(n);
  }
  close(fd);
  const bool truncated = n_read > options_.output_bytes;
  content.resize(std::min(n_read, options_.output_bytes));
  OrderedJson result = {{"content", content}};
  if (truncated) {
    result["note"] = fmt::format("only the first {} of {} bytes", content.size(), info.st_size);
  }
  return JsonText(result);
}

std::string ToolBox::ListFolder(const std::string& path) const {
  const Result<std::string> real = Resolve(path);
  if (!real.ok()) return Error(real.status().message());
  DIR* folder = opendir(real->c_str());
  if (folder == nullptr) return Error(path + " is no folder");
  std::vector<std::string> names;
  while (const dirent* entry = readdir(folder)) {
    const std::string name = entry->d_name;
    if (name == "." || name == "..") continue;
    names.push_back(entry->d_type == DT_DIR ? name + "/" : name);
  }
  closedir(folder);
  std::sort(names.begin(), names.end());
  std::string files;
  for (std::size_t i = 0; i < std::min(names.size(), kMaxFiles); ++i) {
    files += (i == 0 ? "" : ", ") + names[i];
  }
  OrderedJson result = {{"files", files}};
  if (names.size() > kMaxFiles) {
    result["note"] = fmt::format("only the first {} of {}", kMaxFiles, names.size());
  }
  return JsonText(result);
}

std::string ToolBox::RunCommand(const std::string& command, const std::string& input,
                                const std::function<bool()>& cancelled) const {
  const std::vector<std::string> words =
      options_.unconfined ? std::vector<std::string>{"/bin/sh", "-c", command} : Confined(command);
  const Result<ProcessOutcome> outcome = RunProcess(
      words, options_.unconfined ? folder_ : "", input,
      {.seconds = options_.seconds, .output_bytes = options_.output_bytes, .cancelled = cancelled});
  if (!outcome.ok()) return Error(outcome.status().message());
  OrderedJson result = {{"output", outcome->output}};
  if (outcome->cancelled) {
    result["error"] = "the user stopped it";
  } else if (outcome->timed_out) {
    result["error"] = fmt::format("stopped after {:g} seconds", options_.seconds);
  } else if (outcome->exit_status != 0) {
    result["exit_status"] = outcome->exit_status;
  }
  if (outcome->truncated) {
    result["note"] = fmt::format("only the first {} bytes", options_.output_bytes);
  }
  return JsonText(result);
}

}  // namespace larder
