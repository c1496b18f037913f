// What the server tells of itself: health, figures, the model, tokens; Ollama's lists among them.
#include <limits>

#include "server/anthropic.h"
#include "server/ollama.h"
#include "server/openai_chat.h"
#include "server/service.h"

namespace larder {

namespace {

// A second's work or two, whatever the text.
constexpr std::size_t kMostTokenizedBytes = std::size_t{8} << 20;  // of a text, either way

void SendJson(const std::shared_ptr<HttpReply>& reply, const OrderedJson& json, int status = 200) {
  HttpResponse response;
  response.status = status;
  response.body = JsonText(json);
  reply->Send(std::move(response));
}

void SendError(const std::shared_ptr<HttpReply>& reply, const ApiError& error, ErrorForm form) {
  reply->Send(ErrorResponse(error, form));
}

// Written at once: as JSON values, millions of tokens would take ten times this text's memory.
std::string TokensJson(const Tokenizer& tokenizer, const std::vector<std::int32_t>& tokens,
                       bool with_pieces) {
  std::string json = R"({"tokens":[)";
  for (const std::int32_t token : tokens) {
    if (json.back() != '[') json += ',';
    if (!with_pieces) {
      json += std::to_string(token);
      continue;
    }
    const std::string piece(tokenizer.TokenBytes(token));
    json += fmt::format(R"({{"id":{},"piece":{}}})", token, JsonText(piece));
  }
  return json + "]}";
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = static_cast<char>(c | 0x20);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

// A part of a path as it was meant; what is no escape stays (RFC 3986, section 2.1).
std::string PercentDecoded(std::string_view text) {
  std::string decoded;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const int high = text[i] == '%' && i + 2 < text.size() ? HexDigit(text[i + 1]) : -1;
    const int low = high >= 0 ? HexDigit(text[i + 2]) : -1;
    if (low < 0) {
      decoded += text[i];
      continue;
    }
    decoded += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return decoded;
}

const char* SlotStateName(SlotInfo::State state) {
  switch (state) {
    case SlotInfo::State::kIdle:
      return "idle";
    case SlotInfo::State::kPrompt:
      return "prompt";
    case SlotInfo::State::kAnswer:
      return "answer";
  }
  return "";
}

}  // namespace

void Service::Health(const HttpRequest&, const ReplyPtr& reply) {
  if (open_) return SendJson(reply, {{"status", "ok"}});
  SendJson(reply, {{"status", "loading"}}, 503);
}

void Service::Description(const HttpRequest&, const ReplyPtr& reply) {
  const std::int64_t n_vocab =
      open_ ? host_->tokenizer().n_vocab() : std::numeric_limits<std::int32_t>::max();
  reply->Send({200, "application/json", {}, OpenApiText(n_vocab)});
}

void Service::MetricsPage(const HttpRequest&, const ReplyPtr& reply) {
  const HttpServer* transport = transport_;
  const HttpServerStats http = transport != nullptr ? transport->stats() : HttpServerStats();
  reply->Send({200,
               "text/plain; version=0.0.4; charset=utf-8",
               {},
               metrics_.Render(http, open_ ? generator_ : nullptr)});
}

void Service::Models(const HttpRequest& request, const ReplyPtr& reply) {
  constexpr std::string_view kList = "/v1/models";
  std::string name = host_->name();
  const bool one = request.path.size() > kList.size() + 1;
  if (one) {
    name = PercentDecoded(std::string_view(request.path).substr(kList.size() + 1));
    if (const auto error = host_->CheckName(name)) {
      return SendError(reply, *error, ErrorForm::kOpenAi);
    }
  }
  const OrderedJson model = {{"id", name},
                             {"object", "model"},
                             {"created", host_->created()},
                             {"owned_by", "larder"},
                             {"type", "model"},
                             {"display_name", host_->name()},
                             {"created_at", OllamaTime(host_->created() * 1000000)},
                             {"max_model_len", host_->context_tokens()}};
  if (one) return SendJson(reply, model);
  OrderedJson list = {{"object", "list"}, {"data", OrderedJson::array()}};
  list["data"].push_back(model);
  list["has_more"] = false;
  list["first_id"] = name;
  list["last_id"] = name;
  SendJson(reply, list);
}

void Service::Props(const HttpRequest&, const ReplyPtr& reply) {
  SendJson(reply, {{"model", host_->name()},
                   {"version", options_.version},
                   {"architecture", facts_.architecture},
                   {"context_tokens", host_->context_tokens()},
                   {"n_vocab", host_->tokenizer().n_vocab()},
                   {"n_slots", generator_->slots().size()},
                   {"chat_template", host_->template_source()},
                   {"call_format", CallFormatName(host_->style().calls)},
                   {"reasons", host_->style().reasons},
                   {"plan", facts_.plan},
                   {"lossy", facts_.lossy}});
}

void Service::Slots(const HttpRequest&, const ReplyPtr& reply) {
  OrderedJson slots = OrderedJson::array();
  for (const SlotInfo& slot : generator_->slots()) {
    slots.push_back({{"id", slot.index},
                     {"state", SlotStateName(slot.state)},
                     {"request", slot.request},
                     {"prompt_tokens", slot.n_prompt},
                     {"prompt_tokens_done", slot.n_prompt_done},
                     {"reused_tokens", slot.n_reused},
                     {"answer_tokens", slot.n_generated},
                     {"kept_tokens", slot.n_kept},
                     {"context_tokens", slot.capacity}});
  }
  SendJson(reply, {{"slots", std::move(slots)}, {"waiting", generator_->stats().n_waiting}});
}

void Service::Tokenize(const HttpRequest& request, const ReplyPtr& reply) {
  const auto body = BodyOf(request, reply);
  if (!body) return;
  Fields fields(*body);
  // Under the names of two families of clients.
  auto content = fields.Text("content");
  if (const auto prompt = fields.Text("prompt"); !content) content = prompt;
  if (!content) fields.Refuse("content", "must be a text");
  EncodeOptions options;
  options.add_special = fields.Bool("add_special_tokens").value_or(false);
  options.add_special = fields.Bool("add_special").value_or(options.add_special);
  options.parse_special = fields.Bool("parse_special").value_or(true);
  if (content && content->size() > kMostTokenizedBytes) {
    fields.Refuse("content", fmt::format("has {} bytes; at most {} are tokenized at a time",
                                         content->size(), kMostTokenizedBytes));
  }
  const bool with_pieces = fields.Bool("with_pieces").value_or(false);
  if (fields.error()) return SendError(reply, *fields.error(), ErrorForm::kOpenAi);
  options.cancelled = request.gone.get();
  const auto tokens = host_->tokenizer().Encode(*content, options);
  if (!tokens.ok()) return SendError(reply, ErrorFromStatus(tokens.status()), ErrorForm::kOpenAi);
  HttpResponse response;
  response.body = TokensJson(host_->tokenizer(), *tokens, with_pieces);
  reply->Send(std::move(response));
}

void Service::Detokenize(const HttpRequest& request, const ReplyPtr& reply) {
  const auto body = BodyOf(request, reply);
  if (!body) return;
  Fields fields(*body);
  const OrderedJson* list = fields.List("tokens");
  if (list == nullptr) fields.Refuse("tokens", "must be a list of token ids");
  std::vector<std::int32_t> tokens;
  const std::int32_t n_vocab = host_->tokenizer().n_vocab();
  std::size_t n_bytes = 0;
  for (std::size_t i = 0; list != nullptr && i < list->size(); ++i) {
    const OrderedJson& one = (*list)[i];
    const double id = one.is_number() ? one.get<double>() : -1;
    if (id < 0 || id >= n_vocab || id != static_cast<double>(static_cast<std::int32_t>(id))) {
      fields.Refuse("tokens", fmt::format("must be token ids from 0 to {}", n_vocab - 1));
      break;
    }
    tokens.push_back(static_cast<std::int32_t>(id));
    n_bytes += host_->tokenizer().TokenBytes(tokens.back()).size();
    if (n_bytes <= kMostTokenizedBytes) continue;
    fields.Refuse("tokens",
                  fmt::format("must be tokens of at most {} bytes together", kMostTokenizedBytes));
    break;
  }
  if (fields.error()) return SendError(reply, *fields.error(), ErrorForm::kOpenAi);
  const std::string text = host_->tokenizer().Decode(tokens, true);
  SendJson(reply, {{"content", text}, {"prompt", text}});
}

// What clients that count tokens themselves ask first.
void Service::TokenizerInfo(const HttpRequest&, const ReplyPtr& reply) {
  const Tokenizer& tokenizer = host_->tokenizer();
  const auto text = [&](std::optional<std::int32_t> token) {
    return token ? OrderedJson(std::string(tokenizer.TokenBytes(*token))) : OrderedJson();
  };
  SendJson(reply, {{"tokenizer_class", "larder"},
                   {"bos_token", text(tokenizer.bos())},
                   {"eos_token", text(tokenizer.eos())},
                   {"chat_template", host_->template_source()},
                   {"model_max_length", host_->context_tokens()}});
}

void Service::ApplyTemplate(const HttpRequest& request, const ReplyPtr& reply) {
  const auto body = BodyOf(request, reply);
  if (!body) return;
  ChatRequest asked;
  std::optional<ApiError> error = ParseOpenAiChat(*body, &asked);
  PreparedRequest prepared;
  if (!error) error = host_->Prepare(asked, &prepared, {request.gone.get(), false});
  if (error) return SendError(reply, *error, ErrorForm::kOpenAi);
  SendJson(reply, {{"prompt", prepared.prompts[0].text}});
}

void Service::CountTokens(const HttpRequest& request, const ReplyPtr& reply) {
  const auto body = BodyOf(request, reply);
  if (!body) return;
  ChatRequest asked;
  std::optional<ApiError> error = ParseAnthropic(*body, true, &asked);
  PreparedRequest prepared;
  if (!error) error = host_->Prepare(asked, &prepared, {request.gone.get(), true});
  if (error) return SendError(reply, *error, ErrorForm::kAnthropic);
  SendJson(reply, {{"input_tokens", prepared.prompts[0].tokens.size()}});
}

OrderedJson Service::OllamaDetails() const {
  return {{"parent_model", ""},
          {"format", "gguf"},
          {"family", facts_.architecture},
          {"families", OrderedJson::array({facts_.architecture})},
          {"parameter_size", facts_.n_parameters},
          {"quantization_level", facts_.quantization}};
}

void Service::OllamaTags(const HttpRequest&, const ReplyPtr& reply) {
  OrderedJson model = {{"name", host_->name()},
                       {"model", host_->name()},
                       {"modified_at", OllamaTime(facts_.modified_unix_us)},
                       {"size", facts_.file_bytes},
                       {"digest", facts_.digest},
                       {"details", OllamaDetails()}};
  OrderedJson json = OrderedJson::object();
  json["models"] = OrderedJson::array();
  json["models"].push_back(std::move(model));
  SendJson(reply, json);
}

void Service::OllamaShow(const HttpRequest& request, const ReplyPtr& reply) {
  const auto body = BodyOf(request, reply);
  if (!body) return;
  Fields fields(*body);
  std::string asked = fields.Text("model").value_or("");
  if (asked.empty()) asked = fields.Text("name").value_or("");
  if (fields.error()) return SendError(reply, *fields.error(), ErrorForm::kOllama);
  if (const auto unknown = host_->CheckName(asked)) {
    return SendError(reply, *unknown, ErrorForm::kOllama);
  }
  OrderedJson capabilities = OrderedJson::array({"completion"});
  if (host_->style().calls != CallFormat::kNone) capabilities.push_back("tools");
  if (host_->style().reasons) capabilities.push_back("thinking");
  const std::string& architecture = facts_.architecture;
  SendJson(reply, {{"modelfile", ""},
                   {"parameters", ""},
                   {"template", host_->template_source()},
                   {"details", OllamaDetails()},
                   {"model_info",
                    {{"general.architecture", architecture},
                     {"general.basename", host_->name()},
                     {architecture + ".context_length", host_->context_tokens()}}},
                   {"capabilities", std::move(capabilities)},
                   {"modified_at", OllamaTime(facts_.modified_unix_us)}});
}

}  // namespace larder
