// A response's output items and the events of its stream.
#include <algorithm>

#include "server/openai_fields.h"
#include "server/responses.h"

namespace larder {

namespace {

OrderedJson UsageOf(const AnswerUsage& usage) {
  return {
      {"input_tokens", usage.n_prompt},
      {"input_tokens_details",
       {{"cached_tokens", std::min(usage.n_reused, usage.n_prompt)}, {"cache_write_tokens", 0}}},
      {"output_tokens", usage.n_answer},
      {"output_tokens_details", {{"reasoning_tokens", usage.n_reasoning}}},
      {"total_tokens", usage.n_prompt + usage.n_answer}};
}

OrderedJson TextPart(const std::string& text, OrderedJson logprobs) {
  return {{"type", "output_text"},
          {"text", text},
          {"annotations", OrderedJson::array()},
          {"logprobs", std::move(logprobs)}};
}

OrderedJson TokenOf(const std::string& bytes, double logprob) {
  OrderedJson list = OrderedJson::array();
  for (const char byte : bytes) list.push_back(static_cast<unsigned char>(byte));
  return {{"token", bytes}, {"logprob", FiniteLogprob(logprob)}, {"bytes", std::move(list)}};
}

OrderedJson LogprobsOf(const std::vector<TokenDetail>& tokens) {
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

class ResponsesRenderer : public AnswerRenderer {
 public:
  ResponsesRenderer(const OrderedJson& body, std::string model) {
    const auto echo = [&body](const char* name, OrderedJson otherwise) {
      const auto found = body.find(name);
      return found == body.end() || found->is_null() ? otherwise : *found;
    };
    frame_ = {{"id", NewId("resp_")},
              {"object", "response"},
              {"created_at", UnixSeconds()},
              {"status", "in_progress"},
              {"background", false},
              {"error", nullptr},
              {"incomplete_details", nullptr},
              {"instructions", echo("instructions", nullptr)},
              {"max_output_tokens", echo("max_output_tokens", nullptr)},
              {"model", std::move(model)},
              {"output", OrderedJson::array()},
              {"parallel_tool_calls", echo("parallel_tool_calls", true)},
              {"previous_response_id", nullptr},
              {"reasoning", echo("reasoning", {{"effort", nullptr}, {"summary", nullptr}})},
              {"store", false},
              {"temperature", echo("temperature", 1.0)},
              {"text", echo("text", {{"format", {{"type", "text"}}}})},
              {"tool_choice", echo("tool_choice", "auto")},
              {"tools", echo("tools", OrderedJson::array())},
              {"top_p", echo("top_p", 1.0)},
              {"truncation", "disabled"},
              {"usage", nullptr},
              {"user", echo("user", nullptr)},
              {"metadata", echo("metadata", OrderedJson::object())}};
  }

  ErrorForm error_form() const override { return ErrorForm::kOpenAi; }

  std::string Begin(std::int64_t) override {
    std::string bytes = Event("response.created", {{"response", frame_}});
    bytes += Event("response.in_progress", {{"response", frame_}});
    return bytes;
  }

  std::string Piece(const AnswerPiece& piece) override {
    std::string bytes;  // the numbers of events count up in the order of the calls
    switch (piece.delta.kind) {
      case OutputDelta::Kind::kText:
        bytes = EnterPart("message");
        bytes += TextDelta(piece);
        break;
      case OutputDelta::Kind::kReasoning:
        bytes = EnterPart("reasoning");
        bytes += ReasoningDelta(piece.delta.text);
        break;
      case OutputDelta::Kind::kCallBegin:
        return EnterCall(piece.delta.text);
      case OutputDelta::Kind::kCallArguments:
        item_["arguments"] = item_["arguments"].get<std::string>() + piece.delta.text;
        return Event("response.function_call_arguments.delta", {{"item_id", item_["id"]},
                                                                {"output_index", output_index_},
                                                                {"delta", piece.delta.text}});
      case OutputDelta::Kind::kCallEnd:
      case OutputDelta::Kind::kCallFailed:
        return Leave(ParseObject(item_["arguments"].get<std::string>()).has_value());
    }
    return bytes;
  }

  std::string EndChoice(const ChoiceEnd& end) override {
    end_ = end;
    return Leave(end.cause != StopCause::kLength);
  }

  std::string End(const AnswerUsage& usage) override {
    const bool cut = end_.cause == StopCause::kLength;
    Complete(usage);
    return Event(cut ? "response.incomplete" : "response.completed", {{"response", frame_}});
  }

  std::string Fail(const ApiError& error) override {
    frame_["status"] = "failed";
    frame_["error"] = {{"code", error.code.empty() ? "server_error" : error.code},
                       {"message", error.message}};
    return Event("response.failed", {{"response", frame_}});
  }

  // The events' own way puts the items together.
  std::string Whole(const std::vector<ChoiceAnswer>& choices, const AnswerUsage& usage) override {
    const ChoiceAnswer& one = choices.front();
    for (const AnswerPiece& piece : one.pieces) Piece(piece);
    EndChoice(one.end);
    Complete(usage);
    return JsonText(frame_);
  }

 private:
  std::string Event(const char* type, OrderedJson fields) {
    OrderedJson event = {{"type", type}, {"sequence_number", sequence_++}};
    for (auto& [key, value] : fields.items()) event[key] = std::move(value);
    return SseEvent(event, type);
  }

  std::string Added() {
    return Event("response.output_item.added", {{"output_index", output_index_}, {"item", item_}});
  }

  // A message or a reasoning, with its one part.
  std::string EnterPart(const std::string& kind) {
    if (!item_.is_null() && item_["type"] == kind) return "";
    std::string bytes = Leave(true);
    const bool is_message = kind == "message";
    if (is_message) {
      item_ = {{"id", NewId("msg_")},
               {"type", "message"},
               {"status", "in_progress"},
               {"role", "assistant"},
               {"content", OrderedJson::array()}};
    } else {
      item_ = {{"id", NewId("rs_")},
               {"type", "reasoning"},
               {"status", "in_progress"},
               {"summary", OrderedJson::array()},
               {"content", OrderedJson::array()}};
    }
    text_.clear();
    logprobs_ = OrderedJson::array();
    bytes += Added();
    bytes += Event("response.content_part.added", {{"item_id", item_["id"]},
                                                   {"output_index", output_index_},
                                                   {"content_index", 0},
                                                   {"part", PartNow()}});
    return bytes;
  }

  OrderedJson PartNow() const {
    if (item_["type"] == "message") return TextPart(text_, logprobs_);
    return {{"type", "reasoning_text"}, {"text", text_}};
  }

  std::string TextDelta(const AnswerPiece& piece) {
    text_ += piece.delta.text;
    OrderedJson logprobs = LogprobsOf(piece.tokens);
    for (const OrderedJson& one : logprobs) logprobs_.push_back(one);
    return Event("response.output_text.delta", {{"item_id", item_["id"]},
                                                {"output_index", output_index_},
                                                {"content_index", 0},
                                                {"delta", piece.delta.text},
                                                {"logprobs", std::move(logprobs)}});
  }

  std::string ReasoningDelta(const std::string& text) {
    text_ += text;
    return Event("response.reasoning_text.delta", {{"item_id", item_["id"]},
                                                   {"output_index", output_index_},
                                                   {"content_index", 0},
                                                   {"delta", text}});
  }

  std::string EnterCall(const std::string& name) {
    std::string bytes = Leave(true);
    item_ = {{"id", NewId("fc_")},
             {"type", "function_call"},
             {"status", "in_progress"},
             {"call_id", NewId("call_")},
             {"name", name},
             {"arguments", ""}};
    bytes += Added();
    return bytes;
  }

  std::string Leave(bool whole) {
    if (item_.is_null()) return "";
    const std::string type = item_["type"].get<std::string>();
    std::string bytes;
    if (type == "function_call") {
      bytes = Event("response.function_call_arguments.done", {{"item_id", item_["id"]},
                                                              {"output_index", output_index_},
                                                              {"name", item_["name"]},
                                                              {"arguments", item_["arguments"]}});
    } else {
      OrderedJson done = {{"item_id", item_["id"]},
                          {"output_index", output_index_},
                          {"content_index", 0},
                          {"text", text_}};
      if (type == "message") done["logprobs"] = logprobs_;
      bytes =
          Event(type == "message" ? "response.output_text.done" : "response.reasoning_text.done",
                std::move(done));
      bytes += Event("response.content_part.done", {{"item_id", item_["id"]},
                                                    {"output_index", output_index_},
                                                    {"content_index", 0},
                                                    {"part", PartNow()}});
      item_["content"].push_back(PartNow());
    }
    item_["status"] = whole ? "completed" : "incomplete";
    bytes += Event("response.output_item.done", {{"output_index", output_index_}, {"item", item_}});
    frame_["output"].push_back(std::move(item_));
    item_ = nullptr;
    ++output_index_;
    return bytes;
  }

  void Complete(const AnswerUsage& usage) {
    const bool cut = end_.cause == StopCause::kLength;
    frame_["status"] = cut ? "incomplete" : "completed";
    if (cut) frame_["incomplete_details"] = {{"reason", "max_output_tokens"}};
    frame_["usage"] = UsageOf(usage);
  }

  OrderedJson frame_;
  OrderedJson item_;  // the one being filled; null: none
  std::string text_;  // of its part
  OrderedJson logprobs_ = OrderedJson::array();
  int output_index_ = 0;
  int sequence_ = 0;
  ChoiceEnd end_;
};

}  // namespace

std::unique_ptr<AnswerRenderer> MakeResponsesRenderer(const OrderedJson& body,
                                                      const std::string& model) {
  return std::make_unique<ResponsesRenderer>(body, model);
}

}  // namespace larder
