// Calls inside free text: what is held to the schemas, what stays free, and masks with markers that
// are special tokens.
#include "sample/tool_grammar.h"

#include <gtest/gtest.h>

#include <map>

#include "sample/constraint_testing.h"
#include "text/vocabulary_testing.h"

namespace larder {
namespace {

const std::vector<ToolDefinition>& Tools() {
  static const std::vector<ToolDefinition> tools = {
      MakeTool(
          "get_weather", "",
          R"({"type":"object","properties":{"city":{"type":"string","maxLength":10},"days":)"
          R"({"type":"integer","minimum":1,"maximum":7},"unit":{"enum":["c","f"]}},"required":["city"]})"),
      MakeTool("get", "", R"({"properties":{"keys":{"type":"array","items":{"type":"string"}}}})"),
      MakeTool("now", "", "{}"),
  };
  return tools;
}

Grammar Compiled(CallFormat format, CallChoice choice = CallChoice::kFree) {
  Result<Grammar> grammar = CompileToolCalls(format, Tools(), choice);
  EXPECT_TRUE(grammar.ok()) << grammar.status().message();
  return *std::move(grammar);
}

TEST(ToolGrammar, HermesJson) {
  const Grammar grammar = Compiled(CallFormat::kHermesJson);
  const std::string call =
      "<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Rome\", \"days\": 3}}\n"
      "</tool_call>";
  for (const std::string& text :
       {std::string("No call. <tool <tool_cal> \xff"), call,
        "Let me see.\n" + call + "\n" + call + " Done.", "<tool_<" + call, std::string()}) {
    EXPECT_TRUE(GrammarReads(grammar, text)) << text;
  }
  for (const char* text :
       {"<tool_call>", "<tool_call>\n{\"name\": \"nothing\", \"arguments\": {}}\n</tool_call>",
        "<tool_call>{\"name\": \"get_weather\", \"arguments\": {}}</tool_call>",
        "<tool_call>{\"name\": \"get_weather\", \"arguments\": {\"city\": \"R\", \"days\": 8}}"
        "</tool_call>",
        "<tool_call>{\"name\": \"now\", \"arguments\": []}</tool_call>",
        "<tool_call>{\"name\": \"now\", \"arguments\": {}}", "<tool_call> Hello"}) {
    EXPECT_FALSE(GrammarReads(grammar, text)) << text;
  }
  EXPECT_TRUE(GrammarReads(
      grammar, "<tool_call>{\"name\": \"now\", \"arguments\": {\"any\": [1]}}</tool_call>"));
}

TEST(ToolGrammar, QwenXml) {
  const Grammar grammar = Compiled(CallFormat::kQwenXml);
  const std::string open = "<tool_call>\n<function=get_weather>\n";
  const std::string close = "</function>\n</tool_call>";
  const auto parameter = [](const std::string& name, const std::string& value) {
    return "<parameter=" + name + ">\n" + value + "\n</parameter>\n";
  };
  for (const std::string& inside :
       {parameter("city", "Rome"), parameter("city", "") + parameter("days", "7"),
        parameter("city", "</param\né") + parameter("days", "1") + parameter("unit", "c")}) {
    EXPECT_TRUE(GrammarReads(grammar, "Hm. " + open + inside + close + " x")) << inside;
  }
  for (const std::string& inside :
       {std::string(), parameter("days", "3"), parameter("city", "a long name!"),
        parameter("city", "x") + parameter("days", "8"),
        parameter("city", "x") + parameter("unit", "\"c\""),
        parameter("city", "x") + parameter("other", "1"),
        parameter("days", "3") + parameter("city", "x")}) {
    EXPECT_FALSE(GrammarReads(grammar, open + inside + close)) << inside;
  }
  EXPECT_TRUE(GrammarReads(grammar,
                           "<tool_call>\n<function=get>\n" + parameter("keys", "[\"a\"]") + close));
  EXPECT_TRUE(GrammarReads(grammar, "<tool_call>\n<function=now>\n" + close));
  EXPECT_TRUE(GrammarReads(grammar, "<tool_call>\n<function=now>\n" + parameter("zone", "CET") +
                                        parameter("days", "[1]") + close));
}

// Reads a call in Qwen's XML of a tool with this schema: its parameters, as names and values.
bool XmlReads(const std::string& schema,
              const std::vector<std::pair<std::string, std::string>>& parameters) {
  const auto grammar =
      CompileToolCalls(CallFormat::kQwenXml, {MakeTool("f", "", schema)}, CallChoice::kRequired);
  EXPECT_TRUE(grammar.ok()) << grammar.status().message() << schema;
  std::string text = "<tool_call>\n<function=f>\n";
  for (const auto& [name, value] : parameters) {
    text += "<parameter=" + name + ">\n" + value + "\n</parameter>\n";
  }
  return grammar.ok() && GrammarReads(*grammar, text + "</function>\n</tool_call>");
}

TEST(ToolGrammar, QwenXmlWithOtherNames) {
  for (const char* open :
       {"{}", R"({"type":"object"})", R"({"type":"object","properties":{}})",
        R"({"type":"object","additionalProperties":true})",
        R"({"additionalProperties":{"type":"string"}})",
        R"({"type":"object","patternProperties":{"^c":{}},"additionalProperties":false})"}) {
    EXPECT_TRUE(XmlReads(open, {})) << open;
    EXPECT_TRUE(XmlReads(open, {{"city", "Rome"}, {"Länge-2", "a\nb"}})) << open;
    EXPECT_FALSE(XmlReads(open, {{"", "Rome"}})) << open;
    EXPECT_FALSE(XmlReads(open, {{"a>b", "Rome"}})) << open;
    EXPECT_FALSE(XmlReads(open, {{"a\nb", "Rome"}})) << open;
  }
  EXPECT_FALSE(XmlReads(R"({"additionalProperties":false})", {{"city", "Rome"}}));
  EXPECT_TRUE(XmlReads(R"({"additionalProperties":{"type":"integer"}})", {{"a", "1"}, {"b", "2"}}));
  EXPECT_FALSE(XmlReads(R"({"additionalProperties":{"type":"integer"}})", {{"a", "one"}}));
  // Declared ones first, each once.
  const std::string both =
      R"({"properties":{"day":{"type":"integer"},"days":{"type":"integer"}},"required":["day"],)"
      R"("additionalProperties":true})";
  EXPECT_TRUE(XmlReads(both, {{"day", "1"}, {"da", "x"}, {"dayss", "x"}, {"d\xc3\xa9", "x"}}));
  EXPECT_FALSE(XmlReads(both, {{"day", "1"}, {"day", "2"}}));
  EXPECT_FALSE(XmlReads(both, {{"day", "1"}, {"z", "x"}, {"days", "x"}}));
  EXPECT_FALSE(XmlReads(both, {{"z", "x"}}));
  // Names that a reader of the call takes: in UTF-8, of bounded length.
  EXPECT_FALSE(XmlReads("{}", {{"a\xff", "x"}}));
  EXPECT_TRUE(XmlReads("{}", {{std::string(61, 'a'), "x"}}));
  EXPECT_FALSE(XmlReads("{}", {{std::string(62, 'a'), "x"}}));
  // A name that XML cannot have is left out, or the schema not held.
  EXPECT_TRUE(XmlReads(R"({"properties":{"a>b":{},"":{},"c":{}}})", {{"c", "x"}}));
  EXPECT_FALSE(XmlReads(R"({"properties":{"a>b":{},"":{},"c":{}}})", {{"a>b", "x"}}));
  const auto unheld = CompileToolCalls(
      CallFormat::kQwenXml, {MakeTool("f", "", R"({"required":["a>b"]})")}, CallChoice::kFree);
  EXPECT_EQ(unheld.status().code(), StatusCode::kUnsupported);
  // Required without being declared.
  EXPECT_TRUE(XmlReads(R"({"required":["city"]})", {{"city", "Rome"}}));
  EXPECT_FALSE(XmlReads(R"({"required":["city"]})", {}));
  EXPECT_FALSE(XmlReads(R"({"required":["city"]})", {{"city", "Rome"}, {"days", "3"}}));
}

// Words that cannot be held are passed over; what stands beside them is held.
TEST(ToolGrammar, UnheldWordsArePassedOver) {
  const auto tool = [](const std::string& schema, const std::string& words = "") {
    return R"({"type":"object","properties":{"city":)" + schema +
           R"(,"days":{"type":"integer"}},"required":["city"])" + words + "}";
  };
  const std::string text = R"({"type":"string")";
  for (const auto& [schema, value] : std::vector<std::pair<std::string, std::string>>{
           {tool(text + R"(,"format":"uri"})"), "Rome"},
           {tool(text + R"(,"format":"date-time","minLength":4})"), "Rome"},
           {tool(text + R"(,"pattern":"^(?!x).*$"})"), "Rome"},
           {tool(text + R"(,"maxLength":2000})"), "Rome"},
           {tool(text + R"(,"not":{"const":"x"}})"), "Rome"},
           {tool(R"({"anyOf":[{"type":"string","format":"uri"},{"type":"null"}]})"), "Rome"},
           {tool(R"({"type":"integer","format":"int32"})"), "7"},
           {tool(R"({"type":"integer","multipleOf":5})"), "7"},
           {tool(R"({"type":"integer","nullable":true})"), "null"},
           {tool(R"({"enum":[{"s":1}],"patternProperties":{"s":{}},"additionalProperties":false})"),
            "{\"s\": 1}"},
           {tool(R"({"type":"array","items":{"type":"string"},"uniqueItems":true})"), "[\"a\"]"},
           {tool(R"({"type":"array","contains":{"type":"string"}})"), "[\"a\"]"},
           {tool(R"({"type":"object","propertyNames":{"pattern":"a"}})"), "{\"a\": 1}"},
           {tool(R"({"type":"object","minProperties":1})"), "{\"a\": 1}"},
           {tool(R"({"type":"object","patternProperties":{"a":{}},"additionalProperties":false})"),
            "{\"a\": 1}"},
           {tool(text + "}", R"(,"anyOf":[{"required":["city"]}])"), "Rome"}}) {
    EXPECT_TRUE(XmlReads(schema, {{"city", value}})) << schema;
    EXPECT_TRUE(XmlReads(schema, {{"city", value}, {"days", "3"}})) << schema;
    EXPECT_FALSE(XmlReads(schema, {})) << schema;
    EXPECT_FALSE(XmlReads(schema, {{"days", "3"}})) << schema;
    const auto json =
        CompileToolCalls(CallFormat::kDeepseek, {MakeTool("f", "", schema)}, CallChoice::kRequired);
    ASSERT_TRUE(json.ok()) << json.status().message();
    const std::string spelled = value == "Rome" ? "\"Rome\"" : value;
    const std::string begin = "<｜tool▁call▁begin｜>f<｜tool▁sep｜>";
    EXPECT_TRUE(GrammarReads(*json, begin + "{\"city\": " + spelled + "}<｜tool▁call▁end｜>"));
    EXPECT_FALSE(GrammarReads(*json, begin + "{}<｜tool▁call▁end｜>"));
  }
  EXPECT_FALSE(XmlReads(tool(R"({"type":"integer","format":"int32"})"), {{"city", "Rome"}}));
  EXPECT_FALSE(XmlReads(tool(text + R"(,"format":"uri","maxLength":3})"), {{"city", "Rome"}}));
  // Parameters that the root combines have any names.
  const std::string combined =
      R"({"type":"object","oneOf":[{"properties":{"a":{"type":"string"}}},{"properties":{"b":{}}}]})";
  EXPECT_TRUE(XmlReads(combined, {{"b", "x"}}));
}

TEST(ToolGrammar, BothOfDeepseeksWays) {
  const Grammar grammar = Compiled(CallFormat::kDeepseek);
  const std::string open = "<｜tool▁call▁begin｜>", separator = "<｜tool▁sep｜>";
  const std::string close = "<｜tool▁call▁end｜>";
  const auto newer = [&](const std::string& name, const std::string& arguments) {
    return open + name + separator + arguments + close;
  };
  const auto older = [&](const std::string& name, const std::string& arguments) {
    return open + "function" + separator + name + "\n```json\n" + arguments + "\n```" + close;
  };
  for (const auto& text : {newer("now", "{}"), older("now", "{\"a\": 1}"),
                           "Hm. " + older("get_weather", "{\"city\": \"Rome\"}") + " x"}) {
    EXPECT_TRUE(GrammarReads(grammar, text)) << text;
  }
  for (const auto& text : {newer("function", "{}"), older("nothing", "{}"),
                           older("get_weather", "{}"), open + "now\n```json\n{}\n```" + close}) {
    EXPECT_FALSE(GrammarReads(grammar, text)) << text;
  }
}

TEST(ToolGrammar, Harmony) {
  const Grammar grammar = Compiled(CallFormat::kHarmony);
  const std::string arguments = "<|message|>{\"city\": \"Rome\", \"days\": 3}";
  for (const std::string& text :
       {std::string(), std::string("No header."),
        std::string("<|channel|>final<|message|>It is to=functions.nothing <|return|>"),
        "<|channel|>commentary to=functions.get_weather <|constrain|>json" + arguments + "<|call|>",
        " to=functions.get_weather<|channel|>commentary json" + arguments,
        "<|channel|>commentary to=functions.get_weather" + arguments + "<|end|>",
        "<|channel|>commentary<|message|>Look.<|end|><|start|>assistant<|channel|>commentary "
        "to=functions.get_weather json" +
            arguments + "<|call|>",
        std::string("<|channel|>commentary to=functions.now<|message|>{\"any\": []}<|call|>"),
        std::string("<|channel|>commentary to=browser.open<|message|>x")}) {
    EXPECT_TRUE(GrammarReads(grammar, text)) << text;
  }
  for (const std::string& text :
       {std::string("<|channel|>commentary to=functions.nothing<|message|>{}<|call|>"),
        std::string("<|channel|>commentary to=functions.get_weather<|message|>{}<|call|>"),
        std::string("<|channel|>commentary to=functions.nowadays<|message|>{}<|call|>"),
        std::string("<|channel|>commentary to=functions.now code<|message|>{}<|call|>"),
        std::string("<|channel|>commentary to=functions.now<|message|>{}, {}<|call|>"),
        "<|channel|>final<|message|>x<|end|><|start|>assistant to=functions.get" + arguments}) {
    EXPECT_FALSE(GrammarReads(grammar, text)) << text;
  }
  const Grammar required = Compiled(CallFormat::kHarmony, CallChoice::kRequired);
  EXPECT_TRUE(
      GrammarReads(required, "<|channel|>commentary to=functions.now<|message|>{}<|call|>"));
  EXPECT_FALSE(GrammarReads(required, ""));
  EXPECT_FALSE(GrammarReads(required, "<|channel|>final<|message|>x"));
}

// Some of harmony's markers are end tokens: behind <|end|> the answer goes on.
TEST(ToolGrammar, HarmonysTokens) {
  const auto tokenizer =
      Tokenizer::FromMetadata(SmallVocabulary("gpt-4o", {}, {},
                                              {"<|start|>", "<|end|>", "<|message|>", "<|channel|>",
                                               "<|constrain|>", "<|call|>", "<|return|>"}));
  ASSERT_TRUE(tokenizer.ok());
  const auto trie = TokenTrie::Make(**tokenizer);
  ASSERT_TRUE(trie.ok());
  TokenConstraint constraint(std::make_shared<const Grammar>(Compiled(CallFormat::kHarmony)),
                             *trie);
  const auto allowed = [&](const char* name) {
    const std::int32_t token = *(*tokenizer)->FindToken(name);
    return (constraint.Mask()[static_cast<std::size_t>(token) / 64] >> (token % 64) & 1) != 0;
  };
  const auto say = [&](const char* text) {
    const std::vector<std::int32_t> tokens = *(*tokenizer)->Encode(text, {.parse_special = true});
    for (const std::int32_t token : tokens) {
      ASSERT_TRUE(constraint.Accept(token).ok()) << text;
    }
  };
  say("<|channel|>commentary<|message|>Look.<|end|>");
  EXPECT_FALSE(constraint.over());
  say("<|start|>assistant<|channel|>commentary to=functions.");
  EXPECT_FALSE(allowed("x") || allowed("<|message|>") || allowed("<|end|>"));
  say("now ");
  EXPECT_TRUE(allowed("<|constrain|>") && allowed("<|message|>"));
  EXPECT_FALSE(allowed("<|channel|>") || allowed("<|call|>"));
  say("<|constrain|>json<|message|>{\"a\": ");
  EXPECT_FALSE(allowed("<|call|>") || allowed("<|end|>") || allowed("<|start|>"));
  say("1}");
  EXPECT_TRUE(allowed("<|call|>") && allowed("<|end|>"));
  EXPECT_FALSE(allowed("x") || allowed("<|start|>"));
  say("<|end|>");
  EXPECT_TRUE(allowed("<|start|>") && allowed("x"));
}

TEST(ToolGrammar, ARequiredCallComesFirst) {
  const Grammar grammar = Compiled(CallFormat::kDeepseek, CallChoice::kRequired);
  const std::string call =
      "<｜tool▁call▁begin｜>get_weather<｜tool▁sep｜>{\"city\":\"Rome\"}<｜tool▁call▁end｜>";
  EXPECT_TRUE(GrammarReads(grammar, call));
  EXPECT_TRUE(GrammarReads(grammar, call + "\n" + call + call));
  EXPECT_TRUE(
      GrammarReads(grammar, "<｜tool▁calls▁begin｜>" + call + call + "<｜tool▁calls▁end｜>"));
  EXPECT_FALSE(GrammarReads(grammar, ""));
  EXPECT_FALSE(GrammarReads(grammar, "text" + call));
  EXPECT_FALSE(GrammarReads(grammar, call + "text"));
}

// An answer that is no call satisfies the schema.
TEST(ToolGrammar, CallsOrAJsonText) {
  const std::string schema = R"({"type": "object", "properties": {"n": {"type": "integer"}}})";
  const std::string json = R"({"n": 3})";
  const std::map<CallFormat, std::string> calls = {
      {CallFormat::kHermesJson, "<tool_call>{\"name\": \"now\", \"arguments\": {}}</tool_call>"},
      {CallFormat::kQwenXml, "<tool_call>\n<function=now>\n</function>\n</tool_call>"},
      {CallFormat::kDeepseek, "<｜tool▁call▁begin｜>now<｜tool▁sep｜>{}<｜tool▁call▁end｜>"},
      {CallFormat::kHarmony, "<|channel|>commentary to=functions.now<|message|>{}<|call|>"}};
  for (const auto& [format, call] : calls) {
    const bool harmony = format == CallFormat::kHarmony;
    const std::string text = harmony ? "<|channel|>final<|message|>" + json : json;
    const std::string next = harmony ? "<|start|>assistant" : "\n";
    Result<Grammar> grammar = CompileToolCalls(format, Tools(), CallChoice::kFree, schema);
    ASSERT_TRUE(grammar.ok()) << grammar.status().message();
    for (const std::string& right : {text, call, call + next + call}) {
      EXPECT_TRUE(GrammarReads(*grammar, right)) << right;
    }
    for (const std::string& wrong : {std::string(), "Hm. " + call, call + text, text + call,
                                     std::string("{\"n\": \"x\"}"), call + " Done."}) {
      EXPECT_FALSE(GrammarReads(*grammar, wrong)) << wrong;
    }
    // A model that ends the line before it stops is not made to call again.
    EXPECT_EQ(GrammarReads(*grammar, call + "\n"), !harmony);
    grammar = CompileToolCalls(format, Tools(), CallChoice::kRequired, schema);
    ASSERT_TRUE(grammar.ok());
    EXPECT_TRUE(GrammarReads(*grammar, call));
    EXPECT_FALSE(GrammarReads(*grammar, text));
  }
  EXPECT_FALSE(CompileToolCalls(CallFormat::kKimi, Tools(), CallChoice::kFree, schema).ok());
  EXPECT_FALSE(CanHoldCalls(CallFormat::kKimi));
}

// Markers that are special tokens, as in Qwen's vocabularies, come where their text may.
TEST(ToolGrammar, SpecialTokensCountAsTheirText) {
  const auto tokenizer = Tokenizer::FromMetadata(
      SmallVocabulary("qwen2", {"Ġ \"", "\" :", "\": Ġ", "< t"}, {"<tool_call>", "</tool_call>"},
                      {"<|im_end|>", "<|other|>"}));
  ASSERT_TRUE(tokenizer.ok());
  const auto trie = TokenTrie::Make(**tokenizer);
  ASSERT_TRUE(trie.ok());
  const auto grammar = std::make_shared<const Grammar>(Compiled(CallFormat::kHermesJson));
  TokenConstraint constraint(grammar, *trie);
  const std::int32_t open = *(*tokenizer)->FindToken("<tool_call>");
  const std::int32_t close = *(*tokenizer)->FindToken("</tool_call>");
  const std::int32_t other = *(*tokenizer)->FindToken("<|other|>");
  const std::int32_t end = *(*tokenizer)->FindToken("<|im_end|>");
  const auto allowed = [&](std::int32_t token) {
    const std::span<const std::uint64_t> mask = constraint.Mask();
    return (mask[static_cast<std::size_t>(token) / 64] >> (token % 64) & 1) != 0;
  };
  const auto feed = [&](const std::string& text) {
    for (const char c : text) {
      ASSERT_TRUE(constraint.Accept(*(*tokenizer)->FindToken(std::string(1, c))).ok()) << c;
    }
  };
  EXPECT_TRUE(allowed(open) && allowed(other) && allowed(end) && allowed(close));
  ASSERT_TRUE(constraint.Accept(open).ok());
  EXPECT_FALSE(allowed(open) || allowed(other) || allowed(end) || allowed(close));
  feed("{\"name\": \"now\", \"arguments\": {\"a\": \"");
  EXPECT_FALSE(allowed(close) || allowed(end));
  feed("x\"}}");
  EXPECT_TRUE(allowed(close));
  EXPECT_FALSE(allowed(end) || allowed(other));
  ASSERT_TRUE(constraint.Accept(close).ok());
  EXPECT_TRUE(allowed(end) && allowed(open) && allowed(other));
}

TEST(ToolGrammar, RefusesByName) {
  const auto refused = [](const char* parameters, CallFormat format) {
    return CompileToolCalls(format, {ToolDefinition{"f", "", parameters, ""}}, CallChoice::kFree)
        .status()
        .message();
  };
  for (const CallFormat format : {CallFormat::kHermesJson, CallFormat::kQwenXml}) {
    EXPECT_NE(refused(R"({"type":"object","properties":{"a":{"type":"date"}}})", format)
                  .find("tool f: the schema's \"type\" at "),
              std::string::npos);
  }
  EXPECT_NE(refused("{", CallFormat::kQwenXml).find("no valid JSON"), std::string::npos);
  EXPECT_FALSE(CompileToolCalls(CallFormat::kQwenXml, {}, CallChoice::kFree).ok());
}

}  // namespace
}  // namespace larder
