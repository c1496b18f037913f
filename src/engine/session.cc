// Batches of tokens through the model, and logits in the order of their tokens.
#include "engine/session.h"

#include <algorithm>
#include <vector>

#include "engine/engine_impl.h"

namespace larder {

Session::Session(Engine::Impl* engine, SessionState state)
    : engine_(engine), state_(std::move(state)) {
  ++engine_->n_sessions_alive;
}

Session::~Session() { --engine_->n_sessions_alive; }

std::int64_t Session::n_tokens() const { return state_.n_tokens(); }
std::int64_t Session::capacity() const { return state_.capacity(); }

void Session::Clear() {
  state_.Clear();
  Resume(0);
}

void Session::Resume(std::int64_t n_tokens) {
  state_.SetTokens(n_tokens);
  broken_ = false;
  cancelled_.store(false, std::memory_order_relaxed);
}

void Session::SetCheckpoint() {
  LARDER_CHECK(!broken_);
  state_.SetCheckpoint();
}

void Session::RestoreCheckpoint() {
  state_.RestoreCheckpoint();
  broken_ = false;
  cancelled_.store(false, std::memory_order_relaxed);
}

std::int64_t Session::checkpoint_tokens() const { return state_.checkpoint_tokens(); }

Status Session::Append(std::span<const std::int32_t> tokens, LogitsFor which,
                       const LogitsSink& sink, const Progress& progress) {
  if (broken_) return InvalidArgument("this session failed before; clear it first");
  const auto count = static_cast<std::int64_t>(tokens.size());
  const std::int64_t n_vocab = engine_->model->shape().n_vocab;
  for (const std::int32_t token : tokens) {
    if (token < 0 || token >= n_vocab) {
      return InvalidArgument("token id {} is out of range; this model has ids 0 to {}", token,
                             n_vocab - 1);
    }
  }
  if (count > capacity() - n_tokens()) {
    return InvalidArgument(
        "the context is full: {} tokens do not fit behind {} in {} positions; raise --ctx or "
        "shorten the text",
        count, n_tokens(), capacity());
  }
  const std::int64_t batch = engine_->plan.max_batch;
  for (std::int64_t begin = 0; begin < count; begin += batch) {
    const std::int64_t size = std::min(batch, count - begin);
    const bool last = begin + size == count;
    const LogitsFor batch_logits =
        which == LogitsFor::kLastToken && !last ? LogitsFor::kNone : which;
    const auto on_layer = [&](int n_layers_done) {
      if (progress) progress(begin + size * n_layers_done / engine_->model->shape().n_layers);
    };
    SessionStep step;
    step.session = this;
    step.tokens = tokens.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(size));
    step.which = batch_logits;
    step.sink = &sink;
    LARDER_RETURN_IF_ERROR(Run(engine_, {&step, 1}, on_layer));
  }
  return Status::Ok();
}

Status Session::AppendTogether(Engine* engine, std::span<SessionStep> steps,
                               FunctionRef<void(int)> on_layer) {
  std::int64_t n_tokens = 0;
  for (const SessionStep& step : steps) {
    LARDER_CHECK(!step.session->broken_ && step.session->engine_ == engine->impl_.get());
    const auto count = static_cast<std::int64_t>(step.tokens.size());
    LARDER_CHECK(count <= step.session->capacity() - step.session->n_tokens());
    n_tokens += count;
  }
  LARDER_CHECK(n_tokens <= engine->impl_->plan.max_batch);
  return Run(engine->impl_.get(), steps, on_layer);
}

namespace {

// A row of the result whose logits somebody wants.
struct WantedRow {
  std::int64_t row = 0;
  std::int64_t position = 0;
  const Session::LogitsSink* sink = nullptr;
};

std::vector<WantedRow> WantedRows(std::span<const SessionStep> steps,
                                  std::span<const BatchPart> parts) {
  std::vector<WantedRow> wanted;
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const SessionStep& step = steps[i];
    if (step.dropped || step.which == LogitsFor::kNone) continue;
    const auto count = static_cast<std::int64_t>(step.tokens.size());
    const std::int64_t first_position = step.session->n_tokens() - count;
    for (std::int64_t t = step.which == LogitsFor::kLastToken ? count - 1 : 0; t < count; ++t) {
      wanted.push_back({parts[i].first_row + t, first_position + t, step.sink});
    }
  }
  return wanted;
}

// A few rows at a time: side by side as they are, or gathered.
void GiveLogits(Engine::Impl* engine, const ForwardContext& context, ConstMatrix hidden,
                std::span<const WantedRow> wanted) {
  const auto rows_at_once = static_cast<std::size_t>(engine->logits.n_rows);
  for (std::size_t begin = 0; begin < wanted.size(); begin += rows_at_once) {
    const std::span<const WantedRow> some =
        wanted.subspan(begin, std::min(rows_at_once, wanted.size() - begin));
    const auto count = static_cast<std::int64_t>(some.size());
    ConstMatrix input = hidden.Rows(some.front().row, some.front().row + 1);
    if (some.back().row - some.front().row == count - 1) {
      input = hidden.Rows(some.front().row, some.back().row + 1);
    } else {
      const Matrix gathered = engine->gathered_hidden.Rows(0, count);
      for (std::int64_t i = 0; i < count; ++i) {
        std::copy_n(hidden.row(some[static_cast<std::size_t>(i)].row), hidden.n_cols,
                    gathered.row(i));
      }
      input = gathered;
    }
    const Matrix logits = engine->logits.Rows(0, count);
    engine->model->Logits(context, input, logits);
    for (std::int64_t i = 0; i < count; ++i) {
      const WantedRow& row = some[static_cast<std::size_t>(i)];
      (*row.sink)(row.position, {logits.row(i), static_cast<std::size_t>(logits.n_cols)});
    }
  }
}

}  // namespace

Status Session::Run(Engine::Impl* engine, std::span<SessionStep> steps,
                    FunctionRef<void(int)> on_layer) {
  const ForwardContext context = {.ops = engine->ops.get(),
                                  .experts = engine->experts.get(),
                                  .timeline = engine->timeline,
                                  .embedding = engine->embedding.get(),
                                  .routing = engine->routing,
                                  .expert_mass = engine->expert_mass,
                                  .on_layer = &on_layer,
                                  .times = &engine->times};
  std::vector<BatchPart> parts;
  for (const SessionStep& step : steps) {
    BatchPart part;
    part.tokens = step.tokens;
    part.state = &step.session->state_;
    part.marks = step.marks;
    part.cancelled = &step.session->cancelled_;
    part.timeline = step.timeline;
    parts.push_back(part);
  }
  // A lone session need not even wait for the disk when it is cancelled; of several, the others do.
  engine->experts->SetCancelFlag(parts.size() == 1 ? parts.front().cancelled : nullptr);
  const Result<ConstMatrix> forward = engine->model->Forward(context, parts);
  engine->experts->SetCancelFlag(nullptr);
  // Nothing that was read from a changed file gets out, and a failed read has its reason said.
  const Status files = engine->CheckFiles();
  for (std::size_t i = 0; i < steps.size(); ++i) {
    steps[i].dropped = parts[i].dropped;
    if (parts[i].dropped || !files.ok() || !forward.ok()) steps[i].session->broken_ = true;
  }
  LARDER_RETURN_IF_ERROR(files);
  if (!forward.ok()) return forward.status();
  GiveLogits(engine, context, *forward, WantedRows(steps, parts));
  return Status::Ok();
}

}  // namespace larder
