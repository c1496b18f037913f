// The figures of a run, for --timing and --json: time per phase, hit rate, bytes read, disk rate,
// limits beside the measured rate. Plain data and printing.
#pragma once

#include <cstdint>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>

#include "cli/limits.h"
#include "experts/expert_store.h"
#include "models/model.h"

namespace larder {

/// One part of a run: the prompt, or the answer.
struct PhaseFigures {
  std::int64_t n_tokens = 0;
  /// Tokens that went through the model: an answer's first comes from the prompt's logits.
  std::int64_t n_evaluated = 0;
  double seconds = 0;
  ExpertStats experts;
  PhaseTimes times;

  double tokens_per_second() const {
    return seconds > 0 ? static_cast<double>(n_evaluated) / seconds : 0;
  }
};

double HitRate(const ExpertStats& stats);
/// One line: recall of the guesses, bytes read ahead that were useful or wasted, guesses left out.
std::string DescribeLookahead(const ExpertStats& stats);
/// Bytes per second while at least one read was in flight.
double DiskRate(const ExpertStats& stats);

nlohmann::json ToJson(const PhaseFigures& figures);
nlohmann::json ToJson(const PhaseTimes& times);

struct RunFigures {
  double load_seconds = 0;
  PhaseFigures prompt;
  PhaseFigures answer;
  double memory_bytes_per_second = 0;  // probed
  TokenCost answer_cost;
  std::uint64_t peak_resident_bytes = 0;
};

nlohmann::json ToJson(const RunFigures& figures);
/// The block that --timing prints.
void PrintTiming(std::FILE* out, const RunFigures& figures);

/// JSON with bytes that are not UTF-8 replaced, and no indentation.
std::string DumpJson(const nlohmann::json& json, int indent = -1);

}  // namespace larder
