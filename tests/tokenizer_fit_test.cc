// Texts and token ids whose vocabulary is not here (qwen2, qwen35): what can be known without it.
// The ids must be readable as the texts' bytes with one string for each id everywhere, and with no
// token across two of our words. That is weaker than equal tokens: words that are cut too rarely
// may pass, words that are cut too often do not. The reference that gave the ids knows no
// normalization form; these models' own tokenizers bring texts to form C first, as Larder does, so
// the few texts that are not in it are split here as they are.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <iterator>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/normalize.h"
#include "text/pretokenizer.h"

namespace larder {
namespace {

struct Example {
  std::string text;
  std::vector<std::int32_t> ids;
};

std::filesystem::path BaseOf(const std::string& name) {
  return std::filesystem::path(LARDER_SOURCE_DIR) / "../shared/testdata/tokenizers" /
         ("ggml-vocab-" + name + ".gguf");
}

std::string Slurp(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// The .inp file holds texts between marker lines, the .out file one line of ids for each. Shortest
// first: what they say of their ids makes the long ones quick.
std::vector<Example> ReadExamples(const std::string& name) {
  const std::string texts = Slurp(BaseOf(name).string() + ".inp");
  std::istringstream lines(Slurp(BaseOf(name).string() + ".out"));
  const std::string marker = "\n__ggml_vocab_test__\n";
  std::vector<Example> examples;
  std::string line;
  for (std::size_t begin = 0; begin < texts.size();) {
    const std::size_t end = std::min(texts.find(marker, begin), texts.size());
    EXPECT_TRUE(std::getline(lines, line));
    std::istringstream words(line);
    examples.push_back(
        {texts.substr(begin, end - begin), {std::istream_iterator<std::int32_t>(words), {}}});
    begin = end + marker.size();
  }
  EXPECT_FALSE(std::getline(lines, line)) << "more lines of ids than texts";
  std::sort(examples.begin(), examples.end(),
            [](const Example& a, const Example& b) { return a.text.size() < b.text.size(); });
  return examples;
}

using Strings = std::set<std::string, std::less<>>;

// A token that may lie in more places of one text says nothing there.
constexpr std::size_t kMostWays = 5000;

/// What each id may stand for, narrowed down by one text after the other until nothing changes.
class Reading {
 public:
  /// Ids 0 to 255 are the bytes in the order of GPT-2's alphabet: the printable ones first.
  Reading() {
    std::int32_t id = 0;
    for (const bool printable : {true, false}) {
      for (int byte = 0; byte < 256; ++byte) {
        const bool is_printable =
            (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
        if (is_printable == printable) may_be_[id++] = {std::string(1, static_cast<char>(byte))};
      }
    }
  }

  /// False: the ids cannot be read as these words. `ends` are those of the words.
  bool Narrow(std::string_view text, const std::vector<std::size_t>& ends,
              const std::vector<std::int32_t>& ids) {
    const std::size_t n = ids.size();
    // Where token i may begin: seen from the left, and then from both sides.
    std::vector<std::vector<char>> begins(n + 1, std::vector<char>(text.size() + 1, 0));
    begins[0][0] = 1;
    for (std::size_t i = 0; i < n; ++i) {
      for (std::size_t begin = 0; begin < text.size(); ++begin) {
        if (begins[i][begin] == 0) continue;
        for (std::size_t end = begin + 1; end <= EndOfWord(ends, begin); ++end) {
          if (MayBe(ids[i], text.substr(begin, end - begin))) begins[i + 1][end] = 1;
        }
      }
    }
    if (begins[n][text.size()] == 0) return false;
    begins[n].assign(text.size() + 1, 0);
    begins[n][text.size()] = 1;
    std::map<std::int32_t, Strings> found;
    for (std::size_t i = n; i-- > 0;) {
      std::vector<char> possible(text.size() + 1, 0);
      Strings here;
      std::size_t n_ways = 0;
      for (std::size_t begin = 0; begin < text.size(); ++begin) {
        if (begins[i][begin] == 0) continue;
        for (std::size_t end = begin + 1; end <= EndOfWord(ends, begin); ++end) {
          const std::string_view piece = text.substr(begin, end - begin);
          if (begins[i + 1][end] == 0 || !MayBe(ids[i], piece)) continue;
          possible[begin] = 1;
          if (++n_ways <= kMostWays) here.emplace(piece);
        }
      }
      begins[i] = std::move(possible);
      if (n_ways > kMostWays) continue;
      const auto [before, is_new] = found.try_emplace(ids[i], here);
      Strings& both = before->second;
      if (!is_new) std::erase_if(both, [&here](const auto& one) { return here.count(one) == 0; });
      if (both.empty()) return false;
    }
    for (auto& [id, strings] : found) {
      Strings& known = may_be_[id];
      changed_ = changed_ || known != strings;
      known = std::move(strings);
    }
    return true;
  }

  bool TakeChanged() { return std::exchange(changed_, false); }

  /// Two ids never stand for one string.
  bool AllDiffer() const {
    std::set<std::string> taken;
    for (const auto& [id, strings] : may_be_) {
      if (strings.size() == 1 && !taken.insert(*strings.begin()).second) return false;
    }
    return true;
  }

  std::size_t n_known() const {
    return static_cast<std::size_t>(std::count_if(
        may_be_.begin(), may_be_.end(), [](const auto& one) { return one.second.size() == 1; }));
  }
  std::size_t n_ids() const { return may_be_.size(); }

 private:
  static std::size_t EndOfWord(const std::vector<std::size_t>& ends, std::size_t begin) {
    const auto end = std::upper_bound(ends.begin(), ends.end(), begin);
    return end == ends.end() ? begin : *end;
  }

  bool MayBe(std::int32_t id, std::string_view piece) const {
    const auto known = may_be_.find(id);
    return known == may_be_.end() || known->second.count(piece) != 0;
  }

  std::map<std::int32_t, Strings> may_be_;
  bool changed_ = false;
};

struct Fit {
  std::size_t n_fitting = 0;  // texts
  std::size_t n_texts = 0;
  std::size_t n_not_nfc = 0;  // of them
  bool differ = false;
  std::size_t n_known = 0, n_ids = 0;
};

// Of the texts of `name`, cut into words as `pre` does.
Fit FitOf(const std::string& name, const std::string& pre) {
  const std::vector<Example> examples = ReadExamples(name);
  const auto traits = FindPreTokenizer(pre);
  EXPECT_TRUE(traits.has_value());
  Reading reading;
  Fit fit;
  do {
    fit.n_fitting = 0;
    for (const Example& example : examples) {
      std::vector<std::size_t> ends;
      SplitWords(traits->pre, example.text, ends);
      if (reading.Narrow(example.text, ends, example.ids)) ++fit.n_fitting;
    }
  } while (reading.TakeChanged() && fit.n_fitting == examples.size());
  fit.n_texts = examples.size();
  fit.n_not_nfc = static_cast<std::size_t>(std::count_if(
      examples.begin(), examples.end(),
      [](const Example& example) { return NormalizeNfc(example.text) != example.text; }));
  fit.differ = reading.AllDiffer();
  fit.n_known = reading.n_known() - 256;
  fit.n_ids = reading.n_ids() - 256;
  return fit;
}

class WithoutVocabulary : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(BaseOf(GetParam()).string() + ".inp")) {
      GTEST_SKIP() << "the texts are not beside the repository (../shared/testdata)";
    }
  }
};

TEST_P(WithoutVocabulary, IdsCanBeReadAsTheTextsWords) {
  const std::string name = GetParam();
  const Fit fit = FitOf(name, name);
  EXPECT_GE(fit.n_texts, 40u);
  EXPECT_EQ(fit.n_fitting, fit.n_texts);
  EXPECT_TRUE(fit.differ);
  // Larder's own tokens of these are those of another text.
  EXPECT_LE(fit.n_not_nfc, 4u);
  std::cout << "figure: " << name << "-texts-whose-ids-fit-our-words " << fit.n_fitting
            << " == " << fit.n_texts << "\n"
            << "figure: " << name << "-texts-not-in-form-C-where-the-reference-differs "
            << fit.n_not_nfc << " <= 4 of " << fit.n_texts << "\n"
            << "figure: " << name << "-ids-whose-string-follows " << fit.n_known
            << " >= " << fit.n_ids / 2 << " of " << fit.n_ids << "\n";
}

// What the test above can tell: these cut where a token of the reference goes on.
TEST_P(WithoutVocabulary, WrongWordsAreFound) {
  for (const char* wrong : {"gpt-2", "starcoder", "deepseek-llm", "deepseek-coder"}) {
    const Fit fit = FitOf(GetParam(), wrong);
    EXPECT_LT(fit.n_fitting, fit.n_texts) << wrong;
  }
}

INSTANTIATE_TEST_SUITE_P(Names, WithoutVocabulary, testing::Values("qwen2", "qwen35"),
                         [](const auto& parameter) { return std::string(parameter.param); });

}  // namespace
}  // namespace larder
