// Host and Origin rules, keys.
#include "server/access.h"

#include <arpa/inet.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>

namespace larder {

namespace {

std::string LowerCase(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lower;
}

bool EndsWith(std::string_view text, std::string_view end) {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

bool IsPort(std::string_view text) {
  return text.size() <= 5 &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

bool IsLocalV4(std::uint32_t address) {
  const auto in = [address](std::uint32_t network, int n_bits) {
    return (address >> (32 - n_bits)) == (network >> (32 - n_bits));
  };
  return in(0x7f000000, 8) || in(0x0a000000, 8) || in(0xac100000, 12) || in(0xc0a80000, 16) ||
         in(0xa9fe0000, 16) || in(0x64400000, 10);
}

bool IsLocalV6(const std::array<std::uint8_t, 16>& bytes) {
  const bool zeros = std::all_of(bytes.begin(), bytes.begin() + 10, [](auto b) { return b == 0; });
  if (zeros && bytes[10] == 0xff && bytes[11] == 0xff) {  // an IPv4 address inside
    return IsLocalV4(static_cast<std::uint32_t>(bytes[12]) << 24 |
                     static_cast<std::uint32_t>(bytes[13]) << 16 |
                     static_cast<std::uint32_t>(bytes[14]) << 8 | bytes[15]);
  }
  const bool loopback =
      std::all_of(bytes.begin(), bytes.end() - 1, [](auto b) { return b == 0; }) && bytes[15] == 1;
  const bool unique_local = (bytes[0] & 0xfe) == 0xfc;
  const bool link_local = bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0x80;
  return loopback || unique_local || link_local;
}

// The host of "scheme://host:port".
std::optional<std::string> OriginHost(std::string_view origin) {
  const std::size_t slashes = origin.find("://");
  if (slashes == std::string_view::npos) return std::nullopt;
  return HostOf(origin.substr(slashes + 3));
}

std::string_view BearerOf(std::string_view value) {
  constexpr std::string_view kBearer = "bearer ";
  if (LowerCase(value.substr(0, kBearer.size())) != kBearer) return {};
  value.remove_prefix(kBearer.size());
  while (!value.empty() && value.front() == ' ') value.remove_prefix(1);
  return value;
}

}  // namespace

std::optional<std::string> HostOf(std::string_view authority) {
  if (authority.empty() || authority.size() > 300) return std::nullopt;
  if (authority.front() == '[') {
    const std::size_t end = authority.find(']');
    if (end == std::string_view::npos) return std::nullopt;
    const std::string_view port = authority.substr(end + 1);
    if (!port.empty() && (port.front() != ':' || !IsPort(port.substr(1)))) return std::nullopt;
    return LowerCase(authority.substr(1, end - 1));
  }
  const std::size_t colon = authority.find(':');
  if (colon != std::string_view::npos && !IsPort(authority.substr(colon + 1))) return std::nullopt;
  std::string host = LowerCase(authority.substr(0, colon));
  if (!host.empty() && host.back() == '.') host.pop_back();
  const bool plain = std::all_of(host.begin(), host.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
  });
  if (host.empty() || !plain) return std::nullopt;
  return host;
}

bool IsLocalHost(std::string_view host) {
  if (host == "localhost" || EndsWith(host, ".localhost")) return true;
  if (EndsWith(host, ".local") || EndsWith(host, ".internal")) return true;
  const std::string text(host);
  in_addr v4 = {};
  if (inet_pton(AF_INET, text.c_str(), &v4) == 1) return IsLocalV4(ntohl(v4.s_addr));
  std::array<std::uint8_t, 16> v6 = {};
  const std::string without_zone = text.substr(0, text.find('%'));
  return inet_pton(AF_INET6, without_zone.c_str(), v6.data()) == 1 && IsLocalV6(v6);
}

bool EqualInConstantTime(std::string_view presented, std::string_view secret) {
  volatile unsigned difference = presented.size() == secret.size() ? 0u : 1u;
  for (std::size_t i = 0; i < presented.size(); ++i) {
    const char other = secret.empty() ? '\0' : secret[i % secret.size()];
    difference =
        difference | (static_cast<unsigned char>(presented[i]) ^ static_cast<unsigned char>(other));
  }
  return difference == 0;
}

Result<std::vector<std::string>> ReadKeyFile(const std::string& path) {
  std::ifstream file(path);
  if (!file) {
    return NotFound("cannot open the key file {}: {}", path, std::strerror(errno));
  }
  std::vector<std::string> keys;
  for (std::string line; std::getline(file, line);) {
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.pop_back();
    if (!line.empty() && line.front() != '#') keys.push_back(line);
  }
  if (keys.empty()) return InvalidArgument("the key file {} has no key in it", path);
  return keys;
}

AccessRules::AccessRules(AccessOptions options) : options_(std::move(options)) {
  std::array<char, 256> name = {};
  if (gethostname(name.data(), name.size() - 1) == 0) own_name_ = LowerCase(name.data());
}

Result<AccessRules> AccessRules::Make(AccessOptions options) {
  for (const std::string& key : options.keys) {
    const bool plain =
        std::all_of(key.begin(), key.end(), [](char c) { return c > ' ' && c < 127; });
    if (key.empty() || !plain) {
      return InvalidArgument("a key is made of printable ASCII characters without blanks");
    }
  }
  for (std::string& host : options.allowed_hosts) {
    const auto parsed = HostOf(host);
    if (!parsed) return InvalidArgument("--allowed-host takes a host's name, not '{}'", host);
    host = *parsed;
  }
  for (std::string& origin : options.cors_origins) {
    while (!origin.empty() && origin.back() == '/') origin.pop_back();
    if (origin == "*" || OriginHost(origin)) continue;
    return InvalidArgument("--cors takes an origin such as https://chat.example.org, not '{}'",
                           origin);
  }
  return AccessRules(std::move(options));
}

bool AccessRules::IsAllowedHost(std::string_view host) const {
  if (IsLocalHost(host) || (!own_name_.empty() && host == own_name_)) return true;
  return std::find(options_.allowed_hosts.begin(), options_.allowed_hosts.end(), host) !=
         options_.allowed_hosts.end();
}

bool AccessRules::AllowsOrigin(std::string_view origin) const {
  return std::any_of(options_.cors_origins.begin(), options_.cors_origins.end(),
                     [origin](const std::string& one) { return one == "*" || one == origin; });
}

bool AccessRules::IsKnownKey(std::string_view key) const {
  bool known = false;  // all are compared, so that the time does not say which one it was
  for (const std::string& one : options_.keys) known |= EqualInConstantTime(key, one);
  return known;
}

std::optional<AccessRefusal> AccessRules::CheckKey(const HttpRequest& head) const {
  if (options_.keys.empty() || head.path == "/health" || head.method == "OPTIONS") return {};
  const std::string* bearer = head.Header("authorization");
  const std::string* plain = head.Header("x-api-key");
  if (bearer == nullptr && plain == nullptr) {
    return AccessRefusal{401,
                         "this server wants a key: send it as 'Authorization: Bearer KEY' or "
                         "'x-api-key: KEY'"};
  }
  const bool known = (bearer != nullptr && IsKnownKey(BearerOf(*bearer))) ||
                     (plain != nullptr && IsKnownKey(*plain));
  if (known) return {};
  return AccessRefusal{401, "the key is not one of this server's"};
}

std::optional<AccessRefusal> AccessRules::Check(const HttpRequest& head) const {
  if (head.CountHeaders("host") > 1)
    return AccessRefusal{400, "there is more than one Host header"};
  const std::string* host = head.Header("host");
  if (options_.loopback && host != nullptr) {
    const auto name = HostOf(*host);
    if (!name) return AccessRefusal{400, "the Host header is not a host's name"};
    if (!IsAllowedHost(*name)) {
      return AccessRefusal{403,
                           fmt::format("the Host '{}' is not a local one; start the server with "
                                       "--allowed-host {} to allow it",
                                       *name, *name)};
    }
  }
  const std::string* origin = head.Header("origin");
  const bool open = options_.loopback || options_.keys.empty();
  if (origin != nullptr && open && !AllowsOrigin(*origin)) {
    const auto name = OriginHost(*origin);
    if (!name || !IsAllowedHost(*name)) {
      const std::string shown = name.value_or("null");
      return AccessRefusal{
          403, fmt::format("pages of the Origin '{}' may not use this server; start it with "
                           "--cors ORIGIN (pages from there may read answers) or --allowed-host {} "
                           "to allow it",
                           shown, name ? shown : "NAME")};
    }
  }
  return CheckKey(head);
}

HttpHeaders AccessRules::CorsHeaders(const HttpRequest& head) const {
  const std::string* origin = head.Header("origin");
  if (options_.cors_origins.empty() || origin == nullptr || !AllowsOrigin(*origin)) return {};
  HttpHeaders headers = {{"Access-Control-Allow-Origin", *origin}, {"Vary", "Origin"}};
  if (head.method != "OPTIONS") return headers;
  headers.emplace_back("Access-Control-Allow-Methods", "GET, POST, OPTIONS");
  headers.emplace_back("Access-Control-Max-Age", "600");
  const std::string* wanted = head.Header("access-control-request-headers");
  if (wanted != nullptr) headers.emplace_back("Access-Control-Allow-Headers", *wanted);
  return headers;
}

}  // namespace larder
