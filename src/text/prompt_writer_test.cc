// Which template writes a prompt, what it sees, and plain ChatML where there is none.
#include "text/prompt_writer.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>

#include "text/chatml.h"
#include "text/vocabulary_testing.h"

namespace larder {
namespace {

Metadata WithTemplates(const std::string& plain, const std::string& tool_use) {
  Metadata metadata = SmallVocabulary("gpt-2", {}, {}, {"<s>", "<|im_start|>", "<|im_end|>"});
  if (!plain.empty()) metadata.SetString("tokenizer.chat_template", plain);
  if (!tool_use.empty()) metadata.SetString("tokenizer.chat_template.tool_use", tool_use);
  return metadata;
}

std::unique_ptr<Tokenizer> TokenizerOf(const Metadata& metadata) {
  auto tokenizer = Tokenizer::FromMetadata(metadata);
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  return std::move(*tokenizer);
}

std::vector<ToolDefinition> OneTool() { return {MakeTool("f", "does f", "{}")}; }

TEST(PromptWriter, TakesTheModelsTemplate) {
  const Metadata none = WithTemplates("", "");
  const auto tokenizer = TokenizerOf(none);
  const std::vector<Message> question = {UserMessage("q")};
  EXPECT_EQ(*PromptWriter::Make(none, tokenizer.get())->Render(question, {}, {}),
            "<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\n");
  const Metadata both =
      WithTemplates("[{{ messages[-1].content }}{{ enable_thinking }}]", "T{{ tools|length }}");
  const Result<PromptWriter> writer = PromptWriter::Make(both, tokenizer.get());
  ASSERT_TRUE(writer.ok());
  EXPECT_EQ(*writer->Render(question, {}, {}), "[qFalse]");
  EXPECT_EQ(*writer->Render(question, {}, {.thinking = true}), "[qTrue]");
  EXPECT_EQ(*writer->Render(question, OneTool(), {}), "T1");
  EXPECT_FALSE(PromptWriter::Make(WithTemplates("{{", ""), tokenizer.get()).ok());
  const Result<PromptWriter> chosen =
      PromptWriter::Make(both, tokenizer.get(), *ChatTemplate::Parse("C{{ messages|length }}"));
  EXPECT_EQ(*chosen->Render(question, OneTool(), {}), "C1");
}

TEST(PromptWriter, TemplatesByName) {
  Metadata metadata = WithTemplates("default", "tools");
  metadata.SetString("tokenizer.chat_template.rag", "rag");
  EXPECT_EQ(NamedChatTemplate(metadata, "rag")->source(), "rag");
  EXPECT_EQ(NamedChatTemplate(metadata, "tool_use")->source(), "tools");
  EXPECT_EQ(NamedChatTemplate(metadata, "default")->source(), "default");
  const Status missing = NamedChatTemplate(metadata, "rug").status();
  EXPECT_EQ(missing.code(), StatusCode::kNotFound);
  EXPECT_EQ(missing.message(),
            "the model has no chat template 'rug'; it has default, rag, tool_use");
  EXPECT_EQ(NamedChatTemplate(Metadata(), "x").status().message(),
            "the model has no chat template 'x'; it has none");
}

TEST(PromptWriter, BeginTokenIsNeverDoubled) {
  Metadata metadata = WithTemplates("{{ bos_token }}{{ messages[0].content }}", "");
  const auto probe = TokenizerOf(metadata);
  const auto begin = probe->FindToken("<s>");
  ASSERT_TRUE(begin.has_value());
  metadata.SetUint32("tokenizer.ggml.bos_token_id", static_cast<std::uint32_t>(*begin));
  metadata.SetBool("tokenizer.ggml.add_bos_token", true);
  const auto tokenizer = TokenizerOf(metadata);
  const auto tokens = [&]() -> std::vector<std::int32_t> {
    const Result<PromptWriter> writer = PromptWriter::Make(metadata, tokenizer.get());
    EXPECT_TRUE(writer.ok());
    const Result<std::string> text = writer->Render({UserMessage("a")}, {}, {});
    EXPECT_TRUE(text.ok());
    return *writer->Encode(*text);
  };
  const std::vector<std::int32_t> written = tokens();
  EXPECT_EQ(written, (std::vector<std::int32_t>{*begin, 'a'}));
  metadata.SetString("tokenizer.chat_template", "{{ messages[0].content }}");
  EXPECT_EQ(tokens(), written);
}

// A conversation with everything that ChatML writes.
std::vector<Message> Everything() {
  Message call = AssistantMessage("Let me see.");
  call.tool_calls = {{"1", "add", R"({"a": 2, "b": [3, "x"]})"}, {"2", "now", "{}"}};
  Message silent;
  silent.role = Role::kAssistant;
  silent.tool_calls = {{"3", "now", "{}"}};
  return {SystemMessage("Be brief."),
          UserMessage("What is 2 + 3?\n"),
          call,
          ToolMessage(call.tool_calls[0], "5"),
          ToolMessage(call.tool_calls[1], "noon"),
          silent,
          ToolMessage(silent.tool_calls[0], "noon"),
          AssistantMessage("Five, at noon."),
          UserMessage("Thanks \xc3\xa9 <b>")};
}

std::vector<ToolDefinition> TwoTools() {
  std::vector<ToolDefinition> tools(2);
  tools[0].definition_json =
      R"({"type": "function", "function": {"name": "add", "description": "Adds two numbers", "parameters": {"type": "object", "properties": {"a": {"type": "number"}, "b": {"type": "number"}}, "required": ["a", "b"]}}})";
  tools[1].definition_json =
      R"({"type": "function", "function": {"name": "now", "parameters": {}}})";
  return tools;
}

TEST(ChatMl, OneTurnEqualsQwensTemplates) {
  struct Case {
    bool system, tools;
    std::size_t n_bytes;
    std::uint64_t hash;  // FNV-1a of what jinja2 makes of Qwen3's and Qwen2.5's templates
  };
  for (const Case& one : {Case{false, false, 65, 0x6e06f37242d0fb4full},
                          Case{false, true, 743, 0x0077974902947f4eull},
                          Case{true, false, 104, 0xb1dfd8808ad3ebd4ull},
                          Case{true, true, 754, 0xf95b4bc0d08f79a1ull}}) {
    std::vector<Message> messages;
    if (one.system) messages.push_back(SystemMessage("Be brief."));
    messages.push_back(UserMessage("What is 2 + 3?\n"));
    const std::string text =
        FormatChatMl(messages, one.tools ? TwoTools() : std::vector<ToolDefinition>(), true);
    std::uint64_t hash = 0xcbf29ce484222325ull;
    for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ull;
    EXPECT_EQ(text.size(), one.n_bytes) << text;
    EXPECT_EQ(hash, one.hash) << text;
  }
}

TEST(ChatMl, AConversationEqualsQwensTemplate) {
  const auto path = std::filesystem::path(LARDER_SOURCE_DIR) /
                    "../shared/testdata/templates/Qwen-Qwen2.5-7B-Instruct.jinja";
  std::ifstream file(path);
  if (!file) GTEST_SKIP() << "the templates are not beside the repository (../shared/testdata)";
  std::stringstream source;
  source << file.rdbuf();
  const auto tokenizer = TokenizerOf(WithTemplates("", ""));
  const auto writer =
      PromptWriter::Make(Metadata(), tokenizer.get(), *ChatTemplate::Parse(source.str()));
  for (const bool prompted : {false, true}) {
    EXPECT_EQ(FormatChatMl(Everything(), TwoTools(), prompted),
              *writer->Render(Everything(), TwoTools(), {.add_generation_prompt = prompted}));
  }
}

TEST(ChatMl, AnswersAndCalls) {
  EXPECT_EQ(FormatChatMl(Everything(), {}, false),
            "<|im_start|>system\nBe brief.<|im_end|>\n"
            "<|im_start|>user\nWhat is 2 + 3?\n<|im_end|>\n"
            "<|im_start|>assistant\nLet me see.\n<tool_call>\n{\"name\": \"add\", \"arguments\": "
            "{\"a\": 2, \"b\": [3, \"x\"]}}\n</tool_call>\n<tool_call>\n{\"name\": \"now\", "
            "\"arguments\": {}}\n</tool_call><|im_end|>\n"
            "<|im_start|>user\n<tool_response>\n5\n</tool_response>\n<tool_response>\nnoon\n"
            "</tool_response><|im_end|>\n"
            "<|im_start|>assistant\n<tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n"
            "</tool_call><|im_end|>\n"
            "<|im_start|>user\n<tool_response>\nnoon\n</tool_response><|im_end|>\n"
            "<|im_start|>assistant\nFive, at noon.<|im_end|>\n"
            "<|im_start|>user\nThanks \xc3\xa9 <b><|im_end|>\n");
  EXPECT_EQ(FormatChatMl({}, {}, true), "<|im_start|>assistant\n");
}

}  // namespace
}  // namespace larder
