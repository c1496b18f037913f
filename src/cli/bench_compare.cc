// Reading, ratios, noise.
#include "cli/bench_compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <sstream>

#include "base/size.h"
#include "cli/bench_report.h"

namespace larder {

namespace {

constexpr double kFastest = 1e12;  // tokens/s
constexpr double kSlowest = 1e-12;

Result<BenchRates> ReadRow(const nlohmann::json& json) {
  const char* complaint = "the earlier report is not what bench -o json writes";
  if (!json.is_object() || !json.contains("test") || !json["test"].is_string() ||
      !json.contains("state") || !json["state"].is_string() ||
      !json.contains("tokens_per_second") || !json["tokens_per_second"].is_object()) {
    return DataError("{}: a row has no test, state or tokens_per_second", complaint);
  }
  const nlohmann::json& rates = json["tokens_per_second"];
  if (!rates.contains("all") || !rates["all"].is_array() || rates["all"].empty()) {
    return DataError("{}: a row has no rates", complaint);
  }
  BenchRates row{json["test"].get<std::string>(), json["state"].get<std::string>(), {}, {}};
  for (const nlohmann::json& one : rates["all"]) {
    const double rate = one.is_number() ? one.get<double>() : 0;
    if (!(rate > kSlowest && rate < kFastest)) {
      return DataError("{}: a rate is no number above 0", complaint);
    }
    row.rates.push_back(rate);
  }
  if (json.contains("hash") && json["hash"].is_string()) row.hash = json["hash"];
  if (json.contains("first_repetition") && json["first_repetition"].is_number_integer()) {
    row.first_repetition = json["first_repetition"].get<std::int64_t>();
  }
  return row;
}

nlohmann::json Member(const nlohmann::json& json, const char* key) {
  return json.is_object() ? json.value(key, nlohmann::json()) : nlohmann::json();
}

// On one line; empty for what is no text or number.
std::string ValueText(const nlohmann::json& value) {
  if (!value.is_string()) return value.is_number() ? value.dump() : "";
  std::string text = value.get<std::string>();
  std::replace_if(
      text.begin(), text.end(), [](char c) { return c == '\n' || c == '\r'; }, ' ');
  return text;
}

std::int64_t Count(const nlohmann::json& value) {
  return value.is_number_integer() ? value.get<std::int64_t>() : 0;
}

// A chosen budget follows the free memory; where it holds every expert, its size says nothing.
std::string BudgetText(const nlohmann::json& report) {
  const nlohmann::json budget = Member(report, "budget_bytes");
  if (!budget.is_number_unsigned()) return "";
  const std::int64_t n_experts = Count(Member(report, "n_experts"));
  const bool is_chosen = Member(Member(report, "settings"), "memory") == "chosen";
  if (is_chosen && n_experts > 0 && Count(Member(report, "n_expert_slots")) >= n_experts) {
    return "chosen, with room for every expert";
  }
  return FormatBytes(budget.get<std::uint64_t>());
}

std::string FileName(const std::string& path) { return path.substr(path.rfind('/') + 1); }

// What "lossy" and the budget say already, and where the others came from.
bool IsToldElsewhere(const std::string& setting) {
  return setting == "kv_type" || setting == "experts" || setting == "expert_mass" ||
         setting == "memory" || setting == "profile";
}

const BenchRates* Earlier(const std::vector<BenchRates>& before, const BenchRates& now) {
  const auto then = std::find_if(before.begin(), before.end(), [&now](const BenchRates& row) {
    return row.test == now.test && row.state == now.state;
  });
  return then == before.end() ? nullptr : &*then;
}

std::string ValueOf(const BenchSetup& setup, const std::string& name) {
  for (const auto& [known, value] : setup) {
    if (known == name) return value;
  }
  return "";
}

// Such a routing goes on from where the last test left it.
bool HasSequence(const BenchSetup& setup) {
  const std::string routing = ValueOf(setup, "routing");
  return routing.rfind("workload ", 0) == 0 || routing.rfind("trace ", 0) == 0;
}

bool IsSameWork(const BenchRates& before, const BenchRates& after) {
  return before.test == after.test && before.rates.size() == after.rates.size();
}

// Each repetition has tokens of its own.
bool IsOfSameRepetitions(const BenchRates& before, const BenchRates& after) {
  return IsSameWork(before, after) && before.first_repetition && after.first_repetition &&
         *before.first_repetition == *after.first_repetition;
}

// Nothing but these may change an answer.
bool HasSameAnswers(const BenchRates& before, const BenchRates& after) {
  if (!IsOfSameRepetitions(before, after)) return false;
  for (const char* name : {"model", "model's size in bytes", "change of the model's own answers",
                           "routing", "setting seed", "setting recall"}) {
    if (ValueOf(before.setup, name) != ValueOf(after.setup, name)) return false;
  }
  return true;
}

void AddOnce(std::string line, std::vector<std::string>* lines) {
  if (std::find(lines->begin(), lines->end(), line) == lines->end()) {
    lines->push_back(std::move(line));
  }
}

double RelativeVariance(const std::vector<double>& rates) {
  double mean = 0;
  for (const double rate : rates) mean += rate / static_cast<double>(rates.size());
  double squares = 0;
  for (const double rate : rates) squares += (rate - mean) * (rate - mean);
  return squares / static_cast<double>(rates.size() - 1) / (mean * mean);
}

}  // namespace

BenchSetup SetupOf(const nlohmann::json& report) {
  BenchSetup setup;
  const auto add = [&setup](const std::string& name, const std::string& value) {
    if (!value.empty()) setup.emplace_back(name, value);
  };
  const nlohmann::json model = Member(report, "model");
  add("model", FileName(ValueText(Member(model, "path"))));
  add("model's size in bytes", ValueText(Member(model, "size_bytes")));
  const std::string lossy = ValueText(Member(report, "lossy"));
  add("change of the model's own answers", lossy.empty() ? "none" : lossy);
  add("memory budget", BudgetText(report));
  add("routing", ValueText(Member(report, "routing")));
  const nlohmann::json machine = Member(report, "machine");
  add("processor", ValueText(Member(machine, "cpu")));
  add("disk", ValueText(Member(machine, "disk")));
  const nlohmann::json settings = Member(report, "settings");
  for (const auto& [name, value] : settings.items()) {
    // Which reader an older report's "auto" came to is not known.
    const bool is_unknown = (name == "io" || name == "reads") && value == "auto";
    if (!IsToldElsewhere(name) && !is_unknown) add("setting " + name, ValueText(value));
  }
  return setup;
}

bool BenchRatio::is_clear() const { return is_known() && std::abs(ratio - 1) > noise; }

Result<std::vector<BenchRates>> ReadBenchRows(const std::string& text) {
  std::vector<nlohmann::json> found;
  const nlohmann::json whole = nlohmann::json::parse(text, nullptr, false);
  if (whole.is_object() && whole.contains("results") && whole["results"].is_array()) {
    for (const nlohmann::json& row : whole["results"]) found.push_back(row);
  } else {
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
      if (!line.empty()) found.push_back(nlohmann::json::parse(line, nullptr, false));
    }
  }
  if (found.empty()) return DataError("the earlier report holds no rows of bench -o json");
  std::vector<BenchRates> rows;
  for (const nlohmann::json& json : found) {
    LARDER_ASSIGN_OR_RETURN(BenchRates row, ReadRow(json));
    row.setup = SetupOf(whole.is_object() && whole.contains("results") ? whole : json);
    rows.push_back(std::move(row));
  }
  return rows;
}

std::vector<BenchRatio> CompareRows(const std::vector<BenchRates>& before,
                                    const std::vector<BenchRates>& after) {
  std::vector<BenchRatio> ratios;
  for (const BenchRates& now : after) {
    const BenchRates* then = Earlier(before, now);
    if (then == nullptr) continue;
    BenchRatio ratio;
    ratio.test = now.test;
    ratio.state = now.state;
    ratio.before = Quantile(then->rates, 0.5);
    ratio.after = Quantile(now.rates, 0.5);
    ratio.ratio = ratio.after / ratio.before;
    if (then->rates.size() > 1 && now.rates.size() > 1) {
      ratio.noise = 2 * std::sqrt(RelativeVariance(then->rates) + RelativeVariance(now.rates));
    }
    ratios.push_back(ratio);
  }
  return ratios;
}

std::vector<std::string> SetupDifferences(const std::vector<BenchRates>& before,
                                          const std::vector<BenchRates>& after) {
  std::vector<std::string> differences;
  for (const BenchRates& now : after) {
    const BenchRates* then = Earlier(before, now);
    if (then == nullptr) continue;
    for (const auto& [name, value] : now.setup) {
      const std::string earlier = ValueOf(then->setup, name);
      if (earlier.empty() || earlier == value) continue;
      AddOnce(fmt::format("the {} differs: {} / {}", name, earlier, value), &differences);
    }
    if (then->hash.empty() || now.hash.empty() || then->hash == now.hash) continue;
    if (!then->first_repetition) {
      AddOnce("the answers are not compared: the earlier report does not say its repetitions",
              &differences);
    }
    const bool is_same_sequence =
        !HasSequence(now.setup) || std::equal(before.data(), then, after.data(), &now, IsSameWork);
    if (is_same_sequence && HasSameAnswers(*then, now)) {
      AddOnce(fmt::format("the answers of {} {} differ: hash {} / {}", now.test, now.state,
                          ValueText(then->hash), now.hash),
              &differences);
    }
  }
  return differences;
}

std::string ToMarkdown(const std::vector<BenchRatio>& ratios) {
  if (ratios.empty()) return "no test of the earlier report was run again\n";
  std::string text =
      "| test | state | before | now | ratio | noise | |\n|---|---|---|---|---|---|---|\n";
  for (const BenchRatio& ratio : ratios) {
    const char* verdict = !ratio.is_known()   ? "one repetition: unknown"
                          : !ratio.is_clear() ? "within the noise"
                          : ratio.ratio > 1   ? "faster"
                                              : "slower";
    text += fmt::format("| {} | {} | {:.2f} | {:.2f} | {:.3f} | {} | {} |\n", ratio.test,
                        ratio.state, ratio.before, ratio.after, ratio.ratio,
                        ratio.is_known() ? fmt::format("± {:.3f}", ratio.noise) : "-", verdict);
  }
  return text;
}

nlohmann::json ToJson(const std::vector<BenchRatio>& ratios) {
  nlohmann::json json = nlohmann::json::array();
  for (const BenchRatio& ratio : ratios) {
    json.push_back({{"test", ratio.test},
                    {"state", ratio.state},
                    {"before", ratio.before},
                    {"after", ratio.after},
                    {"ratio", ratio.ratio},
                    {"is_clear", ratio.is_clear()}});
    if (ratio.is_known()) json.back()["noise"] = ratio.noise;
  }
  return json;
}

}  // namespace larder
