// For tests and fuzzers: small vocabularies, byte-level and scored, made in memory.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "format/metadata.h"
#include "text/utf8.h"

namespace larder {

/// One byte in GPT-2's byte alphabet.
inline std::string InByteAlphabet(int byte) {
  const auto printable = [](int b) {
    return (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
  };
  int code_point = byte;
  if (!printable(byte)) {
    code_point = 256;
    for (int b = 0; b < byte; ++b) code_point += printable(b) ? 0 : 1;
  }
  std::string text;
  AppendUtf8(static_cast<std::uint32_t>(code_point), text);
  return text;
}

/// Metadata with the 256 byte tokens (ids 0 to 255 by byte), then one token for each of `merges`
/// ("left right" in the byte alphabet), then `user_defined`, then `control` tokens.
inline Metadata SmallVocabulary(const std::string& pre, const std::vector<std::string>& merges,
                                const std::vector<std::string>& user_defined = {},
                                const std::vector<std::string>& control = {}) {
  std::vector<std::string> tokens;
  for (int byte = 0; byte < 256; ++byte) tokens.push_back(InByteAlphabet(byte));
  for (const std::string& merge : merges) {
    const std::size_t space = merge.find(' ', 1);
    tokens.push_back(merge.substr(0, space) + merge.substr(space + 1));
  }
  std::vector<std::int64_t> types(tokens.size(), 1);
  tokens.insert(tokens.end(), user_defined.begin(), user_defined.end());
  types.resize(tokens.size(), 4);
  tokens.insert(tokens.end(), control.begin(), control.end());
  types.resize(tokens.size(), 3);
  Metadata metadata;
  metadata.SetString("tokenizer.ggml.model", "gpt2");
  metadata.SetString("tokenizer.ggml.pre", pre);
  metadata.SetStrings("tokenizer.ggml.tokens", tokens);
  metadata.SetInts("tokenizer.ggml.token_type", types);
  metadata.SetStrings("tokenizer.ggml.merges", merges);
  return metadata;
}

inline void SetFloats(Metadata& metadata, const std::string& key, std::vector<double> values) {
  MetadataValue value;
  value.type = MetadataType::kArray;
  value.element_type = MetadataType::kFloat32;
  value.array = std::move(values);
  metadata.Set(key, std::move(value));
}

/// SentencePiece's way to write a byte: <0x41>.
inline std::string ByteToken(int byte) {
  constexpr const char* kDigits = "0123456789ABCDEF";
  return std::string("<0x") + kDigits[byte / 16] + kDigits[byte % 16] + ">";
}

/// Scored vocabulary: <unk> (0), the 256 bytes' tokens (1 to 256), then `pieces` with their scores
/// (from 257 on), `user_defined` and `control` tokens.
inline Metadata SmallScoredVocabulary(const std::vector<std::pair<std::string, double>>& pieces,
                                      const std::vector<std::string>& user_defined = {},
                                      const std::vector<std::string>& control = {}) {
  std::vector<std::string> tokens = {"<unk>"};
  std::vector<std::int64_t> types = {2};
  for (int byte = 0; byte < 256; ++byte) tokens.push_back(ByteToken(byte));
  types.resize(tokens.size(), 6);
  std::vector<double> scores(tokens.size(), 0.0);
  for (const auto& [piece, score] : pieces) {
    tokens.push_back(piece);
    scores.push_back(score);
  }
  types.resize(tokens.size(), 1);
  tokens.insert(tokens.end(), user_defined.begin(), user_defined.end());
  types.resize(tokens.size(), 4);
  tokens.insert(tokens.end(), control.begin(), control.end());
  types.resize(tokens.size(), 3);
  scores.resize(tokens.size(), 0.0);
  Metadata metadata;
  metadata.SetString("tokenizer.ggml.model", "llama");
  metadata.SetStrings("tokenizer.ggml.tokens", tokens);
  metadata.SetInts("tokenizer.ggml.token_type", types);
  SetFloats(metadata, "tokenizer.ggml.scores", scores);
  metadata.SetUint32("tokenizer.ggml.unknown_token_id", 0);
  return metadata;
}

}  // namespace larder
