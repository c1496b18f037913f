// A golden that a wrong tensor does not move proves nothing: each tensor in turn has all its
// elements changed by 10 % up or down at random (a common factor would vanish in the norms behind
// some), in a copy of the file, and the logits must move by more than ten times the tolerance.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "base/random.h"
#include "format/gguf_reader.h"
#include "helpers/golden.h"
#include "helpers/tiny_model.h"

namespace larder {
namespace {

constexpr double kTimesTolerance = 10;

// Writes a copy of `original` to `path` in which the elements of `tensor` are changed.
void WriteChanged(const std::vector<char>& original, const TensorInfo& tensor,
                  const std::string& path) {
  std::vector<char> bytes = original;
  SplitMix64 random(tensor.offset);
  for (std::int64_t i = 0; i < tensor.n_elements(); ++i) {
    char* at = bytes.data() + tensor.offset + static_cast<std::size_t>(i) * sizeof(float);
    float value = 0;
    std::memcpy(&value, at, sizeof(value));
    value *= random.Next() % 2 == 0 ? 1.1f : 0.9f;
    std::memcpy(at, &value, sizeof(value));
  }
  std::ofstream(path, std::ios::binary)
      .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

class Sensitivity : public testing::TestWithParam<std::string> {};

TEST_P(Sensitivity, EveryTensorMovesTheLogits) {
  const GoldenModel model = LoadGoldenModel(GetParam());
  const Result<GgufModel> file = OpenGguf(model.path);
  ASSERT_TRUE(file.ok()) << file.status().message();
  std::ifstream in(model.path, std::ios::binary);
  const std::vector<char> original((std::istreambuf_iterator<char>(in)), {});
  const std::string path = TemporaryPath(model.name + "-changed.gguf");
  double least_kl = HUGE_VAL;
  std::string least_moving;
  for (const TensorInfo& tensor : file->tensors.tensors()) {
    ASSERT_EQ(tensor.dtype, DType::kF32) << tensor.name;
    WriteChanged(original, tensor, path);
    const auto logits = AllLogits({.model_path = path}, model.tokens);
    ASSERT_TRUE(logits.ok()) << tensor.name << ": " << logits.status().message();
    const double kl = MeanKl(model.reference, *logits, model.n_vocab);
    if (kl < least_kl) {
      least_kl = kl;
      least_moving = tensor.name;
    }
  }
  std::filesystem::remove(path);
  PrintFigure("least-sensitivity-" + model.name, least_kl, ">",
              kTimesTolerance * model.decoded_kl_tolerance);
  EXPECT_GT(least_kl, kTimesTolerance * model.decoded_kl_tolerance) << least_moving;
}

INSTANTIATE_TEST_SUITE_P(Models, Sensitivity,
                         testing::Values("r1-s32-f32", "r2-s64-fused-tied-f32", "r4-s128-fused-f32",
                                         "r4-s32-f32", "r2-s128-tied-f32", "r1-s64-deep-f32"),
                         [](const testing::TestParamInfo<std::string>& param) {
                           std::string name = param.param;
                           for (char& c : name) c = std::isalnum(c) != 0 ? c : '_';
                           return name;
                         });

}  // namespace
}  // namespace larder
