// Masks against the grammar read byte by byte, for every token of small vocabularies; the depth
// limit; vocabularies that cannot spell everything; special tokens.
#include "sample/token_constraint.h"

#include <gtest/gtest.h>

#include "sample/constraint_testing.h"
#include "sample/json_schema.h"
#include "text/vocabulary_testing.h"

namespace larder {
namespace {

std::unique_ptr<Tokenizer> Vocabulary() {
  auto tokenizer = Tokenizer::FromMetadata(SmallVocabulary(
      "gpt-2", {"\" ,",  "\" :", "Ġ \"",  "\": Ġ",  "\":Ġ \"",  "} }", "} ,",  "{ \"", "[ [",
                "[[ [[", "] ]",  "t r",   "tr u",   "tru e",    "n u", "1 2",  "12 3", "1 ,",
                "a b",   "ab c", "Ġ Ġ",   "ĠĠ ĠĠ",  "Ċ Ġ",      "Ċ Ċ", "\\ n", "\\ u", "Ã ©",
                "Ã© a",  "x \"", "x\" ,", "x\", Ġ", "x\",Ġ \"", "\" }"},
      {"<tool_call>"}, {"<|im_end|>", "<|other|>"}));
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  return std::move(*tokenizer);
}

std::shared_ptr<const Grammar> Compiled(std::string_view schema) {
  Result<Grammar> grammar = CompileJsonSchema(schema);
  EXPECT_TRUE(grammar.ok()) << grammar.status().message();
  return std::make_shared<const Grammar>(*std::move(grammar));
}

// What the constraint's mask must be, from the grammar alone.
bool Reads(const Grammar& grammar, const std::string& text) {
  GrammarRun run(grammar);
  Threads now;
  Threads after;
  run.Enter(0, grammar.start, &now);
  for (const char c : text) {
    run.Step(now, static_cast<std::uint8_t>(c), &after);
    std::swap(now, after);
  }
  return !now.cells.empty() || now.ended;
}

void CheckEveryToken(const std::shared_ptr<const Grammar>& grammar, const Tokenizer& tokenizer,
                     const std::shared_ptr<const TokenTrie>& trie, std::uint64_t seed) {
  TokenConstraint constraint(grammar, trie);
  std::string text;
  SplitMix64 random(seed);
  for (int n_made = 0; n_made < 40; ++n_made) {
    const std::vector<std::int32_t> allowed = MaskedTokens(constraint.Mask());
    std::vector<std::int32_t> expected;
    std::vector<std::int32_t> texts;
    for (std::int32_t token = 0; token < tokenizer.n_vocab(); ++token) {
      if (tokenizer.IsEndOfGeneration(token)) {
        if (GrammarReads(*grammar, text)) expected.push_back(token);
      } else if (trie->InTree(token) &&
                 Reads(*grammar, text + std::string(tokenizer.TokenBytes(token)))) {
        expected.push_back(token);
        texts.push_back(token);
      }
    }
    ASSERT_EQ(allowed, expected) << text;
    ASSERT_FALSE(allowed.empty()) << text;
    if (texts.empty()) return;
    const std::int32_t token = texts[random.NextBelow(texts.size())];
    ASSERT_TRUE(constraint.Accept(token).ok());
    text += tokenizer.TokenBytes(token);
  }
}

TEST(TokenConstraint, MasksAreExact) {
  const std::unique_ptr<Tokenizer> tokenizer = Vocabulary();
  const auto trie = TokenTrie::Make(*tokenizer);
  ASSERT_TRUE(trie.ok());
  const char* const schemas[] = {
      "{}",
      R"({"type":"string"})",
      R"({"type":"string","minLength":2,"maxLength":4})",
      R"({"type":"array","items":{"type":"string","maxLength":1},"minItems":1,"maxItems":3})",
      (R"({"type":"object","properties":{"x":{"type":"string"},"ab":{"type":"integer"},"abc":{}},)"
       R"("required":["x"],"additionalProperties":{"type":"number"}})"),
      R"({"enum":["x","xx","abc",12,123,true,null,{"x":[1,"é"]}]})",
      R"({"$defs":{"l":{"type":"array","items":{"$ref":"#/$defs/l"}}},"$ref":"#/$defs/l"})",
      R"({"anyOf":[{"type":"number","minimum":1,"maximum":123},{"type":"string","minLength":1}]})",
  };
  for (const char* schema : schemas) {
    const std::shared_ptr<const Grammar> grammar = Compiled(schema);
    for (std::uint64_t seed = 0; seed < 6; ++seed) {
      CheckEveryToken(grammar, *tokenizer, *trie, seed);
      ASSERT_FALSE(HasFatalFailure()) << schema;
    }
  }
}

// Walks straight down: masks stay exact where tokens that open several brackets no longer fit, and
// the way up is always there.
TEST(TokenConstraint, DepthIsLimitedAndNeverADeadEnd) {
  const std::unique_ptr<Tokenizer> tokenizer = Vocabulary();
  const auto trie = TokenTrie::Make(*tokenizer);
  ASSERT_TRUE(trie.ok());
  for (const char* schema :
       {"{}", R"({"$defs":{"n":{"type":"object","properties":{"a":{"type":"array","items":)"
              R"({"$ref":"#/$defs/n"}}},"required":["a"]}},"$ref":"#/$defs/n"})"}) {
    const std::shared_ptr<const Grammar> grammar = Compiled(schema);
    TokenConstraint constraint(grammar, *trie);
    std::string text;
    for (const std::string_view wanted : {"[[[[", "[[", "[", "{\"", "{", "\"a\"", "\"", "a", ":"}) {
      const auto token = tokenizer->FindToken(wanted);
      if (!token) continue;
      while (constraint.Accept(*token).ok()) text += wanted;
    }
    for (int round = 0; round < 400; ++round) {
      bool moved = false;
      for (const std::string_view wanted : {"[[[[", "[", "{", "\"", "a", ":"}) {
        const auto token = tokenizer->FindToken(wanted);
        if (!token || text.size() > 3000 || !constraint.Accept(*token).ok()) continue;
        text += wanted;
        moved = true;
        break;
      }
      if (!moved) break;
      ASSERT_FALSE(MaskedTokens(constraint.Mask()).empty()) << text;
    }
    EXPECT_LT(std::count(text.begin(), text.end(), '['), 200);
    for (int round = 0; round < 3000 && !constraint.may_end(); ++round) {
      bool moved = false;
      for (const std::string_view wanted : {"}", "]", "\"", ":", "n", "u", "l", "a", "[", "{"}) {
        const auto token = tokenizer->FindToken(wanted);
        if (token && constraint.Accept(*token).ok()) {
          text += wanted;
          moved = true;
          break;
        }
      }
      ASSERT_TRUE(moved) << text;
    }
    EXPECT_TRUE(constraint.may_end()) << text;
    EXPECT_TRUE(GrammarReads(*grammar, text)) << text;
  }
}

TEST(TokenConstraint, RefusesWhatTheMaskForbids) {
  const std::unique_ptr<Tokenizer> tokenizer = Vocabulary();
  const auto trie = TokenTrie::Make(*tokenizer);
  ASSERT_TRUE(trie.ok());
  TokenConstraint constraint(Compiled(R"({"enum":["x"]})"), *trie);
  const std::int32_t end = *tokenizer->FindToken("<|im_end|>");
  for (const std::int32_t token : {-1, tokenizer->n_vocab(), end, *tokenizer->FindToken("x"),
                                   *tokenizer->FindToken("<|other|>")}) {
    EXPECT_EQ(constraint.Accept(token).code(), StatusCode::kInvalidArgument) << token;
  }
  for (const char* bytes : {"\"", "x\""}) {
    EXPECT_FALSE(constraint.may_end());
    ASSERT_TRUE(constraint.Accept(*tokenizer->FindToken(bytes)).ok()) << bytes;
  }
  EXPECT_TRUE(constraint.must_end());
  EXPECT_EQ(MaskedTokens(constraint.Mask()), std::vector<std::int32_t>{end});
  EXPECT_TRUE(constraint.Accept(end).ok());
  constraint.Reset();
  EXPECT_TRUE(constraint.Accept(*tokenizer->FindToken("\"")).ok());
}

TEST(TokenConstraint, StaysSmallOverALongAnswer) {
  const std::unique_ptr<Tokenizer> tokenizer = Vocabulary();
  const auto trie = TokenTrie::Make(*tokenizer);
  ASSERT_TRUE(trie.ok());
  TokenConstraint constraint(Compiled(R"({"type":"array","items":{"type":"array"}})"), *trie);
  ASSERT_TRUE(constraint.Accept(*tokenizer->FindToken("[")).ok());
  for (int i = 0; i < 50000; ++i) {
    for (const char* bytes : {"[", "1", "]", ","}) {
      ASSERT_TRUE(constraint.Accept(*tokenizer->FindToken(bytes)).ok());
    }
  }
  EXPECT_LT(constraint.n_bytes(), std::size_t{10} << 20);
  ASSERT_TRUE(constraint.Accept(*tokenizer->FindToken("[")).ok());
  ASSERT_TRUE(constraint.Accept(*tokenizer->FindToken("]]")).ok());
  EXPECT_TRUE(constraint.must_end());
}

TEST(TokenTrie, RefusesAVocabularyWithoutAByte) {
  Metadata metadata = SmallVocabulary("gpt-2", {});
  std::vector<std::string> tokens = *metadata.FindStrings("tokenizer.ggml.tokens");
  tokens['}'] = "}}";
  metadata.SetStrings("tokenizer.ggml.tokens", tokens);
  const auto tokenizer = Tokenizer::FromMetadata(metadata);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  const auto trie = TokenTrie::Make(**tokenizer);
  ASSERT_FALSE(trie.ok());
  EXPECT_NE(trie.status().message().find("0x7d"), std::string::npos) << trie.status().message();
}

}  // namespace
}  // namespace larder
