// Vocabularies from hostile metadata: whatever tokens, types, scores, merges and ids a file has,
// reading it fails with a sentence or gives a tokenizer that encodes and decodes without harm. The
// input is cut into fields at bytes 0xff.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "text/detokenizer.h"
#include "text/tokenizer.h"
#include "text/vocabulary_testing.h"

namespace {

class Fields {
 public:
  explicit Fields(std::string_view data) : left_(data) {}

  std::string Next() {
    const std::size_t end = std::min(left_.find('\xff'), left_.size());
    const std::string field(left_.substr(0, end));
    left_.remove_prefix(std::min(end + 1, left_.size()));
    return field;
  }

  std::uint8_t Byte() {
    if (left_.empty()) return 0;
    const auto byte = static_cast<std::uint8_t>(left_[0]);
    left_.remove_prefix(1);
    return byte;
  }

 private:
  std::string_view left_;
};

larder::Metadata MakeMetadata(Fields& fields, bool scored) {
  constexpr const char* kNames[] = {"gpt-2", "qwen2", "llama-bpe", "deepseek-v3", "none"};
  larder::Metadata metadata;
  metadata.SetString("tokenizer.ggml.model", scored ? "llama" : "gpt2");
  metadata.SetString("tokenizer.ggml.pre", kNames[fields.Byte() % std::size(kNames)]);
  std::vector<std::string> tokens;
  std::vector<std::int64_t> types;
  std::vector<double> scores;
  if (fields.Byte() % 2 == 0) {
    for (int byte = 0; byte < 256; ++byte) {
      tokens.push_back(scored ? larder::ByteToken(byte) : larder::InByteAlphabet(byte));
      types.push_back(scored ? 6 : 1);
      scores.push_back(0);
    }
  }
  for (int n = fields.Byte() % 24; n > 0; --n) {
    types.push_back(fields.Byte() % 8);
    scores.push_back(static_cast<double>(fields.Byte() % 5));
    tokens.push_back(fields.Next());
  }
  if (fields.Byte() % 16 == 0 && !types.empty()) types.pop_back();
  metadata.SetStrings("tokenizer.ggml.tokens", tokens);
  metadata.SetInts("tokenizer.ggml.token_type", types);
  larder::SetFloats(metadata, "tokenizer.ggml.scores", scores);
  std::vector<std::string> merges;
  for (int n = fields.Byte() % 16; n > 0; --n) merges.push_back(fields.Next());
  metadata.SetStrings("tokenizer.ggml.merges", merges);
  for (const char* name : {"bos", "eos", "unknown", "padding"}) {
    const std::uint32_t id = fields.Byte() + 200u;
    if (id % 3 != 0) metadata.SetUint32(std::string("tokenizer.ggml.") + name + "_token_id", id);
  }
  metadata.SetBool("tokenizer.ggml.add_space_prefix", fields.Byte() % 2 == 0);
  metadata.SetBool("tokenizer.ggml.remove_extra_whitespaces", fields.Byte() % 2 == 0);
  return metadata;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Fields fields(std::string_view(reinterpret_cast<const char*>(data), size));
  const bool scored = fields.Byte() % 2 == 0;
  const auto made = larder::Tokenizer::FromMetadata(MakeMetadata(fields, scored));
  if (!made.ok()) {
    if (made.status().message().empty()) std::abort();
    return 0;
  }
  const larder::Tokenizer& tokenizer = **made;
  for (std::int32_t id = -1; id <= tokenizer.n_vocab(); ++id) {
    tokenizer.TokenBytes(id);
    tokenizer.IsEndOfGeneration(id);
  }
  const std::string text = fields.Next() + fields.Next();
  for (const bool special : {false, true}) {
    const auto ids = tokenizer.Encode(text, {special, special});
    if (!ids.ok()) continue;
    larder::StreamDecoder decoder(tokenizer, true);
    for (const std::int32_t id : *ids) {
      if (id < 0 || id >= tokenizer.n_vocab()) std::abort();
      decoder.Push(id);
    }
    decoder.Flush();
    tokenizer.Decode(*ids, false);
  }
  return 0;
}
