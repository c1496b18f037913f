// Reading tasks and judging answers.
#include "cli/eval_task.h"

#include <fmt/format.h>

#include <algorithm>
#include <sstream>

#include "cli/suggest.h"

namespace larder {

namespace {

constexpr std::int64_t kMostTokens = 1 << 16;
constexpr std::size_t kMostChoices = 1000;

Result<std::string> Text(const OrderedJson& json, const char* key, bool is_required) {
  const auto found = json.find(key);
  if (found == json.end()) {
    if (!is_required) return std::string();
    return InvalidArgument("a task of this type needs \"{}\"", key);
  }
  if (!found->is_string()) return InvalidArgument("\"{}\" is no text", key);
  return found->get<std::string>();
}

Result<std::vector<std::string>> Texts(const OrderedJson& json, const char* key) {
  std::vector<std::string> texts;
  const auto found = json.find(key);
  if (found == json.end()) return texts;
  if (found->is_string()) return std::vector<std::string>{found->get<std::string>()};
  if (!found->is_array() || found->empty() || found->size() > kMostChoices) {
    return InvalidArgument("\"{}\" is no text and no list of 1 to {} texts", key, kMostChoices);
  }
  for (const OrderedJson& one : *found) {
    if (!one.is_string()) return InvalidArgument("\"{}\" holds something other than texts", key);
    texts.push_back(one.get<std::string>());
  }
  return texts;
}

Status ReadChoice(const OrderedJson& json, EvalTask* task) {
  LARDER_ASSIGN_OR_RETURN(task->choices, Texts(json, "choices"));
  if (task->choices.size() < 2) return InvalidArgument("\"choices\" needs at least two texts");
  for (const std::string& choice : task->choices) {
    if (choice.empty()) return InvalidArgument("a choice is empty");
  }
  const auto answer = json.find("answer");
  const bool is_whole = answer != json.end() && answer->is_number_integer();
  const std::int64_t right = is_whole ? answer->get<std::int64_t>() : -1;
  if (right < 0 || right >= static_cast<std::int64_t>(task->choices.size())) {
    return InvalidArgument("\"answer\" is no place among the choices, counted from 0");
  }
  task->right_choice = static_cast<std::size_t>(right);
  return Status::Ok();
}

std::string ValueText(const OrderedJson& value) {
  return value.is_string() ? value.get<std::string>() : JsonText(value);
}

Status ReadCall(const OrderedJson& json, EvalTask* task) {
  const auto answer = json.find("answer");
  if (answer == json.end() || !answer->is_object()) {
    return InvalidArgument("\"answer\" is no object with \"name\" and \"arguments\"");
  }
  LARDER_ASSIGN_OR_RETURN(task->tool_name, Text(*answer, "name", true));
  const auto arguments = answer->find("arguments");
  if (arguments == answer->end() || !arguments->is_object()) {
    return InvalidArgument("\"arguments\" is no object");
  }
  for (const auto& [name, value] : arguments->items()) {
    task->arguments.emplace_back(name, ValueText(value));
  }
  std::sort(task->arguments.begin(), task->arguments.end());
  return Status::Ok();
}

Status ReadPrompt(const OrderedJson& json, EvalTask* task) {
  LARDER_ASSIGN_OR_RETURN(task->prompt, Text(json, "prompt", false));
  if (const auto messages = json.find("messages"); messages != json.end()) {
    LARDER_ASSIGN_OR_RETURN(task->messages, MessagesFromJson(*messages));
  }
  if (task->prompt.empty() == task->messages.empty()) {
    return InvalidArgument("a task needs one of \"prompt\" and \"messages\"");
  }
  if (const auto tools = json.find("tools"); tools != json.end()) {
    LARDER_ASSIGN_OR_RETURN(task->tools, ToolsFromJson(*tools));
  }
  return Status::Ok();
}

Status ReadAnswer(const OrderedJson& json, const std::string& type, EvalTask* task) {
  if (type == "choice") {
    task->kind = EvalTask::Kind::kChoice;
    return ReadChoice(json, task);
  }
  if (type == "tool_call") {
    task->kind = EvalTask::Kind::kToolCall;
    return ReadCall(json, task);
  }
  if (type == "json") {
    task->kind = EvalTask::Kind::kJson;
    const auto answer = json.find("answer");
    task->wants_value = answer != json.end();
    if (task->wants_value) task->value = *answer;
    return Status::Ok();
  }
  if (type != "exact") {
    return InvalidArgument("\"type\" is none of choice, exact, json and tool_call");
  }
  task->kind = EvalTask::Kind::kExact;
  LARDER_ASSIGN_OR_RETURN(task->answers, Texts(json, "answer"));
  if (task->answers.empty()) return InvalidArgument("a task of this type needs \"answer\"");
  return Status::Ok();
}

// A mistyped key would change what is asked or how it is judged, and nothing would show it.
Status CheckKeys(const OrderedJson& json) {
  const std::vector<std::string> known = {"type",    "prompt", "messages",   "tools", "answer",
                                          "choices", "stop",   "max_tokens", "group"};
  for (const auto& item : json.items()) {
    if (item.key() == "id") continue;
    if (std::find(known.begin(), known.end(), item.key()) != known.end()) continue;
    const std::string meant = NearestWord(item.key(), known);
    if (meant.empty()) continue;
    return InvalidArgument("\"{}\" is no key of a task; did you mean \"{}\"?", item.key(), meant);
  }
  return Status::Ok();
}

Result<std::string> ReadId(const OrderedJson& json) {
  const auto found = json.find("id");
  if (found != json.end() && found->is_number_integer()) return found->dump();
  return Text(json, "id", false);
}

Result<EvalTask> ReadTask(const std::string& line, std::size_t number) {
  LARDER_ASSIGN_OR_RETURN(const OrderedJson json, ParseJson(line, "the task"));
  if (!json.is_object()) return InvalidArgument("the task is no JSON object");
  LARDER_RETURN_IF_ERROR(CheckKeys(json));
  EvalTask task;
  LARDER_ASSIGN_OR_RETURN(const std::string type, Text(json, "type", true));
  LARDER_RETURN_IF_ERROR(ReadPrompt(json, &task));
  LARDER_RETURN_IF_ERROR(ReadAnswer(json, type, &task));
  LARDER_ASSIGN_OR_RETURN(task.id, ReadId(json));
  LARDER_ASSIGN_OR_RETURN(task.group, Text(json, "group", false));
  LARDER_ASSIGN_OR_RETURN(task.stop, Texts(json, "stop"));
  if (task.id.empty()) task.id = fmt::format("{}", number);
  if (task.group.empty()) task.group = type;
  if (const auto most = json.find("max_tokens"); most != json.end()) {
    task.max_tokens = most->is_number_integer() ? most->get<std::int64_t>() : 0;
    if (task.max_tokens < 1 || task.max_tokens > kMostTokens) {
      return InvalidArgument("\"max_tokens\" is no whole number from 1 to {}", kMostTokens);
    }
  }
  return task;
}

}  // namespace

Result<std::vector<EvalTask>> ParseEvalTasks(const std::string& text) {
  std::vector<EvalTask> tasks;
  std::istringstream lines(text);
  std::size_t number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    if (Trimmed(line).empty()) continue;
    Result<EvalTask> task = ReadTask(line, number);
    if (!task.ok()) return DataError("line {}: {}", number, task.status().message());
    tasks.push_back(std::move(*task));
  }
  if (tasks.empty()) return DataError("there is no task in it");
  return tasks;
}

std::string Trimmed(const std::string& text) {
  constexpr const char* kBlank = " \t\r\n";
  const std::size_t begin = text.find_first_not_of(kBlank);
  if (begin == std::string::npos) return "";
  return text.substr(begin, text.find_last_not_of(kBlank) + 1 - begin);
}

std::string CutAtStop(const EvalTask& task, const std::string& text) {
  std::size_t end = text.size();
  for (const std::string& stop : task.stop) {
    if (!stop.empty()) end = std::min(end, text.find(stop));
  }
  return text.substr(0, end);
}

std::vector<EvalCheck> JudgeText(const EvalTask& task, const std::string& answer) {
  if (task.kind == EvalTask::Kind::kExact) {
    const bool is_right =
        std::any_of(task.answers.begin(), task.answers.end(),
                    [&answer](const std::string& right) { return Trimmed(right) == answer; });
    return {{"right", is_right}};
  }
  const Result<OrderedJson> value = ParseJson(answer, "the answer");
  std::vector<EvalCheck> checks = {{"parses", value.ok()}};
  if (!task.wants_value) return checks;
  // The order of an object's members says nothing.
  const bool is_right =
      value.ok() && nlohmann::json::parse(JsonText(*value), nullptr, false) ==
                        nlohmann::json::parse(JsonText(task.value), nullptr, false);
  checks.push_back({"right", is_right});
  return checks;
}

std::vector<EvalCheck> JudgeCall(const EvalTask& task, const Message& answer,
                                 std::size_t n_broken) {
  const bool is_call = answer.tool_calls.size() == 1 && n_broken == 0;
  const bool is_function = is_call && answer.tool_calls[0].name == task.tool_name;
  bool is_right = is_function;
  if (is_function) {
    std::vector<std::pair<std::string, std::string>> given;
    const Result<OrderedJson> json = ParseJson(answer.tool_calls[0].arguments_json, "arguments");
    if (json.ok() && json->is_object()) {
      for (const auto& [name, value] : json->items()) given.emplace_back(name, ValueText(value));
    }
    std::sort(given.begin(), given.end());
    is_right = json.ok() && given == task.arguments;
  }
  return {{"well-formed", is_call}, {"function", is_function}, {"right", is_right}};
}

std::vector<EvalCheck> JudgeChoice(const EvalTask& task, const std::vector<double>& logprobs) {
  const auto best = [&](bool per_byte) {
    std::size_t at = 0;
    double most = 0;
    for (std::size_t i = 0; i < logprobs.size(); ++i) {
      const double value =
          per_byte ? logprobs[i] / static_cast<double>(task.choices[i].size()) : logprobs[i];
      if (i > 0 && value <= most) continue;
      at = i;
      most = value;
    }
    return at;
  };
  return {{"right", best(false) == task.right_choice},
          {"right per byte", best(true) == task.right_choice}};
}

std::vector<EvalCheck> JudgeNothing(const EvalTask& task) {
  std::vector<EvalCheck> checks = task.kind == EvalTask::Kind::kChoice
                                      ? JudgeChoice(task, std::vector<double>(task.choices.size()))
                                  : task.kind == EvalTask::Kind::kToolCall
                                      ? JudgeCall(task, Message())
                                      : JudgeText(task, "");
  for (EvalCheck& check : checks) check.passed = false;
  return checks;
}

}  // namespace larder
