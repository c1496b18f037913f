// Trying, keeping, logging.
#include "cli/tuner.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <set>
#include <string_view>

#include "cli/timing.h"

namespace larder {

namespace {

constexpr std::size_t kColumns = 8;

std::vector<std::string> Columns(const std::string& line) {
  std::vector<std::string> columns(1);
  for (const char c : line) {
    if (c == '\t') {
      columns.emplace_back();
    } else {
      columns.back() += c;
    }
  }
  return columns;
}

Result<TuneTry> ReadTry(const std::string& line) {
  const std::vector<std::string> columns = Columns(line);
  const auto wrong = [&line] {
    return DataError("the log of experiments has a line that is none: '{}'", line.substr(0, 60));
  };
  if (columns.size() != kColumns) return wrong();
  TuneTry one;
  const auto read_settings = [](const std::string& text) {
    return TuneSettingsFromJson(nlohmann::json::parse(text, nullptr, false));
  };
  LARDER_ASSIGN_OR_RETURN(one.settings, read_settings(columns[1]));
  LARDER_ASSIGN_OR_RETURN(one.against, read_settings(columns[2]));
  const auto read_number = [](const std::string& text, int* number) {
    const char* end = text.data() + text.size();
    return std::from_chars(text.data(), end, *number).ptr == end && *number >= 0;
  };
  one.ratio = std::strtod(columns[3].c_str(), nullptr);
  one.kept = columns[5] == "kept";
  one.why = columns[6];
  one.run = nlohmann::json::parse(columns[7], nullptr, false);
  const bool is_sound = read_number(columns[0], &one.number) &&
                        read_number(columns[4], &one.n_pairs) && one.number >= 1 &&
                        std::isfinite(one.ratio) && one.run.is_object() &&
                        (one.kept || columns[5] == "reverted");
  if (!is_sound) return wrong();
  return one;
}

}  // namespace

double GeometricMean(const std::vector<double>& values) {
  if (values.empty()) return 0;
  double sum = 0;
  for (const double value : values) sum += std::log(value);
  return std::exp(sum / static_cast<double>(values.size()));
}

std::string TuneTry::Line() const {
  std::string reason = why;
  std::replace_if(
      reason.begin(), reason.end(), [](char c) { return c == '\t' || c == '\n' || c == '\r'; },
      ' ');
  return fmt::format("{}\t{}\t{}\t{:.4f}\t{}\t{}\t{}\t{}\n", number, ToJson(settings).dump(),
                     ToJson(against).dump(), ratio, n_pairs, kept ? "kept" : "reverted", reason,
                     DumpJson(run));
}

bool IsTuneLog(const std::string& text) {
  return text.empty() || text.rfind("try\tsettings\tagainst\t", 0) == 0;
}

Result<std::vector<TuneTry>> ReadTuneLog(const std::string& text) {
  const std::string_view header = kTuneLogHeader;
  std::vector<TuneTry> tries;
  if (header.rfind(text, 0) == 0) return tries;  // nothing, or a header that was cut off
  if (text.rfind(header, 0) != 0) {
    return DataError("the log of experiments does not begin with the columns of this version");
  }
  std::size_t begin = header.size();
  while (true) {
    const std::size_t end = text.find('\n', begin);
    if (end == std::string::npos) break;  // nothing, or a line that was cut off
    const std::string line = text.substr(begin, end - begin);
    begin = end + 1;
    if (line.empty()) continue;
    LARDER_ASSIGN_OR_RETURN(TuneTry one, ReadTry(line));
    tries.push_back(std::move(one));
  }
  return tries;
}

Tuner::Tuner(TunerOptions options, const std::vector<TuneTry>& log)
    : options_(std::move(options)), log_(log) {
  for (const TuneTry& one : log_) {
    if (one.kept) best_ = one.settings;
  }
}

bool Tuner::WasTried(const TuneSettings& settings) const {
  return std::any_of(log_.begin(), log_.end(), [&](const TuneTry& one) {
    return (one.settings == settings && one.against == best_) ||
           (one.settings == best_ && one.against == settings);
  });
}

// A change that failed against an earlier best may do better against the present one, but waits
// until all have had their turn.
std::optional<TuneProposal> Tuner::Next() const {
  std::set<std::string> tried;
  for (const TuneTry& one : log_) tried.insert(ChangeFrom(one.settings, one.against));
  std::optional<TuneProposal> again;
  for (TuneProposal& proposal : Neighbours(best_, options_.limits)) {
    if (WasTried(proposal.settings)) continue;
    if (tried.count(ChangeFrom(proposal.settings, best_)) == 0) return std::move(proposal);
    if (!again) again = std::move(proposal);
  }
  return again;
}

Result<std::vector<double>> Tuner::Pairs(const TuneSettings& settings, const TuneSettings& against,
                                         int n_pairs, bool may_stop) {
  std::vector<double> ratios;
  for (int i = 0; i < n_pairs; ++i) {
    // Whoever goes first in one pair goes second in the next.
    const bool is_first = n_measured_++ % 2 == 0;
    LARDER_ASSIGN_OR_RETURN(const double first_s, options_.measure(is_first ? settings : against));
    LARDER_ASSIGN_OR_RETURN(const double second_s, options_.measure(is_first ? against : settings));
    ratios.push_back(is_first ? second_s / first_s : first_s / second_s);
    if (may_stop && ratios.back() <= 1) break;
  }
  return ratios;
}

Status Tuner::Try(const TuneProposal& proposal) {
  TuneTry one;
  one.settings = proposal.settings;
  one.against = best_;
  one.why = proposal.why;
  const Result<std::vector<double>> ratios =
      Pairs(proposal.settings, best_, options_.n_pairs, true);
  if (ratios.ok()) {
    one.ratio = GeometricMean(*ratios);
    one.n_pairs = static_cast<int>(ratios->size());
    const double least = *std::min_element(ratios->begin(), ratios->end());
    one.kept = one.n_pairs == options_.n_pairs && least > 1 && one.ratio > 1 + options_.least_gain;
    one.why += fmt::format("; pairs {:.3f}", fmt::join(*ratios, " "));
  } else if (ratios.status().code() != StatusCode::kCancelled &&
             ratios.status().code() != StatusCode::kIoError) {
    // Unless the best fails now as well, it is the change's fault.
    LARDER_RETURN_IF_ERROR(options_.measure(best_).status());
    one.why += "; does not work: " + ratios.status().message();
  } else {
    return ratios.status();
  }
  return Log(std::move(one));
}

Status Tuner::Log(TuneTry one) {
  one.number = n_tries() + 1;
  one.run = options_.run;
  if (one.kept) best_ = one.settings;
  log_.push_back(one);
  return options_.on_try ? options_.on_try(one) : Status::Ok();
}

Status Tuner::Run() {
  while (!(options_.is_over && options_.is_over())) {
    const std::optional<TuneProposal> proposal = Next();
    if (!proposal) break;
    LARDER_RETURN_IF_ERROR(Try(*proposal));
  }
  return Status::Ok();
}

Result<std::vector<double>> Tuner::Verify(int n_pairs) {
  const TuneSettings defaults;
  if (best_ == defaults) return std::vector<double>();
  LARDER_ASSIGN_OR_RETURN(std::vector<double> ratios, Pairs(best_, defaults, n_pairs, false));
  const double gain = GeometricMean(ratios);
  if (gain >= 1) return ratios;
  TuneTry back;
  back.settings = defaults;
  back.against = best_;
  back.ratio = 1 / gain;
  back.n_pairs = n_pairs;
  back.kept = true;
  back.why = fmt::format("the best did not hold; pairs {:.3f}", fmt::join(ratios, " "));
  LARDER_RETURN_IF_ERROR(Log(std::move(back)));
  return ratios;
}

bool IsResult(const Tuner& tuner, const TuneSettings& found,
              const std::optional<TuneSettings>& kept) {
  const TuneSettings defaults;
  if (!(tuner.best() == defaults) || tuner.is_done()) return true;
  return !(found == defaults) && kept == found;
}

}  // namespace larder
