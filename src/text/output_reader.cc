// Tokens to deltas, and the frames of thoughts.
#include "text/output_reader.h"

#include <utility>

namespace larder {

namespace {

constexpr std::string_view kThinkBegin = "<think>";
constexpr std::string_view kThinkEnd = "</think>";
constexpr std::string_view kHarmonyStart = "<|start|>assistant";
constexpr std::string_view kHarmonyFinal = "<|channel|>final<|message|>";

bool EndsWith(std::string_view text, std::string_view end) {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

std::string_view WithoutBlanksBehind(std::string_view text) {
  return text.substr(0, text.find_last_not_of(" \t\r\n") + 1);
}

}  // namespace

OutputReader::OutputReader(const Tokenizer* tokenizer, OutputStyle style,
                           const std::vector<ToolDefinition>& tools, std::string_view prompt,
                           ThinkMode think, OutputForm form)
    : tokenizer_(tokenizer),
      style_(std::move(style)),
      parser_(MakeOutputParser(style_, tools, prompt, form)),
      decoder_(*tokenizer),
      think_(think),
      prompt_ends_thought_(EndsWith(WithoutBlanksBehind(prompt), kThinkEnd)),
      prompt_opens_message_(EndsWith(prompt, kHarmonyStart)) {}

void OutputReader::HoldText() { held_ = true; }

// Control tokens have no text, except those that the format itself is made of.
std::string OutputReader::TextOf(std::int32_t token) {
  const std::string_view bytes = tokenizer_->TokenBytes(token);
  if (!tokenizer_->IsControl(token) || !style_.IsMarker(bytes)) return decoder_.Push(token);
  return decoder_.Flush() + std::string(bytes);
}

void OutputReader::Push(std::int32_t token, std::vector<OutputDelta>* deltas) {
  begun_ = true;
  const bool before = parser_->in_reasoning();
  const std::string text = TextOf(token);
  parser_->Feed(text, deltas);
  thought_ended_ = before && !parser_->in_reasoning();
  tail_ += text;
  if (tail_.size() > kThinkEnd.size()) tail_.erase(0, tail_.size() - kThinkEnd.size());
  if (n_forced_ahead_ > 0) {
    --n_forced_ahead_;
  } else if (before && parser_->in_reasoning()) {
    ++n_reasoning_tokens_;
  }
}

void OutputReader::Finish(std::vector<OutputDelta>* deltas) {
  parser_->Feed(decoder_.Flush(), deltas);
  parser_->Finish(deltas);
}

// What the model would have to write before a held text.
std::string OutputReader::Opening() const {
  if (style_.calls == CallFormat::kHarmony) {
    return prompt_opens_message_ ? std::string(kHarmonyFinal) : "";
  }
  const bool may_think = think_.on && style_.reasons && !prompt_ends_thought_;
  return may_think ? std::string(kThinkBegin) + "\n" : "";
}

// A thought that has ended its line needs no second line end. Where the tag is several tokens and
// the model has begun it, only its rest is missing.
std::string OutputReader::Closing() const {
  const std::size_t tag = style_.end_of_thought.find(kThinkEnd);
  const bool in_pieces = tag != std::string::npos && !tokenizer_->FindToken(kThinkEnd);
  for (std::size_t n = in_pieces ? kThinkEnd.size() - 1 : 0; n > 0; --n) {
    if (EndsWith(tail_, kThinkEnd.substr(0, n))) return style_.end_of_thought.substr(tag + n);
  }
  const bool line_ended = !tail_.empty() && tail_.back() == '\n';
  const bool twice =
      line_ended && !style_.end_of_thought.empty() && style_.end_of_thought.front() == '\n';
  return style_.end_of_thought.substr(twice ? 1 : 0);
}

std::string OutputReader::BehindThought() const {
  const std::size_t end = style_.end_of_thought.find(kThinkEnd);
  if (!thought_ended_ || end == std::string::npos || tail_ != kThinkEnd) return "";
  return style_.end_of_thought.substr(end + kThinkEnd.size());
}

std::vector<std::int32_t> OutputReader::Encode(std::string_view text) {
  if (text.empty()) return {};
  Result<std::vector<std::int32_t>> tokens =
      tokenizer_->Encode(text, {.add_special = false, .parse_special = true});
  if (!tokens.ok()) return {};
  n_forced_ahead_ = tokens->size();
  return std::move(tokens).value();
}

std::vector<std::int32_t> OutputReader::Forced() {
  const std::optional<std::int64_t> most = think_.most_tokens();
  if (parser_->in_reasoning()) {
    return most && n_reasoning_tokens_ >= *most ? Encode(Closing()) : std::vector<std::int32_t>();
  }
  if (!held_) return {};
  return Encode(begun_ ? BehindThought() : Opening());
}

bool OutputReader::GoesOnAfter(std::int32_t token) const {
  return style_.GoesOnAfter(tokenizer_->TokenBytes(token));
}

}  // namespace larder
