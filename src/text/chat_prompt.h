// One user turn as the text that the model expects: by the model's own chat template, or as plain
// ChatML when its file has none. Pure functions.
#pragma once

#include <cstdint>
#include <vector>

#include "base/status.h"
#include "format/metadata.h"
#include "text/chatml.h"
#include "text/tokenizer.h"

namespace larder {

/// The prompt's text, ending where the answer begins. `prompt.thinking` is the template's variable
/// enable_thinking. Fails when the template cannot be read, refuses the turn, or when a tool is no
/// JSON; the sentence names --raw as the way out.
Result<std::string> FormatTurn(const Metadata& metadata, const Tokenizer& tokenizer,
                               const ChatMlPrompt& prompt);

/// FormatTurn and EncodeChat.
Result<std::vector<std::int32_t>> EncodeTurn(const Metadata& metadata, const Tokenizer& tokenizer,
                                             const ChatMlPrompt& prompt);

}  // namespace larder
