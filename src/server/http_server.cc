// The listener, and what stops it.
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>

#include "server/http_connection.h"

namespace larder {

namespace net = boost::asio;
using tcp = net::ip::tcp;
using boost::system::error_code;

Status HttpServer::Impl::Listen() {
  error_code error;
  const std::string host = options.host == "localhost" ? "127.0.0.1" : options.host;
  const net::ip::address address = net::ip::make_address(host, error);
  if (error) {
    return InvalidArgument("--host takes an address such as 127.0.0.1 or 0.0.0.0, not '{}'",
                           options.host);
  }
  const tcp::endpoint endpoint(address, options.port);
  acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(1024, error);
  if (error) {
    return IoError("cannot listen on {} port {}: {}; give another --port", host, options.port,
                   error.message());
  }
  return Status::Ok();
}

void HttpServer::Impl::Accept() {
  acceptor.async_accept([this](error_code error, tcp::socket socket) {
    if (stopping || error == net::error::operation_aborted) return;
    if (error) {  // out of descriptors: those that end make room
      accept_pause.expires_after(std::chrono::milliseconds(50));
      accept_pause.async_wait([this](error_code) {
        if (!stopping) Accept();
      });
      return CloseIdle();
    }
    MakeRoom();
    error_code ignored;
    socket.set_option(tcp::no_delay(true), ignored);
    const auto connection = std::make_shared<HttpConnection>(this, std::move(socket));
    connections.insert(connection);
    n_connections = connections.size();
    ++n_accepted;
    connection->ReadHead();
    Accept();
  });
}

void HttpServer::Impl::MakeRoom() {
  if (connections.size() >= options.limits.n_connections) CloseIdle();
}

// The one that has been idle longest.
void HttpServer::Impl::CloseIdle() {
  std::shared_ptr<HttpConnection> oldest;
  for (const auto& one : connections) {
    if (!one->idle()) continue;
    if (oldest == nullptr || one->idle_since() < oldest->idle_since()) oldest = one;
  }
  if (oldest != nullptr) oldest->Close();
}

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

HttpServer::~HttpServer() { Stop(0); }

Result<std::unique_ptr<HttpServer>> HttpServer::Start(const HttpServerOptions& options,
                                                      HttpHandler* handler) {
  auto impl = std::make_unique<Impl>(options, handler);
  LARDER_RETURN_IF_ERROR(impl->Listen());
  impl->Accept();
  impl->thread = std::thread([raw = impl.get()] {
    const auto keep = net::make_work_guard(raw->context);
    raw->context.run();
  });
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
}

std::uint16_t HttpServer::port() const {
  error_code ignored;
  return impl_->acceptor.local_endpoint(ignored).port();
}

HttpServerStats HttpServer::stats() const {
  HttpServerStats stats;
  stats.n_connections = impl_->n_connections;
  stats.n_active = impl_->n_active;
  stats.n_accepted = impl_->n_accepted;
  stats.n_requests = impl_->n_requests;
  stats.n_gone = impl_->n_gone;
  stats.n_timeouts = impl_->n_timeouts;
  return stats;
}

void HttpServer::StopListening() {
  net::post(impl_->context, [impl = impl_.get()] {
    if (impl->stopping) return;
    impl->stopping = true;
    error_code ignored;
    impl->acceptor.close(ignored);
    impl->accept_pause.cancel();
    const auto connections = impl->connections;
    for (const auto& one : connections) {
      if (one->idle()) one->Close();
    }
  });
}

void HttpServer::Stop(int deadline_ms) {
  if (impl_->joined) return;
  StopListening();
  const auto deadline = HttpClock::now() + std::chrono::milliseconds(deadline_ms);
  while (HttpClock::now() < deadline && impl_->n_active > 0) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  net::post(impl_->context, [impl = impl_.get()] {
    const auto connections = impl->connections;
    for (const auto& one : connections) one->Close();
    impl->context.stop();
  });
  impl_->thread.join();
  impl_->joined = true;
  impl_->connections.clear();
}

bool IsLoopbackAddress(const std::string& host) {
  if (host == "localhost") return true;
  error_code error;
  const net::ip::address address = net::ip::make_address(host, error);
  return !error && address.is_loopback();
}

}  // namespace larder
