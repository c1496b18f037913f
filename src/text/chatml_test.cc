// ChatML prompts against the texts that Qwen's templates give.
#include "text/chatml.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

namespace larder {
namespace {

TEST(ChatMl, PlainWithoutTemplate) {
  const ChatMlFormat format = ChatMlFormatFor(Metadata());
  ChatMlPrompt prompt;
  prompt.user = " Hello ";
  EXPECT_EQ(FormatChatMl(format, prompt),
            "<|im_start|>user\n Hello <|im_end|>\n<|im_start|>assistant\n");
  prompt.system = "Be brief.";
  EXPECT_EQ(FormatChatMl(format, prompt),
            "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n Hello <|im_end|>\n"
            "<|im_start|>assistant\n");
}

TEST(ChatMl, ThinkBlocks) {
  ChatMlPrompt prompt;
  prompt.user = "q";
  const auto tail = [&](ThinkFormat think, bool thinking) {
    ChatMlFormat format;
    format.think = think;
    prompt.thinking = thinking;
    const std::string text = FormatChatMl(format, prompt);
    return text.substr(text.find("assistant\n") + 10);
  };
  EXPECT_EQ(tail(ThinkFormat::kNone, false), "");
  EXPECT_EQ(tail(ThinkFormat::kSwitched, false), "<think>\n\n</think>\n\n");
  EXPECT_EQ(tail(ThinkFormat::kSwitched, true), "");
  EXPECT_EQ(tail(ThinkFormat::kSwitchedOpen, false), "<think>\n\n</think>\n\n");
  EXPECT_EQ(tail(ThinkFormat::kSwitchedOpen, true), "<think>\n");
  EXPECT_EQ(tail(ThinkFormat::kAlways, false), "<think>\n");
}

TEST(ChatMl, TrimsUnicodeSpace) {
  ChatMlFormat format;
  format.trim = true;
  ChatMlPrompt prompt;
  prompt.user = "\xe3\x80\x80\n a b\x1f\xc2\xa0";
  EXPECT_EQ(FormatChatMl(format, prompt),
            "<|im_start|>user\na b<|im_end|>\n<|im_start|>assistant\n");
  prompt.user = " \n";
  EXPECT_EQ(FormatChatMl(format, prompt), "<|im_start|>user\n<|im_end|>\n<|im_start|>assistant\n");
}

// The format found in a template file, when the files lie beside the repository.
struct TemplateCase {
  const char* file;
  ThinkFormat think;
  ToolFormat tools;
  bool trim;
  bool default_system;
};

class TemplateFile : public testing::TestWithParam<TemplateCase> {};

TEST_P(TemplateFile, IsRecognised) {
  const auto path =
      std::filesystem::path(LARDER_SOURCE_DIR) / "../shared/testdata/templates" / GetParam().file;
  std::ifstream file(path);
  if (!file) GTEST_SKIP() << "the templates are not beside the repository (../shared/testdata)";
  std::stringstream source;
  source << file.rdbuf();
  Metadata metadata;
  metadata.SetString("tokenizer.chat_template", source.str());
  const ChatMlFormat format = ChatMlFormatFor(metadata);
  EXPECT_EQ(format.think, GetParam().think);
  EXPECT_EQ(format.tools, GetParam().tools);
  EXPECT_EQ(format.trim, GetParam().trim);
  EXPECT_EQ(!format.default_system.empty(), GetParam().default_system);
}

INSTANTIATE_TEST_SUITE_P(
    Files, TemplateFile,
    testing::Values(
        TemplateCase{"Qwen3.5-4B.jinja", ThinkFormat::kSwitchedOpen, ToolFormat::kXml, true, false},
        TemplateCase{"Qwen-Qwen3-0.6B.jinja", ThinkFormat::kSwitched, ToolFormat::kJson, false,
                     false},
        TemplateCase{"Qwen-Qwen2.5-7B-Instruct.jinja", ThinkFormat::kNone, ToolFormat::kJson, false,
                     true},
        TemplateCase{"Qwen3-Coder.jinja", ThinkFormat::kNone, ToolFormat::kXml, false, false}));

struct Rendered {
  const char* file;
  bool system;
  bool tools;
  bool thinking;
  std::size_t n_bytes;
  std::uint64_t hash;  // FNV-1a of the text
};

// Rendered from the template files by jinja2, set up as transformers does.
constexpr Rendered kRendered[] = {
    {"Qwen3.5-4B.jinja", false, false, false, 83, 0x229a1fbf43e41672ull},
    {"Qwen3.5-4B.jinja", false, false, true, 72, 0x569c1ba5fe6f07f5ull},
    {"Qwen3.5-4B.jinja", false, true, false, 1277, 0x0d518c9e3e172b85ull},
    {"Qwen3.5-4B.jinja", false, true, true, 1266, 0x3de2fca00c486e3cull},
    {"Qwen3.5-4B.jinja", true, false, false, 122, 0x70e8f608fe31f509ull},
    {"Qwen3.5-4B.jinja", true, false, true, 111, 0xd1fbb71326ce9b10ull},
    {"Qwen3.5-4B.jinja", true, true, false, 1288, 0x47e1e719a1fbc4f0ull},
    {"Qwen3.5-4B.jinja", true, true, true, 1277, 0x3b62b8ffd697c8e3ull},
    {"Qwen-Qwen3-0.6B.jinja", false, false, false, 84, 0x8dcd38128df30870ull},
    {"Qwen-Qwen3-0.6B.jinja", false, false, true, 65, 0x6e06f37242d0fb4full},
    {"Qwen-Qwen3-0.6B.jinja", false, true, false, 762, 0x2d827359e55f15ebull},
    {"Qwen-Qwen3-0.6B.jinja", false, true, true, 743, 0x0077974902947f4eull},
    {"Qwen-Qwen3-0.6B.jinja", true, false, false, 123, 0x0e0c460c7e3b2459ull},
    {"Qwen-Qwen3-0.6B.jinja", true, false, true, 104, 0xb1dfd8808ad3ebd4ull},
    {"Qwen-Qwen3-0.6B.jinja", true, true, false, 773, 0x4c5f72e65904e012ull},
    {"Qwen-Qwen3-0.6B.jinja", true, true, true, 754, 0xf95b4bc0d08f79a1ull},
    {"Qwen-Qwen2.5-7B-Instruct.jinja", false, false, false, 163, 0xffed9440dc1ff03full},
    {"Qwen-Qwen2.5-7B-Instruct.jinja", false, false, true, 163, 0xffed9440dc1ff03full},
    {"Qwen-Qwen2.5-7B-Instruct.jinja", false, true, false, 813, 0x4ebdb46eb0fcbac2ull},
    {"Qwen-Qwen2.5-7B-Instruct.jinja", false, true, true, 813, 0x4ebdb46eb0fcbac2ull},
    {"Qwen-Qwen2.5-7B-Instruct.jinja", true, false, false, 104, 0xb1dfd8808ad3ebd4ull},
    {"Qwen-Qwen2.5-7B-Instruct.jinja", true, false, true, 104, 0xb1dfd8808ad3ebd4ull},
    {"Qwen-Qwen2.5-7B-Instruct.jinja", true, true, false, 754, 0xf95b4bc0d08f79a1ull},
    {"Qwen-Qwen2.5-7B-Instruct.jinja", true, true, true, 754, 0xf95b4bc0d08f79a1ull},
};

ChatMlFormat FormatOf(std::string_view file) {
  if (file == "Qwen3.5-4B.jinja") {
    return {ThinkFormat::kSwitchedOpen, ToolFormat::kXml, true, ""};
  }
  if (file == "Qwen-Qwen3-0.6B.jinja") {
    return {ThinkFormat::kSwitched, ToolFormat::kJson, false, ""};
  }
  return {ThinkFormat::kNone, ToolFormat::kJson, false,
          "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."};
}

TEST(ChatMl, EqualsTheTemplates) {
  for (const Rendered& rendered : kRendered) {
    ChatMlPrompt prompt;
    prompt.user = "What is 2 + 3?\n";
    if (rendered.system) prompt.system = "Be brief.";
    if (rendered.tools) {
      prompt.tools = {
          R"({"type": "function", "function": {"name": "add", "description": "Adds two numbers", "parameters": {"type": "object", "properties": {"a": {"type": "number"}, "b": {"type": "number"}}, "required": ["a", "b"]}}})",
          R"({"type": "function", "function": {"name": "now", "parameters": {}}})"};
    }
    prompt.thinking = rendered.thinking;
    const std::string text = FormatChatMl(FormatOf(rendered.file), prompt);
    std::uint64_t hash = 0xcbf29ce484222325ull;
    for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ull;
    EXPECT_EQ(text.size(), rendered.n_bytes) << rendered.file << "\n" << text;
    EXPECT_EQ(hash, rendered.hash) << rendered.file << "\n" << text;
  }
}

}  // namespace
}  // namespace larder
