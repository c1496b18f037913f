// Listener and reference answers.
#include "helpers/scheduler_requests.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstring>

#include "base/random.h"
#include "sample/sampler.h"

namespace larder {

namespace {

bool SameDoubles(double a, double b) { return std::memcmp(&a, &b, sizeof(a)) == 0; }

bool SameLogprobs(const std::vector<Logprobs>& a, const std::vector<Logprobs>& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (!SameDoubles(a[i].chosen, b[i].chosen) || a[i].top.size() != b[i].top.size()) return false;
    for (std::size_t k = 0; k < a[i].top.size(); ++k) {
      if (a[i].top[k].token != b[i].top[k].token) return false;
      if (!SameDoubles(a[i].top[k].logprob, b[i].top[k].logprob)) return false;
    }
  }
  return true;
}

constexpr int kTopLogprobs = 3;

}  // namespace

bool SameBits(const SeenAnswer& a, const SeenAnswer& b) {
  return a.tokens == b.tokens && SameLogprobs(a.logprobs, b.logprobs) &&
         SameLogprobs(a.prompt_logprobs, b.prompt_logprobs);
}

void RecordingListener::OnStarted(std::int64_t) {
  {
    const std::lock_guard lock(mutex_);
    EXPECT_FALSE(started_);
    started_ = true;
    changed_.notify_all();
  }
  if (on_started) on_started();
}

void RecordingListener::OnPromptProgress(std::int64_t n_done, std::int64_t n_total, double) {
  EXPECT_GE(n_done, last_progress_);
  EXPECT_LE(n_done, n_total);
  last_progress_ = n_done;
}

void RecordingListener::OnPromptLogprobs(std::int64_t position, const Logprobs& logprobs) {
  answer.prompt_logprobs.push_back(logprobs);
  EXPECT_EQ(position, static_cast<std::int64_t>(answer.prompt_logprobs.size()));
}

bool RecordingListener::OnToken(std::int32_t token, const Logprobs* logprobs) {
  EXPECT_EQ(n_finished_, 0);
  answer.tokens.push_back(token);
  if (logprobs != nullptr) answer.logprobs.push_back(*logprobs);
  return !on_token || on_token(token);
}

void RecordingListener::OnFinished(const GenerationResult& result) {
  const std::lock_guard lock(mutex_);
  EXPECT_EQ(n_finished_, 0) << "finished twice";
  result_ = result;
  ++n_finished_;
  changed_.notify_all();
}

GenerationResult RecordingListener::Wait() {
  std::unique_lock lock(mutex_);
  const bool came =
      changed_.wait_for(lock, std::chrono::seconds(120), [&] { return n_finished_ > 0; });
  EXPECT_TRUE(came) << "a request never finished";
  return result_;
}

bool RecordingListener::WaitStarted(std::int64_t timeout_ms) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, std::chrono::milliseconds(timeout_ms), [&] { return started_; });
}

bool RecordingListener::is_finished() const {
  const std::lock_guard lock(mutex_);
  return n_finished_ > 0;
}

GenerationRequest MakeRequest(const RequestSpec& spec) {
  GenerationRequest request;
  request.prompt = spec.prompt;
  request.max_tokens = spec.max_tokens;
  request.sampling.temperature = spec.temperature;
  request.sampling.seed = spec.seed;
  request.n_top_logprobs = kTopLogprobs;
  request.prompt_logprobs = spec.prompt_logprobs;
  request.side_request = spec.side_request;
  request.message_boundaries = spec.boundaries;
  return request;
}

SeenAnswer AnswerAlone(Engine& engine, const RequestSpec& spec) {
  SeenAnswer answer;
  const auto session = engine.NewSession();
  EXPECT_TRUE(session.ok());
  std::vector<float> logits;
  const auto keep = [&](std::int64_t position, std::span<const float> row) {
    if (position + 1 < static_cast<std::int64_t>(spec.prompt.size())) {
      const std::int32_t next = spec.prompt[static_cast<std::size_t>(position + 1)];
      answer.prompt_logprobs.push_back(ComputeLogprobs(row, next, kTopLogprobs));
    }
    logits.assign(row.begin(), row.end());
  };
  const LogitsFor which = spec.prompt_logprobs ? LogitsFor::kAllTokens : LogitsFor::kLastToken;
  EXPECT_TRUE((*session)->Append(spec.prompt, which, keep).ok());
  SamplerParams params;
  params.temperature = spec.temperature;
  params.seed = spec.seed;
  Sampler sampler(params);
  sampler.AddPrompt(spec.prompt);
  for (std::int64_t i = 0; i < spec.max_tokens; ++i) {
    const std::int32_t token = sampler.Sample(logits);
    sampler.Accept(token);
    answer.tokens.push_back(token);
    answer.logprobs.push_back(ComputeLogprobs(logits, token, kTopLogprobs));
    if ((*session)->n_tokens() == (*session)->capacity() || i + 1 == spec.max_tokens) break;
    EXPECT_TRUE((*session)->Append({&token, 1}, LogitsFor::kLastToken, keep).ok());
  }
  return answer;
}

Served Serve(Scheduler& scheduler, const RequestSpec& spec) {
  const auto listener = std::make_shared<RecordingListener>();
  const auto id = scheduler.Submit(MakeRequest(spec), listener);
  EXPECT_TRUE(id.ok()) << id.status().message();
  if (!id.ok()) return {};
  Served served;
  served.result = listener->Wait();
  served.answer = listener->answer;
  return served;
}

std::vector<std::int32_t> RandomTokens(std::int64_t count, std::int64_t n_vocab,
                                       std::uint64_t seed) {
  SplitMix64 random(seed);
  std::vector<std::int32_t> tokens;
  for (std::int64_t i = 0; i < count; ++i) {
    tokens.push_back(
        static_cast<std::int32_t>(random.Next() % static_cast<std::uint64_t>(n_vocab)));
  }
  return tokens;
}

}  // namespace larder
