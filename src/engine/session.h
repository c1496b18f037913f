// Session: one timeline of tokens on an engine. Mutable; one thread runs all sessions of an engine.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <span>

#include "base/status.h"
#include "engine/engine.h"

namespace larder {

enum class LogitsFor { kNone, kLastToken, kAllTokens };

struct SessionStep;

class Session {
 public:
  /// Receives logits [n_vocab] of the token at `position`; they are valid during the call.
  using LogitsSink = std::function<void(std::int64_t position, std::span<const float> logits)>;
  /// Tokens of this call done so far, layers of a batch counted in part.
  using Progress = std::function<void(std::int64_t n_done)>;

  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  /// Appends tokens (a prompt or one answer token), in batches of the plan's size, and gives the
  /// logits asked for, in order. kInvalidArgument: a token id out of range (named), nothing
  /// appended; a full context says how many positions there are. kIoError and kCancelled leave the
  /// session broken: only Clear and RestoreCheckpoint work then.
  Status Append(std::span<const std::int32_t> tokens, LogitsFor which, const LogitsSink& sink,
                const Progress& progress = nullptr);

  /// Appends to several distinct sessions of one engine in one pass, at most the plan's max_batch
  /// tokens in all: the same bits for each as Append alone, but experts are read once for all. The
  /// tokens are in range and fit. A session that is cancelled on the way leaves the step
  /// (`dropped`) and is broken, the others go on; after kIoError all are broken, kCancelled says
  /// that all were dropped.
  static Status AppendTogether(Engine* engine, std::span<SessionStep> steps,
                               FunctionRef<void(int n_layers_done)> on_layer);

  std::int64_t n_tokens() const;
  std::int64_t capacity() const;

  /// Makes a running Append stop within one layer's time, and not later when it waits for the disk;
  /// callable from a signal handler.
  void Cancel() { cancelled_.store(true, std::memory_order_relaxed); }

  /// Whether Cancel was called since the last Clear or Resume.
  bool is_cancelled() const { return cancelled_.load(std::memory_order_relaxed); }

  /// Back to an empty timeline, without a checkpoint.
  void Clear();

  /// For those who copy beginnings of timelines in and out, then Resume: the timeline holds
  /// `n_tokens`, as SessionState::SetTokens. Mends a broken session.
  SessionState& state() { return state_; }
  const SessionState& state() const { return state_; }
  void Resume(std::int64_t n_tokens);

  /// Remembers this moment, in place of an earlier one. Only with EngineOptions::checkpoint.
  void SetCheckpoint();
  /// Back to that moment, bit for bit; the checkpoint stays. A broken session works again.
  void RestoreCheckpoint();
  /// Tokens at the checkpoint; -1: there is none.
  std::int64_t checkpoint_tokens() const;

 private:
  friend class Engine;
  explicit Session(Engine::Impl* engine, SessionState state);
  static Status Run(Engine::Impl* engine, std::span<SessionStep> steps,
                    FunctionRef<void(int n_layers_done)> on_layer);

  Engine::Impl* engine_;
  SessionState state_;
  std::atomic<bool> cancelled_{false};
  bool broken_ = false;
};

/// One session's share of a step.
struct SessionStep {
  Session* session = nullptr;
  std::span<const std::int32_t> tokens;
  LogitsFor which = LogitsFor::kNone;
  const Session::LogitsSink* sink = nullptr;  // may be null for kNone
  std::span<const StateMark> marks;
  int timeline = 0;      // told to a RoutingSource
  bool dropped = false;  // set: the session was cancelled on the way
};

}  // namespace larder
