// What Anthropic's clients send, as messages of the internal kind: their content blocks become
// texts, reasoning, calls and results of calls.
#include <map>

#include "server/agent_habits.h"
#include "server/anthropic.h"
#include "server/openai_fields.h"

namespace larder {

namespace {

// The text of a "text" block, or of a list of them, as in tool results.
std::optional<std::string> PlainText(const OrderedJson& content, Fields* fields,
                                     const std::string& where) {
  if (content.is_string()) return content.get<std::string>();
  std::string text;
  if (!content.is_array()) {
    fields->Refuse(where, "must be a text or a list of blocks");
    return std::nullopt;
  }
  for (const OrderedJson& block : content) {
    Fields inner(block, where);
    const std::string type = inner.Text("type").value_or("");
    if (type != "text") {
      fields->Refuse(where, fmt::format("has a block of type '{}'; this server reads text only, no "
                                        "images or documents",
                                        type));
      return std::nullopt;
    }
    const auto piece = inner.Text("text");
    if (!piece) inner.Refuse("text", "must be a text");
    if (inner.error()) {
      fields->Refuse(*inner.error());
      return std::nullopt;
    }
    if (!text.empty()) text += "\n";
    text += *piece;
  }
  return text;
}

void ReadSystem(Fields* fields, ChatRequest* request) {
  const OrderedJson* system = fields->Find("system");
  if (system == nullptr) return;
  const auto text = PlainText(*system, fields, "system");
  if (text && !text->empty()) request->messages.push_back(SystemMessage(*text));
}

// One message may become several: results of calls are messages of their own, before its words.
class MessageReader {
 public:
  MessageReader(Fields* fields, ChatRequest* request) : fields_(fields), request_(request) {}

  void Read(const OrderedJson& json, std::size_t index) {
    where_ = fmt::format("messages[{}]", index);
    Fields message(json, where_);
    const std::string role = message.Text("role").value_or("");
    const OrderedJson* content = message.Find("content");
    if (role != "user" && role != "assistant" && role != "system") {
      message.Refuse("role", "must be \"user\" or \"assistant\"");
    }
    if (content == nullptr) message.Refuse("content", "is missing");
    if (message.error()) return fields_->Refuse(*message.error());
    role_ = role == "user" ? Role::kUser : role == "assistant" ? Role::kAssistant : Role::kSystem;
    words_ = Message();
    words_.role = role_;
    if (content->is_string()) {
      words_.text = content->get<std::string>();
      request_->messages.push_back(std::move(words_));
      return;
    }
    if (!content->is_array()) {
      return fields_->Refuse(where_ + ".content", "must be a text or a list of blocks");
    }
    bool only_results = !content->empty();
    for (const OrderedJson& block : *content) only_results = ReadBlock(block) && only_results;
    if (!only_results) request_->messages.push_back(std::move(words_));
  }

 private:
  // True for the result of a call.
  bool ReadBlock(const OrderedJson& json) {
    Fields block(json, where_ + ".content");
    const std::string type = block.Text("type").value_or("");
    if (type == "text") {
      const auto text = block.Text("text");
      if (!text) block.Refuse("text", "must be a text");
      AddText(text.value_or(""));
    } else if (type == "tool_result" && role_ == Role::kUser) {
      ReadResult(&block);
      if (block.error()) fields_->Refuse(*block.error());
      return true;
    } else if (type == "tool_use" && role_ == Role::kAssistant) {
      ReadCall(&block);
    } else if (type == "thinking" && role_ == Role::kAssistant) {
      const std::string thought = block.Text("thinking").value_or("");
      Append(thought, &words_.reasoning);
    } else if (type != "redacted_thinking") {
      block.Refuse("type", fmt::format("'{}' is not read here: text, tool_use, tool_result and "
                                       "thinking only",
                                       type));
    }
    if (block.error()) fields_->Refuse(*block.error());
    return false;
  }

  void AddText(const std::string& text) {
    if (words_.text && !words_.text->empty()) *words_.text += "\n";
    Append(text, &words_.text);
  }

  void ReadCall(Fields* block) {
    ToolCall call;
    call.id = block->Text("id").value_or("");
    call.name = block->Text("name").value_or("");
    if (call.name.empty()) block->Refuse("name", "must name a tool");
    const OrderedJson* input = block->Object("input");
    call.arguments_json = input == nullptr ? "{}" : JsonText(*input);
    names_[call.id] = call.name;
    words_.tool_calls.push_back(std::move(call));
  }

  void ReadResult(Fields* block) {
    if (request_->messages.size() >= kMostMessages) return RefuseMessages(fields_, "messages");
    Message result;
    result.role = Role::kTool;
    result.tool_call_id = block->Text("tool_use_id").value_or("");
    const auto name = names_.find(result.tool_call_id);
    if (name != names_.end()) result.name = name->second;
    const OrderedJson* content = block->Find("content");
    if (content != nullptr) {
      result.text = PlainText(*content, fields_, where_ + ".content").value_or("");
    } else {
      result.text = "";
    }
    if (block->Bool("is_error").value_or(false)) result.text = "Error: " + *result.text;
    request_->messages.push_back(std::move(result));
  }

  Fields* fields_;
  ChatRequest* request_;
  std::string where_;
  Role role_ = Role::kUser;
  Message words_;
  std::map<std::string, std::string> names_;  // of calls, by id
};

void ReadTools(Fields* fields, ChatRequest* request) {
  const OrderedJson* list = fields->List("tools");
  if (list == nullptr) return;
  std::vector<ToolDefinition> tools;
  for (std::size_t i = 0; i < list->size(); ++i) {
    Fields tool((*list)[i], fmt::format("tools[{}]", i));
    const std::string name = tool.Text("name").value_or("");
    const OrderedJson* schema = tool.Object("input_schema");
    if (name.empty()) tool.Refuse("name", "is missing");
    if (schema == nullptr) {
      tool.Refuse("input_schema", "is missing: tools of the provider's own are not offered here");
    }
    const std::string description = tool.Text("description").value_or("");
    if (tool.error()) return fields->Refuse(*tool.error());
    tools.push_back(MakeTool(name, description, JsonText(*schema)));
  }
  TakeTools(fields, std::move(tools), request);
}

void ReadToolChoice(Fields* fields, ChatRequest* request) {
  const OrderedJson* choice = fields->Object("tool_choice");
  if (choice == nullptr) return;
  Fields inner(*choice, "tool_choice");
  const std::string type = inner.Text("type").value_or("");
  request->parallel_calls = !inner.Bool("disable_parallel_tool_use").value_or(false);
  if (type == "any" || type == "tool") {
    request->tool_choice = ToolChoice::kRequired;
    if (type == "tool") request->forced_tool = inner.Text("name").value_or("");
    if (type == "tool" && request->forced_tool.empty()) inner.Refuse("name", "is missing");
    if (request->tools.empty()) inner.Refuse("type", "needs 'tools'");
  } else if (type == "none") {
    request->tool_choice = ToolChoice::kNone;
  } else if (type != "auto") {
    inner.Refuse("type", "must be \"auto\", \"any\", \"tool\" or \"none\"");
  }
  if (inner.error()) fields->Refuse(*inner.error());
}

void ReadThinking(Fields* fields, ChatRequest* request) {
  const OrderedJson* thinking = fields->Object("thinking");
  if (thinking == nullptr) return;
  Fields inner(*thinking, "thinking");
  const std::string type = inner.Text("type").value_or("");
  if (type != "enabled" && type != "disabled" && type != "adaptive") {
    inner.Refuse("type", "must be \"enabled\", \"adaptive\" or \"disabled\"");
  }
  request->thinking = type != "disabled";
  request->thinking_tokens = inner.Integer("budget_tokens", 1, std::int64_t{1} << 40);
  if (inner.error()) fields->Refuse(*inner.error());
}

// output_config.format or output_format holds the answer to a schema.
void ReadOutputFormat(Fields* fields, ChatRequest* request) {
  if (const OrderedJson* format = fields->Object("output_format")) {
    ReadFormat(fields, *format, "output_format", nullptr, request);
  }
  const OrderedJson* config = fields->Object("output_config");
  if (config == nullptr) return;
  Fields inner(*config, "output_config");
  const OrderedJson* format = inner.Object("format");
  if (inner.error()) return fields->Refuse(*inner.error());
  if (format != nullptr) ReadFormat(fields, *format, "output_config.format", nullptr, request);
}

}  // namespace

std::optional<ApiError> ParseAnthropic(const OrderedJson& body, bool counting,
                                       ChatRequest* request) {
  Fields fields(body);
  request->is_chat = true;
  request->model = fields.Text("model").value_or("");
  ReadSystem(&fields, request);
  const OrderedJson* list = fields.List("messages");
  if (list == nullptr || list->empty()) {
    fields.Refuse("messages", "must be a list of at least one message");
  } else if (list->size() > kMostMessages) {
    RefuseMessages(&fields, "messages");
  } else {
    MessageReader reader(&fields, request);
    for (std::size_t i = 0; i < list->size() && fields.ok(); ++i) reader.Read((*list)[i], i);
  }
  ReadTools(&fields, request);
  ReadToolChoice(&fields, request);
  ReadThinking(&fields, request);
  ReadOutputFormat(&fields, request);
  request->max_tokens = fields.Integer("max_tokens", 1, std::int64_t{1} << 40);
  if (!counting && !request->max_tokens) fields.Refuse("max_tokens", "is missing");
  ReadStops(&fields, "stop_sequences", request);
  request->sampling.temperature = fields.Number("temperature", 0, 100);
  request->sampling.top_p = fields.Number("top_p", 0, 1);
  const auto top_k = fields.Integer("top_k", 0, std::numeric_limits<std::int32_t>::max());
  if (top_k) request->sampling.top_k = static_cast<int>(*top_k);
  request->stream = fields.Bool("stream").value_or(false);
  fields.Object("metadata");
  // A last message of the assistant's is the beginning of the answer.
  request->continue_last = request->messages.size() > 1 &&
                           request->messages.back().role == Role::kAssistant &&
                           request->messages.back().tool_calls.empty();
  ApplyAgentHabits(request);
  return fields.error();
}

}  // namespace larder
