// Flags left out stay empty, so that a model's values are not overridden by our defaults.
#include "cli/sampling_flags.h"

#include <cerrno>
#include <cstdlib>
#include <limits>
#include <variant>

#include "cli/command.h"

namespace larder {

namespace {

Result<LogitBias> ParseLogitBias(const std::string& text) {
  const Status wrong = InvalidArgument(
      "\"{}\" is no logit bias; give a token's id and a number, as in 1234=-2.5 or 1234=-inf",
      text);
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0 || equals + 1 == text.size()) return wrong;
  std::int64_t id = 0;
  for (const char c : text.substr(0, equals)) {
    if (c < '0' || c > '9') return wrong;
    id = id * 10 + (c - '0');
    if (id > std::numeric_limits<std::int32_t>::max()) return wrong;
  }
  const std::string number = text.substr(equals + 1);
  char* end = nullptr;
  const double bias = std::strtod(number.c_str(), &end);
  if (end != number.c_str() + number.size()) return wrong;
  return LogitBias{static_cast<std::int32_t>(id), bias};
}

Status PutGiven(const SamplingFlags& flags, SamplerParams* params) {
  if (flags.temperature) params->temperature = *flags.temperature;
  if (flags.top_k) params->top_k = *flags.top_k;
  if (flags.top_p) params->top_p = *flags.top_p;
  if (flags.min_p) params->min_p = *flags.min_p;
  if (flags.repeat_penalty) params->repeat_penalty = *flags.repeat_penalty;
  if (flags.presence_penalty) params->presence_penalty = *flags.presence_penalty;
  if (flags.frequency_penalty) params->frequency_penalty = *flags.frequency_penalty;
  if (flags.penalty_window) params->penalty_window = *flags.penalty_window;
  params->logit_bias.clear();
  for (const std::string& text : flags.logit_bias) {
    LARDER_ASSIGN_OR_RETURN(const LogitBias entry, ParseLogitBias(text));
    params->logit_bias.push_back(entry);
  }
  params->seed = flags.seed;
  return CheckSamplerParams(*params);
}

std::optional<double> NumberOf(const Metadata& metadata, const std::string& key) {
  const MetadataValue* value = metadata.Find(key);
  if (value == nullptr || value->type == MetadataType::kArray) return std::nullopt;
  if (const auto* number = std::get_if<double>(&value->scalar)) return *number;
  if (const auto* number = std::get_if<std::uint64_t>(&value->scalar)) {
    return static_cast<double>(*number);
  }
  if (const auto* number = std::get_if<std::int64_t>(&value->scalar)) {
    return static_cast<double>(*number);
  }
  return std::nullopt;
}

}  // namespace

void AddSamplingFlags(CLI::App* app, SamplingFlags* flags) {
  app->add_option("--temp", flags->temperature, "temperature; 0 takes the most likely token")
      ->type_name("X");
  app->add_option("--top-k", flags->top_k, "only the N most likely; 0: all")
      ->type_name("N")
      ->check(WholeNumber(0));
  app->add_option("--top-p", flags->top_p, "the fewest that reach this probability")
      ->type_name("X");
  app->add_option("--min-p", flags->min_p, "none below this share of the best")->type_name("X");
  app->add_option("--repeat-penalty", flags->repeat_penalty,
                  "divides the logits of tokens seen lately; 1: none")
      ->type_name("X");
  app->add_option("--presence-penalty", flags->presence_penalty,
                  "taken from the logits of tokens in the answer")
      ->type_name("X");
  app->add_option("--frequency-penalty", flags->frequency_penalty,
                  "the same, for each time they occur")
      ->type_name("X");
  app->add_option("--penalty-window", flags->penalty_window,
                  "last tokens that the penalties look at, 64 by default; 0: all")
      ->type_name("N")
      ->check(WholeNumber(0));
  app->add_option("--logit-bias", flags->logit_bias,
                  "adds VALUE to a token's logit, -inf forbids it; may be repeated")
      ->type_name("ID=VALUE")
      ->allow_extra_args(false);
  app->add_option("--seed", flags->seed, "of the random choice, 0 by default")
      ->type_name("N")
      ->check(WholeNumber(0));
}

Status CheckSamplingFlags(const SamplingFlags& flags) {
  SamplerParams params;
  return PutGiven(flags, &params);
}

Result<SamplerParams> MakeSamplerParams(const SamplingFlags& flags, const Metadata& metadata,
                                        std::int64_t n_vocab) {
  SamplerParams params =
      ModelSamplerParams([&metadata](const std::string& key) { return NumberOf(metadata, key); });
  LARDER_RETURN_IF_ERROR(PutGiven(flags, &params));
  for (const LogitBias& entry : params.logit_bias) {
    if (entry.token < n_vocab) continue;
    return InvalidArgument("--logit-bias names token {}; the vocabulary has ids 0 to {}",
                           entry.token, n_vocab - 1);
  }
  return params;
}

}  // namespace larder
