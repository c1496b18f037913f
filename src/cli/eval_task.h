// Tasks of `larder eval`: one JSON object per line (docs/evaluation.md), and how an answer to one
// is judged. Pure functions; task files are hostile until checked.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "text/message.h"
#include "text/message_json.h"

namespace larder {

struct EvalTask {
  enum class Kind {
    kChoice,    // the likeliest of several continuations
    kExact,     // the answer's text
    kJson,      // the answer is JSON, and which
    kToolCall,  // the answer calls a tool, and how
  };

  Kind kind = Kind::kExact;
  std::string group;   // results are counted by it
  std::string id;      // "12" (its line) unless given
  std::string prompt;  // as the model reads it; or:
  std::vector<Message> messages;
  std::vector<ToolDefinition> tools;
  std::vector<std::string> choices;                            // kChoice
  std::size_t right_choice = 0;                                // kChoice
  std::vector<std::string> answers;                            // kExact: any of them
  bool wants_value = false;                                    // kJson: `value` is the right one
  OrderedJson value;                                           // kJson
  std::string tool_name;                                       // kToolCall
  std::vector<std::pair<std::string, std::string>> arguments;  // kToolCall: names, values as text
  std::vector<std::string> stop;                               // an answer ends before any of them
  std::int64_t max_tokens = 160;
};

/// One task per line; blank lines are passed over. kDataError names the line.
Result<std::vector<EvalTask>> ParseEvalTasks(const std::string& text);

/// One thing that is right or wrong in an answer.
struct EvalCheck {
  std::string name;  // "right", "parses", "function" ...
  bool passed = false;
};

/// `answer` without white space around it. For kExact and kJson.
std::vector<EvalCheck> JudgeText(const EvalTask& task, const std::string& answer);
/// For kToolCall: what the model's output came to, and how many calls in it broke.
std::vector<EvalCheck> JudgeCall(const EvalTask& task, const Message& answer,
                                 std::size_t n_broken = 0);
/// For kChoice: log probabilities of the choices, in their order.
std::vector<EvalCheck> JudgeChoice(const EvalTask& task, const std::vector<double>& logprobs);

/// What an answer fails that was never given: all that the others are judged by.
std::vector<EvalCheck> JudgeNothing(const EvalTask& task);

/// `text` up to the first of the task's stops.
std::string CutAtStop(const EvalTask& task, const std::string& text);
std::string Trimmed(const std::string& text);

}  // namespace larder
