// Holds the tree to its own rules, and holds the rules' checkers to small samples that break them.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <vector>

#include "style_checks.h"

namespace larder::style {
namespace {

namespace fs = std::filesystem;

std::string ReadText(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

using Check = std::function<std::vector<std::string>(const std::string&, std::string_view)>;

// Runs a check over all files below the folders that have one of the extensions; reports each
// complaint as a failure and returns how many files were read.
int CheckTree(const std::vector<std::string>& folders, const std::vector<std::string>& extensions,
              const Check& check) {
  const fs::path root = LARDER_SOURCE_DIR;
  int n_files = 0;
  for (const std::string& folder : folders) {
    if (!fs::exists(root / folder)) continue;
    for (const auto& entry : fs::recursive_directory_iterator(root / folder)) {
      const std::string extension = entry.path().extension().string();
      const bool wanted =
          std::find(extensions.begin(), extensions.end(), extension) != extensions.end();
      if (!wanted || !entry.is_regular_file()) continue;
      ++n_files;
      const std::string path = entry.path().lexically_relative(root).generic_string();
      for (const std::string& line : check(path, ReadText(entry.path()))) ADD_FAILURE() << line;
    }
  }
  return n_files;
}

const std::vector<std::string> kCppExtensions = {".cc", ".h", ".inc", ".cu"};

TEST(Tree, IncludeArrows) { EXPECT_GT(CheckTree({"src"}, kCppExtensions, CheckIncludes), 10); }

TEST(Tree, FileLengths) {
  EXPECT_GT(CheckTree({"src", "tests", "bench", "fuzz"}, kCppExtensions, CheckFileLength), 10);
  CheckTree({"tools", "tests", "scripts"}, {".py", ".sh"}, CheckFileLength);
}

TEST(Tree, FunctionLengths) {
  EXPECT_GT(CheckTree({"src", "tests", "bench", "fuzz"}, kCppExtensions, CheckFunctionLengths), 10);
}

TEST(Tree, FilesSayWhatTheyAre) {
  EXPECT_GT(CheckTree({"src", "tests", "bench", "fuzz"}, kCppExtensions, CheckOpening), 10);
}

// --- the checkers themselves ---

std::string Body(int n_lines) {
  std::string text;
  for (int i = 0; i < n_lines; ++i) text += "  x += 1;\n";
  return text;
}

std::vector<std::string> Names(std::string_view text) {
  bool balanced = false;
  std::vector<std::string> names;
  for (const FunctionSpan& function : FindFunctions(text, &balanced))
    names.push_back(function.name);
  EXPECT_TRUE(balanced) << text;
  return names;
}

TEST(Includes, ArrowsTheTableAllows) {
  EXPECT_TRUE(
      CheckIncludes("src/io/a.cc", "#include \"base/status.h\"\n#include <vector>\n").empty());
  EXPECT_TRUE(CheckIncludes("src/models/a.cc", "#include \"kernels/ops.h\"\n").empty());
  EXPECT_TRUE(CheckIncludes("src/text/a.cc", "#include \"format/metadata.h\"\n").empty());
  EXPECT_TRUE(CheckIncludes("src/format/a.cc", "#include <nlohmann/json.hpp>\n").empty());
  EXPECT_TRUE(CheckIncludes("src/io/a_test.cc", "#include <gtest/gtest.h>\n").empty());
  EXPECT_TRUE(CheckIncludes("src/cli/a.cc", "#include \"version.h\"\n").empty());
}

TEST(Includes, EveryOtherArrowIsAComplaint) {
  const std::vector<std::pair<std::string, std::string>> wrong = {
      {"src/base/a.h", "#include \"io/file.h\""},
      {"src/tensor/a.h", "#include \"io/file.h\""},
      {"src/kernels/a.cc", "#include \"io/file.h\""},
      {"src/models/a.cc", "#include \"kernels/table.h\""},
      {"src/models/a.cc", "#include \"io/file.h\""},
      {"src/models/a_test.cc", "#include \"io/file.h\""},
      {"src/text/a.cc", "#include \"format/gguf_reader.h\""},
      {"src/experts/a.cc", "#include \"kernels/ops.h\""},
      {"src/engine/a.cc", "#include \"cli/a.h\""},
      {"src/server/a.cc", "#include \"models/a.h\""},
      {"src/io/a.cc", "#include \"file.h\""},
      {"src/io/a.cc", "  #  include \"../base/status.h\""},
      {"src/io/a.cc", "#include <base/status.h>"},
      {"src/experts/a.cc", "#include <nlohmann/json.hpp>"},
      {"src/attic/a.cc", ""},
  };
  for (const auto& [path, text] : wrong) {
    EXPECT_EQ(CheckIncludes(path, text).size(), 1u) << path << " " << text;
  }
  EXPECT_EQ(CheckIncludes("src/base/a.h", "// one\n#include \"io/file.h\"\n").front(),
            "src/base/a.h:2: #include of io/file.h: base may not include io");
}

TEST(Lengths, FilesUnderSixHundredLines) {
  EXPECT_TRUE(CheckFileLength("a.cc", Body(599)).empty());
  EXPECT_EQ(CheckFileLength("a.cc", Body(600)).size(), 1u);
  EXPECT_EQ(CheckFileLength("a.cc", Body(599) + "last").size(), 1u);
}

TEST(Lengths, FunctionsUnderSeventyLines) {
  const auto n_complaints = [](const std::string& text) {
    return CheckFunctionLengths("a.cc", text).size();
  };
  EXPECT_EQ(n_complaints("void F() {\n" + Body(67) + "}\n"), 0u);
  EXPECT_EQ(n_complaints("void F() {\n" + Body(68) + "}\n"), 1u);
  // The signature counts, comments above it do not.
  EXPECT_EQ(n_complaints("// what\n\nvoid F(int a,\n       int b) {\n" + Body(66) + "}\n"), 0u);
  EXPECT_EQ(n_complaints("void F(int a,\n       int b) {\n" + Body(67) + "}\n"), 1u);
  EXPECT_EQ(n_complaints("namespace n {\nclass C {\n public:\n  int F() const {\n" + Body(70) +
                         "  }\n};\n}\n"),
            1u);
  EXPECT_EQ(n_complaints("TEST(Suite, Case) {\n" + Body(70) + "}\n"), 1u);
  EXPECT_EQ(n_complaints("auto f = [](int x) {\n" + Body(70) + "};\n"), 1u);
  EXPECT_EQ(n_complaints("C::C() : a_(1), b_{2} {\n" + Body(70) + "}\n"), 1u);
  EXPECT_EQ(n_complaints("struct S {\n" + Body(70) + "};\n"), 0u);
  EXPECT_EQ(n_complaints("const int kTable[] = {\n" + Body(70) + "};\n"), 0u);
}

TEST(Functions, AreFoundWhereverTheyStand) {
  EXPECT_EQ(Names("namespace a::b {\nint F(int x) {\n  return x;\n}\nvoid G() { H(); }\n}\n"),
            (std::vector<std::string>{"F", "G"}));
  EXPECT_EQ(Names("class C : public D {\n public:\n  C() : a_{1}, b_(2) { F(); }\n  ~C() {}\n"
                  "  int a_{0};\n  int Get() const noexcept { return a_; }\n};\n"),
            (std::vector<std::string>{"C", "~C", "Get"}));
  EXPECT_EQ(Names("template <typename T, int N = 3>\nstruct S {\n  T Get() { return T{}; }\n};\n"),
            (std::vector<std::string>{"Get"}));
  EXPECT_EQ(Names("TEST(Suite, Case) {\n  for (;;) {\n  }\n}\n"),
            (std::vector<std::string>{"TEST(Suite, Case)"}));
  EXPECT_EQ(Names("enum class E { kA, kB };\nint x = F({1, 2});\nstd::vector<int> v{1, 2};\n"),
            (std::vector<std::string>{}));
  EXPECT_EQ(Names("bool operator==(const A& a, const B& b) { return true; }\n").size(), 1u);
}

TEST(Functions, CommentsStringsAndMacrosAreNotCode) {
  EXPECT_EQ(Names("// void F() {\n/* { { */ int G() { return '{'; }\n"),
            (std::vector<std::string>{"G"}));
  EXPECT_EQ(Names("#define M(x) void F() { \\\n  {\nconst char* a = \"{\\\"{\";\nint G() {}\n"),
            (std::vector<std::string>{"G"}));
  EXPECT_EQ(Names("const char* a = R\"x({ ) \" {)x\";\nint G() { return 1'000 + L'{'; }\n"),
            (std::vector<std::string>{"G"}));
}

TEST(Functions, UnbalancedBracesAreSaid) {
  EXPECT_EQ(CheckFunctionLengths("a.cc", "void F() {\n").size(), 1u);
  EXPECT_EQ(CheckFunctionLengths("a.cc", "void F() {}\n}\n").size(), 1u);
}

TEST(Opening, FilesBeginWithAParagraph) {
  EXPECT_TRUE(CheckOpening("a.h", "// What it is.\n#pragma once\n").empty());
  EXPECT_EQ(CheckOpening("a.h", "#pragma once\n").size(), 1u);
}

}  // namespace
}  // namespace larder::style
