// larder perplexity on the golden models: the same number as from transformers' logits, zeros
// against itself, and what it says about wrong use. Runs the binary.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "helpers/golden.h"
#include "helpers/tiny_model.h"

namespace larder {
namespace {

struct Outcome {
  int exit_status = -1;
  std::string text;     // stdout, or stderr when it failed
  std::string printed;  // stdout
};

std::string ReadAndRemove(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::string text(std::istreambuf_iterator<char>(in), {});
  std::remove(path.c_str());
  return text;
}

// `before` stands before the program's name in the shell's line.
Outcome Perplexity(const std::string& words, const std::string& before = "") {
  const std::string out = TemporaryPath("perplexity.out");
  const std::string err = TemporaryPath("perplexity.err");
  const std::string command =
      before + " '" LARDER_BINARY "' perplexity " + words + " >'" + out + "' 2>'" + err + "'";
  const int status = std::system(command.c_str());
  const std::string printed = ReadAndRemove(out);
  const std::string said = ReadAndRemove(err);
  const int exit_status = WIFEXITED(status) ? WEXITSTATUS(status) : 255;
  return {exit_status, exit_status == 0 ? printed : said, printed};
}

std::string TokenList(const GoldenModel& model) {
  return fmt::format("--tokens {}", fmt::join(model.tokens, ","));
}

// Mean cost of tokens 1, 2, ... by the stored logits.
double ReferencePerplexity(const GoldenModel& model) {
  double sum = 0;
  const auto width = static_cast<std::size_t>(model.n_vocab);
  for (std::size_t i = 0; i + 1 < model.tokens.size(); ++i) {
    const float* row = &model.reference[i * width];
    double total = 0;
    for (std::size_t j = 0; j < width; ++j) total += std::exp(static_cast<double>(row[j]));
    sum += std::log(total) - static_cast<double>(row[model.tokens[i + 1]]);
  }
  return std::exp(sum / static_cast<double>(model.tokens.size() - 1));
}

TEST(Perplexity, EqualsTransformers) {
  int n_models = 0;
  for (const GoldenModel& model : LoadGoldenModels()) {
    if (model.type != "F32") continue;
    ++n_models;
    for (const char* step : {"", " --step"}) {
      const Outcome outcome = Perplexity(fmt::format("-m '{}' {} --ctx {} --json{}", model.path,
                                                     TokenList(model), model.tokens.size(), step));
      ASSERT_EQ(outcome.exit_status, 0) << outcome.text;
      const nlohmann::json json = nlohmann::json::parse(outcome.text);
      const double ratio =
          json["perplexity"]["value"].get<double>() / ReferencePerplexity(model) - 1;
      PrintFigure("perplexity-" + model.name, std::abs(ratio) * 100, "<", 0.1, "%");
      EXPECT_LT(std::abs(ratio), 1e-3);
      EXPECT_EQ(json["n_scored"].get<std::size_t>(), model.tokens.size() - 1);
    }
  }
  EXPECT_GT(n_models, 0);
}

TEST(Perplexity, AModelAgainstItselfIsAllZeros) {
  const GoldenModel model = LoadGoldenModels().at(0);
  const std::string saved = TemporaryPath("base.logits");
  const std::string common =
      fmt::format("-m '{}' {} --json --ctx 16 --stride 5", model.path, TokenList(model));
  const Outcome base = Perplexity(common + " --save-logits '" + saved + "'");
  ASSERT_EQ(base.exit_status, 0) << base.text;
  for (const char* other : {"", " --step", " --threads 1 --batch 3"}) {
    const Outcome outcome = Perplexity(common + other + " --kl-from '" + saved + "'");
    ASSERT_EQ(outcome.exit_status, 0) << outcome.text;
    const nlohmann::json json = nlohmann::json::parse(outcome.text);
    for (const char* name :
         {"log_ratio", "kl_mean", "kl_median", "kl_99_9", "rms_probability_change"}) {
      EXPECT_EQ(json[name]["value"].get<double>(), 0.0) << name << other;
      EXPECT_EQ(json[name]["error"].get<double>(), 0.0) << name << other;
    }
    EXPECT_EQ(json["kl_maximum"].get<double>(), 0.0);
    EXPECT_EQ(json["same_top"]["value"].get<double>(), 1.0);
    EXPECT_EQ(json["perplexity"], nlohmann::json::parse(base.text)["perplexity"]);
  }
  const Outcome table = Perplexity(fmt::format("-m '{}' {} --ctx 16 --stride 5 --kl-from '{}'",
                                               model.path, TokenList(model), saved));
  EXPECT_NE(table.text.find("Median  KLD"), std::string::npos) << table.text;
  std::remove(saved.c_str());
}

TEST(Perplexity, ControlTokensOfATextAreReadWhenAsked) {
  const std::string demo = LARDER_SOURCE_DIR "/models/demo/larder-demo.gguf";
  const std::string text = TemporaryPath("control.txt");
  std::ofstream(text) << "<|im_start|>user\nWhat is a slot?<|im_end|>\n";
  const auto n_tokens = [&](const std::string& words) {
    const Outcome outcome = Perplexity("-m '" + demo + "' -f '" + text + "' --json" + words);
    EXPECT_EQ(outcome.exit_status, 0) << outcome.text;
    return nlohmann::json::parse(outcome.text)["n_tokens"].get<int>();
  };
  EXPECT_LT(n_tokens(" --parse-special"), n_tokens(""));
  std::remove(text.c_str());
}

TEST(Perplexity, SavingWritesOverNoInput) {
  const GoldenModel model = LoadGoldenModels().at(0);
  const std::string ids = TemporaryPath("ids.txt");
  std::ofstream(ids) << "1,2,3,4";
  const std::string common = fmt::format("-m '{}' --tokens '@{}' --ctx 4 ", model.path, ids);
  for (const std::string& output : {ids, model.path, std::string("/nonexistent/base.logits")}) {
    const Outcome outcome = Perplexity(common + "--save-logits '" + output + "'");
    EXPECT_EQ(outcome.exit_status, 2) << outcome.text;
    EXPECT_NE(outcome.text.find(output), std::string::npos) << outcome.text;
  }
  EXPECT_EQ(ReadAndRemove(ids), "1,2,3,4");
}

TEST(Perplexity, WhatWasScoredIsPrintedThoughItCannotBeSaved) {
  const GoldenModel model = LoadGoldenModels().at(0);
  const std::string saved = TemporaryPath("large.logits");
  // Three rows wait in the writer's buffer until the end, and are more than a file may have: three
  // blocks of 512 or 1024 bytes, as the shell has it.
  ASSERT_EQ(model.n_vocab, 288);
  const Outcome outcome = Perplexity(
      fmt::format("-m '{}' --tokens 1,2,3,4 --ctx 4 --save-logits '{}'", model.path, saved),
      "trap '' XFSZ; ulimit -f 3;");
  EXPECT_EQ(outcome.exit_status, 1);
  EXPECT_NE(outcome.text.find("cannot write " + saved), std::string::npos) << outcome.text;
  EXPECT_NE(outcome.printed.find("3 of 4 tokens scored"), std::string::npos) << outcome.printed;
  EXPECT_FALSE(std::filesystem::exists(saved));
}

TEST(Perplexity, OtherAnswersThanTheModelsOwnAreMarked) {
  const GoldenModel model = LoadGoldenModels().at(0);
  const std::string words = fmt::format("-m '{}' --tokens 1,2,3 --ctx 4 --json ", model.path);
  EXPECT_FALSE(nlohmann::json::parse(Perplexity(words).text).contains("lossy"));
  const Outcome outcome = Perplexity(words + "--experts 1");
  EXPECT_NE(nlohmann::json::parse(outcome.text).value("lossy", ""), "") << outcome.text;
}

TEST(Perplexity, WrongUseIsOneSentence) {
  const GoldenModel model = LoadGoldenModels().at(0);
  const std::string saved = TemporaryPath("base.logits");
  const std::string common = fmt::format("-m '{}' ", model.path);
  ASSERT_EQ(
      Perplexity(common + "--tokens 1,2,3,4 --ctx 4 --save-logits '" + saved + "'").exit_status, 0);
  const std::pair<std::string, const char*> cases[] = {
      {"--tokens 1", "at least 2"},
      {"", "needs a text"},
      {"--tokens 1,2 -f x", "one of"},
      {"--tokens 1,2 --parse-special", "goes with -f"},
      {"-f /nonexistent/text", "/nonexistent/text"},
      {"--tokens 1,99999999", "out of range"},
      {"--tokens 1,2,3 --stride 0", "--stride"},
      {"--tokens 1,2,3 --ctx 4 --stride 5", "--stride 5"},
      {"--tokens 1,2,3 --save-logits a --kl-from b", "exclude"},
      {"--tokens 1,2,3 --kl-from /nonexistent", "/nonexistent"},
      {"--tokens 1,2,3,5 --ctx 4 --kl-from '" + saved + "'", "another text"},
      {"--tokens 1,2,3,4 --ctx 3 --kl-from '" + saved + "'", "--ctx 4"},
      {"--tokens 1,2,3,4 --ctx 4 --kl-from '" + model.path + "'", "no saved logits"},
  };
  for (const auto& [words, wanted] : cases) {
    const Outcome outcome = Perplexity(common + words);
    EXPECT_NE(outcome.exit_status, 0) << words;
    EXPECT_NE(outcome.text.find(wanted), std::string::npos) << words << ": " << outcome.text;
    EXPECT_EQ(outcome.text.find("budget"), std::string::npos) << "said before the model is loaded";
  }
  std::ofstream(saved, std::ios::app) << "x";
  EXPECT_NE(Perplexity(common + "--tokens 1,2,3,4 --ctx 4 --kl-from '" + saved + "'")
                .text.find("damaged"),
            std::string::npos);
  std::remove(saved.c_str());
}

}  // namespace
}  // namespace larder
