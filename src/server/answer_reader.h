// One choice's tokens turned into pieces: bytes to text, text taken apart into words, reasoning and
// calls, stop texts found wherever tokens cut them. One answer, one thread; borrows the tokenizer.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "sample/logprobs.h"
#include "server/answer.h"
#include "text/detokenizer.h"
#include "text/output_parser.h"

namespace larder {

/// Finds the first of some texts in a stream; what may be the beginning of one is held back.
class StopFinder {
 public:
  explicit StopFinder(std::vector<std::string> stops);

  /// What may go out now. After a stop was found: nothing more.
  std::string Push(std::string_view text);
  /// What was held back, at the end.
  std::string Flush();
  bool found() const { return found_; }
  /// Once found: how many bytes of what was pushed are not given out.
  std::size_t n_cut() const { return n_cut_; }
  const std::string& which() const { return which_; }

 private:
  std::vector<std::string> stops_;
  std::string held_;
  std::string which_;
  bool found_ = false;
  std::size_t n_cut_ = 0;
};

struct AnswerReaderOptions {
  int choice = 0;
  bool is_chat = true;  // reasoning and calls are taken out
  OutputStyle style;
  std::vector<ToolDefinition> tools;
  std::string prompt;  // its text, of a chat
  OutputForm form = OutputForm::kFree;
  std::vector<std::string> stops;
  bool parallel_calls = true;
  bool details = false;  // pieces carry their tokens
};

class AnswerReader {
 public:
  AnswerReader(const Tokenizer& tokenizer, AnswerReaderOptions options);

  /// The next token; false when it ends the answer.
  bool OnToken(std::int32_t token, const Logprobs* logprobs, std::vector<AnswerPiece>* pieces);
  /// The answer is over, for `cause` unless the reader knows a better one.
  ChoiceEnd Finish(StopCause cause, std::vector<AnswerPiece>* pieces);

  std::int64_t n_reasoning() const { return n_reasoning_; }

 private:
  std::string BytesOf(std::int32_t token);
  void Feed(std::string_view text, std::vector<AnswerPiece>* pieces);
  void Take(std::vector<OutputDelta>* deltas, std::vector<AnswerPiece>* pieces);
  void Put(OutputDelta delta, std::vector<AnswerPiece>* pieces);
  void PutText(std::string text, std::vector<AnswerPiece>* pieces);
  void DropCutTokens();

  const Tokenizer& tokenizer_;
  AnswerReaderOptions options_;
  StreamDecoder decoder_;
  std::unique_ptr<OutputParser> parser_;  // null: all is text
  StopFinder stops_;
  std::vector<TokenDetail> waiting_;
  std::int64_t n_reasoning_ = 0;
  int n_calls_ = 0;  // that ended well
  bool call_failed_ = false;
  bool over_ = false;
};

/// A token and its rivals with their bytes.
TokenDetail MakeTokenDetail(const Tokenizer& tokenizer, std::int32_t token,
                            const Logprobs& logprobs);

}  // namespace larder
