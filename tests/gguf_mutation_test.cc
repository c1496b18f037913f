// Damaged GGUF files, 10,000 of them and every truncation of a header: opening gives a model whose
// tensors lie inside the file, or one clean sentence. The seeds of the mutations are fixed; run
// under ASan and UBSan this also finds what does not crash by itself.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <set>

#include "base/memory.h"
#include "base/random.h"
#include "format/gguf_reader.h"
#include "format/gguf_writer.h"
#include "helpers/golden.h"
#include "helpers/tiny_model.h"

namespace larder {
namespace {

constexpr int kMutations = 10'000;

// A sound file: its header, and its size with the tensors, whose bytes do not matter here.
struct SoundFile {
  std::string name;
  std::string header;
  std::uint64_t file_size_bytes = 0;
};

SoundFile TakeHeader(const std::string& path) {
  SoundFile file;
  file.name = std::filesystem::path(path).filename();
  const auto model = OpenGguf(path);
  EXPECT_TRUE(model.ok()) << model.status().message();
  if (!model.ok()) return file;
  file.file_size_bytes = model->tensors.file(0).size_bytes();
  std::uint64_t header_bytes = file.file_size_bytes;
  for (const TensorInfo& tensor : model->tensors.tensors()) {
    if (tensor.file_index == 0) header_bytes = std::min(header_bytes, tensor.offset);
  }
  file.header.resize(header_bytes);
  EXPECT_TRUE(model->tensors.file(0).ReadAt(0, file.header.data(), header_bytes).ok());
  return file;
}

// Every value type, short, so that most mutations hit a count, a length or a type.
SoundFile DenseHeader() {
  Metadata metadata;
  metadata.SetString("general.architecture", "test");
  metadata.SetUint32("a.u32", 7);
  metadata.SetFloat32("a.f32", 0.5f);
  metadata.SetBool("a.bool", true);
  metadata.SetStrings("a.texts", {"x", "", "yz"});
  metadata.SetInts("a.ints", {1, -2, 3});
  using Array = MetadataValue::Array;
  metadata.Set("a.bytes", {MetadataType::kArray,
                           MetadataType::kUint8,
                           {},
                           Array(std::vector<std::uint64_t>{1, 2, 255})});
  metadata.Set(
      "a.bools",
      {MetadataType::kArray, MetadataType::kBool, {}, Array(std::vector<bool>{true, false})});
  metadata.Set("a.doubles",
               {MetadataType::kArray, MetadataType::kFloat64, {}, Array(std::vector<double>{0.1})});
  const std::string path = TemporaryPath("mutation-dense.gguf");
  auto writer = GgufWriter::Create(path, metadata,
                                   {{"a.weight", DType::kQ4_K, {256, 2}},
                                    {"b.weight", DType::kF32, {3}},
                                    {"c.weight", DType::kQ8_0, {32, 2, 2}}},
                                   64);
  EXPECT_TRUE(writer.ok());
  for (const std::size_t size_bytes : {288u, 12u, 136u}) {
    EXPECT_TRUE((*writer)->Write(std::vector<std::byte>(size_bytes)).ok());
  }
  EXPECT_TRUE((*writer)->Finish().ok());
  SoundFile file = TakeHeader(path);
  unlink(path.c_str());
  return file;
}

SoundFile TinyModelHeader() {
  const std::string path = TemporaryPath("mutation-tiny.gguf");
  WriteTinyModel(path);
  SoundFile file = TakeHeader(path);
  unlink(path.c_str());
  return file;
}

std::vector<SoundFile> SoundFiles() {
  std::vector<SoundFile> files = {DenseHeader(), TinyModelHeader()};
  const std::string folder = std::string(LARDER_SOURCE_DIR) + "/tests/golden/models/";
  for (const char* name : {"r4-s32-calm-q4_0.gguf", "r2-s64-fused-tied-f32.gguf"}) {
    files.push_back(TakeHeader(folder + name));
  }
  return files;
}

// The file under test, in memory, rewritten for each case; bytes beyond the given ones are zero.
class CaseFile {
 public:
  CaseFile() : fd_(memfd_create("mutation-case", MFD_CLOEXEC)) { EXPECT_GE(fd_, 0); }
  ~CaseFile() { close(fd_); }
  CaseFile(const CaseFile&) = delete;
  CaseFile& operator=(const CaseFile&) = delete;

  std::string path() const { return "/proc/self/fd/" + std::to_string(fd_); }
  void Resize(std::uint64_t size_bytes) const {
    ASSERT_EQ(ftruncate(fd_, static_cast<off_t>(size_bytes)), 0);
  }
  void Write(const std::string& bytes, std::uint64_t file_size_bytes) const {
    Resize(0);
    ASSERT_EQ(pwrite(fd_, bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
    Resize(file_size_bytes);
  }

 private:
  int fd_;
};

// What must hold of a refusal: one printable line that names the file.
void CheckSentence(const Status& status, const std::string& path) {
  static const std::set<StatusCode> kExpected = {StatusCode::kDataError, StatusCode::kUnsupported,
                                                 StatusCode::kInvalidArgument,
                                                 StatusCode::kNotFound};
  EXPECT_TRUE(kExpected.count(status.code())) << status.message();
  EXPECT_NE(status.message().find(path), std::string::npos) << status.message();
  EXPECT_LT(status.message().size(), path.size() + 400) << status.message();
  EXPECT_TRUE(std::all_of(status.message().begin(), status.message().end(), [](char c) {
    return c >= 0x20 && c < 0x7f;
  })) << status.message();
}

// What callers rely on once a file has opened.
void CheckModel(const GgufModel& model) {
  for (const TensorInfo& tensor : model.tensors.tensors()) {
    const std::uint64_t file_size = model.tensors.file(tensor.file_index).size_bytes();
    ASSERT_LE(tensor.offset, file_size);
    ASSERT_LE(tensor.size_bytes, file_size - tensor.offset);
    ASSERT_EQ(tensor.size_bytes,
              RowBytes(tensor.dtype, tensor.dims[0]) *
                  static_cast<std::size_t>(tensor.n_elements() / tensor.dims[0]));
    ASSERT_EQ(model.tensors.Find(tensor.name), &tensor);
  }
}

// True when the file opened.
bool OpenAndCheck(const CaseFile& file) {
  const auto model = OpenGguf(file.path());
  if (model.ok()) {
    CheckModel(*model);
  } else {
    CheckSentence(model.status(), file.path());
  }
  return model.ok();
}

constexpr std::uint64_t kNasty[] = {0,
                                    1,
                                    2,
                                    9,
                                    31,
                                    0x7f,
                                    0xff,
                                    0xffff,
                                    0x7fffffff,
                                    0x80000000,
                                    0xffffffff,
                                    0x100000000,
                                    0x0fffffffffffffff,
                                    0x2000000000000000,
                                    0x7fffffffffffffe0,
                                    0x7fffffffffffffff,
                                    0x8000000000000000,
                                    0xffffffffffffffe0,
                                    0xffffffffffffffff};

void Overwrite(std::string* bytes, std::size_t position, const void* value, std::size_t n_bytes) {
  n_bytes = std::min(n_bytes, bytes->size() - position);
  std::memcpy(bytes->data() + position, value, n_bytes);
}

void MutateOnce(SplitMix64& random, std::string* bytes) {
  const std::size_t position = random.NextBelow(bytes->size());
  const std::uint64_t nasty = kNasty[random.NextBelow(std::size(kNasty))];
  const auto small = static_cast<std::uint32_t>(random.NextBelow(48));
  // Drawn here, not among arguments: their order is the compiler's.
  const std::size_t n_bytes = 1 + random.NextBelow(9);
  const auto fill = static_cast<char>(random.Next());
  switch (random.NextBelow(8)) {
    case 0:
      (*bytes)[position] = static_cast<char>((*bytes)[position] ^ (1 << random.NextBelow(8)));
      return;
    case 1:
      (*bytes)[position] = static_cast<char>(random.Next());
      return;
    case 2:
      return Overwrite(bytes, position, &nasty, 4);
    case 3:
    case 4:
      return Overwrite(bytes, position, &nasty, 8);
    case 5:  // types and counts of dimensions are small numbers
      return Overwrite(bytes, position, &small, 4);
    case 6:
      bytes->erase(position, n_bytes);
      return;
    default:
      bytes->insert(position, n_bytes, fill);
      return;
  }
}

TEST(GgufMutation, EveryTruncationOfAHeaderIsRefused) {
  const CaseFile file;
  std::size_t n_files = 0;
  for (const SoundFile& sound : SoundFiles()) {
    ASSERT_FALSE(sound.header.empty()) << sound.name;
    file.Write(sound.header, sound.file_size_bytes);
    ASSERT_TRUE(OpenAndCheck(file)) << sound.name;
    // From the longest to the shortest, so that each case is one call.
    for (std::size_t size = sound.header.size() + 1; size-- > 0;) {
      file.Resize(size);
      ASSERT_FALSE(OpenAndCheck(file)) << sound.name << " cut to " << size << " bytes";
      ++n_files;
    }
  }
  PrintFigure("truncated-files-refused", static_cast<double>(n_files), ">=", 10'000);
}

TEST(GgufMutation, TenThousandMutations) {
  const std::vector<SoundFile> sound_files = SoundFiles();
  const CaseFile file;
  SplitMix64 random(20'260'101);
  int n_opened = 0;
  for (int i = 0; i < kMutations; ++i) {
    const SoundFile& sound = sound_files[static_cast<std::size_t>(i) % sound_files.size()];
    std::string bytes = sound.header;
    const std::size_t n_changes = 1 + random.NextBelow(4);
    for (std::size_t change = 0; change < n_changes; ++change) MutateOnce(random, &bytes);
    file.Write(bytes, std::max<std::uint64_t>(sound.file_size_bytes, bytes.size()));
    n_opened += OpenAndCheck(file) ? 1 : 0;
    ASSERT_FALSE(::testing::Test::HasFailure()) << "mutation " << i << " of " << sound.name;
  }
  PrintFigure("mutated-files", kMutations, ">=", 10'000);
  PrintFigure("mutated-files-opened", n_opened, ">", 0);
  PrintFigure("mutated-files-refused", kMutations - n_opened, ">", kMutations / 4);
  EXPECT_GT(n_opened, 0);
  EXPECT_GT(kMutations - n_opened, kMutations / 4);
  EXPECT_LT(PeakResidentBytes(), std::uint64_t{2} << 30);
}

}  // namespace
}  // namespace larder
