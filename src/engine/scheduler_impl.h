// What a Scheduler holds; private to this room. Three groups: what callers and the thread share
// (under the mutex), what the thread alone touches, and what never changes. scheduler.cc is the
// callers' side, scheduler_loop.cc the thread, scheduler_step.cc one step of it.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <vector>

#include "engine/answer_stream.h"
#include "engine/batch_governor.h"
#include "engine/prefix_keeper.h"
#include "engine/scheduler.h"

namespace larder {

/// One request from Submit to OnFinished.
struct Task {
  RequestId id = 0;
  GenerationRequest request;
  std::shared_ptr<GenerationListener> listener;
  std::int64_t submitted_us = 0;
  std::atomic<bool> cancelled{false};
  Session* session = nullptr;  // under the mutex: what Cancel must stop

  // The scheduler's thread only, from here on.
  bool is_finished = false;
  GenerationResult result;
  std::int64_t started_us = 0;
  std::int64_t first_token_us = 0;
  std::int64_t progress_us = 0;  // of the last OnPromptProgress
  std::unique_ptr<PrefixChain> chain;
  std::vector<PlannedMark> marks;  // those still to come, ascending
  std::vector<PrefixId> for_disk;  // snapshots
  std::unique_ptr<AnswerStream> answer;
  std::int64_t n_done = 0;       // prompt tokens read or reused
  std::int32_t next_token = -1;  // drawn, to be appended
  bool is_over = false;          // result.reason says why
  Session::LogitsSink sink;

  std::int64_t n_prompt() const { return static_cast<std::int64_t>(request.prompt.size()); }
  bool reads_prompt() const { return n_done < n_prompt(); }
};

struct Slot {
  int index = 0;
  Timeline timeline;
  std::shared_ptr<Task> task;  // null: idle
  bool in_step = false;        // the session is in use, whatever became of the task
};

/// What one slot does in a step.
struct StepItem {
  Slot* slot = nullptr;
  std::shared_ptr<Task> task;
  std::vector<std::int32_t> tokens;
  bool is_prompt = false;
  std::vector<PlannedMark> marks;
  std::vector<std::shared_ptr<PageBuffer>> snapshots;  // of the marks
  std::vector<StateMark> state_marks;
};

struct Scheduler::Impl {
  // Never changes.
  Engine* engine = nullptr;
  SchedulerOptions options;
  const Tokenizer* tokenizer = nullptr;  // null: none in the file
  std::int64_t context_tokens = 0;
  std::int64_t max_rows = 1;
  int n_layers = 1;

  // Shared.
  mutable std::mutex mutex;
  std::condition_variable changed;
  std::deque<std::shared_ptr<Task>> queue;
  std::unordered_map<RequestId, std::shared_ptr<Task>> tasks;  // waiting and running
  std::vector<SlotInfo> infos;
  SchedulerStats stats;
  RequestId last_id = 0;
  double mean_request_us = 0;
  bool stopping = false;
  std::int64_t stop_us = 0;  // when what is left is cancelled

  // The thread's own.
  std::vector<std::unique_ptr<Slot>> slots;
  std::unique_ptr<PrefixKeeper> keeper;
  std::unique_ptr<BatchGovernor> governor;
  std::uint64_t n_uses = 0;
  // Time given to either while both wait.
  std::int64_t prompts_had_us = 0;
  std::int64_t answers_had_us = 0;
  double prompt_rows_per_us = 0;

  std::thread thread;

  Status Check(const GenerationRequest& request) const;

  void Loop();
  bool WaitForWork();
  void Admit();
  std::shared_ptr<Task> TakeWaiting();
  bool ShouldFollow(const Task& task) const;
  Slot* ChooseSlot(const Task& task);
  void Start(std::shared_ptr<Task> task, Slot* slot);
  void EndCancelled();
  void CancelAllLate();
  void Finish(Task* task, Slot* slot);
  void PublishSlot(const Slot& slot);
  void PublishFigures();

  std::vector<StepItem> PlanStep();
  void PlanPrompts(std::vector<Slot*> prompts, std::int64_t n_rows, std::vector<StepItem>* items);
  void RunStep(std::vector<StepItem> items);
  void PrepareMarks(StepItem* item);
  void AfterLayer(std::span<const StepItem> items, int n_layers_done);
  void TellProgress(Task* task, std::int64_t n_done, bool at_once);
  void TakeLogits(Task* task, std::int64_t position, std::span<const float> logits);
  void AfterStep(StepItem* item, const Status& status, bool dropped);
  void CountStep(std::span<const StepItem> items, std::int64_t elapsed_us, std::int64_t waiting_us);
};

}  // namespace larder
