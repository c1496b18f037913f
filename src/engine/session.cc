// Batches of tokens through the model, and logits in the order of their tokens.
#include "engine/session.h"

#include <algorithm>

#include "engine/engine_impl.h"

namespace larder {

Session::Session(Engine::Impl* engine, SessionState state)
    : engine_(engine), state_(std::move(state)) {
  engine_->session_alive = true;
  engine_->experts->SetCancelFlag(&cancelled_);
}

Session::~Session() {
  engine_->experts->SetCancelFlag(nullptr);
  engine_->session_alive = false;
}

std::int64_t Session::n_tokens() const { return state_.n_tokens(); }
std::int64_t Session::capacity() const { return state_.capacity(); }

void Session::Clear() {
  state_.Clear();
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
    const Status status =
        AppendBatch(tokens.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(size)),
                    batch_logits, sink, on_layer);
    if (!status.ok()) {
      broken_ = true;
      return status;
    }
  }
  return Status::Ok();
}

Status Session::AppendBatch(std::span<const std::int32_t> tokens, LogitsFor which,
                            const LogitsSink& sink, FunctionRef<void(int)> on_layer) {
  const ForwardContext context = {.ops = engine_->ops.get(),
                                  .experts = engine_->experts.get(),
                                  .timeline = engine_->timeline,
                                  .embedding = engine_->embedding.get(),
                                  .routing = engine_->routing,
                                  .expert_mass = engine_->expert_mass,
                                  .cancelled = &cancelled_,
                                  .on_layer = &on_layer,
                                  .times = &engine_->times};
  const std::int64_t first_position = n_tokens();
  const Result<ConstMatrix> forward = engine_->model->Forward(context, tokens, &state_);
  // Nothing that was read from a changed file gets out, and a failed read has its reason said.
  LARDER_RETURN_IF_ERROR(engine_->CheckFiles());
  if (!forward.ok()) return forward.status();
  const ConstMatrix hidden = *forward;
  if (which == LogitsFor::kNone) return Status::Ok();
  const std::int64_t rows_at_once = engine_->logits.n_rows;
  const std::int64_t first_row = which == LogitsFor::kLastToken ? hidden.n_rows - 1 : 0;
  for (std::int64_t row = first_row; row < hidden.n_rows; row += rows_at_once) {
    const std::int64_t end = std::min(hidden.n_rows, row + rows_at_once);
    const Matrix logits = engine_->logits.Rows(0, end - row);
    engine_->model->Logits(context, hidden.Rows(row, end), logits);
    for (std::int64_t i = 0; i < logits.n_rows; ++i) {
      sink(first_position + row + i, {logits.row(i), static_cast<std::size_t>(logits.n_cols)});
    }
  }
  return Status::Ok();
}

}  // namespace larder
