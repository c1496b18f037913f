// Constrained output by itself: random walks through the masks of a schema, and how long masks and
// schemas take.
//
//   schema_bench walks [--vocab FILE.gguf] [--walks N] [--seed N] < SCHEMAS   one schema per line
//   schema_bench reads < LINES        each line {"schema": ..., "texts": [...]}
//   schema_bench time [--vocab FILE.gguf]
//
// `walks` prints per schema {"texts": [...]} or {"refused": "..."}, `reads` which texts a schema's
// grammar reads. Without a file the vocabulary is made up: 150,000 tokens for `time`.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <ctime>
#include <iostream>
#include <memory>
#include <set>

#include "format/gguf_reader.h"
#include "sample/constraint_testing.h"
#include "sample/grammar_run.h"
#include "sample/json_schema.h"
#include "sample/token_constraint.h"
#include "text/utf8.h"
#include "text/vocabulary_testing.h"

namespace larder {
namespace {

constexpr std::size_t kTimedVocabulary = 150000;

// Processor time of this thread, so that what else the machine does is not counted.
double ProcessorSeconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

std::string ByteAlphabet(const std::string& bytes) {
  std::string text;
  for (const char c : bytes) text += InByteAlphabet(static_cast<unsigned char>(c));
  return text;
}

std::string Word(SplitMix64& random) {
  static constexpr std::string_view kConsonants = "tnshrdlcmwfgypbvkjxqz";
  static constexpr std::string_view kVowels = "eaoiu";
  std::string word;
  for (std::uint64_t left = 1 + random.NextBelow(4); left > 0; --left) {
    word += kConsonants[random.NextBelow(kConsonants.size())];
    word += kVowels[random.NextBelow(kVowels.size())];
    if (random.NextBelow(3) == 0) word += kConsonants[random.NextBelow(kConsonants.size())];
  }
  return word;
}

// Tokens as byte-level vocabularies have them: words with and without a space, punctuation that
// JSON uses, numbers, blanks, characters beyond ASCII.
std::string MadeUpToken(SplitMix64& random) {
  static const std::vector<std::string> marks = {"\"", ",",  ":", "{", "}", "[", "]", "\\",
                                                 " ",  "\n", "(", ")", "'", ".", "/", "-"};
  const std::uint64_t kind = random.NextBelow(100);
  std::string token = random.NextBelow(2) == 0 ? " " : "";
  if (kind < 60) {
    token += Word(random);
    if (random.NextBelow(4) == 0) token[token.size() > 1 ? 1 : 0] -= 32 * (token[0] != ' ');
  } else if (kind < 70) {
    token.clear();
    for (std::uint64_t left = 1 + random.NextBelow(4); left > 0; --left) {
      token += marks[random.NextBelow(marks.size())];
    }
  } else if (kind < 75) {
    token = marks[random.NextBelow(marks.size())] + Word(random);
  } else if (kind < 78) {
    token = std::to_string(random.NextBelow(1000));
  } else if (kind < 79) {
    token = std::string(1 + random.NextBelow(60), ' ');
  } else {
    for (std::uint64_t left = 1 + random.NextBelow(3); left > 0; --left) {
      const bool wide = random.NextBelow(3) != 0;
      AppendUtf8(static_cast<std::uint32_t>(wide ? 0x4e00 + random.NextBelow(0x5000)
                                                 : 0xc0 + random.NextBelow(0x400)),
                 token);
    }
  }
  return token;
}

Result<std::unique_ptr<Tokenizer>> MakeVocabulary(const std::string& path, std::size_t n_tokens) {
  std::vector<std::string> tokens;
  Metadata metadata = SmallVocabulary("gpt-2", {}, {}, {"<|im_end|>"});
  if (!path.empty()) {
    LARDER_ASSIGN_OR_RETURN(const GgufModel file, OpenGguf(path));
    if (n_tokens == 0) return Tokenizer::FromMetadata(file.metadata);
    if (const auto* listed = file.metadata.FindStrings("tokenizer.ggml.tokens")) tokens = *listed;
  }
  const std::vector<std::string>& small = *metadata.FindStrings("tokenizer.ggml.tokens");
  std::set<std::string> seen(small.begin(), small.end());
  std::vector<std::string> all = small;
  for (const std::string& token : tokens) {
    if (all.size() < n_tokens && seen.insert(token).second) all.push_back(token);
  }
  SplitMix64 random(1);
  while (all.size() < std::max<std::size_t>(n_tokens, 3000)) {
    const std::string token = ByteAlphabet(MadeUpToken(random));
    if (seen.insert(token).second) all.push_back(token);
  }
  std::vector<std::int64_t> types(all.size(), 1);
  types[small.size() - 1] = 3;  // <|im_end|>
  metadata.SetStrings("tokenizer.ggml.tokens", all);
  metadata.SetInts("tokenizer.ggml.token_type", types);
  return Tokenizer::FromMetadata(metadata);
}

void PrintLine(const std::string& line) { std::printf("%s\n", line.c_str()); }

int PrintWalks(const std::string& vocabulary, int n_walks, std::uint64_t seed) {
  const auto tokenizer = MakeVocabulary(vocabulary, 0);
  if (!tokenizer.ok()) return std::fprintf(stderr, "%s\n", tokenizer.status().message().c_str()), 1;
  const auto trie = TokenTrie::Make(**tokenizer);
  if (!trie.ok()) return std::fprintf(stderr, "%s\n", trie.status().message().c_str()), 1;
  std::string schema;
  while (std::getline(std::cin, schema)) {
    Result<Grammar> grammar = CompileJsonSchema(schema);
    if (!grammar.ok()) {
      PrintLine("{\"refused\":" + JsonQuoted(grammar.status().message()) + "}");
      continue;
    }
    TokenConstraint constraint(std::make_shared<Grammar>(*std::move(grammar)), *trie);
    RandomWalk walk(**tokenizer, seed++);
    std::string texts;
    for (int i = 0; i < n_walks; ++i) {
      texts += (i > 0 ? "," : "") + JsonQuoted(walk.Text(constraint));
    }
    PrintLine("{\"texts\":[" + texts + "]}");
  }
  return 0;
}

int PrintReads() {
  std::string line;
  while (std::getline(std::cin, line)) {
    const Result<JsonValue> asked = ParseJsonValue(line, "the line");
    const JsonValue* schema = asked.ok() ? asked->Find("schema") : nullptr;
    const JsonValue* texts = asked.ok() ? asked->Find("texts") : nullptr;
    if (schema == nullptr || texts == nullptr) return std::fprintf(stderr, "no schema, texts\n"), 1;
    JsonGrammar json;
    const Result<RuleId> rule = AddJsonSchema(&json, *schema, *schema);
    const auto grammar = rule.ok() ? json.builder().Finish(*rule) : std::nullopt;
    if (!grammar) {
      PrintLine("{\"refused\":" + JsonQuoted(rule.ok() ? "no text" : rule.status().message()) +
                "}");
      continue;
    }
    std::string read;
    for (const JsonValue& text : texts->items) {
      read += std::string(read.empty() ? "" : ",") +
              (GrammarReads(*grammar, text.text) ? "true" : "false");
    }
    PrintLine("{\"reads\":[" + read + "]}");
  }
  return 0;
}

std::string Tool(int number) {
  return R"({"type":"object","properties":{"path":{"type":"string","maxLength":200},"name_)" +
         std::to_string(number) +
         R"(":{"type":"string"},"limit":{"type":"integer","minimum":1,"maximum":500},"mode":{"enum":)"
         R"(["read","write","append","delete"]},"ratio":{"type":"number","minimum":0,"maximum":1},)"
         R"("tags":{"type":"array","items":{"type":"string","minLength":1,"maxLength":20},"maxItems":10},)"
         R"("where":{"anyOf":[{"type":"null"},{"type":"object","properties":{"x":{"type":"number"},)"
         R"("y":{"type":"number"}},"required":["x","y"]}]},"extra":{"type":"object"}},)"
         R"("required":["path","mode"]})";
}

double Percentile(std::vector<double> values, double share) {
  std::sort(values.begin(), values.end());
  const auto last = static_cast<double>(values.size() - 1);
  return values[static_cast<std::size_t>(share * last)];
}

int PrintTimes(const std::string& vocabulary) {
  const auto tokenizer = MakeVocabulary(vocabulary, kTimedVocabulary);
  if (!tokenizer.ok()) return std::fprintf(stderr, "%s\n", tokenizer.status().message().c_str()), 1;
  double start = ProcessorSeconds();
  const auto trie = TokenTrie::Make(**tokenizer);
  if (!trie.ok()) return std::fprintf(stderr, "%s\n", trie.status().message().c_str()), 1;
  const double trie_ms = (ProcessorSeconds() - start) * 1e3;
  std::printf("vocabulary_tokens %zu\ntrie_ms %.2f\ntrie_mib %.2f\n", (*trie)->n_vocab(), trie_ms,
              static_cast<double>((*trie)->n_bytes()) / 1048576.0);
  start = ProcessorSeconds();
  std::vector<std::shared_ptr<const Grammar>> grammars;
  for (int i = 0; i < 50; ++i) {
    Result<Grammar> grammar = CompileJsonSchema(Tool(i));
    if (!grammar.ok()) return std::fprintf(stderr, "%s\n", grammar.status().message().c_str()), 1;
    grammars.push_back(std::make_shared<Grammar>(*std::move(grammar)));
  }
  std::printf("compile_50_tools_ms %.2f\n", (ProcessorSeconds() - start) * 1e3);
  grammars.resize(10);
  grammars.push_back(std::make_shared<Grammar>(AnyObjectGrammar()));
  std::vector<double> firsts;
  std::vector<double> all;
  std::size_t cache_bytes = 0;
  for (const auto& grammar : grammars) {
    TokenConstraint constraint(grammar, *trie);
    RandomWalk walk(**tokenizer, 7 + all.size());
    const std::size_t n_before = all.size();
    walk.mask = [&all](TokenConstraint& timed) {
      const double mask_start = ProcessorSeconds();
      const std::span<const std::uint64_t> mask = timed.Mask();
      all.push_back(ProcessorSeconds() - mask_start);
      return mask;
    };
    for (int i = 0; i < 20; ++i) static_cast<void>(walk.Text(constraint));
    firsts.push_back(all[n_before]);
    cache_bytes = std::max(cache_bytes, constraint.n_bytes());
  }
  std::printf(
      "masks %zu\nfirst_mask_ms %.3f\nmask_p50_ms %.4f\nmask_p99_ms %.3f\nmask_max_ms %.2f\n",
      all.size(), Percentile(firsts, 1.0) * 1e3, Percentile(all, 0.5) * 1e3,
      Percentile(all, 0.99) * 1e3, Percentile(all, 1.0) * 1e3);
  std::printf("constraint_mib %.2f\n", static_cast<double>(cache_bytes) / 1048576.0);
  return 0;
}

}  // namespace
}  // namespace larder

int main(int argc, char** argv) {
  CLI::App app("Constrained output: random walks and times.");
  app.require_subcommand(1);
  std::string vocabulary;
  int n_walks = 100;
  std::uint64_t seed = 1;
  CLI::App* walks = app.add_subcommand("walks", "random texts for each schema on stdin");
  walks->add_option("--vocab", vocabulary, "GGUF file with a vocabulary");
  walks->add_option("--walks", n_walks, "texts per schema");
  walks->add_option("--seed", seed, "of the first schema");
  CLI::App* reads = app.add_subcommand("reads", "which texts a schema's grammar reads");
  CLI::App* time = app.add_subcommand("time", "masks and compilation");
  time->add_option("--vocab", vocabulary, "GGUF file whose tokens to begin with");
  CLI11_PARSE(app, argc, argv);
  if (*walks) return larder::PrintWalks(vocabulary, n_walks, seed);
  if (*reads) return larder::PrintReads();
  return larder::PrintTimes(vocabulary);
}
