// Any bytes, with every pre-tokenizer and with scores: encoding succeeds, decoding gives the same
// bytes back (or their normalization form C), at once and streamed, with control tokens matched and
// not. The vocabularies are made once.
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/detokenizer.h"
#include "text/normalize.h"
#include "text/pretokenizer.h"
#include "text/tokenizer.h"
#include "text/vocabulary_testing.h"

namespace {

using larder::EncodeOptions;
using larder::Tokenizer;

constexpr const char* kPreTokenizers[] = {
    "gpt-2",   "llama-bpe", "qwen2",          "qwen35",       "gpt-4o",     "tekken",
    "kimi-k2", "starcoder", "deepseek-coder", "deepseek-llm", "deepseek-v3"};

std::unique_ptr<Tokenizer> Made(const larder::Metadata& metadata) {
  auto tokenizer = Tokenizer::FromMetadata(metadata);
  if (!tokenizer.ok()) std::abort();
  return std::move(*tokenizer);
}

std::vector<std::unique_ptr<Tokenizer>> MakeByteLevel() {
  std::vector<std::unique_ptr<Tokenizer>> tokenizers;
  for (const char* pre : kPreTokenizers) {
    tokenizers.push_back(Made(larder::SmallVocabulary(
        pre, {"Ġ t", "h e", "Ġt he", "a b", "ab ab", "a a", "aa aa", "Ã ©", "Ċ Ċ", "Ġ Ġ", "ĠĠ Ġ"},
        {"<tool_call>", "<tool", "[x]", "\n\n\n"}, {"<|im_start|>", "<|im_end|>", "<|"})));
  }
  return tokenizers;
}

std::unique_ptr<Tokenizer> MakeScored() {
  return Made(larder::SmallScoredVocabulary({{"▁", -9},
                                             {"a", -8},
                                             {"aa", -1},
                                             {"aaaa", -1},
                                             {"▁a", -2},
                                             {"▁▁", -3},
                                             {"é", -4},
                                             {"b", -4},
                                             {"ab", -4},
                                             {"a▁b", -5},
                                             {"▁b", -6}},
                                            {}, {}));
}

// Parts between added tokens are normalized by themselves: the whole is brought to form C once more
// before it is compared.
std::string InForm(bool nfc, const std::string& text) {
  return nfc ? larder::NormalizeNfc(text) : text;
}

void Check(const Tokenizer& tokenizer, std::string_view text, EncodeOptions options, bool nfc) {
  const auto ids = tokenizer.Encode(text, options);
  if (!ids.ok()) std::abort();
  const std::string decoded = tokenizer.Decode(*ids, true);
  if (InForm(nfc, decoded) != InForm(nfc, std::string(text))) std::abort();
  larder::StreamDecoder decoder(tokenizer, true);
  std::string streamed;
  for (const std::int32_t id : *ids) streamed += decoder.Push(id);
  if (streamed + decoder.Flush() != decoded) std::abort();
}

// The stream keeps the space that stands before the text.
void CheckScored(const Tokenizer& tokenizer, std::string_view text, const std::string& spaced) {
  const auto ids = tokenizer.Encode(text);
  if (!ids.ok() || tokenizer.Decode(*ids, true) != spaced) std::abort();
  larder::StreamDecoder decoder(tokenizer, true);
  std::string streamed;
  for (const std::int32_t id : *ids) streamed += decoder.Push(id);
  if (streamed + decoder.Flush() != (text.empty() ? "" : " " + spaced)) std::abort();
}

std::string WithSpacesForMarks(std::string_view text) {
  constexpr std::string_view kMark = "\xe2\x96\x81";
  std::string out(text);
  for (std::size_t at = out.find(kMark); at != std::string::npos; at = out.find(kMark, at + 1)) {
    out.replace(at, kMark.size(), " ");
  }
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto byte_level = MakeByteLevel();
  static const auto scored = MakeScored();
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::string normalized = larder::NormalizeNfc(text);
  if (larder::NormalizeNfc(normalized) != normalized) std::abort();
  if (larder::IsSurelyNfc(text) && normalized != text) std::abort();
  for (const auto& tokenizer : byte_level) {
    const bool nfc = larder::FindPreTokenizer(tokenizer->pre_name())->nfc;
    for (const bool special : {false, true}) Check(*tokenizer, text, {false, special}, nfc);
  }
  CheckScored(*scored, text, WithSpacesForMarks(text));
  return 0;
}
