// Shared fields of OpenAI's APIs.
#include "server/openai_fields.h"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace larder {

namespace {

constexpr double kLargePenalty = 100;

void ReadBias(Fields* fields, ChatRequest* request) {
  const OrderedJson* bias = fields->Object("logit_bias");
  if (bias == nullptr) return;
  for (const auto& [key, value] : bias->items()) {
    std::int32_t token = 0;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), token);
    const bool is_id = error == std::errc() && end == key.data() + key.size() && token >= 0;
    const bool in_range = value.is_number() && std::abs(value.get<double>()) <= kLargePenalty;
    if (!is_id || !in_range) {
      return fields->Refuse("logit_bias", "must map token ids to numbers from -100 to 100");
    }
    request->sampling.logit_bias.push_back({token, value.get<double>()});
  }
}

std::optional<int> Small(std::optional<std::int64_t> value) {
  if (!value) return std::nullopt;
  return static_cast<int>(*value);
}

}  // namespace

void ReadStops(Fields* fields, const char* name, ChatRequest* request) {
  std::vector<std::string> stops = fields->Texts(name);
  std::size_t n_bytes = 0;
  for (const std::string& stop : stops) {
    n_bytes += stop.size();
    if (stop.empty()) return fields->Refuse(name, "must not hold an empty text");
  }
  if (stops.size() > kMostStops || n_bytes > kMostStopBytes) {
    return fields->Refuse(name, fmt::format("must be at most {} texts of {} bytes together",
                                            kMostStops, kMostStopBytes));
  }
  request->stops = std::move(stops);
}

void ReadCommonFields(Fields* fields, ChatRequest* request) {
  constexpr std::int64_t kMostInt = std::numeric_limits<std::int32_t>::max();
  request->model = fields->Text("model").value_or("");
  SamplingFields& sampling = request->sampling;
  sampling.temperature = fields->Number("temperature", 0, 100);
  sampling.top_p = fields->Number("top_p", 0, 1);
  sampling.min_p = fields->Number("min_p", 0, 1);
  sampling.presence_penalty = fields->Number("presence_penalty", -kLargePenalty, kLargePenalty);
  sampling.frequency_penalty = fields->Number("frequency_penalty", -kLargePenalty, kLargePenalty);
  sampling.repeat_penalty = fields->Number("repeat_penalty", 0.01, kLargePenalty);
  const auto repetition = fields->Number("repetition_penalty", 0.01, kLargePenalty);
  if (!sampling.repeat_penalty) sampling.repeat_penalty = repetition;
  const auto top_k = fields->Integer("top_k", -1, kMostInt);
  if (top_k) sampling.top_k = static_cast<int>(std::max<std::int64_t>(*top_k, 0));
  sampling.penalty_window = Small(fields->Integer("repeat_last_n", 0, kMostInt));
  const auto seed = fields->Integer("seed", std::numeric_limits<std::int64_t>::min(),
                                    std::numeric_limits<std::int64_t>::max());
  if (seed) sampling.seed = static_cast<std::uint64_t>(*seed);
  ReadBias(fields, request);
  ReadStops(fields, "stop", request);
  request->n_choices = Small(fields->Integer("n", 1, kMostChoices)).value_or(1);
  request->stream = fields->Bool("stream").value_or(false);
  request->ignore_end = fields->Bool("ignore_eos").value_or(false);
  if (const OrderedJson* options = fields->Object("stream_options")) {
    Fields inner(*options, "stream_options");
    request->include_usage = inner.Bool("include_usage").value_or(false);
    if (inner.error()) fields->Refuse(*inner.error());
  }
  fields->Text("user");
}

void TakeTools(Fields* fields, Result<std::vector<ToolDefinition>> tools, ChatRequest* request) {
  if (!tools.ok()) {
    return fields->Refuse(ApiError{400, "'tools': " + tools.status().message(), "tools", "", 0});
  }
  std::size_t n_bytes = 0;
  for (const ToolDefinition& tool : *tools) n_bytes += tool.definition_json.size();
  if (tools->size() > kMostTools || n_bytes > kMostToolBytes) {
    return fields->Refuse(
        "tools", fmt::format("must be at most {} definitions of {} bytes together", kMostTools,
                             kMostToolBytes));
  }
  request->tools = std::move(*tools);
}

void RefuseMessages(Fields* fields, const char* name) {
  fields->Refuse(name, fmt::format("must hold at most {} messages", kMostMessages));
}

void Append(const std::string& piece, std::optional<std::string>* text) {
  if (!*text) text->emplace();
  **text += piece;
}

void ReadFunctionTools(Fields* fields, ChatRequest* request) {
  const OrderedJson* tools = fields->List("tools");
  if (tools == nullptr) return;
  for (const OrderedJson& tool : *tools) {
    const auto type = tool.is_object() ? tool.find("type") : tool.end();
    if (tool.is_object() && type != tool.end() && *type != "function") {
      return fields->Refuse("tools", "must be functions; others are not offered here");
    }
  }
  TakeTools(fields, ToolsFromJson(*tools), request);
}

void CheckPartTypes(Fields* fields, const OrderedJson& messages) {
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const auto content = messages[i].is_object() ? messages[i].find("content") : messages[i].end();
    if (!messages[i].is_object() || content == messages[i].end() || !content->is_array()) continue;
    for (const OrderedJson& part : *content) {
      const auto type = part.is_object() ? part.find("type") : part.end();
      if (!part.is_object() || type == part.end() || type->is_string()) continue;
      return fields->Refuse(fmt::format("messages[{}].content", i),
                            "has a part whose 'type' is no text");
    }
  }
}

void RefuseOtherParts(Fields* fields, const std::vector<Message>& messages) {
  for (std::size_t i = 0; i < messages.size(); ++i) {
    for (const ContentPart& part : messages[i].parts) {
      if (part.type == "text") continue;
      const std::string name = fmt::format("messages[{}].content", i);
      return fields->Refuse(name, fmt::format("has a part of type '{}'; this server reads text "
                                              "only, no images, audio or files",
                                              part.type));
    }
  }
}

void ReadFormat(Fields* fields, const OrderedJson& format, const char* name,
                const char* schema_holder, ChatRequest* request) {
  Fields inner(format, name);
  const std::string type = inner.Text("type").value_or("");
  request->format_field = name;
  if (type == "json_object") {
    request->format = AnswerFormat::kJsonObject;
  } else if (type == "json_schema") {
    request->format = AnswerFormat::kJsonSchema;
    const bool apart = schema_holder != nullptr;
    const OrderedJson* holder = apart ? inner.Object(schema_holder) : &format;
    const std::string where = apart ? std::string(schema_holder) + ".schema" : "schema";
    request->format_field = inner.Path(where);
    const OrderedJson* schema = nullptr;
    if (holder != nullptr && holder->is_object()) {
      const auto found = holder->find("schema");
      if (found != holder->end() && (found->is_object() || found->is_boolean())) schema = &*found;
    }
    if (schema == nullptr) {
      inner.Refuse(where, "must be a JSON schema");
    } else {
      request->schema_json = JsonText(*schema);
    }
  } else if (type != "text") {
    inner.Refuse("type", "must be \"text\", \"json_object\" or \"json_schema\"");
  }
  if (inner.error()) fields->Refuse(*inner.error());
}

void ReadEffort(Fields* fields, const std::string& name, const std::string& effort,
                ChatRequest* request) {
  static constexpr const char* kEfforts[] = {"none", "minimal", "low", "medium", "high", "xhigh"};
  if (std::find(std::begin(kEfforts), std::end(kEfforts), effort) == std::end(kEfforts)) {
    return fields->Refuse(name, "must be none, minimal, low, medium, high or xhigh");
  }
  request->reasoning_effort = effort;
  request->thinking = effort != "none" && effort != "minimal";
}

OrderedJson OpenAiUsage(const AnswerUsage& usage) {
  return {{"prompt_tokens", usage.n_prompt},
          {"completion_tokens", usage.n_answer},
          {"total_tokens", usage.n_prompt + usage.n_answer},
          {"prompt_tokens_details", {{"cached_tokens", std::min(usage.n_reused, usage.n_prompt)}}},
          {"completion_tokens_details", {{"reasoning_tokens", usage.n_reasoning}}}};
}

const char* OpenAiFinish(StopCause cause) {
  switch (cause) {
    case StopCause::kLength:
      return "length";
    case StopCause::kToolCalls:
      return "tool_calls";
    default:
      return "stop";
  }
}

double FiniteLogprob(double logprob) { return std::isfinite(logprob) ? logprob : -9999.0; }

}  // namespace larder
