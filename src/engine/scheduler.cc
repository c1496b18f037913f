// The callers' side: what is queued, cancelled and asked for.
#include "engine/scheduler.h"

#include <algorithm>
#include <cmath>

#include "base/clock.h"
#include "base/log.h"
#include "engine/scheduler_impl.h"

namespace larder {

namespace {

constexpr double kFirstGuessUs = 10e6;  // of a request's time, before one has finished
constexpr int kLongestRetrySeconds = 600;

}  // namespace

const char* FinishReasonName(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop:
      return "stop";
    case FinishReason::kLength:
      return "length";
    case FinishReason::kContextFull:
      return "context";
    case FinishReason::kCancelled:
      return "cancelled";
    case FinishReason::kError:
      return "error";
  }
  return "";
}

namespace {

// The cache on disk, or null: it is never a reason not to start.
std::unique_ptr<PrefixDisk> OpenDisk(const Engine& engine, const SchedulerOptions& options) {
  if (!options.reuse_prefixes || options.disk_folder.empty() || options.disk_limit_bytes == 0) {
    return nullptr;
  }
  if (engine.plan().prefix_cache_bytes == 0) {
    LogWarning("prompts are not kept on disk: the budget has no room for any in memory");
    return nullptr;
  }
  Result<Sha256Digest> identity = engine.Identity();
  if (!identity.ok()) {
    LogWarning("prompts are not kept on disk: {}", identity.status().message());
    return nullptr;
  }
  Sha256 settings;
  settings.Add(std::as_bytes(std::span(*identity)));
  settings.AddNumber(static_cast<std::uint64_t>(options.prefix_page_tokens));
  const std::uint64_t daily_bytes =
      options.disk_daily_bytes > 0 ? options.disk_daily_bytes : 4 * options.disk_limit_bytes;
  auto disk = PrefixDisk::Open(
      {options.disk_folder, settings.Finish(), options.disk_limit_bytes, daily_bytes});
  if (disk.ok()) return std::move(*disk);
  LogWarning("prompts are not kept on disk: {}", disk.status().message());
  return nullptr;
}

}  // namespace

Scheduler::Scheduler(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {
  impl_->thread = std::thread([this] { impl_->Loop(); });
}

Scheduler::~Scheduler() { Stop(0); }

Result<std::unique_ptr<Scheduler>> Scheduler::Create(Engine* engine,
                                                     const SchedulerOptions& options) {
  const EnginePlan& plan = engine->plan();
  const int n_parallel = options.n_parallel == 0 ? plan.n_sessions : options.n_parallel;
  if (n_parallel < 1 || n_parallel > plan.n_sessions) {
    return InvalidArgument("{} requests at once are asked for; the engine has {} sessions",
                           n_parallel, plan.n_sessions);
  }
  if (options.queue_limit < 0 || options.prefix_page_tokens < 1) {
    return InvalidArgument("the queue's limit must be at least 0, a page at least 1 token");
  }
  auto impl = std::make_unique<Impl>();
  impl->engine = engine;
  impl->options = options;
  const Result<const Tokenizer*> tokenizer = engine->tokenizer();
  if (tokenizer.ok()) impl->tokenizer = *tokenizer;
  impl->context_tokens = plan.context_tokens;
  impl->max_rows = plan.max_batch;
  impl->n_layers = engine->shape().n_layers;
  for (int i = 0; i < n_parallel; ++i) {
    auto slot = std::make_unique<Slot>();
    slot->index = i;
    LARDER_ASSIGN_OR_RETURN(slot->timeline.session, engine->NewSession());
    impl->slots.push_back(std::move(slot));
    SlotInfo info;
    info.index = i;
    info.capacity = plan.context_tokens;
    impl->infos.push_back(info);
  }
  impl->keeper = std::make_unique<PrefixKeeper>(
      engine->state_shape(), options.prefix_page_tokens,
      options.reuse_prefixes ? plan.prefix_cache_bytes : 0, OpenDisk(*engine, options));
  impl->governor =
      std::make_unique<BatchGovernor>(options.batching, impl->max_rows, plan.slots.holds_all);
  impl->stats.batching = impl->governor->decision();
  impl->mean_request_us = kFirstGuessUs;
  return std::unique_ptr<Scheduler>(new Scheduler(std::move(impl)));
}

Status Scheduler::Impl::Check(const GenerationRequest& request) const {
  if (request.prompt.empty()) return InvalidArgument("the prompt is empty");
  const std::int64_t n_vocab = engine->shape().n_vocab;
  for (const std::int32_t token : request.prompt) {
    if (token < 0 || token >= n_vocab) {
      return InvalidArgument("token id {} is out of range; this model has ids 0 to {}", token,
                             n_vocab - 1);
    }
  }
  const auto n_prompt = static_cast<std::int64_t>(request.prompt.size());
  if (n_prompt > context_tokens) {
    return InvalidArgument("the prompt has {} tokens and the context {}; shorten it or raise --ctx",
                           n_prompt, context_tokens);
  }
  if (request.max_tokens < -1) return InvalidArgument("max_tokens must be at least 0");
  for (const LogitBias& bias : request.sampling.logit_bias) {
    if (bias.token < 0 || bias.token >= n_vocab) {
      return InvalidArgument("logit_bias: token id {} is out of range; this model has ids 0 to {}",
                             bias.token, n_vocab - 1);
    }
  }
  return CheckSamplerParams(request.sampling);
}

Result<RequestId> Scheduler::Submit(GenerationRequest request,
                                    std::shared_ptr<GenerationListener> listener) {
  LARDER_CHECK(listener != nullptr);
  LARDER_RETURN_IF_ERROR(impl_->Check(request));
  auto task = std::make_shared<Task>();
  task->request = std::move(request);
  task->listener = std::move(listener);
  task->submitted_us = NowUs();
  const std::lock_guard lock(impl_->mutex);
  if (impl_->stopping) return Unavailable("the server is about to end");
  // What waits for an idle slot to take it does not wait for anybody.
  const std::size_t n_running = impl_->tasks.size() - impl_->queue.size();
  const std::size_t n_free = impl_->infos.size() - std::min(impl_->infos.size(), n_running);
  const auto n_most = n_free + static_cast<std::size_t>(impl_->options.queue_limit);
  if (!task->request.goes_on && impl_->queue.size() >= n_most) {
    ++impl_->stats.n_refused;
    return Unavailable("{} requests are waiting already; try again later", impl_->queue.size());
  }
  task->id = ++impl_->last_id;
  impl_->queue.push_back(task);
  impl_->tasks[task->id] = task;
  ++impl_->stats.n_submitted;
  impl_->changed.notify_all();
  return task->id;
}

void Scheduler::Cancel(RequestId id) {
  const std::lock_guard lock(impl_->mutex);
  const auto found = impl_->tasks.find(id);
  if (found == impl_->tasks.end()) return;
  found->second->cancelled.store(true, std::memory_order_relaxed);
  if (found->second->session != nullptr) found->second->session->Cancel();
  impl_->changed.notify_all();
}

std::vector<SlotInfo> Scheduler::slots() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->infos;
}

SchedulerStats Scheduler::stats() const {
  SchedulerStats stats;
  {
    const std::lock_guard lock(impl_->mutex);
    stats = impl_->stats;
    stats.n_waiting = impl_->queue.size();
    stats.n_running = impl_->tasks.size() - impl_->queue.size();
  }
  // Files are written between steps and after the last.
  if (impl_->keeper->disk() != nullptr) {
    const PrefixDiskStats disk = impl_->keeper->disk()->stats();
    stats.prefix_disk_bytes = disk.used_bytes;
    stats.prefix_disk_written_bytes = disk.written_bytes;
    stats.prefix_disk_read_bytes = disk.read_bytes;
    stats.n_prefix_files_ignored = disk.n_ignored;
    stats.n_prefix_files_refused = disk.n_refused;
  }
  return stats;
}

int Scheduler::RetryAfterSeconds() const {
  const std::lock_guard lock(impl_->mutex);
  const double n_before = static_cast<double>(impl_->tasks.size());
  const double seconds =
      impl_->mean_request_us * 1e-6 * n_before / static_cast<double>(impl_->infos.size()) / 2;
  return static_cast<int>(std::clamp(std::ceil(seconds), 1.0, double{kLongestRetrySeconds}));
}

void Scheduler::Stop(std::int64_t deadline_us) {
  if (!impl_->thread.joinable()) return;
  const std::int64_t end_us = NowUs() + std::max<std::int64_t>(deadline_us, 0);
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->stopping = true;
    impl_->stop_us = end_us;
    impl_->changed.notify_all();
  }
  impl_->thread.join();
  impl_->keeper->StopDisk(std::max<std::int64_t>(end_us - NowUs(), 0));
}

}  // namespace larder
