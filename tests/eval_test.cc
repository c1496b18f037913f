// larder eval on the demo model: log probabilities of choices are those of the logits, answers
// depend on nothing but the seed, tool calls are read as `run` reads them, and wrong use is one
// sentence.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "cli/divergence.h"
#include "cli/eval_runner.h"
#include "helpers/golden.h"
#include "helpers/tiny_model.h"

namespace larder {
namespace {

const std::string kDemo = LARDER_SOURCE_DIR "/models/demo/larder-demo.gguf";
const std::string kSuites = LARDER_SOURCE_DIR "/models/demo/suites/";

TEST(EvalRunner, ChoicesAreScoredByTheLogits) {
  EngineOptions options;
  options.model_path = kDemo;
  options.memory_budget_bytes = 256u << 20;
  options.context_tokens = 512;
  options.checkpoint = true;
  const auto engine = Engine::Load(options);
  ASSERT_TRUE(engine.ok()) << engine.status().message();
  const Tokenizer* tokenizer = (*engine)->tokenizer().value();
  const PromptWriter writer;
  const auto tasks = ParseEvalTasks(
      R"({"type": "choice", "prompt": "<|im_start|>user\nWhat is a slot?<|im_end|>\n", )"
      R"("choices": ["A", "A slot is a fixed place in memory.", "7 plus 8"], "answer": 1})");
  ASSERT_TRUE(tasks.ok()) << tasks.status().message();
  EvalAnswer answer;
  {
    const auto session = (*engine)->NewSession();
    ASSERT_TRUE(session.ok());
    EvalRunner runner(session->get(), tokenizer, &writer, {});
    // The second time begins with another timeline's checkpoint.
    for (int i = 0; i < 2; ++i) {
      Result<EvalAnswer> scored = runner.Answer(tasks->at(0), 0);
      ASSERT_TRUE(scored.ok()) << scored.status().message();
      if (i > 0) {
        EXPECT_EQ(scored->logprobs, answer.logprobs);
      }
      answer = std::move(*scored);
    }
  }
  const auto n_vocab = static_cast<std::size_t>((*engine)->shape().n_vocab);
  const EncodeOptions as_prompt = {.add_special = true, .parse_special = true};
  const std::size_t n_prompt = tokenizer->Encode(tasks->at(0).prompt, as_prompt)->size();
  for (std::size_t c = 0; c < 3; ++c) {
    const auto whole =
        tokenizer->Encode(tasks->at(0).prompt + tasks->at(0).choices[c], as_prompt).value();
    const auto logits = AllLogits(**engine, whole);
    ASSERT_TRUE(logits.ok()) << logits.status().message();
    double sum = 0;
    for (std::size_t i = n_prompt; i < whole.size(); ++i) {
      const std::span<const float> row(logits->data() + (i - 1) * n_vocab, n_vocab);
      sum += static_cast<double>(row[static_cast<std::size_t>(whole[i])]) - LogSumExp(row);
    }
    EXPECT_DOUBLE_EQ(answer.logprobs[c], sum) << tasks->at(0).choices[c];
  }
}

struct Outcome {
  int exit_status = -1;
  std::string out;
  std::string error;
};

std::string ReadAndRemove(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::string text(std::istreambuf_iterator<char>(in), {});
  std::remove(path.c_str());
  return text;
}

Outcome Eval(const std::string& words, const std::string& before = "") {
  const std::string out = TemporaryPath("eval.out");
  const std::string error = TemporaryPath("eval.err");
  const int status = std::system(
      (before + " '" LARDER_BINARY "' eval " + words + " >'" + out + "' 2>'" + error + "'")
          .c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : 255, ReadAndRemove(out), ReadAndRemove(error)};
}

nlohmann::json Answers(const std::string& words) {
  const Outcome outcome = Eval(words + " --json");
  EXPECT_EQ(outcome.exit_status, 0) << outcome.error;
  return nlohmann::json::parse(outcome.out)["answers"];
}

TEST(Eval, ASeedGivesTheSameAnswersWhateverTheThreads) {
  const std::string words = "'" + kSuites + "json.jsonl' --limit 3 --temp 1.5 --samples 2 --seed 7";
  const nlohmann::json answers = Answers(words);
  ASSERT_EQ(answers.size(), 6u);
  EXPECT_EQ(answers, Answers(words + " --threads 1 --batch 5"));
  EXPECT_EQ(answers[0]["id"], answers[3]["id"]);
  EXPECT_EQ(answers[0]["seed"], 7);
  EXPECT_EQ(answers[3]["seed"], 8);
  EXPECT_NE(answers, Answers("'" + kSuites + "json.jsonl' --limit 3 --temp 1.5 --samples 2"));
}

TEST(Eval, ConversationsToolsAndStops) {
  const std::string tasks = TemporaryPath("tasks.jsonl");
  const std::string tools =
      R"([{"type": "function", "function": {"name": "get_weather", "description": )"
      R"("Gets the weather for a place.", "parameters": {"type": "object", "properties": )"
      R"({"city": {"type": "string"}}, "required": ["city"]}}}])";
  std::ofstream(tasks)
      << R"({"type": "tool_call", "messages": [{"role": "user", "content": )"
      << R"("What is the weather in Oslo?"}], "tools": )" << tools
      << R"(, "answer": {"name": "get_weather", "arguments": {"city": "Oslo"}}})"
      << "\n"
      << R"({"type": "exact", "messages": [{"role": "user", "content": )"
      << R"("What is a slot?"}], "answer": "A slot is a", "stop": "fixed"})"
      << "\n"
      << R"({"type": "exact", "prompt": "<|im_start|>user\nWhat is a slot?<|im_end|>\n)"
      << R"(<|im_start|>assistant\n<think>\n\n</think>\n\n", "answer": "A slot is a", )"
      << R"("stop": ["fixed", "place"]})"
      << "\n"
      << R"({"type": "choice", "messages": [{"role": "user", "content": "What is a slot?"}], )"
      << R"("choices": ["Bananas.", "A slot is a fixed place in memory that holds one expert."], )"
      << R"("answer": 1})"
      << "\n";
  const nlohmann::json answers = Answers("'" + tasks + "'");
  ASSERT_EQ(answers.size(), 4u);
  EXPECT_EQ(answers[0]["answer"], R"(get_weather({"city":"Oslo"}))");
  EXPECT_EQ(answers[0]["checks"]["right"], true);
  EXPECT_EQ(answers[1]["answer"], answers[2]["answer"]) << "the template makes the same prompt";
  EXPECT_EQ(answers[1]["checks"]["right"], true) << answers[1];
  EXPECT_EQ(answers[3]["checks"]["right"], true) << answers[3];
  std::remove(tasks.c_str());
}

TEST(Eval, WhatDoesNotFitCountsAsWrongAndTheRestGoesOn) {
  const std::string tasks = TemporaryPath("long.jsonl");
  const std::string output = TemporaryPath("long.json");
  std::ofstream(tasks) << R"({"type": "exact", "group": "a|b", "prompt": "two and two", )"
                       << R"("answer": "x", "max_tokens": 2})"
                       << "\n"
                       << R"({"type": "exact", "prompt": ")" << std::string(400, 'x')
                       << R"( and more", "answer": "", "max_tokens": 1})"
                       << "\n";
  const Outcome outcome = Eval("'" + tasks + "' --ctx 16 -o '" + output + "'");
  EXPECT_EQ(outcome.exit_status, 0) << outcome.error;
  EXPECT_NE(outcome.error.find("1 of 2 tasks do not fit"), std::string::npos) << outcome.error;
  EXPECT_NE(outcome.error.find("task 2 of exact"), std::string::npos) << outcome.error;
  EXPECT_NE(outcome.out.find("1 of 2 count as wrong"), std::string::npos) << outcome.out;
  const nlohmann::json json = nlohmann::json::parse(ReadAndRemove(output));
  EXPECT_EQ(json["n_too_long"], 1);
  EXPECT_EQ(json["answers"][1]["checks"]["right"], false);
  EXPECT_NE(json["answers"][1]["error"].get<std::string>().find("16"), std::string::npos);
  EXPECT_EQ(json["files"], nlohmann::json({tasks}));
  EXPECT_EQ(json["temperature"], 0);
  EXPECT_EQ(json["think"], "off");
  EXPECT_EQ(json["complete"], true);
  EXPECT_EQ(json["chat_template"], "the model's own");
  EXPECT_EQ(json["sampler"]["repeat_penalty"], 1);
  std::remove(tasks.c_str());
}

TEST(Eval, AChoiceThatLeavesNoPromptIsKnownBeforeTheFirstAnswer) {
  const std::string tasks = TemporaryPath("melt.jsonl");
  std::ofstream(tasks) << R"({"type": "exact", "prompt": "a", "answer": "x", "max_tokens": 2})"
                       << "\n"
                       << R"({"type": "choice", "id": "bad", "prompt": "a", )"
                       << R"("choices": ["y", "b"], "answer": 0})"
                       << "\n";
  const Outcome outcome = Eval("'" + tasks + "' --json");
  EXPECT_EQ(outcome.exit_status, 2) << outcome.error;
  EXPECT_NE(outcome.error.find("task bad: the prompt and the choice"), std::string::npos)
      << outcome.error;
  EXPECT_EQ(outcome.error.find("answering tasks"), std::string::npos) << outcome.error;
  std::remove(tasks.c_str());
}

TEST(Eval, NoContextIsAdvisedThatTheModelDoesNotHave) {
  const std::string tasks = TemporaryPath("huge.jsonl");
  std::ofstream(tasks) << R"({"type": "exact", "prompt": "a", "answer": "x", )"
                       << R"("max_tokens": 65536})"
                       << "\n"
                       << R"({"type": "exact", "prompt": ")" << std::string(400, 'x')
                       << R"( and more", "answer": "", "max_tokens": 1})"
                       << "\n";
  const Outcome outcome = Eval("'" + tasks + "' --ctx 16");
  EXPECT_NE(outcome.error.find("this model was made for"), std::string::npos) << outcome.error;
  EXPECT_EQ(outcome.error.find("has room for all"), std::string::npos) << outcome.error;
  std::remove(tasks.c_str());
}

TEST(Eval, CtrlCKeepsTheAnswersSoFar) {
  const std::string output = TemporaryPath("stopped.json");
  const Outcome outcome =
      Eval("'" + kSuites + "json.jsonl' --temp 0.5 --top-k 7 --samples 1000 -o '" + output + "'",
           "timeout --foreground --preserve-status -s INT 8");
  EXPECT_EQ(outcome.exit_status, 130) << outcome.error;
  EXPECT_NE(outcome.out.find("not all were answered, only "), std::string::npos) << outcome.out;
  EXPECT_NE(outcome.out.find(": interrupted\n"), std::string::npos) << outcome.out;
  ASSERT_TRUE(std::filesystem::exists(output));
  const nlohmann::json json = nlohmann::json::parse(ReadAndRemove(output));
  EXPECT_EQ(json["complete"], false);
  EXPECT_NE(json["stopped"].get<std::string>().find("interrupted"), std::string::npos);
  EXPECT_GT(json["answers"].size(), 0u);
  EXPECT_EQ(json["sampler"]["top_k"], 7);
}

TEST(Eval, ATaskFileIsNotWrittenOver) {
  const std::string tasks = TemporaryPath("kept.jsonl");
  const std::string line = "{\"type\": \"exact\", \"prompt\": \"a\", \"answer\": \"b\"}\n";
  std::ofstream(tasks) << line;
  for (const auto& [output, exit_status] :
       {std::pair<std::string, int>{tasks, 2}, {"/nonexistent/out.json", 2}, {kDemo, 2}}) {
    const Outcome outcome = Eval("'" + tasks + "' -o '" + output + "'");
    EXPECT_EQ(outcome.exit_status, exit_status) << outcome.error;
    EXPECT_NE(outcome.error.find(output), std::string::npos) << outcome.error;
    EXPECT_EQ(outcome.error.find("budget"), std::string::npos) << "said before the model is loaded";
  }
  EXPECT_EQ(ReadAndRemove(tasks), line);
}

TEST(Eval, WrongUseIsOneSentence) {
  const std::string broken = TemporaryPath("broken.jsonl");
  std::ofstream(broken) << "{\"type\": \"exact\"}\n";
  const std::pair<std::string, const char*> cases[] = {
      {"/nonexistent/tasks.jsonl", "/nonexistent/tasks.jsonl"},
      {"'" + broken + "'", "line 1"},
      {"-m '" + kDemo + "'", "needs task files"},
      {"'" + kSuites + "json.jsonl' --limit 0", "--limit"},
      {"'" + kSuites + "json.jsonl' --samples 2", "--temp"},
      {"'" + kSuites + "json.jsonl' --limit 1 --ctx 8", "task 1"},
  };
  for (const auto& [words, wanted] : cases) {
    const Outcome outcome = Eval(words);
    EXPECT_NE(outcome.exit_status, 0) << words;
    EXPECT_NE(outcome.error.find(wanted), std::string::npos) << words << ": " << outcome.error;
  }
  std::remove(broken.c_str());
}

}  // namespace
}  // namespace larder
