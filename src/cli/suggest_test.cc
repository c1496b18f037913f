// The nearest known word.
#include "cli/suggest.h"

#include <gtest/gtest.h>

namespace larder {
namespace {

TEST(EditDistance, CountsEdits) {
  EXPECT_EQ(EditDistance("", ""), 0);
  EXPECT_EQ(EditDistance("run", "run"), 0);
  EXPECT_EQ(EditDistance("run", "rnu"), 1);
  EXPECT_EQ(EditDistance("bench", "bnech"), 1);
  EXPECT_EQ(EditDistance("synth", "sinth"), 1);
  EXPECT_EQ(EditDistance("", "abc"), 3);
  EXPECT_EQ(EditDistance("kitten", "sitting"), 3);
}

TEST(NearestWord, FindsWhatWasMeantAndNothingElse) {
  const std::vector<std::string> commands = {"run", "inspect", "bench", "tokenize", "detokenize"};
  EXPECT_EQ(NearestWord("rnu", commands), "run");
  EXPECT_EQ(NearestWord("inspct", commands), "inspect");
  EXPECT_EQ(NearestWord("token", commands), "tokenize");
  EXPECT_EQ(NearestWord("xyzzy", commands), "");
  EXPECT_EQ(NearestWord("--memry", {"--memory", "--model"}), "--memory");
}

}  // namespace
}  // namespace larder
