// A conversation to the text that a model reads, by its own chat template or, where its file has
// none, as plain ChatML; and what the model's answers look like. Immutable once made, so any number
// of threads may write with one; borrows the tokenizer.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "format/metadata.h"
#include "text/chat_template.h"
#include "text/message.h"
#include "text/output_parser.h"
#include "text/tokenizer.h"

namespace larder {

class PromptWriter {
 public:
  /// With the file's templates, or with `chosen` for everything. Errors are those of the template.
  static Result<PromptWriter> Make(const Metadata& metadata, const Tokenizer* tokenizer,
                                   std::optional<ChatTemplate> chosen = std::nullopt);

  struct Options {
    bool thinking = false;  // enable_thinking and its like
    bool add_generation_prompt = true;
  };
  /// kInvalidArgument when the model's template refuses the conversation.
  Result<std::string> Render(const std::vector<Message>& messages,
                             const std::vector<ToolDefinition>& tools, Options options) const;

  /// Tokens of a rendered text; control tokens are read as such. kInvalidArgument when there are
  /// none.
  Result<std::vector<std::int32_t>> Encode(std::string_view text) const;

  const OutputStyle& style() const { return style_; }

 private:
  const Tokenizer* tokenizer_ = nullptr;
  std::optional<ChatTemplate> template_;
  std::optional<ChatTemplate> tool_template_;  // for conversations with tools
  OutputStyle style_;
};

}  // namespace larder
