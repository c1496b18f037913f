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
  report.model_bytes = 123;
  report.settings = {{"profile", "--io-depth 32"}, {"io_depth", 32}, {"lookahead", "auto"}};
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

// What takes the place of the tests.
BenchReport SustainedReport() {
  BenchReport report = ExampleReport();
  report.rows.clear();
  report.token_times.clear();
  report.special_test = "tg128";
  report.sustained.emplace();
  report.sustained->windows = {{2, 10, 0.5, 1e6}, {4, 10, 0.25, 2e6}};
  return report;
}

BenchReport PairsReport() {
  BenchReport report = SustainedReport();
  report.sustained.reset();
  report.pairs = {{3, 2}, {5, 4}};
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
    EXPECT_EQ(line[at["io_depth"]], "32");
    EXPECT_EQ(line[at["profile"]], "--io-depth 32");
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
    EXPECT_EQ(json["settings"]["io_depth"], 32);
  }
  EXPECT_EQ(n_lines, 3);
}

TEST(BenchOutput, WindowsAndPairsTakeThePlaceOfRows) {
  const auto windows = ParseCsv(ToCsv(SustainedReport()));
  ASSERT_EQ(windows.size(), 3u);
  const std::vector<std::string> tail(windows[2].end() - 8, windows[2].end());
  EXPECT_EQ(tail,
            (std::vector<std::string>{"tg128", "2", "4", "10", "2.5", "0.25", "2000000", "false"}));
  const auto pairs = ParseCsv(ToCsv(PairsReport()));
  ASSERT_EQ(pairs.size(), 3u);
  EXPECT_EQ(pairs[0].back(), "without_tokens_per_second");
  EXPECT_EQ(pairs[2].back(), "4");
  for (const BenchReport& report : {SustainedReport(), PairsReport()}) {
    std::istringstream lines(ToJsonLines(report));
    int n_lines = 0;
    for (std::string line; std::getline(lines, line); ++n_lines) {
      const nlohmann::json json = nlohmann::json::parse(line);
      EXPECT_EQ(json["test"], "tg128");
      EXPECT_EQ(json["machine"]["cpu"], report.cpu);
    }
    EXPECT_EQ(n_lines, 2);
  }
  EXPECT_NE(
      ToReportFile(SustainedReport(), "")
          .find("\n## Windows\n\n```csv\ntest,from_s,seconds,n_tokens,tokens_per_second,hit_rate,"
                "bytes_read,interrupted\ntg128,0,2,10,5,0.5,1000000,false\n"
                "tg128,2,4,10,2.5,0.25,2000000,false\n```"),
      std::string::npos);
  EXPECT_NE(ToReportFile(PairsReport(), "")
                .find("\n## Pairs\n\n```csv\ntest,with_tokens_per_second,"
                      "without_tokens_per_second\ntg128,3,2\n"),
            std::string::npos);
}

TEST(BenchOutput, RatiosAreInEveryFormat) {
  BenchReport report = ExampleReport();
  report.compared_with = "old.json";
  report.differences = {"the memory budget differs: 4 / 8"};
  report.ratios = {{"tg256", "warm", 2, 3, 1.5, 0.25}};
  const auto lines = ParseCsv(ToCsv(report));
  const std::vector<std::string> names(lines[0].end() - 3, lines[0].end());
  EXPECT_EQ(names, (std::vector<std::string>{"before_tokens_per_second", "ratio", "noise"}));
  EXPECT_EQ(lines[1].back(), "") << "the earlier report has no pp512";
  EXPECT_EQ(lines[2].back(), "0.25");
  EXPECT_EQ(lines[2][lines[2].size() - 2], "1.5");
  std::istringstream objects(ToJsonLines(report));
  std::string line;
  std::getline(objects, line);
  EXPECT_FALSE(nlohmann::json::parse(line).contains("compared"));
  std::getline(objects, line);
  EXPECT_EQ(nlohmann::json::parse(line)["compared"]["ratio"], 1.5);
  EXPECT_EQ(ToJson(report)["compared"]["differences"].size(), 1u);
  const std::string text = ToMarkdown(report);
  EXPECT_LT(text.find("- the memory budget differs: 4 / 8\n"), text.find("| ratio |"));
}

TEST(BenchOutput, ReportFileHoldsAll) {
  const std::string text = ToReportFile(ExampleReport(), "-m model.gguf -r 3");
  for (const char* part :
       {"larder bench -m model.gguf -r 3", "| pp512 | cold |", "\"commit\"",
        "settings: io_depth 32, lookahead auto, profile --io-depth 32\n",
        "test,repetition,token,seconds\ntg256,0,0,0.250000\n", "tg256,0,1,0.500000\n"}) {
    EXPECT_NE(text.find(part), std::string::npos) << part;
  }
}

TEST(BenchCompare, WhatDiffersIsSaid) {
  const BenchReport old = ExampleReport();
  BenchReport now = old;
  now.model_path = "elsewhere/model.gguf";
  const auto differences = [&now](const std::string& earlier) {
    const auto before = ReadBenchRows(earlier);
    EXPECT_TRUE(before.ok()) << before.status().message();
    return SetupDifferences(before.value(), RatesOf(now));
  };
  EXPECT_TRUE(differences(ToJson(old).dump()).empty()) << "the same file, moved";
  now.model_path = "other.gguf";
  now.model_bytes = 456;
  now.lossy = "keys and values kept as Q8_0";
  now.budget_bytes = 4294967296;
  now.routing = "workload mid";
  now.cpu = "Another";
  now.settings["io_depth"] = 16;
  now.settings["profile"] = "none";
  const std::vector<std::string> expected = {
      "the model differs: model.gguf / other.gguf",
      "the model's size in bytes differs: 123 / 456",
      "the change of the model's own answers differs: none / keys and values kept as Q8_0",
      "the memory budget differs: 8.00 GiB / 4.00 GiB",
      "the processor differs: " + old.cpu + " / Another",
      "the setting io_depth differs: 32 / 16"};
  // An earlier report without a routing says nothing of it.
  EXPECT_EQ(differences(ToJson(old).dump()), expected);
  EXPECT_EQ(differences(ToJsonLines(old)), expected);
  nlohmann::json bare = ToJson(old);
  for (const char* key : {"model", "machine", "settings", "budget_bytes", "routing"}) {
    bare[key] = nlohmann::json::array();
  }
  EXPECT_EQ(differences(bare.dump()).size(), 1u) << "only what changes the answers is known";
}

std::vector<std::string> Differences(const BenchReport& before, const BenchReport& after) {
  const auto rows = ReadBenchRows(ToJsonLines(before));
  EXPECT_TRUE(rows.ok()) << rows.status().message();
  return SetupDifferences(rows.value(), RatesOf(after));
}

TEST(BenchCompare, AChosenBudgetWithRoomForAllIsNoDifference) {
  BenchReport old = ExampleReport();
  old.settings["memory"] = "chosen";
  old.n_expert_slots = old.n_experts = 100;
  BenchReport now = old;
  now.budget_bytes += 1 << 20;
  now.n_expert_slots += 5;
  EXPECT_TRUE(Differences(old, now).empty());
  now.n_expert_slots = 99;
  EXPECT_EQ(Differences(old, now).size(), 1u);
  now = old;
  now.budget_bytes = 4294967296;
  now.settings["memory"] = "4G";
  EXPECT_EQ(Differences(old, now),
            std::vector<std::string>{
                "the memory budget differs: chosen, with room for every expert / 4.00 GiB"});
}

TEST(BenchCompare, AnOlderReportsAutoSaysNothingOfTheReader) {
  BenchReport old = ExampleReport();
  BenchReport now = old;
  old.settings["io"] = "auto";
  now.settings["io"] = "uring";
  EXPECT_TRUE(Differences(old, now).empty());
  old.settings["io"] = "threads";
  EXPECT_EQ(Differences(old, now),
            std::vector<std::string>{"the setting io differs: threads / uring"});
}

TEST(BenchCompare, OtherAnswersOfTheSameSetupAreSaid) {
  const BenchReport old = ExampleReport();
  BenchReport now = old;
  now.rows[1].hash = 1;
  EXPECT_EQ(Differences(old, now),
            std::vector<std::string>{
                "the answers of tg256 warm differ: hash fedcba9876543210 / 0000000000000001"});
  now.settings["threads"] = 3;  // changes no answer
  EXPECT_EQ(Differences(old, now).size(), 1u);
  now.model_path = "other.gguf";
  EXPECT_EQ(Differences(old, now),
            std::vector<std::string>{"the model differs: model.gguf / other.gguf"});
}

TEST(BenchCompare, AnswersOfOtherRepetitionsMayDiffer) {
  BenchReport old = ExampleReport();
  old.rows[1].first_repetition = 1;  // behind a cold one
  BenchReport now = old;
  now.rows[1].hash = 1;
  EXPECT_EQ(Differences(old, now).size(), 1u);
  now.rows[1].first_repetition = 0;
  EXPECT_TRUE(Differences(old, now).empty());
  nlohmann::json older = ToJson(old);
  for (nlohmann::json& row : older["results"]) row.erase("first_repetition");
  const auto rows = ReadBenchRows(older.dump());
  ASSERT_TRUE(rows.ok()) << rows.status().message();
  for (const int first : {0, 1}) {
    now.rows[1].first_repetition = first;
    const std::vector<std::string> said = SetupDifferences(*rows, RatesOf(now));
    ASSERT_EQ(said.size(), 1u);
    EXPECT_EQ(said[0].find("the answers are not compared: the earlier report does not say"), 0u);
  }
}

TEST(BenchCompare, AWorkloadGoesOnFromTestToTest) {
  BenchReport old = ExampleReport();
  BenchReport now = old;
  now.rows[0].test.n_tokens = 1024;
  now.rows[1].hash = 1;
  EXPECT_EQ(Differences(old, now).size(), 1u) << "the model's own router knows nothing of others";
  old.routing = now.routing = "workload mid, lookahead with recall 0.75";
  EXPECT_TRUE(Differences(old, now).empty());
  now.rows[0] = old.rows[0];
  EXPECT_EQ(Differences(old, now).size(), 1u);
  now.rows[0].rates.pop_back();
  EXPECT_TRUE(Differences(old, now).empty());
}

TEST(BenchCompare, ADifferenceIsOneLine) {
  BenchReport old = ExampleReport();
  const BenchReport now = old;
  old.settings["lookahead"] = "a\n- b";
  EXPECT_EQ(Differences(old, now),
            std::vector<std::string>{"the setting lookahead differs: a - b / auto"});
}

TEST(BenchCompare, RatiosAndNoise) {
  const std::vector<BenchRates> before = {{"tg128", "warm", {9, 10, 11}, {}},
                                          {"pp512", "warm", {100}, {}},
                                          {"gone", "warm", {1, 1}, {}}};
  const std::vector<BenchRates> after = {{"tg128", "warm", {14, 15, 16}, {}},
                                         {"pp512", "warm", {90, 90}, {}},
                                         {"tg128", "cold", {1, 1}, {}}};
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
        "{\"test\": \"a\", \"state\": \"b\", \"tokens_per_second\": {\"all\": [-1]}}",
        "{\"test\": \"a\", \"state\": \"b\", \"tokens_per_second\": {\"all\": [1e-320]}}"}) {
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
  EXPECT_DOUBLE_EQ(run.LastOverFirst().value(), 0.5);
  EXPECT_DOUBLE_EQ(run.Rate(), 8.0);
  EXPECT_FALSE(SustainedRun{}.LastOverFirst());
  EXPECT_EQ(ToJson(run)["windows"].size(), 8u);
  run.is_interrupted = true;
  EXPECT_EQ(ToJson(run)["interrupted"], true);
  EXPECT_EQ(ToJson(run)["last_over_first"], 0.5);
  EXPECT_NE(ToMarkdown(run).find(" over 100 s, then interrupted; "), std::string::npos);
}

TEST(BenchSustained, OneWindowHasNoLastQuarter) {
  SustainedRun run;
  run.windows.push_back({10, 100, 0.5, 0});
  EXPECT_TRUE(ToJson(run)["last_over_first"].is_null());
  const std::string text = ToMarkdown(run);
  EXPECT_NE(text.find("\n10.00 tokens/s over 10 s\n"), std::string::npos) << text;
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
