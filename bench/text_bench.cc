// How fast text becomes tokens and logits become a token, on one core. Usage:
//
//     text_bench VOCABULARY.gguf TEXT     MB/s of encoding, best of five, and of a line of one
//     letter text_bench                          microseconds per choice among 250,000 tokens
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <functional>
#include <sstream>
#include <string>
#include <vector>

#include "base/random.h"
#include "format/gguf_reader.h"
#include "sample/logprobs.h"
#include "sample/sampler.h"
#include "text/tokenizer.h"

namespace larder {
namespace {

double CpuSeconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

// Of this thread's own time, which other processes change little.
double BestSeconds(int n_rounds, const std::function<void()>& work) {
  double best = 1e30;
  for (int i = 0; i < n_rounds; ++i) {
    const double start = CpuSeconds();
    work();
    best = std::min(best, CpuSeconds() - start);
  }
  return best;
}

int EncodeText(const char* vocabulary, const char* text_path) {
  const auto model = OpenGguf(vocabulary);
  if (!model.ok()) return std::fprintf(stderr, "%s\n", model.status().message().c_str()), 1;
  const auto tokenizer = Tokenizer::FromMetadata(model->metadata);
  if (!tokenizer.ok()) return std::fprintf(stderr, "%s\n", tokenizer.status().message().c_str()), 1;
  std::ifstream file(text_path, std::ios::binary);
  std::stringstream bytes;
  bytes << file.rdbuf();
  const std::string text = bytes.str();
  std::size_t n_tokens = 0;
  const auto encode = [&](const std::string& what) {
    const auto ids = (*tokenizer)->Encode(what);
    n_tokens = ids.ok() ? ids->size() : 0;
  };
  double seconds = BestSeconds(5, [&] { encode(text); });
  std::printf("text           %8.2f MB/s  %zu bytes, %zu tokens\n",
              static_cast<double>(text.size()) / 1e6 / seconds, text.size(), n_tokens);
  const std::string line(1000000, 'a');
  seconds = BestSeconds(5, [&] { encode(line); });
  std::printf("one letter     %8.2f MB/s  %zu tokens\n", 1.0 / seconds, n_tokens);
  return 0;
}

void Choose(const char* name, const std::vector<std::vector<float>>& rows,
            const SamplerParams& params, AllowedBits allowed = {}) {
  Sampler sampler(params);
  std::size_t i = 0;
  constexpr int kDraws = 100;
  const double seconds = BestSeconds(5, [&] {
    for (int n = 0; n < kDraws; ++n)
      sampler.Accept(sampler.Sample(rows[i++ % rows.size()], allowed));
  });
  std::printf("%-24s %8.1f us\n", name, seconds * 1e6 / kDraws);
}

int ChooseTokens() {
  constexpr std::size_t kTokens = 250000;
  SplitMix64 random(1);
  // Sums of uniform values, with a few far above, as models' logits are.
  std::vector<std::vector<float>> rows(4, std::vector<float>(kTokens));
  for (auto& row : rows) {
    for (float& logit : row) {
      double sum = 0;
      for (int i = 0; i < 6; ++i) sum += random.NextUnit() - 0.5;
      logit = static_cast<float>(3 * sum);
    }
    for (int i = 0; i < 50; ++i) {
      row[random.NextBelow(kTokens)] = static_cast<float>(8 + 8 * random.NextUnit());
    }
  }
  SamplerParams params;
  Choose("defaults", rows, params);
  params.repeat_penalty = 1.1;
  Choose("with penalties", rows, params);
  params = {};
  const std::vector<std::uint64_t> half((kTokens + 63) / 64, 0x5555555555555555ull);
  Choose("half of them allowed", rows, params, half);
  params.temperature = 0;
  Choose("greedy", rows, params);
  params = {};
  params.top_k = 0;
  Choose("top-p alone", rows, params);
  params.top_p = 1;
  Choose("temperature alone", rows, params);
  params.min_p = 0.05;
  Choose("min-p alone", rows, params);
  const double seconds = BestSeconds(20, [&] { ComputeLogprobs(rows[0], 7, 20); });
  std::printf("%-24s %8.1f us\n", "20 log probabilities", seconds * 1e6);
  return 0;
}

}  // namespace
}  // namespace larder

int main(int argc, char** argv) {
  return argc == 3 ? larder::EncodeText(argv[1], argv[2]) : larder::ChooseTokens();
}
