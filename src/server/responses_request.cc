// The items of a response's input, as messages of the internal kind.
#include <algorithm>
#include <map>

#include "server/agent_habits.h"
#include "server/openai_fields.h"
#include "server/responses.h"

namespace larder {

namespace {

// Texts of a list of parts, or a text itself.
std::optional<std::string> TextOf(const OrderedJson& content, const std::string& where,
                                  Fields* fields) {
  if (content.is_string()) return content.get<std::string>();
  if (!content.is_array()) {
    fields->Refuse(where, "must be a text or a list of parts");
    return std::nullopt;
  }
  std::string text;
  for (const OrderedJson& one : content) {
    Fields part(one, where);
    const std::string type = part.Text("type").value_or("");
    const bool is_text = type == "input_text" || type == "output_text" || type == "text" ||
                         type == "summary_text" || type == "reasoning_text";
    if (is_text) {
      if (!part.Has("text")) part.Refuse("text", "is missing");
      text += part.Text("text").value_or("");
    } else if (type == "refusal") {
      text += part.Text("refusal").value_or("");
    } else {
      part.Refuse("type", fmt::format("'{}' is not read here: this server reads text only, no "
                                      "images, audio or files",
                                      type));
    }
    if (part.error()) {
      fields->Refuse(*part.error());
      return std::nullopt;
    }
  }
  return text;
}

class ItemReader {
 public:
  ItemReader(Fields* fields, ChatRequest* request) : fields_(fields), request_(request) {}

  void Read(const OrderedJson& json, std::size_t index) {
    const std::string where = fmt::format("input[{}]", index);
    Fields item(json, where);
    const std::string type = item.Text("type").value_or("message");
    if (!item.ok()) return fields_->Refuse(*item.error());
    if (type == "message") {
      ReadMessage(&item, where);
    } else if (type == "function_call") {
      ReadCall(&item);
    } else if (type == "function_call_output") {
      ReadOutput(&item, where);
    } else if (type == "reasoning") {
      ReadReasoning(&item, where);
    } else if (type == "item_reference") {
      item.Refuse("type", "'item_reference' needs stored answers; send the items themselves");
    } else {
      item.Refuse("type", fmt::format("'{}' is not read here", type));
    }
    if (item.error()) fields_->Refuse(*item.error());
  }

 private:
  void ReadMessage(Fields* item, const std::string& where) {
    Message message;
    const std::string role = item->Text("role").value_or("");
    if (role == "user") {
      message.role = Role::kUser;
    } else if (role == "assistant") {
      message.role = Role::kAssistant;
      message.reasoning = std::exchange(reasoning_, std::nullopt);
    } else if (role == "system" || role == "developer") {
      message.role = Role::kSystem;
    } else {
      return item->Refuse("role", "must be user, assistant, system or developer");
    }
    const OrderedJson* content = item->Find("content");
    if (content == nullptr) return item->Refuse("content", "is missing");
    message.text = TextOf(*content, where + ".content", fields_);
    request_->messages.push_back(std::move(message));
  }

  void ReadCall(Fields* item) {
    ToolCall call;
    call.id = item->Text("call_id").value_or("");
    call.name = item->Text("name").value_or("");
    call.arguments_json = item->Text("arguments").value_or("");
    if (call.arguments_json.empty()) call.arguments_json = "{}";
    if (call.name.empty()) return item->Refuse("name", "is missing");
    names_[call.id] = call.name;
    std::vector<Message>& messages = request_->messages;
    if (messages.empty() || messages.back().role != Role::kAssistant) {
      Message message;
      message.role = Role::kAssistant;
      message.reasoning = std::exchange(reasoning_, std::nullopt);
      messages.push_back(std::move(message));
    }
    messages.back().tool_calls.push_back(std::move(call));
  }

  void ReadOutput(Fields* item, const std::string& where) {
    Message message;
    message.role = Role::kTool;
    message.tool_call_id = item->Text("call_id").value_or("");
    const auto name = names_.find(message.tool_call_id);
    if (name != names_.end()) message.name = name->second;
    const OrderedJson* output = item->Find("output");
    if (output == nullptr) return item->Refuse("output", "is missing");
    message.text = TextOf(*output, where + ".output", fields_);
    request_->messages.push_back(std::move(message));
  }

  // Reasoning that is encrypted is another server's: only what can be read is shown to the model.
  void ReadReasoning(Fields* item, const std::string& where) {
    const OrderedJson* content = item->List("content");
    if (content == nullptr || content->empty()) content = item->List("summary");
    if (content == nullptr || content->empty()) return;
    const auto text = TextOf(*content, where, fields_);
    if (text) Append(*text, &reasoning_);
  }

  Fields* fields_;
  ChatRequest* request_;
  std::optional<std::string> reasoning_;      // waits for the message that it led to
  std::map<std::string, std::string> names_;  // of calls, by id
};

void ReadInput(Fields* fields, ChatRequest* request) {
  const std::string instructions = fields->Text("instructions").value_or("");
  if (!instructions.empty()) request->messages.push_back(SystemMessage(instructions));
  const OrderedJson* input = fields->Find("input");
  if (input != nullptr && input->is_string()) {
    request->messages.push_back(UserMessage(input->get<std::string>()));
    return;
  }
  if (input == nullptr || !input->is_array() || input->empty()) {
    return fields->Refuse("input", "must be a text or a list of at least one item");
  }
  if (input->size() > kMostMessages) return RefuseMessages(fields, "input");
  ItemReader reader(fields, request);
  for (std::size_t i = 0; i < input->size() && fields->ok(); ++i) reader.Read((*input)[i], i);
  if (request->messages.empty()) fields->Refuse("input", "must hold a message");
}

void ReadLogprobs(Fields* fields, ChatRequest* request) {
  const auto n_rivals = fields->Integer("top_logprobs", 0, kMostRivals);
  if (n_rivals && *n_rivals > 0) request->n_logprobs = static_cast<int>(*n_rivals);
  const OrderedJson* include = fields->List("include");
  if (include == nullptr) return;
  for (const OrderedJson& one : *include) {
    if (!one.is_string()) return fields->Refuse("include", "must be a list of texts");
    const bool logprobs = one == "message.output_text.logprobs";
    if (logprobs && !request->n_logprobs) request->n_logprobs = 0;
  }
}

// Tools that run at the provider are not offered to the model; agents send them along unasked.
void ReadTools(Fields* fields, ChatRequest* request) {
  if (const OrderedJson* list = fields->List("tools")) {
    OrderedJson functions = OrderedJson::array();
    for (std::size_t i = 0; i < list->size(); ++i) {
      Fields tool((*list)[i], fmt::format("tools[{}]", i));
      const std::string type = tool.Text("type").value_or("");
      if (type.empty()) tool.Refuse("type", "is missing");
      if (tool.error()) return fields->Refuse(*tool.error());
      if (type != "function") continue;
      OrderedJson function = (*list)[i];
      function.erase("type");
      functions.push_back({{"type", "function"}, {"function", std::move(function)}});
    }
    TakeTools(fields, ToolsFromJson(functions), request);
  }
  const OrderedJson* choice = fields->Find("tool_choice");
  if (choice == nullptr || *choice == "auto") return;
  const auto name = choice->is_object() ? choice->find("name") : choice->end();
  if (*choice == "none") {
    request->tool_choice = ToolChoice::kNone;
  } else if (*choice == "required") {
    request->tool_choice = ToolChoice::kRequired;
  } else if (choice->is_object() && name != choice->end() && name->is_string()) {
    request->tool_choice = ToolChoice::kRequired;
    request->forced_tool = name->get<std::string>();
  } else {
    fields->Refuse("tool_choice", "must be \"auto\", \"none\", \"required\" or a function by name");
  }
  if (request->tool_choice == ToolChoice::kRequired && request->tools.empty()) {
    fields->Refuse("tool_choice", "needs 'tools' that are functions");
  }
}

void RefuseStored(Fields* fields) {
  for (const char* name : {"previous_response_id", "conversation", "prompt"}) {
    if (!fields->Has(name)) continue;
    fields->Refuse(name, "is not offered: answers are not stored here; send the whole input");
  }
  if (fields->Bool("background").value_or(false)) {
    fields->Refuse("background", "is not offered here");
  }
}

}  // namespace

std::optional<ApiError> ParseResponses(const OrderedJson& body, ChatRequest* request) {
  Fields fields(body);
  request->is_chat = true;
  request->model = fields.Text("model").value_or("");
  RefuseStored(&fields);
  ReadInput(&fields, request);
  ReadTools(&fields, request);
  request->parallel_calls = fields.Bool("parallel_tool_calls").value_or(true);
  request->max_tokens = fields.Integer("max_output_tokens", 1, std::int64_t{1} << 40);
  request->sampling.temperature = fields.Number("temperature", 0, 100);
  request->sampling.top_p = fields.Number("top_p", 0, 1);
  ReadLogprobs(&fields, request);
  request->stream = fields.Bool("stream").value_or(false);
  if (const OrderedJson* reasoning = fields.Object("reasoning")) {
    Fields inner(*reasoning, "reasoning");
    const auto effort = inner.Text("effort");
    if (inner.error()) fields.Refuse(*inner.error());
    if (effort) ReadEffort(&fields, "reasoning.effort", *effort, request);
  }
  if (const OrderedJson* text = fields.Object("text")) {
    Fields inner(*text, "text");
    const OrderedJson* format = inner.Object("format");
    if (inner.error()) fields.Refuse(*inner.error());
    if (format != nullptr) ReadFormat(&fields, *format, "text.format", nullptr, request);
  }
  fields.Object("metadata");
  fields.Bool("store");
  ApplyAgentHabits(request);
  return fields.error();
}

}  // namespace larder
