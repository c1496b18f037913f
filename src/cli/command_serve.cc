// larder serve: the model for clients of the OpenAI, Anthropic and Ollama APIs. Listens at once and
// loads meanwhile; ends in order at Ctrl-C or SIGTERM.
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <thread>

#include "base/log.h"
#include "cli/command.h"
#include "cli/constraint_flags.h"
#include "cli/engine_flags.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "cli/program_version.h"
#include "cli/serve_flags.h"
#include "engine/scheduler.h"
#include "server/http_server.h"
#include "server/service.h"

namespace larder {

namespace {

// Of the budget, for connections, requests being read and templates being rendered.
constexpr std::uint64_t kServerBytes = std::uint64_t{24} << 20;
// Masks of each further answer that is held to a form; the first has kConstraintBytes.
constexpr std::uint64_t kMaskBytes = std::uint64_t{9} << 20;
// Within 10 s: answers under way may end, then their clients are told.
constexpr std::int64_t kAnswersUs = 6000000;
constexpr int kClientsMs = 2000;

void AllowManyConnections() {
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

// "model" for "model-00001-of-00005.gguf".
std::string NameOf(const std::string& path) {
  std::string name = std::filesystem::path(path).stem().string();
  const std::size_t of = name.rfind("-of-");
  if (of != std::string::npos && of >= 6 && name[of - 6] == '-') name.resize(of - 6);
  return name;
}

std::string MetadataText(const Metadata& metadata, const char* key) {
  const MetadataValue* value = metadata.Find(key);
  if (value == nullptr || value->type == MetadataType::kArray) return "";
  const auto* text = std::get_if<std::string>(&value->scalar);
  return text != nullptr ? *text : "";
}

// "35.1B", "120M".
std::string CountName(double n_parameters) {
  if (n_parameters >= 1e9) return fmt::format("{:.1f}B", n_parameters / 1e9);
  if (n_parameters >= 1e6) return fmt::format("{:.1f}M", n_parameters / 1e6);
  return fmt::format("{:.0f}K", n_parameters / 1e3);
}

void CountWeights(const TensorDirectory& tensors, ModelFacts* facts) {
  std::map<DType, double> n_by_type;
  double n_weights = 0;
  for (const TensorInfo& tensor : tensors.tensors()) {
    n_by_type[tensor.dtype] += static_cast<double>(tensor.n_elements());
    n_weights += static_cast<double>(tensor.n_elements());
  }
  const auto most = std::max_element(n_by_type.begin(), n_by_type.end(),
                                     [](auto& a, auto& b) { return a.second < b.second; });
  facts->n_parameters = CountName(n_weights);
  if (most != n_by_type.end()) facts->quantization = DTypeName(most->first);
}

ModelFacts FactsOf(const Engine& engine, const std::string& path) {
  ModelFacts facts;
  std::error_code ignored;
  facts.path = path;
  facts.file_bytes = std::filesystem::file_size(path, ignored);
  const auto modified = std::filesystem::last_write_time(path, ignored);
  const auto age = std::filesystem::file_time_type::clock::now() - modified;
  const auto then = std::chrono::system_clock::now() - age;
  facts.modified_unix_us =
      std::chrono::duration_cast<std::chrono::microseconds>(then.time_since_epoch()).count();
  facts.architecture = MetadataText(engine.metadata(), "general.architecture");
  CountWeights(*engine.layout().bank.directory, &facts);
  const Result<Sha256Digest> digest = engine.FilesDigest();
  if (digest.ok()) facts.digest = ToHex(*digest);
  facts.plan = engine.plan().Describe();
  facts.lossy = engine.plan().lossy;
  return facts;
}

// From the listening socket to the last answer. Members are destroyed from the last to the first.
class Serving {
 public:
  Serving(EngineOptions engine, SchedulerOptions scheduler, ModelHostOptions model)
      : engine_options_(std::move(engine)),
        scheduler_options_(std::move(scheduler)),
        model_options_(std::move(model)) {}

  Status Listen(const HttpServerOptions& http, AccessRules rules) {
    ServiceOptions options;
    options.version = ProgramVersion();
    service_ = std::make_unique<Service>(std::move(rules), options);
    LARDER_ASSIGN_OR_RETURN(server_, HttpServer::Start(http, service_.get()));
    service_->WatchTransport(server_.get());
    const bool v6 = http.host.find(':') != std::string::npos;
    PrintTo(stderr, "larder: listening on http://{}{}{}:{}\n", v6 ? "[" : "", http.host,
            v6 ? "]" : "", server_->port());
    return Status::Ok();
  }

  Status Load() {
    LARDER_ASSIGN_OR_RETURN(engine_, LoadEngine(engine_options_));
    LARDER_ASSIGN_OR_RETURN(const Tokenizer* tokenizer, engine_->tokenizer());
    LARDER_ASSIGN_OR_RETURN(scheduler_, Scheduler::Create(engine_.get(), scheduler_options_));
    generator_ = std::make_unique<SchedulerGenerator>(scheduler_.get());
    host_ = ModelHost::Make(tokenizer, &engine_->metadata(), engine_->plan().context_tokens,
                            model_options_);
    service_->Open(host_.get(), generator_.get(), FactsOf(*engine_, engine_options_.model_path));
    PrintTo(stderr, "larder: ready, the model is called '{}'\n", host_->name());
    return Status::Ok();
  }

  // Refuses what is new, lets answers end for a while, then tells their clients and closes.
  void Stop() {
    service_->CloseDoors();
    server_->StopListening();
    if (scheduler_ != nullptr) scheduler_->Stop(kAnswersUs);
    server_->Stop(kClientsMs);
    service_->EndWork();
  }

 private:
  EngineOptions engine_options_;
  SchedulerOptions scheduler_options_;
  ModelHostOptions model_options_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<Scheduler> scheduler_;
  std::unique_ptr<Generator> generator_;
  std::unique_ptr<ModelHost> host_;
  std::unique_ptr<Service> service_;
  std::unique_ptr<HttpServer> server_;
};

void Sleep() { std::this_thread::sleep_for(std::chrono::milliseconds(50)); }

Result<int> ServeUntilAsked(Serving* serving, const HttpServerOptions& http, AccessRules rules) {
  const InterruptScope interrupt;
  LARDER_RETURN_IF_ERROR(serving->Listen(http, std::move(rules)));
  Status loaded;
  std::atomic<bool> done{false};
  std::thread loader([&] {
    loaded = serving->Load();
    done = true;
  });
  while (!done && !interrupt.requested()) Sleep();
  if (!done) {
    // Loading cannot be broken off, and nothing is left half done by leaving.
    std::_Exit(kExitSuccess);
  }
  loader.join();
  if (!loaded.ok()) {
    serving->Stop();
    return loaded;
  }
  while (!interrupt.requested()) Sleep();
  PrintTo(stderr, "larder: ending; answers under way have {} s\n", kAnswersUs / 1000000);
  serving->Stop();
  return kExitSuccess;
}

Result<int> Serve(const EngineFlags& engine_flags, const ServeFlags& flags) {
  LARDER_ASSIGN_OR_RETURN(EngineOptions engine, MakeEngineOptions(engine_flags));
  LARDER_ASSIGN_OR_RETURN(AccessOptions access, MakeAccessOptions(flags));
  LARDER_ASSIGN_OR_RETURN(AccessRules rules, AccessRules::Make(std::move(access)));
  LARDER_ASSIGN_OR_RETURN(const HttpServerOptions http, MakeHttpOptions(flags));
  LARDER_ASSIGN_OR_RETURN(SchedulerOptions scheduler, MakeSchedulerOptions(flags));
  LARDER_ASSIGN_OR_RETURN(engine.prefix_cache_bytes, CacheMemoryBytes(flags));
  engine.keep_prefixes = true;
  engine.n_sessions = flags.n_parallel;
  engine.caller_bytes = kServerBytes + kConstraintBytes +
                        kMaskBytes * static_cast<std::uint64_t>(flags.n_parallel - 1);
  ModelHostOptions model;
  model.name = flags.name.empty() ? NameOf(engine.model_path) : flags.name;
  LARDER_ASSIGN_OR_RETURN(model.think, ParseThink(flags.think));
  model.strict_model = flags.strict_model;
  model.max_tokens = flags.max_tokens;
  AllowManyConnections();
  Serving serving(std::move(engine), std::move(scheduler), std::move(model));
  return ServeUntilAsked(&serving, http, std::move(rules));
}

}  // namespace

int ServeMain(const Arguments& arguments) {
  CommandLine line("serve",
                   "Serves a model to clients of the OpenAI, Anthropic and Ollama APIs, on this "
                   "machine only unless told otherwise.",
                   "  larder serve -m model.gguf --memory 24G\n"
                   "  larder serve -m model.gguf --port 9000 --ctx 32768 --parallel 2\n"
                   "  larder serve -m model.gguf --host 0.0.0.0 --api-key-file keys.txt\n"
                   "  curl http://127.0.0.1:8080/v1/chat/completions -d "
                   "'{\"messages\": [{\"role\": \"user\", \"content\": \"Hello\"}]}'\n");
  EngineFlags engine;
  ServeFlags flags;
  AddEngineFlags(&line.app(), &engine);
  AddServeFlags(&line.app(), &flags);
  if (const auto exit_status = line.Parse(arguments)) return *exit_status;
  ShowDecisions();
  const Result<int> ended = Serve(engine, flags);
  return ended.ok() ? *ended : Fail(ended.status());
}

}  // namespace larder
