// The server's house: routes paths to dialects, lets nobody in who may not, and answers while the
// model is still loading. Owns the workers; borrows model and generator once they are there. Its
// HttpHandler calls come on the transport's thread.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "server/access.h"
#include "server/answer_run.h"
#include "server/http.h"
#include "server/http_server.h"
#include "server/metrics.h"
#include "server/model_host.h"
#include "server/worker_pool.h"

namespace larder {

/// What /props, /api/tags and /api/show tell of the model's file.
struct ModelFacts {
  std::string path;
  std::uint64_t file_bytes = 0;
  std::int64_t modified_unix_us = 0;
  std::string architecture;
  std::string quantization;  // "Q4_K": the type of most of the weights
  std::string n_parameters;  // "35.1B"
  std::string digest;        // Engine::FilesDigest, 64 hexadecimal digits
  std::string plan;          // EnginePlan::Describe
  std::string lossy;
};

struct ServiceOptions {
  std::string version;  // Larder's
  int n_workers = 2;
  int keep_alive_ms = 10000;  // between signs of life in a stream
};

class Service : public HttpHandler {
 public:
  Service(AccessRules rules, ServiceOptions options);
  ~Service() override;

  /// From now on requests are answered. All outlive the service.
  void Open(ModelHost* host, Generator* generator, ModelFacts facts);
  /// From now on they are refused with 503, as before Open.
  void CloseDoors();
  /// Waits for the requests being read; after the transport has stopped, before it is destroyed.
  void EndWork() { workers_.reset(); }
  /// For /metrics; may be null.
  void WatchTransport(const HttpServer* server) { transport_ = server; }

  std::optional<HttpResponse> CheckHead(const HttpRequest& head) override;
  void Handle(HttpRequest request, std::shared_ptr<HttpReply> reply) override;
  HttpResponse TransportError(const std::string& path, int status,
                              const std::string& sentence) override;
  HttpHeaders CommonHeaders(const HttpRequest& head) override;

 private:
  using ReplyPtr = std::shared_ptr<HttpReply>;
  struct Route {
    const char* method;
    std::string path;  // one that ends with a slash stands for all below it
    bool while_loading;
    std::function<void(const HttpRequest&, const ReplyPtr&)> run;
  };

  void AddOwnRoutes();
  void AddOpenAiRoutes();
  void AddOtherRoutes();
  const Route* FindRoute(const std::string& method, const std::string& path) const;
  std::string Methods(const std::string& path) const;
  void RunRoute(const Route& route, const HttpRequest& request, const ReplyPtr& reply);

  using Parse = std::function<std::optional<ApiError>(const OrderedJson&, ChatRequest*)>;
  using MakeRenderer = std::function<std::unique_ptr<AnswerRenderer>(
      const OrderedJson&, const ChatRequest&, const std::string& model)>;
  /// Reads the body, then answers with what the model says.
  void Generate(const HttpRequest& request, const ReplyPtr& reply, const Parse& parse,
                const MakeRenderer& make_renderer);
  /// The body read as JSON, or a refusal sent.
  std::optional<OrderedJson> BodyOf(const HttpRequest& request, const ReplyPtr& reply);

  void Description(const HttpRequest& request, const ReplyPtr& reply);
  void Health(const HttpRequest& request, const ReplyPtr& reply);
  void MetricsPage(const HttpRequest& request, const ReplyPtr& reply);
  void Models(const HttpRequest& request, const ReplyPtr& reply);
  void Props(const HttpRequest& request, const ReplyPtr& reply);
  void Slots(const HttpRequest& request, const ReplyPtr& reply);
  void TokenizerInfo(const HttpRequest& request, const ReplyPtr& reply);
  void Tokenize(const HttpRequest& request, const ReplyPtr& reply);
  void Detokenize(const HttpRequest& request, const ReplyPtr& reply);
  void ApplyTemplate(const HttpRequest& request, const ReplyPtr& reply);
  void CountTokens(const HttpRequest& request, const ReplyPtr& reply);
  void OllamaTags(const HttpRequest& request, const ReplyPtr& reply);
  void OllamaShow(const HttpRequest& request, const ReplyPtr& reply);
  OrderedJson OllamaDetails() const;
  std::string ModelName(const ChatRequest& request) const;

  AccessRules rules_;
  ServiceOptions options_;
  Metrics metrics_;
  std::vector<Route> routes_;
  std::atomic<bool> open_{false};
  ModelHost* host_ = nullptr;  // this and the next two: set before open_
  Generator* generator_ = nullptr;
  ModelFacts facts_;
  std::atomic<const HttpServer*> transport_{nullptr};
  std::unique_ptr<WorkerPool> workers_;  // ends first
};

/// The server's own description of itself, OpenAPI 3.1, for a vocabulary of that size.
std::string OpenApiText(std::int64_t n_vocab);

}  // namespace larder
