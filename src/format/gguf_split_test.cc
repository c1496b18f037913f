// Split models: parts found, missing, renamed, of another model.
#include "format/gguf_split.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "format/gguf_reader.h"
#include "format/gguf_test_bytes.h"
#include "format/gguf_writer.h"

namespace larder {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;

TEST(SplitName, TakesNamesApart) {
  const auto name = ParseSplitName("/m/Qwen-00002-of-00017.gguf");
  ASSERT_TRUE(name.has_value());
  EXPECT_EQ(name->prefix, "/m/Qwen");
  EXPECT_EQ(name->number, 2);
  EXPECT_EQ(name->n_parts, 17);
  EXPECT_EQ(name->PartPath(1), "/m/Qwen-00001-of-00017.gguf");
  for (const char* other :
       {"", "model.gguf", "-00001-of-00002.gguf", "m-0001-of-0002.gguf", "m-00003-of-00002.gguf",
        "m-00000-of-00002.gguf", "m-00001-of-00002.bin", "m-0000a-of-00002.gguf"}) {
    EXPECT_FALSE(ParseSplitName(other).has_value()) << other;
  }
}

// A part of `n_parts` with one tensor per name; `index` from 0.
void WritePart(const std::string& path, std::uint32_t index, std::uint32_t n_parts,
               std::uint32_t n_tensors_total, const std::vector<std::string>& names,
               std::uint32_t alignment = 32) {
  Metadata metadata;
  metadata.SetUint32("split.no", index);
  metadata.SetUint32("split.count", n_parts);
  metadata.SetUint32("split.tensors.count", n_tensors_total);
  metadata.SetString("general.name", "part " + std::to_string(index));
  std::vector<GgufWriter::TensorDeclaration> tensors;
  for (const std::string& name : names) tensors.push_back({name, DType::kF32, {10}});
  auto writer = GgufWriter::Create(path, metadata, tensors, alignment);
  ASSERT_TRUE(writer.ok()) << writer.status().message();
  const std::vector<std::byte> bytes(40, static_cast<std::byte>(index));
  for (std::size_t i = 0; i < names.size(); ++i) ASSERT_TRUE((*writer)->Write(bytes).ok());
  ASSERT_TRUE((*writer)->Finish().ok());
}

class SplitTest : public ::testing::Test {
 protected:
  std::string Part(int number) const {
    return folder_.Path(fmt::format("m-{:05}-of-00003.gguf", number));
  }
  // Part 1 without tensors (as some splitters make it), then two and one.
  void WriteAll() {
    WritePart(Part(1), 0, 3, 3, {});
    WritePart(Part(2), 1, 3, 3, {"a", "b"}, 4096);
    WritePart(Part(3), 2, 3, 3, {"c"});
  }
  std::string Message(const std::string& path) { return OpenGguf(path).status().message(); }

  TestFolder folder_;
};

TEST_F(SplitTest, PartsBecomeOneModel) {
  WriteAll();
  const auto model = OpenGguf(Part(1));
  ASSERT_TRUE(model.ok()) << model.status().message();
  EXPECT_EQ(model->tensors.n_files(), 3);
  EXPECT_EQ(model->tensors.tensors().size(), 3u);
  EXPECT_EQ(model->metadata.GetString("general.name").value(), "part 0");
  EXPECT_EQ(model->metadata.values().size(), 1u) << "split.* must be gone";
  for (const char* name : {"a", "b", "c"}) {
    const TensorInfo* tensor = model->tensors.Find(name);
    ASSERT_NE(tensor, nullptr);
    EXPECT_EQ(tensor->file_index, name[0] == 'c' ? 2 : 1);
    std::byte first{99};
    const File& file = model->tensors.file(tensor->file_index);
    ASSERT_TRUE(file.ReadAt(tensor->offset, &first, 1).ok());
    EXPECT_EQ(static_cast<int>(first), tensor->file_index);
  }
}

TEST_F(SplitTest, MissingPartsAreNamed) {
  WriteAll();
  unlink(Part(3).c_str());
  const auto model = OpenGguf(Part(1));
  EXPECT_EQ(model.status().code(), StatusCode::kNotFound);
  EXPECT_EQ(model.status().message(), "part 3 of 3 of this model is missing: " + Part(3) +
                                          "; download it into the same folder");
  unlink(Part(2).c_str());
  EXPECT_EQ(Message(Part(1)), "part 2 of 3 of this model is missing: " + Part(2) +
                                  " (and 1 more); download it into the same folder");
}

TEST_F(SplitTest, LaterPartNamesTheFirst) {
  WriteAll();
  EXPECT_EQ(Message(Part(2)),
            Part(2) + " is part 2 of 3 of a split model; give the first part, " + Part(1));
}

TEST_F(SplitTest, RenamedPartsAreRefused) {
  const std::string path = folder_.Path("model.gguf");
  WritePart(path, 0, 3, 1, {"a"});
  EXPECT_EQ(Message(path), path +
                               " is part 1 of 3 of a split model but is not named so; rename it "
                               "to end in -00001-of-00003.gguf, like the other parts beside it");
}

TEST_F(SplitTest, PartsOfAnotherModelAreRefused) {
  WriteAll();
  WritePart(Part(3), 1, 3, 3, {"c"});
  EXPECT_EQ(Message(Part(1)), Part(3) +
                                  " says that it is part 2 of 3, and its name says 3 of 3; it "
                                  "belongs to another model or was renamed, download it again");
  WritePart(Part(3), 2, 4, 3, {"c"});
  EXPECT_THAT(Message(Part(1)), HasSubstr("says that it is part 3 of 4"));
  WritePart(Part(3), 2, 3, 3, {"c", "d"});
  EXPECT_EQ(Message(Part(1)), Part(1) +
                                  ": the parts hold 4 tensors together and should hold 3; they are "
                                  "not of one model, download all again");
  WritePart(Part(3), 2, 3, 3, {"a"});
  EXPECT_EQ(Message(Part(1)),
            Part(3) + ": the tensor 'a' is there twice; the file is damaged, download it again");
  folder_.Write("m-00003-of-00003.gguf", "<html>");
  EXPECT_THAT(Message(Part(1)), EndsWith("is a web page, not a model; download it again"));
}

TEST_F(SplitTest, HostileNumbers) {
  WritePart(Part(1), 4294967295u, 3, 1, {"a"});
  EXPECT_THAT(Message(Part(1)), HasSubstr("it says that it is part 4294967296 of 3"));
  WritePart(Part(1), 0, 4294967295u, 1, {"a"});
  EXPECT_THAT(Message(Part(1)), HasSubstr("is not named so"));
  const std::string path = folder_.Path("m-00001-of-99999.gguf");
  WritePart(path, 0, 99999, 1, {"a"});
  EXPECT_THAT(Message(path), HasSubstr("(and 99997 more)"));
}

TEST_F(SplitTest, OnePartOfOneIsAWholeModel) {
  const std::string path = folder_.Path("model.gguf");
  WritePart(path, 0, 1, 1, {"a"});
  const auto model = OpenGguf(path);
  ASSERT_TRUE(model.ok()) << model.status().message();
  EXPECT_EQ(model->tensors.tensors().size(), 1u);
}

}  // namespace
}  // namespace larder
