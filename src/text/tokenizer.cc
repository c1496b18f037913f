// Encoding: added tokens cut the text into segments, the pre-tokenizer cuts segments into words,
// and the merges make tokens of each word's bytes, or characters.
#include "text/tokenizer.h"

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "text/normalize.h"
#include "text/pretokenizer.h"
#include "text/utf8.h"
#include "text/vocabulary.h"

namespace larder {
namespace {

// What SentencePiece merges: its mark for a space is a space like any other.
std::string PrepareScoredText(const Vocabulary& vocabulary, std::string_view text) {
  constexpr std::string_view kSpaceMark = "\xe2\x96\x81";
  std::string prepared;
  prepared.reserve(text.size() + 1);
  if (vocabulary.add_space_prefix) prepared.push_back(' ');
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t mark = std::min(text.find(kSpaceMark, begin), text.size());
    prepared += text.substr(begin, mark - begin);
    if (mark < text.size()) prepared.push_back(' ');
    begin = mark + kSpaceMark.size();
  }
  if (!vocabulary.remove_extra_spaces) return prepared;
  const auto both_spaces = [](char a, char b) { return a == ' ' && b == ' '; };
  prepared.erase(std::unique(prepared.begin(), prepared.end(), both_spaces), prepared.end());
  if (!prepared.empty() && prepared.back() == ' ') prepared.pop_back();
  if (!vocabulary.add_space_prefix && !prepared.empty() && prepared[0] == ' ') prepared.erase(0, 1);
  return prepared;
}

constexpr std::size_t kCacheSlots = 4096;
constexpr std::size_t kLongestCachedWord = 32;
constexpr std::size_t kCacheFromBytes =
    2048;  // below that, clearing the cache costs more than it gives

/// Encodes the segments of one text. Remembers where a word stood before: its tokens are then
/// copied from the output.
class TextEncoder {
 public:
  TextEncoder(const Vocabulary& vocabulary, const EncodeOptions& options, std::size_t n_text_bytes)
      : vocabulary_(vocabulary),
        options_(options),
        cache_(n_text_bytes >= kCacheFromBytes ? kCacheSlots : 0) {}

  Status EncodeSegment(std::string_view segment) {
    if (segment.empty()) return Status::Ok();
    ends_.clear();
    if (vocabulary_.kind == VocabularyKind::kScored) {
      const std::string prepared = PrepareScoredText(vocabulary_, segment);
      SplitAtSpaces(prepared);
      return EncodeWords(prepared);
    }
    if (vocabulary_.pre.nfc && !IsSurelyNfc(segment)) {
      return EncodeBytes(NormalizeNfc(segment));
    }
    return EncodeBytes(segment);
  }

  /// Not ok once there are too many tokens or nobody waits for them any more.
  Status Check() const {
    if (tokens_.size() > options_.max_tokens) return TooManyTokens();
    if (options_.cancelled == nullptr || !*options_.cancelled) return Status::Ok();
    return Cancelled("nobody waits for the tokens of this text any more");
  }

  void Append(std::int32_t token) {
    tokens_.push_back(token);
    after_unknown_ = false;
  }

  std::vector<std::int32_t>& tokens() { return tokens_; }

 private:
  struct Seen {
    std::array<char, kLongestCachedWord> word;
    std::uint32_t n_bytes = 0;
    std::uint32_t first_token = 0;
    std::uint32_t n_tokens = 0;

    bool Is(std::string_view other) const {
      return std::string_view(word.data(), n_bytes) == other;
    }
  };

  Status TooManyTokens() const {
    return InvalidArgument("the text has more than {} tokens", options_.max_tokens);
  }

  // Whether this many bytes, each in some token, certainly make too many.
  bool IsTooLong(std::size_t n_bytes) const {
    return n_bytes / vocabulary_.longest_token_bytes > options_.max_tokens - tokens_.size();
  }

  Status EncodeBytes(std::string_view text) {
    LARDER_RETURN_IF_ERROR(Check());
    if (IsTooLong(text.size())) return TooManyTokens();
    const std::size_t most_words = options_.max_tokens - tokens_.size();
    SplitWords(vocabulary_.pre.pre, text, ends_, most_words);
    if (ends_.size() > most_words) return TooManyTokens();
    return EncodeWords(text);
  }

  // A word is a run of spaces and what follows up to the next; where merges may cross that border,
  // the whole text is one word.
  void SplitAtSpaces(std::string_view text) {
    if (vocabulary_.words_begin_with_spaces) {
      for (std::size_t i = 1; i < text.size(); ++i) {
        if (text[i] == ' ' && text[i - 1] != ' ') ends_.push_back(i);
      }
    }
    if (!text.empty()) ends_.push_back(text.size());
  }

  Status EncodeWords(std::string_view text) {
    std::size_t begin = 0;
    for (const std::size_t end : ends_) {
      LARDER_RETURN_IF_ERROR(EncodeWord(text.substr(begin, end - begin)));
      LARDER_RETURN_IF_ERROR(Check());
      begin = end;
    }
    return Status::Ok();
  }

  Seen* FindSlot(std::string_view word) {
    if (cache_.empty() || word.size() > kLongestCachedWord) return nullptr;
    return &cache_[std::hash<std::string_view>()(word) % kCacheSlots];
  }

  Status EncodeWord(std::string_view word) {
    Seen* seen = FindSlot(word);
    if (seen != nullptr && seen->Is(word)) {
      for (std::uint32_t i = 0; i < seen->n_tokens; ++i) {
        tokens_.push_back(tokens_[seen->first_token + i]);
      }
      after_unknown_ = false;
      return Status::Ok();
    }
    const std::size_t n_before = tokens_.size();
    const bool scored = vocabulary_.kind == VocabularyKind::kScored;
    LARDER_RETURN_IF_ERROR(scored ? MergeScored(word) : MergeBytes(word));
    // An unknown character's token depends on what stands before the word.
    if (seen != nullptr && !has_unknown_) {
      std::copy(word.begin(), word.end(), seen->word.begin());
      seen->n_bytes = static_cast<std::uint32_t>(word.size());
      seen->first_token = static_cast<std::uint32_t>(n_before);
      seen->n_tokens = static_cast<std::uint32_t>(tokens_.size() - n_before);
    }
    return Status::Ok();
  }

  Status MergeBytes(std::string_view word) {
    if (vocabulary_.pre.whole_words) {
      if (const auto token = vocabulary_.FindMade(word)) {
        tokens_.push_back(*token);
        return Status::Ok();
      }
    }
    workspace_.word().clear();
    for (const char c : word) {
      const auto byte = static_cast<unsigned char>(c);
      const std::int32_t token = vocabulary_.of_byte[byte];
      if (token < 0) {
        return DataError(
            "this vocabulary has no token for the byte 0x{:02x}; give the text as valid UTF-8",
            static_cast<unsigned>(byte));
      }
      workspace_.word().push_back(token);
    }
    workspace_.Merge(vocabulary_.merges, options_.cancelled);
    const std::vector<std::int32_t>& merged = workspace_.word();
    tokens_.insert(tokens_.end(), merged.begin(), merged.end());
    return Status::Ok();
  }

  Status MergeScored(std::string_view word) {
    workspace_.word().clear();
    std::size_t n_known_bytes = 0;  // neighbours that are unknown may share a token
    for (std::size_t i = 0; i < word.size();) {
      const std::size_t n_bytes = DecodeUtf8(word, i).n_bytes;
      const std::optional<std::int32_t> token = vocabulary_.FindMade(word.substr(i, n_bytes));
      workspace_.word().push_back(token.value_or(kNoSymbol));
      if (token) n_known_bytes += n_bytes;
      i += n_bytes;
    }
    LARDER_RETURN_IF_ERROR(Check());
    if (IsTooLong(n_known_bytes)) return TooManyTokens();
    workspace_.Merge(vocabulary_.merges, options_.cancelled);
    has_unknown_ = false;
    std::size_t position = 0;
    for (const std::int32_t token : workspace_.word()) {
      if (token != kNoSymbol) {
        Append(token);
        position += vocabulary_.Bytes(token).size();
        continue;
      }
      const std::size_t n_bytes = DecodeUtf8(word, position).n_bytes;
      LARDER_RETURN_IF_ERROR(AppendUnmerged(word.substr(position, n_bytes)));
      position += n_bytes;
    }
    return Status::Ok();
  }

  // A character without a token: its bytes' tokens, or else the unknown token, once for neighbours.
  Status AppendUnmerged(std::string_view character) {
    bool has_bytes = true;
    for (const char c : character) {
      has_bytes &= vocabulary_.of_byte[static_cast<unsigned char>(c)] >= 0;
    }
    if (has_bytes) {
      for (const char c : character) {
        Append(vocabulary_.of_byte[static_cast<unsigned char>(c)]);
      }
      return Status::Ok();
    }
    if (!vocabulary_.unknown) {
      return DataError(
          "this vocabulary has no token for the byte 0x{:02x}, nor one for what is unknown",
          static_cast<unsigned>(static_cast<unsigned char>(character[0])));
    }
    if (!after_unknown_) tokens_.push_back(*vocabulary_.unknown);
    after_unknown_ = has_unknown_ = true;
    return Status::Ok();
  }

  const Vocabulary& vocabulary_;
  const EncodeOptions& options_;
  std::vector<Seen> cache_;
  std::vector<std::size_t> ends_;
  BpeWorkspace workspace_;
  std::vector<std::int32_t> tokens_;
  bool after_unknown_ = false;  // the last token is the unknown one, for text just before
  bool has_unknown_ = false;    // the last word had one
};

}  // namespace

Tokenizer::Tokenizer(std::unique_ptr<const Vocabulary> vocabulary)
    : vocabulary_(std::move(vocabulary)) {}

Tokenizer::~Tokenizer() = default;

Result<std::unique_ptr<Tokenizer>> Tokenizer::FromMetadata(const Metadata& metadata) {
  LARDER_ASSIGN_OR_RETURN(Vocabulary vocabulary, LoadVocabulary(metadata));
  return std::unique_ptr<Tokenizer>(
      new Tokenizer(std::make_unique<const Vocabulary>(std::move(vocabulary))));
}

Result<std::vector<std::int32_t>> Tokenizer::Encode(std::string_view text,
                                                    EncodeOptions options) const {
  if (text.size() >= std::size_t{std::numeric_limits<std::int32_t>::max()}) {
    return InvalidArgument("the text has {} bytes; give less than 2 GiB at a time", text.size());
  }
  TextEncoder encoder(*vocabulary_, options, text.size());
  if (options.add_special && vocabulary_->add_bos) encoder.Append(*vocabulary_->bos);
  LARDER_RETURN_IF_ERROR(encoder.Check());
  const AddedTokens& added =
      options.parse_special ? vocabulary_->user_and_special : vocabulary_->user_defined;
  for (std::size_t position = 0; position < text.size();) {
    const AddedTokenMatch match = added.FindNext(text, position);
    const bool found = match.token >= 0;
    const std::size_t end = found ? match.begin : text.size();
    LARDER_RETURN_IF_ERROR(encoder.EncodeSegment(text.substr(position, end - position)));
    if (found) encoder.Append(match.token);
    LARDER_RETURN_IF_ERROR(encoder.Check());
    position = found ? match.begin + match.n_bytes : end;
  }
  if (options.add_special && vocabulary_->add_eos) encoder.Append(*vocabulary_->eos);
  LARDER_RETURN_IF_ERROR(encoder.Check());
  return std::move(encoder.tokens());
}

std::string Tokenizer::Decode(std::span<const std::int32_t> tokens, bool render_special) const {
  // The space that Encode puts before a text stands in its first token, if merges made that.
  bool drop_space = vocabulary_->kind == VocabularyKind::kScored && vocabulary_->add_space_prefix;
  std::string text;
  for (const std::int32_t token : tokens) {
    if (!render_special && IsControl(token)) continue;
    std::string_view bytes = TokenBytes(token);
    if (bytes.empty()) continue;
    if (drop_space && bytes[0] == ' ' && vocabulary_->MadeByMerges(token)) bytes.remove_prefix(1);
    drop_space = false;
    text += bytes;
  }
  return text;
}

std::string_view Tokenizer::TokenBytes(std::int32_t token) const {
  return token >= 0 && token < n_vocab() ? vocabulary_->Bytes(token) : std::string_view();
}

TokenType Tokenizer::Type(std::int32_t token) const {
  return token >= 0 && token < n_vocab() ? vocabulary_->types[static_cast<std::size_t>(token)]
                                         : TokenType::kUnused;
}

std::int32_t Tokenizer::n_vocab() const { return vocabulary_->n_vocab(); }
std::optional<std::int32_t> Tokenizer::bos() const { return vocabulary_->bos; }
std::optional<std::int32_t> Tokenizer::eos() const { return vocabulary_->eos; }
std::optional<std::int32_t> Tokenizer::eot() const { return vocabulary_->eot; }
std::optional<std::int32_t> Tokenizer::pad() const { return vocabulary_->pad; }
bool Tokenizer::add_bos() const { return vocabulary_->add_bos; }
bool Tokenizer::add_eos() const { return vocabulary_->add_eos; }
const std::string& Tokenizer::pre_name() const { return vocabulary_->pre_name; }

std::size_t Tokenizer::n_bytes() const {
  const Vocabulary& v = *vocabulary_;
  return v.bytes.capacity() + v.begin.capacity() * sizeof(v.begin[0]) + v.types.capacity() +
         v.ends_generation.capacity() / 8 + v.slots.capacity() * sizeof(v.slots[0]) +
         v.merges.n_bytes();
}

bool Tokenizer::IsEndOfGeneration(std::int32_t token) const {
  return token >= 0 && token < n_vocab() &&
         vocabulary_->ends_generation[static_cast<std::size_t>(token)];
}

std::optional<std::int32_t> Tokenizer::FindToken(std::string_view bytes) const {
  return vocabulary_->Find(bytes);
}

}  // namespace larder
