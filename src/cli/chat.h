// The chat itself: reads lines, carries out what begins with a slash, answers the rest, runs the
// tools that the user allows. One thread; borrows the engine.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "cli/chat_screen.h"
#include "cli/conversation.h"
#include "cli/interrupt.h"
#include "cli/line_reader.h"
#include "cli/tool_box.h"
#include "text/think_mode.h"

namespace larder {

struct ChatSettings {
  SamplerParams sampler;
  std::int64_t max_tokens = 0;
  ThinkMode think;
  bool ask_before_calls = true;
  bool use_tools = true;  // those of the tool box, if any
};

class Chat {
 public:
  Chat(Engine* engine, std::unique_ptr<Conversation> conversation, ToolBox tools,
       ChatSettings settings, std::string history_path);

  /// Until /exit or the end of input. The exit status; failures that end a chat are those of
  /// stdout and of the disk.
  Result<int> Run();

  /// Before Run: the system message, and a saved chat.
  void SetSystem(const std::string& text);
  Status Load(const std::string& path);

 private:
  enum class Next { kGoOn, kExit };

  // chat.cc: lines and answers
  std::optional<std::string> ReadMessage(bool* ended);
  bool ReadBlock(std::string* text);
  Status Reply();
  Result<Answer> AskModel();
  void KeepInterrupted(const Answer& answer);
  Status RunCalls(const std::vector<ToolCall>& calls, bool* stopped);
  bool Allowed(const ToolCall& call);
  void ShowFigures(const Answer& answer);
  void DropLastQuestion();

  // chat_commands.cc: what begins with a slash
  Result<Next> Command(const std::string& line);
  Next Help();
  Next System(const std::string& text);
  Next Clear();
  Result<Next> Regenerate();
  Next Undo();
  Next Save(const std::string& path);
  Next LoadCommand(const std::string& path);
  Next ReadFile(const std::string& path);
  Next Stats();
  Next Set(const std::string& words);
  void ShowSettings();
  Status PutSetting(const std::string& key, const std::string& value);

  Engine* engine_;
  std::unique_ptr<Conversation> conversation_;
  ToolBox tools_;
  ChatSettings settings_;
  ChatScreen screen_;
  InterruptScope interrupt_;
  std::unique_ptr<LineReader> reader_;
  bool quoted_ = false;   // the last message came in quotes, so it is none of our commands
  std::string attached_;  // files to be put before the next message
  std::uint64_t n_other_answers_ = 0;  // by /regen
  bool was_refused_ = false;           // a message had no answer
  std::optional<Answer> last_;
};

}  // namespace larder
