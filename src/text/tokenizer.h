// Byte-level BPE and SentencePiece's scored merges from GGUF metadata: text to token ids and back.
// A Tokenizer owns its vocabulary, is immutable once made, and any number of threads may use one at
// the same time. Encoding is linear in the text up to a logarithm, whatever the text.
#pragma once

#include <atomic>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "format/metadata.h"
#include "text/token_type.h"

namespace larder {

struct Vocabulary;

struct EncodeOptions {
  bool add_special = false;    // begin and end tokens, where the model's metadata asks for them
  bool parse_special = false;  // control tokens written out in the text become those tokens
  // A text of more tokens is refused with kInvalidArgument, as soon as it is certain to have more.
  std::size_t max_tokens = std::numeric_limits<std::size_t>::max();
  // Where it becomes true, Encode ends with kCancelled; null: never.
  const std::atomic<bool>* cancelled = nullptr;
};

class Tokenizer {
 public:
  /// Reads the tokenizer.ggml.* keys. kUnsupported names an unknown model or pre-tokenizer;
  /// kNotFound a missing key; kDataError contradicting ones (lengths, ids out of range).
  static Result<std::unique_ptr<Tokenizer>> FromMetadata(const Metadata& metadata);

  ~Tokenizer();
  Tokenizer(const Tokenizer&) = delete;
  Tokenizer& operator=(const Tokenizer&) = delete;

  /// Any bytes encode; a byte that is not part of valid UTF-8 counts as one character that is
  /// neither letter, digit nor space. Decode gives the text back, except: models that ask for it
  /// see normalization form C; scored vocabularies take U+2581 for a space and put a space before
  /// the text and behind each added token. kDataError if the vocabulary lacks a byte's token (some
  /// have none for bytes that UTF-8 never uses), kInvalidArgument for texts of 2 GiB and more, or
  /// of more tokens than the options allow.
  Result<std::vector<std::int32_t>> Encode(std::string_view text,
                                           EncodeOptions options = EncodeOptions()) const;

  /// The tokens' bytes, joined, without the space that Encode put before a text. Control tokens are
  /// left out unless `render_special`. Ids out of range give nothing: check them against n_vocab()
  /// where they come from a user.
  std::string Decode(std::span<const std::int32_t> tokens, bool render_special) const;

  /// One token's bytes, control tokens included; may be part of a UTF-8 character. Valid as long
  /// as the tokenizer. Empty for an id out of range.
  std::string_view TokenBytes(std::int32_t token) const;
  TokenType Type(std::int32_t token) const;  // kUnused for an id out of range
  bool IsControl(std::int32_t token) const { return Type(token) == TokenType::kControl; }

  std::int32_t n_vocab() const;
  std::optional<std::int32_t> bos() const;
  std::optional<std::int32_t> eos() const;
  std::optional<std::int32_t> eot() const;
  std::optional<std::int32_t> pad() const;
  bool add_bos() const;
  bool add_eos() const;
  const std::string& pre_name() const;  // tokenizer.ggml.pre
  std::size_t n_bytes() const;          // memory the vocabulary takes, for the budget

  /// True for tokens after which an answer is over: eos, eot, eom by key, and control tokens named
  /// <|im_end|>, <|endoftext|>, <|end_of_text|>, <|eot_id|>, <|eom_id|>, <|end|>, <|return|>,
  /// <|call|>, <end_of_turn>, <EOT>, [EOT], <|EOT|>, <｜end▁of▁sentence｜>.
  bool IsEndOfGeneration(std::int32_t token) const;

  /// The id whose bytes are exactly `bytes`.
  std::optional<std::int32_t> FindToken(std::string_view bytes) const;

 private:
  explicit Tokenizer(std::unique_ptr<const Vocabulary> vocabulary);

  std::unique_ptr<const Vocabulary> vocabulary_;
};

}  // namespace larder
