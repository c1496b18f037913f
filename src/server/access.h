// Who may speak to the server: which Host and Origin headers are believed, which keys, and what
// cross-origin pages are told. Immutable once made, any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "server/http.h"

namespace larder {

struct AccessOptions {
  bool loopback = true;                    // what is listened on
  std::vector<std::string> allowed_hosts;  // beside the local ones
  std::vector<std::string> keys;           // one must be presented; empty: none
  std::vector<std::string> cors_origins;   // "https://chat.example.org", or "*"
};

struct AccessRefusal {
  int status = 403;
  std::string sentence;
};

class AccessRules {
 public:
  /// kInvalidArgument: a key that is empty or has blanks or control characters, an origin without
  /// scheme.
  static Result<AccessRules> Make(AccessOptions options);

  /// A server on loopback believes only local names, because a page from elsewhere can point a name
  /// of its own at 127.0.0.1 ("DNS rebinding"); without keys it believes only local origins.
  /// /health needs no key.
  std::optional<AccessRefusal> Check(const HttpRequest& head) const;

  /// Access-Control headers for an origin that was given with --cors.
  HttpHeaders CorsHeaders(const HttpRequest& head) const;
  bool AllowsOrigin(std::string_view origin) const;

 private:
  explicit AccessRules(AccessOptions options);
  bool IsAllowedHost(std::string_view host) const;
  bool IsKnownKey(std::string_view key) const;
  std::optional<AccessRefusal> CheckKey(const HttpRequest& head) const;

  AccessOptions options_;
  std::string own_name_;
};

/// The host of "host", "host:port", "[::1]:port", without the brackets; lower case. nullopt for
/// what is none.
std::optional<std::string> HostOf(std::string_view authority);

/// localhost, .localhost, .local, .internal, and addresses that are loopback, private, shared
/// (100.64/10) or link-local. `host` as HostOf gives it.
bool IsLocalHost(std::string_view host);

/// Takes as long for a wrong key as for the right one, whatever they have in common.
bool EqualInConstantTime(std::string_view presented, std::string_view secret);

/// Keys from a file, one per line; empty lines and lines with # are passed over.
Result<std::vector<std::string>> ReadKeyFile(const std::string& path);

}  // namespace larder
