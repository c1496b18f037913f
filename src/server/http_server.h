// The transport: a listening socket and its connections, HTTP/1.1 with keep-alive, on one thread
// of its own. Knows limits and timeouts, nothing of models. Built on Boost.Beast's parser.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "base/status.h"
#include "server/http.h"

namespace larder {

struct HttpLimits {
  std::size_t header_bytes = std::size_t{64} << 10;
  std::size_t body_bytes = std::size_t{64} << 20;
  std::size_t all_bodies_bytes = std::size_t{128} << 20;  // of all requests being read or answered
  std::size_t unsent_bytes = std::size_t{8} << 20;  // of one answer; a client behind it is dropped
  std::size_t n_connections = 4000;  // beyond it the one that has been idle longest is closed
  int idle_ms = 75000;               // between requests
  int header_ms = 15000;             // from a head's first byte to its last
  int body_ms = 30000;               // of grace for a body, which then must come at
  std::size_t body_bytes_per_second = std::size_t{16} << 10;
  int write_ms = 30000;  // without the client taking a byte
  int drain_ms = 3000;   // for the rest of a refused body
};

struct HttpServerOptions {
  std::string host = "127.0.0.1";  // an address, or "localhost"; never looked up
  std::uint16_t port = 0;          // 0: any free one
  HttpLimits limits;
};

struct HttpServerStats {
  std::size_t n_connections = 0;
  std::size_t n_active = 0;  // requests being answered
  std::uint64_t n_accepted = 0;
  std::uint64_t n_requests = 0;
  std::uint64_t n_gone = 0;  // clients that left before their answer was whole
  std::uint64_t n_timeouts = 0;
};

class HttpServer {
 public:
  /// Listens and begins to serve. `handler` outlives the server. kInvalidArgument: an address that
  /// is none; kIoError: it cannot be listened on, and why.
  static Result<std::unique_ptr<HttpServer>> Start(const HttpServerOptions& options,
                                                   HttpHandler* handler);
  /// Stop(0).
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  std::uint16_t port() const;
  HttpServerStats stats() const;

  /// Takes no more connections, closes idle ones, lets answers under way end for at most
  /// `deadline_ms`, then closes them too. Returns when the thread has ended. Any thread but the
  /// server's; once.
  void Stop(int deadline_ms);
  /// The first half of Stop: no new connections or requests. Never waits.
  void StopListening();

  struct Impl;

 private:
  explicit HttpServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// Whether an address as given to HttpServerOptions::host is one that only this machine reaches.
bool IsLoopbackAddress(const std::string& host);

}  // namespace larder
