// The golden models of tests/golden: their index, their reference logits, and how far logits are
// apart. Used by the whole-path tests.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "engine/session.h"

namespace larder {

struct GoldenModel {
  std::string name;
  std::string path;
  std::string type;
  std::vector<std::int32_t> tokens;
  std::int64_t n_vocab = 0;
  double kl_tolerance = 0;
  double decoded_kl_tolerance = 0;  // for the same weights decoded to F32
  double top_margin = 0;            // reference margins above this must agree on the top token
  std::vector<float> reference;     // [tokens.size(), n_vocab]
};

/// All models of tests/golden/index.json; a damaged index fails the running test.
std::vector<GoldenModel> LoadGoldenModels();
GoldenModel LoadGoldenModel(const std::string& name);

/// A model whose reference another engine computed (tests/golden/NAME/NAME.json); `logits_key`
/// names the entry that says where the logits are.
GoldenModel LoadForeignModel(const std::string& name, const std::string& logits_key);

/// Runs `tokens` in a fresh session and returns all logits [tokens.size(), n_vocab].
Result<std::vector<float>> AllLogits(Engine& engine, std::span<const std::int32_t> tokens);

/// Loads, runs, and unloads.
Result<std::vector<float>> AllLogits(const EngineOptions& options,
                                     std::span<const std::int32_t> tokens);

/// EngineOptions::process_bytes of tests whose number of slots must not depend on how large the
/// test program has become.
inline constexpr std::uint64_t kFixedProcessBytes = std::uint64_t{16} << 20;

/// The smallest budget that Larder itself names for these options when it refuses a tiny one.
std::uint64_t NamedSmallestBudget(EngineOptions options);

/// Mean over rows of KL(softmax(reference) || softmax(logits)), in nats.
double MeanKl(const std::vector<float>& reference, const std::vector<float>& logits,
              std::int64_t n_vocab);

struct TopTokenCount {
  int n_clear = 0;  // rows whose reference margin exceeds `margin`
  int n_same = 0;   // of those, rows with the same top token
};
TopTokenCount CountTopTokens(const std::vector<float>& reference, const std::vector<float>& logits,
                             std::int64_t n_vocab, double margin);

/// Rows of differing bits.
std::size_t CountDifferingFloats(const std::vector<float>& a, const std::vector<float>& b);

/// A line that tests/acceptance holds to its bar.
void PrintFigure(const std::string& name, double value, const std::string& op, double bar,
                 const std::string& unit = "");

}  // namespace larder
