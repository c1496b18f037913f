// Tuner: proposes one change at a time, measures it against the best so far in alternating runs,
// and keeps it when it was faster every time. Every try is a line of a log, from which a later run
// goes on. How a run is measured is the caller's. One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "cli/tune_settings.h"

namespace larder {

/// One line of the log.
struct TuneTry {
  int number = 0;
  TuneSettings settings;
  TuneSettings against;  // the best before it
  double ratio = 0;      // speed over the best's, geometric mean of the pairs
  int n_pairs = 0;
  bool kept = false;
  std::string why;
  nlohmann::json run = nlohmann::json::object();  // TunerOptions::run

  std::string Line() const;
};

inline constexpr const char* kTuneLogHeader =
    "try\tsettings\tagainst\tratio\tpairs\tkept\twhy\trun\n";

/// Whether a text is a log, of whatever version, or empty.
bool IsTuneLog(const std::string& text);

/// Lines of a log; kDataError names one that is none. A last line that was cut off is left out.
Result<std::vector<TuneTry>> ReadTuneLog(const std::string& text);

struct TunerOptions {
  TuneLimits limits;
  /// Model, budget and whatever else figures must share to be compared: kept in each line of the
  /// log. A flat JSON object.
  nlohmann::json run = nlohmann::json::object();
  int n_pairs = 3;           // all of which a change must win to be kept
  double least_gain = 0.01;  // below it a change is not worth a line in a profile
  /// Seconds of one exchange with these settings, above 0. A failure ends only the try, as long as
  /// the best so far still works; kCancelled and kIoError (no run could be made) end the tuning.
  std::function<Result<double>(const TuneSettings&)> measure;
  std::function<Status(const TuneTry&)> on_try;  // after each
  std::function<bool()> is_over;
};

class Tuner {
 public:
  /// Goes on after `log`, whose lines were made with the same `run`.
  Tuner(TunerOptions options, const std::vector<TuneTry>& log);

  /// Tries until is_over or nothing is left, what was never tried before what was tried against
  /// an earlier best; kCancelled when a measurement was.
  Status Run();

  /// The best against the defaults, `n_pairs` times; where it is slower on the whole, the defaults
  /// are the best from then on (a line of the log says so). The speeds over the defaults'; none
  /// when the best is the defaults.
  Result<std::vector<double>> Verify(int n_pairs);

  /// Whether nothing is left to try against the best.
  bool is_done() const { return !Next(); }
  const TuneSettings& best() const { return best_; }
  int n_tries() const { return static_cast<int>(log_.size()); }

 private:
  /// Speed of `settings` over `against`, each measured `n_pairs` times in alternating order; with
  /// `may_stop` no further than the first pair that it does not win.
  Result<std::vector<double>> Pairs(const TuneSettings& settings, const TuneSettings& against,
                                    int n_pairs, bool may_stop);
  bool WasTried(const TuneSettings& settings) const;
  std::optional<TuneProposal> Next() const;
  Status Try(const TuneProposal& proposal);
  Status Log(TuneTry one);

  TunerOptions options_;
  TuneSettings best_;
  std::vector<TuneTry> log_;
  int n_measured_ = 0;
};

/// Whether what a tuning ended with is kept as a profile: settings other than the defaults always;
/// the defaults when nothing is left to try, or when the settings `kept` before are `found`, the
/// best before Verify, which did not hold.
bool IsResult(const Tuner& tuner, const TuneSettings& found,
              const std::optional<TuneSettings>& kept);

double GeometricMean(const std::vector<double>& values);

}  // namespace larder
