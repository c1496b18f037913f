// Pre-token splits against those of Hugging Face tokenizers (tests/golden/tokenizer/README.md):
// given texts one by one, and 100,000 random strings by hashes of 1,000 each. Tokens of small
// vocabularies against the libraries that trained them.
#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "base/random.h"
#include "format/gguf_reader.h"
#include "text/pretokenizer.h"
#include "text/tokenizer.h"
#include "text/utf8.h"

namespace larder {
namespace {

constexpr std::size_t kBlocks = 100;
constexpr std::size_t kStringsPerBlock = 1000;

std::filesystem::path GoldenFile(const std::string& name) {
  return std::filesystem::path(LARDER_SOURCE_DIR) / "tests/golden/tokenizer" / name;
}

// A parameterised test's name may hold no dashes.
std::string IdentifierOf(const testing::TestParamInfo<const char*>& parameter) {
  std::string name = parameter.param;
  for (char& c : name) c = c == '-' ? '_' : c;
  return name;
}

std::vector<std::uint64_t> ReadHashes(const std::string& name) {
  std::ifstream file(GoldenFile(name));
  std::vector<std::uint64_t> hashes;
  for (std::string line; std::getline(file, line);) {
    hashes.push_back(std::stoull(line, nullptr, 16));
  }
  return hashes;
}

class Fnv1a {
 public:
  void Add(unsigned byte) { value_ = (value_ ^ (byte & 0xff)) * 0x100000001b3ull; }
  std::uint64_t value() const { return value_; }

 private:
  std::uint64_t value_ = 0xcbf29ce484222325ull;
};

/// The README's generator: string number i is a function of i and of generator.txt.
class StringMaker {
 public:
  StringMaker() {
    std::ifstream file(GoldenFile("generator.txt"));
    for (std::string line; std::getline(file, line);) {
      std::istringstream words(line);
      std::string kind, word;
      words >> kind;
      if (kind == "class") {
        classes_.emplace_back();
        while (words >> word) classes_.back().push_back(ParseRange(word));
      } else if (kind == "text" && words >> word) {
        snippets_.push_back(ParseHex(word));
      }
    }
  }

  bool ok() const { return !classes_.empty() && !snippets_.empty(); }

  std::string Make(std::uint64_t number) const {
    SplitMix64 random(number);
    std::string text;
    for (std::uint64_t n = 1 + random.Next() % 20; n > 0; --n) {
      const std::uint64_t kind = random.Next() % (classes_.size() + 4);
      if (kind >= classes_.size()) {
        text += snippets_[random.Next() % snippets_.size()];
        continue;
      }
      const std::vector<Range>& ranges = classes_[kind];
      for (std::uint64_t m = 1 + random.Next() % 4; m > 0; --m) {
        const Range& range = ranges[random.Next() % ranges.size()];
        AppendUtf8(range.low + static_cast<std::uint32_t>(random.Next() % range.Count()), text);
      }
    }
    return text;
  }

 private:
  struct Range {
    std::uint32_t low;
    std::uint32_t high;
    std::uint32_t Count() const { return high - low + 1; }
  };

  static Range ParseRange(const std::string& word) {
    const std::size_t dash = word.find('-');
    const auto parse = [](const std::string& hex) {
      return static_cast<std::uint32_t>(std::stoul(hex, nullptr, 16));
    };
    const std::uint32_t low = parse(word.substr(0, dash));
    return {low, dash == std::string::npos ? low : parse(word.substr(dash + 1))};
  }

  static std::string ParseHex(const std::string& hex) {
    std::string bytes;
    for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
      bytes.push_back(static_cast<char>(std::stoul(hex.substr(i, 2), nullptr, 16)));
    }
    return bytes;
  }

  std::vector<std::vector<Range>> classes_;
  std::vector<std::string> snippets_;
};

TEST(TokenizerGolden, TheGeneratorMakesTheSameStrings) {
  const StringMaker maker;
  ASSERT_TRUE(maker.ok());
  const std::vector<std::uint64_t> hashes = ReadHashes("strings.txt");
  ASSERT_EQ(hashes.size(), kBlocks);
  for (std::size_t block = 0; block < kBlocks; ++block) {
    Fnv1a hash;
    for (std::size_t i = 0; i < kStringsPerBlock; ++i) {
      for (const char c : maker.Make(block * kStringsPerBlock + i)) {
        hash.Add(static_cast<unsigned char>(c));
      }
      hash.Add(0xff);
    }
    ASSERT_EQ(hash.value(), hashes[block]) << "block " << block;
  }
}

class Splits : public testing::TestWithParam<const char*> {};

TEST_P(Splits, EqualThoseOfRandomStrings) {
  const StringMaker maker;
  ASSERT_TRUE(maker.ok());
  const auto pre = FindPreTokenizer(GetParam());
  ASSERT_TRUE(pre.has_value());
  const std::vector<std::uint64_t> hashes = ReadHashes(std::string(GetParam()) + ".txt");
  ASSERT_EQ(hashes.size(), kBlocks);
  std::vector<std::size_t> ends;
  for (std::size_t block = 0; block < kBlocks; ++block) {
    Fnv1a hash;
    for (std::size_t i = 0; i < kStringsPerBlock; ++i) {
      ends.clear();
      SplitWords(pre->pre, maker.Make(block * kStringsPerBlock + i), ends);
      for (const std::size_t end : ends) {
        hash.Add(static_cast<unsigned>(end));
        hash.Add(static_cast<unsigned>(end >> 8));
      }
      hash.Add(0xff);
      hash.Add(0xff);
    }
    EXPECT_EQ(hash.value(), hashes[block]) << "block " << block;
  }
}

TEST_P(Splits, EqualThoseOfTheTexts) {
  const auto pre = FindPreTokenizer(GetParam());
  ASSERT_TRUE(pre.has_value());
  std::ifstream file(GoldenFile(std::string(GetParam()) + ".json"));
  const auto cases = nlohmann::json::parse(file, nullptr, false);
  ASSERT_TRUE(cases.is_array());
  ASSERT_GE(cases.size(), 40u);
  for (const auto& item : cases) {
    const std::string text = item["text"];
    std::vector<std::size_t> ends;
    SplitWords(pre->pre, text, ends);
    EXPECT_EQ(ends, item["ends"].get<std::vector<std::size_t>>()) << text;
  }
}

INSTANTIATE_TEST_SUITE_P(Names, Splits,
                         testing::Values("gpt-2", "llama-bpe", "qwen2", "qwen35", "gpt-4o",
                                         "tekken", "kimi-k2", "starcoder", "deepseek-llm",
                                         "deepseek-coder", "deepseek-v3"),
                         IdentifierOf);

class StoredVocabulary : public testing::TestWithParam<const char*> {};

// Vocabularies trained by the oracles themselves (tools/golden/tokenizer_vocabularies.py).
TEST_P(StoredVocabulary, TokensEqualTheOracles) {
  const std::string base = "vocab/" + std::string(GetParam());
  const auto model = OpenGguf(GoldenFile(base + ".gguf").string());
  ASSERT_TRUE(model.ok()) << model.status().message();
  const auto tokenizer = Tokenizer::FromMetadata(model->metadata);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  std::ifstream file(GoldenFile(base + ".json"));
  const auto cases = nlohmann::json::parse(file, nullptr, false);
  ASSERT_TRUE(cases.is_array());
  ASSERT_GE(cases.size(), 200u);
  for (const auto& item : cases) {
    const std::string text = item["text"];
    // sentencepiece knows no control tokens in a text.
    const bool special = base.find("bpe") != std::string::npos;
    const auto ids = (*tokenizer)->Encode(text, {.add_special = false, .parse_special = special});
    ASSERT_TRUE(ids.ok()) << ids.status().message();
    EXPECT_EQ(*ids, item["ids"].get<std::vector<std::int32_t>>()) << text;
  }
}

INSTANTIATE_TEST_SUITE_P(Names, StoredVocabulary,
                         testing::Values("bpe-gpt-2", "bpe-qwen2", "bpe-llama", "bpe-gpt-4o",
                                         "bpe-deepseek-v3", "spm", "spm-crossing", "spm-unknown",
                                         "spm-trimmed"),
                         IdentifierOf);

std::string Slurp(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream bytes;
  bytes << file.rdbuf();
  return bytes.str();
}

class VocabularyFile : public testing::TestWithParam<const char*> {};

// The .inp file holds texts between marker lines, the .out file one line of ids for each.
TEST_P(VocabularyFile, TokensEqualTheOutFile) {
  const auto base = std::filesystem::path(LARDER_SOURCE_DIR) / "../shared/testdata/tokenizers" /
                    (std::string("ggml-vocab-") + GetParam() + ".gguf");
  if (!std::filesystem::exists(base)) {
    GTEST_SKIP() << "the vocabulary files are not beside the repository (../shared/testdata)";
  }
  const auto model = OpenGguf(base.string());
  ASSERT_TRUE(model.ok()) << model.status().message();
  const auto made = Tokenizer::FromMetadata(model->metadata);
  ASSERT_TRUE(made.ok()) << made.status().message();
  const Tokenizer& tokenizer = **made;
  const std::string texts = Slurp(base.string() + ".inp");
  std::istringstream lines(Slurp(base.string() + ".out"));
  const std::string marker = "\n__ggml_vocab_test__\n";
  int n_texts = 0;
  std::string line;
  for (std::size_t begin = 0; begin < texts.size(); ++n_texts) {
    const std::size_t end = std::min(texts.find(marker, begin), texts.size());
    const std::string text = texts.substr(begin, end - begin);
    begin = end + marker.size();
    ASSERT_TRUE(std::getline(lines, line)) << "no ids for text " << n_texts;
    std::istringstream words(line);
    const std::vector<std::int32_t> expected{std::istream_iterator<std::int32_t>(words), {}};
    const auto ids = tokenizer.Encode(text);
    ASSERT_TRUE(ids.ok()) << ids.status().message();
    EXPECT_EQ(*ids, expected) << text;
    EXPECT_EQ(tokenizer.Decode(*ids, true), text);
  }
  EXPECT_FALSE(std::getline(lines, line)) << "more lines of ids than texts";
  EXPECT_GE(n_texts, 40);
}

INSTANTIATE_TEST_SUITE_P(Files, VocabularyFile,
                         testing::Values("gpt-2", "deepseek-llm", "llama-spm"), IdentifierOf);

}  // namespace
}  // namespace larder
