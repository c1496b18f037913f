// Any bytes, with every pre-tokenizer: encoding succeeds, decoding gives the same bytes back, at
// once and streamed, with control tokens matched and not. The vocabularies are made once.
#include <array>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include "text/detokenizer.h"
#include "text/tokenizer.h"
#include "text/vocabulary_testing.h"

namespace {

using larder::EncodeOptions;
using larder::Tokenizer;

std::unique_ptr<Tokenizer> Make(const char* pre) {
  auto tokenizer = Tokenizer::FromMetadata(larder::SmallVocabulary(
      pre, {"Ġ t", "h e", "Ġt he", "a b", "ab ab", "a a", "aa aa", "Ã ©", "Ċ Ċ", "Ġ Ġ", "ĠĠ Ġ"},
      {"<tool_call>", "<tool", "[x]", "\n\n\n"}, {"<|im_start|>", "<|im_end|>", "<|"}));
  if (!tokenizer.ok()) std::abort();
  return std::move(*tokenizer);
}

void Check(const Tokenizer& tokenizer, std::string_view text, EncodeOptions options) {
  const auto ids = tokenizer.Encode(text, options);
  if (!ids.ok() || tokenizer.Decode(*ids, true) != text) std::abort();
  larder::StreamDecoder decoder(tokenizer, true);
  std::string streamed;
  for (const std::int32_t id : *ids) streamed += decoder.Push(id);
  if (streamed + decoder.Flush() != text) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::array<std::unique_ptr<Tokenizer>, 4> tokenizers = {
      Make("gpt-2"), Make("qwen2"), Make("qwen35"), Make("deepseek-llm")};
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const auto& tokenizer : tokenizers) {
    Check(*tokenizer, text, {false, false});
    Check(*tokenizer, text, {false, true});
  }
  return 0;
}
