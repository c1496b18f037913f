// What clients of each dialect are told of calls that are cut off or break: the same whole and as a
// stream.
#include <gtest/gtest.h>

#include <ostream>

#include "server/server_testing.h"

namespace larder {
namespace {

constexpr const char* kCall =
    "<tool_call>\n<function=f>\n<parameter=x>\n5\n</parameter>\n</function>\n</tool_call>";
constexpr const char* kMessages = "/v1/messages";
constexpr const char* kResponses = "/v1/responses";

// What a client can tell of an answer: its words, its calls ("name arguments") and, where the
// dialect says so, the places of its texts among them; why it ended.
struct Told {
  std::string text;
  std::vector<std::string> calls;
  std::string reason;
  bool operator==(const Told&) const = default;
};

std::ostream& operator<<(std::ostream& out, const Told& told) {
  out << "'" << told.text << "'";
  for (const std::string& call : told.calls) out << " [" << call << "]";
  return out << " " << told.reason;
}

std::string NameAndArguments(const OrderedJson& function) {
  return function["name"].get<std::string>() + " " + function["arguments"].get<std::string>();
}

Told ChatTold(const TestServer& server, const std::string& fields, bool stream) {
  const std::string path = "/v1/chat/completions";
  Told told;
  if (!stream) {
    const OrderedJson choice = server.PostJson(path, "{" + fields + "}")["choices"][0];
    const OrderedJson& message = choice["message"];
    if (message["content"].is_string()) told.text = message["content"].get<std::string>();
    for (const OrderedJson& call : message.value("tool_calls", OrderedJson::array())) {
      told.calls.push_back(NameAndArguments(call["function"]));
    }
    told.reason = choice["finish_reason"].get<std::string>();
    return told;
  }
  for (const StreamEvent& event :
       EventsOf(server.Post(path, "{" + fields + ", \"stream\": true}").body)) {
    if (event.data == "[DONE]") continue;
    const OrderedJson choice = event.json()["choices"][0];
    told.text += choice["delta"].value("content", "");
    for (const OrderedJson& call : choice["delta"].value("tool_calls", OrderedJson::array())) {
      if (call.contains("id")) {
        told.calls.push_back(NameAndArguments(call["function"]));
      } else {
        told.calls.back() += call["function"]["arguments"].get<std::string>();
      }
    }
    if (choice["finish_reason"].is_string())
      told.reason = choice["finish_reason"].get<std::string>();
  }
  return told;
}

Told ResponsesTold(const TestServer& server, const std::string& fields, bool stream) {
  const OrderedJson response =
      stream ? EventsOf(server.Post(kResponses, "{" + fields + ", \"stream\": true}").body)
                   .back()
                   .json()["response"]
             : server.PostJson(kResponses, "{" + fields + "}");
  Told told;
  told.reason = response["status"].get<std::string>();
  for (const OrderedJson& item : response["output"]) {
    if (item["type"] == "message") {
      told.text += item["content"][0]["text"].get<std::string>();
      told.calls.push_back("text");
    } else {
      told.calls.push_back(NameAndArguments(item) + " " + item["status"].get<std::string>());
    }
  }
  return told;
}

// What a block's input came to: nothing of arguments that are cut off.
std::string InputText(const std::string& json) {
  const auto object = ParseJson(json, "it");
  return object.ok() ? JsonText(*object) : "{}";
}

Told MessagesTold(const TestServer& server, const std::string& fields, bool stream) {
  Told told;
  if (!stream) {
    const OrderedJson message = server.PostJson(kMessages, "{" + fields + "}");
    for (const OrderedJson& block : message["content"]) {
      const bool text = block["type"] == "text";
      told.calls.push_back(
          text ? "text" : block["name"].get<std::string>() + " " + JsonText(block["input"]));
      if (text) told.text += block["text"].get<std::string>();
    }
    told.reason = message["stop_reason"].get<std::string>();
    return told;
  }
  std::string json;
  for (const StreamEvent& event :
       EventsOf(server.Post(kMessages, "{" + fields + ", \"stream\": true}").body)) {
    const OrderedJson data = event.json();
    if (event.name == "content_block_start") {
      told.calls.push_back(data["content_block"].value("name", "text"));
      json.clear();
    } else if (event.name == "content_block_delta") {
      told.text += data["delta"].value("text", "");
      json += data["delta"].value("partial_json", "");
    } else if (event.name == "content_block_stop") {
      if (told.calls.back() != "text") told.calls.back() += " " + InputText(json);
    } else if (event.name == "message_delta") {
      told.reason = data["delta"]["stop_reason"].get<std::string>();
    }
  }
  return told;
}

Told OllamaTold(const TestServer& server, const std::string& fields, bool stream) {
  const std::string body = "{" + fields + ", \"stream\": " + (stream ? "true}" : "false}");
  Told told;
  for (const OrderedJson& line :
       LinesOf(server.Post("/api/chat", body).body + (stream ? "" : "\n"))) {
    told.text += line["message"]["content"].get<std::string>();
    for (const OrderedJson& call : line["message"].value("tool_calls", OrderedJson::array())) {
      told.calls.push_back(JsonText(call["function"]));
    }
    told.reason = line.value("done_reason", "");
  }
  return told;
}

// One answer of each dialect, whole and as a stream. `required`: calls only, or a JSON text.
std::vector<Told> TellAll(const TestServer& server, int limit, bool required) {
  const std::string schema = R"({"type": "object", "properties": {"x": {"type": "integer"}}})";
  const std::string hi = R"("messages": [{"role": "user", "content": "Hi"}])";
  const std::string functions =
      R"(, "tools": [{"type": "function", "function": {"name": "f", "parameters": )" + schema +
      "}}]";
  const std::string most = std::to_string(limit);
  const std::string choice = required ? R"(, "tool_choice": "required")" : "";
  const std::string chat = hi + functions + choice + ", \"max_tokens\": " + most;
  const std::string responses =
      R"("input": "Hi", "tools": [{"type": "function", "name": "f", "parameters": )" + schema +
      "}]" + choice + ", \"max_output_tokens\": " + most;
  const std::string messages = hi + R"(, "tools": [{"name": "f", "input_schema": )" + schema +
                               "}]" + (required ? R"(, "tool_choice": {"type": "any"})" : "") +
                               ", \"max_tokens\": " + most;
  const std::string ollama = hi + functions + (required ? R"(, "format": "json")" : "") +
                             R"(, "options": {"num_predict": )" + most + "}";
  std::vector<Told> all;
  for (const auto& [tell, fields] :
       {std::pair(&ChatTold, chat), std::pair(&ResponsesTold, responses),
        std::pair(&MessagesTold, messages), std::pair(&OllamaTold, ollama)}) {
    all.push_back(tell(server, fields, false));
    EXPECT_EQ(all.back(), tell(server, fields, true)) << fields;
  }
  return all;
}

TEST(Dialects, CallsAreTheSameWholeAndStreamed) {
  TestServer server;
  server.generator->answer = kCall;
  const int named = static_cast<int>(std::string(kCall).find("=f>")) + 3;
  const int closing = static_cast<int>(std::string(kCall).find("</tool"));
  for (int limit = 1; limit < static_cast<int>(std::string(kCall).size()); ++limit) {
    const std::vector<Told> all = TellAll(server, limit, true);
    for (const Told& told : all) EXPECT_EQ(told.text, "") << limit;
    EXPECT_EQ(all[0].reason, "length");
    EXPECT_EQ(all[0].calls.size(), limit < named ? 0u : 1u) << limit;
    // Behind a call whose closing is cut off, what there is of that is text.
    if (limit < closing) TellAll(server, limit, false);
  }
  // Broken without a limit, alone and behind one that is whole: shown as far as it came.
  const std::string broken = "<tool_call>\n<function=f>\n<parameter=x>\n5\n</parameter>\nx";
  server.generator->answer = broken + "</function>\n</tool_call>";
  EXPECT_EQ(TellAll(server, 1000, false),
            (std::vector<Told>{{"", {"f {\"x\":"}, "stop"},
                               {"", {"f {\"x\": incomplete"}, "completed"},
                               {"", {"f {}"}, "end_turn"},
                               {"", {}, "stop"}}));
  server.generator->answer = std::string(kCall) + "\n" + broken;
  EXPECT_EQ(TellAll(server, 1000, false)[2], (Told{"", {"f {\"x\":5}", "f {}"}, "end_turn"}));
}

TEST(Dialects, TextsStandWhereTheyCameAmongCalls) {
  TestServer server;
  server.generator->answer = std::string("Look.\n") + kCall + "\nDone.";
  const std::vector<Told> all = TellAll(server, 1000, false);
  EXPECT_EQ(all[1], (Told{"Look.Done.", {"text", "f {\"x\":5} completed", "text"}, "completed"}));
  EXPECT_EQ(all[2], (Told{"Look.Done.", {"text", "f {\"x\":5}", "text"}, "tool_use"}));
  // Each text has its own tokens.
  const OrderedJson response =
      server.PostJson(kResponses, R"({"input": "Hi", "include": ["message.output_text.logprobs"],
                      "tools": [{"type": "function", "name": "f", "parameters": {}}]})");
  EXPECT_EQ(response["output"][0]["content"][0]["logprobs"].size(), std::string("Look.").size());
}

}  // namespace
}  // namespace larder
