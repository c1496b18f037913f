// One client's connection: heads and bodies in, answers out, deadlines, and the watch for a client
// that goes away. All of it runs on the server's thread. Its phases: waiting for a head, reading a
// body, answering, draining what still comes after a refusal.
#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <thread>

#include "server/http_server.h"

namespace larder {

class HttpConnection;
using HttpClock = std::chrono::steady_clock;

/// One body's bytes in the sum of all. They are given back when the last holder lets go, on any
/// thread, also after the server's end.
class BodyCount {
 public:
  using Sum = std::shared_ptr<std::atomic<std::size_t>>;

  explicit BodyCount(Sum sum) : sum_(std::move(sum)) {}
  ~BodyCount() { *sum_ -= n_bytes_; }
  BodyCount(const BodyCount&) = delete;
  BodyCount& operator=(const BodyCount&) = delete;

  void GrowTo(std::size_t n_bytes) {
    *sum_ += n_bytes - n_bytes_;
    n_bytes_ = n_bytes;
  }
  std::size_t n_bytes() const { return n_bytes_; }

 private:
  Sum sum_;
  std::size_t n_bytes_ = 0;
};

struct HttpServer::Impl {
  Impl(const HttpServerOptions& given, HttpHandler* house)
      : options(given), handler(house), acceptor(context), accept_pause(context) {}

  Status Listen();
  void Accept();
  void MakeRoom();
  void CloseIdle();

  HttpServerOptions options;
  HttpHandler* handler;
  boost::asio::io_context context{1};
  boost::asio::ip::tcp::acceptor acceptor;
  boost::asio::steady_timer accept_pause;
  std::thread thread;
  std::set<std::shared_ptr<HttpConnection>> connections;
  BodyCount::Sum bodies_bytes = std::make_shared<std::atomic<std::size_t>>(0);
  bool stopping = false;
  bool joined = false;
  std::atomic<std::size_t> n_connections{0};
  std::atomic<std::size_t> n_active{0};
  std::atomic<std::uint64_t> n_accepted{0};
  std::atomic<std::uint64_t> n_requests{0};
  std::atomic<std::uint64_t> n_gone{0};
  std::atomic<std::uint64_t> n_timeouts{0};
};

class HttpConnection : public std::enable_shared_from_this<HttpConnection> {
 public:
  HttpConnection(HttpServer::Impl* server, boost::asio::ip::tcp::socket socket);
  ~HttpConnection();

  void ReadHead();
  void Close();
  bool idle() const { return phase_ == Phase::kIdle; }
  HttpClock::time_point idle_since() const { return idle_since_; }

  // What a reply asks for; `turn` is the request's number, so that a late one is not believed.
  void Send(std::uint64_t turn, HttpResponse response);
  void Begin(std::uint64_t turn, const HttpResponse& head, std::string keep_alive, int interval_ms);
  void Write(std::uint64_t turn, std::string bytes);
  void End(std::uint64_t turn, bool whole);
  void OnGone(std::uint64_t turn, std::function<void()> callback);

 private:
  struct Reading;  // Beast's buffer and parser
  enum class Phase { kIdle, kHead, kBody, kAnswering, kAnswered, kDraining, kClosed };

  const HttpLimits& limits() const { return server_->options.limits; }
  void SetDeadline(int ms);
  void ReadMoreHead();
  void OnHead();
  void ReadBody(HttpClock::time_point start);
  void OnBody(HttpClock::time_point start, boost::system::error_code error);
  void OnReadError(boost::system::error_code error);
  void Refuse(int status, const std::string& sentence);
  void Dispatch();
  void Answered();
  void Drain();
  bool DropWhatCame();
  void Watch();
  void Gone();
  std::string Head(const HttpResponse& response, bool stream);
  void Queue(std::string bytes);
  void WriteNext();
  void ArmKeepAlive();

  HttpServer::Impl* server_;
  boost::asio::ip::tcp::socket socket_;
  boost::asio::steady_timer timer_;        // deadline of the phase, or of a write
  boost::asio::steady_timer watch_timer_;  // keep-alive of a stream; looks for a lost client
  std::unique_ptr<Reading> reading_;
  HttpRequest request_;
  Phase phase_ = Phase::kIdle;
  HttpClock::time_point idle_since_ = HttpClock::now();
  std::uint64_t turn_ = 0;
  std::uint64_t deadline_number_ = 0;
  std::shared_ptr<BodyCount> body_count_;    // of a body that is being read
  std::shared_ptr<std::atomic<bool>> gone_;  // what the request being answered says of its client
  bool keep_connection_ = true;
  bool chunked_ = true;
  bool streaming_ = false;
  bool answer_queued_ = false;  // all of it is in writes_
  bool whole_ = true;
  bool refused_ = false;  // before the body was read
  bool head_only_ = false;
  bool writing_ = false;
  std::deque<std::string> writes_;
  std::size_t write_offset_ = 0;
  std::size_t unsent_bytes_ = 0;
  std::function<void()> on_gone_;
  std::string keep_alive_;
  int keep_alive_ms_ = 0;
  HttpClock::time_point last_write_;
};

}  // namespace larder
