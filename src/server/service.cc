// Routing, refusals, and the way from a body to an answer.
#include "server/service.h"

#include <mutex>
#include <utility>

#include "server/anthropic.h"
#include "server/ollama.h"
#include "server/openai_chat.h"
#include "server/responses.h"

namespace larder {

namespace {

// Counts how requests were answered, and those whose clients left before. An answer to such a
// client may say no more than that its request was given up.
class CountingReply : public HttpReply {
 public:
  CountingReply(std::shared_ptr<HttpReply> inner, Metrics* metrics, std::string route,
                const HttpRequest& request)
      : inner_(std::move(inner)),
        metrics_(metrics),
        route_(std::move(route)),
        gone_(request.gone) {}

  void Send(HttpResponse response) override {
    if (gone_ != nullptr && *gone_) return metrics_->CountGone();
    metrics_->CountRequest(route_, response.status);
    inner_->Send(std::move(response));
  }
  void Begin(HttpResponse head, std::string keep_alive, int interval_ms) override {
    metrics_->CountRequest(route_, head.status);
    inner_->Begin(std::move(head), std::move(keep_alive), interval_ms);
  }
  void Write(std::string bytes) override { inner_->Write(std::move(bytes)); }
  void End() override { inner_->End(); }
  void Abort() override { inner_->Abort(); }
  void OnGone(std::function<void()> callback) override { inner_->OnGone(std::move(callback)); }

 private:
  std::shared_ptr<HttpReply> inner_;
  Metrics* metrics_;
  std::string route_;
  std::shared_ptr<const std::atomic<bool>> gone_;
};

// Bodies from here on can take more than hundredths of a second to read.
constexpr std::size_t kHeavyBodyBytes = std::size_t{64} << 10;

// A request until a worker takes it, or its client goes.
class WaitingRequest {
 public:
  explicit WaitingRequest(HttpRequest request) : request_(std::move(request)) {}

  /// Once; nothing later.
  std::optional<HttpRequest> Take() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return std::exchange(request_, std::nullopt);
  }

 private:
  std::mutex mutex_;
  std::optional<HttpRequest> request_;
};

ApiError Loading() {
  return ApiError{503, "the model is not ready; try again in a moment", "", "loading", 1};
}

}  // namespace

Service::Service(AccessRules rules, ServiceOptions options)
    : rules_(std::move(rules)), options_(std::move(options)) {
  AddOwnRoutes();
  AddOpenAiRoutes();
  AddOtherRoutes();
  workers_ = std::make_unique<WorkerPool>(options_.n_workers);
}

Service::~Service() { workers_.reset(); }

void Service::Open(ModelHost* host, Generator* generator, ModelFacts facts) {
  host_ = host;
  generator_ = generator;
  facts_ = std::move(facts);
  open_ = true;
}

void Service::CloseDoors() { open_ = false; }

void Service::AddOwnRoutes() {
  const auto add = [this](const char* method, const char* path, bool while_loading,
                          void (Service::*run)(const HttpRequest&, const ReplyPtr&)) {
    routes_.push_back({method, path, while_loading,
                       [this, run](const HttpRequest& request, const ReplyPtr& reply) {
                         (this->*run)(request, reply);
                       }});
  };
  add("GET", "/health", true, &Service::Health);
  add("GET", "/openapi.json", true, &Service::Description);
  add("GET", "/metrics", true, &Service::MetricsPage);
  add("GET", "/v1/models", false, &Service::Models);
  add("GET", "/v1/models/", false, &Service::Models);
  add("GET", "/props", false, &Service::Props);
  add("GET", "/slots", false, &Service::Slots);
  add("GET", "/tokenizer_info", false, &Service::TokenizerInfo);
  add("POST", "/tokenize", false, &Service::Tokenize);
  add("POST", "/detokenize", false, &Service::Detokenize);
  add("POST", "/apply-template", false, &Service::ApplyTemplate);
  add("POST", "/v1/messages/count_tokens", false, &Service::CountTokens);
  add("GET", "/api/tags", false, &Service::OllamaTags);
  add("GET", "/api/ps", false, &Service::OllamaTags);
  add("POST", "/api/show", false, &Service::OllamaShow);
  const auto text = [this](const char* path, const char* type, std::string body) {
    routes_.push_back({"GET", path, true, [type, body](const HttpRequest&, const ReplyPtr& reply) {
                         reply->Send({200, type, {}, body});
                       }});
  };
  text("/", "text/plain; charset=utf-8", "Larder is running\n");
  text("/api/version", "application/json",
       JsonText({{"version", kOllamaVersion}, {"larder", options_.version}}));
}

void Service::AddOpenAiRoutes() {
  const auto add = [this](const char* path, Parse parse, MakeRenderer make) {
    routes_.push_back({"POST", path, false,
                       [this, parse = std::move(parse), make = std::move(make)](
                           const HttpRequest& request, const ReplyPtr& reply) {
                         Generate(request, reply, parse, make);
                       }});
  };
  add("/v1/chat/completions", ParseOpenAiChat,
      [](const OrderedJson&, const ChatRequest& request, const std::string& model) {
        return MakeOpenAiChatRenderer(request, model);
      });
  add("/v1/completions", ParseOpenAiText,
      [](const OrderedJson&, const ChatRequest& request, const std::string& model) {
        return MakeOpenAiTextRenderer(request, model);
      });
  add("/v1/responses", ParseResponses,
      [](const OrderedJson& body, const ChatRequest&, const std::string& model) {
        return MakeResponsesRenderer(body, model);
      });
  add(
      "/v1/messages",
      [](const OrderedJson& body, ChatRequest* request) {
        return ParseAnthropic(body, false, request);
      },
      [](const OrderedJson&, const ChatRequest& request, const std::string& model) {
        return MakeAnthropicRenderer(request, model);
      });
}

void Service::AddOtherRoutes() {
  // A status that clients do not take for a passing weakness and ask again.
  const auto refuse = [this](const char* path) {
    routes_.push_back({"POST", path, true, [](const HttpRequest& request, const ReplyPtr& reply) {
                         const ApiError error{400,
                                              "embeddings are not offered: this model writes text "
                                              "only",
                                              "", "unsupported", 0};
                         reply->Send(ErrorResponse(error, ErrorFormOf(request.path)));
                       }});
  };
  for (const char* path : {"/v1/embeddings", "/api/embed", "/api/embeddings"}) refuse(path);
  for (const bool chat : {true, false}) {
    const auto run = [this, chat](const HttpRequest& request, const ReplyPtr& reply) {
      const Parse parse = [chat](const OrderedJson& body, ChatRequest* asked) {
        std::string errand;
        auto error = chat ? ParseOllamaChat(body, asked, &errand)
                          : ParseOllamaGenerate(body, asked, &errand);
        // Answered like an error, but with the news that it is done.
        if (!error && !errand.empty()) error = ApiError{200, errand, "", "", 0};
        return error;
      };
      Generate(request, reply, parse,
               [chat](const OrderedJson&, const ChatRequest& asked, const std::string& model) {
                 return MakeOllamaRenderer(chat, asked, model);
               });
    };
    routes_.push_back({"POST", chat ? "/api/chat" : "/api/generate", false, run});
  }
}

const Service::Route* Service::FindRoute(const std::string& method, const std::string& path) const {
  const std::string wanted = method == "HEAD" ? "GET" : method;
  for (const Route& route : routes_) {
    if (wanted != route.method) continue;
    const bool below = route.path.size() > 1 && route.path.back() == '/';
    if (path == route.path) {
      if (!below) return &route;
    } else if (below && path.rfind(route.path, 0) == 0) {
      return &route;
    }
  }
  return nullptr;
}

std::string Service::Methods(const std::string& path) const {
  std::string methods;
  for (const char* method : {"GET", "POST"}) {
    if (FindRoute(method, path) == nullptr) continue;
    methods += methods.empty() ? "" : ", ";
    methods += std::string(method) == "GET" ? "GET, HEAD" : method;
  }
  return methods;
}

std::optional<HttpResponse> Service::CheckHead(const HttpRequest& head) {
  const ErrorForm form = ErrorFormOf(head.path);
  const auto refuse = [&](ApiError error) {
    metrics_.CountRequest("refused", error.status);
    return ErrorResponse(error, form);
  };
  if (const auto refusal = rules_.Check(head)) {
    return refuse(ApiError{refusal->status, refusal->sentence, "", "", 0});
  }
  const std::string* encoding = head.Header("content-encoding");
  if (encoding != nullptr && *encoding != "identity") {
    return refuse(ApiError{
        415, "bodies are read as they are; send this one without a Content-Encoding", "", "", 0});
  }
  if (head.method == "OPTIONS") {
    const std::string methods = Methods(head.path);
    if (methods.empty()) return refuse(ApiError{404, "there is nothing at this path", "", "", 0});
    return HttpResponse{204, "", {{"Allow", methods + ", OPTIONS"}}, ""};
  }
  const Route* route = FindRoute(head.method, head.path);
  if (route == nullptr) {
    const std::string methods = Methods(head.path);
    if (methods.empty()) {
      return refuse(ApiError{404,
                             "there is nothing at this path; /openapi.json lists what there is", "",
                             "not_found", 0});
    }
    HttpResponse response =
        refuse(ApiError{405, "this path takes " + methods + " only", "", "method_not_allowed", 0});
    response.headers.emplace_back("Allow", methods + ", OPTIONS");
    return response;
  }
  if (!open_ && !route->while_loading) return refuse(Loading());
  return std::nullopt;
}

void Service::Handle(HttpRequest request, std::shared_ptr<HttpReply> reply) {
  const Route* quick = FindRoute(request.method, request.path);
  if (quick->while_loading) {  // never behind those that take time to read
    return RunRoute(
        *quick, request,
        std::make_shared<CountingReply>(std::move(reply), &metrics_, quick->path, request));
  }
  const std::size_t n_bytes = request.body.size();
  const auto waiting = std::make_shared<WaitingRequest>(std::move(request));
  reply->OnGone([this, waiting] {
    if (waiting->Take()) metrics_.CountGone();
  });
  workers_->Add(
      [this, waiting, reply = std::move(reply)] {
        const std::optional<HttpRequest> taken = waiting->Take();
        if (!taken) return;
        const Route* route = FindRoute(taken->method, taken->path);
        const auto counted = std::make_shared<CountingReply>(reply, &metrics_, route->path, *taken);
        RunRoute(*route, *taken, counted);
      },
      n_bytes >= kHeavyBodyBytes ? n_bytes : 0);
}

void Service::RunRoute(const Route& route, const HttpRequest& request, const ReplyPtr& reply) {
  if (!open_ && !route.while_loading) {
    return reply->Send(ErrorResponse(Loading(), ErrorFormOf(request.path)));
  }
  try {
    route.run(request, reply);
  } catch (const std::bad_alloc&) {
    reply->Send(ErrorResponse(ApiError{503, "there is no memory left for this request", "", "", 1},
                              ErrorFormOf(request.path)));
  } catch (const std::exception& error) {
    reply->Send(ErrorResponse(
        ApiError{500, fmt::format("an unforeseen failure: {}", error.what()), "", "", 0},
        ErrorFormOf(request.path)));
  }
}

std::optional<OrderedJson> Service::BodyOf(const HttpRequest& request, const ReplyPtr& reply) {
  Result<OrderedJson> body = ParseBody(request.body);
  if (body.ok()) return std::move(*body);
  reply->Send(ErrorResponse(ErrorFromStatus(body.status()), ErrorFormOf(request.path)));
  return std::nullopt;
}

std::string Service::ModelName(const ChatRequest& request) const {
  return request.model.empty() ? host_->name() : request.model;
}

void Service::Generate(const HttpRequest& request, const ReplyPtr& reply, const Parse& parse,
                       const MakeRenderer& make_renderer) {
  const auto body = BodyOf(request, reply);
  if (!body) return;
  const ErrorForm form = ErrorFormOf(request.path);
  ChatRequest asked;
  if (const auto error = parse(*body, &asked)) {
    if (error->status != 200) return reply->Send(ErrorResponse(*error, form));
    if (const auto unknown = host_->CheckName(ModelName(asked))) {
      return reply->Send(ErrorResponse(*unknown, form));
    }
    const bool chat = request.path == "/api/chat";
    return reply->Send(
        {200, "application/json", {}, OllamaErrandDone(chat, error->message, ModelName(asked))});
  }
  PreparedRequest prepared;
  if (const auto error = host_->Prepare(asked, &prepared, {request.gone.get(), false})) {
    return reply->Send(ErrorResponse(*error, form));
  }
  std::unique_ptr<AnswerRenderer> renderer = make_renderer(*body, asked, ModelName(asked));
  const AnswerRun::House house{host_, generator_, &metrics_, options_.keep_alive_ms};
  AnswerRun::Start(house, std::move(asked), std::move(prepared), std::move(renderer), reply);
}

HttpResponse Service::TransportError(const std::string& path, int status,
                                     const std::string& sentence) {
  metrics_.CountRequest("refused", status);
  return ErrorResponse(ApiError{status, sentence, "", "", status == 503 ? 1 : 0},
                       ErrorFormOf(path));
}

HttpHeaders Service::CommonHeaders(const HttpRequest& head) { return rules_.CorsHeaders(head); }

}  // namespace larder
