// AnswerStream: one request's answer as it grows: what is drawn from each token's logits, under the
// constraint, or forced by the request's reader, and whether it ends there. No engine, no threads:
// the same request and logits give the same tokens wherever it runs.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <vector>

#include "engine/scheduler.h"
#include "text/tokenizer.h"

namespace larder {

class AnswerStream {
 public:
  /// `request` outlives this and lends its constraint and its reader; `tokenizer` says which tokens
  /// end an answer, may be null.
  AnswerStream(GenerationRequest* request, const Tokenizer* tokenizer);

  struct Step {
    std::int32_t token = -1;
    bool ends = false;                 // it ends the answer and is not part of it
    std::optional<Logprobs> logprobs;  // when they were asked for, and it is part of it
  };
  /// The next token after `logits` [n_vocab].
  Step Next(std::span<const float> logits);

  std::int64_t n_made() const { return n_made_; }

 private:
  bool Ends(std::int32_t token) const;
  std::int32_t Choose(std::span<const float> logits);

  GenerationRequest* request_;
  const Tokenizer* tokenizer_;
  Sampler sampler_;
  std::int64_t n_made_ = 0;
  std::deque<std::int32_t> forced_;  // tokens that come next
  std::vector<OutputDelta> deltas_;  // the reader's, of no use here
};

}  // namespace larder
