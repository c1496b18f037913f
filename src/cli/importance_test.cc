// Importance files: means per matrix, what is missing, what is refused.
#include "cli/importance.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <span>

#include "format/gguf_writer.h"

namespace larder {
namespace {

struct Floats {
  std::string name;
  std::vector<std::int64_t> dims;
  std::vector<float> values;
};

// Writes an F32 GGUF file under the test's own name and loads it.
Result<ImportanceTable> LoadFrom(const std::vector<Floats>& tensors) {
  const std::string path = testing::TempDir() + "importance_" +
                           testing::UnitTest::GetInstance()->current_test_info()->name() + ".gguf";
  std::vector<GgufWriter::TensorDeclaration> declarations;
  for (const Floats& t : tensors) declarations.push_back({t.name, DType::kF32, t.dims});
  auto writer = GgufWriter::Create(path, Metadata(), declarations);
  EXPECT_TRUE(writer.ok());
  for (const Floats& t : tensors) {
    EXPECT_TRUE((*writer)->Write(std::as_bytes(std::span(t.values))).ok());
  }
  EXPECT_TRUE((*writer)->Finish().ok());
  auto table = ImportanceTable::Load(path);
  std::filesystem::remove(path);
  return table;
}

TEST(Importance, MeansOfEachMatrix) {
  const auto table =
      LoadFrom({{"blk.0.ffn_up_exps.weight.in_sum2", {4, 3}, {8, 4, 2, 0, 1, 1, 1, 1, 3, 6, 9, 12}},
                {"blk.0.ffn_up_exps.weight.counts", {1, 3}, {4, 0, 3}},
                {"output.weight.in_sum2", {2}, {5, 7}},
                {"output.weight.counts", {1}, {1}}});
  ASSERT_TRUE(table.ok()) << table.status().message();
  const auto first = table->Find("blk.0.ffn_up_exps.weight", 4, 0, 3);
  ASSERT_TRUE(first.ok());
  EXPECT_EQ((*first)[0], 2.0f);
  EXPECT_EQ((*first)[2], 0.5f);
  EXPECT_GT((*first)[3], 0.0f);
  EXPECT_LT((*first)[3], 1e-5f);
  EXPECT_EQ(*table->Find("blk.0.ffn_up_exps.weight", 4, 1, 3), nullptr);
  const auto third = table->Find("blk.0.ffn_up_exps.weight", 4, 2, 3);
  EXPECT_EQ((*third)[3], 4.0f);
  EXPECT_EQ((*table->Find("output.weight", 2, 0, 1))[1], 7.0f);
  EXPECT_EQ(*table->Find("blk.1.attn_q.weight", 2, 0, 1), nullptr);
}

TEST(Importance, AnotherModelsIsRefused) {
  const auto table =
      LoadFrom({{"a.weight.in_sum2", {4}, {1, 2, 3, 4}}, {"a.weight.counts", {1}, {1}}});
  ASSERT_TRUE(table.ok());
  const auto wide = table->Find("a.weight", 8, 0, 1);
  ASSERT_FALSE(wide.ok());
  EXPECT_NE(wide.status().message().find("another model"), std::string::npos);
  EXPECT_FALSE(table->Find("a.weight", 4, 0, 2).ok());
}

TEST(Importance, DamagedFilesAreRefused) {
  EXPECT_FALSE(LoadFrom({{"a.weight", {4}, {1, 2, 3, 4}}}).ok());
  EXPECT_FALSE(LoadFrom({{"a.weight.in_sum2", {4}, {1, 2, 3, 4}}}).ok());
  EXPECT_FALSE(
      LoadFrom({{"a.weight.in_sum2", {4}, {1, 2, 3, 4}}, {"a.weight.counts", {2}, {1, 1}}}).ok());
  for (float bad : {-1.0f, HUGE_VALF, std::nanf("")}) {
    EXPECT_FALSE(
        LoadFrom({{"a.weight.in_sum2", {4}, {1, 2, 3, bad}}, {"a.weight.counts", {1}, {1}}}).ok());
  }
}

}  // namespace
}  // namespace larder
