// Parsing and checking of routing traces. Contents are hostile until checked.
#include "experts/routing_trace.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <string_view>
#include <utility>

#include "experts/gzip_text.h"

namespace larder {
namespace {

constexpr std::int64_t kMaxLayers = 4096;
constexpr std::int64_t kMaxExperts = 65536;

enum Column { kTurn, kPhase, kStep, kLayer, kExpert, kNumColumns };
constexpr std::array<std::string_view, kNumColumns> kColumnNames = {"turn", "phase", "step",
                                                                    "layer", "expert"};

struct Row {
  std::int64_t turn = 0;
  std::int64_t step = 0;
  std::int64_t layer = 0;
  std::int64_t expert = 0;
};

struct Table {
  std::int64_t n_experts = 0;  // as a comment says; 0: it does not
  std::vector<Row> rows;       // decode steps only
};

// The part of `text` before `separator`, which is removed with it.
std::string_view Cut(std::string_view* text, char separator) {
  const std::size_t end = std::min(text->find(separator), text->size());
  const std::string_view part = text->substr(0, end);
  text->remove_prefix(std::min(end + 1, text->size()));
  return part;
}

bool ParseNumber(std::string_view text, std::int64_t* value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *value);
  return error == std::errc() && end == text.data() + text.size() && *value >= 0;
}

void ReadComment(std::string_view line, Table* table) {
  constexpr std::string_view kKey = " n_expert=";
  const std::size_t at = line.find(kKey);
  if (at == std::string_view::npos) return;
  line.remove_prefix(at + kKey.size());
  std::int64_t value = 0;
  if (ParseNumber(Cut(&line, ' '), &value) && value <= kMaxExperts) table->n_experts = value;
}

// Which field of a line each column is; -1 where there is none.
Status ReadHeading(std::string_view line, const std::string& name,
                   std::array<int, kNumColumns>* fields) {
  fields->fill(-1);
  for (int field = 0; !line.empty(); ++field) {
    const std::string_view title = Cut(&line, ',');
    for (std::size_t c = 0; c < kNumColumns; ++c) {
      if (title == kColumnNames[c]) (*fields)[c] = field;
    }
  }
  for (const Column c : {kStep, kLayer, kExpert}) {
    if ((*fields)[c] < 0) {
      return DataError("{} is no routing trace: it has no column '{}'", name, kColumnNames[c]);
    }
  }
  return Status::Ok();
}

Result<Table> ReadTable(std::string_view text, const std::string& name) {
  Table table;
  std::array<int, kNumColumns> fields{};
  bool has_heading = false;
  for (std::int64_t line_number = 1; !text.empty(); ++line_number) {
    std::string_view line = Cut(&text, '\n');
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    if (line.empty()) continue;
    if (line.front() == '#') {
      ReadComment(line, &table);
      continue;
    }
    if (!has_heading) {
      LARDER_RETURN_IF_ERROR(ReadHeading(line, name, &fields));
      has_heading = true;
      continue;
    }
    std::array<std::int64_t, kNumColumns> values = {0, 1, -1, -1, -1};
    for (int field = 0; !line.empty(); ++field) {
      const std::string_view entry = Cut(&line, ',');
      for (std::size_t c = 0; c < kNumColumns; ++c) {
        if (fields[c] == field && !ParseNumber(entry, &values[c])) {
          return DataError("{}, line {}: '{}' is no {}", name, line_number, entry.substr(0, 40),
                           kColumnNames[c]);
        }
      }
    }
    if (std::min({values[kStep], values[kLayer], values[kExpert]}) < 0 ||
        values[kLayer] >= kMaxLayers || values[kExpert] >= kMaxExperts) {
      return DataError("{}, line {}: a number is missing or too large", name, line_number);
    }
    if (values[kPhase] != 1) continue;
    table.rows.push_back({values[kTurn], values[kStep], values[kLayer], values[kExpert]});
  }
  if (table.rows.empty()) return DataError("{} has no decode steps", name);
  return table;
}

}  // namespace

Result<RoutingTrace> RoutingTrace::Read(const std::string& path) {
  LARDER_ASSIGN_OR_RETURN(const std::string text, ReadMaybeGzippedText(path));
  return Parse(text, path);
}

Result<RoutingTrace> RoutingTrace::Parse(const std::string& text, const std::string& name) {
  LARDER_ASSIGN_OR_RETURN(const Table table, ReadTable(text, name));
  const std::vector<Row>& rows = table.rows;
  RoutingTrace trace;
  trace.name_ = name;
  std::int64_t n_layers = 0;
  std::int64_t n_experts = 0;
  for (const Row& row : rows) {
    n_layers = std::max(n_layers, row.layer + 1);
    n_experts = std::max(n_experts, row.expert + 1);
  }
  if (table.n_experts > 0 && n_experts > table.n_experts) {
    return DataError("{} uses expert {} of {}", name, n_experts - 1, table.n_experts);
  }
  trace.n_layers_ = static_cast<int>(n_layers);
  trace.n_experts_ = static_cast<int>(std::max(n_experts, table.n_experts));
  std::size_t n_used = 0;
  while (n_used < rows.size() && rows[n_used].layer == rows[0].layer &&
         rows[n_used].step == rows[0].step && rows[n_used].turn == rows[0].turn) {
    ++n_used;
  }
  trace.n_used_ = static_cast<int>(n_used);
  const std::size_t rows_per_step = static_cast<std::size_t>(n_layers) * n_used;
  std::vector<std::int64_t> last_list_of(static_cast<std::size_t>(n_experts), -1);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const Row& first = rows[i / rows_per_step * rows_per_step];
    const auto layer = static_cast<std::int64_t>(i % rows_per_step / n_used);
    if (rows[i].layer != layer || rows[i].step != first.step || rows[i].turn != first.turn) {
      return DataError("{}: step {} lacks experts of layer {}, or has too many", name, first.step,
                       layer);
    }
    const auto list = static_cast<std::int64_t>(i / n_used);
    if (std::exchange(last_list_of[static_cast<std::size_t>(rows[i].expert)], list) == list) {
      return DataError("{}: step {} names expert {} of layer {} twice", name, first.step,
                       rows[i].expert, layer);
    }
    trace.experts_.push_back(static_cast<std::int32_t>(rows[i].expert));
  }
  if (rows.size() % rows_per_step != 0) return DataError("{} ends within a step", name);
  trace.n_steps_ = static_cast<std::int64_t>(rows.size() / rows_per_step);
  return trace;
}

Status RoutingTrace::CheckFits(int n_layers, int n_experts, int n_used) const {
  if (n_layers == n_layers_ && n_experts >= n_experts_ && n_used == n_used_) return Status::Ok();
  return InvalidArgument(
      "{} has {} layers with {} of {} experts used, the model {} with {} of {}; use a trace of "
      "this "
      "model",
      name_, n_layers_, n_used_, n_experts_, n_layers, n_used, n_experts);
}

void RoutingTrace::NextToken() { step_ = (step_ + 1) % n_steps_; }

std::span<const std::int32_t> RoutingTrace::Experts(int layer) const {
  return ExpertsAt(step_, layer);
}

std::span<const std::int32_t> RoutingTrace::ExpertsAt(std::int64_t step, int layer) const {
  LARDER_CHECK(0 <= step && step < n_steps_ && 0 <= layer && layer < n_layers_);
  const auto n_used = static_cast<std::size_t>(n_used_);
  const auto place = static_cast<std::size_t>(step) * static_cast<std::size_t>(n_layers_) +
                     static_cast<std::size_t>(layer);
  return {experts_.data() + place * n_used, n_used};
}

}  // namespace larder
