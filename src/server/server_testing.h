// For tests: a server around a fake generator whose answers are texts written by the test, so that
// every dialect can be tested without a model. Tokens are bytes.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "server/generator.h"
#include "server/http_testing.h"
#include "server/service.h"
#include "text/message_json.h"
#include "text/vocabulary_testing.h"

namespace larder {

/// What the model of the tests was told to speak: ChatML, reasoning, calls in Qwen's XML.
inline constexpr const char* kTestTemplate =
    "{%- for m in messages %}{{ '<|im_start|>' + m.role + '\n' + (m.content or '') }}"
    "{%- for c in m.tool_calls or [] %}{{ '<tool_call>\n<function=' + c.function.name + '>' }}"
    "{%- for k, v in c.function.arguments | items %}{{ '\n<parameter=' + k + '>\n' + v | string + "
    "'\n</parameter>' }}{%- endfor %}{{ '\n</function>\n</tool_call>' }}{%- endfor %}"
    "{{ '<|im_end|>\n' }}{%- endfor %}{%- if tools %}{{ 'TOOLS ' + tools | tojson + '\n' }}"
    "{%- endif %}{{ '<|im_start|>assistant\n' }}{%- if enable_thinking %}{{ '<think>\n' }}"
    "{%- else %}{{ '<think>\n\n</think>\n\n' }}{%- endif %}";

/// Answers every request with `answer`, a byte a token, on one thread, in order.
class FakeGenerator : public Generator {
 public:
  FakeGenerator() : thread_([this] { Run(); }) {}
  ~FakeGenerator() override {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      stopping_ = true;
      held_ = false;
    }
    wake_.notify_all();
    thread_.join();
  }

  std::string answer = "Hello.";  // set before requests come
  Status failure;                 // not ok: how every request ends
  std::atomic<std::size_t> queue_limit = 100;

  /// Answers wait until Release; the prompt is "read" before.
  void Hold() {
    const std::lock_guard<std::mutex> lock(mutex_);
    held_ = true;
  }
  void Release() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      held_ = false;
    }
    wake_.notify_all();
  }
  std::size_t n_cancelled() const { return n_cancelled_; }
  std::size_t n_waiting() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return queue_.size() + (running_ ? 1 : 0);
  }
  /// The last request that came, as far as tests look at it.
  GenerationRequest TakeLast() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return std::move(last_);
  }

  Result<RequestId> Submit(GenerationRequest request,
                           std::shared_ptr<GenerationListener> listener) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!request.goes_on && queue_.size() >= queue_limit) return Unavailable("the queue is full");
    Job job;
    job.id = ++last_id_;
    job.n_prompt = static_cast<std::int64_t>(request.prompt.size());
    job.prompt = request.prompt;
    job.max_tokens = request.max_tokens;
    job.n_rivals = request.n_top_logprobs;
    job.prompt_logprobs = request.prompt_logprobs;
    job.listener = std::move(listener);
    queue_.push_back(std::move(job));
    last_ = std::move(request);
    wake_.notify_all();
    return last_id_;
  }
  void Cancel(RequestId id) override {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      cancelled_[id] = true;
    }
    wake_.notify_all();
  }
  std::vector<SlotInfo> slots() const override { return std::vector<SlotInfo>(1); }
  SchedulerStats stats() const override { return SchedulerStats(); }
  int RetryAfterSeconds() const override { return 7; }

 private:
  struct Job {
    RequestId id = 0;
    std::int64_t n_prompt = 0;
    std::vector<std::int32_t> prompt;
    std::int64_t max_tokens = -1;
    int n_rivals = -1;
    bool prompt_logprobs = false;
    std::shared_ptr<GenerationListener> listener;
  };

  bool IsCancelled(RequestId id) const {
    const auto found = cancelled_.find(id);
    return found != cancelled_.end() && found->second;
  }

  void Run() {
    std::unique_lock<std::mutex> lock(mutex_);
    while (true) {
      wake_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
      if (queue_.empty()) return;
      const Job job = std::move(queue_.front());
      queue_.pop_front();
      running_ = true;
      lock.unlock();
      Answer(job);
      lock.lock();
      running_ = false;
    }
  }

  Logprobs MakeLogprobs(std::int32_t token, int n_rivals) const {
    Logprobs logprobs;
    logprobs.chosen = -0.5;
    if (n_rivals > 0) logprobs.top.push_back({token, -0.5});
    if (n_rivals > 1) logprobs.top.push_back({'?', -1.5});
    return logprobs;
  }

  void Answer(const Job& job) {
    GenerationResult result;
    result.n_prompt = job.n_prompt;
    if (job.prompt == kept_) result.n_reused = job.n_prompt;
    kept_ = job.prompt;
    job.listener->OnStarted(0);
    job.listener->OnPromptProgress(job.n_prompt, job.n_prompt, 0);
    for (std::int64_t i = 1; job.prompt_logprobs && i < job.n_prompt; ++i) {
      job.listener->OnPromptLogprobs(
          i, MakeLogprobs(job.prompt[static_cast<std::size_t>(i)], job.n_rivals));
    }
    {
      std::unique_lock<std::mutex> lock(mutex_);
      wake_.wait(lock, [&] { return !held_ || IsCancelled(job.id); });
    }
    result.reason = FinishReason::kStop;
    for (const char byte : answer) {
      bool cancelled = false;
      {
        const std::lock_guard<std::mutex> lock(mutex_);
        cancelled = IsCancelled(job.id);
      }
      if (cancelled) {
        ++n_cancelled_;
        result.reason = FinishReason::kCancelled;
        break;
      }
      if (!failure.ok()) {
        result.reason = FinishReason::kError;
        result.status = failure;
        break;
      }
      if (job.max_tokens >= 0 && result.n_generated >= job.max_tokens) {
        result.reason = FinishReason::kLength;
        break;
      }
      ++result.n_generated;
      const std::int32_t token = static_cast<unsigned char>(byte);
      const Logprobs logprobs = MakeLogprobs(token, job.n_rivals);
      if (!job.listener->OnToken(token, job.n_rivals >= 0 ? &logprobs : nullptr)) break;
    }
    job.listener->OnFinished(result);
  }

  std::vector<std::int32_t> kept_;  // the last prompt; of the thread
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Job> queue_;
  std::map<RequestId, bool> cancelled_;
  GenerationRequest last_;
  RequestId last_id_ = 0;
  bool held_ = false;
  bool running_ = false;
  bool stopping_ = false;
  std::atomic<std::size_t> n_cancelled_{0};
  std::thread thread_;
};

/// Server, service, model's words and fake generator, on a free port.
class TestServer {
 public:
  explicit TestServer(AccessOptions access = AccessOptions(), bool open = true,
                      ModelHostOptions model = ModelHostOptions(), int keep_alive_ms = 40) {
    metadata_ = SmallVocabulary("gpt-2", {}, {"<think>", "</think>"},
                                {"<|im_start|>", "<|im_end|>", "<tool_call>", "</tool_call>"});
    metadata_.SetString("tokenizer.chat_template", kTestTemplate);
    metadata_.SetFloat32("general.sampling.temp", 0.25f);
    auto tokenizer = Tokenizer::FromMetadata(metadata_);
    EXPECT_TRUE(tokenizer.ok()) << tokenizer.status().message();
    tokenizer_ = std::move(*tokenizer);
    if (model.name.empty()) model.name = "tiny";
    host_ = ModelHost::Make(tokenizer_.get(), &metadata_, 4000, model);
    auto rules = AccessRules::Make(std::move(access));
    EXPECT_TRUE(rules.ok());
    ServiceOptions options;
    options.keep_alive_ms = keep_alive_ms;
    service_ = std::make_unique<Service>(std::move(*rules), options);
    auto server = HttpServer::Start(HttpServerOptions(), service_.get());
    EXPECT_TRUE(server.ok()) << server.status().message();
    server_ = std::move(*server);
    service_->WatchTransport(server_.get());
    if (open) Open();
  }
  ~TestServer() {
    generator.reset();
    server_->Stop(1000);
    service_->EndWork();
  }

  void Open() { service_->Open(host_.get(), generator.get(), ModelFacts()); }
  std::uint16_t port() const { return server_->port(); }
  const Metadata& metadata() const { return metadata_; }
  HttpServerStats stats() const { return server_->stats(); }

  ClientResponse Get(const std::string& path) const { return Fetch(port(), "GET", path); }
  ClientResponse Post(const std::string& path, const std::string& body) const {
    return Fetch(port(), "POST", path, body);
  }
  /// The body of a POST as JSON, with the status that was expected.
  OrderedJson PostJson(const std::string& path, const std::string& body, int status = 200) const {
    const ClientResponse response = Post(path, body);
    EXPECT_EQ(response.status, status) << response.body;
    const Result<OrderedJson> json = ParseJson(response.body, "the answer");
    EXPECT_TRUE(json.ok()) << response.body;
    return json.ok() ? *json : OrderedJson();
  }

  std::unique_ptr<FakeGenerator> generator = std::make_unique<FakeGenerator>();

 private:
  Metadata metadata_;
  std::unique_ptr<Tokenizer> tokenizer_;
  std::unique_ptr<ModelHost> host_;
  std::unique_ptr<Service> service_;
  std::unique_ptr<HttpServer> server_;
};

/// One event of a stream: its name ("" without one) and its data, or a comment's text.
struct StreamEvent {
  std::string name;
  std::string data;
  bool comment = false;

  OrderedJson json() const {
    const Result<OrderedJson> parsed = ParseJson(data, "an event");
    EXPECT_TRUE(parsed.ok()) << data;
    return parsed.ok() ? *parsed : OrderedJson();
  }
};

/// A stream taken apart; comments are left out unless asked for. What is no event fails the test.
inline std::vector<StreamEvent> EventsOf(const std::string& body, bool comments = false) {
  std::vector<StreamEvent> events;
  std::size_t begin = 0;
  while (begin < body.size()) {
    const std::size_t end = body.find("\n\n", begin);
    EXPECT_NE(end, std::string::npos) << "an unfinished event: " << body.substr(begin);
    if (end == std::string::npos) break;
    StreamEvent event;
    std::size_t line = begin;
    while (line < end) {
      const std::size_t line_end = std::min(body.find('\n', line), end);
      const std::string text = body.substr(line, line_end - line);
      if (text.rfind("event: ", 0) == 0) {
        event.name = text.substr(7);
      } else if (text.rfind("data: ", 0) == 0) {
        event.data += text.substr(6);
      } else {
        EXPECT_EQ(text[0], ':') << text;
        event.comment = true;
      }
      line = line_end + 1;
    }
    if (!event.comment || comments) events.push_back(std::move(event));
    begin = end + 2;
  }
  return events;
}

/// The lines of an Ollama stream.
inline std::vector<OrderedJson> LinesOf(const std::string& body) {
  std::vector<OrderedJson> lines;
  for (std::size_t begin = 0; begin < body.size();) {
    const std::size_t end = body.find('\n', begin);
    EXPECT_NE(end, std::string::npos);
    if (end == std::string::npos) break;
    const Result<OrderedJson> line = ParseJson(body.substr(begin, end - begin), "a line");
    EXPECT_TRUE(line.ok());
    if (line.ok()) lines.push_back(*line);
    begin = end + 1;
  }
  return lines;
}

}  // namespace larder
