// Prompt, sample, append, until the end.
#include "cli/generation.h"

#include <deque>

namespace larder {

const char* StopReasonName(StopReason reason) {
  switch (reason) {
    case StopReason::kEndOfGeneration:
      return "end";
    case StopReason::kLength:
      return "length";
    case StopReason::kContextFull:
      return "context";
    case StopReason::kInterrupted:
      return "interrupted";
  }
  return "";
}

namespace {

std::int32_t Choose(const GenerationOptions& options, const std::vector<float>& logits,
                    Sampler* sampler) {
  TokenConstraint* constraint = options.constraint;
  if (options.unconstrained && options.unconstrained()) constraint = nullptr;
  if (constraint == nullptr) return sampler->Sample(logits);
  const std::int32_t token = sampler->Sample(logits, constraint->Mask());
  LARDER_CHECK(constraint->Accept(token).ok());
  return token;
}

}  // namespace

Result<StopReason> Generate(Session& session, const Tokenizer* tokenizer,
                            const std::vector<std::int32_t>& prompt,
                            const GenerationOptions& options) {
  std::vector<float> logits;
  const auto keep = [&logits](std::int64_t, std::span<const float> row) {
    logits.assign(row.begin(), row.end());
  };
  LARDER_RETURN_IF_ERROR(session.Append(prompt, LogitsFor::kLastToken, keep, options.on_prompt));
  if (options.on_prompt_done) options.on_prompt_done();
  Sampler sampler(options.sampler);
  sampler.AddPrompt(options.before);
  sampler.AddPrompt(prompt);
  std::deque<std::int32_t> forced;
  for (std::int64_t n_made = 0; n_made < options.max_tokens;) {
    if (options.interrupted && options.interrupted()) return StopReason::kInterrupted;
    if (forced.empty() && options.forced) {
      for (const std::int32_t token : options.forced()) forced.push_back(token);
    }
    const bool chosen = forced.empty();
    const std::int32_t token = chosen ? Choose(options, logits, &sampler) : forced.front();
    if (!chosen) forced.pop_front();
    const bool ends = chosen && tokenizer != nullptr && tokenizer->IsEndOfGeneration(token) &&
                      !(options.goes_on_after && options.goes_on_after(token));
    const bool over = options.constraint != nullptr && options.constraint->over();
    if (over || (ends && !options.ignore_eos)) return StopReason::kEndOfGeneration;
    sampler.Accept(token);
    if (options.n_logprobs) {
      options.on_logprobs(ComputeLogprobs(logits, token, *options.n_logprobs));
    }
    LARDER_RETURN_IF_ERROR(options.on_token(token));
    if (++n_made == options.max_tokens) break;
    if (session.n_tokens() >= session.capacity()) return StopReason::kContextFull;
    const Status appended = session.Append({&token, 1}, LogitsFor::kLastToken, keep);
    if (appended.code() == StatusCode::kCancelled) return StopReason::kInterrupted;
    LARDER_RETURN_IF_ERROR(appended);
  }
  return StopReason::kLength;
}

}  // namespace larder
