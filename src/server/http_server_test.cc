// The transport alone: limits, timeouts, streams, clients that go away, ending in order.
#include "server/http_server.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>

#include "server/http_testing.h"

namespace larder {
namespace {

using std::chrono::milliseconds;

// Answers as each test likes, on a thread of its own where `run` says so.
class TestHandler : public HttpHandler {
 public:
  std::function<void(HttpRequest, std::shared_ptr<HttpReply>)> run = [](HttpRequest request,
                                                                        std::shared_ptr<HttpReply>
                                                                            reply) {
    reply->Send({200, "text/plain", {}, request.method + " " + request.path + " " + request.body});
  };
  std::optional<HttpResponse> CheckHead(const HttpRequest& head) override {
    if (head.path != "/refused") return std::nullopt;
    return HttpResponse{403, "text/plain", {}, "no"};
  }
  void Handle(HttpRequest request, std::shared_ptr<HttpReply> reply) override {
    run(std::move(request), std::move(reply));
  }
  HttpResponse TransportError(const std::string&, int status, const std::string& text) override {
    return {status, "text/plain", {}, text};
  }
  HttpHeaders CommonHeaders(const HttpRequest&) override { return {}; }
};

std::unique_ptr<HttpServer> Start(TestHandler* handler, HttpLimits limits = HttpLimits()) {
  HttpServerOptions options;
  options.limits = limits;
  auto server = HttpServer::Start(options, handler);
  EXPECT_TRUE(server.ok()) << server.status().message();
  return std::move(*server);
}

template <typename Condition>
bool Eventually(Condition condition) {
  for (int i = 0; i < 1000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(milliseconds(5));
  }
  return false;
}

double MsSince(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
      .count();
}

// A body counts as long as it is held, also when its client has gone.
TEST(HttpServer, BodiesCountUntilTheirRequestEnds) {
  TestHandler handler;
  std::mutex mutex;
  std::optional<HttpRequest> held;
  const auto answer = handler.run;
  handler.run = [&](HttpRequest request, std::shared_ptr<HttpReply>) {
    const std::lock_guard<std::mutex> lock(mutex);
    held = std::move(request);
  };
  HttpLimits limits;
  limits.all_bodies_bytes = 1000;
  const auto server = Start(&handler, limits);
  {
    HttpClient client(server->port());
    ASSERT_TRUE(client.SendRequest("POST", "/held", std::string(800, 'x')));
    ASSERT_TRUE(Eventually([&] {
      const std::lock_guard<std::mutex> lock(mutex);
      return held.has_value();
    }));
  }
  ASSERT_TRUE(Eventually([&] { return server->stats().n_connections == 0; }));
  EXPECT_EQ(Fetch(server->port(), "POST", "/", std::string(800, 'x')).status, 503);
  {
    const std::lock_guard<std::mutex> lock(mutex);
    held.reset();
  }
  handler.run = answer;
  EXPECT_EQ(Fetch(server->port(), "POST", "/", std::string(800, 'x')).status, 200);
}

// An answer may take long after its body has been read.
TEST(HttpServer, BodiesCountNoLongerThanTheyAreHeld) {
  TestHandler handler;
  const auto answer = handler.run;
  std::shared_ptr<HttpReply> held;
  std::atomic<bool> asked{false};
  handler.run = [&](HttpRequest request, std::shared_ptr<HttpReply> reply) {
    if (request.path != "/held") return answer(std::move(request), std::move(reply));
    held = std::move(reply);
    asked = true;
  };
  HttpLimits limits;
  limits.all_bodies_bytes = 1000;
  const auto server = Start(&handler, limits);
  HttpClient client(server->port());
  ASSERT_TRUE(client.SendRequest("POST", "/held", std::string(800, 'x')));
  ASSERT_TRUE(Eventually([&] { return asked.load(); }));
  EXPECT_EQ(Fetch(server->port(), "POST", "/", std::string(800, 'x')).status, 200);
  held->Send({200, "text/plain", {}, "late"});
  EXPECT_EQ(client.Receive().body, "late");
  held.reset();  // before its server
}

TEST(HttpServer, TargetsAreTakenWithTheirSchemeAndHost) {
  TestHandler handler;
  const auto server = Start(&handler);
  EXPECT_EQ(Fetch(server->port(), "GET", "http://localhost/a?b").body, "GET /a ");
  EXPECT_EQ(Fetch(server->port(), "GET", "HTTP://localhost").body, "GET / ");
}

TEST(HttpServer, AMissingHostIsRefusedBeforeAnythingElse) {
  TestHandler handler;
  const auto server = Start(&handler);
  HttpClient client(server->port());
  ASSERT_TRUE(client.SendBytes("GET /refused HTTP/1.1\r\n\r\n"));
  EXPECT_EQ(client.Receive().status, 400);
}

TEST(HttpServer, AnswersOnOneConnectionAgainAndAgain) {
  TestHandler handler;
  const auto server = Start(&handler);
  HttpClient client(server->port());
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(client.SendRequest("POST", "/a?b=c", "body" + std::to_string(i)));
    const ClientResponse response = client.Receive();
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(response.body, "POST /a body" + std::to_string(i));
  }
  // Two requests at once: the second is answered after the first.
  ASSERT_TRUE(
      client.SendBytes("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n"));
  EXPECT_EQ(client.Receive().body, "GET /1 ");
  EXPECT_EQ(client.Receive().body, "GET /2 ");
  EXPECT_EQ(server->stats().n_accepted, 1u);
  EXPECT_EQ(server->stats().n_requests, 5u);
}

TEST(HttpServer, HeadHasNoBodyAndOldClientsAreClosed) {
  TestHandler handler;
  const auto server = Start(&handler);
  HttpClient client(server->port());
  ASSERT_TRUE(client.SendRequest("HEAD", "/"));
  ASSERT_TRUE(client.More(2000));
  EXPECT_NE(client.buffer().find("Content-Length: 7"), std::string::npos);
  EXPECT_EQ(client.buffer().substr(client.buffer().size() - 4), "\r\n\r\n");
  HttpClient old(server->port());
  ASSERT_TRUE(old.SendBytes("GET / HTTP/1.0\r\n\r\n"));
  EXPECT_EQ(old.Receive().Header("Connection"), "close");
  EXPECT_FALSE(old.More(2000));
}

// RFC 9112, section 3.2.
TEST(HttpServer, ARequestNamesItsHost) {
  TestHandler handler;
  const auto server = Start(&handler);
  EXPECT_EQ(Fetch(server->port(), "GET", "/", "", "").status, 400);
  EXPECT_EQ(Fetch(server->port(), "GET", "/", "", "Host:\r\n").status, 200);
}

TEST(HttpServer, LimitsRefuseAtOnce) {
  TestHandler handler;
  HttpLimits limits;
  limits.body_bytes = 1 << 20;
  limits.header_bytes = 8192;
  const auto server = Start(&handler, limits);
  const auto start = std::chrono::steady_clock::now();
  // The body never comes: the head alone is refused.
  EXPECT_EQ(Fetch(server->port(), "POST", "/", "", "Host: a\r\nContent-Length: 1048577\r\n").status,
            413);
  EXPECT_EQ(
      Fetch(server->port(), "GET", "/", "", "Host: a\r\nX: " + std::string(9000, 'x') + "\r\n")
          .status,
      431);
  EXPECT_EQ(Fetch(server->port(), "POST", "/refused", std::string(500000, 'x')).status, 403);
  EXPECT_LT(MsSince(start), 1000);
  // One that sends all of it before it listens still reads the refusal.
  const ClientResponse all = Fetch(server->port(), "POST", "/", std::string(3 << 20, 'x'));
  EXPECT_EQ(all.status, 413);
  EXPECT_NE(all.body.find("1048576"), std::string::npos);
  // In chunks, the length is only known on the way.
  HttpClient chunked(server->port());
  ASSERT_TRUE(
      chunked.SendBytes("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"));
  for (int i = 0; i < 40 && chunked.SendBytes("10000\r\n" + std::string(65536, 'x') + "\r\n");
       ++i) {
  }
  EXPECT_EQ(chunked.Receive().status, 413);
}

TEST(HttpServer, NonsenseGetsAClearAnswer) {
  TestHandler handler;
  const auto server = Start(&handler);
  for (const char* nonsense :
       {"GET\r\n\r\n", "\x16\x03\x01\x02\r\n\r\n", "GET / HTTP/9.9\r\n\r\n",
        "GET / HTTP/1.1\r\nno colon\r\n\r\n", "POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        "POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc"}) {
    HttpClient client(server->port());
    ASSERT_TRUE(client.SendBytes(nonsense));
    EXPECT_EQ(client.Receive().status, 400) << nonsense;
    EXPECT_FALSE(client.More(5000)) << nonsense;
  }
  EXPECT_EQ(Fetch(server->port(), "GET", "/").status, 200);
}

TEST(HttpServer, ContinueIsSaidToThoseWhoWait) {
  TestHandler handler;
  const auto server = Start(&handler);
  HttpClient client(server->port());
  ASSERT_TRUE(client.SendBytes(
      "POST /x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"));
  ASSERT_TRUE(client.More(2000));
  EXPECT_EQ(client.buffer(), "HTTP/1.1 100 Continue\r\n\r\n");
  ASSERT_TRUE(client.SendBytes("ab"));
  EXPECT_EQ(client.Receive().body, "POST /x ab");
}

TEST(HttpServer, SlowClientsAreLeftBehind) {
  TestHandler handler;
  HttpLimits limits;
  limits.idle_ms = limits.header_ms = limits.body_ms = limits.drain_ms = 150;
  const auto server = Start(&handler, limits);
  HttpClient idle(server->port());
  HttpClient head(server->port());
  HttpClient body(server->port());
  ASSERT_TRUE(head.SendBytes("GET / HT"));
  ASSERT_TRUE(body.SendBytes("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc"));
  EXPECT_EQ(head.Receive().status, 408);
  EXPECT_EQ(body.Receive().status, 408);
  EXPECT_FALSE(idle.More(5000));
  EXPECT_TRUE(Eventually([&] { return server->stats().n_connections == 0; }));
}

TEST(HttpServer, StreamsComeAsTheyAreWritten) {
  TestHandler handler;
  std::shared_ptr<HttpReply> held;
  std::atomic<bool> there{false};
  handler.run = [&](HttpRequest, std::shared_ptr<HttpReply> reply) {
    reply->Begin({200, "text/event-stream", {}, ""}, ": wait\n\n", 60);
    reply->Write("first\n");
    held = std::move(reply);
    there = true;
  };
  const auto server = Start(&handler);
  HttpClient client(server->port());
  ASSERT_TRUE(client.SendRequest("GET", "/"));
  ASSERT_TRUE(Eventually([&] { return there.load(); }));
  ASSERT_TRUE(Eventually([&] {
    client.More(50);
    return client.buffer().find(": wait") != std::string::npos;
  }));
  EXPECT_NE(client.buffer().find("6\r\nfirst\n\r\n"), std::string::npos);
  held->Write("last\n");
  held->End();
  held.reset();
  const ClientResponse response = client.Receive();
  EXPECT_TRUE(response.whole);
  EXPECT_EQ(response.body.substr(0, 6), "first\n");
  EXPECT_EQ(response.body.substr(response.body.size() - 5), "last\n");
  there = false;
  ASSERT_TRUE(client.SendRequest("HEAD", "/"));  // the connection goes on
  ASSERT_TRUE(Eventually([&] { return there.load(); }));
  held.reset();  // no reply outlives its server
}

TEST(HttpServer, ABrokenStreamLooksBroken) {
  TestHandler handler;
  handler.run = [](HttpRequest, std::shared_ptr<HttpReply> reply) {
    reply->Begin({200, "text/plain", {}, ""}, "", 0);
    reply->Write("half");
    reply->Abort();
  };
  const auto server = Start(&handler);
  EXPECT_FALSE(Fetch(server->port(), "GET", "/").whole);
  // A reply that is let go unanswered is an error, not silence.
  handler.run = [](HttpRequest, std::shared_ptr<HttpReply>) {};
  EXPECT_EQ(Fetch(server->port(), "GET", "/").status, 500);
}

TEST(HttpServer, ClientsThatGoAwayAreNoticed) {
  TestHandler handler;
  std::mutex mutex;
  std::vector<std::shared_ptr<HttpReply>> held;
  std::atomic<int> n_gone{0};
  handler.run = [&](HttpRequest request, std::shared_ptr<HttpReply> reply) {
    if (request.path == "/stream") reply->Begin({200, "text/plain", {}, ""}, "", 0);
    reply->OnGone([&] { ++n_gone; });
    const std::lock_guard<std::mutex> lock(mutex);
    held.push_back(std::move(reply));
  };
  const auto server = Start(&handler);
  const auto n_held = [&] {
    const std::lock_guard<std::mutex> lock(mutex);
    return held.size();
  };
  int n_expected = 0;
  for (const char* path : {"/whole", "/stream"}) {
    for (const char* behind : {"", "GET /next HTTP/1.1\r\nHost: a\r\n\r\n"}) {
      HttpClient client(server->port());
      ASSERT_TRUE(client.SendRequest("GET", path));
      ASSERT_TRUE(client.SendBytes(behind));
      ++n_expected;
      ASSERT_TRUE(Eventually([&] { return n_held() == static_cast<std::size_t>(n_expected); }));
      EXPECT_EQ(n_gone, n_expected - 1);
      client.Close();
      EXPECT_TRUE(Eventually([&] { return n_gone == n_expected; })) << path << behind;
    }
  }
  // Writing to them is harmless, and one that asks late is told at once.
  held[0]->Send({200, "text/plain", {}, "late"});
  held[2]->Write("late");
  held[2]->OnGone([&] { ++n_gone; });
  EXPECT_TRUE(Eventually([&] { return n_gone == n_expected + 1; }));
  held.clear();
  EXPECT_TRUE(Eventually([&] { return server->stats().n_active == 0; }));
}

TEST(HttpServer, AClientThatDoesNotReadIsDropped) {
  TestHandler handler;
  std::shared_ptr<HttpReply> held;
  std::atomic<bool> gone{false};
  std::atomic<bool> there{false};
  handler.run = [&](HttpRequest, std::shared_ptr<HttpReply> reply) {
    reply->Begin({200, "text/plain", {}, ""}, "", 0);
    reply->OnGone([&] { gone = true; });
    held = std::move(reply);
    there = true;
  };
  HttpLimits limits;
  limits.write_ms = 200;
  const auto server = Start(&handler, limits);
  HttpClient client(server->port());
  ASSERT_TRUE(client.SendRequest("GET", "/"));
  ASSERT_TRUE(Eventually([&] { return there.load(); }));
  for (int i = 0; i < 7; ++i) held->Write(std::string(1 << 20, 'x'));
  EXPECT_TRUE(Eventually([&] { return gone.load(); }));
  held.reset();
}

TEST(HttpServer, ManyIdleConnectionsLeaveOthersAlone) {
  TestHandler handler;
  HttpLimits limits;
  limits.n_connections = 200;
  const auto server = Start(&handler, limits);
  std::vector<std::unique_ptr<HttpClient>> idle;
  for (int i = 0; i < 300; ++i) {
    idle.push_back(std::make_unique<HttpClient>(server->port()));
    ASSERT_TRUE(idle.back()->connected());
  }
  EXPECT_EQ(Fetch(server->port(), "GET", "/").status, 200);
  EXPECT_LE(server->stats().n_connections, 200u);
  EXPECT_FALSE(idle[0]->More(2000));  // the first to come had to go
  ASSERT_TRUE(idle[299]->SendRequest("GET", "/"));
  EXPECT_EQ(idle[299]->Receive().status, 200);
}

TEST(HttpServer, EndsInOrder) {
  TestHandler handler;
  std::atomic<bool> there{false};
  std::thread answering;
  handler.run = [&](HttpRequest, std::shared_ptr<HttpReply> reply) {
    answering = std::thread([reply = std::move(reply)] {
      std::this_thread::sleep_for(milliseconds(200));
      reply->Send({200, "text/plain", {}, "done"});
    });
    there = true;
  };
  const auto server = Start(&handler);
  HttpClient idle(server->port());
  HttpClient client(server->port());
  ASSERT_TRUE(client.SendRequest("GET", "/"));
  ASSERT_TRUE(Eventually([&] { return there.load(); }));
  const std::uint16_t port = server->port();
  std::thread stopping([&] { server->Stop(5000); });
  const ClientResponse response = client.Receive();
  EXPECT_EQ(response.body, "done");
  EXPECT_EQ(response.Header("Connection"), "close");
  stopping.join();
  answering.join();
  EXPECT_FALSE(idle.More(2000));
  EXPECT_FALSE(HttpClient(port).connected());
}

TEST(HttpServer, WrongAddressesAreNamed) {
  TestHandler handler;
  HttpServerOptions options;
  options.host = "example.org";
  const auto wrong = HttpServer::Start(options, &handler);
  EXPECT_EQ(wrong.status().code(), StatusCode::kInvalidArgument);
  EXPECT_NE(wrong.status().message().find("--host"), std::string::npos);
  const auto server = Start(&handler);
  options.host = "127.0.0.1";
  options.port = server->port();
  const auto taken = HttpServer::Start(options, &handler);
  EXPECT_EQ(taken.status().code(), StatusCode::kIoError);
  EXPECT_TRUE(IsLoopbackAddress("127.0.0.3"));
  EXPECT_TRUE(IsLoopbackAddress("::1"));
  EXPECT_TRUE(IsLoopbackAddress("localhost"));
  EXPECT_FALSE(IsLoopbackAddress("0.0.0.0"));
  EXPECT_FALSE(IsLoopbackAddress("192.168.1.2"));
}

}  // namespace
}  // namespace larder
