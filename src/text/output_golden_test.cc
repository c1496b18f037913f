// 200 answers per format, as the models' own templates write them
// (tools/golden/make_tool_calls.py): the same calls, text and reasoning come back, however the
// answer is cut, and nothing else.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>

#include "text/message_json.h"
#include "text/output_parser.h"

namespace larder {
namespace {

OrderedJson ReadGolden(const std::string& name) {
  std::ifstream file(std::string(LARDER_SOURCE_DIR) + "/tests/golden/tool_calls/" + name + ".json");
  std::stringstream text;
  text << file.rdbuf();
  const Result<OrderedJson> json = ParseJson(text.str(), name);
  EXPECT_TRUE(json.ok()) << json.status().message();
  return json.ok() ? *json : OrderedJson();
}

struct Parsed {
  Message message;
  std::vector<std::string> failures;
  bool early = false;  // the first call had begun before the last piece came
};

class Format {
 public:
  explicit Format(const std::string& name)
      : cases_(ReadGolden("cases")),
        golden_(ReadGolden(name)),
        tools_(*ToolsFromJson(cases_["tools"])),
        style_(DetectOutputStyle(golden_["signs"].get<std::string>(), nullptr)),
        prompt_(golden_["prompt_end"].get<std::string>()) {}

  const OutputStyle& style() const { return style_; }
  std::size_t n_cases() const { return golden_["answers"].size(); }
  std::string Answer(std::size_t i) const { return golden_["answers"][i].get<std::string>(); }

  // The answer in pieces that end at `cuts`, then the rest.
  Parsed Parse(std::string_view answer, const std::vector<std::size_t>& cuts) const {
    const auto parser = MakeOutputParser(style_, tools_, prompt_);
    MessageBuilder builder;
    std::vector<OutputDelta> deltas;
    std::size_t begin = 0;
    Parsed parsed;
    for (const std::size_t cut : cuts) {
      parser->Feed(answer.substr(begin, cut - begin), &deltas);
      begin = cut;
    }
    for (const OutputDelta& one : deltas) {
      parsed.early = parsed.early || one.kind == OutputDelta::Kind::kCallArguments;
    }
    parser->Feed(answer.substr(begin), &deltas);
    parser->Finish(&deltas);
    for (const OutputDelta& one : deltas) builder.Add(one);
    parsed.message = builder.Build();
    parsed.failures = builder.failures();
    return parsed;
  }

  // What is wrong with a parsed case; empty: nothing.
  std::string Difference(std::size_t i, const Parsed& parsed) const {
    const OrderedJson& want = cases_["cases"][i];
    if (!parsed.failures.empty()) return "failed: " + parsed.failures[0];
    const std::string content =
        golden_["content"] == true ? want["content"].get<std::string>() : "";
    const OrderedJson& reasons = golden_["reasoning"];
    std::string reasoning = reasons == false ? "" : want["reasoning"].get<std::string>();
    if (reasons == "always" && reasoning.empty()) reasoning = "So.";
    if (parsed.message.text.value_or("") != content) return "text: " + *parsed.message.text;
    if (parsed.message.reasoning.value_or("") != reasoning) {
      return "reasoning: " + parsed.message.reasoning.value_or("");
    }
    const std::size_t n_calls =
        std::min<std::size_t>(want["calls"].size(), golden_["calls"].get<std::size_t>());
    if (parsed.message.tool_calls.size() != n_calls) return "the number of calls";
    for (std::size_t c = 0; c < n_calls; ++c) {
      const ToolCall& call = parsed.message.tool_calls[c];
      if (call.name != want["calls"][c]["name"]) return "name: " + call.name;
      const auto arguments = nlohmann::json::parse(call.arguments_json);
      const auto wanted = nlohmann::json::parse(want["calls"][c]["arguments"].dump());
      if (arguments != wanted) return "arguments: " + call.arguments_json + " " + wanted.dump();
    }
    return "";
  }

 private:
  OrderedJson cases_;
  OrderedJson golden_;
  std::vector<ToolDefinition> tools_;
  OutputStyle style_;
  std::string prompt_;
};

class OutputGolden : public testing::TestWithParam<const char*> {};

TEST_P(OutputGolden, TheSameCallsComeBackHoweverTheAnswerIsCut) {
  const Format format(GetParam());
  ASSERT_EQ(format.n_cases(), 200u);
  std::size_t n_wrong = 0, n_cuts = 0, n_early = 0;
  std::string first;
  const bool all_cuts = std::getenv("LARDER_ALL_CUTS") != nullptr;
  const auto check = [&](std::size_t i, const std::vector<std::size_t>& cuts) {
    ++n_cuts;
    const Parsed parsed = format.Parse(format.Answer(i), cuts);
    n_early += parsed.early ? 1 : 0;
    const std::string difference = format.Difference(i, parsed);
    if (difference.empty()) return;
    if (n_wrong++ == 0) first = "case " + std::to_string(i) + ", " + difference;
  };
  for (std::size_t i = 0; i < format.n_cases(); ++i) {
    const std::size_t n_bytes = format.Answer(i).size();
    std::vector<std::size_t> every;
    for (std::size_t cut = 1; cut < n_bytes; ++cut) every.push_back(cut);
    check(i, every);
    // In two: everywhere where that is asked for, else at some bytes of each.
    const std::size_t step = all_cuts ? 1 : 29;
    for (std::size_t cut = i % step; cut < n_bytes; cut += step) check(i, {cut});
  }
  std::printf("figure: wrong_%s %zu <= 0 of %zu cuts of 200 answers\n", GetParam(), n_wrong,
              n_cuts);
  EXPECT_EQ(n_wrong, 0u) << first;
  EXPECT_GT(n_early, n_cuts / 4) << "arguments come out before the answer is over";
}

INSTANTIATE_TEST_SUITE_P(All, OutputGolden,
                         testing::Values("qwen3-coder", "qwen3.5", "qwen3", "hermes3",
                                         "deepseek-v3.1", "deepseek-v3.2", "gpt-oss", "kimi-k2",
                                         "minimax-m2"),
                         [](const auto& instance) {
                           std::string name = instance.param;
                           for (char& c : name) {
                             if (c == '-' || c == '.') c = '_';
                           }
                           return name;
                         });

}  // namespace
}  // namespace larder
