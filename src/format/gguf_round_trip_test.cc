// What the writer writes, the reader reads: all value types, shapes, alignments; the writer's own
// failures; real vocabulary files where they are at hand.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <filesystem>
#include <limits>

#include "base/clock.h"
#include "base/random.h"
#include "format/gguf_reader.h"
#include "format/gguf_test_bytes.h"
#include "format/gguf_writer.h"

namespace larder {
namespace {

using ::testing::HasSubstr;

template <typename T>
MetadataValue Scalar(MetadataType type, T value) {
  MetadataValue out;
  out.type = type;
  out.scalar = value;
  return out;
}

template <typename T>
MetadataValue List(MetadataType type, std::vector<T> values) {
  MetadataValue out;
  out.type = MetadataType::kArray;
  out.element_type = type;
  out.array = std::move(values);
  return out;
}

Metadata EveryType() {
  using enum MetadataType;
  constexpr auto kMax64 = std::numeric_limits<std::uint64_t>::max();
  constexpr auto kMin64 = std::numeric_limits<std::int64_t>::min();
  Metadata metadata;
  metadata.Set("a.u8", Scalar<std::uint64_t>(kUint8, 255));
  metadata.Set("a.i8", Scalar<std::int64_t>(kInt8, -128));
  metadata.Set("a.u16", Scalar<std::uint64_t>(kUint16, 65535));
  metadata.Set("a.i16", Scalar<std::int64_t>(kInt16, -32768));
  metadata.Set("a.i32", Scalar<std::int64_t>(kInt32, -2147483648LL));
  metadata.Set("a.u64", Scalar<std::uint64_t>(kUint64, kMax64));
  metadata.Set("a.i64", Scalar<std::int64_t>(kInt64, kMin64));
  metadata.Set("a.f64", Scalar<double>(kFloat64, 0.1));
  metadata.SetUint32("a.u32", 4294967295u);
  metadata.SetFloat32("a.f32", 0.1f);
  metadata.SetBool("a.true", true);
  metadata.SetBool("a.false", false);
  metadata.SetString("a.text", std::string("with \0 and \xff", 12));
  metadata.SetString("a.empty", "");
  metadata.SetStrings("b.texts", {"one", "", std::string(70'000, 'x'), "two"});
  metadata.SetInts("b.i32", {-1, 0, 2147483647});
  metadata.Set("b.u8", List<std::uint64_t>(kUint8, {0, 255}));
  metadata.Set("b.i8", List<std::int64_t>(kInt8, {-128, 127}));
  metadata.Set("b.u16", List<std::uint64_t>(kUint16, {1, 65535}));
  metadata.Set("b.i16", List<std::int64_t>(kInt16, {-5}));
  metadata.Set("b.u32", List<std::uint64_t>(kUint32, {}));
  metadata.Set("b.u64", List<std::uint64_t>(kUint64, {kMax64}));
  metadata.Set("b.i64", List<std::int64_t>(kInt64, {kMin64}));
  metadata.Set("b.f32", List<double>(kFloat32, {0.5, -3.0}));
  metadata.Set("b.f64", List<double>(kFloat64, {0.1}));
  metadata.Set("b.bools", List<bool>(kBool, {true, false, true}));
  return metadata;
}

std::vector<std::byte> RandomBytes(std::size_t size_bytes, std::uint64_t seed) {
  SplitMix64 random(seed);
  std::vector<std::byte> out(size_bytes);
  for (std::byte& byte : out) byte = static_cast<std::byte>(random.Next());
  return out;
}

const std::vector<GgufWriter::TensorDeclaration> kTensors = {
    {"a.weight", DType::kQ4_K, {512, 3}},        {"b.weight", DType::kF32, {5}},
    {"c_exps.weight", DType::kQ8_0, {32, 7, 3}}, {"d.weight", DType::kBF16, {3, 2, 2, 2}},
    {"big.weight", DType::kF16, {1024, 700}},
};

std::vector<std::byte> TensorContents(std::size_t index) {
  constexpr std::size_t kSizes[] = {6 * 144, 20, 21 * 34, 48, 1024 * 700 * 2};
  return RandomBytes(kSizes[index], index);
}

Status WriteModel(const std::string& path, const Metadata& metadata, std::uint32_t alignment) {
  LARDER_ASSIGN_OR_RETURN(auto writer, GgufWriter::Create(path, metadata, kTensors, alignment));
  for (std::size_t i = 0; i < kTensors.size(); ++i) {
    const auto bytes = TensorContents(i);
    const std::size_t half = bytes.size() / 2;
    LARDER_RETURN_IF_ERROR(writer->Write(std::span(bytes).first(half)));
    LARDER_RETURN_IF_ERROR(writer->Write(std::span(bytes).subspan(half)));
  }
  return writer->Finish();
}

class GgufRoundTrip : public ::testing::TestWithParam<std::uint32_t> {};

TEST_P(GgufRoundTrip, KeepsEverything) {
  const TestFolder folder;
  const std::string path = folder.Path("model.gguf");
  const Metadata metadata = EveryType();
  const Status written = WriteModel(path, metadata, GetParam());
  ASSERT_TRUE(written.ok()) << written.message();
  const auto model = OpenGguf(path);
  ASSERT_TRUE(model.ok()) << model.status().message();
  Metadata read = model->metadata;
  EXPECT_EQ(read.GetUintOr("general.alignment", 32).value(), GetParam());
  EXPECT_EQ(read.Has("general.alignment"), GetParam() != 32);
  read.Erase("general.alignment");
  ASSERT_EQ(read.values().size(), metadata.values().size());
  for (const auto& [key, value] : metadata.values()) {
    const MetadataValue* other = read.Find(key);
    ASSERT_NE(other, nullptr) << key;
    EXPECT_EQ(other->type, value.type) << key;
    EXPECT_EQ(other->scalar, value.scalar) << key;
    EXPECT_EQ(other->array, value.array) << key;
    if (value.type == MetadataType::kArray) {
      EXPECT_EQ(other->element_type, value.element_type);
    }
  }
  const TensorDirectory& tensors = model->tensors;
  ASSERT_EQ(tensors.tensors().size(), kTensors.size());
  std::uint64_t total_bytes = 0;
  for (std::size_t i = 0; i < kTensors.size(); ++i) {
    const TensorInfo* tensor = tensors.Find(kTensors[i].name);
    ASSERT_NE(tensor, nullptr);
    EXPECT_EQ(tensor->dtype, kTensors[i].dtype);
    ASSERT_EQ(tensor->n_dims, static_cast<int>(kTensors[i].dims.size()));
    for (std::size_t d = 0; d < 4; ++d) {
      EXPECT_EQ(tensor->dims[d], d < kTensors[i].dims.size() ? kTensors[i].dims[d] : 1);
    }
    EXPECT_EQ(tensor->offset % GetParam(), 0u);
    const auto expected = TensorContents(i);
    ASSERT_EQ(tensor->size_bytes, expected.size());
    total_bytes += expected.size();
    std::vector<std::byte> bytes(expected.size());
    ASSERT_TRUE(tensors.file(0).ReadAt(tensor->offset, bytes.data(), bytes.size()).ok());
    EXPECT_EQ(bytes, expected);
  }
  EXPECT_EQ(tensors.total_tensor_bytes(), total_bytes);
  EXPECT_EQ(tensors.Find("c_exps.weight")->ShapeText(), "[32, 7, 3]");
  EXPECT_EQ(tensors.Find("nothing"), nullptr);
  EXPECT_FALSE(std::filesystem::exists(path + ".tmp"));
}

INSTANTIATE_TEST_SUITE_P(Alignments, GgufRoundTrip, ::testing::Values(8, 32, 64, 4096));

TEST(GgufWriter, UnfinishedFileLeavesNothing) {
  const TestFolder folder;
  const std::string path = folder.Path("model.gguf");
  {
    auto writer = GgufWriter::Create(path, EveryType(), kTensors);
    ASSERT_TRUE(writer.ok());
    EXPECT_TRUE(std::filesystem::exists(path + ".tmp"));
  }
  EXPECT_FALSE(std::filesystem::exists(path + ".tmp"));
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(GgufWriter, RefusesWhatCannotBe) {
  const TestFolder folder;
  const std::string path = folder.Path("model.gguf");
  const Metadata none;
  const auto message = [&](const std::vector<GgufWriter::TensorDeclaration>& tensors,
                           std::uint32_t alignment = 32) {
    return GgufWriter::Create(path, none, tensors, alignment).status().message();
  };
  EXPECT_EQ(message({{"x", DType::kQ4_K, {100, 3}}}),
            "the tensor 'x' of shape [100, 3] cannot be stored as Q4_K; choose another type");
  EXPECT_THAT(message({{"x", DType::kF32, {}}}), HasSubstr("cannot be stored as F32"));
  EXPECT_THAT(message({{"x", DType::kF32, {1, 1, 1, 1, 1}}}), HasSubstr("cannot be stored"));
  EXPECT_THAT(message({{"x", DType::kF32, {1, -1}}}), HasSubstr("cannot be stored"));
  EXPECT_THAT(message({{"x", DType::kF32, {1LL << 40, 1LL << 40}}}), HasSubstr("cannot be stored"));
  EXPECT_THAT(message({{"x", DType::kF32, {1}}, {"x", DType::kF32, {1}}}),
              HasSubstr("the tensor 'x' is declared twice"));
  for (const std::uint32_t alignment : {0u, 4u, 24u, 1u << 31}) {
    EXPECT_THAT(message({}, alignment), HasSubstr("is no power of two from 8 to 1048576"));
  }
  const auto nowhere = GgufWriter::Create(folder.Path("no/model.gguf"), none, {});
  EXPECT_EQ(nowhere.status().message(), "there is no folder " + folder.Path("no") +
                                            " for the output " + folder.Path("no/model.gguf") +
                                            "; make it first");
}

TEST(GgufWriter, FullDiskIsKnownAtOnce) {
  const TestFolder folder;
  const std::string path = folder.Path("model.gguf");
  // More than any disk of a test machine: 2^54 bytes.
  const auto writer = GgufWriter::Create(path, Metadata(), {{"x", DType::kF32, {1LL << 52}}});
  ASSERT_FALSE(writer.ok());
  EXPECT_EQ(writer.status().code(), StatusCode::kIoError);
  EXPECT_THAT(writer.status().message(), HasSubstr("needs 16777216.00 GiB and its disk has"));
  EXPECT_FALSE(std::filesystem::exists(path + ".tmp"));
}

// Runs in a process of its own: writing beyond the limit on file sizes fails like a full disk.
void WriteBeyondLimit(const std::string& path) {
  signal(SIGXFSZ, SIG_IGN);
  const rlimit limit{100'000, 100'000};
  if (setrlimit(RLIMIT_FSIZE, &limit) != 0) _exit(3);
  const Status status = WriteModel(path, EveryType(), 32);
  const bool gone = !std::filesystem::exists(path) && !std::filesystem::exists(path + ".tmp");
  _exit(status.code() == StatusCode::kIoError && gone ? 0 : 4);
}

TEST(GgufWriterDeathTest, FailedWriteIsAnError) {
  const TestFolder folder;
  EXPECT_EXIT(WriteBeyondLimit(folder.Path("model.gguf")), ::testing::ExitedWithCode(0), "");
}

TEST(GgufReader, VocabularyOnlyFile) {
  const TestFolder folder;
  const std::string path = folder.Path("vocabulary.gguf");
  auto writer = GgufWriter::Create(path, EveryType(), {});
  ASSERT_TRUE(writer.ok());
  ASSERT_TRUE((*writer)->Finish().ok());
  const auto model = OpenGguf(path);
  ASSERT_TRUE(model.ok()) << model.status().message();
  EXPECT_TRUE(model->tensors.tensors().empty());
  EXPECT_EQ(model->tensors.n_files(), 1);
}

TEST(GgufReader, LargeVocabularyIsQuick) {
  const TestFolder folder;
  const std::string path = folder.Path("vocabulary.gguf");
  std::vector<std::string> tokens;
  std::vector<std::int64_t> types(250'000, 1);
  for (int i = 0; i < 250'000; ++i) tokens.push_back("token" + std::to_string(i * 7919));
  Metadata metadata;
  metadata.SetStrings("tokenizer.ggml.tokens", tokens);
  metadata.SetStrings("tokenizer.ggml.merges", tokens);
  metadata.SetInts("tokenizer.ggml.token_type", types);
  auto writer = GgufWriter::Create(path, metadata, {});
  ASSERT_TRUE(writer.ok());
  ASSERT_TRUE((*writer)->Finish().ok());
  const std::int64_t start_us = NowUs();
  const auto model = OpenGguf(path);
  RecordProperty("open_ms", std::to_string((NowUs() - start_us) / 1000));
  ASSERT_TRUE(model.ok());
  EXPECT_EQ(*model->metadata.FindStrings("tokenizer.ggml.tokens"), tokens);
  EXPECT_EQ(*model->metadata.FindStrings("tokenizer.ggml.merges"), tokens);
}

TEST(GgufReader, RealVocabularies) {
  const std::string folder = std::string(LARDER_SOURCE_DIR) + "/../shared/testdata/tokenizers/";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "no vocabulary files in " << folder;
  struct Expected {
    const char* name;
    const char* model;
    std::size_t n_tokens;
  };
  for (const Expected& expected : {Expected{"gpt-2", "gpt2", 50257},
                                   {"deepseek-llm", "gpt2", 102400},
                                   {"llama-spm", "llama", 32000}}) {
    const auto model = OpenGguf(folder + "ggml-vocab-" + expected.name + ".gguf");
    ASSERT_TRUE(model.ok()) << model.status().message();
    EXPECT_EQ(model->metadata.GetString("tokenizer.ggml.model").value(), expected.model);
    const auto* tokens = model->metadata.FindStrings("tokenizer.ggml.tokens");
    ASSERT_NE(tokens, nullptr);
    EXPECT_EQ(tokens->size(), expected.n_tokens);
    EXPECT_EQ(model->metadata.GetUints("tokenizer.ggml.token_type")->size(), expected.n_tokens);
  }
}

TEST(Metadata, ConvertsWhatIsTheSameNumber) {
  const Metadata metadata = EveryType();
  EXPECT_EQ(metadata.GetUint("a.u8").value(), 255u);
  EXPECT_EQ(metadata.GetUint("a.u64").value(), std::numeric_limits<std::uint64_t>::max());
  EXPECT_EQ(metadata.GetFloat("a.i8").value(), -128.0);
  EXPECT_EQ(metadata.GetFloat("a.f32").value(), static_cast<double>(0.1f));
  EXPECT_TRUE(metadata.GetBool("a.true").value());
  EXPECT_EQ(metadata.GetString("a.empty").value(), "");
  EXPECT_EQ(metadata.GetUints("b.bools").value(), (std::vector<std::uint64_t>{1, 0, 1}));
  EXPECT_EQ(metadata.GetUints("b.u16").value(), (std::vector<std::uint64_t>{1, 65535}));
  EXPECT_EQ(metadata.GetFloats("b.i32").value(), (std::vector<double>{-1, 0, 2147483647}));
  EXPECT_EQ(metadata.GetUintOr("none", 7).value(), 7u);
  EXPECT_EQ(metadata.GetFloatOr("none", 0.5).value(), 0.5);
  EXPECT_EQ(metadata.GetStringOr("none", "x").value(), "x");
  EXPECT_TRUE(metadata.GetBoolOr("none", true).value());
  EXPECT_EQ(metadata.FindStrings("b.i32"), nullptr);
  EXPECT_EQ(metadata.FindStrings("a.text"), nullptr);
}

TEST(Metadata, OtherKindsAreErrorsThatNameTheKey) {
  const Metadata metadata = EveryType();
  EXPECT_EQ(metadata.GetUint("none").status().code(), StatusCode::kNotFound);
  EXPECT_EQ(metadata.GetUint("none").status().message(),
            "the file has no metadata key 'none'; convert or download it again");
  for (const char* key : {"a.i8", "a.f32", "a.true", "a.text", "b.u8"}) {
    const auto value = metadata.GetUint(key);
    EXPECT_EQ(value.status().code(), StatusCode::kDataError) << key;
    EXPECT_THAT(value.status().message(), HasSubstr(key));
    EXPECT_FALSE(metadata.GetUintOr(key, 1).ok()) << key;
  }
  for (const char* key : {"b.i32", "b.f32", "b.texts", "a.u8"}) {
    EXPECT_EQ(metadata.GetUints(key).status().code(), StatusCode::kDataError) << key;
  }
  EXPECT_FALSE(metadata.GetFloat("a.text").ok());
  EXPECT_FALSE(metadata.GetFloat("b.f32").ok());
  EXPECT_FALSE(metadata.GetFloats("b.texts").ok());
  EXPECT_FALSE(metadata.GetBool("a.u8").ok());
  EXPECT_FALSE(metadata.GetString("b.texts").ok());
}

}  // namespace
}  // namespace larder
