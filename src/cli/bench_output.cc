// Columns, lines, and the file.
#include "cli/bench_output.h"

#include <fmt/format.h>

#include <utility>
#include <vector>

#include "cli/timing.h"

namespace larder {

namespace {

std::string Quoted(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + "\"";
}

using Columns = std::vector<std::pair<std::string, std::string>>;

std::string Number(double value) { return fmt::format("{}", value); }

// What all lines of a report have.
Columns CommonColumns(const BenchReport& report) {
  Columns columns = {{"version", report.version},
                     {"commit", report.commit},
                     {"cpu", report.cpu},
                     {"kernel", report.kernel},
                     {"disk", report.disk},
                     {"model", report.model_path},
                     {"model_name", report.model_name},
                     {"model_bytes", fmt::format("{}", report.model_bytes)},
                     {"budget_bytes", fmt::format("{}", report.budget_bytes)},
                     {"routing", report.routing},
                     {"lossy", report.lossy},
                     {"memory_bytes_per_second", Number(report.rates.memory_bytes_per_second)},
                     {"disk_bytes_per_second", Number(report.rates.disk_bytes_per_second)},
                     {"peak_resident_bytes", fmt::format("{}", report.peak_resident_bytes)}};
  for (const auto& [name, value] : report.settings.items()) {
    columns.emplace_back(name, value.is_string() ? value.get<std::string>() : value.dump());
  }
  return columns;
}

const BenchRatio* RatioOf(const BenchReport& report, const std::string& test,
                          const std::string& state) {
  for (const BenchRatio& ratio : report.ratios) {
    if (ratio.test == test && ratio.state == state) return &ratio;
  }
  return nullptr;
}

Columns RowColumns(const BenchReport& report, const BenchRow& row) {
  const std::string state = row.cold ? "cold" : "warm";
  Columns columns = {{"test", row.test.Name()},
                     {"state", state},
                     {"n_prompt", fmt::format("{}", row.test.is_prompt ? row.test.n_tokens : 0)},
                     {"n_answer", fmt::format("{}", row.test.is_prompt ? 0 : row.test.n_tokens)},
                     {"depth", fmt::format("{}", row.test.depth)},
                     {"n_repetitions", fmt::format("{}", row.rates.size())},
                     {"median_tokens_per_second", Number(row.median_rate)},
                     {"lowest_tokens_per_second", Number(row.lowest_rate)},
                     {"highest_tokens_per_second", Number(row.highest_rate)},
                     {"hit_rate", Number(row.hit_rate)},
                     {"bytes_read_per_token", Number(row.bytes_read_per_token)},
                     {"token_ms_p50", Number(row.token_ms_p50)},
                     {"token_ms_p95", Number(row.token_ms_p95)},
                     {"first_quarter_tokens_per_second", Number(row.first_quarter_rate)},
                     {"last_quarter_tokens_per_second", Number(row.last_quarter_rate)},
                     {"limit_tokens_per_second", Number(row.simple_limit_rate)},
                     {"pipeline_limit_tokens_per_second", Number(row.pipeline_limit_rate)},
                     {"hash", fmt::format("{:016x}", row.hash)}};
  if (report.compared_with.empty()) return columns;
  // Empty where the earlier report has no such row.
  const BenchRatio* ratio = RatioOf(report, row.test.Name(), state);
  columns.emplace_back("before_tokens_per_second", ratio != nullptr ? Number(ratio->before) : "");
  columns.emplace_back("ratio", ratio != nullptr ? Number(ratio->ratio) : "");
  columns.emplace_back("noise", ratio != nullptr && ratio->is_known() ? Number(ratio->noise) : "");
  return columns;
}

// The lines of a report: its rows, or the windows or pairs that took their place.
std::vector<Columns> LinesOf(const BenchReport& report) {
  std::vector<Columns> lines;
  for (const BenchRow& row : report.rows) lines.push_back(RowColumns(report, row));
  double from_s = 0;
  for (const SustainedWindow& window :
       report.sustained ? report.sustained->windows : std::vector<SustainedWindow>()) {
    lines.push_back({{"test", report.special_test},
                     {"from_s", Number(from_s)},
                     {"seconds", Number(window.seconds)},
                     {"n_tokens", fmt::format("{}", window.n_tokens)},
                     {"tokens_per_second", Number(window.rate())},
                     {"hit_rate", Number(window.hit_rate)},
                     {"bytes_read", Number(window.bytes_read)},
                     {"interrupted", report.sustained->is_interrupted ? "true" : "false"}});
    from_s += window.seconds;
  }
  for (const LookaheadPair& pair : report.pairs) {
    lines.push_back({{"test", report.special_test},
                     {"with_tokens_per_second", Number(pair.with)},
                     {"without_tokens_per_second", Number(pair.without)}});
  }
  return lines;
}

std::string Csv(const std::vector<Columns>& lines) {
  std::string text;
  for (const Columns& columns : lines) {
    std::string header;
    std::string line;
    for (const auto& [name, value] : columns) {
      header += (header.empty() ? "" : ",") + name;
      line += (line.empty() ? "" : ",") + Quoted(value);
    }
    if (text.empty()) text = header + "\n";
    text += line + "\n";
  }
  return text;
}

// Objects of the report's JSON that stand for its lines.
nlohmann::json ObjectsOf(const BenchReport& report, const nlohmann::json& whole) {
  nlohmann::json objects = report.sustained        ? whole["sustained"]["windows"]
                           : !report.pairs.empty() ? whole["lookahead_pairs"]["pairs"]
                                                   : whole["results"];
  for (nlohmann::json& object : objects) {
    if (report.rows.empty()) object["test"] = report.special_test;
    if (report.sustained) object["interrupted"] = report.sustained->is_interrupted;
    for (const BenchRatio& ratio : report.ratios) {
      if (ratio.test != object["test"] || ratio.state != object["state"]) continue;
      object["compared"] = ToJson(std::vector<BenchRatio>{ratio})[0];
    }
  }
  return objects;
}

}  // namespace

std::string ToCsv(const BenchReport& report) {
  const Columns common = CommonColumns(report);
  std::vector<Columns> lines = LinesOf(report);
  for (Columns& line : lines) line.insert(line.begin(), common.begin(), common.end());
  return Csv(lines);
}

std::string ToJsonLines(const BenchReport& report) {
  const nlohmann::json whole = ToJson(report);
  std::string text;
  for (nlohmann::json object : ObjectsOf(report, whole)) {
    for (const char* key : {"larder", "machine", "model", "plan", "routing", "settings",
                            "budget_bytes", "n_expert_slots", "n_experts"}) {
      object[key] = whole[key];
    }
    if (whole.contains("lossy")) object["lossy"] = whole["lossy"];
    text += DumpJson(object) + "\n";
  }
  return text;
}

std::string ToReportFile(const BenchReport& report, const std::string& settings) {
  std::string text =
      fmt::format("# larder bench\n\n    larder bench {}\n\n{}\n## JSON\n\n```json\n{}\n```\n",
                  settings, ToMarkdown(report), DumpJson(ToJson(report), 2));
  if (report.rows.empty()) {
    return text + fmt::format("\n## {}\n\n```csv\n{}```\n", report.sustained ? "Windows" : "Pairs",
                              Csv(LinesOf(report)));
  }
  text += "\n## Answer tokens\n\n```csv\ntest,repetition,token,seconds\n";
  for (const TokenTimes& times : report.token_times) {
    for (std::size_t i = 0; i < times.seconds.size(); ++i) {
      text += fmt::format("{},{},{},{:.6f}\n", Quoted(times.test), times.repetition, i,
                          times.seconds[i]);
    }
  }
  return text + "```\n";
}

}  // namespace larder
