// Reads the tokenizer.ggml.* keys: what is common to all vocabularies. Tokens' bytes and merges are
// read by the functions of vocabulary_kinds.h.
#include "text/vocabulary.h"

#include <bit>
#include <functional>
#include <limits>

#include "text/vocabulary_kinds.h"

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

Status LoadTokens(const Metadata& metadata, Vocabulary& vocabulary) {
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
    if (vocabulary.kind == VocabularyKind::kByteLevel) {
      AppendByteLevelToken((*tokens)[i], vocabulary.types[i], vocabulary.bytes);
    } else {
      LARDER_RETURN_IF_ERROR(
          AppendScoredToken((*tokens)[i], vocabulary.types[i], vocabulary.bytes));
    }
    if (vocabulary.bytes.size() > std::numeric_limits<std::uint32_t>::max()) {
      return DataError("the vocabulary's tokens are longer than 4 GiB together");
    }
    vocabulary.begin.push_back(static_cast<std::uint32_t>(vocabulary.bytes.size()));
  }
  vocabulary.bytes.shrink_to_fit();
  return Status::Ok();
}

// Of tokens with the same bytes the first stands in the index; those made by merges go before all
// others, and byte tokens of scored vocabularies behind them.
void IndexTokens(Vocabulary& vocabulary) {
  const std::int32_t n_vocab = vocabulary.n_vocab();
  vocabulary.slots.assign(std::bit_ceil(static_cast<std::size_t>(n_vocab) * 2), -1);
  const auto index = [&](auto wanted) {
    for (std::int32_t token = 0; token < n_vocab; ++token) {
      const std::string_view text = vocabulary.Bytes(token);
      if (text.empty() || !wanted(token)) continue;
      std::int32_t& slot = vocabulary.slots[SlotOf(vocabulary, text)];
      if (slot < 0) slot = token;
    }
  };
  const auto type = [&](std::int32_t token) {
    return vocabulary.types[static_cast<std::size_t>(token)];
  };
  const auto made = [&](std::int32_t token) { return vocabulary.MadeByMerges(token); };
  const auto is_byte = [&](std::int32_t token) { return type(token) == TokenType::kByte; };
  index(made);
  index([&](std::int32_t token) { return !made(token) && !is_byte(token); });
  index(is_byte);
  for (std::int32_t token = 0; token < n_vocab; ++token) {
    if (made(token) || is_byte(token)) continue;
    const std::string_view text = vocabulary.Bytes(token);
    if (type(token) == TokenType::kUserDefined) vocabulary.user_defined.Add(text, token);
    vocabulary.user_and_special.Add(text, token);
  }
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
  LARDER_ASSIGN_OR_RETURN(vocabulary.unknown, LoadId(metadata, "unknown", n_vocab));
  // Converters leave the key out where the models' tokenizers always begin with it.
  const bool scored = vocabulary.kind == VocabularyKind::kScored;
  const bool begins = (scored || vocabulary.pre.add_bos) && vocabulary.bos.has_value();
  LARDER_ASSIGN_OR_RETURN(vocabulary.add_bos,
                          metadata.GetBoolOr("tokenizer.ggml.add_bos_token", begins));
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
    if (!token || vocabulary.MadeByMerges(*token)) continue;
    vocabulary.ends_generation[static_cast<std::size_t>(*token)] = true;
  }
  return Status::Ok();
}

}  // namespace

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

std::string_view Vocabulary::Bytes(std::int32_t token) const {
  const std::size_t i = static_cast<std::size_t>(token);
  return std::string_view(bytes).substr(begin[i], begin[i + 1] - begin[i]);
}

std::optional<std::int32_t> Vocabulary::Find(std::string_view text) const {
  const std::int32_t token = slots[SlotOf(*this, text)];
  return token >= 0 && !text.empty() ? std::optional(token) : std::nullopt;
}

std::optional<std::int32_t> Vocabulary::FindMade(std::string_view text) const {
  const std::optional<std::int32_t> token = Find(text);
  return token && MadeByMerges(*token) ? token : std::nullopt;
}

bool Vocabulary::MadeByMerges(std::int32_t token) const {
  const TokenType type = types[static_cast<std::size_t>(token)];
  return type == TokenType::kNormal || type == TokenType::kUnused ||
         (type == TokenType::kByte && kind == VocabularyKind::kByteLevel);
}

Result<Vocabulary> LoadVocabulary(const Metadata& metadata) {
  Vocabulary vocabulary;
  LARDER_ASSIGN_OR_RETURN(const std::string model, metadata.GetString("tokenizer.ggml.model"));
  if (model == "llama") {
    vocabulary.kind = VocabularyKind::kScored;
  } else if (model != "gpt2") {
    return Unsupported(
        "the tokenizer model {} is not supported; Larder reads \"gpt2\" (byte-level BPE) and "
        "\"llama\" (scores, as SentencePiece)",
        Shown(model));
  }
  const bool scored = vocabulary.kind == VocabularyKind::kScored;
  if (scored) {
    LARDER_ASSIGN_OR_RETURN(vocabulary.pre_name,
                            metadata.GetStringOr("tokenizer.ggml.pre", "default"));
  } else {
    LARDER_ASSIGN_OR_RETURN(vocabulary.pre_name, metadata.GetString("tokenizer.ggml.pre"));
    const std::optional<PreTokenizerTraits> pre = FindPreTokenizer(vocabulary.pre_name);
    if (!pre) {
      return Unsupported("the pre-tokenizer {} is not supported; Larder knows {}",
                         Shown(vocabulary.pre_name), KnownPreTokenizers());
    }
    vocabulary.pre = *pre;
  }
  LARDER_RETURN_IF_ERROR(LoadTokens(metadata, vocabulary));
  IndexTokens(vocabulary);
  for (std::int32_t token = 0; token < vocabulary.n_vocab(); ++token) {
    vocabulary.longest_token_bytes =
        std::max(vocabulary.longest_token_bytes, vocabulary.Bytes(token).size());
  }
  LARDER_RETURN_IF_ERROR(scored ? LoadScoredMerges(metadata, vocabulary)
                                : LoadByteLevelMerges(metadata, vocabulary));
  LARDER_RETURN_IF_ERROR(LoadSpecial(metadata, vocabulary));
  return vocabulary;
}

}  // namespace larder
