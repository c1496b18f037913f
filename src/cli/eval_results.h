// Counts of an evaluation with their confidence intervals. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "cli/eval_task.h"

namespace larder {

struct Interval {
  double low = 0;
  double high = 1;
};

/// 95 % interval of a share of which `n_passed` of `n` were seen. Source: Wilson, "Probable
/// inference, the law of succession, and statistical inference" (1927).
Interval WilsonInterval(std::int64_t n_passed, std::int64_t n);

/// One answer.
struct EvalAnswer {
  std::string group;
  std::string id;
  std::uint64_t seed = 0;
  std::string text;
  std::vector<double> logprobs;  // of choices
  std::vector<EvalCheck> checks;
  std::string error = {};  // why the task was not put to the model; empty: it was
};

struct EvalCount {
  std::string group;
  std::string check;
  std::int64_t n_passed = 0;
  std::int64_t n = 0;
};

/// By group and check, in the order in which they come first.
std::vector<EvalCount> CountChecks(const std::vector<EvalAnswer>& answers);

/// Why a run ended before its last answer. Each depth of the program has its own word for Ctrl-C;
/// this is always "interrupted".
std::string WhyStopped(const Status& status);

std::string ToMarkdown(const std::vector<EvalCount>& counts);
nlohmann::json ToJson(const std::vector<EvalCount>& counts);
nlohmann::json ToJson(const EvalAnswer& answer);

}  // namespace larder
