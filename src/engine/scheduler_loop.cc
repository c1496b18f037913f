// The scheduler's thread: who gets a slot, who leaves it, and what is told to the outside.
#include <algorithm>
#include <chrono>

#include "base/clock.h"
#include "base/log.h"
#include "engine/scheduler_impl.h"

namespace larder {

void Scheduler::Impl::Loop() {
  while (WaitForWork()) {
    CancelAllLate();
    EndCancelled();
    Admit();
    std::vector<StepItem> items = PlanStep();
    if (!items.empty()) RunStep(std::move(items));
    PublishFigures();
  }
}

// False when the scheduler is to stop and nothing is left.
bool Scheduler::Impl::WaitForWork() {
  std::unique_lock lock(mutex);
  changed.wait(lock, [this] { return stopping || !tasks.empty(); });
  return !tasks.empty();
}

// ---- Who gets a slot ----------------------------------------------------------------------------

void Scheduler::Impl::Admit() {
  while (std::any_of(slots.begin(), slots.end(),
                     [](const auto& slot) { return slot->task == nullptr; })) {
    std::shared_ptr<Task> task = TakeWaiting();
    if (task == nullptr) return;
    Slot* slot = ChooseSlot(*task);
    Start(std::move(task), slot);
  }
}

// The first in the queue, but one that another's prompt is about to save work waits for that.
std::shared_ptr<Task> Scheduler::Impl::TakeWaiting() {
  const std::lock_guard lock(mutex);
  for (auto it = queue.begin(); it != queue.end(); ++it) {
    if (ShouldFollow(**it)) continue;
    std::shared_ptr<Task> task = std::move(*it);
    queue.erase(it);
    return task;
  }
  return nullptr;
}

// Whether a prompt being read will soon leave a snapshot that nearly all of this prompt can use.
bool Scheduler::Impl::ShouldFollow(const Task& task) const {
  if (!options.reuse_prefixes || task.request.prompt_logprobs || task.cancelled) return false;
  for (const auto& slot : slots) {
    if (slot->task == nullptr || !slot->task->reads_prompt()) continue;
    const std::int64_t n_common = std::min(
        CommonTokens(slot->task->request.prompt, task.request.prompt), task.n_prompt() - 1);
    for (const PlannedMark& mark : slot->task->marks) {
      if (mark.n_tokens <= n_common && 4 * mark.n_tokens >= 3 * task.n_prompt()) return true;
    }
  }
  return false;
}

// An idle slot: the one that already holds most of what this prompt begins with, as long as little
// else is lost with it; else an empty one, a side request's, or the one unused for longest.
Slot* Scheduler::Impl::ChooseSlot(const Task& task) {
  Slot* best = nullptr;
  std::int64_t best_common = 0;
  Slot* spare = nullptr;
  const auto rank = [](const Slot& slot) {
    const Timeline& timeline = slot.timeline;
    return std::make_tuple(!timeline.tokens.empty(), !timeline.is_side, timeline.last_use);
  };
  for (const auto& slot : slots) {
    if (slot->task != nullptr) continue;
    const Timeline& timeline = slot->timeline;
    const std::int64_t n_common = CommonTokens(timeline.tokens, task.request.prompt);
    const bool is_mostly_common = 2 * n_common >= static_cast<std::int64_t>(timeline.tokens.size());
    // A side request leaves the conversation where it lies, unless it can share it.
    if (is_mostly_common && n_common > best_common) {
      best = slot.get();
      best_common = n_common;
    }
    if (spare == nullptr || rank(*slot) < rank(*spare)) spare = slot.get();
  }
  const bool may_take_best = best != nullptr && (!task.request.side_request || best == spare);
  return may_take_best ? best : spare;
}

void Scheduler::Impl::Start(std::shared_ptr<Task> task, Slot* slot) {
  const GenerationRequest& request = task->request;
  Timeline& timeline = slot->timeline;
  task->started_us = NowUs();
  task->result.queue_us = task->started_us - task->submitted_us;
  task->result.n_prompt = task->n_prompt();
  task->chain = std::make_unique<PrefixChain>(request.prompt, keeper->page_tokens());
  timeline.is_side = request.side_request;
  if (options.reuse_prefixes && !request.prompt_logprobs) {
    std::vector<const Timeline*> all;
    for (const auto& one : slots) all.push_back(&one->timeline);
    task->n_done = keeper->Restore(*task->chain, all, &timeline);
  } else {
    timeline.session->Clear();
    timeline.tokens.clear();
    timeline.is_live = true;
  }
  timeline.last_use = ++n_uses;
  task->result.n_reused = task->n_done;
  if (options.reuse_prefixes) {
    task->marks = keeper->PlanMarks(request.message_boundaries, task->n_done, task->n_prompt());
    task->for_disk = keeper->WantedOnDisk(*task->chain, request.message_boundaries);
  }
  task->answer = std::make_unique<AnswerStream>(&task->request, tokenizer);
  task->sink = [this, raw = task.get()](std::int64_t position, std::span<const float> logits) {
    TakeLogits(raw, position, logits);
  };
  slot->task = task;
  {
    const std::lock_guard lock(mutex);
    task->session = timeline.session.get();
    if (task->cancelled) task->session->Cancel();
    stats.n_reused_tokens += static_cast<std::uint64_t>(task->n_done);
    infos[static_cast<std::size_t>(slot->index)].request = task->id;
  }
  PublishSlot(*slot);
  task->listener->OnStarted(task->n_done);
}

// ---- Who leaves ---------------------------------------------------------------------------------

// Those cancelled while they waited or ran. In a step the session is still in use: what it holds is
// settled when the step ends.
void Scheduler::Impl::EndCancelled() {
  std::vector<std::shared_ptr<Task>> waiting;
  {
    const std::lock_guard lock(mutex);
    for (auto it = queue.begin(); it != queue.end();) {
      if ((*it)->cancelled) {
        waiting.push_back(std::move(*it));
        it = queue.erase(it);
      } else {
        ++it;
      }
    }
  }
  for (const std::shared_ptr<Task>& task : waiting) {
    task->result.reason = FinishReason::kCancelled;
    task->result.queue_us = NowUs() - task->submitted_us;
    task->result.n_prompt = task->n_prompt();
    Finish(task.get(), nullptr);
  }
  for (const auto& slot : slots) {
    const std::shared_ptr<Task> task = slot->task;
    if (task == nullptr || !task->cancelled) continue;
    task->result.reason = FinishReason::kCancelled;
    Finish(task.get(), slot.get());
    if (!slot->in_step) keeper->Keep(slot->timeline, task->for_disk);
  }
}

// When the time that Stop gave is over.
void Scheduler::Impl::CancelAllLate() {
  const std::lock_guard lock(mutex);
  if (!stopping || NowUs() < stop_us) return;
  for (const auto& [id, task] : tasks) {
    task->cancelled = true;
    if (task->session != nullptr) task->session->Cancel();
  }
}

// The last word to the listener; `slot` is free from here on (null: the task never had one).
void Scheduler::Impl::Finish(Task* task, Slot* slot) {
  const std::shared_ptr<Task> alive = slot != nullptr ? slot->task : nullptr;
  const std::int64_t now_us = NowUs();
  GenerationResult& result = task->result;
  if (task->started_us > 0) {
    const std::int64_t prompt_end_us = task->first_token_us > 0 ? task->first_token_us : now_us;
    result.prompt_us = prompt_end_us - task->started_us;
    result.generation_us = now_us - prompt_end_us;
  }
  task->is_finished = true;
  {
    const std::lock_guard lock(mutex);
    tasks.erase(task->id);
    task->session = nullptr;
    ++stats.n_finished[static_cast<std::size_t>(result.reason)];
    if (task->started_us > 0) {
      mean_request_us += 0.2 * (static_cast<double>(now_us - task->started_us) - mean_request_us);
    }
  }
  if (slot != nullptr) {
    slot->task = nullptr;
    PublishSlot(*slot);
  }
  task->listener->OnFinished(result);
  task->listener.reset();
}

// ---- What is told -------------------------------------------------------------------------------

void Scheduler::Impl::PublishSlot(const Slot& slot) {
  const std::lock_guard lock(mutex);
  SlotInfo& info = infos[static_cast<std::size_t>(slot.index)];
  const Task* task = slot.task.get();
  info.state = task == nullptr        ? SlotInfo::State::kIdle
               : task->reads_prompt() ? SlotInfo::State::kPrompt
                                      : SlotInfo::State::kAnswer;
  info.n_kept = static_cast<std::int64_t>(slot.timeline.tokens.size());
  if (task == nullptr) return;
  info.n_prompt = task->n_prompt();
  info.n_prompt_done = task->n_done;
  info.n_reused = task->result.n_reused;
  info.n_generated = task->result.n_generated;
}

void Scheduler::Impl::PublishFigures() {
  const bool says = governor->TakeChanged();
  if (says) LogInfo("{}", governor->decision());
  const PrefixKeeperStats kept = keeper->stats();
  const std::lock_guard lock(mutex);
  if (says) stats.batching = governor->decision();
  stats.n_prefix_lookups = kept.n_lookups;
  stats.n_prefix_hits = kept.n_hits;
  stats.n_prefix_disk_hits = kept.n_disk_hits;
  stats.prefix_memory_bytes = keeper->memory().used_bytes();
  stats.experts = engine->expert_stats();
  stats.phases = engine->phase_times();
}

}  // namespace larder
