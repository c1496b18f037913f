// Messages and tools: what JSON becomes them, what is refused and how it is named, and back.
#include "text/message.h"

#include <gtest/gtest.h>

#include "text/message_json.h"

namespace larder {
namespace {

OrderedJson Parsed(std::string_view text) {
  Result<OrderedJson> json = ParseJson(text, "the test");
  EXPECT_TRUE(json.ok()) << json.status().message();
  return json.ok() ? *json : OrderedJson();
}

std::string Refusal(std::string_view text) {
  const Result<Message> message = MessageFromJson(Parsed(text));
  EXPECT_FALSE(message.ok()) << text;
  return message.status().message();
}

// However many members an object has, the tree is the one that nlohmann's own parser builds.
TEST(ParseJson, BuildsTheTreeOfNlohmannsParser) {
  std::string many = "{";
  for (int i = 0; i < 1000; ++i) {
    many += fmt::format(R"("k{}":{{"a":{},"a":[{}]}},)", i % 700, i, i);
  }
  many += R"("last":null})";
  for (const std::string& text :
       {many, std::string(R"({"a":1,"b":-2,"a":[3,{"":"\u00e9"}]})"), std::string("{}"),
        std::string("[]"), std::string("[[],{},[{}],1.5e3]"), std::string("18446744073709551615"),
        std::string(R"("x")"), std::string("true"), std::string("null")}) {
    const OrderedJson wanted = OrderedJson::parse(text);
    const OrderedJson built = Parsed(text);
    EXPECT_EQ(built, wanted) << text.substr(0, 80);
    EXPECT_EQ(JsonText(built), JsonText(wanted)) << text.substr(0, 80);
  }
}

TEST(ParseJson, SaysWhereItBreaks) {
  const auto refusal = [](std::string_view text) {
    return ParseJson(text, "it").status().message();
  };
  EXPECT_EQ(refusal(""), "it is no valid JSON (at byte 1 of 0)");
  EXPECT_EQ(refusal("[1,]"), "it is no valid JSON (at byte 4 of 4)");
  EXPECT_EQ(refusal("{}{}"), "it is no valid JSON (at byte 3 of 4)");
  EXPECT_EQ(refusal("\"\xff\""), "it is no valid JSON (at byte 2 of 3)");
  EXPECT_EQ(refusal("[1e999]"), "it has a number that is too large");
}

TEST(Message, ReadsWhatApisWrite) {
  const OrderedJson json = Parsed(R"([
    {"role":"developer","content":"Be kind."},
    {"role":"user","content":[{"type":"text","text":"What "},{"type":"text","text":"now?"}]},
    {"role":"assistant","content":null,"reasoning_content":"Hm.","tool_calls":[
      {"id":"c1","type":"function","function":{"name":"look","arguments":"{\"z\": 1, \"a\": 2}"}},
      {"id":"c2","type":"function","function":{"name":"wait","arguments":{"s":1.5}}}]},
    {"role":"tool","tool_call_id":"c1","name":"look","content":"dark"}])");
  const auto messages = MessagesFromJson(json);
  ASSERT_TRUE(messages.ok()) << messages.status().message();
  ASSERT_EQ(messages->size(), 4u);
  EXPECT_EQ((*messages)[0].role, Role::kSystem);
  EXPECT_EQ(MessageText((*messages)[1]), "What now?");
  EXPECT_EQ((*messages)[1].parts.size(), 2u);
  const Message& call = (*messages)[2];
  EXPECT_FALSE(call.text.has_value());
  EXPECT_EQ(call.reasoning, "Hm.");
  ASSERT_EQ(call.tool_calls.size(), 2u);
  EXPECT_EQ(call.tool_calls[0].arguments_json, R"({"z": 1, "a": 2})");
  EXPECT_EQ(call.tool_calls[1].arguments_json, R"({"s":1.5})");
  EXPECT_EQ((*messages)[3].tool_call_id, "c1");
}

TEST(Message, RoundTripsAndKeepsTheOrderOfKeys) {
  const char* text =
      R"({"role":"assistant","content":"x","reasoning_content":"r","tool_calls":[{"id":"1",)"
      R"("type":"function","function":{"name":"f","arguments":"{\"z\":1,\"a\":[]}"}}]})";
  const auto message = MessageFromJson(Parsed(text));
  ASSERT_TRUE(message.ok());
  EXPECT_EQ(JsonText(MessageToJson(*message, true)), text);
  const OrderedJson for_template = MessageToJson(*message, false);
  EXPECT_EQ(JsonText(for_template["tool_calls"][0]["function"]["arguments"]), R"({"z":1,"a":[]})");
  const char* image = R"({"role":"user","content":[{"type":"image_url","image_url":{"url":"x"}}]})";
  EXPECT_EQ(JsonText(MessageToJson(*MessageFromJson(Parsed(image)), true)), image);
}

// As agents send the history of an answer that ended inside a call.
TEST(Message, ArgumentsThatAreNoObjectStayText) {
  for (const char* arguments : {R"({\"path\": \"a)", "3", "no"}) {
    const OrderedJson json =
        Parsed(R"({"role":"assistant","content":null,"tool_calls":[{"type":"function",)"
               R"("function":{"name":"f","arguments":")" +
               std::string(arguments) + "\"}}]}");
    const auto message = MessageFromJson(json);
    ASSERT_TRUE(message.ok()) << message.status().message();
    EXPECT_EQ(MessageToJson(*message, true), json);
    EXPECT_EQ(MessageToJson(*message, false), json);
    OrderedJson list = OrderedJson::array({json, {{"role", "user"}}});
    const OrderedJson text = json["tool_calls"][0]["function"]["arguments"];
    EXPECT_TRUE(WrapTextArguments(&list));
    EXPECT_EQ(list[0]["tool_calls"][0]["function"]["arguments"],
              (OrderedJson{{"arguments", text}}));
    EXPECT_FALSE(WrapTextArguments(&list));
  }
}

TEST(Message, RefusalsNameTheField) {
  EXPECT_EQ(Refusal("3"), "a message must be an object");
  EXPECT_EQ(Refusal("{}"), "a message needs a 'role'");
  EXPECT_EQ(Refusal(R"({"role":"bot"})"),
            "a message's role is 'system', 'user', 'assistant' or 'tool', not 'bot'");
  EXPECT_EQ(Refusal(R"({"role":"user","content":3})"),
            "a message's 'content' must be a text, null or a list of parts");
  EXPECT_EQ(Refusal(R"({"role":"user","content":[{"type":"text"}]})"),
            "a part of type 'text' needs a 'text'");
  EXPECT_EQ(Refusal(R"({"role":"assistant","tool_calls":[{"function":{}}]})"),
            "a tool call needs a 'name'");
  EXPECT_EQ(
      Refusal(R"({"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":3}}]})"),
      "a tool call's 'arguments' must be an object or its text");
  const auto second = MessagesFromJson(Parsed(R"([{"role":"user","content":""},{"role":"x"}])"));
  EXPECT_EQ(second.status().message().substr(0, 10), "message 2:");
}

TEST(Message, DeepAndHugeJsonIsRefusedNotFatal) {
  EXPECT_EQ(ParseJson(std::string(1000000, '['), "it").status().message(),
            "it nests deeper than 200 levels");
  std::string deepest;
  for (int i = 0; i < kMaxJsonDepth; ++i) deepest += "{\"a\":";
  deepest += "1" + std::string(kMaxJsonDepth, '}');
  EXPECT_TRUE(ParseJson(deepest, "it").ok());
  EXPECT_TRUE(ParseJson(R"(["[[[\"[[", "]]"])", "it").ok());
  EXPECT_FALSE(ParseJson("1e999999", "it").ok());
  EXPECT_FALSE(ParseJson("\"\xff\"", "it").ok());
  EXPECT_EQ(JsonText(OrderedJson("a\xff")), "\"a\xef\xbf\xbd\"");
}

TEST(Tool, KeepsTheDefinitionAsWritten) {
  const char* text = R"({"type":"function","function":{"name":"f","strict":true,"description":"d",)"
                     R"("parameters":{"type":"object","properties":{"b":{},"a":{}}}}})";
  const auto tool = ToolFromJson(Parsed(text));
  ASSERT_TRUE(tool.ok());
  EXPECT_EQ(tool->definition_json, text);
  EXPECT_EQ(tool->parameters_json, R"({"type":"object","properties":{"b":{},"a":{}}})");
  const auto bare = ToolFromJson(Parsed(R"({"name":"g"})"));
  ASSERT_TRUE(bare.ok());
  EXPECT_EQ(bare->parameters_json, "{}");
  EXPECT_EQ(bare->definition_json, R"({"type":"function","function":{"name":"g"}})");
  EXPECT_EQ(MakeTool("f", "d", R"({"type":"object"})").definition_json,
            R"({"type":"function","function":{"name":"f","description":"d",)"
            R"("parameters":{"type":"object"}}})");
  EXPECT_FALSE(ToolFromJson(Parsed(R"({"name":"g","parameters":3})")).ok());
  EXPECT_FALSE(ToolFromJson(Parsed(R"({"function":3})")).ok());
}

}  // namespace
}  // namespace larder
