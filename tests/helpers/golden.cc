// Reading of tests/golden and comparison of logits.
#include "helpers/golden.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/size.h"

namespace larder {

namespace {

const std::string kGoldenDirectory = std::string(LARDER_SOURCE_DIR) + "/tests/golden/";

std::vector<float> ReadFloats(const std::string& path, std::size_t count) {
  std::vector<float> values(count);
  std::ifstream in(path, std::ios::binary);
  in.read(reinterpret_cast<char*>(values.data()),
          static_cast<std::streamsize>(count * sizeof(float)));
  EXPECT_EQ(static_cast<std::size_t>(in.gcount()), count * sizeof(float)) << path;
  return values;
}

}  // namespace

std::vector<GoldenModel> LoadGoldenModels() {
  std::ifstream in(kGoldenDirectory + "index.json");
  const nlohmann::json index = nlohmann::json::parse(in, nullptr, false);
  EXPECT_TRUE(index.is_array()) << "tests/golden/index.json does not parse";
  std::vector<GoldenModel> models;
  for (const auto& entry : index) {
    GoldenModel model;
    model.name = entry.at("name");
    model.path = kGoldenDirectory + entry.at("file").get<std::string>();
    model.type = entry.at("type");
    model.tokens = entry.at("tokens").get<std::vector<std::int32_t>>();
    model.n_vocab = entry.at("n_vocab");
    model.kl_tolerance = entry.at("kl_tolerance");
    model.decoded_kl_tolerance = entry.at("decoded_kl_tolerance");
    model.top_margin = entry.at("top_margin");
    model.reference = ReadFloats(kGoldenDirectory + entry.at("logits").get<std::string>(),
                                 model.tokens.size() * static_cast<std::size_t>(model.n_vocab));
    models.push_back(std::move(model));
  }
  return models;
}

GoldenModel LoadGoldenModel(const std::string& name) {
  for (GoldenModel& model : LoadGoldenModels()) {
    if (model.name == name) return std::move(model);
  }
  ADD_FAILURE() << "no golden model is named " << name;
  return {};
}

GoldenModel LoadForeignModel(const std::string& name, const std::string& logits_key) {
  const std::string folder = kGoldenDirectory + name + "/";
  std::ifstream in(folder + name + ".json");
  const nlohmann::json entry = nlohmann::json::parse(in, nullptr, false);
  EXPECT_TRUE(entry.is_object()) << folder << name << ".json does not parse";
  GoldenModel model;
  model.name = name;
  model.path = kGoldenDirectory + entry.at("file").get<std::string>();
  model.tokens = entry.at("tokens").get<std::vector<std::int32_t>>();
  model.n_vocab = entry.at("n_vocab");
  model.kl_tolerance = entry.at("kl_tolerance");
  model.reference = ReadFloats(kGoldenDirectory + entry.at(logits_key).get<std::string>(),
                               model.tokens.size() * static_cast<std::size_t>(model.n_vocab));
  return model;
}

Result<std::vector<float>> AllLogits(Engine& engine, std::span<const std::int32_t> tokens) {
  LARDER_ASSIGN_OR_RETURN(const std::unique_ptr<Session> session, engine.NewSession());
  std::vector<float> all;
  const auto sink = [&all](std::int64_t, std::span<const float> logits) {
    all.insert(all.end(), logits.begin(), logits.end());
  };
  LARDER_RETURN_IF_ERROR(session->Append(tokens, LogitsFor::kAllTokens, sink));
  return all;
}

Result<std::vector<float>> AllLogits(const EngineOptions& options,
                                     std::span<const std::int32_t> tokens) {
  LARDER_ASSIGN_OR_RETURN(const std::unique_ptr<Engine> engine, Engine::Load(options));
  return AllLogits(*engine, tokens);
}

std::uint64_t NamedSmallestBudget(EngineOptions options) {
  options.memory_budget_bytes = 1024;
  const auto refused = Engine::Load(options);
  EXPECT_FALSE(refused.ok());
  const std::string& sentence = refused.status().message();
  const std::size_t flag = sentence.find("--memory ");
  EXPECT_NE(flag, std::string::npos) << sentence;
  if (flag == std::string::npos) return 0;
  const auto named = ParseSize(sentence.substr(flag + 9));
  EXPECT_TRUE(named.ok()) << sentence;
  return named.ok() ? *named : 0;
}

namespace {

// log of the sum of exponentials of one row.
double LogSumExp(const float* row, std::int64_t n) {
  const double top = *std::max_element(row, row + n);
  double sum = 0;
  for (std::int64_t i = 0; i < n; ++i) sum += std::exp(row[i] - top);
  return top + std::log(sum);
}

}  // namespace

double MeanKl(const std::vector<float>& reference, const std::vector<float>& logits,
              std::int64_t n_vocab) {
  if (reference.size() != logits.size() || reference.empty()) return HUGE_VAL;
  const auto n_rows = static_cast<std::int64_t>(reference.size()) / n_vocab;
  double total = 0;
  for (std::int64_t r = 0; r < n_rows; ++r) {
    const float* p = reference.data() + r * n_vocab;
    const float* q = logits.data() + r * n_vocab;
    const double log_zp = LogSumExp(p, n_vocab);
    const double log_zq = LogSumExp(q, n_vocab);
    for (std::int64_t i = 0; i < n_vocab; ++i) {
      const double log_p = p[i] - log_zp;
      total += std::exp(log_p) * (log_p - (q[i] - log_zq));
    }
  }
  const double mean = total / static_cast<double>(n_rows);
  return std::isfinite(mean) ? mean : HUGE_VAL;
}

TopTokenCount CountTopTokens(const std::vector<float>& reference, const std::vector<float>& logits,
                             std::int64_t n_vocab, double margin) {
  TopTokenCount count;
  const auto n_rows = static_cast<std::int64_t>(reference.size()) / n_vocab;
  for (std::int64_t r = 0; r < n_rows; ++r) {
    const float* p = reference.data() + r * n_vocab;
    const float* q = logits.data() + r * n_vocab;
    const float* best = std::max_element(p, p + n_vocab);
    float second = -HUGE_VALF;
    for (const float* at = p; at != p + n_vocab; ++at) {
      if (at != best) second = std::max(second, *at);
    }
    if (*best - second <= margin) continue;
    ++count.n_clear;
    if (std::max_element(q, q + n_vocab) - q == best - p) ++count.n_same;
  }
  return count;
}

std::size_t CountDifferingFloats(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.size() != b.size()) return std::max(a.size(), b.size());
  std::size_t n_different = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (std::bit_cast<std::uint32_t>(a[i]) != std::bit_cast<std::uint32_t>(b[i])) ++n_different;
  }
  return n_different;
}

void PrintFigure(const std::string& name, double value, const std::string& op, double bar,
                 const std::string& unit) {
  fmt::print("figure: {} {:.6g} {} {:.6g} {}\n", name, value, op, bar, unit);
  std::fflush(stdout);
}

}  // namespace larder
