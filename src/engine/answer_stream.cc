// Mask, draw, and what follows from the token.
#include "engine/answer_stream.h"

#include <algorithm>

namespace larder {

AnswerStream::AnswerStream(GenerationRequest* request, const Tokenizer* tokenizer)
    : request_(request), tokenizer_(tokenizer), sampler_(request->sampling) {
  sampler_.AddPrompt(request->prompt);
  const ReasoningLimit* limit = request->reasoning_limit.get();
  in_reasoning_ = limit != nullptr && limit->starts_open;
}

bool AnswerStream::Ends(std::int32_t token) const {
  if (request_->ignore_end_tokens) return false;
  if (tokenizer_ != nullptr && tokenizer_->IsEndOfGeneration(token)) return true;
  const std::vector<std::int32_t>& stops = request_->stop_tokens;
  return std::find(stops.begin(), stops.end(), token) != stops.end();
}

// What the constraint allows; once reasoning is over its limit, of that only the next token that
// closes it, unless the constraint forbids just that.
AllowedBits AnswerStream::Allowed() {
  const AllowedBits mask =
      request_->constraint != nullptr ? request_->constraint->Mask() : AllowedBits();
  const ReasoningLimit* limit = request_->reasoning_limit.get();
  const bool closes = in_reasoning_ && limit != nullptr && n_reasoning_ >= limit->max_tokens &&
                      n_closed_ < limit->closing.size();
  if (!closes) return mask;
  const auto token = static_cast<std::size_t>(limit->closing[n_closed_]);
  const std::uint64_t bit = std::uint64_t{1} << (token % 64);
  if (!mask.empty() && (token / 64 >= mask.size() || (mask[token / 64] & bit) == 0)) return mask;
  only_.assign(token / 64 + 1, 0);
  only_[token / 64] = bit;
  return only_;
}

void AnswerStream::Follow(std::int32_t token) {
  const ReasoningLimit* limit = request_->reasoning_limit.get();
  if (limit == nullptr) return;
  if (!in_reasoning_) {
    in_reasoning_ = limit->open_token >= 0 && token == limit->open_token;
    return;
  }
  const bool is_over = n_reasoning_ >= limit->max_tokens;
  ++n_reasoning_;
  bool is_closed = token == limit->close_token;
  if (is_over && n_closed_ < limit->closing.size() && token == limit->closing[n_closed_]) {
    is_closed = ++n_closed_ == limit->closing.size();
  }
  if (!is_closed) return;
  in_reasoning_ = false;
  n_closed_ = 0;
}

AnswerStream::Step AnswerStream::Next(std::span<const float> logits) {
  Step step;
  step.token = sampler_.Sample(logits, Allowed());
  if (request_->constraint != nullptr) {
    LARDER_CHECK(request_->constraint->Accept(step.token).ok());
  }
  step.ends = Ends(step.token);
  if (step.ends) return step;
  sampler_.Accept(step.token);
  Follow(step.token);
  ++n_made_;
  if (request_->n_top_logprobs >= 0) {
    step.logprobs =
        ComputeLogprobs(logits, step.token, static_cast<std::size_t>(request_->n_top_logprobs));
  }
  return step;
}

}  // namespace larder
