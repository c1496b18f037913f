// Scheduler: many requests on one engine. Owns its sessions and one thread that runs them: a queue
// with a limit, slots for as many requests as may run at once, steps that serve one session or
// several, and the prefixes of prompts that later ones begin with. A request gives the same bits
// alone and in company. All of Scheduler may be called from any thread; listeners are called on the
// scheduler's own, one call at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "engine/engine.h"
#include "sample/logprobs.h"
#include "sample/sampler.h"
#include "sample/token_constraint.h"
#include "text/output_reader.h"

namespace larder {

using RequestId = std::uint64_t;  // from 1, never used twice

struct GenerationRequest {
  std::vector<std::int32_t> prompt;  // not empty
  SamplerParams sampling;            // checked by Submit
  /// Says which tokens may come; null: all may. Belongs to this request alone; the grammar and the
  /// tree of tokens inside it are shared.
  std::unique_ptr<TokenConstraint> constraint;
  /// Reads the answer along, gives the tokens that must come instead of chosen ones (a thought that
  /// is too long is closed in the model's own format), and makes the constraint wait inside a
  /// thought. Belongs to this request alone; null: none.
  std::unique_ptr<OutputReader> reader;
  std::int64_t max_tokens = -1;  // of the answer; 0: only reads; -1: to the end of the context
  std::vector<std::int32_t> stop_tokens;  // end the answer, as the model's own end tokens do
  /// The model's own do not end it (nor do stop_tokens), unless the constraint lets nothing follow.
  bool ignore_end_tokens = false;
  /// OnToken's logprobs, with this many rivals; -1: none.
  int n_top_logprobs = -1;
  /// OnPromptLogprobs for every prompt token but the first, with n_top_logprobs rivals (0 for -1).
  /// Such a prompt is read whole: nothing of an earlier one is used.
  bool prompt_logprobs = false;
  /// Numbers of prompt tokens, ascending, after which a later prompt may well part from this one:
  /// the ends of messages. The beginnings that stop there are kept.
  std::vector<std::int64_t> message_boundaries;
  /// A small request beside a conversation (a title, tags): it uses what is kept, but pushes out
  /// nothing but what its like left, and nothing of it goes to disk.
  bool side_request = false;
  /// Goes on with what an earlier request began (one more answer of the same client's): never
  /// refused for the queue's limit, since what was done would be lost.
  bool goes_on = false;
};

enum class FinishReason { kStop, kLength, kContextFull, kCancelled, kError };

/// "stop", "length", "context", "cancelled", "error".
const char* FinishReasonName(FinishReason reason);

struct GenerationResult {
  FinishReason reason = FinishReason::kError;
  Status status;                   // why, for kError
  std::int32_t end_token = -1;     // for kStop by a token: which; it was not given to OnToken
  std::int64_t n_prompt = 0;       // tokens
  std::int64_t n_reused = 0;       // of them not read again
  std::int64_t n_generated = 0;    // tokens given to OnToken
  std::int64_t queue_us = 0;       // from Submit to OnStarted
  std::int64_t prompt_us = 0;      // from OnStarted to the first token
  std::int64_t generation_us = 0;  // from the first token to the last
};

/// Hears of one request. Calls come on the scheduler's thread and must not block: while one runs no
/// request gets on. They may call Scheduler::Cancel and Submit.
class GenerationListener {
 public:
  virtual ~GenerationListener() = default;

  /// A slot was found; the first `n_reused` of the prompt's tokens need not be read.
  virtual void OnStarted(std::int64_t /*n_reused*/) {}
  /// Prompt tokens done, those reused among them; seconds_left is below 0 while nobody knows.
  virtual void OnPromptProgress(std::int64_t /*n_done*/, std::int64_t /*n_total*/,
                                double /*seconds_left*/) {}
  /// For prompt_logprobs, once per prompt token from the second on, in order.
  virtual void OnPromptLogprobs(std::int64_t /*position*/, const Logprobs& /*logprobs*/) {}
  /// The next token of the answer; `logprobs` is null unless they were asked for. False ends the
  /// answer after this token, with kStop.
  virtual bool OnToken(std::int32_t token, const Logprobs* logprobs) = 0;
  /// The last call, exactly once for every request that Submit took.
  virtual void OnFinished(const GenerationResult& result) = 0;
};

/// kAuto: several sessions in one step when the scheduler's own figures say that this is faster.
enum class BatchMode { kAuto, kAlways, kNever };

struct SchedulerOptions {
  /// Requests that may run at once; at most the sessions that the engine was loaded for
  /// (EngineOptions::n_sessions). 0: as many.
  int n_parallel = 0;
  int queue_limit = 64;  // requests that may wait beside them
  BatchMode batching = BatchMode::kAuto;
  /// Keep beginnings of prompts for later ones. What they take in memory is the engine's
  /// EngineOptions::prefix_cache_bytes.
  bool reuse_prefixes = true;
  int prefix_page_tokens = 256;        // kept and compared as one piece; tests have smaller ones
  std::string disk_folder;             // of the cache on disk; empty: none
  std::uint64_t disk_limit_bytes = 0;  // all files together stay within this; 0: none
  std::uint64_t disk_daily_bytes = 0;  // written per day at most; 0: four times the limit
};

struct SlotInfo {
  enum class State { kIdle, kPrompt, kAnswer };
  int index = 0;
  State state = State::kIdle;
  RequestId request = 0;           // running, or the last that ran
  std::int64_t n_prompt = 0;       // tokens of its prompt
  std::int64_t n_prompt_done = 0;  // read or reused
  std::int64_t n_reused = 0;
  std::int64_t n_generated = 0;
  std::int64_t n_kept = 0;  // tokens whose state the slot holds
  std::int64_t capacity = 0;
};

struct SchedulerStats {
  std::size_t n_waiting = 0;
  std::size_t n_running = 0;
  std::uint64_t n_submitted = 0;
  std::uint64_t n_refused = 0;        // the queue was full
  std::uint64_t n_finished[5] = {};   // by FinishReason
  std::uint64_t n_prompt_tokens = 0;  // read
  std::uint64_t n_reused_tokens = 0;  // not read again
  std::uint64_t n_answer_tokens = 0;
  std::int64_t prompt_us = 0;  // in steps that read prompts
  std::int64_t answer_us = 0;  // in steps that only answered
  std::uint64_t n_steps = 0;
  std::uint64_t n_shared_steps = 0;  // that served several sessions
  std::uint64_t n_step_rows = 0;     // tokens computed in all steps
  std::string batching;              // what is done now, and why: one sentence
  // Beginnings of prompts, in memory and on disk.
  std::uint64_t n_prefix_lookups = 0;
  std::uint64_t n_prefix_hits = 0;       // of them that reused something
  std::uint64_t n_prefix_disk_hits = 0;  // with the help of the disk
  std::uint64_t prefix_memory_bytes = 0;
  std::uint64_t prefix_disk_bytes = 0;
  std::uint64_t prefix_disk_written_bytes = 0;  // since the start
  std::uint64_t prefix_disk_read_bytes = 0;
  std::uint64_t n_prefix_files_ignored = 0;  // torn or foreign
  std::uint64_t n_prefix_files_refused = 0;  // not written, for the day's limit
  ExpertStats experts;                       // the engine's own figures, as of the last step
  PhaseTimes phases;
};

class Scheduler {
 public:
  /// Allocates the sessions and starts the thread. `engine` outlives the scheduler, and nobody else
  /// runs a session of it meanwhile. kInvalidArgument: more in parallel than the engine has
  /// sessions.
  static Result<std::unique_ptr<Scheduler>> Create(Engine* engine, const SchedulerOptions& options);
  /// Stop(0).
  ~Scheduler();
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  /// Queues the request; the listener is held until its OnFinished returned. kInvalidArgument: a
  /// request that cannot be carried out (a token id out of range, a prompt longer than the context,
  /// a sampling value); kUnavailable: the queue is full, or the scheduler stops. A failure calls no
  /// listener.
  Result<RequestId> Submit(GenerationRequest request, std::shared_ptr<GenerationListener> listener);

  /// Ends a request wherever it is: waiting, in its prompt or answering. Its listener hears
  /// OnFinished(kCancelled) and its slot is free within one layer's time. An unknown or finished id
  /// does nothing. Never waits.
  void Cancel(RequestId id);

  std::vector<SlotInfo> slots() const;
  SchedulerStats stats() const;

  /// When a refused client may come back with hope: whole seconds, at least 1.
  int RetryAfterSeconds() const;

  /// Takes no more requests, lets those that run or wait finish for at most `deadline_us`, then
  /// cancels what is left, and returns when the thread has ended. What was being saved is saved
  /// whole or not at all. Once.
  void Stop(std::int64_t deadline_us);

  struct Impl;

 private:
  explicit Scheduler(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace larder
