// Counting.
#include "cli/eval_results.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace larder {

namespace {

// As a cell of a Markdown table.
std::string Cell(const std::string& text) {
  std::string cell;
  for (const char c : text) {
    if (c == '|') cell += '\\';
    cell += c == '\n' || c == '\r' ? ' ' : c;
  }
  return cell;
}

}  // namespace

Interval WilsonInterval(std::int64_t n_passed, std::int64_t n) {
  if (n == 0) return {};
  constexpr double kZ = 1.959963984540054;
  const auto total = static_cast<double>(n);
  const double share = static_cast<double>(n_passed) / total;
  const double scale = 1 + kZ * kZ / total;
  const double middle = (share + kZ * kZ / (2 * total)) / scale;
  const double half =
      kZ / scale * std::sqrt(share * (1 - share) / total + kZ * kZ / (4 * total * total));
  return {n_passed == 0 ? 0.0 : std::max(0.0, middle - half),
          n_passed == n ? 1.0 : std::min(1.0, middle + half)};
}

std::vector<EvalCount> CountChecks(const std::vector<EvalAnswer>& answers) {
  std::vector<EvalCount> counts;
  for (const EvalAnswer& answer : answers) {
    for (const EvalCheck& check : answer.checks) {
      const auto found = std::find_if(counts.begin(), counts.end(), [&](const EvalCount& count) {
        return count.group == answer.group && count.check == check.name;
      });
      EvalCount& count =
          found != counts.end() ? *found : counts.emplace_back(EvalCount{answer.group, check.name});
      count.n_passed += check.passed ? 1 : 0;
      ++count.n;
    }
  }
  return counts;
}

std::string WhyStopped(const Status& status) {
  return status.code() == StatusCode::kCancelled ? "interrupted" : status.message();
}

std::string ToMarkdown(const std::vector<EvalCount>& counts) {
  std::string text =
      "| group | check | passed | of | share | 95 % interval |\n"
      "|---|---|---|---|---|---|\n";
  for (const EvalCount& count : counts) {
    const Interval interval = WilsonInterval(count.n_passed, count.n);
    text += fmt::format("| {} | {} | {} | {} | {:.1f} % | {:.1f} to {:.1f} % |\n",
                        Cell(count.group), Cell(count.check), count.n_passed, count.n,
                        100 * static_cast<double>(count.n_passed) / static_cast<double>(count.n),
                        100 * interval.low, 100 * interval.high);
  }
  return text;
}

nlohmann::json ToJson(const std::vector<EvalCount>& counts) {
  nlohmann::json json = nlohmann::json::array();
  for (const EvalCount& count : counts) {
    const Interval interval = WilsonInterval(count.n_passed, count.n);
    json.push_back({{"group", count.group},
                    {"check", count.check},
                    {"passed", count.n_passed},
                    {"of", count.n},
                    {"share", static_cast<double>(count.n_passed) / static_cast<double>(count.n)},
                    {"low", interval.low},
                    {"high", interval.high}});
  }
  return json;
}

nlohmann::json ToJson(const EvalAnswer& answer) {
  nlohmann::json json = {{"group", answer.group},
                         {"id", answer.id},
                         {"seed", answer.seed},
                         {"checks", nlohmann::json::object()}};
  if (!answer.error.empty()) {
    json["error"] = answer.error;
  } else if (answer.logprobs.empty()) {
    json["answer"] = answer.text;
  } else {
    json["logprobs"] = answer.logprobs;
  }
  for (const EvalCheck& check : answer.checks) json["checks"][check.name] = check.passed;
  return json;
}

}  // namespace larder
