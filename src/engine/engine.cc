// Loading: headers, tokenizer, plan, dense weights, slots.
#include "engine/engine.h"

#include <malloc.h>

#include <algorithm>

#include "base/log.h"
#include "base/memory.h"
#include "base/size.h"
#include "engine/engine_impl.h"
#include "engine/forecast.h"
#include "engine/memory_plan.h"
#include "engine/session.h"
#include "experts/heat_file.h"
#include "io/test_readers.h"

namespace larder {

namespace {

constexpr std::int64_t kDefaultContextTokens = 4096;
constexpr int kMaxSessions = 256;
constexpr std::int64_t kPollPeriodUs = 100;  // a slab takes a few times as long to read

// Reads the tokenizer and lets go of its arrays in the metadata, which it has copied.
void TakeTokenizer(GgufModel* file, std::unique_ptr<Tokenizer>* tokenizer, Status* status) {
  Result<std::unique_ptr<Tokenizer>> made = Tokenizer::FromMetadata(file->metadata);
  if (made.ok()) {
    *tokenizer = std::move(made).value();
  } else {
    *status = made.status();
  }
  for (const char* key : {"tokenizer.ggml.tokens", "tokenizer.ggml.merges", "tokenizer.ggml.scores",
                          "tokenizer.ggml.token_type"}) {
    file->metadata.Erase(key);
  }
  malloc_trim(0);
}

Result<std::unique_ptr<AsyncReader>> MakeReader(const EngineOptions& options) {
  LARDER_ASSIGN_OR_RETURN(std::unique_ptr<AsyncReader> reader,
                          MakeAsyncReader({options.io_mode, options.io_depth}));
  if (options.throttle_bytes_per_second > 0) {
    reader = MakeThrottlingReader(std::move(reader), options.throttle_bytes_per_second);
  }
  if (options.wrap_reader) reader = options.wrap_reader(std::move(reader));
  return reader;
}

// What the options ask for that changes the answer; empty when nothing does.
std::string DescribeLoss(const EngineOptions& options, const Metadata& metadata,
                         const ModelShape& shape) {
  std::string text;
  const Result<std::uint64_t> own = metadata.GetUint(shape.architecture + ".expert_used_count");
  if (own.ok() && *own != static_cast<std::uint64_t>(shape.n_used)) {
    text = fmt::format("{} experts per token instead of the model's {}", shape.n_used, *own);
  }
  if (options.expert_mass < 1) {
    text += fmt::format("{}experts up to {:g} of their weight", text.empty() ? "" : ", ",
                        options.expert_mass);
  }
  if (options.kv_dtype != DType::kF16) {
    text += fmt::format("{}keys and values kept as {}", text.empty() ? "" : ", ",
                        GetDTypeInfo(options.kv_dtype).name);
  }
  return text;
}

Status CheckKvType(DType kv_dtype, const StateShape& shape) {
  if (kv_dtype == DType::kF16) return Status::Ok();
  if (kv_dtype != DType::kQ8_0) {
    return InvalidArgument("a KV cache is kept as f16 or q8_0, not as {}",
                           GetDTypeInfo(kv_dtype).name);
  }
  for (const LayerStateShape& layer : shape.layers) {
    if (layer.n_kv_heads > 0 && layer.head_dim % 32 != 0) {
      return InvalidArgument(
          "a q8_0 KV cache needs heads of a multiple of 32; this model's are {} wide: use "
          "--kv-type f16",
          layer.head_dim);
    }
  }
  return Status::Ok();
}

MemoryRequest RequestOf(const EngineOptions& options, const Model& model,
                        std::int64_t context_tokens, int n_threads) {
  return {.model = &model,
          .process_bytes = options.process_bytes.value_or(ResidentBytes()) + options.caller_bytes,
          .available_bytes = AvailableMemoryBytes(),
          .context_tokens = context_tokens,
          .kv_dtype = options.kv_dtype,
          .n_sessions = options.n_sessions,
          .prefix_cache_bytes = options.prefix_cache_bytes.value_or(0),
          .prefix_cache_by_share = options.keep_prefixes && !options.prefix_cache_bytes,
          .max_batch = std::min(options.max_batch, context_tokens),
          .preferred_batch = std::min(options.preferred_batch, context_tokens),
          .n_threads = n_threads,
          .checkpoint = options.checkpoint,
          .read_path = options.read_path,
          .budget_given = options.memory_budget_bytes.has_value(),
          .budget_bytes = options.memory_budget_bytes.value_or(0)};
}

// Nothing for the one session of a command.
std::string DescribeSessions(const EnginePlan& plan) {
  std::string text;
  if (plan.n_sessions > 1) text = fmt::format(" of {} sessions", plan.n_sessions);
  if (plan.prefix_cache_bytes > 0) {
    text += fmt::format(", kept prompts {}", FormatBytes(plan.prefix_cache_bytes));
  }
  return text;
}

}  // namespace

Result<std::int64_t> ChooseContext(std::int64_t asked, std::int64_t trained) {
  if (asked > trained) {
    return InvalidArgument("--ctx {} is more than the {} positions this model was made for", asked,
                           trained);
  }
  return asked > 0 ? asked : std::min(trained, kDefaultContextTokens);
}

std::string EnginePlan::Describe() const {
  const double share = slots.n_records == 0 ? 1.0
                                            : static_cast<double>(slots.n_slots) /
                                                  static_cast<double>(slots.n_records);
  return fmt::format(
      "{} ({}): budget {}{}, dense {}, state {}{}, scratch {}, {} expert slots of {} ({:.1f} %, "
      "waste "
      "{:.1f} %), batch {}, context {} (KV {}), reader {} ({}), {} threads, {}, warm start {}{}",
      mode, mode_reason, FormatBytes(budget_bytes), budget_given ? "" : " (chosen)",
      FormatBytes(dense_bytes), FormatBytes(state_bytes), DescribeSessions(*this),
      FormatBytes(scratch_bytes), slots.n_slots, slots.n_records, 100 * share,
      100 * slots.waste_share, max_batch, context_tokens, GetDTypeInfo(kv_dtype).name, reader,
      direct_reads ? "direct" : "page cache", n_threads, IsaName(isa), warm_start,
      lossy.empty() ? "" : "; " + lossy + ": answers are not the model's own");
}

namespace {

Status LoadWeights(const EngineOptions& options, Engine::Impl* impl);

}  // namespace

Result<std::unique_ptr<Engine>> Engine::Load(const EngineOptions& options) {
  if (options.n_sessions < 1 || options.n_sessions > kMaxSessions) {
    return InvalidArgument("--parallel must be from 1 to {}, not {}", kMaxSessions,
                           options.n_sessions);
  }
  if (!(options.expert_mass > 0 && options.expert_mass <= 1)) {
    return InvalidArgument("--expert-mass must be above 0 and at most 1, not {:g}",
                           options.expert_mass);
  }
  if (options.lookahead_depth < 1) {
    return InvalidArgument("--lookahead-depth must be at least 1, not {}", options.lookahead_depth);
  }
  if (!(options.cache_half_life >= 1 && options.cache_half_life <= kLongestHalfLife)) {
    return InvalidArgument("--cache-half-life must be from 1 to {:g}, not {:g}", kLongestHalfLife,
                           options.cache_half_life);
  }
  auto impl = std::make_unique<Impl>();
  const std::int64_t opened_ns = FileClockNs();
  LARDER_ASSIGN_OR_RETURN(impl->file, OpenGguf(options.model_path));
  for (int i = 0; i < impl->file.tensors.n_files(); ++i) {
    impl->watches.emplace_back(&impl->file.tensors.file(i), opened_ns);
  }
  LARDER_ASSIGN_OR_RETURN(impl->model, MakeModel(impl->file, {.n_used = options.n_used}));
  TakeTokenizer(&impl->file, &impl->tokenizer, &impl->tokenizer_status);
  LARDER_ASSIGN_OR_RETURN(const Isa isa, ChooseIsa());
  const ThreadPlan threads = PlanThreads(options.n_threads, options.pin);
  const int n_threads = threads.n_threads;
  impl->pool = std::make_unique<ThreadPool>(threads);
  LARDER_ASSIGN_OR_RETURN(impl->reader, MakeReader(options));
  LARDER_ASSIGN_OR_RETURN(
      const std::int64_t context_tokens,
      ChooseContext(options.context_tokens, impl->model->shape().context_length));
  LARDER_RETURN_IF_ERROR(CheckKvType(options.kv_dtype, impl->model->state_shape()));
  LARDER_ASSIGN_OR_RETURN(impl->plan,
                          PlanMemory(RequestOf(options, *impl->model, context_tokens, n_threads)));
  impl->plan.lossy = DescribeLoss(options, impl->file.metadata, impl->model->shape());
  impl->expert_mass = static_cast<float>(options.expert_mass);
  impl->plan.reader = impl->reader->name();
  impl->plan.n_threads = n_threads;
  impl->plan.isa = isa;
  impl->checkpoint = options.checkpoint;
  LARDER_RETURN_IF_ERROR(LoadWeights(options, impl.get()));
  LARDER_RETURN_IF_ERROR(impl->CheckFiles());
  if (options.warm_start) impl->BeginWarmStart(options.model_path);
  return std::unique_ptr<Engine>(new Engine(std::move(impl)));
}

namespace {

Result<std::unique_ptr<RowStore>> MakeEmbedding(Engine::Impl* impl) {
  const TensorInfo& tensor = *impl->model->layout().embedding;
  if (!impl->plan.embedding_streams) {
    return MakeResidentRowStore(impl->dense.weights.Get(tensor.name));
  }
  const SlabLayout rows = {.file_index = tensor.file_index,
                           .offset = tensor.offset,
                           .size_bytes = tensor.size_bytes,
                           .dtype = tensor.dtype,
                           .n_rows = tensor.dims[1],
                           .n_cols = tensor.dims[0]};
  return MakeStreamedRowStore(&impl->file.tensors, rows, impl->reader.get(),
                              impl->plan.direct_reads, impl->plan.max_batch);
}

Status LoadWeights(const EngineOptions& options, Engine::Impl* impl) {
  const EnginePlan& plan = impl->plan;
  const ModelLayout& layout = impl->model->layout();
  LARDER_ASSIGN_OR_RETURN(
      impl->dense, LoadDense(impl->file.tensors, ResidentTensors(layout, plan.embedding_streams),
                             impl->reader.get(), plan.direct_reads, options.on_progress));
  LARDER_RETURN_IF_ERROR(impl->model->Bind(impl->dense.weights, plan.max_batch));
  LARDER_ASSIGN_OR_RETURN(impl->embedding, MakeEmbedding(impl));
  LARDER_ASSIGN_OR_RETURN(impl->experts,
                          ExpertStore::Create(&layout.bank, impl->reader.get(),
                                              {.slot_budget_bytes = plan.slots.total_bytes,
                                               .direct = plan.direct_reads,
                                               .lookahead = options.lookahead,
                                               .lookahead_depth = options.lookahead_depth,
                                               .heat_half_life = options.cache_half_life}));
  impl->experts->Prefault(impl->pool.get());
  impl->pool->SetBetweenPieces([store = impl->experts.get()] { store->Poll(); }, kPollPeriodUs);
  LARDER_ASSIGN_OR_RETURN(impl->ops,
                          MakeCpuOps(plan.isa, impl->pool.get(),
                                     impl->model->ops_limits(plan.max_batch, plan.context_tokens)));
  const std::int64_t n_rows = LogitRows(plan.max_batch);
  const std::int64_t n_vocab = impl->model->shape().n_vocab;
  LARDER_ASSIGN_OR_RETURN(
      impl->logits_memory,
      PageBuffer::Allocate(static_cast<std::size_t>(n_rows * n_vocab) * sizeof(float), false));
  impl->logits = {reinterpret_cast<float*>(impl->logits_memory.data()), n_rows, n_vocab};
  const std::int64_t d_model = impl->model->shape().d_model;
  LARDER_ASSIGN_OR_RETURN(
      impl->gathered_memory,
      PageBuffer::Allocate(static_cast<std::size_t>(n_rows * d_model) * sizeof(float), false));
  impl->gathered_hidden = {reinterpret_cast<float*>(impl->gathered_memory.data()), n_rows, d_model};
  return Status::Ok();
}

}  // namespace

void Engine::Impl::BeginWarmStart(const std::string& model_path) {
  std::vector<std::int64_t> modified_ns;
  for (const FileWatch& watch : watches) modified_ns.push_back(watch.modified_ns());
  const ExpertBank& bank = model->layout().bank;
  heat_identity = IdentityOf(bank, modified_ns);
  heat_path = HeatFilePath(model_path);
  Result<std::vector<HotExpert>> remembered =
      ReadHeatFile(heat_path, heat_identity, static_cast<int>(bank.layers.size()), bank.n_experts);
  plan.warm_start = "with nothing remembered";
  if (!remembered.ok()) {
    LogDebug("nothing remembered of earlier runs: {}", remembered.status().message());
    return;
  }
  plan.n_remembered = remembered->size();
  plan.warm_start = fmt::format("with {} experts remembered", remembered->size());
  experts->WarmUp(*std::move(remembered));
}

void Engine::Impl::RememberHeat() {
  if (heat_path.empty() || !CheckFiles().ok()) return;
  const std::vector<HotExpert> heat = experts->Heat();
  if (heat.empty()) return;
  const Status written = WriteHeatFile(heat_path, heat_identity, heat);
  if (!written.ok()) LogDebug("the next start will be cold: {}", written.message());
}

Status Engine::Impl::CheckFiles() {
  for (const FileWatch& watch : watches) {
    if (file_status.ok()) file_status = watch.Check();
  }
  return file_status;
}

Engine::Engine(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Engine::~Engine() {
  LARDER_CHECK(impl_->n_sessions_alive == 0);
  impl_->RememberHeat();
}

const EnginePlan& Engine::plan() const { return impl_->plan; }
const ModelShape& Engine::shape() const { return impl_->model->shape(); }
const ModelLayout& Engine::layout() const { return impl_->model->layout(); }
const Metadata& Engine::metadata() const { return impl_->file.metadata; }

StateShape Engine::state_shape() const {
  StateShape shape = impl_->model->state_shape();
  shape.kv_dtype = impl_->plan.kv_dtype;
  return shape;
}

Result<const Tokenizer*> Engine::tokenizer() const {
  if (impl_->tokenizer == nullptr) return impl_->tokenizer_status;
  return static_cast<const Tokenizer*>(impl_->tokenizer.get());
}

const ExpertStats& Engine::expert_stats() const { return impl_->experts->stats(); }
const PhaseTimes& Engine::phase_times() const { return impl_->times; }

void Engine::ResetStats() {
  impl_->experts->ResetStats();
  impl_->times = PhaseTimes();
}

void Engine::SetRouting(RoutingSource* source) { impl_->routing = source; }

void Engine::SetLookahead(LookaheadMode mode) { impl_->experts->SetLookahead(mode); }

void Engine::SetTimeline(ExpertTimeline* timeline) {
  impl_->timeline = timeline;
  impl_->experts->SetTimeline(timeline);
}

Result<std::unique_ptr<Session>> Engine::NewSession() {
  LARDER_CHECK(impl_->n_sessions_alive < impl_->plan.n_sessions);
  StateShape shape = state_shape();
  shape.has_checkpoint = impl_->checkpoint;
  LARDER_ASSIGN_OR_RETURN(SessionState state,
                          SessionState::Allocate(shape, impl_->plan.context_tokens));
  return std::unique_ptr<Session>(new Session(impl_.get(), std::move(state)));
}

struct Forecast::Impl {
  GgufModel file;
  std::unique_ptr<Model> model;
  std::unique_ptr<Tokenizer> tokenizer;
  std::unique_ptr<ThreadPool> pool;
  std::unique_ptr<AsyncReader> reader;
  MemoryRequest request;
};

Forecast::Forecast(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Forecast::~Forecast() = default;

Result<std::unique_ptr<Forecast>> Forecast::Open(const EngineOptions& options) {
  auto impl = std::make_unique<Impl>();
  LARDER_ASSIGN_OR_RETURN(impl->file, OpenGguf(options.model_path));
  LARDER_ASSIGN_OR_RETURN(impl->model, MakeModel(impl->file, {.n_used = options.n_used}));
  Status tokenizer_status;
  TakeTokenizer(&impl->file, &impl->tokenizer, &tokenizer_status);
  const ThreadPlan threads = PlanThreads(options.n_threads, options.pin);
  impl->pool = std::make_unique<ThreadPool>(threads);
  LARDER_ASSIGN_OR_RETURN(impl->reader, MakeReader(options));
  LARDER_ASSIGN_OR_RETURN(
      const std::int64_t context_tokens,
      ChooseContext(options.context_tokens, impl->model->shape().context_length));
  LARDER_RETURN_IF_ERROR(CheckKvType(options.kv_dtype, impl->model->state_shape()));
  impl->request = RequestOf(options, *impl->model, context_tokens, threads.n_threads);
  return std::unique_ptr<Forecast>(new Forecast(std::move(impl)));
}

const Model& Forecast::model() const { return *impl_->model; }
const Metadata& Forecast::metadata() const { return impl_->file.metadata; }
std::uint64_t Forecast::process_bytes() const { return impl_->request.process_bytes; }
std::uint64_t Forecast::SmallestBudget() const { return SmallestBudgetOf(impl_->request); }

Result<EnginePlan> Forecast::Plan(std::uint64_t budget_bytes) const {
  MemoryRequest request = impl_->request;
  request.budget_given = true;
  request.budget_bytes = budget_bytes;
  return PlanMemory(request);
}

Result<std::uint64_t> SmallestBudget(const std::string& model_path) {
  EngineOptions options;
  options.model_path = model_path;
  LARDER_ASSIGN_OR_RETURN(const std::unique_ptr<Forecast> forecast, Forecast::Open(options));
  return forecast->SmallestBudget();
}

}  // namespace larder
