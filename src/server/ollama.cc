// Requests and answers in Ollama's form.
#include "server/ollama.h"

#include <chrono>
#include <ctime>

#include "server/agent_habits.h"
#include "server/openai_fields.h"

namespace larder {

namespace {

std::int64_t NowUnixUs() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

void ReadOptions(Fields* fields, ChatRequest* request) {
  const OrderedJson* options = fields->Object("options");
  if (options == nullptr) return;
  constexpr std::int64_t kMostInt = std::numeric_limits<std::int32_t>::max();
  Fields inner(*options, "options");
  SamplingFields& sampling = request->sampling;
  sampling.temperature = inner.Number("temperature", 0, 100);
  sampling.top_p = inner.Number("top_p", 0, 1);
  sampling.min_p = inner.Number("min_p", 0, 1);
  sampling.repeat_penalty = inner.Number("repeat_penalty", 0.01, 100);
  sampling.presence_penalty = inner.Number("presence_penalty", -100, 100);
  sampling.frequency_penalty = inner.Number("frequency_penalty", -100, 100);
  const auto top_k = inner.Integer("top_k", -1, kMostInt);
  if (top_k) sampling.top_k = static_cast<int>(std::max<std::int64_t>(*top_k, 0));
  const auto window = inner.Integer("repeat_last_n", -1, kMostInt);
  // Here -1 is the whole context, and 0 switches the penalty off.
  if (window) sampling.penalty_window = static_cast<int>(std::max<std::int64_t>(*window, 0));
  if (window && *window == 0) sampling.repeat_penalty = 1.0;
  const auto seed = inner.Integer("seed", std::numeric_limits<std::int64_t>::min(),
                                  std::numeric_limits<std::int64_t>::max());
  if (seed) sampling.seed = static_cast<std::uint64_t>(*seed);
  const auto n_predict = inner.Integer("num_predict", -2, std::int64_t{1} << 40);
  if (n_predict && *n_predict > 0) request->max_tokens = *n_predict;
  ReadStops(&inner, "stop", request);
  if (inner.error()) fields->Refuse(*inner.error());
}

void ReadShared(Fields* fields, ChatRequest* request) {
  request->model = fields->Text("model").value_or("");
  request->stream = fields->Bool("stream").value_or(true);
  ReadOptions(fields, request);
  request->format_field = "format";
  if (const OrderedJson* format = fields->Find("format")) {
    if (*format == "json") {
      request->format = AnswerFormat::kJsonObject;
    } else if (format->is_object()) {
      request->format = AnswerFormat::kJsonSchema;
      request->schema_json = JsonText(*format);
    } else if (*format != "") {
      fields->Refuse("format", "must be \"json\" or a JSON schema");
    }
  }
  const OrderedJson* think = fields->Find("think");
  if (think != nullptr && think->is_boolean()) {
    request->thinking = think->get<bool>();
  } else if (think != nullptr && think->is_string()) {
    ReadEffort(fields, "think", think->get<std::string>(), request);
  } else if (think != nullptr) {
    fields->Refuse("think", "must be true, false or an effort");
  }
  const bool logprobs = fields->Bool("logprobs").value_or(false);
  const auto n_rivals = fields->Integer("top_logprobs", 0, kMostRivals);
  if (logprobs) request->n_logprobs = static_cast<int>(n_rivals.value_or(0));
}

// A time of nothing: 0, "0", "0s", "0m", "0h0m0s".
bool IsNoTime(const OrderedJson& time) {
  if (!time.is_string()) return time == 0;
  const auto& text = time.get_ref<const std::string&>();
  return text.find('0') != std::string::npos &&
         text.find_first_of("123456789") == std::string::npos;
}

// The model stays as long as the server does: other times mean nothing here.
std::string ReadErrand(Fields* fields, bool nothing_asked) {
  const OrderedJson* keep_alive = fields->Find("keep_alive");
  if (keep_alive != nullptr && !keep_alive->is_number() && !keep_alive->is_string()) {
    fields->Refuse("keep_alive", "must be a number of seconds or a text such as \"5m\"");
  }
  if (!nothing_asked) return "";
  return keep_alive != nullptr && IsNoTime(*keep_alive) ? "unload" : "load";
}

void RefuseImages(Fields* fields) {
  const OrderedJson* images = fields->List("images");
  if (images != nullptr && !images->empty()) {
    fields->Refuse("images", "are not read here: this server reads text only");
  }
}

class OllamaRenderer : public AnswerRenderer {
 public:
  OllamaRenderer(bool chat, const ChatRequest& request, std::string model)
      : chat_(chat), logprobs_(request.n_logprobs.has_value()), model_(std::move(model)) {}

  ErrorForm error_form() const override { return ErrorForm::kOllama; }
  const char* stream_content_type() const override { return "application/x-ndjson"; }
  std::string KeepAlive() const override { return Line("", "", nullptr, {}); }
  std::string Progress(std::int64_t, std::int64_t) const override { return ""; }
  std::string Begin(std::int64_t) override { return KeepAlive(); }

  std::string Piece(const AnswerPiece& piece) override {
    switch (piece.delta.kind) {
      case OutputDelta::Kind::kText:
        return Line(piece.delta.text, "", nullptr, piece.tokens);
      case OutputDelta::Kind::kReasoning:
        return Line("", piece.delta.text, nullptr, piece.tokens);
      case OutputDelta::Kind::kCallBegin:
        name_ = piece.delta.text;
        arguments_.clear();
        break;
      case OutputDelta::Kind::kCallArguments:
        arguments_ += piece.delta.text;
        break;
      case OutputDelta::Kind::kCallEnd:
      case OutputDelta::Kind::kCallFailed: {
        OrderedJson call = CallOf(name_, arguments_);
        if (!call.is_null()) return Line("", "", std::move(call), {});
      }
    }
    return "";
  }

  std::string EndChoice(const ChoiceEnd& end) override {
    end_ = end;
    return "";
  }

  std::string End(const AnswerUsage& usage) override {
    OrderedJson json = Frame();
    Put(&json, "", "", OrderedJson::array());
    Complete(usage, &json);
    return JsonText(json) + "\n";
  }

  std::string Fail(const ApiError& error) override {
    return ErrorJson(error, ErrorForm::kOllama) + "\n";
  }

  std::string Whole(const std::vector<ChoiceAnswer>& choices, const AnswerUsage& usage) override {
    const ChoiceAnswer& one = choices.front();
    end_ = one.end;
    OrderedJson calls = OrderedJson::array();
    for (const ToolCall& call : one.message.tool_calls) {
      OrderedJson shown = CallOf(call.name, call.arguments_json);
      if (!shown.is_null()) calls.push_back(std::move(shown));
    }
    OrderedJson json = Frame();
    Put(&json, one.message.text.value_or(""), one.message.reasoning.value_or(""), calls);
    if (logprobs_) json["logprobs"] = LogprobsOf(one.tokens);
    Complete(usage, &json);
    return JsonText(json);
  }

 private:
  OrderedJson Frame() const { return {{"model", model_}, {"created_at", OllamaTime(NowUnixUs())}}; }

  // Null for a call that was cut off: this API has no way to show a part of one.
  static OrderedJson CallOf(const std::string& name, const std::string& arguments) {
    auto object = ParseObject(arguments);
    if (!object) return nullptr;
    return {{"function", {{"name", name}, {"arguments", std::move(*object)}}}};
  }

  static OrderedJson TokenOf(const std::string& bytes, double logprob) {
    return {{"token", bytes}, {"logprob", FiniteLogprob(logprob)}};
  }

  static OrderedJson LogprobsOf(const std::vector<TokenDetail>& tokens) {
    OrderedJson list = OrderedJson::array();
    for (const TokenDetail& token : tokens) {
      OrderedJson one = TokenOf(token.bytes, token.logprob);
      one["top_logprobs"] = OrderedJson::array();
      for (const TokenRival& rival : token.top) {
        one["top_logprobs"].push_back(TokenOf(rival.bytes, rival.logprob));
      }
      list.push_back(std::move(one));
    }
    return list;
  }

  void Put(OrderedJson* json, const std::string& text, const std::string& thinking,
           const OrderedJson& calls) const {
    if (!chat_) {
      (*json)["response"] = text;
      if (!thinking.empty()) (*json)["thinking"] = thinking;
      return;
    }
    OrderedJson message = {{"role", "assistant"}, {"content", text}};
    if (!thinking.empty()) message["thinking"] = thinking;
    if (!calls.empty()) message["tool_calls"] = calls;
    (*json)["message"] = std::move(message);
  }

  std::string Line(const std::string& text, const std::string& thinking, OrderedJson call,
                   const std::vector<TokenDetail>& tokens) const {
    OrderedJson json = Frame();
    OrderedJson calls = OrderedJson::array();
    if (!call.is_null()) calls.push_back(std::move(call));
    Put(&json, text, thinking, calls);
    json["done"] = false;
    if (logprobs_ && !tokens.empty()) json["logprobs"] = LogprobsOf(tokens);
    return JsonText(json) + "\n";
  }

  void Complete(const AnswerUsage& usage, OrderedJson* json) const {
    (*json)["done_reason"] = end_.cause == StopCause::kLength ? "length" : "stop";
    (*json)["done"] = true;
    (*json)["total_duration"] = (usage.queue_us + usage.prompt_us + usage.generation_us) * 1000;
    (*json)["load_duration"] = usage.queue_us * 1000;
    (*json)["prompt_eval_count"] = usage.n_prompt;
    (*json)["prompt_eval_duration"] = usage.prompt_us * 1000;
    (*json)["eval_count"] = usage.n_answer;
    (*json)["eval_duration"] = usage.generation_us * 1000;
  }

  bool chat_;
  bool logprobs_;
  std::string model_;
  std::string name_;  // of the call that is coming
  std::string arguments_;
  ChoiceEnd end_;
};

}  // namespace

std::string OllamaTime(std::int64_t unix_us) {
  const auto seconds = static_cast<std::time_t>(unix_us / 1000000);
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z", utc.tm_year + 1900,
                     utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec,
                     unix_us % 1000000);
}

std::string OllamaErrandDone(bool chat, const std::string& errand, const std::string& model) {
  OrderedJson json = {{"model", model}, {"created_at", OllamaTime(NowUnixUs())}};
  if (chat) {
    json["message"] = {{"role", "assistant"}, {"content", ""}};
  } else {
    json["response"] = "";
  }
  json["done_reason"] = errand;
  json["done"] = true;
  return JsonText(json) + "\n";
}

std::optional<ApiError> ParseOllamaChat(const OrderedJson& body, ChatRequest* request,
                                        std::string* errand) {
  Fields fields(body);
  request->is_chat = true;
  ReadShared(&fields, request);
  const OrderedJson* list = fields.List("messages");
  const bool nothing_asked = list == nullptr || list->empty();
  *errand = ReadErrand(&fields, nothing_asked);
  if (!nothing_asked && list->size() > kMostMessages) {
    RefuseMessages(&fields, "messages");
    return fields.error();
  }
  if (!nothing_asked) {
    OrderedJson messages = OrderedJson::array();
    for (std::size_t i = 0; i < list->size(); ++i) {
      const std::string where = fmt::format("messages[{}]", i);
      Fields message((*list)[i], where);
      RefuseImages(&message);
      OrderedJson copy = (*list)[i];
      message.Text("name");  // checked, though the tool's name goes before it
      if (const auto tool = message.Text("tool_name")) copy["name"] = *tool;
      if (message.error()) fields.Refuse(*message.error());
      messages.push_back(std::move(copy));
    }
    CheckPartTypes(&fields, *list);
    if (!fields.ok()) return fields.error();
    Result<std::vector<Message>> read = MessagesFromJson(messages);
    if (!read.ok()) {
      fields.Refuse(ApiError{400, "'messages': " + read.status().message(), "messages", "", 0});
    } else {
      RefuseOtherParts(&fields, *read);
      request->messages = std::move(*read);
    }
  }
  ReadFunctionTools(&fields, request);
  ApplyAgentHabits(request);
  return fields.error();
}

std::optional<ApiError> ParseOllamaGenerate(const OrderedJson& body, ChatRequest* request,
                                            std::string* errand) {
  Fields fields(body);
  ReadShared(&fields, request);
  const std::string prompt = fields.Text("prompt").value_or("");
  const std::string system = fields.Text("system").value_or("");
  RefuseImages(&fields);
  *errand = ReadErrand(&fields, prompt.empty());
  request->is_chat = !fields.Bool("raw").value_or(false);
  if (!fields.Text("suffix").value_or("").empty()) {
    fields.Refuse("suffix", "is not offered: this model does not fill in");
  }
  if (!fields.Text("template").value_or("").empty()) {
    fields.Refuse("template", "cannot be changed here; use 'raw' with a prompt of your own");
  }
  if (request->is_chat) {
    if (!system.empty()) request->messages.push_back(SystemMessage(system));
    request->messages.push_back(UserMessage(prompt));
  } else {
    RawPrompt raw;
    raw.text = prompt;
    request->prompts.push_back(std::move(raw));
  }
  ApplyAgentHabits(request);
  return fields.error();
}

std::unique_ptr<AnswerRenderer> MakeOllamaRenderer(bool chat, const ChatRequest& request,
                                                   const std::string& model) {
  return std::make_unique<OllamaRenderer>(chat, request, model);
}

}  // namespace larder
