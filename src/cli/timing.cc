// Figures to text and JSON.
#include "cli/timing.h"

#include <fmt/format.h>

#include "base/size.h"
#include "cli/output.h"
#include "cli/progress.h"

namespace larder {

namespace {

struct NamedTime {
  const char* key;
  const char* label;
  std::int64_t PhaseTimes::*member;
};

constexpr NamedTime kTimes[] = {
    {"embedding", "embedding", &PhaseTimes::embedding_us},
    {"attention", "attention", &PhaseTimes::attention_us},
    {"linear_attention", "linear attention", &PhaseTimes::linear_attention_us},
    {"router", "router, shared expert", &PhaseTimes::router_us},
    {"experts", "experts", &PhaseTimes::experts_us},
    {"expert_wait", "waiting for the disk", &PhaseTimes::expert_wait_us},
    {"output", "output matrix", &PhaseTimes::output_us},
};

constexpr double kGiga = 1e9;

void PrintPhase(std::FILE* out, const char* name, const PhaseFigures& figures) {
  PrintTo(out, "{:<8}{} tokens in {:.2f} s, {:.2f} tokens/s; hits {:.1f} %, {} read", name,
          figures.n_tokens, figures.seconds, figures.tokens_per_second(),
          100 * HitRate(figures.experts), FormatBytes(figures.experts.bytes_read));
  if (figures.experts.bytes_read > 0) {
    PrintTo(out, " at {:.2f} GB/s", DiskRate(figures.experts) / kGiga);
  }
  PrintTo(out, "\n");
  double other_s = figures.seconds;
  for (const NamedTime& time : kTimes) {
    const double seconds = static_cast<double>(figures.times.*time.member) * 1e-6;
    other_s -= seconds;
    PrintTo(out, "        {:<22}{:9.3f} s{:6.1f} %\n", time.label, seconds,
            figures.seconds > 0 ? 100 * seconds / figures.seconds : 0.0);
  }
  PrintTo(out, "        {:<22}{:9.3f} s\n", "other", other_s > 0 ? other_s : 0.0);
  PrintTo(out, "        {}\n", DescribeLookahead(figures.experts));
}

double Ratio(std::uint64_t part, std::uint64_t whole) {
  return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : 0;
}

MachineRates RatesOf(const RunFigures& figures) {
  return {DiskRate(figures.answer.experts), figures.memory_bytes_per_second};
}

}  // namespace

double HitRate(const ExpertStats& stats) {
  const double n_requested = static_cast<double>(stats.n_hits + stats.n_misses);
  return n_requested > 0 ? static_cast<double>(stats.n_hits) / n_requested : 0;
}

double DiskRate(const ExpertStats& stats) {
  if (stats.read_busy_us <= 0) return 0;
  return static_cast<double>(stats.bytes_read) / (static_cast<double>(stats.read_busy_us) * 1e-6);
}

std::string DescribeLookahead(const ExpertStats& stats) {
  if (stats.n_guess_requests == 0) return "lookahead: not used";
  return fmt::format(
      "lookahead: asked in {:.0f} % of requests, recall {:.1f} %, {} useful and {} wasted, {:.0f} "
      "% "
      "of misses were under way, {} guesses left out",
      100 * Ratio(stats.n_guess_requests, stats.n_requests),
      100 * Ratio(stats.n_guess_right, stats.n_guess_wanted), FormatBytes(stats.ahead_useful_bytes),
      FormatBytes(stats.ahead_wasted_bytes), 100 * Ratio(stats.n_read_ahead, stats.n_misses),
      stats.n_ahead_throttled);
}

nlohmann::json ToJson(const PhaseTimes& times) {
  nlohmann::json json;
  for (const NamedTime& time : kTimes) {
    json[std::string(time.key) + "_s"] = static_cast<double>(times.*time.member) * 1e-6;
  }
  return json;
}

nlohmann::json ToJson(const PhaseFigures& figures) {
  const ExpertStats& stats = figures.experts;
  return {{"n_tokens", figures.n_tokens},
          {"seconds", figures.seconds},
          {"tokens_per_second", figures.tokens_per_second()},
          {"hit_rate", HitRate(stats)},
          {"n_hits", stats.n_hits},
          {"n_misses", stats.n_misses},
          {"n_reads", stats.n_reads},
          {"n_retries", stats.n_retries},
          {"bytes_read", stats.bytes_read},
          {"disk_bytes_per_second", DiskRate(stats)},
          {"stall_s", static_cast<double>(stats.stall_us) * 1e-6},
          {"policy_s", static_cast<double>(stats.policy_ns) * 1e-9},
          {"lookahead",
           {{"n_requests", stats.n_guess_requests},
            {"recall", Ratio(stats.n_guess_right, stats.n_guess_wanted)},
            {"n_misses_read_ahead", stats.n_read_ahead},
            {"n_experts_begun", stats.n_ahead_begun},
            {"n_experts_left_out", stats.n_ahead_throttled},
            {"useful_bytes", stats.ahead_useful_bytes},
            {"wasted_bytes", stats.ahead_wasted_bytes}}},
          {"phases", ToJson(figures.times)}};
}

nlohmann::json ToJson(const RunFigures& figures) {
  nlohmann::json json = {{"load_s", figures.load_seconds},
                         {"prompt", ToJson(figures.prompt)},
                         {"answer", ToJson(figures.answer)},
                         {"peak_resident_bytes", figures.peak_resident_bytes}};
  if (figures.memory_bytes_per_second > 0) {
    const MachineRates rates = RatesOf(figures);
    json["memory_bytes_per_second"] = rates.memory_bytes_per_second;
    json["simple_limit_s_per_token"] = SimpleLimitSeconds(figures.answer_cost, rates);
    json["pipeline_limit_s_per_token"] = PipelineLimitSeconds(figures.answer_cost, rates);
  }
  return json;
}

void PrintTiming(std::FILE* out, const RunFigures& figures) {
  PrintTo(out, "load    {:.2f} s, peak memory {}\n", figures.load_seconds,
          FormatBytes(figures.peak_resident_bytes));
  PrintPhase(out, "prompt", figures.prompt);
  if (figures.answer.n_tokens == 0) return;
  PrintPhase(out, "answer", figures.answer);
  const MachineRates rates = RatesOf(figures);
  const double simple_s = SimpleLimitSeconds(figures.answer_cost, rates);
  const double pipeline_s = PipelineLimitSeconds(figures.answer_cost, rates);
  const double measured = figures.answer.tokens_per_second();
  if (simple_s <= 0 || pipeline_s <= 0) return;
  PrintTo(out,
          "limits  {:.2f} tokens/s by bytes ({:.0f} % reached), {:.2f} by the pipeline "
          "({:.0f} % reached); per token {} touched at {:.1f} GB/s, {} missed\n",
          1 / simple_s, 100 * measured * simple_s, 1 / pipeline_s, 100 * measured * pipeline_s,
          FormatBytes(static_cast<std::uint64_t>(figures.answer_cost.touched_bytes())),
          rates.memory_bytes_per_second / kGiga,
          FormatBytes(static_cast<std::uint64_t>(figures.answer_cost.missed_bytes)));
}

std::string DumpJson(const nlohmann::json& json, int indent) {
  return json.dump(indent, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace larder
