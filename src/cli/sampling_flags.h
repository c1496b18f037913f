// The flags that say how tokens are chosen, shared by the commands that generate.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "format/metadata.h"
#include "sample/sampler.h"

namespace larder {

struct SamplingFlags {
  std::optional<double> temperature;
  std::optional<int> top_k;
  std::optional<double> top_p;
  std::optional<double> min_p;
  std::optional<double> repeat_penalty;
  std::optional<double> presence_penalty;
  std::optional<double> frequency_penalty;
  std::optional<int> penalty_window;
  std::vector<std::string> logit_bias;  // ID=VALUE
  std::uint64_t seed = 0;
};

void AddSamplingFlags(CLI::App* app, SamplingFlags* flags);

/// What can be known to be wrong without a model; kInvalidArgument.
Status CheckSamplingFlags(const SamplingFlags& flags);

/// Larder's defaults, the model's own general.sampling.* values over them, the flags over both.
/// kInvalidArgument for values out of range and for a biased id that is not below `n_vocab`.
Result<SamplerParams> MakeSamplerParams(const SamplingFlags& flags, const Metadata& metadata,
                                        std::int64_t n_vocab);

}  // namespace larder
