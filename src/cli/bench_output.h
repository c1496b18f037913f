// A bench's report as CSV, as JSON lines, and as one file to send to somebody. Pure functions.
#pragma once

#include <string>

#include "cli/bench_report.h"

namespace larder {

/// A header and one line per row, window of a sustained run, or pair (RFC 4180); numbers in full,
/// so that they read back the same.
std::string ToCsv(const BenchReport& report);

/// One JSON object for each of the same, each with machine and model.
std::string ToJsonLines(const BenchReport& report);

/// The file of --report: Markdown, the JSON, and as CSV the time of every answer token, or the
/// windows or pairs.
std::string ToReportFile(const BenchReport& report, const std::string& settings);

}  // namespace larder
