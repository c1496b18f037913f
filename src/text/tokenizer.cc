// Encoding: added tokens cut the text into segments, the pre-tokenizer cuts segments into words,
// and the merges make tokens of each word's bytes.
#include "text/tokenizer.h"

#include <limits>
#include <utility>

#include "text/pretokenizer.h"
#include "text/vocabulary.h"

namespace larder {
namespace {

constexpr std::size_t kCacheSlots = 4096;
constexpr std::size_t kLongestCachedWord = 32;
constexpr std::size_t kCacheFromBytes =
    2048;  // below that, clearing the cache costs more than it gives

/// Encodes the segments of one text. Remembers where a word stood before: its tokens are then
/// copied from the output.
class TextEncoder {
 public:
  TextEncoder(const Vocabulary& vocabulary, std::size_t n_text_bytes)
      : vocabulary_(vocabulary), cache_(n_text_bytes >= kCacheFromBytes ? kCacheSlots : 0) {}

  Status EncodeSegment(std::string_view segment) {
    ends_.clear();
    SplitWords(vocabulary_.pre, segment, ends_);
    std::size_t begin = 0;
    for (const std::size_t end : ends_) {
      LARDER_RETURN_IF_ERROR(EncodeWord(segment.substr(begin, end - begin)));
      begin = end;
    }
    return Status::Ok();
  }

  std::vector<std::int32_t>& tokens() { return tokens_; }

 private:
  struct Seen {
    std::string_view word;  // in the text
    std::uint32_t first_token = 0;
    std::uint32_t n_tokens = 0;
  };

  Seen* FindSlot(std::string_view word) {
    if (cache_.empty() || word.size() > kLongestCachedWord) return nullptr;
    return &cache_[std::hash<std::string_view>()(word) % kCacheSlots];
  }

  Status EncodeWord(std::string_view word) {
    Seen* seen = FindSlot(word);
    if (seen != nullptr && seen->word == word) {
      for (std::uint32_t i = 0; i < seen->n_tokens; ++i) {
        tokens_.push_back(tokens_[seen->first_token + i]);
      }
      return Status::Ok();
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
    workspace_.Merge(vocabulary_.merges);
    const std::vector<std::int32_t>& merged = workspace_.word();
    if (seen != nullptr) {
      *seen = {word, static_cast<std::uint32_t>(tokens_.size()),
               static_cast<std::uint32_t>(merged.size())};
    }
    tokens_.insert(tokens_.end(), merged.begin(), merged.end());
    return Status::Ok();
  }

  const Vocabulary& vocabulary_;
  std::vector<Seen> cache_;
  std::vector<std::size_t> ends_;
  BpeWorkspace workspace_;
  std::vector<std::int32_t> tokens_;
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
  TextEncoder encoder(*vocabulary_, text.size());
  if (options.add_special && vocabulary_->add_bos) encoder.tokens().push_back(*vocabulary_->bos);
  const AddedTokens& added =
      options.parse_special ? vocabulary_->user_and_special : vocabulary_->user_defined;
  for (std::size_t position = 0; position < text.size();) {
    const AddedTokenMatch match = added.FindNext(text, position);
    const bool found = match.token >= 0;
    const std::size_t end = found ? match.begin : text.size();
    LARDER_RETURN_IF_ERROR(encoder.EncodeSegment(text.substr(position, end - position)));
    if (found) encoder.tokens().push_back(match.token);
    position = found ? match.begin + match.n_bytes : end;
  }
  if (options.add_special && vocabulary_->add_eos) encoder.tokens().push_back(*vocabulary_->eos);
  return std::move(encoder.tokens());
}

std::string Tokenizer::Decode(std::span<const std::int32_t> tokens, bool render_special) const {
  std::string text;
  for (const std::int32_t token : tokens) {
    if (render_special || !IsControl(token)) text += TokenBytes(token);
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
