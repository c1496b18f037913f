// The tree keeps order and digits, and hostile texts end in one sentence.
#include "text/json_value.h"

#include <gtest/gtest.h>

namespace larder {
namespace {

TEST(JsonValue, KeepsOrderAndDigits) {
  const auto value = ParseJsonValue(R"({"z":[1,1.50,-2e3,null,true],"a":{"é":"\u00e9\n"}})", "it");
  ASSERT_TRUE(value.ok());
  ASSERT_EQ(value->members.size(), 2u);
  EXPECT_EQ(value->members[0].first, "z");
  const JsonValue& list = value->members[0].second;
  ASSERT_EQ(list.items.size(), 5u);
  EXPECT_EQ(list.items[0].text, "1");
  EXPECT_TRUE(list.items[0].integer);
  EXPECT_EQ(list.items[1].text, "1.50");
  EXPECT_FALSE(list.items[1].integer);
  EXPECT_EQ(list.items[2].number, -2000.0);
  EXPECT_TRUE(list.items[4].boolean);
  EXPECT_EQ(value->Find("a")->Find("é")->text, "é\n");
  EXPECT_EQ(value->Find("b"), nullptr);
}

TEST(JsonValue, RefusesInOneSentence) {
  JsonLimits small;
  small.max_depth = 3;
  small.max_values = 5;
  small.max_bytes = 40;
  const std::pair<const char*, const char*> cases[] = {
      {"{\"a\":1,}", "byte 8"},
      {"", "byte"},
      {"{\"a\":1,\"a\":2}", "twice"},
      {"[[[[]]]]", "deeper"},
      {"[1,2,3,4,5]", "5 values"},
      {"\"\xff\"", "byte"},
      {"1e999", "too large"},
      {"                                         1", "40"},
      {"1 2", "byte"}};
  for (const auto& [text, wanted] : cases) {
    const auto value = ParseJsonValue(text, "the file", small);
    ASSERT_FALSE(value.ok()) << text;
    EXPECT_EQ(value.status().message().rfind("the file", 0), 0u);
    EXPECT_NE(value.status().message().find(wanted), std::string::npos) << value.status().message();
  }
}

TEST(JsonValue, QuotesAndCompares) {
  EXPECT_EQ(JsonQuoted("a\"\\\n\x01é"), "\"a\\\"\\\\\\n\\u0001é\"");
  const auto equal = [](const char* a, const char* b) {
    return JsonEqual(*ParseJsonValue(a, "a"), *ParseJsonValue(b, "b"));
  };
  EXPECT_TRUE(equal("1", "1.0"));
  EXPECT_TRUE(equal(R"({"a":1,"b":[2]})", R"({"b":[2],"a":1})"));
  EXPECT_FALSE(equal("[1,2]", "[2,1]"));
  EXPECT_FALSE(equal("0", "false"));
  EXPECT_FALSE(equal("9007199254740993", "9007199254740992"));
}

}  // namespace
}  // namespace larder
