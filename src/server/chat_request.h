// The one internal request: what any dialect asks of the model. Below the dialects nothing knows
// JSON; where it appears here it is text that is the caller's own. Plain values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sample/sampler.h"
#include "text/message.h"

namespace larder {

/// What a request may set of the sampler; absent: the model's own value, then Larder's.
struct SamplingFields {
  std::optional<double> temperature;
  std::optional<double> top_p;
  std::optional<double> min_p;
  std::optional<double> repeat_penalty;
  std::optional<double> presence_penalty;
  std::optional<double> frequency_penalty;
  std::optional<int> top_k;
  std::optional<int> penalty_window;
  std::optional<std::uint64_t> seed;  // absent: a random one
  std::vector<LogitBias> logit_bias;
};

enum class ToolChoice { kAuto, kNone, kRequired };

enum class AnswerFormat { kText, kJsonObject, kJsonSchema };

/// One prompt that is no conversation.
struct RawPrompt {
  std::string text;
  std::vector<std::int32_t> tokens;  // when `is_tokens`
  bool is_tokens = false;
};

struct ChatRequest {
  std::string model;

  // A conversation, or prompts as they are.
  bool is_chat = true;
  std::vector<Message> messages;
  std::vector<RawPrompt> prompts;
  bool continue_last = false;           // the last message is the assistant's and is gone on with
  std::string template_variables_json;  // an object, put over the template's own; empty: none

  std::vector<ToolDefinition> tools;
  ToolChoice tool_choice = ToolChoice::kAuto;
  std::string forced_tool;  // kRequired: this one; empty: any
  bool parallel_calls = true;
  AnswerFormat format = AnswerFormat::kText;  // of an answer that is no call
  std::string format_field;                   // where the caller asked for it, or gave the schema
  std::string schema_json;

  std::optional<bool> thinking;                 // absent: the server's default
  std::optional<std::int64_t> thinking_tokens;  // at most
  std::string reasoning_effort;                 // for templates that read it

  SamplingFields sampling;
  std::optional<std::int64_t> max_tokens;
  std::vector<std::string> stops;
  int n_choices = 1;              // per prompt
  std::optional<int> n_logprobs;  // rivals shown for each token
  bool echo = false;              // the prompt is part of the answer
  bool ignore_end = false;
  bool side_request = false;  // small, beside a conversation (agent_habits.h)

  bool stream = false;
  bool include_usage = false;  // in the stream
};

}  // namespace larder
