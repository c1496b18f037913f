// Word boundaries on texts where the expressions' alternatives compete. Expected values were made
// with Hugging Face tokenizers 0.23; tests/tokenizer_golden_test.cc has the many random ones.
#include "text/pretokenizer.h"

#include <gtest/gtest.h>

#include <chrono>

#include "base/random.h"
#include "text/char_class.h"
#include "text/utf8.h"

namespace larder {
namespace {

std::vector<std::string> Words(PreTokenizer pre, std::string_view text) {
  std::vector<std::size_t> ends;
  SplitWords(pre, text, ends);
  std::vector<std::string> words;
  std::size_t begin = 0;
  for (const std::size_t end : ends) {
    words.emplace_back(text.substr(begin, end - begin));
    begin = end;
  }
  return words;
}

using List = std::vector<std::string>;

TEST(PreTokenizer, Gpt2) {
  constexpr PreTokenizer kPre = PreTokenizer::kGpt2;
  EXPECT_EQ(Words(kPre, "I've it's 'S '\xc5\xbfx DON'T we'Ll 'tis l'r"),
            (List{"I", "'ve", " it", "'s", " '", "S", " '", "\xc5\xbfx", " DON", "'", "T", " we",
                  "'", "Ll", " '", "tis", " l", "'", "r"}));
  EXPECT_EQ(Words(kPre, "a  b   c "), (List{"a", " ", " b", "  ", " c", " "}));
  EXPECT_EQ(Words(kPre, "x \n  y\n\n \tz  "), (List{"x", " \n ", " y", "\n\n ", "\t", "z", "  "}));
  EXPECT_EQ(Words(kPre, " ((a)) !!\r\n\r\n b"), (List{" ((", "a", "))", " !!", "\r\n\r\n", " b"}));
  EXPECT_EQ(Words(kPre, "12 345\xc2\xbd \xe2\x85\xa7"),
            (List{"12", " 345\xc2\xbd", " \xe2\x85\xa7"}));
  EXPECT_EQ(Words(kPre,
                  "\xc3\xa9t\xc3\xa9 cafe\xcc\x81 \xcc\x81"
                  "a \xe0\xa4\x95\xe0\xa4\xbf"),
            (List{"\xc3\xa9t\xc3\xa9", " cafe", "\xcc\x81", " \xcc\x81", "a", " \xe0\xa4\x95",
                  "\xe0\xa4\xbf"}));
  EXPECT_EQ(
      Words(
          kPre,
          "\xe6\xbc\xa2\xe5\xad\x97\xe3\x81\x8b\xe3\x80\x80\xed\x95\x9c\xea\xb5\xad \xe3\x83\xbb"),
      (List{"\xe6\xbc\xa2\xe5\xad\x97\xe3\x81\x8b", "\xe3\x80\x80", "\xed\x95\x9c\xea\xb5\xad",
            " \xe3\x83\xbb"}));
  EXPECT_EQ(Words(kPre, "\xef\xbc\xa1\xef\xbc\xa2\xef\xbc\x81x\xe3\x80\x80y"),
            (List{"\xef\xbc\xa1\xef\xbc\xa2", "\xef\xbc\x81", "x", "\xe3\x80\x80", "y"}));
  EXPECT_EQ(Words(kPre,
                  "a\xc2\xa0\xe2\x80\x83"
                  "b\xc2\x85"
                  "c\xe2\x80\xa8"),
            (List{"a", "\xc2\xa0", "\xe2\x80\x83", "b", "\xc2\x85", "c", "\xe2\x80\xa8"}));
  EXPECT_EQ(Words(kPre, " \t\n"), (List{" \t\n"}));
}

TEST(PreTokenizer, Qwen2) {
  constexpr PreTokenizer kPre = PreTokenizer::kQwen2;
  EXPECT_EQ(Words(kPre, "I've it's 'S '\xc5\xbfx DON'T we'Ll 'tis l'r"),
            (List{"I", "'ve", " it", "'s", " '", "S", " '", "\xc5\xbfx", " DON", "'T", " we", "'Ll",
                  " '", "tis", " l", "'r"}));
  EXPECT_EQ(Words(kPre, "a  b   c "), (List{"a", " ", " b", "  ", " c", " "}));
  EXPECT_EQ(Words(kPre, "x \n  y\n\n \tz  "),
            (List{"x", " \n", " ", " y", "\n\n", " ", "\tz", "  "}));
  EXPECT_EQ(Words(kPre, " ((a)) !!\r\n\r\n b"), (List{" ((", "a", "))", " !!\r\n\r\n", " b"}));
  EXPECT_EQ(Words(kPre, "12 345\xc2\xbd \xe2\x85\xa7"),
            (List{"1", "2", " ", "3", "4", "5", "\xc2\xbd", " ", "\xe2\x85\xa7"}));
  EXPECT_EQ(Words(kPre,
                  "\xc3\xa9t\xc3\xa9 cafe\xcc\x81 \xcc\x81"
                  "a \xe0\xa4\x95\xe0\xa4\xbf"),
            (List{"\xc3\xa9t\xc3\xa9", " cafe", "\xcc\x81", " \xcc\x81", "a", " \xe0\xa4\x95",
                  "\xe0\xa4\xbf"}));
  EXPECT_EQ(
      Words(
          kPre,
          "\xe6\xbc\xa2\xe5\xad\x97\xe3\x81\x8b\xe3\x80\x80\xed\x95\x9c\xea\xb5\xad \xe3\x83\xbb"),
      (List{"\xe6\xbc\xa2\xe5\xad\x97\xe3\x81\x8b", "\xe3\x80\x80\xed\x95\x9c\xea\xb5\xad",
            " \xe3\x83\xbb"}));
  EXPECT_EQ(Words(kPre, "\xef\xbc\xa1\xef\xbc\xa2\xef\xbc\x81x\xe3\x80\x80y"),
            (List{"\xef\xbc\xa1\xef\xbc\xa2", "\xef\xbc\x81x", "\xe3\x80\x80y"}));
  EXPECT_EQ(Words(kPre,
                  "a\xc2\xa0\xe2\x80\x83"
                  "b\xc2\x85"
                  "c\xe2\x80\xa8"),
            (List{"a", "\xc2\xa0",
                  "\xe2\x80\x83"
                  "b",
                  "\xc2\x85"
                  "c",
                  "\xe2\x80\xa8"}));
  EXPECT_EQ(Words(kPre, " \t\n"), (List{" \t\n"}));
}

TEST(PreTokenizer, Qwen35) {
  constexpr PreTokenizer kPre = PreTokenizer::kQwen35;
  EXPECT_EQ(Words(kPre, "I've it's 'S '\xc5\xbfx DON'T we'Ll 'tis l'r"),
            (List{"I", "'ve", " it", "'s", " '", "S", " '", "\xc5\xbfx", " DON", "'T", " we", "'Ll",
                  " '", "tis", " l", "'r"}));
  EXPECT_EQ(Words(kPre, "a  b   c "), (List{"a", " ", " b", "  ", " c", " "}));
  EXPECT_EQ(Words(kPre, "x \n  y\n\n \tz  "),
            (List{"x", " \n", " ", " y", "\n\n", " ", "\tz", "  "}));
  EXPECT_EQ(Words(kPre, " ((a)) !!\r\n\r\n b"), (List{" ((", "a", "))", " !!\r\n\r\n", " b"}));
  EXPECT_EQ(Words(kPre, "12 345\xc2\xbd \xe2\x85\xa7"),
            (List{"1", "2", " ", "3", "4", "5", "\xc2\xbd", " ", "\xe2\x85\xa7"}));
  EXPECT_EQ(Words(kPre,
                  "\xc3\xa9t\xc3\xa9 cafe\xcc\x81 \xcc\x81"
                  "a \xe0\xa4\x95\xe0\xa4\xbf"),
            (List{"\xc3\xa9t\xc3\xa9", " cafe\xcc\x81",
                  " \xcc\x81"
                  "a",
                  " \xe0\xa4\x95\xe0\xa4\xbf"}));
  EXPECT_EQ(
      Words(
          kPre,
          "\xe6\xbc\xa2\xe5\xad\x97\xe3\x81\x8b\xe3\x80\x80\xed\x95\x9c\xea\xb5\xad \xe3\x83\xbb"),
      (List{"\xe6\xbc\xa2\xe5\xad\x97\xe3\x81\x8b", "\xe3\x80\x80\xed\x95\x9c\xea\xb5\xad",
            " \xe3\x83\xbb"}));
  EXPECT_EQ(Words(kPre, "\xef\xbc\xa1\xef\xbc\xa2\xef\xbc\x81x\xe3\x80\x80y"),
            (List{"\xef\xbc\xa1\xef\xbc\xa2", "\xef\xbc\x81x", "\xe3\x80\x80y"}));
  EXPECT_EQ(Words(kPre,
                  "a\xc2\xa0\xe2\x80\x83"
                  "b\xc2\x85"
                  "c\xe2\x80\xa8"),
            (List{"a", "\xc2\xa0",
                  "\xe2\x80\x83"
                  "b",
                  "\xc2\x85"
                  "c",
                  "\xe2\x80\xa8"}));
  EXPECT_EQ(Words(kPre, " \t\n"), (List{" \t\n"}));
}

TEST(PreTokenizer, DeepseekLlm) {
  constexpr PreTokenizer kPre = PreTokenizer::kDeepseekLlm;
  EXPECT_EQ(Words(kPre, "I've it's 'S '\xc5\xbfx DON'T we'Ll 'tis l'r"),
            (List{"I",    "'", "ve", " it", "'", "s",  " '", "S",   " '", "\xc5\xbf", "x",
                  " DON", "'", "T",  " we", "'", "Ll", " '", "tis", " l", "'",        "r"}));
  EXPECT_EQ(Words(kPre, "a  b   c "), (List{"a", " ", " b", "  ", " c", " "}));
  EXPECT_EQ(Words(kPre, "x \n  y\n\n \tz  "),
            (List{"x", " ", "\n", " ", " y", "\n", "\n", " ", "\tz", "  "}));
  EXPECT_EQ(Words(kPre, " ((a)) !!\r\n\r\n b"),
            (List{" ((", "a", "))", " !!", "\r", "\n", "\r", "\n", " b"}));
  EXPECT_EQ(Words(kPre, "12 345\xc2\xbd \xe2\x85\xa7"),
            (List{"1", "2", " ", "3", "4", "5", "\xc2\xbd", " ", "\xe2\x85\xa7"}));
  EXPECT_EQ(Words(kPre,
                  "\xc3\xa9t\xc3\xa9 cafe\xcc\x81 \xcc\x81"
                  "a \xe0\xa4\x95\xe0\xa4\xbf"),
            (List{"\xc3\xa9", "t", "\xc3\xa9", " cafe", "\xcc\x81 \xcc\x81", "a", " ",
                  "\xe0\xa4\x95\xe0\xa4\xbf"}));
  EXPECT_EQ(
      Words(
          kPre,
          "\xe6\xbc\xa2\xe5\xad\x97\xe3\x81\x8b\xe3\x80\x80\xed\x95\x9c\xea\xb5\xad \xe3\x83\xbb"),
      (List{"\xe6\xbc\xa2\xe5\xad\x97\xe3\x81\x8b", "\xe3\x80\x80", "\xed\x95\x9c\xea\xb5\xad", " ",
            "\xe3\x83\xbb"}));
  EXPECT_EQ(Words(kPre, "\xef\xbc\xa1\xef\xbc\xa2\xef\xbc\x81x\xe3\x80\x80y"),
            (List{"\xef\xbc\xa1\xef\xbc\xa2", "\xef\xbc\x81", "x", "\xe3\x80\x80", "y"}));
  EXPECT_EQ(Words(kPre,
                  "a\xc2\xa0\xe2\x80\x83"
                  "b\xc2\x85"
                  "c\xe2\x80\xa8"),
            (List{"a", "\xc2\xa0", "\xe2\x80\x83", "b",
                  "\xc2\x85"
                  "c",
                  "\xe2\x80\xa8"}));
  EXPECT_EQ(Words(kPre, " \t\n"), (List{" \t", "\n"}));
}

TEST(PreTokenizer, Gpt4o) {
  constexpr PreTokenizer kPre = PreTokenizer::kGpt4o;
  EXPECT_EQ(Words(kPre, "CamelCase HTMLPage it's DON'T x'S"),
            (List{"Camel", "Case", " HTMLPage", " it's", " DON'T", " x'S"}));
  EXPECT_EQ(Words(kPre, "1234567 !\n/\n/x a/b"),
            (List{"123", "456", "7", " !\n/\n/", "x", " a", "/b"}));
  // A letter without case ends the run of capitals it stands in.
  EXPECT_EQ(Words(kPre,
                  "AB\xc2\xaa"
                  "CD e"),
            (List{"AB\xc2\xaa", "CD", " e"}));
}

TEST(PreTokenizer, KimiK2) {
  constexpr PreTokenizer kPre = PreTokenizer::kKimiK2;
  EXPECT_EQ(Words(kPre,
                  "a\xe6\xbc\xa2\xe5\xad\x97"
                  "b !\n/"),
            (List{"a", "\xe6\xbc\xa2\xe5\xad\x97", "b", " !\n", "/"}));
}

TEST(PreTokenizer, DeepseekV3) {
  constexpr PreTokenizer kPre = PreTokenizer::kDeepseekV3;
  EXPECT_EQ(Words(kPre, "it's 1234 (foo) \xe6\xbc\xa2 x"),
            (List{"it", "'s", " ", "123", "4", " (", "foo", ")", " ", "\xe6\xbc\xa2", " x"}));
}

TEST(PreTokenizer, OthersAtOneGlance) {
  EXPECT_EQ(Words(PreTokenizer::kLlama3, "12345 a1"), (List{"123", "45", " a", "1"}));
  EXPECT_EQ(Words(PreTokenizer::kTekken, "it's 12"), (List{"it", "'s", " ", "1", "2"}));
  EXPECT_EQ(Words(PreTokenizer::kStarcoder, "it's 12"), (List{"it", "'s", " ", "1", "2"}));
  EXPECT_EQ(Words(PreTokenizer::kDeepseekCoder, "it's + 12"),
            (List{"it", "'", "s", " + ", "1", "2"}));
}

TEST(PreTokenizer, KnowsItsNames) {
  EXPECT_EQ(FindPreTokenizer("qwen35")->pre, PreTokenizer::kQwen35);
  EXPECT_EQ(FindPreTokenizer("deepseek-r1-qwen")->pre, PreTokenizer::kQwen2);
  EXPECT_EQ(FindPreTokenizer("chatglm-bpe")->pre, PreTokenizer::kLlama3);
  EXPECT_EQ(FindPreTokenizer("minimax-m2")->pre, PreTokenizer::kGpt4o);
  EXPECT_TRUE(FindPreTokenizer("qwen2")->nfc);
  EXPECT_TRUE(FindPreTokenizer("llama-bpe")->whole_words);
  EXPECT_FALSE(FindPreTokenizer("gpt-4o")->nfc);
  EXPECT_FALSE(FindPreTokenizer("default").has_value());
  EXPECT_NE(KnownPreTokenizers().find("gpt-2"), std::string::npos);
}

TEST(PreTokenizer, InvalidBytesAreSymbols) {
  EXPECT_EQ(Words(PreTokenizer::kGpt2, "a\xff\xfe!b"), (List{"a", "\xff\xfe!", "b"}));
  EXPECT_EQ(Words(PreTokenizer::kQwen2,
                  "a\xff"
                  "b \x80"),
            (List{"a",
                  "\xff"
                  "b",
                  " \x80"}));
  EXPECT_EQ(Words(PreTokenizer::kQwen2, "\xe4\xb8"), (List{"\xe4\xb8"}));
}

TEST(PreTokenizer, WordsCoverTheText) {
  SplitMix64 random(3);
  const std::string alphabet = "abAB 1.'/\n\r\ts\xc3\xa9\xe3\x80\x80\xff";
  for (int kind = 0; kind <= static_cast<int>(PreTokenizer::kDeepseekV3); ++kind) {
    const auto pre = static_cast<PreTokenizer>(kind);
    for (int round = 0; round < 2000; ++round) {
      std::string text;
      for (std::size_t n = random.NextBelow(30); n > 0; --n) {
        text.push_back(alphabet[random.NextBelow(alphabet.size())]);
      }
      std::vector<std::size_t> ends;
      SplitWords(pre, text, ends);
      std::size_t last = 0;
      for (const std::size_t end : ends) {
        ASSERT_GT(end, last);
        last = end;
      }
      ASSERT_EQ(last, text.size());
    }
  }
}

TEST(CharClass, ReadsTheTables) {
  EXPECT_EQ(CharClass('a'), kCharLetter | kCharLower | kCharDsLetter | kCharDsPunct);
  EXPECT_EQ(CharClass('\n'), kCharSpace | kCharLineEnd);
  EXPECT_EQ(CharClass(0x2460) & (kCharNumber | kCharNumeric), kCharNumber | kCharNumeric);
  EXPECT_EQ(CharClass(0x301), kCharMark | kCharUnstable);
  EXPECT_EQ(CharClass(0x1c89) & kCharLetter, kCharLetter);  // new in Unicode 16
  EXPECT_EQ(CharClass(0x11de0), kCharNumeric);              // new in Unicode 17
  EXPECT_EQ(CharClass(0x1c) & kCharSpace, 0);               // a separator, but not White_Space
  EXPECT_EQ(CharClass(0x10ffff), 0);
  EXPECT_EQ(CharClass(kInvalidCodePoint), 0);
}

TEST(Utf8, AgreesWithTheEncoderOnEveryCodePoint) {
  for (std::uint32_t c = 0; c < 0x110000; ++c) {
    std::string text;
    AppendUtf8(c, text);
    const Utf8Char read = DecodeUtf8(text, 0);
    const bool surrogate = c >= 0xd800 && c <= 0xdfff;
    ASSERT_EQ(read.code_point, surrogate ? kInvalidCodePoint : c);
    ASSERT_EQ(read.n_bytes, surrogate ? 1 : text.size());
    for (std::size_t n = 1; n < text.size() && !surrogate; ++n) {
      ASSERT_EQ(UnfinishedUtf8Bytes("x" + text.substr(0, n)), n);
    }
    ASSERT_EQ(UnfinishedUtf8Bytes(text), 0u);
  }
}

TEST(Utf8, RefusesOverlongAndTooLarge) {
  for (const char* text : {"\xc0\xaf", "\xe0\x80\xaf", "\xf0\x80\x80\xaf", "\xf4\x90\x80\x80",
                           "\xf8\x88\x80\x80", "\x80", "\xc3(", "\xe2\x82"}) {
    EXPECT_EQ(DecodeUtf8(text, 0).code_point, kInvalidCodePoint);
    EXPECT_EQ(DecodeUtf8(text, 0).n_bytes, 1u);
  }
  EXPECT_EQ(UnfinishedUtf8Bytes("\xe0\x80"), 0u);
  EXPECT_EQ(UnfinishedUtf8Bytes("\xff"), 0u);
  EXPECT_EQ(UnfinishedUtf8Bytes(""), 0u);
}

}  // namespace
}  // namespace larder
