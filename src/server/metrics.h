// Counts of the server itself, and the page that Prometheus reads. Any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "server/answer.h"
#include "server/generator.h"
#include "server/http_server.h"

namespace larder {

class Metrics {
 public:
  void CountRequest(const std::string& route, int status);
  void CountAnswer(const AnswerUsage& usage);
  void CountFailure() { ++n_failures_; }
  void CountGone() { ++n_gone_; }

  /// Text format 0.0.4. `generator` may be null while the model is loading.
  std::string Render(const HttpServerStats& http, const Generator* generator) const;

 private:
  mutable std::mutex mutex_;
  std::map<std::pair<std::string, int>, std::uint64_t> requests_;
  std::atomic<std::uint64_t> n_answers_{0};
  std::atomic<std::uint64_t> n_failures_{0};
  std::atomic<std::uint64_t> n_gone_{0};
  std::atomic<std::uint64_t> n_prompt_tokens_{0};
  std::atomic<std::uint64_t> n_answer_tokens_{0};
};

}  // namespace larder
