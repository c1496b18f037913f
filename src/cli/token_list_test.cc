// Token ids as people write them.
#include "cli/token_list.h"

#include <gtest/gtest.h>

#include <fstream>

namespace larder {
namespace {

TEST(ParseTokenIds, CommasAndSpaces) {
  EXPECT_EQ(ParseTokenIds("1,2,3").value(), (std::vector<std::int32_t>{1, 2, 3}));
  EXPECT_EQ(ParseTokenIds(" 1, 2\n3 ").value(), (std::vector<std::int32_t>{1, 2, 3}));
  EXPECT_TRUE(ParseTokenIds("").value().empty());
}

TEST(ParseTokenIds, FromAFile) {
  const std::string path = testing::TempDir() + "/ids.txt";
  std::ofstream(path) << "7 8\n9\n";
  EXPECT_EQ(ParseTokenIds("@" + path).value(), (std::vector<std::int32_t>{7, 8, 9}));
  std::remove(path.c_str());
  EXPECT_EQ(ParseTokenIds("@" + path).status().code(), StatusCode::kNotFound);
}

TEST(ParseTokenIds, NamesTheWordThatIsNoId) {
  for (const char* text : {"1,x,3", "1.5", "99999999999", "1,2-3", "0x10", "1,,2", "1, ,2"}) {
    const auto ids = ParseTokenIds(text);
    ASSERT_FALSE(ids.ok()) << text;
    EXPECT_EQ(ids.status().code(), StatusCode::kInvalidArgument);
  }
  EXPECT_NE(ParseTokenIds("1,x,3").status().message().find("'x'"), std::string::npos);
}

}  // namespace
}  // namespace larder
