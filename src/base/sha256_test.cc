// Against the standard's own examples (FIPS 180-4's, and lengths around a block's end).
#include "base/sha256.h"

#include <gtest/gtest.h>

namespace larder {
namespace {

std::string Hash(const std::string& text, std::size_t piece = 1000) {
  Sha256 hash;
  for (std::size_t at = 0; at < text.size(); at += piece) hash.Add(text.substr(at, piece));
  return ToHex(hash.Finish());
}

TEST(Sha256, TheStandardsExamples) {
  EXPECT_EQ(Hash(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(Hash("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(Hash("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(Hash(std::string(1000000, 'a')),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, PiecesDoNotMatter) {
  for (const std::size_t size : {54, 55, 56, 57, 63, 64, 65, 119, 120, 128}) {
    const std::string text(size, 'x');
    const std::string whole = Hash(text);
    for (const std::size_t piece : {1, 7, 63, 64}) EXPECT_EQ(Hash(text, piece), whole) << size;
  }
}

}  // namespace
}  // namespace larder
