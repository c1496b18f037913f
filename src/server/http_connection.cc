// Requests are parsed by Beast, responses are written by hand. The only file that reads Beast's
// headers.
#include "server/http_connection.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/post.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/status.hpp>
#include <boost/beast/http/string_body.hpp>
#include <cerrno>

namespace larder {

namespace net = boost::asio;
namespace http = boost::beast::http;
using tcp = net::ip::tcp;
using boost::system::error_code;

namespace {

std::string LowerCase(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lower;
}

// A line break in a value would begin a header of the caller's choosing.
std::string HeaderValue(std::string value) {
  for (char& c : value) {
    if (c == '\r' || c == '\n') c = ' ';
  }
  return value;
}

// A target as clients write it to proxies, "http://host/path", without the part before its path,
// which servers must take too (RFC 9112, section 3.2.2).
std::string OriginForm(const std::string& target) {
  const std::string scheme = LowerCase(target.substr(0, target.find("://")));
  if (scheme != "http" && scheme != "https") return target;
  const std::size_t path = target.find_first_of("/?", scheme.size() + 3);
  if (path == std::string::npos) return "/";
  return (target[path] == '?' ? "/" : "") + target.substr(path);
}

std::string ChunkOf(const std::string& bytes) {
  return fmt::format("{:x}\r\n{}\r\n", bytes.size(), bytes);
}

// The handle that other threads hold.
class ConnectionReply : public HttpReply {
 public:
  ConnectionReply(std::shared_ptr<HttpConnection> connection, net::io_context* context,
                  std::uint64_t turn)
      : connection_(std::move(connection)), context_(context), turn_(turn) {}

  ~ConnectionReply() override {
    if (ended_) return;
    if (begun_) {
      Finish(true);
      return;
    }
    Send({.status = 500, .content_type = "text/plain", .headers = {}, .body = "no answer\n"});
  }

  void Send(HttpResponse response) override {
    ended_ = true;
    Post([response = std::move(response)](HttpConnection& to, std::uint64_t turn) mutable {
      to.Send(turn, std::move(response));
    });
  }
  void Begin(HttpResponse head, std::string keep_alive, int interval_ms) override {
    begun_ = true;
    Post([head = std::move(head), keep_alive = std::move(keep_alive), interval_ms](
             HttpConnection& to, std::uint64_t turn) mutable {
      to.Begin(turn, head, std::move(keep_alive), interval_ms);
    });
  }
  void Write(std::string bytes) override {
    Post([bytes = std::move(bytes)](HttpConnection& to, std::uint64_t turn) mutable {
      to.Write(turn, std::move(bytes));
    });
  }
  void End() override { Finish(true); }
  void Abort() override { Finish(false); }
  void OnGone(std::function<void()> callback) override {
    // At once on the server's own thread: posted from there, it could come behind a later one.
    net::dispatch(*context_, [connection = connection_, turn = turn_,
                              callback = std::move(callback)]() mutable {
      connection->OnGone(turn, std::move(callback));
    });
  }

 private:
  void Finish(bool whole) {
    ended_ = true;
    Post([whole](HttpConnection& to, std::uint64_t turn) { to.End(turn, whole); });
  }
  template <typename Function>
  void Post(Function function) {
    net::post(*context_,
              [connection = connection_, turn = turn_, function = std::move(function)]() mutable {
                function(*connection, turn);
              });
  }

  std::shared_ptr<HttpConnection> connection_;
  net::io_context* context_;
  std::uint64_t turn_;
  bool begun_ = false;
  bool ended_ = false;
};

}  // namespace

struct HttpConnection::Reading {
  explicit Reading(std::size_t most_bytes) : buffer(most_bytes) {}

  boost::beast::flat_buffer buffer;
  std::optional<http::request_parser<http::string_body>> parser;
};

HttpConnection::HttpConnection(HttpServer::Impl* server, tcp::socket socket)
    : server_(server),
      socket_(std::move(socket)),
      timer_(socket_.get_executor()),
      watch_timer_(socket_.get_executor()),
      reading_(std::make_unique<Reading>(server->options.limits.header_bytes +
                                         (std::size_t{64} << 10))) {}

HttpConnection::~HttpConnection() = default;

// The timer of an older deadline may have expired already when it is set anew: its number is old.
void HttpConnection::SetDeadline(int ms) {
  const std::uint64_t number = ++deadline_number_;
  if (ms <= 0) {
    timer_.cancel();
    return;
  }
  timer_.expires_after(std::chrono::milliseconds(ms));
  timer_.async_wait([self = shared_from_this(), number](error_code error) {
    if (error || number != self->deadline_number_ || self->phase_ == Phase::kClosed) return;
    ++self->server_->n_timeouts;
    if (self->phase_ == Phase::kHead || self->phase_ == Phase::kBody) {
      return self->Refuse(408, "the request did not arrive in time");
    }
    self->Close();
  });
}

void HttpConnection::Close() {
  if (phase_ == Phase::kClosed) return;
  const auto self = shared_from_this();
  Gone();
  phase_ = Phase::kClosed;
  body_count_.reset();
  error_code ignored;
  timer_.cancel();
  watch_timer_.cancel();
  socket_.close(ignored);
  server_->connections.erase(self);
  server_->n_connections = server_->connections.size();
}

void HttpConnection::ReadHead() {
  if (server_->stopping) return Close();
  phase_ = Phase::kIdle;
  idle_since_ = HttpClock::now();
  reading_->parser.emplace();
  reading_->parser->header_limit(static_cast<std::uint32_t>(limits().header_bytes));
  reading_->parser->body_limit(limits().body_bytes);
  request_ = HttpRequest();
  refused_ = false;
  SetDeadline(limits().idle_ms);
  if (reading_->buffer.size() > 0) {
    phase_ = Phase::kHead;
    SetDeadline(limits().header_ms);
    return ReadMoreHead();
  }
  // The wait costs no buffer while nothing comes.
  socket_.async_wait(tcp::socket::wait_read, [self = shared_from_this()](error_code error) {
    if (self->phase_ != Phase::kIdle) return;
    if (error) return self->Close();
    self->phase_ = Phase::kHead;
    self->SetDeadline(self->limits().header_ms);
    self->ReadMoreHead();
  });
}

void HttpConnection::ReadMoreHead() {
  http::async_read_header(socket_, reading_->buffer, *reading_->parser,
                          [self = shared_from_this()](error_code error, std::size_t) {
                            if (self->phase_ != Phase::kHead) return;
                            if (error) return self->OnReadError(error);
                            self->OnHead();
                          });
}

void HttpConnection::OnReadError(error_code error) {
  if (error == http::error::header_limit || error == http::error::buffer_overflow) {
    return Refuse(431,
                  fmt::format("the request's head is larger than {} bytes", limits().header_bytes));
  }
  if (error == http::error::body_limit) {
    return Refuse(413,
                  fmt::format("the request's body is larger than {} bytes", limits().body_bytes));
  }
  const bool is_http =
      error.category() == http::make_error_code(http::error::bad_method).category();
  if (!is_http || error == http::error::end_of_stream || error == http::error::partial_message) {
    return Close();
  }
  Refuse(400, "the request is no valid HTTP: " + error.message());
}

void HttpConnection::OnHead() {
  const auto& message = reading_->parser->get();
  request_.method = std::string(message.method_string());
  const std::string target = OriginForm(std::string(message.target()));
  const std::size_t question = target.find('?');
  request_.path = target.substr(0, question);
  if (question != std::string::npos) request_.query = target.substr(question + 1);
  for (const auto& field : message) {
    request_.headers.emplace_back(
        LowerCase(std::string_view(field.name_string().data(), field.name_string().size())),
        std::string(field.value()));
  }
  keep_connection_ = reading_->parser->keep_alive();
  chunked_ = message.version() >= 11;
  head_only_ = request_.method == "HEAD";
  ++server_->n_requests;
  if (message.version() >= 11 && request_.Header("host") == nullptr) {
    return Refuse(400, "the request has no Host header, which HTTP/1.1 asks for");
  }
  if (auto refusal = server_->handler->CheckHead(request_)) {
    refused_ = !reading_->parser->is_done();
    ++turn_;
    phase_ = Phase::kAnswering;
    answer_queued_ = streaming_ = false;
    ++server_->n_active;
    return Send(turn_, std::move(*refusal));
  }
  const auto length = reading_->parser->content_length();
  body_count_ = std::make_shared<BodyCount>(server_->bodies_bytes);
  if (length) body_count_->GrowTo(static_cast<std::size_t>(*length));
  if (body_count_->n_bytes() > 0 && *server_->bodies_bytes > limits().all_bodies_bytes) {
    return Refuse(503, "other requests take all the memory for requests; come back later");
  }
  phase_ = Phase::kBody;
  if (reading_->parser->is_done()) return Dispatch();
  const std::string* expect = request_.Header("expect");
  if (expect != nullptr && LowerCase(*expect) == "100-continue") {
    Queue("HTTP/1.1 100 Continue\r\n\r\n");
  }
  ReadBody(HttpClock::now());
}

void HttpConnection::ReadBody(HttpClock::time_point start) {
  // A client that sends steadily may take as long as it needs at the slowest rate allowed.
  const auto spent =
      std::chrono::duration_cast<std::chrono::milliseconds>(HttpClock::now() - start);
  const std::size_t n_read = reading_->parser->get().body().size();
  const auto earned = static_cast<std::int64_t>(n_read * 1000 / limits().body_bytes_per_second);
  SetDeadline(
      static_cast<int>(std::max<std::int64_t>(limits().body_ms + earned - spent.count(), 1)));
  http::async_read_some(socket_, reading_->buffer, *reading_->parser,
                        [self = shared_from_this(), start](error_code error, std::size_t) {
                          self->OnBody(start, error);
                        });
}

void HttpConnection::OnBody(HttpClock::time_point start, error_code error) {
  if (phase_ != Phase::kBody) return;
  if (error) return OnReadError(error);
  const std::size_t n_read = reading_->parser->get().body().size();
  if (n_read > body_count_->n_bytes()) {  // in chunks, so that its length was not known
    body_count_->GrowTo(n_read);
    if (*server_->bodies_bytes > limits().all_bodies_bytes) {
      return Refuse(503, "other requests take all the memory for requests; come back later");
    }
  }
  if (reading_->parser->is_done()) return Dispatch();
  ReadBody(start);
}

void HttpConnection::Refuse(int status, const std::string& sentence) {
  error_code ignored;
  socket_.cancel(ignored);  // what is still being read
  refused_ = true;
  reading_->parser->get().body() = std::string();
  body_count_.reset();
  ++turn_;
  phase_ = Phase::kAnswering;
  answer_queued_ = streaming_ = false;
  ++server_->n_active;
  SetDeadline(0);
  Send(turn_, server_->handler->TransportError(request_.path, status, sentence));
}

void HttpConnection::Dispatch() {
  SetDeadline(0);
  phase_ = Phase::kAnswering;
  answer_queued_ = streaming_ = false;
  whole_ = true;
  ++turn_;
  ++server_->n_active;
  Watch();
  HttpRequest request = request_;
  request.body = std::move(reading_->parser->get().body());
  request.body_count = std::move(body_count_);
  request.gone = gone_ = std::make_shared<std::atomic<bool>>(false);
  server_->handler->Handle(std::move(request), std::make_shared<ConnectionReply>(
                                                   shared_from_this(), &server_->context, turn_));
}

std::string HttpConnection::Head(const HttpResponse& response, bool stream) {
  if (refused_ || server_->stopping) keep_connection_ = false;
  std::string head = fmt::format("HTTP/1.1 {} {}\r\nServer: larder\r\n", response.status,
                                 std::string(http::obsolete_reason(
                                     http::int_to_status(static_cast<unsigned>(response.status)))));
  if (response.status != 204)
    head += "Content-Type: " + HeaderValue(response.content_type) + "\r\n";
  HttpHeaders headers = server_->handler->CommonHeaders(request_);
  headers.insert(headers.end(), response.headers.begin(), response.headers.end());
  for (const auto& [name, value] : headers) head += name + ": " + HeaderValue(value) + "\r\n";
  if (stream && !chunked_) keep_connection_ = false;
  if (stream && chunked_) head += "Transfer-Encoding: chunked\r\n";
  if (!stream && response.status != 204) {
    head += fmt::format("Content-Length: {}\r\n", response.body.size());
  }
  head += keep_connection_ ? "Connection: keep-alive\r\n" : "Connection: close\r\n";
  return head + "\r\n";
}

void HttpConnection::Send(std::uint64_t turn, HttpResponse response) {
  if (turn != turn_ || phase_ != Phase::kAnswering || streaming_ || answer_queued_) return;
  answer_queued_ = true;
  std::string bytes = Head(response, false);
  if (!head_only_ && response.status != 204) bytes += response.body;
  Queue(std::move(bytes));
}

void HttpConnection::Begin(std::uint64_t turn, const HttpResponse& head, std::string keep_alive,
                           int interval_ms) {
  if (turn != turn_ || phase_ != Phase::kAnswering || streaming_ || answer_queued_) return;
  streaming_ = true;
  keep_alive_ = std::move(keep_alive);
  keep_alive_ms_ = interval_ms;
  Queue(Head(head, true));
  ArmKeepAlive();
}

void HttpConnection::ArmKeepAlive() {
  if (keep_alive_ms_ <= 0) return;
  watch_timer_.expires_at(last_write_ + std::chrono::milliseconds(keep_alive_ms_));
  watch_timer_.async_wait([self = shared_from_this(), turn = turn_](error_code error) {
    const bool still = turn == self->turn_ && self->phase_ == Phase::kAnswering;
    if (error || !still || self->answer_queued_) return;
    const auto due = self->last_write_ + std::chrono::milliseconds(self->keep_alive_ms_);
    if (HttpClock::now() >= due) self->Write(turn, self->keep_alive_);
    self->ArmKeepAlive();
  });
}

void HttpConnection::Write(std::uint64_t turn, std::string bytes) {
  if (turn != turn_ || phase_ != Phase::kAnswering || !streaming_ || answer_queued_) return;
  if (bytes.empty() || head_only_) return;
  Queue(chunked_ ? ChunkOf(bytes) : std::move(bytes));
}

void HttpConnection::End(std::uint64_t turn, bool whole) {
  if (turn != turn_ || phase_ != Phase::kAnswering || !streaming_ || answer_queued_) return;
  answer_queued_ = true;
  whole_ = whole;
  watch_timer_.cancel();
  if (!whole) keep_connection_ = false;
  if (whole && chunked_) return Queue("0\r\n\r\n");
  if (!writing_) Answered();
}

void HttpConnection::OnGone(std::uint64_t turn, std::function<void()> callback) {
  if (turn == turn_ && phase_ == Phase::kAnswering) {
    if (!answer_queued_) on_gone_ = std::move(callback);
    return;
  }
  if (phase_ == Phase::kClosed) callback();
}

void HttpConnection::Queue(std::string bytes) {
  last_write_ = HttpClock::now();
  unsent_bytes_ += bytes.size();
  writes_.push_back(std::move(bytes));
  if (streaming_ && unsent_bytes_ > limits().unsent_bytes) return Close();
  if (!writing_) WriteNext();
}

void HttpConnection::WriteNext() {
  if (writes_.empty()) {
    writing_ = false;
    if (phase_ != Phase::kAnswering) return;
    SetDeadline(0);
    if (answer_queued_) Answered();
    return;
  }
  writing_ = true;
  if (phase_ == Phase::kAnswering) SetDeadline(limits().write_ms);
  const std::string& front = writes_.front();
  socket_.async_write_some(net::buffer(front.data() + write_offset_, front.size() - write_offset_),
                           [self = shared_from_this()](error_code error, std::size_t n_written) {
                             if (self->phase_ == Phase::kClosed) return;
                             if (error) return self->Close();
                             self->unsent_bytes_ -= n_written;
                             self->write_offset_ += n_written;
                             if (self->write_offset_ == self->writes_.front().size()) {
                               self->writes_.pop_front();
                               self->write_offset_ = 0;
                             }
                             self->WriteNext();
                           });
}

void HttpConnection::Answered() {
  --server_->n_active;
  phase_ = Phase::kAnswered;
  on_gone_ = nullptr;
  gone_.reset();
  body_count_.reset();
  ++turn_;
  if (refused_) return Drain();
  if (!keep_connection_ || server_->stopping) {
    error_code ignored;
    if (whole_) {
      socket_.shutdown(tcp::socket::shutdown_send, ignored);
    } else {
      socket_.set_option(net::socket_base::linger(true, 0), ignored);  // a reset, not an end
    }
    return Close();
  }
  error_code ignored;
  socket_.cancel(ignored);  // the watch for a lost client
  ReadHead();
}

// A client that is still sending would be told of a broken connection instead of the refusal, were
// it closed now.
void HttpConnection::Drain() {
  if (phase_ != Phase::kDraining) {
    phase_ = Phase::kDraining;
    error_code ignored;
    socket_.shutdown(tcp::socket::shutdown_send, ignored);
    SetDeadline(limits().drain_ms);
  }
  socket_.async_wait(tcp::socket::wait_read, [self = shared_from_this()](error_code error) {
    if (self->phase_ != Phase::kDraining) return;
    if (error || !self->DropWhatCame()) return self->Close();
    self->Drain();
  });
}

// False at the end of what the client sends. Linux does not even copy what is thrown away with
// MSG_TRUNC. Not all at once: others wait for this thread.
bool HttpConnection::DropWhatCame() {
  std::array<char, 16384> unread;
  for (int i = 0; i < 256; ++i) {
    const ssize_t n =
        ::recv(socket_.native_handle(), unread.data(), unread.size(), MSG_TRUNC | MSG_DONTWAIT);
    if (n < 0) return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
    if (n == 0) return false;
  }
  return true;
}

// Reads nothing: a request that is already there behind this one stays for later.
void HttpConnection::Watch() {
  socket_.async_wait(tcp::socket::wait_read,
                     [self = shared_from_this(), turn = turn_](error_code error) {
                       if (error || turn != self->turn_ || self->phase_ != Phase::kAnswering)
                         return;
                       pollfd poll_fd = {self->socket_.native_handle(), POLLRDHUP, 0};
                       ::poll(&poll_fd, 1, 0);
                       if ((poll_fd.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0)
                         return self->Close();
                       auto again = std::make_shared<net::steady_timer>(
                           self->socket_.get_executor(), std::chrono::milliseconds(50));
                       again->async_wait([self, turn, again](error_code) {
                         if (turn == self->turn_ && self->phase_ == Phase::kAnswering)
                           self->Watch();
                       });
                     });
}

void HttpConnection::Gone() {
  if (phase_ != Phase::kAnswering) return;
  --server_->n_active;
  ++server_->n_gone;
  ++turn_;
  if (gone_ != nullptr) *gone_ = true;
  if (on_gone_) std::exchange(on_gone_, nullptr)();
}

}  // namespace larder
