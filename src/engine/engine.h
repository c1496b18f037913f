// Engine: a loaded model inside a memory budget. Owns the file, the dense weights, the expert
// store, the reader, the pool and the tokenizer; immutable for its callers after Load. Sessions
// borrow it. One thread at a time may run sessions of an engine.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/cpu_topology.h"
#include "base/isa.h"
#include "base/sha256.h"
#include "base/status.h"
#include "experts/expert_store.h"
#include "format/gguf_reader.h"
#include "io/async_reader.h"
#include "models/model.h"
#include "text/tokenizer.h"

namespace larder {

/// How expert weights come from the disk; the answer is the same.
enum class ReadPath {
  kAuto,       // as the plan's mode asks for
  kDirect,     // O_DIRECT, past the page cache
  kPageCache,  // through it: the system may keep in free memory what the budget has no slot for
};

struct EngineOptions {
  std::string model_path;
  std::optional<std::uint64_t> memory_budget_bytes;  // absent: from what is available
  std::uint64_t caller_bytes = 0;   // what the caller will allocate later, inside the budget
  std::int64_t context_tokens = 0;  // 0: the model's own, at most 4096
  DType kv_dtype = DType::kF16;     // of the KV cache: F16, or Q8_0 (inexact)
  int n_threads = 0;                // 0: one per fast core it may use
  PinMode pin = PinMode::kAuto;     // where threads may run
  std::int64_t max_batch = 0;       // prompt tokens at once; 0: from the budget
  /// Taken in place of what the budget gives, where the budget's own choice could afford as many.
  std::int64_t preferred_batch = 0;
  int n_sessions = 1;  // that may be alive at once, each with the whole context
  /// For beginnings of prompts that a Scheduler keeps, inside the budget; absent: nothing, or with
  /// `keep_prefixes` a sixteenth of the budget where there is room.
  std::optional<std::uint64_t> prefix_cache_bytes;
  bool keep_prefixes = false;
  int n_used = 0;           // experts per token; 0: the model's own
  double expert_mass = 1;   // of a token's experts the first that reach this weight; 1: all
  bool checkpoint = false;  // room in each session for one checkpoint, inside the budget
  IoMode io_mode = IoMode::kAuto;
  int io_depth = 16;
  ReadPath read_path = ReadPath::kAuto;
  double throttle_bytes_per_second = 0;  // 0: no limit
  /// What the process itself takes of the budget, before anything is loaded; absent: as measured.
  /// Tests fix it: the process grows from run to run, and the number of slots with it.
  std::optional<std::uint64_t> process_bytes;
  LookaheadMode lookahead = LookaheadMode::kAuto;
  std::int64_t lookahead_depth = LookaheadThrottle::kMaxInFlight;  // reads ahead in flight
  double cache_half_life = kHeatHalfLife;                          // of the cache policy
  /// Begin with what earlier runs of this model used most, and remember it for the next: a small
  /// file in the user's cache folder. Never changes an answer.
  bool warm_start = false;
  /// Called while loading with bytes done and in all.
  std::function<void(std::uint64_t done_bytes, std::uint64_t total_bytes)> on_progress;
  /// Wraps the reader, for fault injection in tests.
  std::function<std::unique_ptr<AsyncReader>(std::unique_ptr<AsyncReader>)> wrap_reader;
};

/// How the budget is spent and how the run will go; all sizes in bytes.
struct EnginePlan {
  std::uint64_t budget_bytes = 0;
  bool budget_given = false;
  std::uint64_t smallest_budget_bytes = 0;
  std::uint64_t process_bytes = 0;  // program, tokenizer, stacks, page tables
  std::uint64_t dense_bytes = 0;
  std::uint64_t state_bytes = 0;  // of all sessions
  std::uint64_t prefix_cache_bytes = 0;
  int n_sessions = 1;
  std::uint64_t scratch_bytes = 0;
  SlotPlan slots;
  std::int64_t max_batch = 0;
  std::int64_t context_tokens = 0;
  DType kv_dtype = DType::kF16;
  std::uint64_t kv_bytes_per_token = 0;
  bool embedding_streams = false;
  bool direct_reads = false;
  std::string mode;  // "everything fits", "nearly fits", "streams"
  std::string mode_reason;
  std::string lossy;  // what changes the answer, as asked for; empty: the model's own answer
  std::string warm_start = "off";  // or how many experts were remembered
  std::size_t n_remembered = 0;
  std::string reader;
  int n_threads = 0;
  Isa isa = Isa::kScalar;

  /// One line: mode, budget, slots, share of experts that fits, reader, threads, instruction set,
  /// and what makes the answer other than the model's own.
  std::string Describe() const;
};

class Session;

class Engine {
 public:
  /// Reads headers and dense weights. kOutOfMemory names the smallest budget that works.
  static Result<std::unique_ptr<Engine>> Load(const EngineOptions& options);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  const EnginePlan& plan() const;
  const ModelShape& shape() const;
  const ModelLayout& layout() const;
  const Metadata& metadata() const;
  /// What each session keeps.
  StateShape state_shape() const;
  /// A name for the model's files and every setting and part of the program that its bits depend
  /// on, so that what was kept of a run is used by the same only. Files are known by size, time,
  /// header and samples of their contents. kIoError when they cannot be read.
  Result<Sha256Digest> Identity() const;
  /// A name for the model's files alone, the same in every run and for every copy: their sizes,
  /// headers and samples of their contents. kIoError when they cannot be read.
  Result<Sha256Digest> FilesDigest() const;
  /// The file's tokenizer, or why there is none that works.
  Result<const Tokenizer*> tokenizer() const;

  const ExpertStats& expert_stats() const;
  const PhaseTimes& phase_times() const;
  void ResetStats();

  /// Replaces the router until called with nullptr; `source` outlives its use.
  void SetRouting(RoutingSource* source);

  void SetLookahead(LookaheadMode mode);
  /// Records requests and reads until called with nullptr; `timeline` outlives its use.
  void SetTimeline(ExpertTimeline* timeline);

  /// A session of the plan's context. More at once than the plan's n_sessions are a bug.
  Result<std::unique_ptr<Session>> NewSession();

  struct Impl;  // engine_impl.h, for this room only

 private:
  friend class Session;
  explicit Engine(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// What `larder inspect` prints without loading: the smallest budget for default settings.
Result<std::uint64_t> SmallestBudget(const std::string& model_path);

}  // namespace larder
