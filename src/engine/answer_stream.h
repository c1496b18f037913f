// AnswerStream: one request's answer as it grows: what is drawn from each token's logits, under the
// constraint and the limit of reasoning, and whether it ends there. No engine, no threads: the same
// request and logits give the same tokens wherever it runs.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "engine/scheduler.h"
#include "text/tokenizer.h"

namespace larder {

class AnswerStream {
 public:
  /// `request` outlives this and lends its constraint; `tokenizer` says which tokens end an answer,
  /// may be null.
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
  AllowedBits Allowed();
  void Follow(std::int32_t token);

  GenerationRequest* request_;
  const Tokenizer* tokenizer_;
  Sampler sampler_;
  std::int64_t n_made_ = 0;
  // The limit of reasoning.
  bool in_reasoning_ = false;
  std::int64_t n_reasoning_ = 0;
  std::size_t n_closed_ = 0;         // tokens of `closing` that came
  std::vector<std::uint64_t> only_;  // mask of one token
};

}  // namespace larder
