// Rows of an earlier bench beside those of this one: ratios, and the noise that says what they are
// worth. Pure functions; the earlier report is hostile until checked.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"

namespace larder {

/// What a row was measured with, as far as its rates depend on it: names and values, the most
/// telling first.
using BenchSetup = std::vector<std::pair<std::string, std::string>>;

/// Of what `bench -o json` wrote, or of a row of -o jsonl; what it does not say is left out.
BenchSetup SetupOf(const nlohmann::json& report);

/// What a comparison needs of a row.
struct BenchRates {
  std::string test;           // "pp512", "tg128 @ d8192"
  std::string state;          // "cold" or "warm"
  std::vector<double> rates;  // tokens/s of its repetitions
  BenchSetup setup = {};
  std::string hash = {};  // of the answers; empty: not known
  /// Which of the test's repetitions its first is; older reports do not say.
  std::optional<std::int64_t> first_repetition = {};
};

/// From what `bench -o json` or `-o jsonl` wrote; kDataError says what is wrong with it.
Result<std::vector<BenchRates>> ReadBenchRows(const std::string& text);

struct BenchRatio {
  std::string test;
  std::string state;
  double before = 0;  // medians, tokens/s
  double after = 0;
  double ratio = 0;
  /// Twice the root of the sum of both relative variances of single repetitions: a ratio nearer to
  /// 1 says nothing. Negative: not known, since either had one repetition only.
  double noise = -1;

  bool is_known() const { return noise >= 0; }
  bool is_clear() const;
};

/// Rows that both have.
std::vector<BenchRatio> CompareRows(const std::vector<BenchRates>& before,
                                    const std::vector<BenchRates>& after);

/// "the model differs: a.gguf / b.gguf", the earlier one first: all in which rows that both have
/// differ. Answers that differ are named where nothing in the setup may change them, and both rows
/// are of the same repetitions. Each list is all rows of its report, in their order.
std::vector<std::string> SetupDifferences(const std::vector<BenchRates>& before,
                                          const std::vector<BenchRates>& after);

std::string ToMarkdown(const std::vector<BenchRatio>& ratios);
nlohmann::json ToJson(const std::vector<BenchRatio>& ratios);

}  // namespace larder
