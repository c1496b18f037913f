// The options every command that loads a model shares, and loading with a progress line. One
// thread.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <memory>
#include <string>

#include "base/status.h"
#include "engine/engine.h"

namespace larder {

struct EngineFlags {
  const CLI::App* app = nullptr;  // says which options were given; null: all
  std::string model;
  std::string memory;
  std::int64_t context_tokens = 0;
  int n_threads = 0;
  std::int64_t batch_tokens = 0;
  std::int64_t preferred_batch = 0;  // the profile's; EngineOptions::preferred_batch
  int n_used = 0;
  double expert_mass = 1;
  std::string io = "auto";
  int io_depth = 16;
  std::string reads = "auto";
  std::string throttle;
  std::string lookahead = "auto";
  std::int64_t lookahead_depth = LookaheadThrottle::kMaxInFlight;
  double cache_half_life = kHeatHalfLife;
  std::string kv_type = "f16";
  std::string pin = "auto";
  std::string warm_start = "off";  // the command's own default
  std::string profile = "auto";
  std::string from_profile;  // the options that WithProfile took
};

/// Adds -m --memory --ctx --threads --batch --experts --expert-mass --io --io-depth --reads
/// --io-throttle --lookahead --lookahead-depth --cache-half-life --kv-type --pin --warm-start
/// --profile. `app` outlives the use of `flags` and its copies.
void AddEngineFlags(CLI::App* app, EngineFlags* flags);

/// `flags` with what was not given taken from the model's profile, if there is one (said on
/// stderr), as far as this process can have it; what comes back counts as given.
/// kInvalidArgument when the model or the budget is no such thing.
Result<EngineFlags> WithProfile(EngineFlags flags);

/// Checks what was given, finds the demo model when no -m was, and takes the rest from the
/// model's profile, as WithProfile does. kInvalidArgument names the option.
Result<EngineOptions> MakeEngineOptions(const EngineFlags& flags);

/// Engine::Load with a progress line; then says on stderr how the budget is spent and what changes
/// the answer (one line).
Result<std::unique_ptr<Engine>> LoadEngine(EngineOptions options);

/// kInvalidArgument "--name must be at least X, not Y" when below.
Status CheckAtLeast(const char* option, std::int64_t value, std::int64_t least);

}  // namespace larder
