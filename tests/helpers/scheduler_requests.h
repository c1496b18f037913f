// Requests to a Scheduler as tests make them: a listener that remembers everything, and the same
// answers by a Session alone, which is what they must be to the last bit.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "engine/scheduler.h"
#include "engine/session.h"

namespace larder {

/// An answer as a client sees it; logprobs with their exact bits.
struct SeenAnswer {
  std::vector<std::int32_t> tokens;
  std::vector<Logprobs> logprobs;
  std::vector<Logprobs> prompt_logprobs;
};

bool SameBits(const SeenAnswer& a, const SeenAnswer& b);

class RecordingListener final : public GenerationListener {
 public:
  void OnStarted(std::int64_t n_reused) override;
  void OnPromptProgress(std::int64_t n_done, std::int64_t n_total, double seconds_left) override;
  void OnPromptLogprobs(std::int64_t position, const Logprobs& logprobs) override;
  bool OnToken(std::int32_t token, const Logprobs* logprobs) override;
  void OnFinished(const GenerationResult& result) override;

  /// Waits for OnFinished.
  GenerationResult Wait();
  bool WaitStarted(std::int64_t timeout_ms);
  bool is_finished() const;

  SeenAnswer answer;                           // complete after Wait
  std::function<void()> on_started;            // set before Submit
  std::function<bool(std::int32_t)> on_token;  // its answer is OnToken's

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool started_ = false;
  int n_finished_ = 0;
  std::int64_t last_progress_ = 0;
  GenerationResult result_;
};

/// What tests vary of a request; the constraint is none.
struct RequestSpec {
  std::vector<std::int32_t> prompt;
  std::int64_t max_tokens = 16;
  double temperature = 0;
  std::uint64_t seed = 1;
  bool prompt_logprobs = false;
  bool side_request = false;
  std::vector<std::int64_t> boundaries;
};

GenerationRequest MakeRequest(const RequestSpec& spec);

/// The answer of a fresh session that has the engine to itself.
SeenAnswer AnswerAlone(Engine& engine, const RequestSpec& spec);

/// Submits and waits.
struct Served {
  SeenAnswer answer;
  GenerationResult result;
};
Served Serve(Scheduler& scheduler, const RequestSpec& spec);

/// `count` tokens below n_vocab that depend on the seed alone.
std::vector<std::int32_t> RandomTokens(std::int64_t count, std::int64_t n_vocab,
                                       std::uint64_t seed);

}  // namespace larder
