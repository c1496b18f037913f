// A model's answer, token by token, taken apart into text, reasoning and calls; and the tokens that
// it is given instead of choosing them itself: those that close a thought which has become too
// long, in the model's own format. One answer, one thread; borrows the tokenizer.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/detokenizer.h"
#include "text/output_parser.h"
#include "text/think_mode.h"
#include "text/tokenizer.h"

namespace larder {

class OutputReader {
 public:
  /// `prompt`: the rendered prompt. `form`: as MakeOutputParser's.
  OutputReader(const Tokenizer* tokenizer, OutputStyle style,
               const std::vector<ToolDefinition>& tools, std::string_view prompt, ThinkMode think,
               OutputForm form = OutputForm::kFree);

  /// For an answer whose text is held to a grammar, which knows nothing of thoughts: everything
  /// around the text is written for the model, a thought's opening where the model would have to
  /// begin one itself, and the line breaks behind its end. Before the first token.
  void HoldText();

  /// Appends what the token makes certain to `deltas`.
  void Push(std::int32_t token, std::vector<OutputDelta>* deltas);
  void Finish(std::vector<OutputDelta>* deltas);

  /// The tokens that must come next, pushed like any others; empty: the model chooses. To be asked
  /// before the first token and after each that the model chose.
  std::vector<std::int32_t> Forced();

  /// Inside a thought, where no grammar holds.
  bool in_reasoning() const { return parser_->in_reasoning(); }

  /// True where the answer goes on behind a token that ends generation for other formats.
  bool GoesOnAfter(std::int32_t token) const;

  /// Tokens inside thoughts, without those that open and close them.
  std::int64_t n_reasoning_tokens() const { return n_reasoning_tokens_; }

 private:
  std::string TextOf(std::int32_t token);
  std::string Opening() const;
  std::string Closing() const;
  std::string BehindThought() const;
  std::vector<std::int32_t> Encode(std::string_view text);

  const Tokenizer* tokenizer_;
  OutputStyle style_;
  std::unique_ptr<OutputParser> parser_;
  StreamDecoder decoder_;
  ThinkMode think_;
  bool prompt_ends_thought_ = false;
  bool prompt_opens_message_ = false;  // harmony's header comes next
  bool held_ = false;
  bool begun_ = false;
  bool thought_ended_ = false;  // by the last token
  std::string tail_;            // the end of what was pushed, a few bytes
  std::int64_t n_reasoning_tokens_ = 0;
  std::size_t n_forced_ahead_ = 0;  // tokens given by Forced and not pushed yet
};

}  // namespace larder
