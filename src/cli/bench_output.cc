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

using Columns = std::vector<std::pair<const char*, std::string>>;

Columns ColumnsOf(const BenchReport& report, const BenchRow& row) {
  const auto number = [](double value) { return fmt::format("{}", value); };
  return {{"version", report.version},
          {"commit", report.commit},
          {"cpu", report.cpu},
          {"kernel", report.kernel},
          {"disk", report.disk},
          {"model", report.model_path},
          {"model_name", report.model_name},
          {"budget_bytes", fmt::format("{}", report.budget_bytes)},
          {"routing", report.routing},
          {"lossy", report.lossy},
          {"test", row.test.Name()},
          {"state", row.cold ? "cold" : "warm"},
          {"n_prompt", fmt::format("{}", row.test.is_prompt ? row.test.n_tokens : 0)},
          {"n_answer", fmt::format("{}", row.test.is_prompt ? 0 : row.test.n_tokens)},
          {"depth", fmt::format("{}", row.test.depth)},
          {"n_repetitions", fmt::format("{}", row.rates.size())},
          {"median_tokens_per_second", number(row.median_rate)},
          {"lowest_tokens_per_second", number(row.lowest_rate)},
          {"highest_tokens_per_second", number(row.highest_rate)},
          {"hit_rate", number(row.hit_rate)},
          {"bytes_read_per_token", number(row.bytes_read_per_token)},
          {"token_ms_p50", number(row.token_ms_p50)},
          {"token_ms_p95", number(row.token_ms_p95)},
          {"first_quarter_tokens_per_second", number(row.first_quarter_rate)},
          {"last_quarter_tokens_per_second", number(row.last_quarter_rate)},
          {"limit_tokens_per_second", number(row.simple_limit_rate)},
          {"pipeline_limit_tokens_per_second", number(row.pipeline_limit_rate)},
          {"memory_bytes_per_second", number(report.rates.memory_bytes_per_second)},
          {"disk_bytes_per_second", number(report.rates.disk_bytes_per_second)},
          {"peak_resident_bytes", fmt::format("{}", report.peak_resident_bytes)},
          {"hash", fmt::format("{:016x}", row.hash)}};
}

}  // namespace

std::string ToCsv(const BenchReport& report) {
  std::string text;
  for (const BenchRow& row : report.rows) {
    std::string header;
    std::string line;
    for (const auto& [name, value] : ColumnsOf(report, row)) {
      header += (header.empty() ? "" : ",") + std::string(name);
      line += (line.empty() ? "" : ",") + Quoted(value);
    }
    if (text.empty()) text = header + "\n";
    text += line + "\n";
  }
  return text;
}

std::string ToJsonLines(const BenchReport& report) {
  const nlohmann::json whole = ToJson(report);
  std::string text;
  for (nlohmann::json row : whole["results"]) {
    for (const char* key : {"larder", "machine", "model", "plan", "routing", "budget_bytes"}) {
      row[key] = whole[key];
    }
    if (whole.contains("lossy")) row["lossy"] = whole["lossy"];
    text += DumpJson(row) + "\n";
  }
  return text;
}

std::string ToReportFile(const BenchReport& report, const std::string& settings) {
  std::string text =
      fmt::format("# larder bench\n\n    larder bench {}\n\n{}\n## JSON\n\n```json\n{}\n```\n",
                  settings, ToMarkdown(report), DumpJson(ToJson(report), 2));
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
