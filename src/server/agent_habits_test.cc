// Billing lines leave the prompt in every dialect; small requests beside a conversation are known
// by their shape, and conversations are not taken for them.
#include "server/agent_habits.h"

#include <gtest/gtest.h>

#include "server/server_testing.h"

namespace larder {
namespace {

// The prompt's own bytes, special tokens left out.
std::string PromptOf(TestServer& server) {
  std::string prompt;
  for (const std::int32_t token : server.generator->TakeLast().prompt) {
    if (token < 256) prompt += static_cast<char>(token);
  }
  return prompt;
}

TEST(AgentHabits, BillingLinesLeaveThePromptInEveryDialect) {
  TestServer server;
  const std::string bill = "x-anthropic-billing-header: v=2.1; cch=83a2;";
  const std::string hi = R"({"role": "user", "content": "Hi"})";
  const auto text = [](const std::string& value) { return JsonText(OrderedJson(value)); };
  const auto part = [&](const std::string& value, const char* type) {
    return std::string("{\"type\": \"") + type + "\", \"text\": " + text(value) + "}";
  };
  const std::string joined = text(bill + "\n\nBe brief.");
  const std::string both = part(bill, "text") + ", " + part("Be brief.", "text");
  const std::pair<const char*, std::string> requests[] = {
      {"/v1/messages", "\"max_tokens\": 5, \"system\": [" + both + "], \"messages\": [" + hi + "]"},
      {"/v1/messages", "\"max_tokens\": 5, \"system\": " + joined + ", \"messages\": [" + hi + "]"},
      {"/v1/chat/completions",
       "\"messages\": [{\"role\": \"system\", \"content\": " + joined + "}, " + hi + "]"},
      {"/v1/chat/completions",
       "\"messages\": [{\"role\": \"system\", \"content\": [" + both + "]}, " + hi + "]"},
      {"/v1/chat/completions", "\"messages\": [{\"role\": \"system\", \"content\": " + text(bill) +
                                   "}, {\"role\": \"developer\", \"content\": \"Be brief.\"}, " +
                                   hi + "]"},
      {"/v1/responses", "\"instructions\": " + joined + ", \"input\": [" + hi + "]"},
      {"/v1/responses", "\"input\": [{\"role\": \"developer\", \"content\": [" +
                            part(bill + "\nBe brief.", "input_text") + "]}, " + hi + "]"},
      {"/api/chat", "\"stream\": false, \"messages\": [{\"role\": \"system\", \"content\": " +
                        joined + "}, " + hi + "]"},
      {"/api/generate", "\"stream\": false, \"prompt\": \"Hi\", \"system\": " + joined},
  };
  for (const auto& [path, body] : requests) {
    server.PostJson(path, "{" + body + "}");
    EXPECT_EQ(PromptOf(server).rfind("system\nBe brief.\nuser\nHi\n", 0), 0u) << path << body;
  }
  // Only at the very beginning, and only the line.
  server.PostJson("/v1/chat/completions",
                  "{\"messages\": [{\"role\": \"user\", \"content\": " + text(bill) + "}]}");
  EXPECT_NE(PromptOf(server).find("cch=83a2"), std::string::npos);
  server.PostJson("/v1/chat/completions",
                  "{\"messages\": [{\"role\": \"system\", \"content\": " + text(bill) + "}]}");
  EXPECT_EQ(PromptOf(server).find("cch=83a2"), std::string::npos);
}

ChatRequest Asking(std::vector<Message> messages) {
  ChatRequest request;
  request.messages = std::move(messages);
  return request;
}

TEST(AgentHabits, SmallRequestsAreKnownByTheirShape) {
  for (const char* task : {"### Task:\nFind tags for this.", "\n### Task: a title",
                           "Answer with a title for the chat that is short.\n\nHello"}) {
    EXPECT_TRUE(IsSideRequest(Asking({UserMessage(task + std::string(20000, 'x'))}))) << task;
  }
  for (const char* task : {"Say whether this message indicates a new conversation topic.",
                           "You are a title generator.", "Write a 5-10 word title."}) {
    EXPECT_TRUE(IsSideRequest(Asking({SystemMessage("You work here."), SystemMessage(task),
                                      UserMessage("Hello"), UserMessage("there")})))
        << task;
  }
  ChatRequest quota = Asking({UserMessage("quota")});
  EXPECT_FALSE(IsSideRequest(quota));
  quota.max_tokens = 64;
  EXPECT_TRUE(IsSideRequest(quota));
  quota.max_tokens = 65;
  EXPECT_FALSE(IsSideRequest(quota));
}

TEST(AgentHabits, ConversationsAreNoSmallRequests) {
  const std::string task = "### Task:\nGive a title.";
  EXPECT_FALSE(IsSideRequest(Asking({})));
  EXPECT_FALSE(IsSideRequest(Asking({UserMessage("What is a good name for a boat?")})));
  EXPECT_FALSE(
      IsSideRequest(Asking({UserMessage(task), AssistantMessage("Boats"), UserMessage("Why?")})));
  ChatRequest with_tools = Asking({UserMessage(task)});
  with_tools.tools.push_back(MakeTool("f", "", "{}"));
  EXPECT_FALSE(IsSideRequest(with_tools));
  ChatRequest large = Asking({SystemMessage(std::string(5000, 'x')), UserMessage("yes or no")});
  large.max_tokens = 1;  // many of these share their instructions
  EXPECT_FALSE(IsSideRequest(large));
  EXPECT_FALSE(IsSideRequest(
      Asking({SystemMessage(std::string(9000, 'x') + "generate a title"), UserMessage("Go")})));
  EXPECT_FALSE(IsSideRequest(Asking({UserMessage(std::string(500, 'x') + task)})));
  ChatRequest raw;
  raw.is_chat = false;
  raw.max_tokens = 1;
  EXPECT_FALSE(IsSideRequest(raw));
}

// As the generator hears of it.
TEST(AgentHabits, TheGeneratorIsTold) {
  TestServer server;
  server.PostJson("/v1/chat/completions",
                  R"({"messages": [{"role": "user", "content": "### Task:\nTags, please."}]})");
  EXPECT_TRUE(server.generator->TakeLast().side_request);
  server.PostJson("/v1/chat/completions", R"({"messages": [{"role": "user", "content": "Hi"}]})");
  EXPECT_FALSE(server.generator->TakeLast().side_request);
}

}  // namespace
}  // namespace larder
