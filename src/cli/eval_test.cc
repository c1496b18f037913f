// Tasks, judgements, intervals.
#include <gtest/gtest.h>

#include "cli/eval_results.h"
#include "cli/eval_task.h"

namespace larder {
namespace {

EvalTask Task(const std::string& line) {
  const auto tasks = ParseEvalTasks(line);
  EXPECT_TRUE(tasks.ok()) << tasks.status().message();
  return tasks.ok() ? tasks->at(0) : EvalTask();
}

bool Passed(const std::vector<EvalCheck>& checks, const std::string& name) {
  for (const EvalCheck& check : checks) {
    if (check.name == name) return check.passed;
  }
  ADD_FAILURE() << "no check " << name;
  return false;
}

TEST(EvalTask, LinesWithDefaults) {
  const auto tasks = ParseEvalTasks(
      "{\"type\": \"exact\", \"prompt\": \"a\", \"answer\": \"b\"}\n\n  \n"
      "{\"type\": \"json\", \"prompt\": \"a\", \"id\": \"x\", \"group\": \"g\", \"max_tokens\": "
      "7}\n");
  ASSERT_TRUE(tasks.ok()) << tasks.status().message();
  ASSERT_EQ(tasks->size(), 2u);
  EXPECT_EQ(tasks->at(0).id, "1");
  EXPECT_EQ(tasks->at(0).group, "exact");
  EXPECT_EQ(tasks->at(1).id, "x");
  EXPECT_EQ(tasks->at(1).group, "g");
  EXPECT_EQ(tasks->at(1).max_tokens, 7);
  EXPECT_FALSE(tasks->at(1).wants_value);
}

TEST(EvalTask, AnIdMayBeANumberAndOtherKeysAreLeftAlone) {
  EXPECT_EQ(Task(R"({"type": "json", "prompt": "a", "id": 7, "idx": 1, "source": "b"})").id, "7");
}

TEST(EvalTask, WhatIsWrongIsNamedWithItsLine) {
  const std::pair<const char*, const char*> cases[] = {
      {"", "no task"},
      {"{", "line 1"},
      {"[]", "no JSON object"},
      {"{\"prompt\": \"a\"}", "\"type\""},
      {"{\"type\": \"essay\", \"prompt\": \"a\"}", "none of choice"},
      {"{\"type\": \"exact\", \"prompt\": \"a\"}", "\"answer\""},
      {"{\"type\": \"exact\", \"answer\": \"a\"}", "one of \"prompt\" and \"messages\""},
      {"{\"type\": \"exact\", \"answer\": \"a\", \"messages\": [{}]}", "line 1"},
      {"{\"type\": \"exact\", \"prompt\": 1, \"answer\": \"a\"}", "\"prompt\" is no text"},
      {"{\"type\": \"exact\", \"prompt\": \"a\", \"answer\": [1]}", "other than texts"},
      {"{\"type\": \"choice\", \"prompt\": \"a\", \"choices\": [\"b\"], \"answer\": 0}", "two"},
      {"{\"type\": \"choice\", \"prompt\": \"a\", \"choices\": [\"b\", \"\"], \"answer\": 0}",
       "empty"},
      {"{\"type\": \"choice\", \"prompt\": \"a\", \"choices\": [\"b\", \"c\"], \"answer\": 2}",
       "no place"},
      {"{\"type\": \"tool_call\", \"prompt\": \"a\", \"answer\": {}}", "\"name\""},
      {"{\"type\": \"tool_call\", \"prompt\": \"a\", \"answer\": {\"name\": \"f\"}}",
       "\"arguments\""},
      {"{\"type\": \"json\", \"prompt\": \"a\", \"max_tokens\": 0}", "max_tokens"},
      {"{\"type\": \"json\", \"prompt\": \"a\"}\n{\"type\": \"json\"}", "line 2"},
      {"{\"type\": \"json\", \"prompt\": \"a\", \"stopp\": \".\"}", "did you mean \"stop\"?"},
      {"{\"type\": \"json\", \"prompt\": \"a\", \"id\": [1]}", "\"id\" is no text"},
  };
  for (const auto& [text, part] : cases) {
    const auto tasks = ParseEvalTasks(text);
    ASSERT_FALSE(tasks.ok()) << text;
    EXPECT_NE(tasks.status().message().find(part), std::string::npos) << tasks.status().message();
  }
}

TEST(EvalTask, ExactTexts) {
  const EvalTask task =
      Task(R"({"type": "exact", "prompt": "a", "answer": ["yes", " no\n"], "stop": ["\n", "."]})");
  EXPECT_TRUE(Passed(JudgeText(task, "yes"), "right"));
  EXPECT_TRUE(Passed(JudgeText(task, "no"), "right"));
  EXPECT_FALSE(Passed(JudgeText(task, "Yes"), "right"));
  EXPECT_EQ(CutAtStop(task, "yes. no\n"), "yes");
  EXPECT_EQ(CutAtStop(task, "yes"), "yes");
  EXPECT_EQ(Trimmed(" \n a b\t"), "a b");
}

TEST(EvalTask, JsonWhateverTheOrder) {
  const EvalTask task = Task(R"({"type": "json", "prompt": "a", "answer": {"a": 1, "b": [1, 2]}})");
  EXPECT_TRUE(Passed(JudgeText(task, R"({"b":[1,2],"a":1})"), "right"));
  EXPECT_FALSE(Passed(JudgeText(task, R"({"b":[2,1],"a":1})"), "right"));
  EXPECT_TRUE(Passed(JudgeText(task, "{}"), "parses"));
  EXPECT_FALSE(Passed(JudgeText(task, "{\\name\\: 1}"), "parses"));
}

Message Call(const std::string& name, const std::string& arguments) {
  Message message;
  message.tool_calls.push_back({"", name, arguments});
  return message;
}

TEST(EvalTask, ToolCallsByValue) {
  const EvalTask task =
      Task(R"({"type": "tool_call", "prompt": "a", "answer": {"name": "f", "arguments": )"
           R"({"x": "12", "y": "b c"}}})");
  EXPECT_TRUE(Passed(JudgeCall(task, Call("f", R"({"y": "b c", "x": 12})")), "right"));
  EXPECT_FALSE(Passed(JudgeCall(task, Call("f", R"({"y": "b c"})")), "right"));
  EXPECT_TRUE(Passed(JudgeCall(task, Call("f", "{}")), "function"));
  EXPECT_FALSE(Passed(JudgeCall(task, Call("g", R"({"y": "b c", "x": 12})")), "right"));
  EXPECT_TRUE(Passed(JudgeCall(task, Call("g", "{}")), "well-formed"));
  EXPECT_FALSE(Passed(JudgeCall(task, AssistantMessage("f")), "well-formed"));
  const Message right = Call("f", R"({"y": "b c", "x": 12})");
  EXPECT_FALSE(Passed(JudgeCall(task, right, 1), "well-formed")) << "another call broke";
  EXPECT_FALSE(Passed(JudgeCall(task, right, 1), "right"));
}

TEST(EvalTask, ChoicesByLikelihood) {
  const EvalTask task =
      Task(R"({"type": "choice", "prompt": "a", "choices": ["bb", "cccccccc"], "answer": 1})");
  EXPECT_FALSE(Passed(JudgeChoice(task, {-2, -4}), "right"));
  EXPECT_TRUE(Passed(JudgeChoice(task, {-2, -4}), "right per byte"));
  EXPECT_TRUE(Passed(JudgeChoice(task, {-4, -2}), "right"));
}

TEST(EvalResults, AnInterruptIsCalledTheSameWhereverItCame) {
  EXPECT_EQ(WhyStopped(Cancelled("task 34: stopped")), "interrupted");
  EXPECT_EQ(WhyStopped(IoError("no disk")), "no disk");
}

TEST(EvalResults, WilsonsIntervals) {
  // From the closed form with z = 1.96: 8 of 10 and the ends.
  EXPECT_NEAR(WilsonInterval(8, 10).low, 0.4902, 1e-4);
  EXPECT_NEAR(WilsonInterval(8, 10).high, 0.9433, 1e-4);
  EXPECT_EQ(WilsonInterval(0, 10).low, 0);
  EXPECT_NEAR(WilsonInterval(0, 10).high, 0.2775, 1e-4);
  EXPECT_EQ(WilsonInterval(10, 10).high, 1);
  EXPECT_EQ(WilsonInterval(0, 0).high, 1);
}

TEST(EvalTask, NothingPassesNoCheck) {
  for (const char* line :
       {R"({"type": "exact", "prompt": "a", "answer": ""})",
        R"({"type": "json", "prompt": "a", "answer": 1})",
        R"({"type": "choice", "prompt": "a", "choices": ["b", "c"], "answer": 0})",
        R"({"type": "tool_call", "prompt": "a", "answer": {"name": "f", "arguments": {}}})"}) {
    const std::vector<EvalCheck> checks = JudgeNothing(Task(line));
    EXPECT_GE(checks.size(), 1u) << line;
    for (const EvalCheck& check : checks) EXPECT_FALSE(check.passed) << line;
  }
}

TEST(EvalResults, GroupsAreCellsOfATable) {
  const std::vector<EvalAnswer> answers = {{"a|b\nc", "1", 0, "x", {}, {{"right", true}}}};
  EXPECT_NE(ToMarkdown(CountChecks(answers)).find("\n| a\\|b c | right | 1 | 1 |"),
            std::string::npos);
}

TEST(EvalResults, CountsByGroupAndCheck) {
  std::vector<EvalAnswer> answers(3);
  answers[0] = {"a", "1", 0, "x", {}, {{"right", true}}};
  answers[1] = {"b", "1", 0, "x", {}, {{"parses", true}, {"right", false}}};
  answers[2] = {"a", "2", 0, "x", {}, {{"right", false}}};
  const std::vector<EvalCount> counts = CountChecks(answers);
  ASSERT_EQ(counts.size(), 3u);
  EXPECT_EQ(counts[0].n, 2);
  EXPECT_EQ(counts[0].n_passed, 1);
  EXPECT_NE(ToMarkdown(counts).find("| a | right | 1 | 2 | 50.0 % |"), std::string::npos);
  EXPECT_EQ(ToJson(counts)[1]["check"], "parses");
}

}  // namespace
}  // namespace larder
