// The house: who is let in, what is there, what happens while loading, when clients leave, when the
// generator refuses or fails, and hostile bodies.
#include "server/service.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <thread>

#include "server/server_testing.h"

namespace larder {
namespace {

constexpr const char* kChat = "/v1/chat/completions";
constexpr const char* kHello = R"({"messages": [{"role": "user", "content": "Hi"}]})";
constexpr const char* kHelloStream =
    R"({"stream": true, "messages": [{"role": "user", "content": "Hi"}]})";

template <typename Condition>
bool Eventually(Condition condition) {
  for (int i = 0; i < 1000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return false;
}

TEST(Service, WhileLoadingOnlyHealthAndTheLikeAnswer) {
  TestServer server(AccessOptions(), false);
  EXPECT_EQ(server.Get("/health").status, 503);
  EXPECT_EQ(server.Get("/metrics").status, 200);
  EXPECT_EQ(server.Get("/openapi.json").status, 200);
  for (const char* path : {"/v1/models", "/props", "/slots", "/api/tags"}) {
    EXPECT_EQ(server.Get(path).status, 503) << path;
  }
  const ClientResponse refused = server.Post(kChat, kHello);
  EXPECT_EQ(refused.status, 503);
  EXPECT_EQ(refused.Header("Retry-After"), "1");
  server.Open();
  EXPECT_EQ(server.Get("/health").body, R"({"status":"ok"})");
  EXPECT_EQ(server.Post(kChat, kHello).status, 200);
}

TEST(Service, PathsAndMethods) {
  TestServer server;
  EXPECT_EQ(server.Get("/nothing").status, 404);
  EXPECT_EQ(server.Post("/v1/embeddings", "{}").status, 400);
  const ClientResponse wrong = server.Get(kChat);
  EXPECT_EQ(wrong.status, 405);
  EXPECT_EQ(wrong.Header("Allow"), "POST, OPTIONS");
  EXPECT_EQ(server.Post("/health", "{}").status, 405);
  EXPECT_EQ(Fetch(server.port(), "OPTIONS", "/health").Header("Allow"), "GET, HEAD, OPTIONS");
  EXPECT_EQ(Fetch(server.port(), "DELETE", "/health").status, 405);
  EXPECT_EQ(Fetch(server.port(), "BREW", "/health").status, 405);
  const OrderedJson models = *ParseJson(server.Get("/v1/models").body, "models");
  EXPECT_EQ(models["data"][0]["id"], "tiny");
  EXPECT_EQ(ParseJson(server.Get("/v1/models/any").body, "model")->at("id"), "any");
  EXPECT_EQ(ParseJson(server.Get("/v1/models/org%2Fa%20model").body, "model")->at("id"),
            "org/a model");
  EXPECT_EQ(server.Get("/v1/models/").status, 404);
}

TEST(Service, StrictNames) {
  ModelHostOptions model;
  model.strict_model = true;
  TestServer server(AccessOptions(), true, model);
  EXPECT_EQ(server.Get("/v1/models/any").status, 404);
  EXPECT_EQ(server.Get("/v1/models/tiny").status, 200);
  EXPECT_EQ(server.Get("/v1/models/t%69ny%3Alatest").status, 200);
  EXPECT_EQ(server.Get("/v1/models/tiny%").status, 404);
  EXPECT_EQ(server.PostJson("/api/chat", R"({"model": "any"})", 404).size(), 1u);
  EXPECT_EQ(server.PostJson("/api/generate", R"({"model": "tiny:latest"})")["done_reason"], "load");
  EXPECT_EQ(server.PostJson(kChat, kHello, 404)["error"]["code"], "model_not_found");
  server.PostJson(kChat, R"({"model": "tiny", "messages": [{"role": "user", "content": "Hi"}]})");
}

TEST(Service, KeysAndHosts) {
  AccessOptions access;
  access.keys = {"secret"};
  TestServer server(access);
  EXPECT_EQ(server.Post(kChat, kHello).status, 401);
  EXPECT_EQ(Fetch(server.port(), "POST", kChat, kHello,
                  "Host: localhost\r\nAuthorization: Bearer secret\r\n")
                .status,
            200);
  const ClientResponse anthropic = server.Post("/v1/messages", "{}");
  EXPECT_EQ(anthropic.status, 401);
  EXPECT_NE(anthropic.body.find("authentication_error"), std::string::npos);
  EXPECT_EQ(Fetch(server.port(), "GET", "/health", "", "Host: evil.example.org\r\n").status, 403);
  EXPECT_EQ(Fetch(server.port(), "GET", "/health", "",
                  "Host: localhost\r\nOrigin: https://evil.example.org\r\n")
                .status,
            403);
}

TEST(Service, CompressedBodiesAreRefused) {
  TestServer server;
  const std::string host = "Host: localhost\r\n";
  EXPECT_EQ(Fetch(server.port(), "POST", kChat, kHello, host + "Content-Encoding: gzip\r\n").status,
            415);
  EXPECT_EQ(
      Fetch(server.port(), "POST", kChat, kHello, host + "Content-Encoding: identity\r\n").status,
      200);
}

// However many there are, large bodies leave a thread to the others.
TEST(WorkerPool, HeavyWorkIsDoneOneByOne) {
  std::atomic<int> n_heavy{0};
  std::atomic<int> most_heavy{0};
  std::atomic<bool> release{false};
  std::atomic<bool> light_done{false};
  {
    WorkerPool pool(2);
    for (int i = 0; i < 3; ++i) {
      pool.Add(
          [&] {
            most_heavy = std::max<int>(most_heavy, ++n_heavy);
            Eventually([&] { return release.load(); });
            --n_heavy;
          },
          100);
    }
    ASSERT_TRUE(Eventually([&] { return n_heavy > 0; }));
    pool.Add([&] { light_done = true; });
    EXPECT_TRUE(Eventually([&] { return light_done.load(); }));
    release = true;
  }
  EXPECT_EQ(most_heavy, 1);
  EXPECT_EQ(n_heavy, 0);
}

// Small bodies keep one thread busy, the other is there for the heavy ones, the lightest first.
TEST(WorkerPool, HeavyWorkIsNotStarvedAndTheLightestGoesFirst) {
  std::atomic<bool> release{false};
  std::atomic<bool> busy{true};
  std::atomic<int> n_done{0};
  std::atomic<int> light_place{0};
  std::function<void()> again;
  WorkerPool pool(2);
  again = [&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    if (busy) pool.Add(again);
  };
  for (int i = 0; i < 4; ++i) pool.Add(again);
  pool.Add([&] { Eventually([&] { return release.load(); }); }, 300);
  pool.Add([&] { ++n_done; }, 300);
  pool.Add([&] { light_place = ++n_done; }, 100);
  release = true;
  EXPECT_TRUE(Eventually([&] { return n_done == 2; }));
  EXPECT_EQ(light_place, 1);
  busy = false;
}

// A client that goes away while its request waits takes the request with it.
TEST(Service, BodiesOfClientsThatWentAreNotKept) {
  TestServer server;
  const std::string body(30 << 20, 'x');
  for (int i = 0; i < 12; ++i) {
    HttpClient client(server.port());
    ASSERT_TRUE(client.SendRequest("POST", "/tokenize", R"({"content": ")" + body + "\"}"));
  }
  EXPECT_TRUE(Eventually([&] {
    return server.Post("/tokenize", R"({"content": ")" + std::string(1 << 20, 'x') + "\"}")
               .status == 200;
  }));
}

TEST(Service, TextsToTokenizeHaveALimit) {
  TestServer server;
  const OrderedJson error = server.PostJson(
      "/tokenize", R"({"content": ")" + std::string((8 << 20) + 1, 'x') + "\"}", 400)["error"];
  EXPECT_EQ(error["param"], "content");
}

TEST(Service, TextsOfTokensHaveTheSameLimit) {
  TestServer server;
  const std::size_t n_fitting = (std::size_t{8} << 20) / std::string("<|im_start|>").size();
  std::string tokens = "258";
  for (std::size_t i = 1; i < n_fitting; ++i) tokens += ",258";
  EXPECT_EQ(server.Post("/detokenize", R"({"tokens": [)" + tokens + "]}").status, 200);
  const OrderedJson error =
      server.PostJson("/detokenize", R"({"tokens": [)" + tokens + ",258]}", 400)["error"];
  EXPECT_EQ(error["param"], "tokens");
}

TEST(Service, OneRefusalForManyMessagesOfInstructions) {
  TestServer server;
  std::string messages;
  for (int i = 0; i < 90000; ++i) messages += R"({"role": "system", "content": "ab"},)";
  server.PostJson(kChat, R"({"messages": [)" + messages + R"({"role": "user", "content": "x"}]})",
                  400);
}

std::string Times(std::size_t n, const std::function<std::string(std::size_t)>& piece) {
  std::string list;
  for (std::size_t i = 0; i < n; ++i) list += (i > 0 ? "," : "") + piece(i);
  return list;
}

std::string Same(std::size_t n, const std::string& piece) {
  return Times(n, [&](std::size_t) { return piece; });
}

// Read in a moment; minutes where the time grows with the square of a request's parts.
TEST(Service, RequestsOfManyPartsAreRead) {
  TestServer server;
  const std::string members =
      Times(50000, [](std::size_t i) { return fmt::format(R"("k{:06}":1)", i); });
  const std::string text_members =
      Times(50000, [](std::size_t i) { return fmt::format(R"(\"k{:06}\":1)", i); });
  const std::string hi = R"("max_tokens": 5, "messages": [{"role": "user", "content": "Hi"}])";
  const std::string block = R"({"type": "text", "text": ")" + std::string(500, 'x') + "\"}";
  const std::string thought =
      R"({"type": "thinking", "thinking": ")" + std::string(500, 'x') + "\"}";
  const auto use = [](std::size_t i) {
    return fmt::format(R"({{"type": "tool_use", "id": "t{:0100}", "name": "f", "input": {{}}}})",
                       i);
  };
  const auto result = [](std::size_t i) {
    return fmt::format(R"({{"type": "tool_result", "tool_use_id": "t{:0100}", "content": "1"}})",
                       i);
  };
  const auto item = [](std::size_t i) {
    return i % 2 == 0
               ? fmt::format(R"({{"type": "function_call", "call_id": "t{:0100}", "name": "f"}})",
                             i / 2)
               : fmt::format(
                     R"({{"type": "function_call_output", "call_id": "t{:0100}", "output": "1"}})",
                     i / 2);
  };
  const std::string anthropic = R"({"max_tokens": 5, "messages": [)";
  const std::vector<std::pair<std::string, std::string>> requests = {
      {kChat, R"({"metadata": {)" + members + "}, " + hi + "}"},
      {kChat, R"({"chat_template_kwargs": {)" + members + "}, " + hi + "}"},
      {kChat, R"({"messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "f", )"
              R"("arguments": "{)" +
                  text_members + R"(}"}}]}]})"},
      {"/v1/messages",
       anthropic + R"({"role": "user", "content": [)" + Same(10000, block) + "]}]}"},
      {"/v1/messages",
       anthropic + R"({"role": "assistant", "content": [)" + Same(10000, thought) + "]}]}"},
      {"/v1/messages", anthropic + R"({"role": "assistant", "content": [)" + Times(30000, use) +
                           R"(]}, {"role": "user", "content": [)" + Times(30000, result) + "]}]}"},
      {"/v1/responses", R"({"input": [)" + Times(30000, item) + "]}"}};
  for (const auto& [path, body] : requests) {
    EXPECT_NE(server.Post(path, body).status, 500) << path << body.substr(0, 120);
  }
}

TEST(Service, ConversationsHaveALimitInEveryDialect) {
  TestServer server;
  const std::string message = R"({"role": "user", "content": "a"})";
  const std::string result = R"({"type": "tool_result", "tool_use_id": "t", "content": "1"})";
  const std::string most = "must hold at most 100000 messages";
  for (const auto& [path, body] : std::vector<std::pair<std::string, std::string>>{
           {kChat, R"({"messages": [)" + Same(100001, message) + "]}"},
           {"/v1/responses", R"({"input": [)" + Same(100001, message) + "]}"},
           {"/v1/messages", R"({"max_tokens": 5, "messages": [)" + Same(100001, message) + "]}"},
           {"/v1/messages", R"({"max_tokens": 5, "messages": [{"role": "user", "content": [)" +
                                Same(100001, result) + "]}]}"},
           {"/api/chat", R"({"messages": [)" + Same(100001, message) + "]}"}}) {
    const ClientResponse response = server.Post(path, body);
    EXPECT_EQ(response.status, 400) << path;
    EXPECT_NE(response.body.find(most), std::string::npos) << path << response.body;
  }
}

// Agents shorten a conversation for this code, whatever found it too large.
TEST(Service, ConversationsTooLargeForTheTemplateExceedTheContext) {
  TestServer server;
  const std::string members =
      Times(700000, [](std::size_t i) { return fmt::format(R"(\"{}\":1)", i); });
  const OrderedJson error = server.PostJson(
      kChat,
      R"({"messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "f", )"
      R"("arguments": "{)" +
          members + R"(}"}}]}]})",
      400)["error"];
  EXPECT_EQ(error["code"], "context_length_exceeded") << error;
  EXPECT_EQ(error["param"], "messages");
  EXPECT_NE(error["message"].get<std::string>().find("too large for the model's chat template"),
            std::string::npos)
      << error;
}

// Each is counted once, wherever its request was, and never as a failure.
TEST(Service, ClientsThatLeaveBeforeTheirPromptIsReadAreCountedAsGone) {
  constexpr double kClients = 8;
  TestServer server;
  const std::string body = R"({"content": ")" + std::string(7 << 20, 'x') + "\"}";
  for (int i = 0; i < kClients; ++i) {
    HttpClient client(server.port());
    ASSERT_TRUE(client.SendRequest("POST", "/tokenize", body));
  }
  std::string page;
  const auto figure = [&](const std::string& name) {
    const std::size_t at = page.find("\n" + name + " ");
    return at == std::string::npos ? 0 : std::stod(page.substr(at + name.size() + 2));
  };
  const std::string answered = "larder_http_responses_total{path=\"/tokenize\",status=\"200\"}";
  EXPECT_TRUE(Eventually([&] {
    page = server.Get("/metrics").body;
    return figure("larder_clients_gone_total") + figure(answered) == kClients;
  })) << page;
  EXPECT_GT(figure("larder_clients_gone_total"), 0);
  EXPECT_EQ(page.find("status=\"500\""), std::string::npos) << page;
}

// What cannot fit is refused as soon as that is certain.
TEST(Service, TextsBeyondTheContextAreRefusedEarly) {
  TestServer server;
  const std::string text(40 << 20, 'x');
  for (const auto& [path, body] : std::map<std::string, std::string>{
           {kChat, R"({"messages": [{"role": "user", "content": ")" + text + "\"}]}"},
           {"/v1/completions", R"({"prompt": ")" + text + "\"}"}}) {
    const OrderedJson error = server.PostJson(path, body, 400)["error"];
    EXPECT_EQ(error["code"], "context_length_exceeded");
    EXPECT_NE(error["message"].get<std::string>().find("more than 104000 tokens"),
              std::string::npos)
        << error;
  }
}

TEST(Service, CrossOriginOnlyWhereAsked) {
  AccessOptions access;
  access.cors_origins = {"https://chat.example.org"};
  TestServer server(access);
  const std::string headers =
      "Host: localhost\r\nOrigin: https://chat.example.org\r\n"
      "Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: content-type\r\n";
  const ClientResponse asked = Fetch(server.port(), "OPTIONS", kChat, "", headers);
  EXPECT_EQ(asked.status, 204);
  EXPECT_EQ(asked.Header("Access-Control-Allow-Origin"), "https://chat.example.org");
  EXPECT_EQ(asked.Header("Access-Control-Allow-Headers"), "content-type");
  EXPECT_EQ(
      Fetch(server.port(), "POST", kChat, kHello, headers).Header("Access-Control-Allow-Origin"),
      "https://chat.example.org");
  TestServer closed;
  const ClientResponse local = Fetch(closed.port(), "OPTIONS", kChat, "",
                                     "Host: localhost\r\nOrigin: http://localhost:3000\r\n");
  EXPECT_EQ(local.Header("Access-Control-Allow-Origin"), "");
}

TEST(Service, TokensThereAndBack) {
  TestServer server;
  const OrderedJson json =
      server.PostJson("/tokenize", R"({"content": "Hi<think>", "with_pieces": true})");
  EXPECT_EQ(json["tokens"][1], (OrderedJson{{"id", 105}, {"piece", "i"}}));
  EXPECT_EQ(json["tokens"].size(), 3u);
  EXPECT_EQ(server.PostJson("/detokenize", R"({"tokens": [72, 105, 256]})")["content"],
            "Hi<think>");
  for (const char* wrong :
       {"{}", R"({"tokens": [1.5]})", R"({"tokens": [-1]})", R"({"tokens": [9999]})",
        R"({"tokens": "x"})", R"({"tokens": [1e99]})"}) {
    EXPECT_EQ(server.PostJson("/detokenize", wrong, 400)["error"]["param"], "tokens") << wrong;
  }
  EXPECT_EQ(server.PostJson("/tokenize", "{}", 400)["error"]["param"], "content");
  // The names that lm-evaluation-harness knows.
  EXPECT_EQ(
      server.PostJson("/tokenize", R"({"prompt": "Hi", "add_special_tokens": false})")["tokens"],
      (OrderedJson{72, 105}));
  EXPECT_EQ(server.PostJson("/detokenize", R"({"tokens": [72, 105]})")["prompt"], "Hi");
  const OrderedJson info = *ParseJson(server.Get("/tokenizer_info").body, "tokenizer_info");
  EXPECT_TRUE(info.contains("eos_token"));
  EXPECT_TRUE(info["bos_token"].is_null() || info["bos_token"].is_string());
  EXPECT_EQ(info["model_max_length"], 4000);
}

TEST(Service, HostileBodiesAreRefusedAtOnce) {
  TestServer server;
  std::string deep = R"({"messages": )" + std::string(10000, '[') + std::string(10000, ']') + "}";
  std::string many = R"({"messages": [0)";
  for (int i = 0; i < 5000000; ++i) many += ",0";
  many += "]}";
  for (const std::string& body :
       {deep, many, std::string("{"), std::string("[]"), std::string("\xff\xfe"),
        std::string("{\"a\": 1e999}"), std::string("{\"messages\": null}"), std::string("{}{}"),
        std::string(1000000, '{'), std::string("nul")}) {
    EXPECT_EQ(server.PostJson(kChat, body, 400)["error"]["type"], "invalid_request_error");
  }
  std::string stops = R"({"stop": [)";
  for (int i = 0; i < 65; ++i) stops += (i > 0 ? ",\"" : "\"") + std::string("x\"");
  EXPECT_EQ(server.PostJson(kChat, stops + R"(], "messages": [{"role": "user", "content": "x"}]})",
                            400)["error"]["param"],
            "stop");
  std::string tools = R"({"tools": [)";
  for (int i = 0; i < 600; ++i) {
    tools += (i > 0 ? "," : "") + std::string(R"({"type": "function", "function": {"name": "f"}})");
  }
  EXPECT_EQ(server.PostJson(kChat, tools + R"(], "messages": [{"role": "user", "content": "x"}]})",
                            400)["error"]["param"],
            "tools");
  const OrderedJson large = server.PostJson(
      kChat, R"({"messages": [{"role": "user", "content": ")" + std::string(5000, 'x') + R"("}]})",
      400);
  EXPECT_EQ(large["error"]["code"], "context_length_exceeded");
}

TEST(Service, SignsOfLifeWhileThePromptIsRead) {
  TestServer server;
  server.generator->Hold();
  HttpClient client(server.port());
  ASSERT_TRUE(client.SendRequest("POST", kChat, kHelloStream));
  // Head, role and two comments come while nothing is answered yet.
  ASSERT_TRUE(Eventually([&] {
    client.More(20);
    const std::size_t first = client.buffer().find(": waiting");
    return first != std::string::npos &&
           client.buffer().find(": waiting", first + 1) != std::string::npos;
  }));
  EXPECT_NE(client.buffer().find("\"role\":\"assistant\""), std::string::npos);
  server.generator->Release();
  const ClientResponse response = client.Receive();
  EXPECT_TRUE(response.whole);
  EXPECT_NE(response.body.find("[DONE]"), std::string::npos);

  server.generator->Hold();
  HttpClient other(server.port());
  ASSERT_TRUE(other.SendRequest(
      "POST", "/v1/messages",
      R"({"stream": true, "max_tokens": 5, "messages": [{"role": "user", "content": "Hi"}]})"));
  ASSERT_TRUE(Eventually([&] {
    other.More(20);
    const std::string& seen = other.buffer();
    const std::size_t first = seen.find("event: ping");
    return first != std::string::npos && seen.find("event: ping", first + 1) != std::string::npos;
  }));
  server.generator->Release();
  EXPECT_NE(other.Receive().body.find("message_stop"), std::string::npos);
}

// Clients see that the request was taken, whatever the API.
TEST(Service, StreamsBeginBeforeThePromptIsRead) {
  constexpr int kNeverMs = 3600000;  // no sign of life comes by itself
  TestServer server(AccessOptions(), true, ModelHostOptions(), kNeverMs);
  const std::string messages = R"("messages": [{"role": "user", "content": "Hi"}])";
  const std::string prompt = R"("prompt": "Hi")";
  const std::map<std::string, std::string> asked = {{kChat, messages},
                                                    {"/v1/completions", prompt},
                                                    {"/v1/responses", R"("input": "Hi")"},
                                                    {"/v1/messages", messages},
                                                    {"/api/chat", messages},
                                                    {"/api/generate", prompt}};
  for (const auto& [path, field] : asked) {
    server.generator->Hold();
    HttpClient client(server.port());
    ASSERT_TRUE(
        client.SendRequest("POST", path, R"({"stream": true, "max_tokens": 5, )" + field + "}"));
    // Behind the head comes a first piece of the body.
    ASSERT_TRUE(Eventually([&] {
      client.More(20);
      const std::size_t head = client.buffer().find("\r\n\r\n");
      return head != std::string::npos && client.buffer().size() > head + 4;
    })) << path;
    EXPECT_EQ(server.generator->n_waiting(), 1u) << path;
    server.generator->Release();
    EXPECT_TRUE(client.Receive().whole) << path;
  }
}

// What the choices of one request share is read once, and it was not kept from an earlier one.
TEST(Service, ReusedTokensAreThoseOfEarlierRequests) {
  TestServer server;
  const std::string body = R"({"n": 3, "messages": [{"role": "user", "content": "Hi"}]})";
  OrderedJson usage = server.PostJson(kChat, body)["usage"];
  EXPECT_EQ(usage["prompt_tokens_details"]["cached_tokens"], 0);
  usage = server.PostJson(kChat, body)["usage"];
  EXPECT_EQ(usage["prompt_tokens_details"]["cached_tokens"], usage["prompt_tokens"]);
}

TEST(Service, AClientThatLeavesFreesItsSlot) {
  TestServer server;
  for (const char* body : {kHello, kHelloStream}) {
    const std::size_t before = server.generator->n_cancelled();
    server.generator->Hold();
    HttpClient client(server.port());
    ASSERT_TRUE(client.SendRequest("POST", kChat, body));
    ASSERT_TRUE(Eventually([&] { return server.generator->n_waiting() == 1; }));
    client.Close();
    EXPECT_TRUE(Eventually([&] { return server.generator->n_cancelled() == before + 1; }));
    server.generator->Release();
    EXPECT_TRUE(Eventually([&] { return server.generator->n_waiting() == 0; }));
  }
  EXPECT_EQ(server.PostJson(kChat, kHello)["choices"][0]["message"]["content"], "Hello.");
  EXPECT_EQ(server.stats().n_gone, 2u);
}

TEST(Service, AFullQueueSaysWhenToComeBack) {
  TestServer server;
  server.generator->queue_limit = 0;
  const ClientResponse response = server.Post(kChat, kHello);
  EXPECT_EQ(response.status, 429);
  EXPECT_EQ(response.Header("Retry-After"), "7");
  EXPECT_EQ(server.Post(kChat, kHelloStream).status, 429);
}

TEST(Service, FailuresOnTheWay) {
  TestServer server;
  server.generator->failure = IoError("the disk is gone");
  const OrderedJson whole = server.PostJson(kChat, kHello, 500);
  EXPECT_EQ(whole["error"]["type"], "server_error");
  EXPECT_EQ(whole["error"]["message"], "the disk is gone");
  const ClientResponse stream = server.Post(kChat, kHelloStream);
  EXPECT_EQ(stream.status, 200);
  EXPECT_EQ(stream.body.find("[DONE]"), std::string::npos);
  EXPECT_EQ(EventsOf(stream.body).back().json()["error"]["message"], "the disk is gone");
  const auto messages = EventsOf(
      server
          .Post(
              "/v1/messages",
              R"({"stream": true, "max_tokens": 5, "messages": [{"role": "user", "content": "Hi"}]})")
          .body);
  EXPECT_EQ(messages.back().name, "error");
  const auto responses =
      EventsOf(server.Post("/v1/responses", R"({"stream": true, "input": "Hi"})").body);
  EXPECT_EQ(responses.back().name, "response.failed");
}

TEST(Service, FiguresAndDescriptionCanBeRead) {
  TestServer server;
  server.PostJson(kChat, kHello);
  server.Get("/nothing");
  const std::string metrics = server.Get("/metrics").body;
  EXPECT_NE(metrics.find("larder_answers_total 1\n"), std::string::npos);
  EXPECT_NE(
      metrics.find("larder_http_responses_total{path=\"/v1/chat/completions\",status=\"200\"} 1"),
      std::string::npos);
  EXPECT_NE(metrics.find("larder_http_responses_total{path=\"refused\",status=\"404\"} 1"),
            std::string::npos);
  EXPECT_NE(metrics.find("# TYPE larder_expert_hits_total counter"), std::string::npos);
  const Result<OrderedJson> description = ParseJson(server.Get("/openapi.json").body, "it");
  ASSERT_TRUE(description.ok()) << description.status().message();
  EXPECT_TRUE(description->at("paths").contains("/v1/responses"));
  EXPECT_EQ(ParseJson(server.Get("/props").body, "props")->at("call_format"), "qwen-xml");
  EXPECT_EQ(ParseJson(server.Get("/slots").body, "slots")->at("slots").size(), 1u);
}

// Each of many choices is answered in its turn, and none is lost.
TEST(Service, ManyPromptsInOneRequest) {
  TestServer server;
  server.generator->queue_limit = 4;
  std::string prompts;
  for (int i = 0; i < 32; ++i) prompts += (i > 0 ? ",\"p" : "\"p") + std::to_string(i) + "\"";
  const OrderedJson json = server.PostJson(
      "/v1/completions",
      "{\"echo\": true, \"n\": 2, \"max_tokens\": 1, \"prompt\": [" + prompts + "]}");
  ASSERT_EQ(json["choices"].size(), 64u);
  EXPECT_EQ(json["choices"][63]["text"], "p31H");
  EXPECT_EQ(json["choices"][62]["index"], 62);
}

// A request that was taken is never refused in the middle, whoever took the places in the queue.
TEST(Service, ChoicesThatFollowNeedNoPlaceInTheQueue) {
  TestServer server;
  server.generator->Hold();
  HttpClient client(server.port());
  ASSERT_TRUE(
      client.SendRequest("POST", "/v1/completions", R"({"n": 8, "max_tokens": 1, "prompt": "p"})"));
  ASSERT_TRUE(Eventually([&] { return server.generator->n_waiting() == 4; }));
  server.generator->queue_limit = 0;
  server.generator->Release();
  const ClientResponse response = client.Receive();
  EXPECT_EQ(response.status, 200) << response.body;
  EXPECT_EQ((*ParseJson(response.body, "answer"))["choices"].size(), 8u);
}

}  // namespace
}  // namespace larder
