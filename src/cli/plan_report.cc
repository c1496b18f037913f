// Markdown and JSON.
#include "cli/plan_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/size.h"
#include "cli/chat_screen.h"

namespace larder {

namespace {

constexpr double kGiga = 1e9;

// 0: not known.
std::string Rate(double rate) {
  if (rate == 0) return "-";
  return rate >= 100 ? fmt::format("{:.0f}", rate) : fmt::format("{:.2f}", rate);
}

std::string RangeText(const RateRange& range) {
  if (range.expected == 0) return "-";
  return fmt::format("{} ({} to {})", Rate(range.expected), Rate(range.low), Rate(range.high));
}

std::string Ms(double seconds) { return fmt::format("{:.1f}", 1e3 * seconds); }

// A file's text on a line of a terminal.
std::string OneLine(const std::string& text) {
  std::string line = WithoutControls(text);
  std::replace_if(
      line.begin(), line.end(), [](char c) { return c == '\n' || c == '\t'; }, ' ');
  return line;
}

std::string MachineText(const PlanReport& report) {
  const MachineFigures& machine = report.machine;
  std::string text =
      fmt::format("machine: {}{} ({}): memory {:.1f} GB/s, disk {:.2f} GB/s", OneLine(machine.name),
                  machine.disk.empty() ? "" : ", disk " + OneLine(machine.disk),
                  report.machine_source, machine.memory_bytes_per_second / kGiga,
                  machine.DiskBytesPerSecond(576 << 10, 16.0 * (576 << 10)) / kGiga);
  if (machine.memory_bytes > 0)
    text += fmt::format(", {} memory", FormatBytes(machine.memory_bytes));
  if (machine.disk_free_bytes) {
    text += fmt::format(", {} free on the disk", FormatBytes(*machine.disk_free_bytes));
  }
  return text + "\n";
}

std::string MarkdownRow(const PlanTypes& types, const PlanRow& row) {
  if (!row.problem.empty()) {
    return fmt::format("| {} | {} | does not work: the smallest budget is {} | | | | |\n",
                       types.name, SizeToPaste(row.budget_bytes),
                       SizeToPaste(types.smallest_budget_bytes));
  }
  return fmt::format("| {} | {} | {:.0f} % | {:.0f} % | {} | {} | {} |\n", types.name,
                     SizeToPaste(row.budget_bytes), 100 * row.resident_share, 100 * row.hit_rate,
                     RangeText(row.decode), RangeText(row.prefill), Rate(row.decode_limit));
}

std::string FitsText(const PlanTypes& types) {
  if (!types.fits_disk) return "-";
  return *types.fits_disk ? "yes" : "no";
}

std::string StandInText(const PlanReport& report) {
  std::string text;
  for (const DType dtype : report.product_types) {
    const ProductRate* stand_in = report.machine.StandInFor(dtype);
    if (stand_in == nullptr) continue;
    text += fmt::format("{}{} from {}", text.empty() ? "" : ", ", DTypeName(dtype),
                        DTypeName(stand_in->dtype));
  }
  if (text.empty()) return text;
  return "\nthe machine file lacks products of some types, which are taken from others: " + text +
         "\n";
}

// 0: not known, which nothing falls to or from.
bool Falls(const RateRange& from, const RateRange& to) {
  return from.expected > 0 && to.expected > 0 && to.expected < from.expected;
}

// Where more memory predicts less, it is the engine's batch that took it: the one that keeps the
// rates of the row before; 0 where they do not fall.
std::int64_t FasterBatch(const std::vector<PlanRow>& rows, std::size_t i) {
  if (i == 0) return 0;
  const PlanRow& less = rows[i - 1];
  const PlanRow& more = rows[i];
  if (!less.problem.empty() || more.plan.max_batch <= less.plan.max_batch) return 0;
  const bool falls = Falls(less.decode, more.decode) || Falls(less.prefill, more.prefill);
  return falls ? less.plan.max_batch : 0;
}

std::string BatchText(const PlanReport& report) {
  std::string text;
  for (const PlanTypes& types : report.types) {
    for (std::size_t i = 0; i < types.rows.size(); ++i) {
      const PlanRow& row = types.rows[i];
      const std::int64_t faster = FasterBatch(types.rows, i);
      if (faster == 0) continue;
      text += fmt::format(
          "{}{} with {}: prompts go in batches of {}, which helps long ones but takes memory from "
          "experts; --batch {} gives it back\n",
          text.empty() ? "\n" : "", types.name, SizeToPaste(row.budget_bytes), row.plan.max_batch,
          faster);
    }
  }
  return text;
}

std::string TimeText(const PlanRow& row) {
  const double total = std::max(row.parts.total(), 1e-12);
  const auto part = [total](const char* name, double seconds) {
    return fmt::format("{} {} ms ({:.0f} %)", name, Ms(seconds), 100 * seconds / total);
  };
  return fmt::format(
      "{}, {}, {}, {}, {}", part("layers without experts", row.parts.dense),
      part("attention over the cache", row.parts.attention), part("experts", row.parts.experts),
      part("waiting for the disk", row.parts.disk), part("output matrix", row.parts.output));
}

// Never "-0 %".
std::string GainText(double ratio) {
  const double percent = std::round(100 * (ratio - 1));
  return percent == 0 ? "no difference" : fmt::format("{:+.0f} %", percent);
}

nlohmann::json ToJson(const RateRange& range) {
  if (range.expected == 0) return nullptr;
  return {{"expected", range.expected}, {"low", range.low}, {"high", range.high}};
}

nlohmann::json ToJson(const PlanRow& row) {
  nlohmann::json json = {{"budget_bytes", row.budget_bytes}, {"works", row.problem.empty()}};
  if (!row.problem.empty()) {
    json["problem"] = row.problem;
    return json;
  }
  json["mode"] = row.plan.mode;
  json["n_slots"] = row.plan.slots.n_slots;
  json["n_experts"] = row.plan.slots.n_records;
  json["batch_tokens"] = row.plan.max_batch;
  json["resident_share"] = row.resident_share;
  json["hit_rate"] = row.hit_rate;
  json["decode_tokens_per_second"] = ToJson(row.decode);
  json["prefill_tokens_per_second"] = ToJson(row.prefill);
  json["decode_limit_tokens_per_second"] = row.decode_limit;
  json["decode_seconds"] = {{"dense", row.parts.dense},
                            {"attention", row.parts.attention},
                            {"experts", row.parts.experts},
                            {"disk", row.parts.disk},
                            {"output", row.parts.output}};
  json["prefill_seconds"] = nullptr;
  if (row.prefill.expected > 0) {
    json["prefill_seconds"] = {{"compute", row.prefill_parts.compute},
                               {"disk", row.prefill_parts.disk}};
  }
  return json;
}

}  // namespace

const PlanRow* MainRow(const PlanReport& report) {
  if (report.main_types >= report.types.size()) return nullptr;
  for (const PlanRow& row : report.types[report.main_types].rows) {
    if (row.budget_bytes == report.main_budget_bytes) return row.problem.empty() ? &row : nullptr;
  }
  return nullptr;
}

const PlanTypes* BestWhole(const PlanReport& report) {
  const PlanTypes* best = nullptr;
  for (const PlanTypes& types : report.types) {
    if (types.whole_budget_bytes == 0 || types.whole_budget_bytes > report.main_budget_bytes) {
      continue;
    }
    if (best == nullptr || types.file_bytes > best->file_bytes) best = &types;
  }
  return best;
}

std::string ToMarkdown(const PlanReport& report) {
  std::string text = fmt::format("model: {}\n{}routing: {}; context {}, prompt {}, answers at {}\n",
                                 report.model, MachineText(report), report.routing,
                                 report.context_tokens, report.prompt_tokens, report.depth);
  if (!report.lossy.empty()) text += report.lossy + ": answers are not the model's own\n";
  text +=
      "\n| weights | file | fits the disk | smallest budget | all in memory from |\n"
      "|---|---|---|---|---|\n";
  for (const PlanTypes& types : report.types) {
    text += fmt::format("| {} | {} | {} | {} | {} |\n", types.name, FormatBytes(types.file_bytes),
                        FitsText(types), SizeToPaste(types.smallest_budget_bytes),
                        SizeToPaste(types.whole_budget_bytes));
  }
  text +=
      "\nTokens per second, predicted (from the slowest to the fastest it may be):\n\n"
      "| weights | budget | experts in memory | hits | decode | prefill | decode with perfect "
      "foresight |\n|---|---|---|---|---|---|---|\n";
  for (const PlanTypes& types : report.types) {
    for (const PlanRow& row : types.rows) text += MarkdownRow(types, row);
  }
  if (!report.has_prefill_compute) {
    text +=
        "\nprefill counts the disk alone (-: it reads nothing): the machine file does not say how "
        "fast it multiplies (multiply_adds_per_second)\n";
  }
  text += StandInText(report) + BatchText(report);
  if (const PlanRow* row = MainRow(report); row != nullptr) {
    text += fmt::format("\nwith {} and --memory {}, one answer token takes {} ms: {}\n",
                        report.types[report.main_types].name, SizeToPaste(report.main_budget_bytes),
                        Ms(row->parts.total()), TimeText(*row));
    for (const PlanAdvice& advice : report.advice) {
      text += fmt::format("with {}: {} tokens/s ({})\n", advice.what, Rate(advice.decode),
                          GainText(advice.decode / row->decode.expected));
    }
  }
  const PlanTypes* whole = BestWhole(report);
  text += whole == nullptr ? fmt::format("no choice of weights fits {} whole\n",
                                         SizeToPaste(report.main_budget_bytes))
                           : fmt::format("the best that fits {} whole: {} ({})\n",
                                         SizeToPaste(report.main_budget_bytes), whole->name,
                                         FormatBytes(whole->file_bytes));
  return text;
}

nlohmann::json ToJson(const PlanReport& report) {
  nlohmann::json json = {{"model", report.model},
                         {"routing", report.routing},
                         {"context_tokens", report.context_tokens},
                         {"prompt_tokens", report.prompt_tokens},
                         {"depth", report.depth},
                         {"machine", ToJson(report.machine)},
                         {"machine_source", report.machine_source},
                         {"memory_budget_bytes", report.main_budget_bytes},
                         {"types", nlohmann::json::array()},
                         {"advice", nlohmann::json::array()}};
  if (!report.lossy.empty()) json["lossy"] = report.lossy;
  for (const DType dtype : report.product_types) {
    if (const ProductRate* stand_in = report.machine.StandInFor(dtype); stand_in != nullptr) {
      json["products_taken_from"][DTypeName(dtype)] = DTypeName(stand_in->dtype);
    }
  }
  for (const PlanTypes& types : report.types) {
    nlohmann::json one = {{"weights", types.name},
                          {"file_bytes", types.file_bytes},
                          {"fits_disk", nullptr},
                          {"expert_bits_per_weight", types.bits_per_weight},
                          {"smallest_budget_bytes", types.smallest_budget_bytes},
                          {"whole_budget_bytes", types.whole_budget_bytes},
                          {"budgets", nlohmann::json::array()}};
    if (types.fits_disk) one["fits_disk"] = *types.fits_disk;
    for (std::size_t i = 0; i < types.rows.size(); ++i) {
      one["budgets"].push_back(ToJson(types.rows[i]));
      const std::int64_t faster = FasterBatch(types.rows, i);
      if (faster > 0) one["budgets"].back()["faster_batch_tokens"] = faster;
    }
    json["types"].push_back(std::move(one));
  }
  for (const PlanAdvice& advice : report.advice) {
    json["advice"].push_back({{"what", advice.what}, {"decode_tokens_per_second", advice.decode}});
  }
  if (const PlanTypes* whole = BestWhole(report); whole != nullptr) {
    json["best_that_fits_whole"] = whole->name;
  }
  return json;
}

}  // namespace larder
