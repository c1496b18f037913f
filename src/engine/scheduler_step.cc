// One step: which tokens of which sessions go through the model together, and what comes of it.
#include <algorithm>

#include "base/clock.h"
#include "engine/scheduler_impl.h"

namespace larder {

namespace {

constexpr std::int64_t kProgressEveryUs = 200000;
// While others answer and everything is in memory, a piece of a prompt should not hold them up
// longer.
constexpr double kPieceUs = 1e6;
constexpr std::int64_t kSmallestPiece = 32;

}  // namespace

// ---- What to do ---------------------------------------------------------------------------------

// Prompts and answers get equal time while both wait; answers go along with prompts, whose rows use
// nearly every expert anyway.
std::vector<StepItem> Scheduler::Impl::PlanStep() {
  std::vector<Slot*> prompts;
  std::vector<Slot*> answers;
  std::vector<int> ready;
  for (const auto& slot : slots) {
    if (slot->task == nullptr) continue;
    if (slot->task->reads_prompt()) {
      prompts.push_back(slot.get());
    } else {
      answers.push_back(slot.get());
      ready.push_back(slot->index);
    }
  }
  std::vector<StepItem> items;
  const auto add_answer = [&items](Slot* slot) {
    StepItem item;
    item.slot = slot;
    item.task = slot->task;
    item.tokens = {slot->task->next_token};
    items.push_back(std::move(item));
  };
  if (prompts.empty() || answers.empty()) prompts_had_us = answers_had_us = 0;
  if (!prompts.empty() && (answers.empty() || prompts_had_us <= answers_had_us)) {
    std::int64_t n_rows = max_rows;
    if (options.batching == BatchMode::kNever) {
      const auto earliest = [](const Slot* a, const Slot* b) { return a->task->id < b->task->id; };
      prompts = {*std::min_element(prompts.begin(), prompts.end(), earliest)};
    } else {
      for (Slot* slot : answers) {
        if (2 * n_rows <= max_rows + 1) break;
        add_answer(slot);
        --n_rows;
      }
    }
    if (!answers.empty() && engine->plan().slots.holds_all && prompt_rows_per_us > 0) {
      const auto piece = static_cast<std::int64_t>(prompt_rows_per_us * kPieceUs);
      n_rows = std::min(n_rows, std::max(piece, kSmallestPiece));
    }
    PlanPrompts(std::move(prompts), n_rows, &items);
    return items;
  }
  if (ready.empty()) return items;
  for (const int index : governor->Choose(ready)) {
    add_answer(slots[static_cast<std::size_t>(index)].get());
  }
  return items;
}

// An equal share of the rows for each; what a short prompt leaves goes to the longer ones.
void Scheduler::Impl::PlanPrompts(std::vector<Slot*> prompts, std::int64_t n_rows,
                                  std::vector<StepItem>* items) {
  const auto n_left = [](const Slot* slot) { return slot->task->n_prompt() - slot->task->n_done; };
  std::sort(prompts.begin(), prompts.end(), [&](const Slot* a, const Slot* b) {
    return std::make_pair(n_left(a), a->task->id) < std::make_pair(n_left(b), b->task->id);
  });
  auto n_waiting = static_cast<std::int64_t>(prompts.size());
  for (Slot* slot : prompts) {
    // At least one row for the first, however many there are.
    const std::int64_t share = std::max<std::int64_t>(n_rows / n_waiting--, n_rows > 0 ? 1 : 0);
    const std::int64_t count = std::min(n_left(slot), share);
    if (count == 0) continue;
    n_rows -= count;
    const Task& task = *slot->task;
    StepItem item;
    item.slot = slot;
    item.task = slot->task;
    item.is_prompt = true;
    const auto begin = task.request.prompt.begin() + static_cast<std::ptrdiff_t>(task.n_done);
    item.tokens.assign(begin, begin + static_cast<std::ptrdiff_t>(count));
    PrepareMarks(&item);
    items->push_back(std::move(item));
  }
}

// Memory for the snapshots that fall into this piece of the prompt.
void Scheduler::Impl::PrepareMarks(StepItem* item) {
  Task& task = *item->task;
  const std::int64_t end = task.n_done + static_cast<std::int64_t>(item->tokens.size());
  while (!task.marks.empty() && task.marks.front().n_tokens <= end) {
    const PlannedMark mark = task.marks.front();
    task.marks.erase(task.marks.begin());
    std::shared_ptr<PageBuffer> blob =
        keeper->BeginSnapshot(mark.n_tokens, task.request.side_request);
    if (blob == nullptr) continue;
    item->state_marks.push_back({mark.n_tokens - task.n_done, blob->data()});
    item->marks.push_back(mark);
    item->snapshots.push_back(std::move(blob));
  }
}

// ---- Doing it -----------------------------------------------------------------------------------

void Scheduler::Impl::RunStep(std::vector<StepItem> items) {
  std::vector<SessionStep> steps;
  for (const StepItem& item : items) {
    const Task& task = *item.task;
    SessionStep step;
    step.session = item.slot->timeline.session.get();
    step.tokens = item.tokens;
    step.marks = item.state_marks;
    step.timeline = item.slot->index;
    step.sink = &task.sink;
    const bool ends_prompt =
        !item.is_prompt ||
        task.n_done + static_cast<std::int64_t>(item.tokens.size()) == task.n_prompt();
    if (item.is_prompt && task.request.prompt_logprobs) {
      step.which = LogitsFor::kAllTokens;
    } else if (ends_prompt && task.request.max_tokens != 0) {
      step.which = LogitsFor::kLastToken;
    }
    steps.push_back(step);
    item.slot->in_step = true;
  }
  const std::int64_t start_us = NowUs();
  const std::int64_t waited_before_us = engine->phase_times().expert_wait_us;
  const auto on_layer = [&](int n_layers_done) { AfterLayer(items, n_layers_done); };
  const Status status = Session::AppendTogether(engine, steps, on_layer);
  const std::int64_t elapsed_us = NowUs() - start_us;
  const std::int64_t waiting_us = engine->phase_times().expert_wait_us - waited_before_us;
  if (status.ok()) CountStep(items, elapsed_us, waiting_us);
  for (std::size_t i = 0; i < items.size(); ++i) AfterStep(&items[i], status, steps[i].dropped);
}

// While the step goes on: cancelled requests leave, and prompts say how far they are.
void Scheduler::Impl::AfterLayer(std::span<const StepItem> items, int n_layers_done) {
  CancelAllLate();
  EndCancelled();
  for (const StepItem& item : items) {
    if (!item.is_prompt || item.task->is_finished) continue;
    const auto count = static_cast<std::int64_t>(item.tokens.size());
    TellProgress(item.task.get(), item.task->n_done + count * n_layers_done / n_layers, false);
  }
}

void Scheduler::Impl::TellProgress(Task* task, std::int64_t n_done, bool at_once) {
  const std::int64_t now_us = NowUs();
  if (!at_once && now_us - task->progress_us < kProgressEveryUs) return;
  task->progress_us = now_us;
  const std::int64_t n_read = n_done - task->result.n_reused;
  const double seconds_left = n_read <= 0 ? -1
                                          : static_cast<double>(now_us - task->started_us) * 1e-6 *
                                                static_cast<double>(task->n_prompt() - n_done) /
                                                static_cast<double>(n_read);
  task->listener->OnPromptProgress(n_done, task->n_prompt(), seconds_left);
}

// Logits of a prompt's tokens tell what the model thought of the next one; those of the last token
// so far give a new one.
void Scheduler::Impl::TakeLogits(Task* task, std::int64_t position, std::span<const float> logits) {
  if (task->is_finished) return;
  const GenerationRequest& request = task->request;
  if (position + 1 < task->n_prompt()) {
    const std::int32_t token = request.prompt[static_cast<std::size_t>(position + 1)];
    const auto n_top = static_cast<std::size_t>(std::max(request.n_top_logprobs, 0));
    task->listener->OnPromptLogprobs(position + 1, ComputeLogprobs(logits, token, n_top));
    return;
  }
  if (request.max_tokens == 0) return;
  if (task->first_token_us == 0) {
    TellProgress(task, task->n_prompt(), true);
    task->first_token_us = NowUs();
  }
  const AnswerStream::Step step = task->answer->Next(logits);
  const auto end = [task](FinishReason reason) {
    task->is_over = true;
    task->result.reason = reason;
  };
  if (step.ends) {
    task->result.end_token = step.token;
    end(FinishReason::kStop);
    return;
  }
  task->next_token = step.token;
  task->result.n_generated = task->answer->n_made();
  const bool goes_on =
      task->listener->OnToken(step.token, step.logprobs ? &*step.logprobs : nullptr);
  if (!goes_on) {
    end(FinishReason::kStop);
  } else if (request.max_tokens > 0 && task->answer->n_made() >= request.max_tokens) {
    end(FinishReason::kLength);
  } else if (position + 1 >= context_tokens) {
    end(FinishReason::kContextFull);
  }
}

// What one session is after the step, and its request.
void Scheduler::Impl::AfterStep(StepItem* item, const Status& status, bool dropped) {
  Task& task = *item->task;
  Timeline& timeline = item->slot->timeline;
  const bool is_whole = status.ok() && !dropped;
  item->slot->in_step = false;
  timeline.is_live = is_whole;
  if (is_whole) {
    timeline.tokens.insert(timeline.tokens.end(), item->tokens.begin(), item->tokens.end());
    if (item->is_prompt) task.n_done += static_cast<std::int64_t>(item->tokens.size());
    for (std::size_t i = 0; i < item->marks.size(); ++i) {
      keeper->KeepSnapshot(*task.chain, item->marks[i], std::move(item->snapshots[i]), timeline);
    }
  }
  if (!task.is_finished) {
    if (!status.ok() && status.code() != StatusCode::kCancelled) {
      task.is_over = true;
      task.result.reason = FinishReason::kError;
      task.result.status = status;
    } else if (!is_whole) {
      task.is_over = true;
      task.result.reason = FinishReason::kCancelled;
    } else if (!task.reads_prompt() && task.request.max_tokens == 0) {
      task.is_over = true;
      task.result.reason = FinishReason::kLength;
    } else if (item->is_prompt && task.reads_prompt()) {
      TellProgress(&task, task.n_done, false);
    }
    if (task.is_over) {
      Finish(&task, item->slot);
    } else {
      PublishSlot(*item->slot);
    }
  }
  if (task.is_finished) {
    keeper->Keep(timeline, task.for_disk);
    PublishSlot(*item->slot);
  }
}

void Scheduler::Impl::CountStep(std::span<const StepItem> items, std::int64_t elapsed_us,
                                std::int64_t waiting_us) {
  std::uint64_t n_prompt_rows = 0;
  std::uint64_t n_answer_rows = 0;
  for (const StepItem& item : items) {
    (item.is_prompt ? n_prompt_rows : n_answer_rows) += item.tokens.size();
  }
  if (n_prompt_rows > 0) {
    const double rate = static_cast<double>(n_prompt_rows + n_answer_rows) /
                        static_cast<double>(std::max<std::int64_t>(elapsed_us, 1));
    prompt_rows_per_us = prompt_rows_per_us == 0 ? rate : 0.5 * (prompt_rows_per_us + rate);
    prompts_had_us += elapsed_us;
  } else {
    answers_had_us += elapsed_us;
    governor->Record(elapsed_us, waiting_us);
  }
  const std::lock_guard lock(mutex);
  ++stats.n_steps;
  if (items.size() > 1) ++stats.n_shared_steps;
  stats.n_step_rows += n_prompt_rows + n_answer_rows;
  stats.n_prompt_tokens += n_prompt_rows;
  stats.n_answer_tokens += n_answer_rows;
  (n_prompt_rows > 0 ? stats.prompt_us : stats.answer_us) += elapsed_us;
}

}  // namespace larder
