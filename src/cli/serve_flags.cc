// Flags of the server to its options.
#include "cli/serve_flags.h"

#include <cstdlib>

#include "base/size.h"
#include "cli/command.h"

namespace larder {

namespace {

Result<std::uint64_t> SizeOf(const char* option, const std::string& text) {
  Result<std::uint64_t> bytes = ParseSize(text);
  if (!bytes.ok()) return bytes.status().WithContext(option);
  return bytes;
}

Result<std::string> DefaultCacheFolder() {
  const char* cache = std::getenv("XDG_CACHE_HOME");
  if (cache != nullptr && cache[0] == '/') return std::string(cache) + "/larder";
  const char* home = std::getenv("HOME");
  if (home != nullptr && home[0] == '/') return std::string(home) + "/.cache/larder";
  return InvalidArgument("--cache-disk finds no home folder; give --cache-folder DIR too");
}

void AddAccessFlags(CLI::App* app, ServeFlags* flags) {
  app->add_option("--host", flags->host, "address to listen on, 127.0.0.1 by default")
      ->type_name("ADDRESS");
  app->add_option("--port", flags->port, "8080 by default; 0: any free one, which is printed")
      ->type_name("N")
      ->check(WholeNumber(0));
  app->add_option("--api-key", flags->keys, "clients must send this key; may be repeated")
      ->type_name("KEY")
      ->allow_extra_args(false);
  app->add_option("--api-key-file", flags->key_file, "keys from a file, one per line")
      ->type_name("FILE");
  app->add_flag("--no-auth", flags->no_auth, "no key even where others reach the address");
  app->add_option("--allowed-host", flags->allowed_hosts,
                  "a name under which clients call the server, beside local ones; may be repeated")
      ->type_name("NAME")
      ->allow_extra_args(false);
  app->add_option("--cors", flags->cors_origins,
                  "pages of this origin may read answers, * for all; may be repeated")
      ->type_name("ORIGIN")
      ->allow_extra_args(false);
}

}  // namespace

void AddServeFlags(CLI::App* app, ServeFlags* flags) {
  AddAccessFlags(app, flags);
  app->add_option("--name", flags->name, "what clients call the model; default: from the file")
      ->type_name("NAME");
  app->add_flag("--strict-model", flags->strict_model, "refuse requests for any other name");
  app->add_option(
         "--think", flags->think,
         "where a request does not say: reason first, do not (default), or at most N tokens")
      ->type_name("on|off|N")
      ->expected(0, 1);
  app->add_option("--max-tokens", flags->max_tokens,
                  "longest answer where a request does not say; default: to the context's end")
      ->type_name("N")
      ->check(WholeNumber(1));
  app->add_option("--parallel", flags->n_parallel, "requests at once, 4 by default")
      ->type_name("N")
      ->check(WholeNumber(1));
  app->add_option("--queue", flags->queue_limit,
                  "requests that may wait beside them, 64 by default")
      ->type_name("N")
      ->check(WholeNumber(1));
  app->add_option("--batching", flags->batching,
                  "steps for several requests: auto (when it is faster), always or never")
      ->type_name("MODE")
      ->check(CLI::IsMember({"auto", "always", "never"}));
  app->add_option("--cache-memory", flags->cache_memory,
                  "for beginnings of prompts, inside the budget; default: a sixteenth of it")
      ->type_name("SIZE");
  app->add_option(
         "--cache-disk", flags->cache_disk,
         "keep beginnings of prompts on disk too, at most SIZE, and at most four times that "
         "written a day; default: no")
      ->type_name("SIZE");
  app->add_option("--cache-folder", flags->cache_folder,
                  "where; default: larder in the user's cache folder")
      ->type_name("DIR");
}

Result<AccessOptions> MakeAccessOptions(const ServeFlags& flags) {
  AccessOptions options;
  options.loopback = IsLoopbackAddress(flags.host);
  options.allowed_hosts = flags.allowed_hosts;
  options.cors_origins = flags.cors_origins;
  options.keys = flags.keys;
  if (!flags.key_file.empty()) {
    LARDER_ASSIGN_OR_RETURN(const std::vector<std::string> keys, ReadKeyFile(flags.key_file));
    options.keys.insert(options.keys.end(), keys.begin(), keys.end());
  }
  if (!options.loopback && options.keys.empty() && !flags.no_auth) {
    return InvalidArgument(
        "others reach --host {}: give --api-key-file FILE with a key that clients must send, or "
        "--no-auth to let everybody in",
        flags.host);
  }
  return options;
}

Result<HttpServerOptions> MakeHttpOptions(const ServeFlags& flags) {
  if (flags.port > 65535) {
    return InvalidArgument("--port must be at most 65535, not {}", flags.port);
  }
  HttpServerOptions options;
  options.host = flags.host;
  options.port = static_cast<std::uint16_t>(flags.port);
  return options;
}

Result<SchedulerOptions> MakeSchedulerOptions(const ServeFlags& flags) {
  if (flags.n_parallel > 256) return InvalidArgument("--parallel must be at most 256");
  SchedulerOptions options;
  options.n_parallel = flags.n_parallel;
  options.queue_limit = flags.queue_limit;
  options.batching = flags.batching == "always"  ? BatchMode::kAlways
                     : flags.batching == "never" ? BatchMode::kNever
                                                 : BatchMode::kAuto;
  if (flags.cache_disk.empty()) {
    if (flags.cache_folder.empty()) return options;
    return InvalidArgument("--cache-folder needs --cache-disk SIZE");
  }
  LARDER_ASSIGN_OR_RETURN(options.disk_limit_bytes, SizeOf("--cache-disk", flags.cache_disk));
  options.disk_folder = flags.cache_folder;
  if (options.disk_folder.empty()) {
    LARDER_ASSIGN_OR_RETURN(options.disk_folder, DefaultCacheFolder());
  }
  return options;
}

Result<std::optional<std::uint64_t>> CacheMemoryBytes(const ServeFlags& flags) {
  if (flags.cache_memory.empty()) return std::optional<std::uint64_t>();
  LARDER_ASSIGN_OR_RETURN(const std::uint64_t bytes, SizeOf("--cache-memory", flags.cache_memory));
  return std::optional<std::uint64_t>(bytes);
}

}  // namespace larder
