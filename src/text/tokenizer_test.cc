// The tokenizer on small vocabularies made here; tests/tokenizer_golden_test.cc has those of
// models.
#include "text/tokenizer.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "text/detokenizer.h"
#include "text/vocabulary_testing.h"

namespace larder {
namespace {

using Ids = std::vector<std::int32_t>;

std::unique_ptr<Tokenizer> Make(const Metadata& metadata) {
  auto tokenizer = Tokenizer::FromMetadata(metadata);
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  return tokenizer.ok() ? std::move(*tokenizer) : nullptr;
}

Ids Encode(const Tokenizer& tokenizer, std::string_view text, EncodeOptions options = {}) {
  auto ids = tokenizer.Encode(text, options);
  EXPECT_TRUE(ids.ok()) << ids.status().message();
  return ids.ok() ? *ids : Ids();
}

std::string RandomBytes(SplitMix64& random, std::size_t n) {
  std::string bytes;
  for (std::size_t i = 0; i < n; ++i) bytes.push_back(static_cast<char>(random.NextBelow(256)));
  return bytes;
}

TEST(Tokenizer, MergesByRankThenFromTheLeft) {
  const auto tokenizer = Make(SmallVocabulary("gpt-2", {"b c", "a b", "a a", "aa a", "Ġ a"}));
  EXPECT_EQ(Encode(*tokenizer, "abc"), (Ids{'a', 256}));
  EXPECT_EQ(Encode(*tokenizer, "aaaaa"), (Ids{258, 259}));
  EXPECT_EQ(Encode(*tokenizer, "b ab"), (Ids{'b', ' ', 257}));
  EXPECT_EQ(Encode(*tokenizer, ""), Ids());
}

TEST(Tokenizer, LongWordsMergeAsShortOnesDo) {
  // Pairs whose merges bring lower ranks than their own: "d e" (rank 0) needs "c d"-made
  // neighbours.
  const std::vector<std::string> merges = {"ab c", "a b", "c a",  "b b",     "bb c", "ca ca",
                                           "c c",  "a a", "aa b", "abc abc", "cc a"};
  const auto tokenizer = Make(SmallVocabulary("gpt-2", merges));
  SplitMix64 random(7);
  for (int round = 0; round < 200; ++round) {
    std::string word;
    for (std::size_t n = 49 + random.NextBelow(60); n > 0; --n) {
      word.push_back("abc"[random.NextBelow(3)]);
    }
    // The definition itself, on texts: merge the lowest-ranked pair, the leftmost first.
    std::vector<std::string> symbols;
    for (const char c : word) symbols.emplace_back(1, c);
    while (true) {
      std::size_t best_rank = merges.size(), best = 0;
      for (std::size_t i = 0; i + 1 < symbols.size(); ++i) {
        for (std::size_t rank = 0; rank < best_rank; ++rank) {
          if (merges[rank] == symbols[i] + " " + symbols[i + 1]) best_rank = rank, best = i;
        }
      }
      if (best_rank == merges.size()) break;
      symbols[best] += symbols[best + 1];
      symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(best) + 1);
    }
    std::vector<std::string> got;
    for (const std::int32_t id : Encode(*tokenizer, word))
      got.emplace_back(tokenizer->TokenBytes(id));
    ASSERT_EQ(got, symbols) << word;
  }
}

TEST(Tokenizer, AnyBytesComeBack) {
  SplitMix64 random(1);
  for (const char* pre : {"gpt-2", "qwen2", "qwen35", "deepseek-llm"}) {
    const auto tokenizer = Make(SmallVocabulary(pre, {"Ã ©", "a b", "Ġ a"}, {"ab"}, {"<|x|>"}));
    std::string all;
    for (int byte = 0; byte < 256; ++byte) all.push_back(static_cast<char>(byte));
    EXPECT_EQ(tokenizer->Decode(Encode(*tokenizer, all), true), all);
    for (int round = 0; round < 300; ++round) {
      const std::string text = RandomBytes(random, random.NextBelow(200));
      const Ids ids = Encode(*tokenizer, text);
      ASSERT_EQ(tokenizer->Decode(ids, true), text);
      StreamDecoder decoder(*tokenizer, true);
      std::string streamed;
      for (const std::int32_t id : ids) streamed += decoder.Push(id);
      ASSERT_EQ(streamed + decoder.Flush(), text);
    }
  }
}

TEST(Tokenizer, AddedTokensMatchLeftmostLongest) {
  const auto tokenizer =
      Make(SmallVocabulary("qwen2", {"a b"}, {"<t", "<tool>", "ab<"}, {"<|end|>", "<|end|><|"}));
  EXPECT_EQ(Encode(*tokenizer, "x<tool>"), (Ids{'x', 258}));
  EXPECT_EQ(Encode(*tokenizer, "x<too"), (Ids{'x', 257, 'o', 'o'}));
  EXPECT_EQ(Encode(*tokenizer, "ab<tool>"), (Ids{259, 't', 'o', 'o', 'l', '>'}));
  EXPECT_EQ(Encode(*tokenizer, "<|end|>").size(), 7u);
  EXPECT_EQ(Encode(*tokenizer, "ab<|end|>ab", {false, true}),
            (Ids{259, '|', 'e', 'n', 'd', '|', '>', 256}));
  EXPECT_EQ(Encode(*tokenizer, "a<|end|><|end|>", {false, true}),
            (Ids{'a', 261, 'e', 'n', 'd', '|', '>'}));
}

TEST(Tokenizer, SpecialTokens) {
  Metadata metadata = SmallVocabulary("qwen35", {}, {"<u>"}, {"<s>", "<|im_end|>", "<|pad|>"});
  metadata.SetUint32("tokenizer.ggml.bos_token_id", 257);
  metadata.SetUint32("tokenizer.ggml.eos_token_id", 257);
  metadata.SetUint32("tokenizer.ggml.padding_token_id", 259);
  metadata.SetBool("tokenizer.ggml.add_bos_token", true);
  metadata.SetBool("tokenizer.ggml.add_eos_token", true);
  const auto tokenizer = Make(metadata);
  EXPECT_EQ(Encode(*tokenizer, "a", {true, false}), (Ids{257, 'a', 257}));
  EXPECT_EQ(Encode(*tokenizer, "a"), (Ids{'a'}));
  EXPECT_EQ(tokenizer->Decode(Ids{257, 'a', 256, 258, 99999, -1}, false), "a<u>");
  EXPECT_EQ(tokenizer->Decode(Ids{257, 'a', 256, 258}, true), "<s>a<u><|im_end|>");
  EXPECT_EQ(tokenizer->n_vocab(), 260);
  EXPECT_EQ(tokenizer->bos(), 257);
  EXPECT_EQ(tokenizer->pad(), 259);
  EXPECT_EQ(tokenizer->eot(), std::nullopt);
  EXPECT_TRUE(tokenizer->IsEndOfGeneration(257));
  EXPECT_TRUE(tokenizer->IsEndOfGeneration(258));
  EXPECT_FALSE(tokenizer->IsEndOfGeneration(259));
  EXPECT_FALSE(tokenizer->IsEndOfGeneration(-1));
  EXPECT_EQ(tokenizer->FindToken("<|im_end|>"), 258);
  EXPECT_EQ(tokenizer->FindToken(" "), ' ');
  EXPECT_EQ(tokenizer->FindToken("nowhere"), std::nullopt);
  EXPECT_EQ(tokenizer->TokenBytes(260), "");
  EXPECT_TRUE(tokenizer->IsControl(257));
  EXPECT_FALSE(tokenizer->IsControl(256));
}

void ExpectRefused(const Metadata& metadata, StatusCode code, const std::string& part) {
  const auto tokenizer = Tokenizer::FromMetadata(metadata);
  ASSERT_FALSE(tokenizer.ok());
  EXPECT_EQ(tokenizer.status().code(), code);
  EXPECT_NE(tokenizer.status().message().find(part), std::string::npos)
      << tokenizer.status().message();
}

TEST(Tokenizer, RefusesWhatItDoesNotKnow) {
  ExpectRefused(SmallVocabulary("default", {}), StatusCode::kUnsupported, "\"default\"");
  Metadata metadata = SmallVocabulary("gpt-2", {});
  metadata.SetString("tokenizer.ggml.model", "llama");
  ExpectRefused(metadata, StatusCode::kUnsupported, "\"llama\"");
  ExpectRefused(SmallVocabulary("\x1b[2J" + std::string(5000, 'x'), {}), StatusCode::kUnsupported,
                "\"\\x1b[2Jxxx");
  for (const char* key : {"model", "pre", "tokens", "merges"}) {
    metadata = SmallVocabulary("gpt-2", {});
    metadata.Erase(std::string("tokenizer.ggml.") + key);
    ExpectRefused(metadata, StatusCode::kNotFound, key);
  }
}

TEST(Tokenizer, RefusesContradictions) {
  Metadata metadata = SmallVocabulary("gpt-2", {"a b"});
  metadata.SetInts("tokenizer.ggml.token_type", {1, 1});
  ExpectRefused(metadata, StatusCode::kDataError, "2 entries for 257");
  metadata = SmallVocabulary("gpt-2", {"a b"});
  metadata.SetUint32("tokenizer.ggml.eos_token_id", 257);
  ExpectRefused(metadata, StatusCode::kDataError, "257");
  metadata = SmallVocabulary("gpt-2", {"a b"});
  metadata.SetStrings("tokenizer.ggml.merges", {"ab"});
  ExpectRefused(metadata, StatusCode::kDataError, "not two tokens");
  metadata.SetStrings("tokenizer.ggml.merges", {"x y", ""});
  ExpectRefused(metadata, StatusCode::kDataError, "not two tokens");
  metadata.SetStrings("tokenizer.ggml.merges", {"x y"});
  ExpectRefused(metadata, StatusCode::kDataError, "none of the 1 merges");
  metadata = SmallVocabulary("gpt-2", {});
  metadata.SetBool("tokenizer.ggml.add_bos_token", true);
  ExpectRefused(metadata, StatusCode::kDataError, "begin or end");
}

TEST(Tokenizer, SaysWhichByteHasNoToken) {
  Metadata metadata = SmallVocabulary("gpt-2", {});
  std::vector<std::string> tokens = *metadata.FindStrings("tokenizer.ggml.tokens");
  tokens[0xff] = "other";
  metadata.SetStrings("tokenizer.ggml.tokens", tokens);
  const auto ids = Make(metadata)->Encode("a\xff");
  ASSERT_FALSE(ids.ok());
  EXPECT_NE(ids.status().message().find("0xff"), std::string::npos);
}

TEST(Tokenizer, RepeatedWordsInLongTexts) {
  const auto tokenizer = Make(SmallVocabulary("gpt-2", {"a b", "Ġ ab", "Ġab c"}));
  std::string text;
  Ids expected;
  for (int i = 0; i < 3000; ++i) {
    text += i % 3 == 0 ? " abc" : " abd";
    const Ids word = i % 3 == 0 ? Ids{258} : Ids{257, 'd'};
    expected.insert(expected.end(), word.begin(), word.end());
  }
  EXPECT_EQ(Encode(*tokenizer, text), expected);
}

TEST(StreamDecoder, HoldsBackHalfCharacters) {
  const auto tokenizer = Make(SmallVocabulary("gpt-2", {}, {}, {"<|end|>"}));
  StreamDecoder decoder(*tokenizer);
  EXPECT_EQ(decoder.Push(0xf0), "");
  EXPECT_EQ(decoder.Push(0x9f), "");
  EXPECT_EQ(decoder.Push(0x98), "");
  EXPECT_EQ(decoder.Push(256), "");
  EXPECT_EQ(decoder.Push(0x80), "\xf0\x9f\x98\x80");
  EXPECT_EQ(decoder.Push(0xc3), "");
  EXPECT_EQ(decoder.Push('a'),
            "\xc3"
            "a");
  EXPECT_EQ(decoder.Push(0xff), "\xff");
  EXPECT_EQ(decoder.Push(0x80), "\x80");
  EXPECT_EQ(decoder.Push(0xe2), "");
  EXPECT_EQ(decoder.Flush(), "\xe2");
  EXPECT_EQ(decoder.Flush(), "");
}

}  // namespace
}  // namespace larder
