// Schemas against the verdicts that tools/schemas/make_golden.py stored from the jsonschema
// package: what a grammar reads is valid, what it must read it reads, and what it refuses it names.
// Then random walks through the masks, judged by JsonMatches, which the same verdicts judge.
#include "sample/json_schema.h"

#include <gtest/gtest.h>

#include <fstream>

#include "sample/constraint_testing.h"
#include "sample/json_match.h"
#include "text/vocabulary_testing.h"

namespace larder {
namespace {

struct Case {
  JsonValue line;
  const JsonValue& schema() const { return *line.Find("schema"); }
  const JsonValue* texts() const { return line.Find("texts"); }
  const JsonValue* reads() const { return line.Find("reads"); }
  bool Valid(std::size_t i) const { return line.Find("valid")->items[i].boolean; }
};

std::vector<Case> Cases() {
  std::vector<Case> cases;
  std::ifstream file(LARDER_SOURCE_DIR "/tests/golden/json_schemas.jsonl");
  std::string line;
  while (std::getline(file, line)) {
    Result<JsonValue> value = ParseJsonValue(line, "the line");
    EXPECT_TRUE(value.ok()) << value.status().message();
    cases.push_back({*std::move(value)});
  }
  return cases;
}

Result<Grammar> Compile(const JsonValue& schema) {
  JsonGrammar json;
  LARDER_ASSIGN_OR_RETURN(const RuleId rule, AddJsonSchema(&json, schema, schema));
  std::optional<Grammar> grammar = json.builder().Finish(rule);
  if (!grammar) return InvalidArgument("no JSON text satisfies the schema");
  return *std::move(grammar);
}

// In a moment, where each property does not look at all others.
TEST(JsonSchema, ManyPropertiesAreCompiled) {
  constexpr int kProperties = 10000;
  std::string properties;
  std::string names;
  std::string text;
  for (int i = 0; i < kProperties; ++i) {
    const std::string comma = i > 0 ? "," : "";
    properties += comma + fmt::format(R"("p{}":{{"type":"integer"}})", i);
    names += comma + fmt::format(R"("p{}")", i);
    text += comma + fmt::format(R"("p{}":{})", i, i);
  }
  const Result<Grammar> grammar =
      CompileJsonSchema(R"({"type":"object","additionalProperties":false,"properties":{)" +
                        properties + R"(},"required":[)" + names + "]}");
  ASSERT_TRUE(grammar.ok()) << grammar.status().message();
  EXPECT_TRUE(GrammarReads(*grammar, "{" + text + "}"));
  EXPECT_FALSE(GrammarReads(*grammar, "{" + text + ",\"p\":1}"));
}

TEST(JsonSchema, ManyChoicesAreCompiled) {
  std::string choices;
  for (int i = 0; i < 70000; ++i) choices += fmt::format(R"({}"v{:06}")", i > 0 ? "," : "", i);
  const Result<Grammar> grammar = CompileJsonSchema(R"({"enum":[)" + choices + "]}");
  ASSERT_TRUE(grammar.ok()) << grammar.status().message();
  EXPECT_TRUE(GrammarReads(*grammar, R"("v069999")"));
  EXPECT_FALSE(GrammarReads(*grammar, R"("v070000")"));
}

TEST(JsonSchema, ReadsWhatIsValidOnly) {
  int n_texts = 0;
  for (const Case& one : Cases()) {
    if (one.texts() == nullptr) continue;
    const Result<Grammar> grammar = Compile(one.schema());
    for (std::size_t i = 0; i < one.texts()->items.size(); ++i) {
      const std::string& text = one.texts()->items[i].text;
      const bool reads = grammar.ok() && GrammarReads(*grammar, text);
      ++n_texts;
      EXPECT_TRUE(!reads || one.Valid(i)) << one.line.text << text;
      if (one.reads() != nullptr) {
        EXPECT_EQ(reads, one.reads()->items[i].boolean) << text;
      }
      const Result<JsonValue> value = ParseJsonValue(text, "the text");
      if (!value.ok()) continue;
      EXPECT_EQ(JsonMatches(*value, one.schema(), one.schema()), one.Valid(i)) << text;
    }
    if (one.reads() != nullptr) {
      EXPECT_TRUE(grammar.ok()) << grammar.status().message();
    }
  }
  EXPECT_GT(n_texts, 900);
}

TEST(JsonSchema, NamesWhatItRefuses) {
  int n_refused = 0;
  for (const Case& one : Cases()) {
    const JsonValue* refused = one.line.Find("refused");
    if (refused == nullptr) continue;
    const Result<Grammar> grammar = Compile(one.schema());
    ++n_refused;
    ASSERT_FALSE(grammar.ok()) << refused->text;
    EXPECT_NE(grammar.status().message().find(refused->text), std::string::npos)
        << grammar.status().message();
  }
  EXPECT_GT(n_refused, 50);
}

TEST(JsonSchema, RandomWalksValidate) {
  const auto tokenizer = Tokenizer::FromMetadata(SmallVocabulary(
      "gpt-2", {"\" ,", "\" :", "Ġ \"", "\":Ġ \"", "} ,", "{ \"", "[ [", "] ]",  "t r",   "tr u",
                "1 2",  "1 ,",  "a b",  "Ġ Ġ",     "Ċ Ġ", "\\ n", "Ã ©", "x \"", "x\" ,", "\" }"},
      {}, {"<|im_end|>"}));
  ASSERT_TRUE(tokenizer.ok());
  const auto trie = TokenTrie::Make(**tokenizer);
  ASSERT_TRUE(trie.ok());
  std::uint64_t seed = 1;
  int n_texts = 0;
  for (const Case& one : Cases()) {
    if (one.texts() == nullptr) continue;
    Result<Grammar> grammar = Compile(one.schema());
    if (!grammar.ok()) continue;
    TokenConstraint constraint(std::make_shared<Grammar>(*std::move(grammar)), *trie);
    RandomWalk walk(**tokenizer, seed++);
    walk.hurry_after = 30;
    for (int i = 0; i < 4; ++i) {
      const std::string text = walk.Text(constraint);
      const Result<JsonValue> value = ParseJsonValue(text, "the text");
      ++n_texts;
      // Free names may repeat, which JSON allows and ParseJsonValue does not.
      if (!value.ok() && value.status().message().find("twice") != std::string::npos) continue;
      ASSERT_TRUE(value.ok()) << value.status().message() << text;
      EXPECT_TRUE(JsonMatches(*value, one.schema(), one.schema())) << text;
    }
  }
  EXPECT_GT(n_texts, 400);
}

TEST(JsonSchema, HostileSchemasEndInOneSentence) {
  std::string deep = "{}";
  for (int i = 0; i < 200; ++i) deep = R"({"items":)" + deep + "}";
  EXPECT_FALSE(CompileJsonSchema(deep).ok());
  EXPECT_FALSE(CompileJsonSchema(std::string(kMaxSchemaBytes + 1, ' ')).ok());
  std::string wide = R"({"allOf":[)";
  for (int i = 0; i < 12; ++i)
    wide += R"({"anyOf":[{"minimum":1},{"maximum":0},{"type":"null"}]},)";
  EXPECT_NE(CompileJsonSchema(wide + "{}]}").status().message().find("alternatives"),
            std::string::npos);
  std::string chain = R"({"$ref":"#/$defs/0","$defs":{)";
  for (int i = 0; i < 5000; ++i) {
    chain += fmt::format(R"("{}":{{"$ref":"#/$defs/{}"}},)", i, i + 1);
  }
  EXPECT_NE(CompileJsonSchema(chain + R"("5000":{}}})").status().message().find("200"),
            std::string::npos);
  std::string nested = R"({"items":{}})";
  const std::string items = R"({"type":"array","minItems":900,"items":)";
  for (int i = 0; i < 10; ++i) nested = items + nested + "}";
  EXPECT_TRUE(CompileJsonSchema(nested).ok());
  std::string doubling = R"({"$ref":"#/$defs/0","$defs":{)";
  for (int i = 0; i < 60; ++i) {
    doubling += fmt::format(
        R"("{0}":{{"allOf":[{{"$ref":"#/$defs/{1}"}},{{"$ref":"#/$defs/{1}"}}]}},)", i, i + 1);
  }
  EXPECT_NE(
      CompileJsonSchema(doubling + R"("60":{"type":"null"}}})").status().message().find("large"),
      std::string::npos);
}

TEST(Decimal, MovesThePoint) {
  const auto text = [](const char* json) { return ToText(DecimalOf(*ParseJsonValue(json, "x"))); };
  EXPECT_EQ(text("0"), "0");
  EXPECT_EQ(text("-0.0"), "0");
  EXPECT_EQ(text("1.50"), "1.5");
  EXPECT_EQ(text("-12e-3"), "-0.012");
  EXPECT_EQ(text("1e3"), "1000");
  EXPECT_EQ(text("123456789012345678901234567890"), "123456789012345678901234567890");
  EXPECT_EQ(text("18446744073709551615"), "18446744073709551615");
  EXPECT_EQ(text("0.30000000000000001"), "0.3");
}

}  // namespace
}  // namespace larder
