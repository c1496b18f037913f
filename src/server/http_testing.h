// For tests: a blocking HTTP client that sends what it is told, right or wrong, and a few
// readers of what comes back. One thread per client.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

namespace larder {

struct ClientResponse {
  int status = 0;  // 0: the connection ended before a head came
  std::string head;
  std::string body;    // chunks joined
  bool whole = false;  // as long as promised, or chunked to its end

  /// The value of a header, by its name as the server writes it; "" when there is none.
  std::string Header(const std::string& name) const {
    const std::size_t at = head.find("\r\n" + name + ": ");
    if (at == std::string::npos) return "";
    const std::size_t begin = at + name.size() + 4;
    return head.substr(begin, head.find("\r\n", begin) - begin);
  }
};

class HttpClient {
 public:
  explicit HttpClient(std::uint16_t port) {
    fd_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  }
  ~HttpClient() { Close(); }
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  bool connected() const { return connected_; }
  void Close() {
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
  }
  void EndSending() { shutdown(fd_, SHUT_WR); }

  /// False when the server has closed.
  bool SendBytes(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
  }

  bool SendRequest(const std::string& method, const std::string& path, const std::string& body = "",
                   const std::string& headers = "Host: localhost\r\n") {
    std::string bytes = method + " " + path + " HTTP/1.1\r\n" + headers;
    if (!body.empty()) bytes += "Content-Length: " + std::to_string(body.size()) + "\r\n";
    bytes += "\r\n";
    if (body.size() < 65536) return SendBytes(bytes + body);
    return SendBytes(bytes) && SendBytes(body);  // a copy would count in what is measured
  }

  /// Reads one response; what came behind it waits for the next call.
  ClientResponse Receive(int timeout_ms = 20000) {
    ClientResponse response;
    std::size_t end = 0;
    while ((end = buffer_.find("\r\n\r\n")) == std::string::npos) {
      if (!More(timeout_ms)) return response;
    }
    response.head = buffer_.substr(0, end + 2);
    buffer_.erase(0, end + 4);
    response.status = std::atoi(response.head.c_str() + 9);
    if (response.status == 100) return Receive(timeout_ms);
    if (response.Header("Transfer-Encoding") == "chunked") {
      while (ReceiveChunk(&response, timeout_ms)) {
      }
      return response;
    }
    const std::string length = response.Header("Content-Length");
    const std::size_t n_body = static_cast<std::size_t>(std::atoll(length.c_str()));
    const bool to_the_end = length.empty() && response.status != 204;
    while ((to_the_end || buffer_.size() < n_body) && More(timeout_ms)) {
    }
    response.body = to_the_end ? buffer_ : buffer_.substr(0, n_body);
    buffer_.erase(0, response.body.size());
    response.whole = to_the_end || response.body.size() == n_body;
    return response;
  }

  /// Waits for some bytes; they stay for Receive. False at the end or after the time.
  bool More(int timeout_ms) {
    pollfd waiting = {fd_, POLLIN, 0};
    if (poll(&waiting, 1, timeout_ms) <= 0) return false;
    char bytes[65536];
    const ssize_t n = recv(fd_, bytes, sizeof bytes, 0);
    if (n <= 0) return false;
    buffer_.append(bytes, static_cast<std::size_t>(n));
    return true;
  }
  const std::string& buffer() const { return buffer_; }
  void ClearBuffer() { buffer_.clear(); }

 private:
  bool ReceiveChunk(ClientResponse* response, int timeout_ms) {
    std::size_t end = 0;
    while ((end = buffer_.find("\r\n")) == std::string::npos) {
      if (!More(timeout_ms)) return false;
    }
    const std::size_t n = std::strtoull(buffer_.c_str(), nullptr, 16);
    while (buffer_.size() < end + 2 + n + 2) {
      if (!More(timeout_ms)) return false;
    }
    response->body += buffer_.substr(end + 2, n);
    buffer_.erase(0, end + 2 + n + 2);
    if (n == 0) response->whole = true;
    return n > 0;
  }

  int fd_ = -1;
  bool connected_ = false;
  std::string buffer_;
};

/// One request on a connection of its own.
inline ClientResponse Fetch(std::uint16_t port, const std::string& method, const std::string& path,
                            const std::string& body = "",
                            const std::string& headers = "Host: localhost\r\n") {
  HttpClient client(port);
  if (!client.SendRequest(method, path, body, headers)) return {};
  return client.Receive();
}

}  // namespace larder
