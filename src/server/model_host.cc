// Conversations to prompts, and what holds an answer to its form.
#include "server/model_host.h"

#include <algorithm>

#include "sample/json_schema.h"
#include "sample/tool_grammar.h"
#include "server/answer.h"
#include "text/chatml.h"
#include "text/message_json.h"

namespace larder {

namespace {

constexpr std::size_t kMostGrammars = 8;
// Above this, compiled tool grammars are not kept for the next request.
constexpr std::size_t kMostKeptGrammarBytes = std::size_t{4} << 20;

// So far beyond the context the tokens of a prompt are counted, for the refusal's sentence.
constexpr std::size_t kCountedBeyondContext = 100'000;
constexpr std::size_t kCountedOfAnyLength = 1000000;  // of prompts that are only looked at

std::optional<double> NumberOf(const Metadata& metadata, const std::string& key) {
  const Result<double> number = metadata.GetFloat(key);
  if (!number.ok()) return std::nullopt;
  return *number;
}

// Behind each token that ends a turn.
std::vector<std::int64_t> BoundariesOf(const Tokenizer& tokenizer,
                                       const std::vector<std::int32_t>& tokens) {
  std::vector<std::int64_t> boundaries;
  for (std::size_t i = 0; i + 1 < tokens.size(); ++i) {
    if (!tokenizer.IsEndOfGeneration(tokens[i])) continue;
    boundaries.push_back(static_cast<std::int64_t>(i) + 1);
  }
  return boundaries;
}

bool EndsOpen(std::string_view text) {
  constexpr std::string_view kOpen = "<think>";
  const std::string_view tail = text.substr(0, text.find_last_not_of(" \t\r\n") + 1);
  return tail.size() >= kOpen.size() && tail.substr(tail.size() - kOpen.size()) == kOpen;
}

// A file without a template: plain ChatML, of which tool results and calls are text.
std::string RenderChatMl(const ChatRequest& request) {
  std::string text;
  for (const Message& message : request.messages) {
    text +=
        fmt::format("<|im_start|>{}\n{}<|im_end|>\n", RoleName(message.role), MessageText(message));
  }
  return text + "<|im_start|>assistant\n";
}

// Instructions that come in several messages are one: most templates take one, at the beginning.
void JoinSystemMessages(std::vector<Message>* messages) {
  const auto end = std::find_if(messages->begin(), messages->end(), [](const Message& message) {
    return message.role != Role::kSystem;
  });
  if (end - messages->begin() < 2) return;
  std::string joined = MessageText(messages->front());
  for (auto one = messages->begin() + 1; one != end; ++one) joined += "\n\n" + MessageText(*one);
  messages->erase(messages->begin() + 1, end);
  messages->front() = SystemMessage(std::move(joined));
}

Result<OrderedJson> TemplateVariables(const ChatRequest& request,
                                      const std::vector<Message>& messages, bool thinking) {
  OrderedJson variables = OrderedJson::object();
  if (!request.template_variables_json.empty()) {
    LARDER_ASSIGN_OR_RETURN(variables,
                            ParseJson(request.template_variables_json, "chat_template_kwargs"));
  }
  OrderedJson shown_messages = OrderedJson::array();
  for (const Message& message : messages) {
    Message shown = message;
    // Templates that were written for texts do not know parts.
    const bool texts_only =
        std::all_of(shown.parts.begin(), shown.parts.end(),
                    [](const ContentPart& part) { return part.type == "text"; });
    if (!shown.parts.empty() && texts_only) {
      shown.text = MessageText(shown);
      shown.parts.clear();
    }
    if (!shown.text && shown.role != Role::kAssistant) shown.text = "";
    shown_messages.push_back(MessageToJson(shown, false));
  }
  variables["messages"] = std::move(shown_messages);
  variables.erase("tools");
  if (!request.tools.empty() && request.tool_choice != ToolChoice::kNone) {
    OrderedJson tools = OrderedJson::array();
    for (const ToolDefinition& tool : request.tools) {
      LARDER_ASSIGN_OR_RETURN(OrderedJson definition, ParseJson(tool.definition_json, "a tool"));
      tools.push_back(std::move(definition));
    }
    variables["tools"] = std::move(tools);
  }
  // Not over what the caller set.
  variables.emplace("add_generation_prompt", true);
  variables.emplace("enable_thinking", thinking);
  if (!request.reasoning_effort.empty()) {
    variables.emplace("reasoning_effort", request.reasoning_effort);
  }
  return variables;
}

// Of ModelHost::Render. Clients shorten a conversation where this code says that it is too large.
ApiError RenderError(const Status& status) {
  ApiError error = ErrorFromStatus(status);
  if (status.code() != StatusCode::kOutOfMemory) return error;
  error.status = 400;
  error.param = "messages";
  error.code = "context_length_exceeded";
  return error;
}

}  // namespace

ModelHost::ModelHost(const Tokenizer* tokenizer, const Metadata* metadata,
                     std::int64_t context_tokens, ModelHostOptions options)
    : tokenizer_(tokenizer),
      metadata_(metadata),
      context_tokens_(context_tokens),
      options_(std::move(options)),
      created_(UnixSeconds()) {}

std::unique_ptr<ModelHost> ModelHost::Make(const Tokenizer* tokenizer, const Metadata* metadata,
                                           std::int64_t context_tokens, ModelHostOptions options) {
  auto host = std::unique_ptr<ModelHost>(
      new ModelHost(tokenizer, metadata, context_tokens, std::move(options)));
  Result<std::optional<ChatTemplate>> plain = ModelChatTemplate(*metadata, false);
  Result<std::optional<ChatTemplate>> with_tools = ModelChatTemplate(*metadata, true);
  if (plain.ok()) host->template_ = std::move(*plain);
  if (with_tools.ok()) host->tool_template_ = std::move(*with_tools);
  host->template_status_ = plain.ok() ? with_tools.status() : plain.status();
  host->style_ = DetectOutputStyle(host->template_source(), tokenizer);
  return host;
}

std::string ModelHost::template_source() const {
  if (tool_template_) return tool_template_->source();
  return template_ ? template_->source() : "";
}

std::size_t ModelHost::most_counted_tokens(bool any_length) const {
  const std::size_t most = static_cast<std::size_t>(context_tokens_) + kCountedBeyondContext;
  return any_length ? std::max(most, kCountedOfAnyLength) : most;
}

const ChatTemplate* ModelHost::TemplateFor(bool with_tools) const {
  const std::optional<ChatTemplate>& chosen = with_tools ? tool_template_ : template_;
  return chosen ? &*chosen : nullptr;
}

Result<std::string> ModelHost::Render(const ChatRequest& request, bool thinking) const {
  std::vector<Message> messages = request.messages;
  std::string prefill;
  if (request.continue_last && !messages.empty()) {
    prefill = MessageText(messages.back());
    messages.pop_back();
  }
  const bool with_tools = !request.tools.empty() && request.tool_choice != ToolChoice::kNone;
  JoinSystemMessages(&messages);
  LARDER_RETURN_IF_ERROR(template_status_);
  const ChatTemplate* chat = TemplateFor(with_tools);
  if (chat == nullptr) {
    ChatRequest plain = request;
    plain.messages = std::move(messages);
    return RenderChatMl(plain) + prefill;
  }
  LARDER_ASSIGN_OR_RETURN(OrderedJson variables, TemplateVariables(request, messages, thinking));
  AddTokenVariables(*tokenizer_, &variables);
  bool too_large = false;
  RenderOptions options;
  options.too_large = &too_large;
  Result<std::string> text = chat->Render(variables, options);
  if (!text.ok() && !too_large && WrapTextArguments(&variables["messages"])) {
    text = chat->Render(variables, options);
  }
  if (!text.ok() && too_large) {
    return OutOfMemory("the conversation is too large for the model's chat template: {}",
                       text.status().message());
  }
  if (!text.ok()) {
    return InvalidArgument("the model's chat template refuses this conversation: {}",
                           text.status().message());
  }
  return CloseThought(std::move(*text), request, thinking) + prefill;
}

// A thought that the template leaves open although none is wanted, or none can be had because the
// answer is held to a form from its first token on, or goes on in the middle.
std::string ModelHost::CloseThought(std::string text, const ChatRequest& request,
                                    bool thinking) const {
  const bool unwanted = !thinking || request.continue_last;
  if (unwanted && EndsOpen(text) && !style_.end_of_thought.empty()) text += style_.end_of_thought;
  return text;
}

// A prompt's tokens, or why there are none; `tokens` as Encode gives them under EncodeLimits.
std::optional<ApiError> ModelHost::AddPrompt(const ChatRequest& request, std::string text,
                                             Result<std::vector<std::int32_t>> tokens,
                                             bool any_length, PreparedRequest* prepared) const {
  const bool too_many = !tokens.ok() && tokens.status().code() == StatusCode::kInvalidArgument;
  ApiError error = tokens.ok() || too_many ? ApiError() : ErrorFromStatus(tokens.status());
  error.param = request.is_chat ? "messages" : "prompt";
  if (!tokens.ok() && !too_many) return error;
  if (tokens.ok() && tokens->empty()) return BadField(error.param, "is empty");
  const bool fits =
      !too_many && (any_length || static_cast<std::int64_t>(tokens->size()) <= context_tokens_);
  if (!fits) {
    error.message = fmt::format(
        "the prompt has {}{} tokens, the context only {}; shorten it, or start the server with a "
        "larger --ctx",
        too_many ? "more than " : "", too_many ? most_counted_tokens(any_length) : tokens->size(),
        context_tokens_);
    error.code = "context_length_exceeded";
    return error;
  }
  PreparedPrompt prompt;
  prompt.text = std::move(text);
  prompt.tokens = std::move(*tokens);
  if (request.is_chat) prompt.boundaries = BoundariesOf(*tokenizer_, prompt.tokens);
  prepared->prompts.push_back(std::move(prompt));
  return std::nullopt;
}

std::optional<ApiError> ModelHost::PrepareTokens(const ChatRequest& request, const RawPrompt& raw,
                                                 bool any_length, PreparedRequest* prepared) const {
  for (const std::int32_t token : raw.tokens) {
    if (token >= 0 && token < tokenizer_->n_vocab()) continue;
    return BadField("prompt", fmt::format("names token {}; the vocabulary has ids 0 to {}", token,
                                          tokenizer_->n_vocab() - 1));
  }
  const std::size_t n_shown =
      std::min(raw.tokens.size(), static_cast<std::size_t>(context_tokens_));
  std::string text = tokenizer_->Decode(std::span(raw.tokens).first(n_shown), true);
  return AddPrompt(request, std::move(text), raw.tokens, any_length, prepared);
}

std::optional<ApiError> ModelHost::PreparePrompts(const ChatRequest& request,
                                                  const PrepareOptions& how,
                                                  PreparedRequest* prepared) const {
  EncodeOptions options;
  options.max_tokens = most_counted_tokens(how.any_length);
  options.cancelled = how.gone;
  if (request.is_chat) {
    Result<std::string> text = Render(request, prepared->think.on);
    if (!text.ok()) return RenderError(text.status());
    auto tokens = EncodeChat(*tokenizer_, *text, options);
    return AddPrompt(request, std::move(*text), std::move(tokens), how.any_length, prepared);
  }
  options.add_special = options.parse_special = true;
  for (const RawPrompt& raw : request.prompts) {
    auto error = raw.is_tokens ? PrepareTokens(request, raw, how.any_length, prepared)
                               : AddPrompt(request, raw.text, tokenizer_->Encode(raw.text, options),
                                           how.any_length, prepared);
    if (error) return error;
  }
  return std::nullopt;
}

std::optional<ApiError> ModelHost::PrepareSampling(const ChatRequest& request,
                                                   SamplerParams* params) const {
  *params =
      ModelSamplerParams([this](const std::string& key) { return NumberOf(*metadata_, key); });
  const SamplingFields& given = request.sampling;
  if (given.temperature) params->temperature = *given.temperature;
  if (given.top_p) params->top_p = *given.top_p;
  if (given.min_p) params->min_p = *given.min_p;
  if (given.top_k) params->top_k = *given.top_k;
  if (given.repeat_penalty) params->repeat_penalty = *given.repeat_penalty;
  if (given.presence_penalty) params->presence_penalty = *given.presence_penalty;
  if (given.frequency_penalty) params->frequency_penalty = *given.frequency_penalty;
  if (given.penalty_window) params->penalty_window = *given.penalty_window;
  params->seed = given.seed ? *given.seed : RandomSeed();
  params->logit_bias = given.logit_bias;
  for (const LogitBias& one : params->logit_bias) {
    if (one.token >= 0 && one.token < tokenizer_->n_vocab()) continue;
    return BadField("logit_bias", fmt::format("names token {}; the vocabulary has ids 0 to {}",
                                              one.token, tokenizer_->n_vocab() - 1));
  }
  const Status checked = CheckSamplerParams(*params);
  if (!checked.ok()) return ErrorFromStatus(checked);
  return std::nullopt;
}

Status ModelHost::NeedTrie(PreparedRequest* prepared) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (trie_ == nullptr) {
    LARDER_ASSIGN_OR_RETURN(trie_, TokenTrie::Make(*tokenizer_));
  }
  prepared->trie = trie_;
  return Status::Ok();
}

std::shared_ptr<const Grammar> ModelHost::FindGrammar(const std::string& key) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = grammars_.find(key);
  return found == grammars_.end() ? nullptr : found->second;
}

void ModelHost::KeepGrammar(const std::string& key, std::shared_ptr<const Grammar> grammar) {
  if (grammar->n_bytes() + key.size() > kMostKeptGrammarBytes) return;
  const std::lock_guard<std::mutex> lock(mutex_);
  if (grammars_.size() >= kMostGrammars) grammars_.clear();
  grammars_[key] = std::move(grammar);
}

// Calls are held to the tools' schemas where the model's format and the schemas allow it. A schema
// that cannot be held is no reason to refuse an agent's request: its arguments are then any object.
// `text_schema`, checked before: what an answer that is no call is held to; "":
// nothing.
std::optional<ApiError> ModelHost::PrepareTools(const ChatRequest& request,
                                                const std::string& text_schema,
                                                PreparedRequest* prepared) {
  prepared->tools = request.tools;
  const bool required = request.tool_choice == ToolChoice::kRequired;
  const bool must_hold = required || !text_schema.empty();
  if (must_hold && !CanHoldCalls(style_.calls)) {
    return BadField(required ? "tool_choice" : request.format_field,
                    "cannot be held with this model's way of writing tool calls; set 'tool_choice' "
                    "to \"auto\" without a JSON format, or to \"none\"");
  }
  std::vector<ToolDefinition> tools;
  std::string key = (required ? "required\n" : "free\n") + text_schema + "\n";
  for (const ToolDefinition& tool : request.tools) {
    if (required && !request.forced_tool.empty() && tool.name != request.forced_tool) continue;
    tools.push_back(tool);
    key += tool.name + "\n" + tool.parameters_json + "\n";
  }
  if (tools.empty()) {
    return BadField("tool_choice",
                    fmt::format("names '{}', which is not among the tools", request.forced_tool));
  }
  prepared->grammar = FindGrammar(key);
  if (prepared->grammar == nullptr) {
    const CallChoice choice = required ? CallChoice::kRequired : CallChoice::kFree;
    for (ToolDefinition& tool : tools) {
      if (!CompileToolCalls(style_.calls, {tool}, choice).ok()) tool.parameters_json = "{}";
    }
    Result<Grammar> grammar = CompileToolCalls(style_.calls, tools, choice, text_schema);
    if (!grammar.ok()) {
      if (!must_hold) return std::nullopt;
      return BadField("tools", "cannot be held to: " + grammar.status().message());
    }
    prepared->grammar = std::make_shared<const Grammar>(std::move(*grammar));
    KeepGrammar(key, prepared->grammar);
  }
  const Status trie = NeedTrie(prepared);
  if (trie.ok()) return std::nullopt;
  prepared->grammar = nullptr;
  if (!must_hold) return std::nullopt;
  return ErrorFromStatus(trie);
}

std::optional<ApiError> ModelHost::PrepareGrammar(const ChatRequest& request,
                                                  PreparedRequest* prepared) {
  const bool with_tools = !request.tools.empty() && request.tool_choice != ToolChoice::kNone;
  const bool with_format = request.format != AnswerFormat::kText;
  if (!with_format) return with_tools ? PrepareTools(request, "", prepared) : std::nullopt;
  const bool any_object = request.format == AnswerFormat::kJsonObject;
  const std::string schema = any_object ? R"({"type": "object"})" : request.schema_json;
  Result<Grammar> grammar = CompileJsonSchema(schema);
  if (!grammar.ok()) {
    ApiError error =
        BadField(request.format_field, "cannot be held to: " + grammar.status().message());
    error.code = "invalid_json_schema";
    return error;
  }
  if (with_tools) return PrepareTools(request, schema, prepared);
  prepared->grammar = std::make_shared<const Grammar>(std::move(*grammar));
  const Status trie = NeedTrie(prepared);
  if (!trie.ok()) return ErrorFromStatus(trie);
  return std::nullopt;
}

std::optional<ApiError> ModelHost::CheckName(const std::string& asked) const {
  const std::string& name = options_.name;
  if (!options_.strict_model || asked == name || asked == name + ":latest") return std::nullopt;
  return ApiError{404, fmt::format("there is no model '{}' here, only '{}'", asked, name), "model",
                  "model_not_found", 0};
}

std::optional<ApiError> ModelHost::Prepare(const ChatRequest& request, PreparedRequest* prepared,
                                           const PrepareOptions& options) {
  if (auto error = CheckName(request.model)) return error;
  if (auto error = PrepareSampling(request, &prepared->sampling)) return error;
  if (auto error = PrepareGrammar(request, prepared)) return error;
  const bool held = request.format != AnswerFormat::kText ||
                    (request.tool_choice == ToolChoice::kRequired && !request.tools.empty());
  prepared->think.on = !held && request.thinking.value_or(options_.think.on);
  prepared->think.limit_tokens =
      request.thinking_tokens ? request.thinking_tokens : options_.think.limit_tokens;
  prepared->harmony = request.is_chat && style_.calls == CallFormat::kHarmony;
  if (auto error = PreparePrompts(request, options, prepared)) return error;
  if (request.max_tokens) {
    prepared->max_tokens = *request.max_tokens;
  } else if (options_.max_tokens > 0) {
    prepared->max_tokens = options_.max_tokens;
  }
  return std::nullopt;
}

}  // namespace larder
