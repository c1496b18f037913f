// Anthropic's answers: content blocks one after another, each begun, filled and ended.
#include <algorithm>

#include "server/anthropic.h"

namespace larder {

namespace {

enum class Block { kNone, kText, kThinking, kToolUse };

const char* StopReasonOf(StopCause cause) {
  switch (cause) {
    case StopCause::kStopText:
      return "stop_sequence";
    case StopCause::kLength:
      return "max_tokens";
    case StopCause::kToolCalls:
      return "tool_use";
    default:
      return "end_turn";
  }
}

OrderedJson UsageOf(const AnswerUsage& usage) {
  const std::int64_t n_reused = std::min(usage.n_reused, usage.n_prompt);
  return {{"input_tokens", usage.n_prompt - n_reused},
          {"cache_creation_input_tokens", 0},
          {"cache_read_input_tokens", n_reused},
          {"output_tokens", usage.n_answer}};
}

class AnthropicRenderer : public AnswerRenderer {
 public:
  explicit AnthropicRenderer(std::string model) : id_(NewId("msg_")), model_(std::move(model)) {}

  ErrorForm error_form() const override { return ErrorForm::kAnthropic; }
  std::string KeepAlive() const override { return SseEvent({{"type", "ping"}}, "ping"); }
  std::string Progress(std::int64_t, std::int64_t) const override { return KeepAlive(); }

  std::string Begin(std::int64_t n_prompt_tokens) override {
    OrderedJson message = Frame();
    message["content"] = OrderedJson::array();
    message["stop_reason"] = nullptr;
    message["stop_sequence"] = nullptr;
    AnswerUsage usage;
    usage.n_prompt = n_prompt_tokens;
    message["usage"] = UsageOf(usage);
    return SseEvent({{"type", "message_start"}, {"message", std::move(message)}}, "message_start") +
           KeepAlive();
  }

  std::string Piece(const AnswerPiece& piece) override {
    std::string bytes;
    switch (piece.delta.kind) {
      case OutputDelta::Kind::kText:
        bytes = Enter(Block::kText, {{"type", "text"}, {"text", ""}});
        bytes += Delta({{"type", "text_delta"}, {"text", piece.delta.text}});
        break;
      case OutputDelta::Kind::kReasoning:
        bytes =
            Enter(Block::kThinking, {{"type", "thinking"}, {"thinking", ""}, {"signature", ""}});
        bytes += Delta({{"type", "thinking_delta"}, {"thinking", piece.delta.text}});
        break;
      case OutputDelta::Kind::kCallBegin:
        return Enter(Block::kToolUse, {{"type", "tool_use"},
                                       {"id", NewId("toolu_")},
                                       {"name", piece.delta.text},
                                       {"input", OrderedJson::object()}});
      case OutputDelta::Kind::kCallArguments:
        return Delta({{"type", "input_json_delta"}, {"partial_json", piece.delta.text}});
      case OutputDelta::Kind::kCallEnd:
      case OutputDelta::Kind::kCallFailed:
        return Leave();
    }
    return bytes;
  }

  std::string EndChoice(const ChoiceEnd& end) override {
    end_ = end;
    std::string bytes = Leave();
    if (index_ > 0) return bytes;
    bytes = Enter(Block::kText, {{"type", "text"}, {"text", ""}});
    bytes += Leave();
    return bytes;
  }

  std::string End(const AnswerUsage& usage) override {
    return SseEvent(
               {{"type", "message_delta"},
                {"delta",
                 {{"stop_reason", StopReasonOf(end_.cause)}, {"stop_sequence", StopTextOf(end_)}}},
                {"usage", UsageOf(usage)}},
               "message_delta") +
           SseEvent({{"type", "message_stop"}}, "message_stop");
  }

  std::string Fail(const ApiError& error) override {
    return "event: error\ndata: " + ErrorJson(error, ErrorForm::kAnthropic) + "\n\n";
  }

  std::string Whole(const std::vector<ChoiceAnswer>& choices, const AnswerUsage& usage) override {
    const ChoiceAnswer& one = choices.front();
    OrderedJson json = Frame();
    json["content"] = ContentOf(one.pieces);
    json["stop_reason"] = StopReasonOf(one.end.cause);
    json["stop_sequence"] = StopTextOf(one.end);
    json["usage"] = UsageOf(usage);
    return JsonText(json);
  }

 private:
  static OrderedJson ContentOf(const std::vector<AnswerPiece>& pieces) {
    OrderedJson content = OrderedJson::array();
    for (const AnswerPiece& piece : pieces) {
      const std::string& text = piece.delta.text;
      switch (piece.delta.kind) {
        case OutputDelta::Kind::kText:
          content.push_back({{"type", "text"}, {"text", text}});
          break;
        case OutputDelta::Kind::kReasoning:
          content.push_back({{"type", "thinking"}, {"thinking", text}, {"signature", ""}});
          break;
        case OutputDelta::Kind::kCallBegin:
          content.push_back({{"type", "tool_use"},
                             {"id", NewId("toolu_")},
                             {"name", text},
                             {"input", OrderedJson::object()}});
          break;
        case OutputDelta::Kind::kCallArguments:
          if (auto input = ParseObject(text)) content.back()["input"] = std::move(*input);
          break;
        case OutputDelta::Kind::kCallEnd:
        case OutputDelta::Kind::kCallFailed:
          break;
      }
    }
    if (content.empty()) content.push_back({{"type", "text"}, {"text", ""}});
    return content;
  }

  OrderedJson Frame() const {
    return {{"id", id_}, {"type", "message"}, {"role", "assistant"}, {"model", model_}};
  }

  static OrderedJson StopTextOf(const ChoiceEnd& end) {
    return end.cause == StopCause::kStopText ? OrderedJson(end.stop_text) : OrderedJson();
  }

  std::string Enter(Block block, OrderedJson content) {
    if (block_ == block && block != Block::kToolUse) return "";
    std::string bytes = Leave();
    block_ = block;
    return bytes + SseEvent({{"type", "content_block_start"},
                             {"index", index_},
                             {"content_block", std::move(content)}},
                            "content_block_start");
  }

  std::string Delta(OrderedJson delta) const {
    return SseEvent(
        {{"type", "content_block_delta"}, {"index", index_}, {"delta", std::move(delta)}},
        "content_block_delta");
  }

  std::string Leave() {
    if (block_ == Block::kNone) return "";
    std::string bytes;
    if (block_ == Block::kThinking) {
      bytes = Delta({{"type", "signature_delta"}, {"signature", ""}});
    }
    block_ = Block::kNone;
    return bytes +
           SseEvent({{"type", "content_block_stop"}, {"index", index_++}}, "content_block_stop");
  }

  std::string id_;
  std::string model_;
  Block block_ = Block::kNone;
  int index_ = 0;
  ChoiceEnd end_;
};

}  // namespace

std::unique_ptr<AnswerRenderer> MakeAnthropicRenderer(const ChatRequest&,
                                                      const std::string& model) {
  return std::make_unique<AnthropicRenderer>(model);
}

}  // namespace larder
