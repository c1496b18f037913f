// Force or draw, and what follows from the token.
#include "engine/answer_stream.h"

#include <algorithm>

namespace larder {

AnswerStream::AnswerStream(GenerationRequest* request, const Tokenizer* tokenizer)
    : request_(request), tokenizer_(tokenizer), sampler_(request->sampling) {
  sampler_.AddPrompt(request->prompt);
}

bool AnswerStream::Ends(std::int32_t token) const {
  if (request_->ignore_end_tokens) return false;
  if (tokenizer_ != nullptr && tokenizer_->IsEndOfGeneration(token)) return true;
  const std::vector<std::int32_t>& stops = request_->stop_tokens;
  return std::find(stops.begin(), stops.end(), token) != stops.end();
}

// The constraint knows nothing of thoughts.
std::int32_t AnswerStream::Choose(std::span<const float> logits) {
  TokenConstraint* constraint = request_->constraint.get();
  if (request_->reader != nullptr && request_->reader->in_reasoning()) constraint = nullptr;
  if (constraint == nullptr) return sampler_.Sample(logits);
  const std::int32_t token = sampler_.Sample(logits, constraint->Mask());
  LARDER_CHECK(constraint->Accept(token).ok());
  return token;
}

AnswerStream::Step AnswerStream::Next(std::span<const float> logits) {
  OutputReader* reader = request_->reader.get();
  if (forced_.empty() && reader != nullptr) {
    for (const std::int32_t token : reader->Forced()) forced_.push_back(token);
  }
  Step step;
  const bool chosen = forced_.empty();
  step.token = chosen ? Choose(logits) : forced_.front();
  if (!chosen) forced_.pop_front();
  const bool over = request_->constraint != nullptr && request_->constraint->over();
  step.ends = over || (chosen && Ends(step.token));
  if (step.ends) return step;
  sampler_.Accept(step.token);
  if (reader != nullptr) {
    deltas_.clear();
    reader->Push(step.token, &deltas_);
  }
  ++n_made_;
  if (request_->n_top_logprobs >= 0) {
    step.logprobs =
        ComputeLogprobs(logits, step.token, static_cast<std::size_t>(request_->n_top_logprobs));
  }
  return step;
}

}  // namespace larder
