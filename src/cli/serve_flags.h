// The options of `larder serve` that are the server's own. One thread.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "cli/command.h"
#include "engine/scheduler.h"
#include "server/access.h"
#include "server/http_server.h"

namespace larder {

struct ServeFlags {
  std::string host = "127.0.0.1";
  int port = 8080;
  std::vector<std::string> keys;
  std::string key_file;
  bool no_auth = false;
  std::vector<std::string> allowed_hosts;
  std::vector<std::string> cors_origins;
  std::string name;
  bool strict_model = false;
  std::string think = "off";
  std::int64_t max_tokens = 0;
  int n_parallel = 4;
  int queue_limit = 64;
  std::string batching = "auto";
  std::string cache_memory;
  std::string cache_disk;
  std::string cache_folder;
};

void AddServeFlags(CLI::App* app, ServeFlags* flags);

/// What the flags mean; kInvalidArgument names the option. An address that others reach needs a
/// key, or --no-auth.
Result<AccessOptions> MakeAccessOptions(const ServeFlags& flags);
Result<HttpServerOptions> MakeHttpOptions(const ServeFlags& flags);
Result<SchedulerOptions> MakeSchedulerOptions(const ServeFlags& flags);
/// --cache-memory in bytes; nothing when it was not given.
Result<std::optional<std::uint64_t>> CacheMemoryBytes(const ServeFlags& flags);

/// `larder serve`; the other commands do not include the server.
int ServeMain(const Arguments& arguments);

}  // namespace larder
