// Chat templates against Python's jinja2 as transformers sets it up: the same bytes, or both
// refuse. Conversations x templates (vendors' ones lie beside the repository, the demo model's in
// it), and thousands of small templates.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "text/chat_template.h"

namespace larder {
namespace {

using Json = nlohmann::ordered_json;

const std::filesystem::path kRoot = LARDER_SOURCE_DIR;

std::string ReadFile(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
}

Json ReadGolden(const std::string& name) {
  return Json::parse(ReadFile(kRoot / "tests/golden/templates" / name));
}

std::string Fnv1a(const std::string& text) {
  std::uint64_t hash = 0xcbf29ce484222325ull;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ull;
  return fmt::format("{:016x}", hash);
}

RenderOptions AtTime(const std::string& now) {
  RenderOptions options;
  std::tm time{};
  EXPECT_NE(strptime(now.c_str(), "%Y-%m-%d %H:%M:%S", &time), nullptr);
  options.now = time;
  return options;
}

struct Count {
  int n_pairs = 0, n_refused = 0, n_different = 0;
};

// One template over all conversations, by JSON text and by document in turn.
void Compare(const std::string& name, const std::string& source, const Json& conversations,
             const Json& texts, const RenderOptions& options, Count* count) {
  const Result<ChatTemplate> chat = ChatTemplate::Parse(source);
  ASSERT_TRUE(chat.ok()) << name << ": " << chat.status().message();
  ASSERT_EQ(conversations.size(), texts.size());
  for (std::size_t i = 0; i < conversations.size(); ++i) {
    const Result<std::string> text = i % 2 == 0
                                         ? chat->Render(conversations[i], options)
                                         : chat->RenderText(conversations[i].dump(), options);
    ++count->n_pairs;
    const Json& expected = texts[i];
    bool same = false;
    if (expected.is_null()) {
      same = !text.ok();
      ++count->n_refused;
    } else if (text.ok()) {
      same = expected.is_string() ? *text == expected.get<std::string>()
                                  : text->size() == expected[0].get<std::size_t>() &&
                                        Fnv1a(*text) == expected[1].get<std::string>();
    }
    if (same) continue;
    ++count->n_different;
    ADD_FAILURE() << name << ", conversation " << i << ": "
                  << (text.ok() ? "rendered " + *text : text.status().message());
  }
}

TEST(TemplateGolden, DemoTemplate) {
  const Json index = ReadGolden("rendered.json");
  const Json& entry = index["templates"]["demo"];
  const std::string source = ReadFile(kRoot / "tools/demo/template.jinja");
  ASSERT_EQ(Fnv1a(source), entry["hash"].get<std::string>())
      << "the demo's template changed: run tools/golden/make_template_goldens.py";
  Count count;
  Compare("demo", source, ReadGolden("conversations.json"), entry["texts"],
          AtTime(index["now"].get<std::string>()), &count);
  EXPECT_GE(count.n_pairs, 50);
  EXPECT_LT(count.n_refused, count.n_pairs / 2);
}

TEST(TemplateGolden, VendorTemplates) {
  const auto folder = kRoot / "../shared/testdata/templates";
  if (!std::filesystem::exists(folder)) {
    GTEST_SKIP() << "the templates are not beside the repository (../shared/testdata)";
  }
  const Json index = ReadGolden("rendered.json");
  const Json conversations = ReadGolden("conversations.json");
  Count count;
  int n_templates = 0;
  for (const auto& [name, entry] : index["templates"].items()) {
    if (name == "demo") continue;
    const std::string source = ReadFile(folder / name);
    ASSERT_EQ(Fnv1a(source), entry["hash"].get<std::string>()) << name << " is another version";
    Compare(name, source, conversations, entry["texts"], AtTime(index["now"].get<std::string>()),
            &count);
    ++n_templates;
  }
  std::printf("figure: templates %d >= 13\n", n_templates);
  std::printf("figure: template_conversations %zu >= 50\n", conversations.size());
  std::printf("figure: template_pairs %d >= 650\n", count.n_pairs);
  std::printf("figure: template_pairs_refused_by_both %d >= 1\n", count.n_refused);
  std::printf("figure: template_differences %d == 0\n", count.n_different);
}

TEST(TemplateGolden, Expressions) {
  std::ifstream file(kRoot / "tests/golden/templates/expressions.jsonl");
  std::string line;
  int n_templates = 0, n_refused = 0, n_lacking = 0, n_different = 0;
  while (std::getline(file, line)) {
    const Json row = Json::parse(line);
    const auto source = row[0].get<std::string>();
    ++n_templates;
    n_refused += row[1].is_null() ? 1 : 0;
    const Result<ChatTemplate> chat = ChatTemplate::Parse(source);
    const Result<std::string> text =
        chat.ok() ? chat->RenderText(R"({"messages": []})") : Result<std::string>(chat.status());
    // What Larder says it lacks is no wrong answer; how much that is has a bar below.
    if (!text.ok() && text.status().code() == StatusCode::kUnsupported) {
      n_lacking += row[1].is_null() ? 0 : 1;
      continue;
    }
    const bool same = row[1].is_null() ? !text.ok() : text.ok() && *text == row[1];
    if (same) continue;
    ++n_different;
    ADD_FAILURE() << source << "\n  expected: " << row[1].dump()
                  << "\n  got: " << (text.ok() ? *text : "refusal: " + text.status().message());
  }
  std::printf("figure: small_templates %d >= 5000\n", n_templates);
  std::printf("figure: small_templates_refused_by_both %d >= 1000\n", n_refused);
  std::printf("figure: small_templates_not_supported %d <= 60\n", n_lacking);
  std::printf("figure: small_template_differences %d == 0\n", n_different);
  EXPECT_GE(n_templates, 5000);
  EXPECT_LE(n_lacking, 60);
}

}  // namespace
}  // namespace larder
