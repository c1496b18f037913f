// What bench writes reads back the same: CSV, JSON and JSON lines; ratios with their noise.
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <sstream>

#include "cli/bench_compare.h"
#include "cli/bench_output.h"
#include "cli/number_list.h"

namespace larder {
namespace {

BenchReport ExampleReport() {
  BenchReport report;
  report.version = "0.1.0";
  report.commit = "abc";
  report.cpu = "Some CPU, with \"quotes\" and, commas";
  report.disk = "nvme0n1\nsecond line";
  report.model_path = "model.gguf";
  report.rates = {1.25e9, 3.1e10};
  report.budget_bytes = 8589934592;
  for (int i = 0; i < 3; ++i) {
    BenchRow row;
    row.test = {i == 0, 512 >> i, i == 2 ? 8192 : 0};
    row.cold = i == 0;
    row.rates = {1.0 / 3 + i, 2.0 / 7 + i, 0.1 + i};
    row.median_rate = 2.0 / 7 + i;
    row.lowest_rate = 0.1 + i;
    row.highest_rate = 1.0 / 3 + i;
    row.hit_rate = 0.123456789012345;
    row.hash = 0xfedcba9876543210ull;
    report.rows.push_back(row);
  }
  report.token_times = {{"tg256", 0, {0.25, 0.5}}};
  return report;
}

// RFC 4180.
std::vector<std::vector<std::string>> ParseCsv(const std::string& text) {
  std::vector<std::vector<std::string>> lines(1, std::vector<std::string>(1));
  bool is_quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (is_quoted && c == '"' && i + 1 < text.size() && text[i + 1] == '"') {
      lines.back().back() += '"';
      ++i;
    } else if (c == '"') {
      is_quoted = !is_quoted;
    } else if (!is_quoted && c == ',') {
      lines.back().emplace_back();
    } else if (!is_quoted && c == '\n') {
      lines.emplace_back(1);
    } else {
      lines.back().back() += c;
    }
  }
  lines.pop_back();
  return lines;
}

TEST(BenchOutput, CsvReadsBackTheSame) {
  const BenchReport report = ExampleReport();
  const auto lines = ParseCsv(ToCsv(report));
  ASSERT_EQ(lines.size(), 4u);
  std::map<std::string, std::size_t> at;
  for (std::size_t i = 0; i < lines[0].size(); ++i) at[lines[0][i]] = i;
  for (std::size_t i = 0; i < 3; ++i) {
    const std::vector<std::string>& line = lines[i + 1];
    ASSERT_EQ(line.size(), lines[0].size());
    const BenchRow& row = report.rows[i];
    EXPECT_EQ(line[at["cpu"]], report.cpu);
    EXPECT_EQ(line[at["disk"]], report.disk);
    EXPECT_EQ(line[at["test"]], row.test.Name());
    EXPECT_EQ(line[at["state"]], i == 0 ? "cold" : "warm");
    EXPECT_EQ(std::stod(line[at["median_tokens_per_second"]]), row.median_rate);
    EXPECT_EQ(std::stod(line[at["hit_rate"]]), row.hit_rate);
    EXPECT_EQ(std::stoull(line[at["budget_bytes"]]), report.budget_bytes);
    EXPECT_EQ(line[at["hash"]], "fedcba9876543210");
  }
  EXPECT_EQ(lines[3][at["test"]], "tg128 @ d8192");
}

TEST(BenchOutput, JsonAndJsonLinesReadBackTheSame) {
  const BenchReport report = ExampleReport();
  for (const std::string& text : {ToJson(report).dump(2), ToJsonLines(report)}) {
    const auto rows = ReadBenchRows(text);
    ASSERT_TRUE(rows.ok()) << rows.status().message();
    ASSERT_EQ(rows->size(), 3u);
    for (std::size_t i = 0; i < 3; ++i) {
      EXPECT_EQ((*rows)[i].test, report.rows[i].test.Name());
      EXPECT_EQ((*rows)[i].rates, report.rows[i].rates);
    }
  }
  std::istringstream lines(ToJsonLines(report));
  int n_lines = 0;
  for (std::string line; std::getline(lines, line); ++n_lines) {
    const nlohmann::json json = nlohmann::json::parse(line);
    EXPECT_EQ(json["machine"]["cpu"], report.cpu);
    EXPECT_EQ(json["model"]["path"], "model.gguf");
  }
  EXPECT_EQ(n_lines, 3);
}

TEST(BenchOutput, ReportFileHoldsAll) {
  const std::string text = ToReportFile(ExampleReport(), "-m model.gguf -r 3");
  for (const char* part :
       {"larder bench -m model.gguf -r 3", "| pp512 | cold |", "\"commit\"",
        "test,repetition,token,seconds\ntg256,0,0,0.250000\n", "tg256,0,1,0.500000\n"}) {
    EXPECT_NE(text.find(part), std::string::npos) << part;
  }
}

TEST(BenchCompare, RatiosAndNoise) {
  const std::vector<BenchRates> before = {
      {"tg128", "warm", {9, 10, 11}}, {"pp512", "warm", {100}}, {"gone", "warm", {1, 1}}};
  const std::vector<BenchRates> after = {
      {"tg128", "warm", {14, 15, 16}}, {"pp512", "warm", {90, 90}}, {"tg128", "cold", {1, 1}}};
  const std::vector<BenchRatio> ratios = CompareRows(before, after);
  ASSERT_EQ(ratios.size(), 2u);
  EXPECT_DOUBLE_EQ(ratios[0].ratio, 1.5);
  EXPECT_NEAR(ratios[0].noise, 2 * std::sqrt(0.01 + 1.0 / 225), 1e-12);
  EXPECT_TRUE(ratios[0].is_clear());
  EXPECT_FALSE(ratios[1].is_known());
  EXPECT_FALSE(ratios[1].is_clear());
  const std::string table = ToMarkdown(ratios);
  EXPECT_NE(table.find("| tg128 | warm | 10.00 | 15.00 | 1.500 | ± 0.240 | faster |"),
            std::string::npos)
      << table;
  EXPECT_FALSE(CompareRows(before, before)[0].is_clear());
}

TEST(BenchCompare, DamagedReportsAreNamed) {
  for (const char* text :
       {"", "{}", "[1]", "{\"results\": []}", "{\"results\": [{\"test\": 1}]}",
        "{\"results\": [{\"test\": \"a\", \"state\": \"warm\"}]}",
        "{\"test\": \"a\", \"state\": \"b\", \"tokens_per_second\": {\"all\": []}}",
        "{\"test\": \"a\", \"state\": \"b\", \"tokens_per_second\": {\"all\": [-1]}}"}) {
    const auto rows = ReadBenchRows(text);
    ASSERT_FALSE(rows.ok()) << text;
    EXPECT_NE(rows.status().message().find("earlier report"), std::string::npos);
  }
}

TEST(BenchSustained, LastQuarterOverFirst) {
  SustainedRun run;
  for (const double seconds : {10.0, 10.0, 10.0, 10.0, 10.0, 10.0, 20.0, 20.0}) {
    run.windows.push_back({seconds, 100, 0.5, 0});
  }
  EXPECT_DOUBLE_EQ(run.LastOverFirst(), 0.5);
  EXPECT_DOUBLE_EQ(run.Rate(), 8.0);
  EXPECT_EQ(SustainedRun{}.LastOverFirst(), 0);
  EXPECT_EQ(ToJson(run)["windows"].size(), 8u);
}

TEST(NumberList, ListsAndWhatIsNone) {
  EXPECT_EQ(ParseNumberList("-p", "512,2048").value(), (std::vector<std::int64_t>{512, 2048}));
  EXPECT_EQ(ParseNumberList("-p", "0,").value(), (std::vector<std::int64_t>{0}));
  for (const char* text : {"", ",", "-1", "1.5", "x", "5 6", "99999999999999999999"}) {
    const auto numbers = ParseNumberList("-p", text);
    ASSERT_FALSE(numbers.ok()) << text;
    EXPECT_NE(numbers.status().message().find("-p"), std::string::npos);
  }
}

}  // namespace
}  // namespace larder
