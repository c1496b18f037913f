// Rows, Markdown, JSON.
#include "cli/bench_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>

#include "base/size.h"

namespace larder {

namespace {

constexpr double kGiga = 1e9;

void AddStats(const ExpertStats& from, ExpertStats* to) {
  to->n_hits += from.n_hits;
  to->n_misses += from.n_misses;
  to->n_read_ahead += from.n_read_ahead;
  to->n_requests += from.n_requests;
  to->bytes_read += from.bytes_read;
  to->bytes_requested += from.bytes_requested;
  to->n_reads += from.n_reads;
  to->n_retries += from.n_retries;
  to->stall_us += from.stall_us;
  to->read_busy_us += from.read_busy_us;
  to->read_latency_us += from.read_latency_us;
  to->policy_ns += from.policy_ns;
  to->n_guess_wanted += from.n_guess_wanted;
  to->n_guess_right += from.n_guess_right;
  to->n_guess_requests += from.n_guess_requests;
  to->n_ahead_begun += from.n_ahead_begun;
  to->n_ahead_throttled += from.n_ahead_throttled;
  to->ahead_useful_bytes += from.ahead_useful_bytes;
  to->ahead_wasted_bytes += from.ahead_wasted_bytes;
}

void AddTimes(const PhaseTimes& from, PhaseTimes* to) {
  to->embedding_us += from.embedding_us;
  to->attention_us += from.attention_us;
  to->linear_attention_us += from.linear_attention_us;
  to->router_us += from.router_us;
  to->experts_us += from.experts_us;
  to->expert_wait_us += from.expert_wait_us;
  to->output_us += from.output_us;
}

// Tokens per second of tokens [begin, end) of every repetition, as shares of the length.
double RateOfPart(const std::vector<const BenchRepetition*>& repetitions, double begin,
                  double end) {
  double seconds = 0;
  double n_tokens = 0;
  for (const BenchRepetition* repetition : repetitions) {
    const auto n = static_cast<double>(repetition->token_seconds.size());
    const auto first = static_cast<std::size_t>(begin * n);
    const auto last = std::max(static_cast<std::size_t>(end * n), first);
    for (std::size_t i = first; i < last; ++i) seconds += repetition->token_seconds[i];
    n_tokens += static_cast<double>(last - first);
  }
  return seconds > 0 ? n_tokens / seconds : 0;
}

void FillAnswer(const std::vector<const BenchRepetition*>& repetitions, BenchRow* row) {
  std::vector<double> seconds;
  for (const BenchRepetition* repetition : repetitions) {
    seconds.insert(seconds.end(), repetition->token_seconds.begin(),
                   repetition->token_seconds.end());
  }
  row->token_ms_p50 = 1e3 * Quantile(seconds, 0.5);
  row->token_ms_p95 = 1e3 * Quantile(seconds, 0.95);
  row->first_quarter_rate = RateOfPart(repetitions, 0, 0.25);
  row->last_quarter_rate = RateOfPart(repetitions, 0.75, 1);
}

BenchRow MakeRow(const BenchTest& test, const std::vector<const BenchRepetition*>& repetitions) {
  BenchRow row;
  row.test = test;
  row.cold = repetitions.front()->cold;
  row.hash = Fnv1a(nullptr, 0);
  row.experts_used_per_layer_min = repetitions.front()->experts_used_per_layer_min;
  for (const BenchRepetition* repetition : repetitions) {
    row.rates.push_back(repetition->figures.tokens_per_second());
    row.sum.n_tokens += repetition->figures.n_tokens;
    row.sum.n_evaluated += repetition->figures.n_evaluated;
    row.sum.seconds += repetition->figures.seconds;
    AddStats(repetition->figures.experts, &row.sum.experts);
    AddTimes(repetition->figures.times, &row.sum.times);
    row.experts_used_per_layer_min =
        std::min(row.experts_used_per_layer_min, repetition->experts_used_per_layer_min);
    row.hash = Fnv1a(&repetition->hash, sizeof(repetition->hash), row.hash);
  }
  row.median_rate = Quantile(row.rates, 0.5);
  row.lowest_rate = *std::min_element(row.rates.begin(), row.rates.end());
  row.highest_rate = *std::max_element(row.rates.begin(), row.rates.end());
  row.hit_rate = HitRate(row.sum.experts);
  row.bytes_read_per_token =
      static_cast<double>(row.sum.experts.bytes_read) / static_cast<double>(row.sum.n_tokens);
  if (!test.is_prompt) FillAnswer(repetitions, &row);
  return row;
}

void FillLimits(const ModelLayout& layout, const ModelShape& shape, const MachineRates& rates,
                BenchRow* row) {
  const auto rate_of = [](double seconds) { return seconds > 0 ? 1 / seconds : 0; };
  if (row->test.is_prompt) {
    const TokenCost cost =
        DecodeCost(layout, shape, row->sum.experts, static_cast<std::int64_t>(row->rates.size()));
    const auto n_tokens = static_cast<double>(row->test.n_tokens);
    row->prompt_expert_bytes = cost.expert_bytes;
    row->simple_limit_rate = n_tokens * rate_of(SimpleLimitSeconds(cost, rates));
    row->touched_limit_rate = n_tokens * rate_of(PrefillLimitSeconds(cost.expert_bytes, rates));
    return;
  }
  const TokenCost cost = DecodeCost(layout, shape, row->sum.experts, row->sum.n_tokens);
  row->simple_limit_rate = rate_of(SimpleLimitSeconds(cost, rates));
  row->pipeline_limit_rate = rate_of(PipelineLimitSeconds(cost, rates));
}

double Share(double rate, double limit) { return limit > 0 ? rate / limit : 0; }

std::string Percent(double share) { return fmt::format("{:.0f} %", 100 * share); }

std::string MarkdownRow(const BenchRow& row) {
  const bool is_answer = !row.test.is_prompt;
  const auto number = [](bool shown, double value) {
    return shown ? fmt::format("{:.2f}", value) : std::string("-");
  };
  const std::string limit =
      row.simple_limit_rate > 0
          ? fmt::format("{:.2f} ({})", row.simple_limit_rate,
                        Percent(Share(row.median_rate, row.simple_limit_rate)))
          : "-";
  const std::string pipeline =
      is_answer && row.pipeline_limit_rate > 0
          ? fmt::format("{:.2f} ({})", row.pipeline_limit_rate,
                        Percent(Share(row.median_rate, row.pipeline_limit_rate)))
          : "-";
  return fmt::format(
      "| {} | {} | {} | {:.2f} | {:.2f} to {:.2f} | {} | {} | {} | {} | {} | {} | {} | {} | "
      "{:016x} |\n",
      row.test.Name(), row.cold ? "cold" : "warm", row.rates.size(), row.median_rate,
      row.lowest_rate, row.highest_rate, Percent(row.hit_rate),
      FormatBytes(static_cast<std::uint64_t>(row.bytes_read_per_token)),
      number(is_answer, row.token_ms_p50), number(is_answer, row.token_ms_p95),
      number(is_answer, row.first_quarter_rate), number(is_answer, row.last_quarter_rate), limit,
      pipeline, row.hash);
}

nlohmann::json ToJson(const BenchRow& row) {
  nlohmann::json json = {{"test", row.test.Name()},
                         {"state", row.cold ? "cold" : "warm"},
                         {"n_tokens", row.test.n_tokens},
                         {"depth", row.test.depth},
                         {"n_repetitions", row.rates.size()},
                         {"first_repetition", row.first_repetition},
                         {"tokens_per_second",
                          {{"median", row.median_rate},
                           {"lowest", row.lowest_rate},
                           {"highest", row.highest_rate},
                           {"all", row.rates}}},
                         {"hit_rate", row.hit_rate},
                         {"bytes_read_per_token", row.bytes_read_per_token},
                         {"disk_bytes_per_second", DiskRate(row.sum.experts)},
                         {"experts_used_in_least_layer", row.experts_used_per_layer_min},
                         {"limit_tokens_per_second", row.simple_limit_rate},
                         {"share_of_limit", Share(row.median_rate, row.simple_limit_rate)},
                         {"hash", fmt::format("{:016x}", row.hash)},
                         {"phases", ToJson(row.sum.times)},
                         {"experts", ToJson(row.sum)}};
  if (row.test.is_prompt) {
    json["expert_bytes_touched"] = row.prompt_expert_bytes;
    json["touched_limit_tokens_per_second"] = row.touched_limit_rate;
    return json;
  }
  json["expert_bytes_per_token"] = static_cast<double>(row.sum.experts.bytes_requested) /
                                   static_cast<double>(std::max<std::int64_t>(row.sum.n_tokens, 1));
  json["token_ms"] = {{"p50", row.token_ms_p50}, {"p95", row.token_ms_p95}};
  json["first_quarter_tokens_per_second"] = row.first_quarter_rate;
  json["last_quarter_tokens_per_second"] = row.last_quarter_rate;
  json["pipeline_limit_tokens_per_second"] = row.pipeline_limit_rate;
  json["share_of_pipeline_limit"] = Share(row.median_rate, row.pipeline_limit_rate);
  return json;
}

// "batch 512, ctx 640, ..."
std::string Listed(const nlohmann::json& settings) {
  std::string text;
  for (const auto& [name, value] : settings.items()) {
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", name,
                        value.is_string() ? value.get<std::string>() : value.dump());
  }
  return text;
}

std::vector<double> PairRatios(const std::vector<LookaheadPair>& pairs) {
  std::vector<double> ratios;
  for (const LookaheadPair& pair : pairs) {
    ratios.push_back(pair.without > 0 ? pair.with / pair.without : 0);
  }
  return ratios;
}

// The figures that scripts hold to a bar, under names of their own: of the first prompt row (the
// cold one where there is one) and the last answer row.
void AddSummary(const BenchReport& report, nlohmann::json* json) {
  nlohmann::json summary;
  for (const BenchRow& row : report.rows) {
    if (!row.test.is_prompt) {
      summary["decode_tokens_per_second"] = row.median_rate;
      summary["decode_share_of_limit"] = Share(row.median_rate, row.simple_limit_rate);
      summary["decode_share_of_pipeline"] = Share(row.median_rate, row.pipeline_limit_rate);
      summary["decode_hit_rate"] = row.hit_rate;
      summary["experts_used_per_layer_min"] = row.experts_used_per_layer_min;
    } else if (!summary.contains("prefill_tokens_per_second")) {
      summary["prefill_tokens_per_second"] = row.median_rate;
      summary["prefill_share_of_disk"] = Share(row.median_rate, row.touched_limit_rate);
    }
  }
  if (const auto& row = report.probed_answer) {
    summary["decode_share_of_limit_probed"] = Share(row->median_rate, row->simple_limit_rate);
    summary["decode_share_of_pipeline_probed"] = Share(row->median_rate, row->pipeline_limit_rate);
  }
  (*json)["summary"] = std::move(summary);
}

}  // namespace

double Quantile(std::vector<double> values, double share) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const auto n = static_cast<double>(values.size());
  // The median of an even count is the mean of the two in the middle.
  if (share == 0.5 && values.size() % 2 == 0) {
    return (values[values.size() / 2 - 1] + values[values.size() / 2]) / 2;
  }
  const auto rank = static_cast<std::size_t>(std::max(1.0, std::ceil(share * n)));
  return values[std::min(rank, values.size()) - 1];
}

std::vector<BenchRow> MakeRows(const BenchTest& test,
                               const std::vector<BenchRepetition>& repetitions,
                               const ModelLayout& layout, const ModelShape& shape,
                               const MachineRates& rates) {
  std::vector<BenchRow> rows;
  for (const bool cold : {true, false}) {
    std::vector<const BenchRepetition*> in_state;
    for (const BenchRepetition& repetition : repetitions) {
      if (repetition.cold == cold) in_state.push_back(&repetition);
    }
    if (in_state.empty()) continue;
    rows.push_back(MakeRow(test, in_state));
    rows.back().first_repetition = static_cast<int>(in_state.front() - repetitions.data());
    FillLimits(layout, shape, rates, &rows.back());
  }
  return rows;
}

std::vector<BenchRates> RatesOf(const BenchReport& report) {
  std::vector<BenchRates> rates;
  const BenchSetup setup = SetupOf(ToJson(report));
  for (const BenchRow& row : report.rows) {
    rates.push_back({row.test.Name(), row.cold ? "cold" : "warm", row.rates, setup,
                     fmt::format("{:016x}", row.hash), row.first_repetition});
  }
  return rates;
}

std::string ToMarkdown(const BenchReport& report) {
  std::string text = fmt::format(
      "larder {} (commit {}), {}, {}, disk {}\n\nmodel {} ({})\n{}\nrouting: {}; loaded in {:.1f} "
      "s, peak memory {}\nmeasured in this run: memory {:.1f} GB/s ({:.1f} before, {:.1f} after), "
      "disk {:.2f} GB/s ({:.2f} "
      "before, {:.2f} after)\nsettings: {}\n\n",
      report.version, report.commit, report.cpu, report.kernel, report.disk, report.model_path,
      report.model_name, report.plan, report.routing, report.load_seconds,
      FormatBytes(report.peak_resident_bytes), report.rates.memory_bytes_per_second / kGiga,
      report.memory_rate_before / kGiga, report.memory_rate_after / kGiga,
      report.rates.disk_bytes_per_second / kGiga, report.disk_rate_before / kGiga,
      report.disk_rate_after / kGiga, Listed(report.settings));
  text +=
      "| test | state | runs | tokens/s | spread | hits | read/token | p50 ms | p95 ms | first "
      "quarter | last quarter | limit by bytes | limit by pipeline | hash |\n"
      "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n";
  for (const BenchRow& row : report.rows) text += MarkdownRow(row);
  if (report.rows.empty()) text.erase(text.rfind("| test |"));
  text += "\n";
  for (const BenchRow& row : report.rows) {
    text +=
        fmt::format("{} {}: {}; cache policy {:.2f} % of the time\n", row.test.Name(),
                    row.cold ? "cold" : "warm", DescribeLookahead(row.sum.experts),
                    row.sum.seconds > 0
                        ? 1e-7 * static_cast<double>(row.sum.experts.policy_ns) / row.sum.seconds
                        : 0.0);
  }
  if (!report.pairs.empty()) {
    const std::vector<double> ratios = PairRatios(report.pairs);
    text += fmt::format(
        "{}, lookahead auto against off, {} pairs: {:.3f} times as fast (median; {:.3f} to "
        "{:.3f})\n",
        report.special_test, ratios.size(), Quantile(ratios, 0.5), Quantile(ratios, 0),
        Quantile(ratios, 1));
  }
  if (report.sustained) {
    text += fmt::format("{}, without a pause:\n\n{}", report.special_test,
                        ToMarkdown(*report.sustained));
  }
  if (!report.compared_with.empty()) {
    text += fmt::format("\nbeside {}:\n\n", report.compared_with);
    for (const std::string& difference : report.differences) text += "- " + difference + "\n";
    if (!report.differences.empty()) text += "\n";
    text += ToMarkdown(report.ratios);
  }
  return text;
}

nlohmann::json ToJson(const BenchReport& report) {
  nlohmann::json json = {{"larder", {{"version", report.version}, {"commit", report.commit}}},
                         {"machine",
                          {{"cpu", report.cpu},
                           {"kernel", report.kernel},
                           {"disk", report.disk},
                           {"memory_bytes_per_second", report.rates.memory_bytes_per_second},
                           {"memory_bytes_per_second_before", report.memory_rate_before},
                           {"memory_bytes_per_second_after", report.memory_rate_after},
                           {"disk_bytes_per_second", report.rates.disk_bytes_per_second},
                           {"disk_bytes_per_second_before", report.disk_rate_before},
                           {"disk_bytes_per_second_after", report.disk_rate_after}}},
                         {"model",
                          {{"path", report.model_path},
                           {"name", report.model_name},
                           {"size_bytes", report.model_bytes}}},
                         {"plan", report.plan},
                         {"routing", report.routing},
                         {"settings", report.settings},
                         {"budget_bytes", report.budget_bytes},
                         {"dense_bytes", report.dense_bytes},
                         {"n_expert_slots", report.n_expert_slots},
                         {"n_experts", report.n_experts},
                         {"load_s", report.load_seconds},
                         {"peak_resident_bytes", report.peak_resident_bytes},
                         {"results", nlohmann::json::array()}};
  if (!report.lossy.empty()) json["lossy"] = report.lossy;
  for (const BenchRow& row : report.rows) json["results"].push_back(ToJson(row));
  AddSummary(report, &json);
  if (!report.pairs.empty()) {
    const std::vector<double> ratios = PairRatios(report.pairs);
    json["lookahead_pairs"] = {{"test", report.special_test},
                               {"pairs", nlohmann::json::array()},
                               {"ratios", ratios},
                               {"lookahead_ratio_median", Quantile(ratios, 0.5)}};
    for (const LookaheadPair& pair : report.pairs) {
      json["lookahead_pairs"]["pairs"].push_back(
          {{"with_tokens_per_second", pair.with}, {"without_tokens_per_second", pair.without}});
    }
  }
  if (report.sustained) {
    json["sustained"] = ToJson(*report.sustained);
    json["sustained"]["test"] = report.special_test;
  }
  if (!report.compared_with.empty()) {
    json["compared"] = {{"with", report.compared_with},
                        {"differences", report.differences},
                        {"rows", ToJson(report.ratios)}};
  }
  return json;
}

}  // namespace larder
