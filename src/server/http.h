// What the server's parts say to each other about HTTP: a request that has arrived, a response, and
// the handle by which an answer is given, whole or as a stream. No library's types, so that only
// http_server.cc pays for Beast.
#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace larder {

using HttpHeaders = std::vector<std::pair<std::string, std::string>>;

struct HttpRequest {
  std::string method;   // "GET"
  std::string path;     // "/v1/models", without the query, as sent
  std::string query;    // behind the question mark
  HttpHeaders headers;  // names in lower case
  std::string body;
  std::shared_ptr<const void> body_count;  // the body counts as held while a copy of it lives
  std::shared_ptr<const std::atomic<bool>> gone;  // true once the client is; null: nobody knows

  bool IsGone() const { return gone != nullptr && *gone; }

  /// The first header of that name (lower case), or nullptr.
  const std::string* Header(std::string_view name) const {
    for (const auto& [key, value] : headers) {
      if (key == name) return &value;
    }
    return nullptr;
  }
  int CountHeaders(std::string_view name) const {
    int count = 0;
    for (const auto& header : headers) count += header.first == name ? 1 : 0;
    return count;
  }
};

struct HttpResponse {
  int status = 200;
  std::string content_type = "application/json";
  HttpHeaders headers;
  std::string body;  // unused for a stream's head
};

/// Answers one request. Any thread; calls never block. What is written after the client went away
/// is dropped. Exactly one of Send and Begin, and after Begin one End or Abort, which the
/// destructor does when nobody did (a lost request is answered with 500).
class HttpReply {
 public:
  virtual ~HttpReply() = default;

  virtual void Send(HttpResponse response) = 0;

  /// Sends the head at once; the body follows by Write. While nothing was written for
  /// `interval_ms`, `keep_alive` is sent.
  virtual void Begin(HttpResponse head, std::string keep_alive, int interval_ms) = 0;
  virtual void Write(std::string bytes) = 0;
  virtual void End() = 0;
  /// Breaks the stream off so that the client sees it was not whole.
  virtual void Abort() = 0;

  /// Calls back once, on the server's thread, when the client goes away before the answer was
  /// whole; at once if it is gone already. Not called after the answer's end.
  virtual void OnGone(std::function<void()> callback) = 0;
};

/// What the transport asks of the house. Both calls come on the transport's thread and must not
/// block.
class HttpHandler {
 public:
  virtual ~HttpHandler() = default;

  /// Before the body is read: a response refuses it.
  virtual std::optional<HttpResponse> CheckHead(const HttpRequest& head) = 0;
  virtual void Handle(HttpRequest request, std::shared_ptr<HttpReply> reply) = 0;
  /// The body of an error that the transport itself found; `path` is empty where it is not known.
  virtual HttpResponse TransportError(const std::string& path, int status,
                                      const std::string& sentence) = 0;
  /// Headers that every response gets (CORS), given the request's head.
  virtual HttpHeaders CommonHeaders(const HttpRequest& head) = 0;
};

}  // namespace larder
