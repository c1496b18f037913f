// OpenAI's chat and text completions, whole and as streams, field by field.
#include <gtest/gtest.h>

#include <map>

#include "server/server_testing.h"

namespace larder {
namespace {

constexpr const char* kChat = "/v1/chat/completions";
constexpr const char* kText = "/v1/completions";
constexpr const char* kHello = R"("messages": [{"role": "user", "content": "Hi"}])";
constexpr const char* kTool =
    R"("tools": [{"type": "function", "function": {"name": "f", "description": "d", "parameters":
    {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}}}])";
constexpr const char* kCall =
    "<tool_call>\n<function=f>\n<parameter=x>\n5\n</parameter>\n</function>\n</tool_call>";

std::string Body(const std::string& more = "") {
  return "{" + std::string(kHello) + (more.empty() ? "" : ", " + more) + "}";
}

TEST(OpenAiChat, AnswersWhole) {
  TestServer server;
  const OrderedJson json = server.PostJson(kChat, Body("\"model\": \"any\", \"user\": \"me\""));
  EXPECT_EQ(json["id"].get<std::string>().rfind("chatcmpl-", 0), 0u);
  EXPECT_EQ(json["object"], "chat.completion");
  EXPECT_EQ(json["model"], "any");
  EXPECT_TRUE(json["created"].is_number_integer());
  const OrderedJson& choice = json["choices"][0];
  EXPECT_EQ(choice["index"], 0);
  EXPECT_EQ(choice["finish_reason"], "stop");
  EXPECT_EQ(choice["message"]["role"], "assistant");
  EXPECT_EQ(choice["message"]["content"], "Hello.");
  EXPECT_TRUE(choice["message"]["refusal"].is_null());
  EXPECT_TRUE(choice["logprobs"].is_null());
  EXPECT_FALSE(choice["message"].contains("tool_calls"));
  EXPECT_FALSE(choice["message"].contains("reasoning_content"));
  const std::string prompt =
      "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n";
  // Control tokens are one token each, other characters one per byte.
  const int n_prompt = static_cast<int>(prompt.size()) - 2 * 11 - 9 - 6 - 7;
  EXPECT_EQ(json["usage"]["prompt_tokens"], n_prompt);
  EXPECT_EQ(json["usage"]["completion_tokens"], 6);
  EXPECT_EQ(json["usage"]["total_tokens"], n_prompt + 6);
}

TEST(OpenAiChat, StreamsToTheLetter) {
  TestServer server;
  server.generator->answer = "H\xc3\xa9!";
  const ClientResponse response =
      server.Post(kChat, Body(R"("stream": true, "stream_options": {"include_usage": true})"));
  EXPECT_EQ(response.status, 200);
  EXPECT_TRUE(response.whole);
  EXPECT_EQ(response.Header("Content-Type"), "text/event-stream");
  EXPECT_EQ(response.Header("Cache-Control"), "no-cache");
  const auto events = EventsOf(response.body);
  ASSERT_GE(events.size(), 5u);
  EXPECT_EQ(events.back().data, "[DONE]");
  const OrderedJson first = events[0].json();
  EXPECT_EQ(first["object"], "chat.completion.chunk");
  EXPECT_EQ(first["choices"][0]["delta"]["role"], "assistant");
  EXPECT_EQ(first["choices"][0]["delta"]["content"], "");
  EXPECT_TRUE(first["choices"][0]["finish_reason"].is_null());
  EXPECT_TRUE(first.contains("usage") && first["usage"].is_null());
  std::string text;
  for (std::size_t i = 1; i + 3 < events.size(); ++i) {
    const OrderedJson chunk = events[i].json();
    EXPECT_EQ(chunk["id"], first["id"]);
    EXPECT_EQ(chunk["created"], first["created"]);
    EXPECT_FALSE(chunk["choices"][0]["delta"].contains("role"));
    const std::string piece = chunk["choices"][0]["delta"]["content"].get<std::string>();
    EXPECT_NE(piece, "\xef\xbf\xbd");  // a character is never split
    text += piece;
  }
  EXPECT_EQ(text, "H\xc3\xa9!");
  const OrderedJson last = events[events.size() - 3].json();
  EXPECT_EQ(last["choices"][0]["delta"], OrderedJson::object());
  EXPECT_EQ(last["choices"][0]["finish_reason"], "stop");
  const OrderedJson usage = events[events.size() - 2].json();
  EXPECT_EQ(usage["choices"], OrderedJson::array());
  EXPECT_EQ(usage["usage"]["completion_tokens"], 4);
  // Without the option no chunk has a usage.
  EXPECT_EQ(server.Post(kChat, Body("\"stream\": true")).body.find("usage"), std::string::npos);
}

TEST(OpenAiChat, CallsOfTools) {
  TestServer server;
  server.generator->answer = std::string("Let me see.\n") + kCall + "\n" + kCall;
  const OrderedJson whole = server.PostJson(kChat, Body(kTool));
  const OrderedJson& message = whole["choices"][0]["message"];
  EXPECT_EQ(whole["choices"][0]["finish_reason"], "tool_calls");
  EXPECT_EQ(message["content"], "Let me see.");
  ASSERT_EQ(message["tool_calls"].size(), 2u);
  EXPECT_EQ(message["tool_calls"][0]["type"], "function");
  EXPECT_EQ(message["tool_calls"][0]["function"]["name"], "f");
  EXPECT_EQ(*ParseJson(message["tool_calls"][0]["function"]["arguments"].get<std::string>(), "it"),
            (OrderedJson{{"x", 5}}));
  EXPECT_NE(message["tool_calls"][0]["id"], message["tool_calls"][1]["id"]);

  std::map<int, std::string> arguments;
  int n_begun = 0;
  for (const StreamEvent& event :
       EventsOf(server.Post(kChat, Body(std::string(kTool) + ", \"stream\": true")).body)) {
    if (event.data == "[DONE]") continue;
    const OrderedJson delta = event.json()["choices"][0]["delta"];
    if (!delta.contains("tool_calls")) continue;
    const OrderedJson& call = delta["tool_calls"][0];
    ASSERT_EQ(delta["tool_calls"].size(), 1u);
    const int index = call["index"].get<int>();
    if (call.contains("id")) {
      EXPECT_EQ(index, n_begun++);
      EXPECT_EQ(call["function"]["name"], "f");
      EXPECT_EQ(call["function"]["arguments"], "");
    } else {
      EXPECT_FALSE(call.contains("type"));
    }
    arguments[index] += call["function"]["arguments"].get<std::string>();
  }
  EXPECT_EQ(n_begun, 2);
  EXPECT_EQ(*ParseJson(arguments[1], "it"), (OrderedJson{{"x", 5}}));

  // One call only, and its end ends the answer.
  const OrderedJson one =
      server.PostJson(kChat, Body(std::string(kTool) + ", \"parallel_tool_calls\": false"));
  EXPECT_EQ(one["choices"][0]["message"]["tool_calls"].size(), 1u);
  EXPECT_EQ(one["choices"][0]["finish_reason"], "tool_calls");
  // Without tools nothing is a call.
  const OrderedJson none =
      server.PostJson(kChat, Body(std::string(kTool) + ", \"tool_choice\": \"none\""));
  EXPECT_FALSE(none["choices"][0]["message"].contains("tool_calls"));
  EXPECT_EQ(none["choices"][0]["finish_reason"], "stop");
}

TEST(OpenAiChat, ReasoningStandsApart) {
  TestServer server;
  server.generator->answer = "thought\n</think>\n\nword";
  const OrderedJson json = server.PostJson(kChat, Body(R"("reasoning_effort": "high")"));
  EXPECT_EQ(json["choices"][0]["message"]["reasoning_content"], "thought");
  EXPECT_EQ(json["choices"][0]["message"]["content"], "word");
  EXPECT_GT(json["usage"]["completion_tokens_details"]["reasoning_tokens"], 5);
  for (const char* off :
       {R"("reasoning_effort": "none")", R"("chat_template_kwargs": {"enable_thinking": false})"}) {
    server.generator->answer = "word";
    const OrderedJson plain = server.PostJson(kChat, Body(off));
    EXPECT_FALSE(plain["choices"][0]["message"].contains("reasoning_content")) << off;
    EXPECT_EQ(plain["choices"][0]["message"]["content"], "word");
  }
}

TEST(OpenAiChat, StopTextsLengthsAndChoices) {
  TestServer server;
  server.generator->answer = "one two three";
  OrderedJson json = server.PostJson(kChat, Body(R"("stop": ["wo th", " x"])"));
  EXPECT_EQ(json["choices"][0]["message"]["content"], "one t");
  EXPECT_EQ(json["choices"][0]["finish_reason"], "stop");
  json = server.PostJson(kChat, Body(R"("stop": "thrice", "max_tokens": 8)"));
  EXPECT_EQ(json["choices"][0]["message"]["content"], "one two ");
  EXPECT_EQ(json["choices"][0]["finish_reason"], "length");
  json = server.PostJson(kChat, Body(R"("n": 8, "max_completion_tokens": 3, "max_tokens": 1)"));
  ASSERT_EQ(json["choices"].size(), 8u);
  for (int i = 0; i < 8; ++i) {
    EXPECT_EQ(json["choices"][i]["index"], i);
    EXPECT_EQ(json["choices"][i]["message"]["content"], "one");
  }
  EXPECT_EQ(json["usage"]["completion_tokens"], 24);
}

TEST(OpenAiChat, LogProbabilities) {
  TestServer server;
  server.generator->answer = "\xc3\xa9.";
  const OrderedJson json = server.PostJson(kChat, Body(R"("logprobs": true, "top_logprobs": 2)"));
  const OrderedJson& content = json["choices"][0]["logprobs"]["content"];
  ASSERT_EQ(content.size(), 3u);
  EXPECT_EQ(content[0]["bytes"], OrderedJson::array({0xc3}));
  EXPECT_EQ(content[2]["token"], ".");
  EXPECT_DOUBLE_EQ(content[2]["logprob"].get<double>(), -0.5);
  ASSERT_EQ(content[2]["top_logprobs"].size(), 2u);
  EXPECT_EQ(content[2]["top_logprobs"][1]["token"], "?");
  // In a stream each token comes once.
  std::size_t n_tokens = 0;
  for (const StreamEvent& event :
       EventsOf(server.Post(kChat, Body(R"("logprobs": true, "stream": true)")).body)) {
    if (event.data == "[DONE]") continue;
    const OrderedJson logprobs = event.json()["choices"][0]["logprobs"];
    if (!logprobs.is_null()) n_tokens += logprobs["content"].size();
  }
  EXPECT_EQ(n_tokens, 3u);
}

TEST(OpenAiChat, FieldsReachTheGenerator) {
  TestServer server;
  server.PostJson(kChat, Body(R"("temperature": 0.5, "top_p": 0.25, "top_k": 7, "min_p": 0.125,
      "seed": -3, "presence_penalty": 1, "frequency_penalty": -1, "repetition_penalty": 1.5,
      "logit_bias": {"65": -100, "66": 5}, "max_tokens": 9, "ignore_eos": true)"));
  GenerationRequest request = server.generator->TakeLast();
  EXPECT_DOUBLE_EQ(request.sampling.temperature, 0.5);
  EXPECT_DOUBLE_EQ(request.sampling.top_p, 0.25);
  EXPECT_DOUBLE_EQ(request.sampling.min_p, 0.125);
  EXPECT_EQ(request.sampling.top_k, 7);
  EXPECT_EQ(request.sampling.seed, static_cast<std::uint64_t>(-3));
  EXPECT_DOUBLE_EQ(request.sampling.repeat_penalty, 1.5);
  ASSERT_EQ(request.sampling.logit_bias.size(), 2u);
  EXPECT_EQ(request.max_tokens, 9);
  EXPECT_TRUE(request.ignore_end_tokens);
  EXPECT_EQ(request.constraint, nullptr);
  // What a request does not say comes from the model's file.
  server.PostJson(kChat, Body());
  EXPECT_DOUBLE_EQ(server.generator->TakeLast().sampling.temperature, 0.25);
  server.PostJson(kChat, Body(R"("response_format": {"type": "json_schema", "json_schema":
      {"name": "n", "schema": {"type": "object"}}})"));
  EXPECT_NE(server.generator->TakeLast().constraint, nullptr);
  server.PostJson(kChat, Body(std::string(kTool) + ", \"tool_choice\": \"required\""));
  EXPECT_NE(server.generator->TakeLast().constraint, nullptr);
}

// What the model would write of a tool's call is allowed and read, whatever of its schema is held.
TEST(OpenAiChat, CallsOfToolsThatCannotBeHeld) {
  TestServer server;
  const auto tokenizer = Tokenizer::FromMetadata(server.metadata());
  const std::string call =
      "<tool_call>\n<function=f>\n<parameter=city>\nRome\n</parameter>\n</function>\n</tool_call>";
  server.generator->answer = call;
  const auto city = [](const char* words) {
    return std::string(R"({"type": "object", "properties": {"city": )") + words + "}}";
  };
  for (const std::string& schema :
       {city(R"({"type": "string", "format": "uri"})"), city(R"({"pattern": "^[A-Z]"})"),
        city(R"({"type": "string", "maxLength": 2000})"), city(R"({"type": "word"})"),
        std::string(R"({"type": "object"})"), std::string("{}"),
        std::string(R"({"type": "object", "additionalProperties": {"type": "string"}})")}) {
    for (const char* choice : {"auto", "required"}) {
      const OrderedJson json = server.PostJson(
          kChat, Body(R"("tools": [{"type": "function", "function": {"name": "f", "parameters": )" +
                      schema + R"(}}], "tool_choice": ")" + choice + "\""));
      EXPECT_EQ(json["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"],
                R"({"city":"Rome"})");
      const GenerationRequest request = server.generator->TakeLast();
      ASSERT_NE(request.constraint, nullptr);
      const auto tokens = (*tokenizer)->Encode(call, {.parse_special = true});
      for (const std::int32_t token : *tokens) {
        ASSERT_TRUE(request.constraint->Accept(token).ok()) << schema << choice;
      }
      EXPECT_TRUE(request.constraint->may_end());
    }
  }
}

// A schema beside tools holds the answers that are no calls.
TEST(OpenAiChat, ToolsBesideAFormat) {
  TestServer server;
  const std::string schema = R"(, "response_format": {"type": "json_schema", "json_schema":
      {"name": "n", "schema": {"type": "object", "properties": {"y": {"type": "integer"}}}}})";
  const std::map<std::string, std::string> text_by_format = {
      {schema, R"({"y": 5})"}, {R"(, "response_format": {"type": "json_object"})", R"({"z": []})"}};
  const auto tokenizer = Tokenizer::FromMetadata(server.metadata());
  for (const auto& [format, text] : text_by_format) {
    for (const std::string& answer : {std::string(kCall), text, std::string("Words")}) {
      server.PostJson(kChat, Body(kTool + format));
      GenerationRequest request = server.generator->TakeLast();
      ASSERT_NE(request.constraint, nullptr);
      EXPECT_TRUE(request.reader->Forced().empty());
      const auto tokens = (*tokenizer)->Encode(answer, {.parse_special = true});
      bool reads = true;
      for (const std::int32_t token : *tokens) {
        reads = reads && request.constraint->Accept(token).ok();
      }
      EXPECT_EQ(reads && request.constraint->may_end(), answer != "Words") << answer;
    }
  }
  server.generator->answer = kCall;
  const OrderedJson called = server.PostJson(kChat, Body(kTool + schema));
  EXPECT_EQ(called["choices"][0]["finish_reason"], "tool_calls");
  server.generator->answer = R"({"y": 5})";
  const OrderedJson answered = server.PostJson(kChat, Body(kTool + schema));
  EXPECT_EQ(answered["choices"][0]["message"]["content"], R"({"y": 5})");
}

// A JSON text may spell a call, and a marker that would end another answer's thought.
TEST(OpenAiChat, AJsonTextIsNotTakenApart) {
  TestServer server;
  server.generator->answer =
      R"({"a": "</think><tool_call><function=f><parameter=x>5</parameter></function></tool_call>"})";
  const std::string format = R"(, "response_format": {"type": "json_object"})";
  for (const std::string& fields : {kTool + format, format.substr(2)}) {
    const OrderedJson choice = server.PostJson(kChat, Body(fields))["choices"][0];
    EXPECT_EQ(choice["message"]["content"], server.generator->answer);
    EXPECT_FALSE(choice["message"].contains("tool_calls"));
    EXPECT_EQ(choice["finish_reason"], "stop");
  }
}

TEST(OpenAiChat, WrongFieldsAreNamed) {
  TestServer server;
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"temperature", R"("temperature": "hot")"},
      {"temperature", R"("temperature": -1)"},
      {"top_p", R"("top_p": 1.5)"},
      {"n", R"("n": 9)"},
      {"n", R"("n": 1.5)"},
      {"stream", R"("stream": "yes")"},
      {"stream_options.include_usage", R"("stream_options": {"include_usage": 1})"},
      {"stop", R"("stop": [1])"},
      {"stop", R"("stop": [""])"},
      {"max_tokens", R"("max_tokens": 0)"},
      {"seed", R"("seed": "x")"},
      {"logit_bias", R"("logit_bias": {"x": 1})"},
      {"logit_bias", R"("logit_bias": {"1": 101})"},
      {"logit_bias", R"("logit_bias": {"999999": 1})"},
      {"top_logprobs", R"("top_logprobs": 3)"},
      {"top_logprobs", R"("logprobs": true, "top_logprobs": 21)"},
      {"tools", R"("tools": {})"},
      {"tools", R"("tools": [{"type": "function", "function": {}}])"},
      {"tool_choice", R"("tool_choice": "required")"},
      {"tool_choice", std::string(kTool) + R"(, "tool_choice": "maybe")"},
      {"tool_choice",
       std::string(kTool) + R"(, "tool_choice": {"type": "function", "function": {"name": "g"}})"},
      {"response_format.type", R"("response_format": {"type": "xml"})"},
      {"response_format.json_schema.schema", R"("response_format": {"type": "json_schema"})"},
      {"response_format.json_schema.schema",
       R"("response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "x"}}})"},
      {"reasoning_effort", R"("reasoning_effort": "wild")"},
      {"chat_template_kwargs.enable_thinking", R"("chat_template_kwargs": {"enable_thinking": 1})"},
      {"modalities", R"("modalities": ["text", "audio"])"},
      {"model", R"("model": 7)"},
      {"user", R"("user": [])"}};
  for (const auto& [param, fields] : cases) {
    const OrderedJson json = server.PostJson(kChat, Body(fields), 400);
    EXPECT_EQ(json["error"]["param"], param) << fields;
    EXPECT_EQ(json["error"]["type"], "invalid_request_error");
    EXPECT_NE(json["error"]["message"].get<std::string>().find('\''), std::string::npos);
  }
  for (const char* messages : {"{}", R"({"messages": []})", R"({"messages": "x"})",
                               R"({"messages": [{"role": "user"}, 5]})",
                               R"({"messages": [{"role": "king", "content": "x"}]})",
                               R"({"messages": [{"role": "user", "content": 5}]})"}) {
    EXPECT_EQ(server.PostJson(kChat, messages, 400)["error"]["param"], "messages") << messages;
  }
  const OrderedJson image = server.PostJson(
      kChat,
      R"({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]})",
      400);
  EXPECT_EQ(image["error"]["param"], "messages[0].content");
  const OrderedJson typeless = server.PostJson(
      kChat, R"({"messages": [{"role": "user", "content": [{"type": {}, "text": "x"}]}]})", 400);
  EXPECT_EQ(typeless["error"]["param"], "messages[0].content");
  EXPECT_NE(image["error"]["message"].get<std::string>().find("image_url"), std::string::npos);
}

TEST(OpenAiChat, PartsAndUnknownFieldsAreRead) {
  TestServer server;
  const OrderedJson json = server.PostJson(
      "/apply-template",
      R"({"messages": [{"role": "system", "content": [{"type": "text", "text": "A"}, {"type": "text", "text": "B"}]},
          {"role": "user", "content": "Hi", "unknown": {"x": 1}},
          {"role": "assistant", "content": null, "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{\"x\": 5}"}}]},
          {"role": "tool", "tool_call_id": "1", "content": "six"}], "some_new_field": [1, 2]})");
  EXPECT_EQ(
      json["prompt"],
      "<|im_start|>system\nAB<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
      "<tool_call>\n<function=f>\n<parameter=x>\n5\n</parameter>\n</function>\n</"
      "tool_call><|im_end|>\n"
      "<|im_start|>tool\nsix<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n");
}

TEST(OpenAiText, PromptsOfAllKinds) {
  TestServer server;
  server.generator->answer = "abcdefghijklmnopqrstuvwxyz";
  OrderedJson json = server.PostJson(kText, R"({"prompt": "Once"})");
  EXPECT_EQ(json["object"], "text_completion");
  EXPECT_EQ(json["choices"][0]["text"], "abcdefghijklmnop");  // 16 tokens unless more are asked for
  EXPECT_EQ(json["choices"][0]["finish_reason"], "length");
  EXPECT_EQ(json["usage"]["prompt_tokens"], 4);
  json = server.PostJson(kText, R"({"prompt": [72, 105], "max_tokens": 2, "echo": true})");
  EXPECT_EQ(json["choices"][0]["text"], "Hiab");
  json = server.PostJson(kText,
                         R"({"prompt": [[72], [73, 74]], "max_tokens": 1, "n": 2, "echo": true})");
  ASSERT_EQ(json["choices"].size(), 4u);
  EXPECT_EQ(json["choices"][1]["text"], "Ha");
  EXPECT_EQ(json["choices"][2]["text"], "IJa");
  EXPECT_EQ(json["choices"][3]["index"], 3);
  json = server.PostJson(kText, R"({"prompt": ["x", "y"], "max_tokens": 0, "echo": true})");
  EXPECT_EQ(json["choices"][1]["text"], "y");
  for (const char* wrong :
       {"{}", R"({"prompt": []})", R"({"prompt": {}})", R"({"prompt": [1.5]})",
        R"({"prompt": [-1]})", R"({"prompt": [99999]})", R"({"prompt": [[1], "x", 5]})",
        R"({"prompt": ""})", R"({"prompt": [4294967297]})"}) {
    EXPECT_EQ(server.PostJson(kText, wrong, 400)["error"]["param"], "prompt") << wrong;
  }
  EXPECT_EQ(server.PostJson(kText, R"({"prompt": "x", "suffix": "y"})", 400)["error"]["param"],
            "suffix");
  EXPECT_EQ(server.PostJson(kText, R"({"prompt": "x", "best_of": 3})", 400)["error"]["param"],
            "best_of");
}

// What evaluation harnesses send: the prompt's own log probabilities.
TEST(OpenAiText, EchoWithLogProbabilities) {
  TestServer server;
  server.generator->answer = "ef";
  const OrderedJson json = server.PostJson(
      kText, R"({"prompt": [97, 195, 169, 98], "max_tokens": 1, "logprobs": 1, "echo": true})");
  EXPECT_EQ(json["choices"][0]["text"],
            "a\xc3\xa9"
            "be");
  const OrderedJson& logprobs = json["choices"][0]["logprobs"];
  EXPECT_EQ(logprobs["tokens"], OrderedJson::array({"a", "bytes:\\xc3", "bytes:\\xa9", "b", "e"}));
  EXPECT_EQ(logprobs["text_offset"], OrderedJson::array({0, 1, 2, 2, 3}));
  ASSERT_EQ(logprobs["token_logprobs"].size(), 5u);
  EXPECT_TRUE(logprobs["token_logprobs"][0].is_null());
  EXPECT_TRUE(logprobs["top_logprobs"][0].is_null());
  EXPECT_DOUBLE_EQ(logprobs["token_logprobs"][4].get<double>(), -0.5);
  EXPECT_EQ(logprobs["top_logprobs"][3], (OrderedJson{{"b", -0.5}}));
}

TEST(OpenAiText, Streams) {
  TestServer server;
  server.generator->answer = "ab";
  std::string text;
  const auto events = EventsOf(
      server.Post(kText, R"({"prompt": "x", "stream": true, "echo": true, "logprobs": 1})").body);
  ASSERT_GE(events.size(), 3u);
  EXPECT_EQ(events.back().data, "[DONE]");
  OrderedJson tokens = OrderedJson::array();
  for (std::size_t i = 0; i + 1 < events.size(); ++i) {
    const OrderedJson choice = events[i].json()["choices"][0];
    text += choice["text"].get<std::string>();
    for (const OrderedJson& one : choice["logprobs"]["tokens"]) tokens.push_back(one);
  }
  EXPECT_EQ(text, "xab");
  EXPECT_EQ(tokens, OrderedJson::array({"x", "a", "b"}));
  EXPECT_EQ(events[events.size() - 2].json()["choices"][0]["finish_reason"], "stop");
}

}  // namespace
}  // namespace larder
