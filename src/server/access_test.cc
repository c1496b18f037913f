// Which hosts, origins and keys are believed.
#include "server/access.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>

namespace larder {
namespace {

HttpRequest Request(HttpHeaders headers, const std::string& path = "/v1/models") {
  HttpRequest request;
  request.method = "GET";
  request.path = path;
  request.headers = std::move(headers);
  return request;
}

AccessRules Rules(AccessOptions options = AccessOptions()) {
  Result<AccessRules> rules = AccessRules::Make(std::move(options));
  EXPECT_TRUE(rules.ok()) << rules.status().message();
  return *rules;
}

int StatusOf(const AccessRules& rules, const HttpRequest& request) {
  const auto refusal = rules.Check(request);
  return refusal ? refusal->status : 200;
}

TEST(Access, HostsOfAuthorities) {
  EXPECT_EQ(HostOf("LocalHost:8080"), "localhost");
  EXPECT_EQ(HostOf("[::1]:80"), "::1");
  EXPECT_EQ(HostOf("[fe80::1]"), "fe80::1");
  EXPECT_EQ(HostOf("a.example."), "a.example");
  for (const char* wrong : {"", "a:b", "a b", "[::1", "[::1]x", "a/b", "user@host", ":80",
                            "a:123456", "127.0.0.1:80:80"}) {
    EXPECT_FALSE(HostOf(wrong)) << wrong;
  }
}

TEST(Access, LocalHosts) {
  for (const char* local :
       {"localhost", "a.localhost", "printer.local", "host.docker.internal", "127.0.0.1",
        "127.255.0.3", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.3.4",
        "100.64.0.1", "::1", "fd00::1", "fe80::1%eth0", "::ffff:127.0.0.1"}) {
    EXPECT_TRUE(IsLocalHost(local)) << local;
  }
  for (const char* foreign :
       {"example.org", "localhost.example.org", "local", "internal", "8.8.8.8", "172.32.0.1",
        "172.15.0.1", "100.128.0.1", "192.169.0.1", "2001:db8::1", "::ffff:8.8.8.8",
        "evillocalhost", "0.0.0.0", "127.1"}) {
    EXPECT_FALSE(IsLocalHost(foreign)) << foreign;
  }
}

TEST(Access, LoopbackBelievesOnlyLocalHosts) {
  const AccessRules rules = Rules();
  EXPECT_EQ(StatusOf(rules, Request({{"host", "127.0.0.1:8080"}})), 200);
  std::array<char, 256> name = {};
  ASSERT_EQ(gethostname(name.data(), name.size() - 1), 0);
  EXPECT_EQ(StatusOf(rules, Request({{"host", name.data()}})), 200);
  EXPECT_EQ(StatusOf(rules, Request({{"host", "evil.example.org"}})), 403);
  EXPECT_EQ(StatusOf(rules, Request({{"host", "evil.example.org@localhost"}})), 400);
  EXPECT_EQ(StatusOf(rules, Request({{"host", "localhost"}, {"host", "evil.example.org"}})), 400);
  const auto refusal = rules.Check(Request({{"host", "evil.example.org"}}));
  ASSERT_TRUE(refusal);
  EXPECT_NE(refusal->sentence.find("--allowed-host evil.example.org"), std::string::npos);

  AccessOptions options;
  options.allowed_hosts = {"Chat.Example.org"};
  EXPECT_EQ(StatusOf(Rules(options), Request({{"host", "chat.example.org:443"}})), 200);
  EXPECT_EQ(StatusOf(Rules(options), Request({{"host", "example.org"}})), 403);
}

TEST(Access, OriginsFromElsewhereAreRefused) {
  const AccessRules rules = Rules();
  const auto with_origin = [](const char* origin) {
    return Request({{"host", "localhost"}, {"origin", origin}});
  };
  EXPECT_EQ(StatusOf(rules, with_origin("http://localhost:3000")), 200);
  EXPECT_EQ(StatusOf(rules, with_origin("http://192.168.0.4")), 200);
  EXPECT_EQ(StatusOf(rules, with_origin("https://evil.example.org")), 403);
  EXPECT_EQ(StatusOf(rules, with_origin("null")), 403);
  EXPECT_EQ(StatusOf(rules, with_origin("")), 403);
  EXPECT_TRUE(rules.CorsHeaders(with_origin("http://localhost:3000")).empty());

  AccessOptions options;
  options.cors_origins = {"https://chat.example.org/"};
  const AccessRules cors = Rules(options);
  EXPECT_EQ(StatusOf(cors, with_origin("https://chat.example.org")), 200);
  EXPECT_EQ(StatusOf(cors, with_origin("https://chat.example.org.evil.org")), 403);
  EXPECT_EQ(cors.CorsHeaders(with_origin("https://chat.example.org")).front().second,
            "https://chat.example.org");
  EXPECT_TRUE(cors.CorsHeaders(with_origin("http://localhost:3000")).empty());

  options.loopback = false;  // without a key, a page still may not use it
  options.cors_origins.clear();
  EXPECT_EQ(StatusOf(Rules(options), with_origin("https://evil.example.org")), 403);
  options.keys = {"secret"};
  EXPECT_EQ(StatusOf(Rules(options), with_origin("https://evil.example.org")), 401);
}

TEST(Access, Keys) {
  AccessOptions options;
  options.keys = {"first-key", "second"};
  const AccessRules rules = Rules(options);
  const auto status = [&rules](HttpHeaders headers, const char* path) {
    headers.emplace_back("host", "localhost");
    return StatusOf(rules, Request(std::move(headers), path));
  };
  EXPECT_EQ(status({}, "/v1/models"), 401);
  EXPECT_EQ(status({}, "/health"), 200);
  EXPECT_EQ(status({{"authorization", "Bearer second"}}, "/metrics"), 200);
  EXPECT_EQ(status({{"authorization", "bearer  first-key"}}, "/metrics"), 200);
  EXPECT_EQ(status({{"x-api-key", "first-key"}}, "/v1/messages"), 200);
  for (const char* wrong : {"", "f", "first-ke", "first-keyy", "second\n", "first-keyfirst-key"}) {
    EXPECT_EQ(status({{"x-api-key", wrong}}, "/v1/messages"), 401) << wrong;
  }
  EXPECT_EQ(status({{"authorization", "Basic second"}}, "/v1/models"), 401);
  EXPECT_TRUE(EqualInConstantTime("abc", "abc"));
  EXPECT_FALSE(EqualInConstantTime("abcabc", "abc"));
  EXPECT_FALSE(EqualInConstantTime("", "abc"));
}

TEST(Access, WrongOptionsAreNamed) {
  for (const char* key : {"", "a b", "a\n", "\xc3\xa9"}) {
    AccessOptions options;
    options.keys = {key};
    EXPECT_EQ(AccessRules::Make(options).status().code(), StatusCode::kInvalidArgument) << key;
  }
  AccessOptions options;
  options.cors_origins = {"chat.example.org"};
  EXPECT_NE(AccessRules::Make(options).status().message().find("--cors"), std::string::npos);
  EXPECT_EQ(ReadKeyFile("/nonexistent/keys").status().code(), StatusCode::kNotFound);
}

}  // namespace
}  // namespace larder
