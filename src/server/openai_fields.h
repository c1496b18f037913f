// The fields that OpenAI's chat and text completions share, and others speak too. Parsers fill a
// ChatRequest and say what is wrong with the field's name. Pure functions.
#pragma once

#include "server/answer.h"
#include "server/chat_request.h"
#include "server/fields.h"

namespace larder {

inline constexpr std::int64_t kMostChoices = 8;
inline constexpr std::int64_t kMostRivals = 20;
inline constexpr std::size_t kMostStops = 64;
inline constexpr std::size_t kMostStopBytes = std::size_t{64} << 10;
inline constexpr std::size_t kMostTools = 512;
inline constexpr std::size_t kMostToolBytes = std::size_t{8} << 20;
inline constexpr std::size_t kMostMessages = 100000;

/// temperature, top_p, top_k, min_p, the penalties, seed, logit_bias, stop, n, stream,
/// stream_options, ignore_eos, user, model.
void ReadCommonFields(Fields* fields, ChatRequest* request);

/// What stops an answer: `name` is "stop" or "stop_sequences".
void ReadStops(Fields* fields, const char* name, ChatRequest* request);

/// Checks number and size of tools and gives them to the request.
void TakeTools(Fields* fields, Result<std::vector<ToolDefinition>> tools, ChatRequest* request);

/// Refuses a conversation, the field `name`, of more than kMostMessages.
void RefuseMessages(Fields* fields, const char* name);

/// Adds a piece to a text that may be absent so far.
void Append(const std::string& piece, std::optional<std::string>* text);

/// A list of {"type": "function", "function": {...}}; other types are refused.
void ReadFunctionTools(Fields* fields, ChatRequest* request);

/// Refuses parts whose "type" is no text, before messages are made of the list.
void CheckPartTypes(Fields* fields, const OrderedJson& messages);
/// Refuses parts of messages that are no texts.
void RefuseOtherParts(Fields* fields, const std::vector<Message>& messages);

/// {"type": "text" | "json_object" | "json_schema"}; `schema_holder`: where the schema stands,
/// "json_schema" for chat, nothing for responses.
void ReadFormat(Fields* fields, const OrderedJson& format, const char* name,
                const char* schema_holder, ChatRequest* request);

/// reasoning_effort's values: none and minimal answer at once.
void ReadEffort(Fields* fields, const std::string& name, const std::string& effort,
                ChatRequest* request);

/// What `reasoning_content` and the like cost, in OpenAI's words.
OrderedJson OpenAiUsage(const AnswerUsage& usage);

/// "stop", "length", "tool_calls".
const char* OpenAiFinish(StopCause cause);

/// A log probability as JSON can hold it.
double FiniteLogprob(double logprob);

}  // namespace larder
