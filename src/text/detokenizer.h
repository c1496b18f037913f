// Tokens in, text out, as a model produces them: a UTF-8 character whose bytes come in several
// tokens is held back until it is whole. A stream goes on where a prompt ended, so the space that
// scored vocabularies put before a word stays. One decoder per stream, used by one thread; it
// borrows the tokenizer, which must outlive it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "text/tokenizer.h"

namespace larder {

class StreamDecoder {
 public:
  /// Control tokens give no text unless `render_special`.
  explicit StreamDecoder(const Tokenizer& tokenizer, bool render_special = false)
      : tokenizer_(tokenizer), render_special_(render_special) {}

  /// The text that is whole now; often empty. Bytes that cannot begin or continue a character go
  /// out as they are, at once, so that nothing is lost or held back for ever.
  std::string Push(std::int32_t token);

  /// The bytes still held back, at the end of a stream.
  std::string Flush();

 private:
  const Tokenizer& tokenizer_;
  bool render_special_;
  std::string held_;  // at most 3 bytes: the valid beginning of one character
};

}  // namespace larder
