// An answer as the dialects see it: pieces of choices in the order they come, how each choice
// ended, what it cost; and the renderer that each dialect brings to write them down. Plain values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "server/api_error.h"
#include "text/message.h"
#include "text/message_json.h"
#include "text/output_parser.h"

namespace larder {

struct TokenRival {
  std::int32_t token = 0;
  std::string bytes;
  double logprob = 0;
};

/// One token with what the model thought of it; only when log probabilities were asked for.
struct TokenDetail {
  std::int32_t token = 0;
  std::string bytes;  // may be a part of a UTF-8 character
  double logprob = 0;
  bool has_logprob = true;  // false: the first of a prompt, which nothing predicts
  std::vector<TokenRival> top;
};

struct AnswerPiece {
  int choice = 0;
  OutputDelta delta;
  std::vector<TokenDetail> tokens;  // those that this piece completes
};

enum class StopCause { kEnd, kStopText, kLength, kToolCalls, kCancelled, kError };

struct ChoiceEnd {
  int choice = 0;
  StopCause cause = StopCause::kEnd;
  std::string stop_text;            // kStopText: which
  Status status;                    // kError: why
  std::vector<TokenDetail> tokens;  // that no piece carried
};

struct AnswerUsage {
  std::int64_t n_prompt = 0;
  std::int64_t n_reused = 0;  // of them, not read again
  std::int64_t n_answer = 0;
  std::int64_t n_reasoning = 0;  // of the answer's
  std::int64_t queue_us = 0;
  std::int64_t prompt_us = 0;
  std::int64_t generation_us = 0;
};

/// Adds a piece behind `pieces`; one that goes on with the last of them becomes a part of it.
void AppendPiece(AnswerPiece piece, std::vector<AnswerPiece>* pieces);

/// One choice, put together.
struct ChoiceAnswer {
  Message message;
  std::vector<AnswerPiece>
      pieces;  // the same in the order in which it came, as AppendPiece left it
  std::vector<TokenDetail> tokens;
  ChoiceEnd end;
};

/// Writes one answer in a dialect's form, as a stream or whole. Made per request, one thread at a
/// time. For a stream: Begin, then pieces and ends of choices, then End or Fail.
class AnswerRenderer {
 public:
  virtual ~AnswerRenderer() = default;

  virtual ErrorForm error_form() const = 0;
  virtual const char* stream_content_type() const { return "text/event-stream"; }
  /// What goes out while nothing else does.
  virtual std::string KeepAlive() const { return ": waiting\n\n"; }

  virtual std::string Begin(std::int64_t n_prompt_tokens) = 0;
  /// While the prompt is read.
  virtual std::string Progress(std::int64_t n_done, std::int64_t n_total) const;
  virtual std::string Piece(const AnswerPiece& piece) = 0;
  virtual std::string EndChoice(const ChoiceEnd& end) = 0;
  virtual std::string End(const AnswerUsage& usage) = 0;
  virtual std::string Fail(const ApiError& error) = 0;

  virtual std::string Whole(const std::vector<ChoiceAnswer>& choices, const AnswerUsage& usage) = 0;
};

/// "data: JSON\n\n", with an "event: NAME\n" line before it when there is a name.
std::string SseEvent(const OrderedJson& json, const char* name = nullptr);

/// The arguments of a call as an object; nullopt when they are none, because it was cut off.
std::optional<OrderedJson> ParseObject(const std::string& json);

/// `prefix` and 24 random letters and digits.
std::string NewId(const char* prefix);
std::int64_t UnixSeconds();
/// A random seed for requests that bring none.
std::uint64_t RandomSeed();

}  // namespace larder
