// Every sentence the GGUF parser refuses a file with, word by word, on bytes made by hand.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "base/memory.h"
#include "format/gguf_parser.h"
#include "format/gguf_reader.h"
#include "format/gguf_test_bytes.h"

namespace larder {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr std::uint32_t kF32 = 0;
constexpr std::uint32_t kQ4K = 12;
constexpr std::uint64_t kHuge = std::numeric_limits<std::uint64_t>::max();

Result<GgufPart> Parse(const std::string& bytes) {
  return ParseGgufPart(MemorySource(std::as_bytes(std::span(bytes.data(), bytes.size()))),
                       "m.gguf");
}
Result<GgufPart> Parse(const GgufBytes& bytes) { return Parse(bytes.bytes()); }

std::string Message(const std::string& bytes) { return Parse(bytes).status().message(); }
std::string Message(const GgufBytes& bytes) { return Message(bytes.bytes()); }

// One tensor with its data, as described.
GgufBytes OneTensor(const std::vector<std::uint64_t>& dims, std::uint32_t type,
                    std::uint64_t offset, std::size_t data_bytes) {
  GgufBytes bytes;
  bytes.Preamble(1, 0).Tensor("x", dims, type, offset).Pad().Zeros(data_bytes);
  return bytes;
}

TEST(GgufErrors, WhatIsNotGguf) {
  EXPECT_EQ(Message(""), "m.gguf is empty; download it again");
  EXPECT_EQ(Message("GG"), "m.gguf is truncated after 2 bytes; download it again");
  EXPECT_EQ(Message("hello, world"), "m.gguf is not a GGUF file; give a model in GGUF format");
  EXPECT_EQ(Message("G"), "m.gguf is truncated after 1 bytes; download it again");
  EXPECT_EQ(Message("version https://git-lfs.github.com/spec/v1\noid sha256:00"),
            "m.gguf is a Git LFS pointer, not the model; fetch it with git lfs pull");
  EXPECT_EQ(Message(std::string(100, '\0')),
            "m.gguf begins with zeros: its download was not finished; download it again");
  EXPECT_EQ(Message("<!DOCTYPE html><html>"),
            "m.gguf is a web page, not a model; download it again");
  EXPECT_EQ(Message("PK\x03\x04 and so on"),
            "m.gguf is an archive or a PyTorch file, not GGUF; convert it to GGUF");
  EXPECT_EQ(Message("tjgg\x03"), "m.gguf is in a format older than GGUF; get the model as GGUF");
  EXPECT_EQ(Message(GgufBytes().U64(100).Raw("{\"a\":{}}")),
            "m.gguf is a safetensors file, not GGUF; convert it to GGUF");
}

TEST(GgufErrors, Versions) {
  const auto version = [](std::uint32_t number) {
    return Parse(GgufBytes().Raw("GGUF").U32(number).U64(0).U64(0)).status();
  };
  EXPECT_EQ(version(1).message(),
            "m.gguf is a GGUF file of the old version 1; get or convert one of version 3");
  EXPECT_EQ(version(2).code(), StatusCode::kUnsupported);
  EXPECT_EQ(version(0x03000000).message(),
            "m.gguf is a big-endian GGUF file; get the little-endian one");
  EXPECT_EQ(
      version(4).message(),
      "m.gguf says GGUF version 4 and Larder reads version 3; get it in version 3, or download "
      "it again");
  EXPECT_EQ(version(0).code(), StatusCode::kUnsupported);
}

TEST(GgufErrors, EndsInsideTheHeader) {
  EXPECT_EQ(Message("GGUF\x03"),
            "m.gguf is truncated or damaged: it ends at byte 5, inside the header; download it "
            "again");
  EXPECT_EQ(Message(GgufBytes().Preamble(0, 2).KeyU32("a", 1).U64(50).Raw("abcdefgh")),
            "m.gguf is truncated or damaged: it ends at byte 57, inside metadata key 2 of 2; "
            "download it again");
  EXPECT_EQ(Message(GgufBytes().Preamble(0, 1).Text("name").U32(8).U64(kHuge)),
            "m.gguf is truncated or damaged: it ends at byte 48, inside the metadata key 'name'; "
            "download it again");
  EXPECT_EQ(Message(GgufBytes().Preamble(1, 0).Text("x").U32(4).U64(1).U64(1).U64(1)),
            "m.gguf is truncated or damaged: it ends at byte 61, inside the description of tensor "
            "'x'; download it again");
}

TEST(GgufErrors, CountsThatCannotBe) {
  for (const std::uint64_t count : {std::uint64_t{1} << 33, kHuge / 2, kHuge}) {
    EXPECT_EQ(Message(GgufBytes().Preamble(0, count).Zeros(100)),
              fmt::format("m.gguf is truncated or damaged: the metadata claims {} entries, more "
                          "than the 100 bytes left can hold; download it again",
                          count));
    EXPECT_THAT(Message(GgufBytes().Preamble(count, 0).Zeros(100)),
                StartsWith("m.gguf is truncated or damaged: the list of tensors claims"));
    for (const std::uint32_t type : {0u, 4u, 7u, 8u, 12u}) {
      EXPECT_THAT(
          Message(GgufBytes().Preamble(0, 1).Text("k").U32(9).U32(type).U64(count).Zeros(100)),
          StartsWith("m.gguf is truncated or damaged: the metadata key 'k' claims"));
    }
    EXPECT_THAT(Message(GgufBytes().Preamble(0, 1).Text("k").U32(9).U32(8).U64(1).U64(count)),
                HasSubstr("inside the metadata key 'k'"));
  }
  EXPECT_EQ(Message(GgufBytes().Preamble(0, 70'000).Zeros(1'000'000)),
            "m.gguf: it claims 70000 metadata keys; the file is damaged, download it again");
}

// A file of holes: claims that its size would allow must not take memory either.
TEST(GgufErrors, HugeFilesDoNotMakeHugeHeaders) {
  const TestFolder folder;
  const std::string bytes =
      GgufBytes().Preamble(0, 1).Text("k").U32(9).U32(0).U64(std::uint64_t{1} << 40).bytes();
  const std::string path = folder.Write("big.gguf", bytes);
  ASSERT_EQ(truncate(path.c_str(), off_t{1} << 41), 0);
  const auto model = OpenGguf(path);
  EXPECT_THAT(model.status().message(), HasSubstr("the metadata key 'k' claims 1099511627776"));
  const std::string text = GgufBytes().Preamble(0, 1).Text("k").U32(8).U64(1ull << 40).bytes();
  const std::string text_path = folder.Write("text.gguf", text);
  ASSERT_EQ(truncate(text_path.c_str(), off_t{1} << 41), 0);
  EXPECT_EQ(OpenGguf(text_path).status().message(),
            text_path +
                " is damaged: the metadata key 'k' would make its header larger than 128 "
                "MiB; download it again");
  EXPECT_LT(PeakResidentBytes(), 1u << 30);
}

TEST(GgufErrors, Metadata) {
  EXPECT_EQ(Message(GgufBytes().Preamble(0, 1).Text("k").U32(13).U64(0)),
            "m.gguf: the metadata key 'k' has the unknown type 13; the file is damaged, download "
            "it again");
  EXPECT_EQ(Message(GgufBytes().Preamble(0, 1).Text("k").U32(9).U32(99).U64(0)),
            "m.gguf: the metadata key 'k' is a list of the unknown type 99; the file is damaged, "
            "download it again");
  const auto nested = Parse(GgufBytes().Preamble(0, 1).Text("k").U32(9).U32(9).U64(1).Zeros(20));
  EXPECT_EQ(nested.status().code(), StatusCode::kUnsupported);
  EXPECT_EQ(
      nested.status().message(),
      "m.gguf: the metadata key 'k' holds lists of lists, which Larder does not read; get the "
      "model from another source");
  EXPECT_EQ(Message(GgufBytes().Preamble(0, 2).KeyU32("k", 1).KeyU32("k", 1)),
            "m.gguf: the metadata key 'k' is there twice; the file is damaged, download it again");
  EXPECT_EQ(Message(GgufBytes().Preamble(0, 1).Text("k").U32(7).Raw("\x02")),
            "m.gguf: the metadata key 'k' is 2, not true or false; the file is damaged, download "
            "it again");
  EXPECT_THAT(Message(GgufBytes().Preamble(0, 1).Text("k").U32(9).U32(7).U64(2).Raw("\x01\x07")),
              HasSubstr("is 7, not true or false"));
  EXPECT_EQ(Message(GgufBytes().Preamble(0, 1).Text(std::string(70'000, 'k')).U32(0).U32(0)),
            "m.gguf is damaged: metadata key 1 of 1 holds a text of 70000 bytes, more than 65535; "
            "download it again");
}

TEST(GgufErrors, NamesCannotControlTheTerminal) {
  const std::string evil = "a\x1b[2J\n'\xff" + std::string(500, 'z');
  const std::string message = Message(GgufBytes().Preamble(0, 1).Text(evil).U32(13).U64(0));
  EXPECT_THAT(message, HasSubstr("'a\\x1b[2J\\x0a\\x27\\xffzzz"));
  EXPECT_LT(message.size(), 250u);
}

TEST(GgufErrors, Alignment) {
  for (const std::uint32_t alignment : {0u, 1u, 4u, 12u, 40u, 1u << 21, 1u << 31, 4294967295u}) {
    EXPECT_EQ(Message(GgufBytes().Preamble(0, 1).KeyU32("general.alignment", alignment)),
              fmt::format("m.gguf: general.alignment is {}, not a power of two from 8 to 1048576; "
                          "the file is damaged, download it again",
                          alignment));
  }
  EXPECT_EQ(Message(GgufBytes().Preamble(0, 1).Text("general.alignment").U32(8).Text("32")),
            "m.gguf: the metadata key 'general.alignment' does not hold a whole number that is not "
            "negative; convert or download the file again");
}

TEST(GgufErrors, Shapes) {
  EXPECT_EQ(Message(OneTensor({}, kF32, 0, 4)),
            "m.gguf: the tensor 'x' has 0 dimensions, not 1 to 4; the file is damaged, download it "
            "again");
  EXPECT_THAT(Message(OneTensor({1, 1, 1, 1, 1}, kF32, 0, 4)), HasSubstr("has 5 dimensions"));
  EXPECT_THAT(Message(GgufBytes().Preamble(1, 0).Text("x").U32(1u << 31).Zeros(100)),
              HasSubstr("has 2147483648 dimensions"));
  EXPECT_EQ(Message(OneTensor({3, 0}, kF32, 0, 4)),
            "m.gguf: the tensor 'x' has a dimension of 0; the file is damaged, download it again");
  EXPECT_THAT(Message(OneTensor({kHuge}, kF32, 0, 4)), HasSubstr("has a dimension of 18446744"));
  EXPECT_EQ(Message(OneTensor({255, 2}, kQ4K, 0, 999)),
            "m.gguf: the tensor 'x' has the shape [255, 2], impossible for type Q4_K; the file is "
            "damaged, download it again");
  const std::uint64_t big = std::uint64_t{1} << 32;
  // Products that overflow 64 bits to something small, in elements and in bytes.
  EXPECT_THAT(Message(OneTensor({big, big}, kF32, 0, 4)), HasSubstr("impossible for type F32"));
  EXPECT_THAT(Message(OneTensor({big, big, big, big}, kF32, 0, 4)), HasSubstr("impossible"));
  EXPECT_THAT(Message(OneTensor({big, big / 4}, kF32, 0, 4)), HasSubstr("impossible"));
  EXPECT_THAT(Message(OneTensor({kHuge / 2}, kF32, 0, 4)), HasSubstr("impossible"));
}

TEST(GgufErrors, TypesByName) {
  const auto status = Parse(OneTensor({256}, 40, 0, 500)).status();
  EXPECT_EQ(status.code(), StatusCode::kUnsupported);
  EXPECT_THAT(status.message(),
              StartsWith("m.gguf: tensor 'x': type NVFP4 is not supported yet; use a file"));
  EXPECT_THAT(Message(OneTensor({256}, 133, 0, 500)), HasSubstr("type number 133 is unknown"));
}

TEST(GgufErrors, Places) {
  EXPECT_TRUE(Parse(OneTensor({8}, kF32, 0, 32)).ok());
  const GgufBytes short_by_one = OneTensor({8}, kF32, 0, 31);
  EXPECT_EQ(
      Message(short_by_one),
      "m.gguf is truncated: it is 95 bytes long and tensor 'x' ends at 96; download it again");
  EXPECT_EQ(Message(OneTensor({8}, kF32, 8, 100)),
            "m.gguf: the tensor 'x' begins at 8, not a multiple of 32; the file is damaged, "
            "download it again");
  EXPECT_EQ(Message(OneTensor({8}, kF32, kHuge - 31, 100)),
            "m.gguf: the tensor 'x' lies beyond any file; the file is damaged, download it again");
  EXPECT_THAT(
      Message(OneTensor({8}, kF32, std::uint64_t{1} << 62, 100)),
      HasSubstr("is truncated: it is 164 bytes long and tensor 'x' ends at 46116860184273"));
  GgufBytes overlap;
  overlap.Preamble(2, 0).Tensor("second", {8}, kF32, 32).Tensor("first", {9}, kF32, 0);
  EXPECT_EQ(Message(overlap.Pad().Zeros(64)),
            "m.gguf: the tensors 'first' and 'second' overlap; the file is damaged, download it "
            "again");
  GgufBytes same;
  same.Preamble(2, 0).Tensor("a", {8}, kF32, 0).Tensor("b", {8}, kF32, 0).Pad().Zeros(64);
  EXPECT_THAT(Message(same), HasSubstr("overlap"));
}

TEST(GgufErrors, Names) {
  GgufBytes twice;
  twice.Preamble(2, 0).Tensor("x", {8}, kF32, 0).Tensor("x", {8}, kF32, 32).Pad().Zeros(64);
  EXPECT_EQ(Message(twice),
            "m.gguf: the tensor 'x' is there twice; the file is damaged, download it again");
  EXPECT_EQ(Message(GgufBytes().Preamble(1, 0).Tensor("", {8}, kF32, 0).Pad().Zeros(32)),
            "m.gguf: a tensor has no name; the file is damaged, download it again");
  EXPECT_EQ(
      Message(GgufBytes().Preamble(1, 0).Tensor(std::string(1025, 'n'), {8}, kF32, 0).Pad()),
      "m.gguf is damaged: the description of tensor 1 of 1 holds a text of 1025 bytes, more than "
      "1024; download it again");
}

TEST(GgufErrors, FilesThatCannotBeOpened) {
  const TestFolder folder;
  EXPECT_EQ(OpenGguf(folder.Path("no.gguf")).status().code(), StatusCode::kNotFound);
  EXPECT_THAT(OpenGguf(folder.Path("")).status().message(), HasSubstr("is a directory"));
  const std::string path = folder.Write("empty.gguf", "");
  EXPECT_EQ(OpenGguf(path).status().message(), path + " is empty; download it again");
}

}  // namespace
}  // namespace larder
