// Chat completions in OpenAI's form.
#include "server/openai_chat.h"

#include <map>

#include "server/agent_habits.h"
#include "server/openai_fields.h"

namespace larder {

namespace {

void ReadToolChoice(Fields* fields, ChatRequest* request) {
  const OrderedJson* choice = fields->Find("tool_choice");
  if (choice == nullptr) return;
  if (choice->is_string()) {
    const std::string word = choice->get<std::string>();
    if (word == "auto") return;
    if (word == "none" || word == "required") {
      request->tool_choice = word == "none" ? ToolChoice::kNone : ToolChoice::kRequired;
      return;
    }
  } else if (choice->is_object()) {
    const auto function = choice->find("function");
    const OrderedJson& named = function != choice->end() ? *function : *choice;
    const auto name = named.is_object() ? named.find("name") : named.end();
    if (named.is_object() && name != named.end() && name->is_string()) {
      request->tool_choice = ToolChoice::kRequired;
      request->forced_tool = name->get<std::string>();
      return;
    }
  }
  fields->Refuse("tool_choice",
                 "must be \"auto\", \"none\", \"required\", or {\"type\": \"function\", "
                 "\"function\": {\"name\": NAME}}");
}

void ReadTools(Fields* fields, ChatRequest* request) {
  ReadFunctionTools(fields, request);
  ReadToolChoice(fields, request);
  request->parallel_calls = fields->Bool("parallel_tool_calls").value_or(true);
  if (request->tool_choice == ToolChoice::kRequired && request->tools.empty()) {
    fields->Refuse("tool_choice", "needs 'tools'");
  }
}

void ReadTemplateVariables(Fields* fields, ChatRequest* request) {
  const OrderedJson* variables = fields->Object("chat_template_kwargs");
  if (variables == nullptr) return;
  request->template_variables_json = JsonText(*variables);
  Fields inner(*variables, "chat_template_kwargs");
  if (const auto thinking = inner.Bool("enable_thinking")) request->thinking = *thinking;
  if (inner.error()) fields->Refuse(*inner.error());
}

void ReadMessages(Fields* fields, ChatRequest* request) {
  const OrderedJson* list = fields->List("messages");
  if (list == nullptr || list->empty()) {
    return fields->Refuse("messages", "must be a list of at least one message");
  }
  if (list->size() > kMostMessages) return RefuseMessages(fields, "messages");
  CheckPartTypes(fields, *list);
  Result<std::vector<Message>> messages = MessagesFromJson(*list);
  if (!messages.ok()) {
    return fields->Refuse(
        ApiError{400, "'messages': " + messages.status().message(), "messages", "", 0});
  }
  RefuseOtherParts(fields, *messages);
  request->messages = std::move(*messages);
}

void ReadModalities(Fields* fields) {
  const std::vector<std::string> wanted = fields->Texts("modalities");
  for (const std::string& one : wanted) {
    if (one != "text") fields->Refuse("modalities", "must be [\"text\"]; this server only writes");
  }
}

class ChatRenderer : public AnswerRenderer {
 public:
  ChatRenderer(const ChatRequest& request, std::string model)
      : id_(NewId("chatcmpl-")),
        created_(UnixSeconds()),
        model_(std::move(model)),
        n_choices_(request.n_choices),
        logprobs_(request.n_logprobs.has_value()),
        n_rivals_(static_cast<std::size_t>(request.n_logprobs.value_or(0))),
        usage_(request.include_usage) {}

  ErrorForm error_form() const override { return ErrorForm::kOpenAi; }

  std::string Begin(std::int64_t) override {
    std::string bytes;
    for (int i = 0; i < n_choices_; ++i) {
      bytes +=
          Chunk(i, {{"role", "assistant"}, {"content", ""}, {"refusal", nullptr}}, nullptr, {});
    }
    return bytes;
  }

  std::string Piece(const AnswerPiece& piece) override {
    switch (piece.delta.kind) {
      case OutputDelta::Kind::kText:
        return Chunk(piece.choice, {{"content", piece.delta.text}}, nullptr, piece.tokens);
      case OutputDelta::Kind::kReasoning:
        return Chunk(piece.choice, {{"reasoning_content", piece.delta.text}}, nullptr,
                     piece.tokens);
      case OutputDelta::Kind::kCallBegin:
        return Chunk(piece.choice,
                     {{"tool_calls",
                       {{{"index", piece.delta.call},
                         {"id", NewId("call_")},
                         {"type", "function"},
                         {"function", {{"name", piece.delta.text}, {"arguments", ""}}}}}}},
                     nullptr, piece.tokens);
      case OutputDelta::Kind::kCallArguments:
        return Chunk(
            piece.choice,
            {{"tool_calls",
              {{{"index", piece.delta.call}, {"function", {{"arguments", piece.delta.text}}}}}}},
            nullptr, piece.tokens);
      case OutputDelta::Kind::kCallEnd:
      case OutputDelta::Kind::kCallFailed:
        break;
    }
    if (piece.tokens.empty()) return "";
    return Chunk(piece.choice, OrderedJson::object(), nullptr, piece.tokens);
  }

  std::string EndChoice(const ChoiceEnd& end) override {
    return Chunk(end.choice, OrderedJson::object(), OpenAiFinish(end.cause), end.tokens);
  }

  std::string End(const AnswerUsage& usage) override {
    std::string bytes;
    if (usage_) {
      OrderedJson chunk = Frame("chat.completion.chunk");
      chunk["choices"] = OrderedJson::array();
      chunk["usage"] = OpenAiUsage(usage);
      bytes = SseEvent(chunk);
    }
    return bytes + "data: [DONE]\n\n";
  }

  std::string Fail(const ApiError& error) override {
    return "data: " + ErrorJson(error, ErrorForm::kOpenAi) + "\n\n";
  }

  std::string Whole(const std::vector<ChoiceAnswer>& choices, const AnswerUsage& usage) override {
    OrderedJson json = Frame("chat.completion");
    json["choices"] = OrderedJson::array();
    for (const ChoiceAnswer& one : choices) {
      json["choices"].push_back({{"index", one.end.choice},
                                 {"message", MessageOf(one.message)},
                                 {"logprobs", LogprobsOf(one.tokens)},
                                 {"finish_reason", OpenAiFinish(one.end.cause)}});
    }
    json["usage"] = OpenAiUsage(usage);
    return JsonText(json);
  }

 private:
  OrderedJson Frame(const char* object) const {
    return {{"id", id_},
            {"object", object},
            {"created", created_},
            {"model", model_},
            {"system_fingerprint", nullptr}};
  }

  std::string Chunk(int choice, OrderedJson delta, const char* finish,
                    const std::vector<TokenDetail>& tokens) const {
    OrderedJson chunk = Frame("chat.completion.chunk");
    chunk["choices"] = {
        {{"index", choice},
         {"delta", std::move(delta)},
         {"logprobs", tokens.empty() ? OrderedJson() : LogprobsOf(tokens)},
         {"finish_reason", finish == nullptr ? OrderedJson() : OrderedJson(finish)}}};
    if (usage_) chunk["usage"] = nullptr;
    return SseEvent(chunk);
  }

  static OrderedJson MessageOf(const Message& message) {
    OrderedJson json = {{"role", "assistant"}};
    const bool wordless = !message.text && !message.tool_calls.empty();
    json["content"] = wordless ? OrderedJson() : OrderedJson(message.text.value_or(""));
    json["refusal"] = nullptr;
    if (message.reasoning) json["reasoning_content"] = *message.reasoning;
    for (const ToolCall& call : message.tool_calls) {
      json["tool_calls"].push_back(
          {{"id", NewId("call_")},
           {"type", "function"},
           {"function", {{"name", call.name}, {"arguments", call.arguments_json}}}});
    }
    return json;
  }

  static OrderedJson TokenOf(const std::string& bytes, double logprob) {
    OrderedJson list = OrderedJson::array();
    for (const char byte : bytes) list.push_back(static_cast<unsigned char>(byte));
    return {{"token", bytes}, {"logprob", FiniteLogprob(logprob)}, {"bytes", std::move(list)}};
  }

  OrderedJson LogprobsOf(const std::vector<TokenDetail>& tokens) const {
    if (!logprobs_) return OrderedJson();
    OrderedJson content = OrderedJson::array();
    for (const TokenDetail& token : tokens) {
      OrderedJson one = TokenOf(token.bytes, token.logprob);
      one["top_logprobs"] = OrderedJson::array();
      for (std::size_t i = 0; i < token.top.size() && i < n_rivals_; ++i) {
        one["top_logprobs"].push_back(TokenOf(token.top[i].bytes, token.top[i].logprob));
      }
      content.push_back(std::move(one));
    }
    return {{"content", std::move(content)}, {"refusal", nullptr}};
  }

  std::string id_;
  std::int64_t created_;
  std::string model_;
  int n_choices_;
  bool logprobs_;
  std::size_t n_rivals_;
  bool usage_;
};

}  // namespace

std::optional<ApiError> ParseOpenAiChat(const OrderedJson& body, ChatRequest* request) {
  constexpr std::int64_t kMostTokens = std::int64_t{1} << 40;
  Fields fields(body);
  request->is_chat = true;
  ReadCommonFields(&fields, request);
  ReadMessages(&fields, request);
  ReadTools(&fields, request);
  ReadModalities(&fields);
  request->max_tokens = fields.Integer("max_completion_tokens", 1, kMostTokens);
  const auto max_tokens = fields.Integer("max_tokens", 1, kMostTokens);
  if (!request->max_tokens) request->max_tokens = max_tokens;
  if (const OrderedJson* format = fields.Object("response_format")) {
    ReadFormat(&fields, *format, "response_format", "json_schema", request);
  }
  if (const auto effort = fields.Text("reasoning_effort")) {
    ReadEffort(&fields, "reasoning_effort", *effort, request);
  }
  ReadTemplateVariables(&fields, request);
  const bool logprobs = fields.Bool("logprobs").value_or(false);
  const auto n_rivals = fields.Integer("top_logprobs", 0, kMostRivals);
  if (n_rivals && *n_rivals > 0 && !logprobs) {
    fields.Refuse("top_logprobs", "needs 'logprobs' to be true");
  }
  if (logprobs) request->n_logprobs = static_cast<int>(n_rivals.value_or(0));
  request->continue_last = fields.Bool("continue_final_message").value_or(false) &&
                           !request->messages.empty() &&
                           request->messages.back().role == Role::kAssistant;
  ApplyAgentHabits(request);
  return fields.error();
}

std::unique_ptr<AnswerRenderer> MakeOpenAiChatRenderer(const ChatRequest& request,
                                                       const std::string& model) {
  return std::make_unique<ChatRenderer>(request, model);
}

}  // namespace larder
