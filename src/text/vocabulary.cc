// Reads the tokenizer.ggml.* keys. Tokens made by merges are written in GPT-2's byte alphabet,
// where each byte is a printable character; added and control tokens are written as they are.
#include "text/vocabulary.h"

#include <bit>
#include <functional>
#include <limits>

#include "text/utf8.h"

namespace larder {
namespace {

constexpr std::string_view kEndOfGenerationNames[] = {"<|im_end|>",
                                                      "<|endoftext|>",
                                                      "<|end_of_text|>",
                                                      "<|eot_id|>",
                                                      "<|eom_id|>",
                                                      "<|end|>",
                                                      "<|return|>",
                                                      "<|call|>",
                                                      "<|EOT|>",
                                                      "<EOT>",
                                                      "[EOT]",
                                                      "<end_of_turn>",
                                                      "<｜end▁of▁sentence｜>"};

/// GPT-2's byte alphabet: printable Latin-1 bytes stand for themselves, the others, in order, are
/// the code points from 256 on (bytes_to_unicode in its published encoder).
class ByteAlphabet {
 public:
  ByteAlphabet() {
    byte_of_.fill(-1);
    std::size_t next = 256;
    for (int byte = 0; byte < 256; ++byte) {
      const bool printable =
          (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
      byte_of_[printable ? static_cast<std::size_t>(byte) : next++] = byte;
    }
  }

  /// Appends the bytes that `text` stands for; false if some character is not of the alphabet,
  /// which is then appended as it is.
  bool AppendBytes(std::string_view text, std::string& out) const {
    bool all_known = true;
    for (std::size_t position = 0; position < text.size();) {
      const Utf8Char c = DecodeUtf8(text, position);
      const int byte = c.code_point < byte_of_.size() ? byte_of_[c.code_point] : -1;
      if (byte >= 0) {
        out.push_back(static_cast<char>(byte));
      } else {
        out.append(text, position, c.n_bytes);
        all_known = false;
      }
      position += c.n_bytes;
    }
    return all_known;
  }

 private:
  std::array<int, 256 + 68> byte_of_;  // by code point
};

// A file's text, made fit for a sentence on a terminal.
std::string Shown(std::string_view text) {
  constexpr std::size_t kLongest = 60;
  std::string shown = "\"";
  for (const char c : text.substr(0, kLongest)) {
    const bool printable = c >= 0x20 && c < 0x7f;
    shown +=
        printable ? std::string(1, c) : fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
  }
  return shown + (text.size() > kLongest ? "...\"" : "\"");
}

bool MadeByMerges(TokenType type) {
  return type == TokenType::kNormal || type == TokenType::kUnused || type == TokenType::kByte;
}

std::size_t SlotOf(const Vocabulary& vocabulary, std::string_view text) {
  const std::size_t mask = vocabulary.slots.size() - 1;
  std::size_t slot = std::hash<std::string_view>()(text) & mask;
  while (vocabulary.slots[slot] >= 0 && vocabulary.Bytes(vocabulary.slots[slot]) != text) {
    slot = (slot + 1) & mask;
  }
  return slot;
}

Status LoadTypes(const Metadata& metadata, std::size_t n_vocab, Vocabulary& vocabulary) {
  vocabulary.types.assign(n_vocab, TokenType::kNormal);
  if (!metadata.Has("tokenizer.ggml.token_type")) return Status::Ok();
  LARDER_ASSIGN_OR_RETURN(const auto types, metadata.GetUints("tokenizer.ggml.token_type"));
  if (types.size() != n_vocab) {
    return DataError(
        "tokenizer.ggml.token_type has {} entries for {} tokens; the file is damaged, get it again",
        types.size(), n_vocab);
  }
  for (std::size_t i = 0; i < n_vocab; ++i) {
    if (types[i] > 6) {
      return DataError("token {} has the unknown type {}; the file is damaged, get it again", i,
                       types[i]);
    }
    if (types[i] != 0) vocabulary.types[i] = static_cast<TokenType>(types[i]);
  }
  return Status::Ok();
}

Status LoadTokens(const Metadata& metadata, const ByteAlphabet& alphabet, Vocabulary& vocabulary) {
  const std::vector<std::string>* tokens = metadata.FindStrings("tokenizer.ggml.tokens");
  if (tokens == nullptr || tokens->empty()) {
    return NotFound("the file has no tokenizer.ggml.tokens; use a GGUF file with a vocabulary");
  }
  if (tokens->size() > std::size_t{1} << 30) {
    return DataError("tokenizer.ggml.tokens has {} entries, more than any model", tokens->size());
  }
  LARDER_RETURN_IF_ERROR(LoadTypes(metadata, tokens->size(), vocabulary));
  vocabulary.begin.reserve(tokens->size() + 1);
  vocabulary.begin.push_back(0);
  for (std::size_t i = 0; i < tokens->size(); ++i) {
    if (MadeByMerges(vocabulary.types[i])) {
      alphabet.AppendBytes((*tokens)[i], vocabulary.bytes);
    } else {
      vocabulary.bytes += (*tokens)[i];
    }
    if (vocabulary.bytes.size() > std::numeric_limits<std::uint32_t>::max()) {
      return DataError("the vocabulary's tokens are longer than 4 GiB together");
    }
    vocabulary.begin.push_back(static_cast<std::uint32_t>(vocabulary.bytes.size()));
  }
  vocabulary.bytes.shrink_to_fit();
  return Status::Ok();
}

void IndexTokens(Vocabulary& vocabulary) {
  const std::int32_t n_vocab = vocabulary.n_vocab();
  vocabulary.slots.assign(std::bit_ceil(static_cast<std::size_t>(n_vocab) * 2), -1);
  for (const bool made_by_merges : {true, false}) {
    for (std::int32_t token = 0; token < n_vocab; ++token) {
      const TokenType type = vocabulary.types[static_cast<std::size_t>(token)];
      const std::string_view text = vocabulary.Bytes(token);
      if (MadeByMerges(type) != made_by_merges || text.empty()) continue;
      std::int32_t& slot = vocabulary.slots[SlotOf(vocabulary, text)];
      if (slot < 0) slot = token;
      if (type == TokenType::kUserDefined) vocabulary.user_defined.Add(text, token);
      if (!made_by_merges) vocabulary.user_and_special.Add(text, token);
    }
  }
}

std::optional<std::int32_t> FindMade(const Vocabulary& vocabulary, std::string_view text) {
  const std::optional<std::int32_t> token = vocabulary.Find(text);
  if (!token || !MadeByMerges(vocabulary.types[static_cast<std::size_t>(*token)])) {
    return std::nullopt;
  }
  return token;
}

Status LoadMerges(const Metadata& metadata, const ByteAlphabet& alphabet, Vocabulary& vocabulary) {
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    vocabulary.of_byte[static_cast<std::size_t>(byte)] =
        FindMade(vocabulary, std::string_view(&c, 1)).value_or(-1);
  }
  const std::vector<std::string>* merges = metadata.FindStrings("tokenizer.ggml.merges");
  if (merges == nullptr) {
    return NotFound("the file has no tokenizer.ggml.merges; convert the model again with merges");
  }
  vocabulary.merges.Reserve(merges->size());
  std::string pair;
  for (std::size_t rank = 0; rank < merges->size(); ++rank) {
    const std::string& merge = (*merges)[rank];
    const std::size_t space = merge.find(' ', 1);
    if (space == std::string::npos || space + 1 == merge.size()) {
      return DataError("merge {} ({}) is not two tokens; the file is damaged, get it again", rank,
                       Shown(merge));
    }
    pair.clear();
    bool known = alphabet.AppendBytes(std::string_view(merge).substr(0, space), pair);
    const std::size_t n_left = pair.size();
    known &= alphabet.AppendBytes(std::string_view(merge).substr(space + 1), pair);
    const auto left = FindMade(vocabulary, std::string_view(pair).substr(0, n_left));
    const auto right = FindMade(vocabulary, std::string_view(pair).substr(n_left));
    const auto both = FindMade(vocabulary, pair);
    // A merge may name a token that the model overrode by an added one: it never happens in a text.
    if (!known || !left || !right || !both) continue;
    vocabulary.merges.Add(*left, *right, {static_cast<std::uint32_t>(rank), *both});
  }
  if (vocabulary.merges.size() == 0 && !merges->empty()) {
    return DataError("none of the {} merges is of tokens of the vocabulary; get the file again",
                     merges->size());
  }
  return Status::Ok();
}

Result<std::optional<std::int32_t>> LoadId(const Metadata& metadata, const char* name,
                                           std::int32_t n_vocab) {
  const std::string key = fmt::format("tokenizer.ggml.{}_token_id", name);
  if (!metadata.Has(key)) return std::optional<std::int32_t>();
  LARDER_ASSIGN_OR_RETURN(const std::uint64_t id, metadata.GetUint(key));
  if (id >= static_cast<std::uint64_t>(n_vocab)) {
    return DataError("{} is {}, but the vocabulary has {} tokens; get the file again", key, id,
                     n_vocab);
  }
  return std::optional<std::int32_t>(static_cast<std::int32_t>(id));
}

Status LoadSpecial(const Metadata& metadata, Vocabulary& vocabulary) {
  const std::int32_t n_vocab = vocabulary.n_vocab();
  LARDER_ASSIGN_OR_RETURN(vocabulary.bos, LoadId(metadata, "bos", n_vocab));
  LARDER_ASSIGN_OR_RETURN(vocabulary.eos, LoadId(metadata, "eos", n_vocab));
  LARDER_ASSIGN_OR_RETURN(vocabulary.eot, LoadId(metadata, "eot", n_vocab));
  LARDER_ASSIGN_OR_RETURN(vocabulary.eom, LoadId(metadata, "eom", n_vocab));
  LARDER_ASSIGN_OR_RETURN(vocabulary.pad, LoadId(metadata, "padding", n_vocab));
  LARDER_ASSIGN_OR_RETURN(vocabulary.add_bos,
                          metadata.GetBoolOr("tokenizer.ggml.add_bos_token", false));
  LARDER_ASSIGN_OR_RETURN(vocabulary.add_eos,
                          metadata.GetBoolOr("tokenizer.ggml.add_eos_token", false));
  if ((vocabulary.add_bos && !vocabulary.bos) || (vocabulary.add_eos && !vocabulary.eos)) {
    return DataError("the file asks for a begin or end token and names none; get it again");
  }
  vocabulary.ends_generation.assign(static_cast<std::size_t>(n_vocab), false);
  for (const auto& id : {vocabulary.eos, vocabulary.eot, vocabulary.eom}) {
    if (id) vocabulary.ends_generation[static_cast<std::size_t>(*id)] = true;
  }
  for (const std::string_view name : kEndOfGenerationNames) {
    const auto token = vocabulary.Find(name);
    if (!token || MadeByMerges(vocabulary.types[static_cast<std::size_t>(*token)])) continue;
    vocabulary.ends_generation[static_cast<std::size_t>(*token)] = true;
  }
  return Status::Ok();
}

}  // namespace

std::string_view Vocabulary::Bytes(std::int32_t token) const {
  const std::size_t i = static_cast<std::size_t>(token);
  return std::string_view(bytes).substr(begin[i], begin[i + 1] - begin[i]);
}

std::optional<std::int32_t> Vocabulary::Find(std::string_view text) const {
  const std::int32_t token = slots[SlotOf(*this, text)];
  return token >= 0 && !text.empty() ? std::optional(token) : std::nullopt;
}

Result<Vocabulary> LoadVocabulary(const Metadata& metadata) {
  Vocabulary vocabulary;
  LARDER_ASSIGN_OR_RETURN(const std::string model, metadata.GetString("tokenizer.ggml.model"));
  if (model != "gpt2") {
    return Unsupported(
        "the tokenizer model {} is not supported; Larder reads \"gpt2\" (byte-level BPE)",
        Shown(model));
  }
  LARDER_ASSIGN_OR_RETURN(vocabulary.pre_name, metadata.GetString("tokenizer.ggml.pre"));
  const std::optional<PreTokenizer> pre = FindPreTokenizer(vocabulary.pre_name);
  if (!pre) {
    return Unsupported("the pre-tokenizer {} is not supported; Larder knows {}",
                       Shown(vocabulary.pre_name), KnownPreTokenizers());
  }
  vocabulary.pre = *pre;
  const ByteAlphabet alphabet;
  LARDER_RETURN_IF_ERROR(LoadTokens(metadata, alphabet, vocabulary));
  IndexTokens(vocabulary);
  LARDER_RETURN_IF_ERROR(LoadMerges(metadata, alphabet, vocabulary));
  LARDER_RETURN_IF_ERROR(LoadSpecial(metadata, vocabulary));
  return vocabulary;
}

}  // namespace larder
