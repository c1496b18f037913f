// A tokenizer's data as read from GGUF metadata: tokens' bytes and types, merges, special tokens.
// Filled once by LoadVocabulary and immutable from then on.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "format/metadata.h"
#include "text/added_tokens.h"
#include "text/bpe.h"
#include "text/pretokenizer.h"
#include "text/token_type.h"

namespace larder {

/// kByteLevel merges bytes by a list of merges (GGUF: "gpt2"); kScored merges characters by the
/// scores of what comes out, as SentencePiece does (GGUF: "llama").
enum class VocabularyKind : std::uint8_t { kByteLevel, kScored };

struct Vocabulary {
  VocabularyKind kind = VocabularyKind::kByteLevel;
  PreTokenizerTraits pre{};  // kByteLevel
  std::string pre_name;
  std::string bytes;                        // all tokens' bytes, one after the other
  std::vector<std::uint32_t> begin;         // [n_vocab + 1] into bytes
  std::vector<TokenType> types;             // [n_vocab]
  std::vector<bool> ends_generation;        // [n_vocab]
  std::vector<std::int32_t> slots;          // open addressing by bytes: token or -1
  std::array<std::int32_t, 256> of_byte{};  // the token of one byte, -1 where there is none
  BpeMergeTable merges;
  std::size_t longest_token_bytes = 1;
  AddedTokens user_defined;      // what is matched in any text
  AddedTokens user_and_special;  // and with parse_special
  std::optional<std::int32_t> bos, eos, eot, eom, pad, unknown;
  bool add_bos = false;
  bool add_eos = false;
  // The rest is of kScored alone.
  bool add_space_prefix = true;
  bool remove_extra_spaces = false;
  bool words_begin_with_spaces = true;  // no merge goes from another character to a space

  std::int32_t n_vocab() const { return static_cast<std::int32_t>(types.size()); }
  std::string_view Bytes(std::int32_t token) const;
  /// The token with these bytes; one made by merges before an added, control or byte token.
  std::optional<std::int32_t> Find(std::string_view text) const;
  /// The same, if merges may make it.
  std::optional<std::int32_t> FindMade(std::string_view text) const;
  bool MadeByMerges(std::int32_t token) const;
};

/// Errors as Tokenizer::FromMetadata says.
Result<Vocabulary> LoadVocabulary(const Metadata& metadata);

}  // namespace larder
