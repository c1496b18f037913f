// The tokenizer on small vocabularies made here; tests/tokenizer_golden_test.cc has those of
// models.
#include "text/tokenizer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/random.h"
#include "text/detokenizer.h"
#include "text/normalize.h"
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
  for (const char* pre : {"gpt-2", "gpt-4o", "deepseek-v3", "kimi-k2", "llama-bpe"}) {
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
  metadata.SetString("tokenizer.ggml.model", "t5");
  ExpectRefused(metadata, StatusCode::kUnsupported, "\"t5\"");
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

TEST(Tokenizer, RefusesWrongScores) {
  Metadata metadata = SmallScoredVocabulary({{"a", 1}});
  SetFloats(metadata, "tokenizer.ggml.scores", {1, 2});
  ExpectRefused(metadata, StatusCode::kDataError, "2 entries for 258");
  SetFloats(metadata, "tokenizer.ggml.scores", std::vector<double>(258, std::nan("")));
  ExpectRefused(metadata, StatusCode::kDataError, "not a number");
  metadata.Erase("tokenizer.ggml.scores");
  ExpectRefused(metadata, StatusCode::kNotFound, "scores");
  metadata = SmallScoredVocabulary({{"a", 1}});
  std::vector<std::string> tokens = *metadata.FindStrings("tokenizer.ggml.tokens");
  tokens[5] = "<0x0g>";
  metadata.SetStrings("tokenizer.ggml.tokens", tokens);
  ExpectRefused(metadata, StatusCode::kDataError, "no byte token");
  ExpectRefused(SmallScoredVocabulary({{std::string(2000, 'a'), 1}}), StatusCode::kDataError,
                "2000 bytes");
}

TEST(Tokenizer, ScoredMerges) {
  const auto tokenizer = Make(SmallScoredVocabulary(
      {{"▁", -10}, {"a", -9}, {"b", -9}, {"ab", -2}, {"▁a", -1}, {"ba", -3}}, {"<t>"}, {"<s>"}));
  const std::int32_t space = 257, a = 258, b = 259, ab = 260, space_a = 261, t = 263;
  EXPECT_EQ(Encode(*tokenizer, "ab"), (Ids{space_a, b}));
  EXPECT_EQ(Encode(*tokenizer, "bab"), (Ids{space, b, ab}));
  EXPECT_EQ(Encode(*tokenizer, "a▁ab"), (Ids{space_a, space_a, b}));
  EXPECT_EQ(Encode(*tokenizer, "é"), (Ids{space, 1 + 0xc3, 1 + 0xa9}));
  EXPECT_EQ(Encode(*tokenizer, "b<t>a"), (Ids{space, b, t, space_a}));
  EXPECT_EQ(Encode(*tokenizer, ""), Ids());
  EXPECT_EQ(tokenizer->Decode(Ids{space_a, b, space, a}, true), "ab a");
  EXPECT_EQ(tokenizer->Decode(Ids{space, space_a, 1 + 0xc3, 1 + 0xa9}, true), " aé");
}

// The definition on texts: of all neighbours that make a piece the highest score, the leftmost of
// equals. Small alphabets and few different scores make many ties.
TEST(Tokenizer, ScoredMergesEqualTheirDefinition) {
  SplitMix64 random(12);
  for (int round = 0; round < 60; ++round) {
    std::vector<std::pair<std::string, double>> pieces = {{"a", 0}, {"b", 0}, {"▁", 0}};
    for (int n = 0; n < 25; ++n) {
      std::string piece;
      for (std::uint64_t m = 2 + random.NextBelow(4); m > 0; --m) {
        piece += std::vector<std::string>{"a", "b", "▁"}[random.NextBelow(round % 2 == 0 ? 2 : 3)];
      }
      const auto same = [&](const auto& other) { return other.first == piece; };
      if (std::none_of(pieces.begin(), pieces.end(), same)) {
        pieces.emplace_back(piece, static_cast<double>(random.NextBelow(6)));
      }
    }
    Metadata metadata = SmallScoredVocabulary(pieces);
    metadata.SetBool("tokenizer.ggml.add_space_prefix", false);
    const auto tokenizer = Make(metadata);
    std::string text;
    std::vector<std::string> symbols;
    for (std::uint64_t n = random.NextBelow(round % 3 == 0 ? 20 : 150); n > 0; --n) {
      symbols.push_back(std::vector<std::string>{"a", "b", "▁"}[random.NextBelow(3)]);
      text += symbols.back();
    }
    while (true) {
      double best_score = -1;
      std::size_t best = 0;
      for (std::size_t i = 0; i + 1 < symbols.size(); ++i) {
        for (const auto& [piece, score] : pieces) {
          if (piece == symbols[i] + symbols[i + 1] && score > best_score) {
            best_score = score;
            best = i;
          }
        }
      }
      if (best_score < 0) break;
      symbols[best] += symbols[best + 1];
      symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(best) + 1);
    }
    Ids expected;
    for (const std::string& symbol : symbols) {
      for (std::size_t i = 0; i < pieces.size(); ++i) {
        if (pieces[i].first == symbol) expected.push_back(257 + static_cast<std::int32_t>(i));
      }
    }
    ASSERT_EQ(Encode(*tokenizer, text), expected) << text;
  }
}

TEST(Tokenizer, UnknownCharactersWithoutByteTokens) {
  Metadata metadata = SmallScoredVocabulary({{"a", 1}});
  metadata.SetBool("tokenizer.ggml.add_space_prefix", false);
  std::vector<std::int64_t> types(258, 5);
  types[0] = 2;
  types[257] = 1;
  metadata.SetInts("tokenizer.ggml.token_type", types);
  EXPECT_EQ(Encode(*Make(metadata), "a\xe6\xbc\xa2\xe5\xad\x97z a"), (Ids{257, 0, 257}));
  metadata.Erase("tokenizer.ggml.unknown_token_id");
  EXPECT_FALSE(Make(metadata)->Encode("z").ok());
}

TEST(Tokenizer, EndsAtTheMostTokensAsked) {
  const auto tokenizer = Make(SmallVocabulary("gpt-2", {"a a", "aa aa"}, {"<x>"}));
  for (const std::string text : {"aaaaaaaa", "b b b b", "<x>b<x>b", "bb", "1 2 <x> 3"}) {
    const Ids all = Encode(*tokenizer, text);
    EXPECT_EQ(Encode(*tokenizer, text, {.max_tokens = all.size()}), all) << text;
    const auto cut = tokenizer->Encode(text, {.max_tokens = all.size() - 1});
    ASSERT_FALSE(cut.ok()) << text;
    EXPECT_EQ(cut.status().code(), StatusCode::kInvalidArgument);
  }
  // Neighbours that are unknown share a token, whatever their length.
  Metadata metadata = SmallScoredVocabulary({{"a", 1}});
  metadata.SetBool("tokenizer.ggml.add_space_prefix", false);
  std::vector<std::int64_t> types(258, 5);
  types[0] = 2;
  types[257] = 1;
  metadata.SetInts("tokenizer.ggml.token_type", types);
  EXPECT_EQ(Encode(*Make(metadata), std::string(100000, 'z'), {.max_tokens = 1}), (Ids{0}));
}

TEST(Tokenizer, CanBeCancelled) {
  const auto tokenizer = Make(SmallVocabulary("gpt-2", {"a a"}));
  const std::atomic<bool> cancelled{true};
  const auto tokens = tokenizer->Encode(std::string(1000, 'a'), {.cancelled = &cancelled});
  ASSERT_FALSE(tokens.ok());
  EXPECT_EQ(tokens.status().code(), StatusCode::kCancelled);
}

TEST(Tokenizer, BeginsWhereTheModelsTokenizersDo) {
  Metadata metadata = SmallVocabulary("llama-bpe", {}, {}, {"<s>"});
  EXPECT_FALSE(Make(metadata)->add_bos());
  metadata.SetUint32("tokenizer.ggml.bos_token_id", 256);
  EXPECT_TRUE(Make(metadata)->add_bos());
  metadata.SetBool("tokenizer.ggml.add_bos_token", false);
  EXPECT_FALSE(Make(metadata)->add_bos());
}

TEST(Tokenizer, WholeWordsGoFirst) {
  // "abc" is a token that no merge makes.
  Metadata metadata = SmallVocabulary("llama-bpe", {"a b", "ab c"});
  metadata.SetStrings("tokenizer.ggml.merges", {"b c", "a b"});
  std::vector<std::string> tokens = *metadata.FindStrings("tokenizer.ggml.tokens");
  metadata.SetStrings("tokenizer.ggml.tokens", tokens);
  EXPECT_EQ(Encode(*Make(metadata), "abc"), (Ids{257}));
  EXPECT_EQ(Encode(*Make(metadata), "abcd"), (Ids{256, 'c', 'd'}));
  metadata.SetString("tokenizer.ggml.pre", "qwen2");
  EXPECT_EQ(Encode(*Make(metadata), "abc"), (Ids{256, 'c'}));
}

TEST(Tokenizer, NormalizesWhereTheModelAsksForIt) {
  const std::string decomposed = "e\xcc\x81";
  const auto qwen = Make(SmallVocabulary("qwen2", {"Ã ©"}));
  EXPECT_EQ(Encode(*qwen, decomposed), (Ids{256}));
  EXPECT_EQ(Encode(*Make(SmallVocabulary("gpt-2", {"Ã ©"})), decomposed), (Ids{'e', 0xcc, 0x81}));
}

TEST(Normalize, BringsTextToFormC) {
  EXPECT_EQ(NormalizeNfc(""), "");
  EXPECT_EQ(NormalizeNfc("plain"), "plain");
  EXPECT_EQ(NormalizeNfc("e\xcc\x81"), "é");
  EXPECT_EQ(NormalizeNfc("é\xcc\xa3"), "\xe1\xba\xb9\xcc\x81");           // reordered
  EXPECT_EQ(NormalizeNfc("\xe1\x84\x80\xe1\x85\xa1\xe1\x86\xa8"), "각");  // Hangul
  EXPECT_EQ(NormalizeNfc("\xe2\x84\xab"), "Å");                           // a singleton
  EXPECT_EQ(NormalizeNfc("e\xff\xcc\x81"), "e\xff\xcc\x81");  // nothing joins across a bad byte
  EXPECT_TRUE(IsSurelyNfc("é 漢字 각"));
  EXPECT_FALSE(IsSurelyNfc("e\xcc\x81"));
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
