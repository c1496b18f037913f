// Text completions in OpenAI's form: prompts as texts or token ids, echo, log probabilities.
#include <algorithm>
#include <cmath>

#include "server/openai_chat.h"
#include "server/openai_fields.h"
#include "text/utf8.h"

namespace larder {

namespace {

constexpr std::size_t kMostPrompts = 256;
constexpr std::int64_t kDefaultTokens = 16;

std::optional<std::vector<std::int32_t>> TokensOf(const OrderedJson& list) {
  std::vector<std::int32_t> tokens;
  tokens.reserve(list.size());
  for (const OrderedJson& one : list) {
    const double id = one.is_number() ? one.get<double>() : -1;
    if (id < 0 || id > 2147483647 || id != std::floor(id)) return std::nullopt;
    tokens.push_back(static_cast<std::int32_t>(id));
  }
  return tokens;
}

bool AddPrompt(const OrderedJson& one, std::vector<RawPrompt>* prompts) {
  RawPrompt prompt;
  if (one.is_string()) {
    prompt.text = one.get<std::string>();
  } else if (one.is_array()) {
    auto tokens = TokensOf(one);
    if (!tokens) return false;
    prompt.tokens = std::move(*tokens);
    prompt.is_tokens = true;
  } else {
    return false;
  }
  prompts->push_back(std::move(prompt));
  return true;
}

void ReadPrompts(Fields* fields, ChatRequest* request) {
  const OrderedJson* prompt = fields->Find("prompt");
  if (prompt == nullptr) return fields->Refuse("prompt", "is missing");
  const bool one_list_of_ids =
      prompt->is_array() && !prompt->empty() && prompt->front().is_number();
  bool right = true;
  if (prompt->is_string() || one_list_of_ids) {
    right = AddPrompt(*prompt, &request->prompts);
  } else if (prompt->is_array() && !prompt->empty()) {
    if (prompt->size() > kMostPrompts) {
      return fields->Refuse("prompt", fmt::format("must hold at most {} prompts", kMostPrompts));
    }
    for (const OrderedJson& one : *prompt) right = right && AddPrompt(one, &request->prompts);
  } else {
    right = false;
  }
  if (!right) {
    fields->Refuse("prompt", "must be a text, a list of token ids, or a list of these");
  }
}

bool IsUtf8(std::string_view bytes) {
  for (std::size_t at = 0; at < bytes.size();) {
    const Utf8Char one = DecodeUtf8(bytes, at);
    if (one.code_point == kInvalidCodePoint) return false;
    at += one.n_bytes;
  }
  return true;
}

// Tokens that are parts of characters as the API shows them.
std::string TokenText(const std::string& bytes) {
  if (IsUtf8(bytes)) return bytes;
  std::string text = "bytes:";
  for (const char byte : bytes) {
    text += fmt::format("\\x{:02x}", static_cast<unsigned char>(byte));
  }
  return text;
}

std::size_t CountCharacters(std::string_view text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

class TextRenderer : public AnswerRenderer {
 public:
  TextRenderer(const ChatRequest& request, std::string model)
      : id_(NewId("cmpl-")),
        created_(UnixSeconds()),
        model_(std::move(model)),
        logprobs_(request.n_logprobs.has_value()),
        n_rivals_(static_cast<std::size_t>(request.n_logprobs.value_or(0))),
        usage_(request.include_usage) {}

  ErrorForm error_form() const override { return ErrorForm::kOpenAi; }
  // The API has no event for a beginning.
  std::string Begin(std::int64_t) override { return KeepAlive(); }

  std::string Piece(const AnswerPiece& piece) override {
    return Chunk(piece.choice, piece.delta.text, nullptr, piece.tokens);
  }
  std::string EndChoice(const ChoiceEnd& end) override {
    return Chunk(end.choice, "", OpenAiFinish(end.cause), end.tokens);
  }
  std::string End(const AnswerUsage& usage) override {
    std::string bytes;
    if (usage_) {
      OrderedJson chunk = Frame();
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
    OrderedJson json = Frame();
    json["choices"] = OrderedJson::array();
    for (const ChoiceAnswer& one : choices) {
      json["choices"].push_back({{"text", one.message.text.value_or("")},
                                 {"index", one.end.choice},
                                 {"logprobs", LogprobsOf(one.end.choice, one.tokens)},
                                 {"finish_reason", OpenAiFinish(one.end.cause)}});
    }
    json["usage"] = OpenAiUsage(usage);
    return JsonText(json);
  }

 private:
  OrderedJson Frame() const {
    return {{"id", id_},
            {"object", "text_completion"},
            {"created", created_},
            {"model", model_},
            {"system_fingerprint", nullptr}};
  }

  std::string Chunk(int choice, const std::string& text, const char* finish,
                    const std::vector<TokenDetail>& tokens) {
    OrderedJson one = {{"text", text},
                       {"index", choice},
                       {"logprobs", LogprobsOf(choice, tokens)},
                       {"finish_reason", finish == nullptr ? OrderedJson() : OrderedJson(finish)}};
    OrderedJson chunk = Frame();
    chunk["choices"] = OrderedJson::array();
    chunk["choices"].push_back(std::move(one));
    if (usage_) chunk["usage"] = nullptr;
    return SseEvent(chunk);
  }

  OrderedJson LogprobsOf(int choice, const std::vector<TokenDetail>& tokens) {
    if (!logprobs_) return OrderedJson();
    const auto index = static_cast<std::size_t>(choice);
    if (offsets_.size() <= index) offsets_.resize(index + 1, 0);
    OrderedJson texts = OrderedJson::array();
    OrderedJson values = OrderedJson::array();
    OrderedJson tops = OrderedJson::array();
    OrderedJson offsets = OrderedJson::array();
    for (const TokenDetail& token : tokens) {
      texts.push_back(TokenText(token.bytes));
      offsets.push_back(offsets_[index]);
      offsets_[index] += CountCharacters(token.bytes);
      if (!token.has_logprob) {
        values.push_back(nullptr);
        tops.push_back(nullptr);
        continue;
      }
      values.push_back(FiniteLogprob(token.logprob));
      OrderedJson top = OrderedJson::object();
      for (std::size_t i = 0; i < token.top.size() && i < n_rivals_; ++i) {
        const std::string text = TokenText(token.top[i].bytes);
        if (!top.contains(text)) top[text] = FiniteLogprob(token.top[i].logprob);
      }
      const std::string own = TokenText(token.bytes);
      if (!top.contains(own)) top[own] = FiniteLogprob(token.logprob);
      tops.push_back(std::move(top));
    }
    return {{"tokens", std::move(texts)},
            {"token_logprobs", std::move(values)},
            {"top_logprobs", std::move(tops)},
            {"text_offset", std::move(offsets)}};
  }

  std::string id_;
  std::int64_t created_;
  std::string model_;
  bool logprobs_;
  std::size_t n_rivals_;
  bool usage_;
  std::vector<std::size_t> offsets_;  // characters so far, by choice
};

}  // namespace

std::optional<ApiError> ParseOpenAiText(const OrderedJson& body, ChatRequest* request) {
  Fields fields(body);
  request->is_chat = false;
  ReadCommonFields(&fields, request);
  ReadPrompts(&fields, request);
  request->max_tokens =
      fields.Integer("max_tokens", 0, std::int64_t{1} << 40).value_or(kDefaultTokens);
  request->echo = fields.Bool("echo").value_or(false);
  const auto n_rivals = fields.Integer("logprobs", 0, kMostRivals);
  if (n_rivals) request->n_logprobs = static_cast<int>(*n_rivals);
  const auto best_of = fields.Integer("best_of", 1, kMostChoices);
  if (best_of && *best_of != request->n_choices) {
    fields.Refuse("best_of", "must be as large as 'n': answers are not ranked here");
  }
  if (!fields.Text("suffix").value_or("").empty()) {
    fields.Refuse("suffix", "is not offered: this model does not fill in");
  }
  if (const OrderedJson* format = fields.Object("response_format")) {
    ReadFormat(&fields, *format, "response_format", "json_schema", request);
  }
  return fields.error();
}

std::unique_ptr<AnswerRenderer> MakeOpenAiTextRenderer(const ChatRequest& request,
                                                       const std::string& model) {
  return std::make_unique<TextRenderer>(request, model);
}

}  // namespace larder
