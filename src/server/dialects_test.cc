// Anthropic's messages, OpenAI's responses and Ollama's lines, whole and as streams.
#include <gtest/gtest.h>

#include <map>

#include "server/server_testing.h"

namespace larder {
namespace {

constexpr const char* kCall =
    "<tool_call>\n<function=f>\n<parameter=x>\n5\n</parameter>\n</function>\n</tool_call>";
constexpr const char* kMessages = "/v1/messages";
constexpr const char* kResponses = "/v1/responses";

std::vector<std::string> NamesOf(const std::vector<StreamEvent>& events) {
  std::vector<std::string> names;
  for (const StreamEvent& event : events) {
    EXPECT_EQ(event.json()["type"], event.name);
    if (names.empty() || names.back() != event.name) names.push_back(event.name);
  }
  return names;
}

TEST(Anthropic, AnswersWhole) {
  TestServer server;
  const OrderedJson json = server.PostJson(
      kMessages,
      R"({"model": "m", "max_tokens": 50, "messages": [{"role": "user", "content": "Hi"}]})");
  EXPECT_EQ(json["id"].get<std::string>().rfind("msg_", 0), 0u);
  EXPECT_EQ(json["type"], "message");
  EXPECT_EQ(json["role"], "assistant");
  EXPECT_EQ(json["model"], "m");
  EXPECT_EQ(json["content"], (OrderedJson::array({{{"type", "text"}, {"text", "Hello."}}})));
  EXPECT_EQ(json["stop_reason"], "end_turn");
  EXPECT_TRUE(json["stop_sequence"].is_null());
  EXPECT_EQ(json["usage"]["output_tokens"], 6);
}

// How many tokens a thought that never ends by itself has before it is closed; -1: none is open.
int ThoughtTokens(GenerationRequest request) {
  EXPECT_NE(request.reader, nullptr);
  if (request.reader == nullptr || !request.reader->in_reasoning()) return -1;
  std::vector<OutputDelta> deltas;
  int n_tokens = 0;
  for (; n_tokens < 1000 && request.reader->Forced().empty(); ++n_tokens) {
    request.reader->Push('h', &deltas);
  }
  return n_tokens;
}

// The server's own limit holds where a request sets none; a request's own comes first.
TEST(Anthropic, ThoughtsHaveTheServersLimitUnlessTheRequestHasOne) {
  ModelHostOptions options;
  options.think = {.on = true, .limit_tokens = 7};
  TestServer server(AccessOptions(), true, options);
  const std::string hi = R"("max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}])";
  EXPECT_EQ(server.Post(kMessages, "{" + hi + "}").status, 200);
  EXPECT_EQ(ThoughtTokens(server.generator->TakeLast()), 7);
  server.Post(kMessages, R"({"thinking": {"type": "enabled", "budget_tokens": 100}, )" + hi + "}");
  EXPECT_EQ(ThoughtTokens(server.generator->TakeLast()), 100);
  server.Post(kMessages, R"({"thinking": {"type": "disabled"}, )" + hi + "}");
  EXPECT_EQ(ThoughtTokens(server.generator->TakeLast()), -1) << "the template leaves none open";
}

TEST(Anthropic, StreamsInTheOrderOfTheBook) {
  TestServer server;
  server.generator->answer = "hm\n</think>\n\nWords.\n" + std::string(kCall);
  const ClientResponse response = server.Post(kMessages, R"({"max_tokens": 500, "stream": true,
      "thinking": {"type": "enabled", "budget_tokens": 100},
      "tools": [{"name": "f", "description": "d", "input_schema": {"type": "object", "properties": {"x": {"type": "integer"}}}}],
      "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]})");
  const auto events = EventsOf(response.body);
  EXPECT_EQ(NamesOf(events),
            (std::vector<std::string>{
                "message_start", "ping", "content_block_start", "content_block_delta",
                "content_block_stop", "content_block_start", "content_block_delta",
                "content_block_stop", "content_block_start", "content_block_delta",
                "content_block_stop", "message_delta", "message_stop"}));
  const OrderedJson start = events[0].json()["message"];
  EXPECT_EQ(start["content"], OrderedJson::array());
  EXPECT_TRUE(start["stop_reason"].is_null());
  EXPECT_GT(start["usage"]["input_tokens"], 10);
  std::vector<std::string> blocks;
  std::vector<std::string> contents(3);
  for (const StreamEvent& event : events) {
    const OrderedJson json = event.json();
    if (event.name == "content_block_start") {
      EXPECT_EQ(json["index"], blocks.size());
      blocks.push_back(json["content_block"]["type"].get<std::string>());
      if (blocks.back() == "tool_use") {
        EXPECT_EQ(json["content_block"]["input"], OrderedJson::object());
        EXPECT_EQ(json["content_block"]["name"], "f");
      }
    }
    if (event.name != "content_block_delta") continue;
    EXPECT_EQ(json["index"], blocks.size() - 1);
    const OrderedJson& delta = json["delta"];
    for (const char* key : {"thinking", "text", "partial_json"}) {
      if (delta.contains(key)) contents[blocks.size() - 1] += delta[key].get<std::string>();
    }
  }
  EXPECT_EQ(blocks, (std::vector<std::string>{"thinking", "text", "tool_use"}));
  EXPECT_EQ(contents[0], "hm");
  EXPECT_EQ(contents[1], "Words.");
  EXPECT_EQ(*ParseJson(contents[2], "it"), (OrderedJson{{"x", 5}}));
  const OrderedJson end = events[events.size() - 2].json();
  EXPECT_EQ(end["delta"]["stop_reason"], "tool_use");
  EXPECT_GT(end["usage"]["output_tokens"], 50);
}

TEST(Anthropic, HistoryBecomesTheTemplatesMessages) {
  TestServer server;
  const std::string body =
      R"("system": [{"type": "text", "text": "x-anthropic-billing-header: c=1; n=83a2"}, {"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
      "messages": [{"role": "user", "content": "Five?"},
       {"role": "assistant", "content": [{"type": "thinking", "thinking": "t", "signature": "s"}, {"type": "text", "text": "Look:"}, {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"x": 5}}]},
       {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": "six"}], "is_error": true}, {"type": "text", "text": "So?"}]},
       {"role": "assistant", "content": "It is"}])";
  const OrderedJson counted = server.PostJson("/v1/messages/count_tokens", "{" + body + "}");
  server.PostJson(kMessages, "{\"max_tokens\": 5, " + body + "}");
  const GenerationRequest request = server.generator->TakeLast();
  EXPECT_EQ(counted["input_tokens"], request.prompt.size());
  std::string prompt;
  for (const std::int32_t token : request.prompt) {
    if (token < 256) prompt += static_cast<char>(token);
  }
  EXPECT_EQ(prompt,
            "system\nBe brief.\nuser\nFive?\nassistant\nLook:\n<function=f>\n<parameter=x>\n5\n"
            "</parameter>\n</function>\n\ntool\nError: six\nuser\nSo?\nassistant\n\n\n\n\nIt is");
}

TEST(Anthropic, StopsAndRefusals) {
  TestServer server;
  server.generator->answer = "one two three";
  const std::string hi = R"("messages": [{"role": "user", "content": "Hi"}])";
  OrderedJson json =
      server.PostJson(kMessages, R"({"max_tokens": 50, "stop_sequences": ["two"], )" + hi + "}");
  EXPECT_EQ(json["stop_reason"], "stop_sequence");
  EXPECT_EQ(json["stop_sequence"], "two");
  EXPECT_EQ(json["content"][0]["text"], "one ");
  json = server.PostJson(kMessages, R"({"max_tokens": 2, )" + hi + "}");
  EXPECT_EQ(json["stop_reason"], "max_tokens");
  for (
      const std::string& wrong :
      {"{" + hi + "}", R"({"max_tokens": "x", )" + hi + "}", std::string(R"({"max_tokens": 5})"),
       R"({"max_tokens": 5, "thinking": {"type": "maybe"}, )" + hi + "}",
       R"({"max_tokens": 5, "tool_choice": {"type": "any"}, )" + hi + "}",
       R"({"max_tokens": 5, "tools": [{"type": "web_search_20250305", "name": "web_search"}], )" +
           hi + "}",
       std::string(
           R"({"max_tokens": 5, "messages": [{"role": "user", "content": [{"type": "image", "source": {}}]}]})"),
       std::string(R"({"max_tokens": 5, "messages": [{"role": "robot", "content": "x"}]})")}) {
    const OrderedJson error = server.PostJson(kMessages, wrong, 400);
    EXPECT_EQ(error["type"], "error") << wrong;
    EXPECT_EQ(error["error"]["type"], "invalid_request_error");
    EXPECT_FALSE(error["error"]["message"].get<std::string>().empty());
  }
}

TEST(Responses, AnswersWholeAndEchoesTheRequest) {
  TestServer server;
  server.generator->answer = "hm\n</think>\n\nWords.\n" + std::string(kCall);
  const OrderedJson json =
      server.PostJson(kResponses, R"({"model": "m", "instructions": "Be brief.",
      "input": "Hi", "reasoning": {"effort": "high"}, "temperature": 0.5,
      "tools": [{"type": "function", "name": "f", "parameters": {"type": "object", "properties": {"x": {"type": "integer"}}}, "strict": true}, {"type": "web_search"}]})");
  EXPECT_EQ(json["object"], "response");
  EXPECT_EQ(json["status"], "completed");
  EXPECT_EQ(json["temperature"], 0.5);
  EXPECT_EQ(json["tools"].size(), 2u);
  ASSERT_EQ(json["output"].size(), 3u);
  EXPECT_EQ(json["output"][0]["type"], "reasoning");
  EXPECT_EQ(json["output"][0]["content"][0]["text"], "hm");
  EXPECT_EQ(json["output"][1]["content"][0]["type"], "output_text");
  EXPECT_EQ(json["output"][1]["content"][0]["text"], "Words.");
  EXPECT_EQ(json["output"][2]["type"], "function_call");
  EXPECT_EQ(json["output"][2]["status"], "completed");
  EXPECT_EQ(*ParseJson(json["output"][2]["arguments"].get<std::string>(), "it"),
            (OrderedJson{{"x", 5}}));
  EXPECT_EQ(json["usage"]["output_tokens"], server.generator->answer.size());
}

TEST(Responses, LogProbabilitiesWhereIncluded) {
  TestServer server;
  const OrderedJson json = server.PostJson(
      kResponses, R"({"input": "Hi", "include": ["message.output_text.logprobs"]})");
  const OrderedJson& logprobs = json["output"][0]["content"][0]["logprobs"];
  ASSERT_EQ(logprobs.size(), 6u);
  EXPECT_EQ(logprobs[0]["token"], "H");
  EXPECT_EQ(logprobs[0]["top_logprobs"], OrderedJson::array());
  const OrderedJson none = server.PostJson(kResponses, R"({"input": "Hi", "include": []})");
  EXPECT_EQ(none["output"][0]["content"][0]["logprobs"], OrderedJson::array());
  EXPECT_EQ(
      server.PostJson(kResponses, R"({"input": "Hi", "include": [1]})", 400)["error"]["param"],
      "include");
}

TEST(Dialects, AWrongSchemaIsNamedAsTheClientWroteIt) {
  TestServer server;
  const std::string wrong = R"({"type": "object", "properties": {"a": {"not": {}}}})";
  const std::string hi = R"("messages": [{"role": "user", "content": "Hi"}])";
  EXPECT_EQ(server.PostJson(kResponses,
                            R"({"input": "Hi", "text": {"format": {"type": "json_schema",
      "name": "n", "schema": )" +
                                wrong + "}}}",
                            400)["error"]["param"],
            "text.format.schema");
  for (const auto& [path, body] : std::map<std::string, std::string>{
           {"/api/chat", "{" + hi + ", \"format\": " + wrong + "}"},
           {"/api/generate", "{\"prompt\": \"Hi\", \"format\": " + wrong + "}"}}) {
    const std::string sentence = server.PostJson(path, body, 400)["error"].get<std::string>();
    EXPECT_EQ(sentence.rfind("'format' ", 0), 0u) << sentence;
  }
  const OrderedJson anthropic = server.PostJson(
      kMessages,
      R"({"max_tokens": 5, "output_config": {"format": {"type": "json_schema", "schema": )" +
          wrong + "}}, " + hi + "}",
      400);
  EXPECT_EQ(
      anthropic["error"]["message"].get<std::string>().rfind("'output_config.format.schema'", 0),
      0u);
}

TEST(Responses, StreamsEventsInOrder) {
  TestServer server;
  server.generator->answer = "Words.\n" + std::string(kCall);
  const auto events = EventsOf(
      server
          .Post(
              kResponses,
              R"({"stream": true, "input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]}],
      "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}}]})")
          .body);
  EXPECT_EQ(
      NamesOf(events),
      (std::vector<std::string>{
          "response.created", "response.in_progress", "response.output_item.added",
          "response.content_part.added", "response.output_text.delta", "response.output_text.done",
          "response.content_part.done", "response.output_item.done", "response.output_item.added",
          "response.function_call_arguments.delta", "response.function_call_arguments.done",
          "response.output_item.done", "response.completed"}));
  std::string text;
  for (std::size_t i = 0; i < events.size(); ++i) {
    const OrderedJson json = events[i].json();
    EXPECT_EQ(json["sequence_number"], i);
    if (events[i].name == "response.output_text.delta") text += json["delta"].get<std::string>();
  }
  EXPECT_EQ(text, "Words.");
  const OrderedJson last = events.back().json()["response"];
  EXPECT_EQ(last["output"].size(), 2u);
  EXPECT_EQ(last["output"][1]["name"], "f");
  server.generator->answer = "too long";
  const auto cut = EventsOf(
      server.Post(kResponses, R"({"stream": true, "input": "Hi", "max_output_tokens": 2})").body);
  EXPECT_EQ(cut.back().name, "response.incomplete");
  EXPECT_EQ(cut.back().json()["response"]["incomplete_details"]["reason"], "max_output_tokens");
}

TEST(Responses, ItemsOfEarlierTurns) {
  TestServer server;
  server.PostJson(kResponses, R"({"instructions": "Be brief.", "max_output_tokens": 3, "input": [
      {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "Rules."}]},
      {"role": "user", "content": "Five?"},
      {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "xyz"},
      {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Look:", "annotations": []}]},
      {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{\"x\": 5}"},
      {"type": "function_call_output", "call_id": "c1", "output": "six"}]})");
  std::string prompt;
  for (const std::int32_t token : server.generator->TakeLast().prompt) {
    if (token < 256) prompt += static_cast<char>(token);
  }
  EXPECT_EQ(
      prompt,
      "system\nBe brief.\n\nRules.\nuser\nFive?\nassistant\nLook:\n<function=f>\n<parameter=x>\n5\n"
      "</parameter>\n</function>\n\ntool\nsix\nassistant\n\n\n\n\n");
  for (const char* wrong :
       {R"({})", R"({"input": []})", R"({"input": [{"type": "computer_call"}]})",
        R"({"input": "x", "previous_response_id": "resp_1"})",
        R"({"input": "x", "background": true})",
        R"({"input": [{"role": "user", "content": [{"type": "input_image"}]}]})",
        R"({"input": "x", "text": {"format": {"type": "json_schema"}}})",
        R"({"input": "x", "tool_choice": "required"})"}) {
    EXPECT_FALSE(server.PostJson(kResponses, wrong, 400)["error"]["param"].is_null()) << wrong;
  }
}

std::string PromptOf(const GenerationRequest& request) {
  std::string prompt;
  for (const std::int32_t token : request.prompt) {
    if (token < 256) prompt += static_cast<char>(token);
  }
  return prompt;
}

// What agents send back after an answer that ended inside a call. The template of the tests reads
// objects only.
TEST(Responses, ACutCallInTheHistoryIsKept) {
  TestServer server;
  server.PostJson(kResponses, R"({"input": [{"role": "user", "content": "Five?"},
      {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{\"x\": \"fi"},
      {"type": "function_call_output", "call_id": "c1", "output": "no JSON"}]})");
  const std::string call = "<function=f>\n<parameter=arguments>\n{\"x\": \"fi\n</parameter>";
  EXPECT_NE(PromptOf(server.generator->TakeLast()).find(call), std::string::npos);
  server.PostJson("/v1/chat/completions",
                  R"({"messages": [{"role": "user", "content": "Five?"}, {"role": "assistant",
      "tool_calls": [{"type": "function", "function": {"name": "f", "arguments": "{\"x\": \"fi"}}]}]})");
  EXPECT_NE(PromptOf(server.generator->TakeLast()).find(call), std::string::npos);
}

// The same is said of a call that the limit cuts off, whole and as a stream.
TEST(Dialects, ACutCallIsShown) {
  TestServer server;
  server.generator->answer =
      "<tool_call>\n<function=f>\n<parameter=s>\nhello\n</parameter>\n</function>\n</tool_call>";
  const std::string limit = std::to_string(server.generator->answer.find("lo\n"));
  const std::string schema = R"({"type": "object", "properties": {"s": {"type": "string"}}})";
  const std::string functions =
      R"("tools": [{"type": "function", "function": {"name": "f", "parameters": )" + schema + "}}]";
  const std::string hi = R"("messages": [{"role": "user", "content": "Hi"}])";

  const std::string chat = "{" + hi + ", " + functions + ", \"max_tokens\": " + limit;
  const OrderedJson whole = server.PostJson("/v1/chat/completions", chat + "}")["choices"][0];
  EXPECT_EQ(whole["finish_reason"], "length");
  std::string streamed;
  for (const StreamEvent& event :
       EventsOf(server.Post("/v1/chat/completions", chat + ", \"stream\": true}").body)) {
    if (event.data == "[DONE]") continue;
    const OrderedJson delta = event.json()["choices"][0]["delta"];
    if (!delta.contains("tool_calls")) continue;
    streamed += delta["tool_calls"][0]["function"]["arguments"].get<std::string>();
  }
  EXPECT_FALSE(streamed.empty());
  EXPECT_EQ(whole["message"]["tool_calls"][0]["function"]["arguments"], streamed);

  const OrderedJson response = server.PostJson(
      kResponses, R"({"input": "Hi", "tools": [{"type": "function", "name": "f", "parameters": )" +
                      schema + R"(}], "max_output_tokens": )" + limit + "}");
  EXPECT_EQ(response["status"], "incomplete");
  EXPECT_EQ(response["output"][0]["arguments"], streamed);
  EXPECT_EQ(response["output"][0]["status"], "incomplete");

  const OrderedJson message =
      server.PostJson(kMessages, "{" + hi + R"(, "tools": [{"name": "f", "input_schema": )" +
                                     schema + R"(}], "max_tokens": )" + limit + "}");
  EXPECT_EQ(message["stop_reason"], "max_tokens");
  EXPECT_EQ(message["content"][0]["type"], "tool_use");

  // A client of this one would take the part for the call.
  const OrderedJson line = server.PostJson(
      "/api/chat", "{" + hi + ", " + functions +
                       R"(, "stream": false, "options": {"num_predict": )" + limit + "}}");
  EXPECT_EQ(line["done_reason"], "length");
  EXPECT_FALSE(line["message"].contains("tool_calls"));
}

TEST(Ollama, ChatStreamsUnlessAskedNotTo) {
  TestServer server;
  server.generator->answer = "Words.\n" + std::string(kCall);
  const std::string body = R"("model": "m", "messages": [{"role": "user", "content": "Hi"}],
      "options": {"temperature": 0, "seed": 4, "num_predict": 500, "stop": ["zzz"]},
      "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {"x": {"type": "integer"}}}}}])";
  const ClientResponse response = server.Post("/api/chat", "{" + body + "}");
  EXPECT_EQ(response.Header("Content-Type"), "application/x-ndjson");
  const auto lines = LinesOf(response.body);
  std::string text;
  OrderedJson calls = OrderedJson::array();
  for (std::size_t i = 0; i < lines.size(); ++i) {
    EXPECT_EQ(lines[i]["model"], "m");
    EXPECT_EQ(lines[i]["done"], i + 1 == lines.size());
    EXPECT_EQ(lines[i]["message"]["role"], "assistant");
    text += lines[i]["message"]["content"].get<std::string>();
    if (lines[i]["message"].contains("tool_calls")) calls = lines[i]["message"]["tool_calls"];
  }
  EXPECT_EQ(text, "Words.");
  EXPECT_EQ(calls[0]["function"]["arguments"], (OrderedJson{{"x", 5}}));
  EXPECT_EQ(lines.back()["done_reason"], "stop");
  EXPECT_GT(lines.back()["prompt_eval_count"], 10);
  const OrderedJson whole = server.PostJson("/api/chat", "{\"stream\": false, " + body + "}");
  EXPECT_EQ(whole["message"]["content"], "Words.");
  EXPECT_EQ(whole["message"]["tool_calls"][0]["function"]["name"], "f");
  EXPECT_EQ(server.generator->TakeLast().sampling.seed, 4u);
}

TEST(Anthropic, TokensAreCountedBeyondTheContext) {
  TestServer server;
  const std::string body =
      R"("messages": [{"role": "user", "content": ")" + std::string(100000, 'x') + "\"}]";
  EXPECT_GT(server.PostJson("/v1/messages/count_tokens", "{" + body + "}")["input_tokens"], 100000);
  server.PostJson(kMessages, "{\"max_tokens\": 5, " + body + "}", 400);
}

TEST(Ollama, GenerateAndTheRest) {
  TestServer server;
  OrderedJson json = server.PostJson(
      "/api/generate",
      R"({"model": "m", "prompt": "Hi", "stream": false, "options": {"num_predict": 2}})");
  EXPECT_EQ(json["response"], "He");
  EXPECT_EQ(json["done_reason"], "length");
  json = server.PostJson("/api/generate", R"({"prompt": "Hi", "raw": true, "stream": false})");
  EXPECT_EQ(json["prompt_eval_count"], 2);
  EXPECT_EQ(server.PostJson("/api/generate", R"({"model": "m"})")["done_reason"], "load");
  EXPECT_EQ(server.PostJson("/api/chat", R"({"model": "m"})")["done_reason"], "load");
  for (const char* now : {"0", "\"0s\"", "\"0m\"", "\"0h0m\""}) {
    EXPECT_EQ(server.PostJson("/api/generate", R"({"model": "m", "keep_alive": )" +
                                                   std::string(now) + "}")["done_reason"],
              "unload");
  }
  EXPECT_EQ(server.PostJson("/api/chat", R"({"keep_alive": 0, "stream": false, "messages":
      [{"role": "user", "content": "Hi"}]})")["message"]["content"],
            "Hello.");
  server.PostJson("/api/chat", R"({"keep_alive": []})", 400);
  EXPECT_EQ(server.PostJson("/api/show", R"({"model": "m"})")["capabilities"],
            OrderedJson::array({"completion", "tools", "thinking"}));
  const ClientResponse tags = server.Get("/api/tags");
  EXPECT_EQ(ParseJson(tags.body, "tags")->at("models")[0]["name"], "tiny");
  EXPECT_TRUE(ParseJson(server.Get("/api/version").body, "v")->contains("version"));
  for (const char* wrong :
       {R"({"messages": [{"role": "user", "content": "x", "images": ["aGk="]}]})",
        R"({"messages": [{"role": "user", "content": "x"}], "options": {"temperature": "x"}})",
        R"({"messages": [{"role": "user", "content": "x"}], "format": "xml"})"}) {
    EXPECT_TRUE(server.PostJson("/api/chat", wrong, 400)["error"].is_string()) << wrong;
  }
  EXPECT_EQ(server.PostJson("/api/embed", "{}", 400).size(), 1u);
}

}  // namespace
}  // namespace larder
