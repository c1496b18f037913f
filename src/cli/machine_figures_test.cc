// What a machine file says: rates between those measured, types that nobody measured, JSON, and
// what is wrong with it.
#include "cli/machine_figures.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <utility>

namespace larder {
namespace {

MachineFigures ExampleMachine() {
  MachineFigures machine;
  machine.memory_bytes_per_second = 1000;
  machine.disk_rates = {{10, 16, 100, 50, 200}};
  return machine;
}

TEST(MachineFigures, TheNearestTypeStandsForOneThatIsMissing) {
  MachineFigures machine = ExampleMachine();
  EXPECT_EQ(machine.StandInFor(DType::kQ4_0), nullptr);
  machine.products = {{DType::kQ8_0, 85, 400, 0},
                      {DType::kIQ4_NL, 45, 300, 70},
                      {DType::kQ4_K, 45, 200, 80},
                      {DType::kF32, 40, 100, 90}};
  const auto name = [&machine](DType dtype) {
    const ProductRate* stand_in = machine.StandInFor(dtype);
    return stand_in == nullptr ? "" : std::string(DTypeName(stand_in->dtype));
  };
  EXPECT_EQ(name(DType::kQ8_0), "");
  EXPECT_EQ(name(DType::kQ6_K), "Q8_0");  // 6.6 bits: 8.5 is nearer than 4.5
  EXPECT_EQ(name(DType::kQ4_0), "Q4_K");  // the slower of two as near
  EXPECT_EQ(name(DType::kF16), "F32");    // floats for floats
  // As many weights per second of fewer bytes, as many bytes per second of more.
  EXPECT_DOUBLE_EQ(machine.RateOf(DType::kIQ4_XS).bytes_per_second, 42.5);
  EXPECT_DOUBLE_EQ(machine.RateOf(DType::kQ5_K).bytes_per_second, 45);
  EXPECT_DOUBLE_EQ(machine.RateOf(DType::kQ5_K).multiply_adds_per_second, 200);
  EXPECT_DOUBLE_EQ(machine.RateOf(DType::kQ5_K).few_multiply_adds_per_second, 80);
  machine.multiply_adds_per_second = 150;
  EXPECT_DOUBLE_EQ(machine.RateOf(DType::kQ5_K).multiply_adds_per_second, 150);
  EXPECT_DOUBLE_EQ(machine.RateOf(DType::kQ4_K).multiply_adds_per_second, 200);
}

TEST(MachineFigures, BetweenSizesAndDepths) {
  MachineFigures machine;
  machine.disk_rates = {
      {100, 1, 10, 0, 0}, {100, 5, 50, 0, 0}, {300, 1, 30, 0, 0}, {300, 5, 150, 0, 0}};
  EXPECT_DOUBLE_EQ(machine.DiskBytesPerSecond(100, 100), 10);
  EXPECT_DOUBLE_EQ(machine.DiskBytesPerSecond(100, 300), 30);
  EXPECT_DOUBLE_EQ(machine.DiskBytesPerSecond(200, 1000), 100);
  EXPECT_DOUBLE_EQ(machine.DiskBytesPerSecond(1000, 1e9), 150);
  EXPECT_DOUBLE_EQ(machine.DiskBytesPerSecond(1, 1e9), 50);
}

TEST(MachineFigures, RoundTrip) {
  MachineFigures machine = ExampleMachine();
  machine.name = "one";
  machine.n_threads = 3;
  machine.memory_bytes = 1 << 30;
  machine.state_bytes_per_second = 5;
  machine.layer_overhead_seconds = 1e-5;
  machine.read_cpu_seconds = 2e-5;
  machine.products = {{DType::kQ4_K, 7, 8, 9}};
  machine.disk_free_bytes = 0;
  const Result<MachineFigures> back = ParseMachineFigures(ToJson(machine).dump());
  ASSERT_TRUE(back.ok()) << back.status().message();
  EXPECT_EQ(ToJson(*back), ToJson(machine));
  EXPECT_EQ(back->disk_free_bytes, 0u);
}

TEST(MachineFigures, TheLeastAndWhatIsWrong) {
  const Result<MachineFigures> least =
      ParseMachineFigures(R"({"disk_bytes_per_second": 17.5e9, "memory_bytes_per_second": 4e11})");
  ASSERT_TRUE(least.ok());
  EXPECT_DOUBLE_EQ(least->DiskBytesPerSecond(1e6, 1e7), 17.5e9);
  EXPECT_FALSE(least->disk_free_bytes);
  const Result<MachineFigures> again = ParseMachineFigures(ToJson(*least).dump());
  ASSERT_TRUE(again.ok()) << again.status().message();
  EXPECT_EQ(ToJson(*again), ToJson(*least));
  const std::pair<const char*, const char*> cases[] = {
      {"[", "not a JSON object"},
      {"{}", "memory_bytes_per_second"},
      {R"({"memory_bytes_per_second": 1})", "disk_bytes_per_second"},
      {R"({"memory_bytes_per_second": -1, "disk_bytes_per_second": 1})", "no number above 0"},
      {R"({"memory_bytes_per_second": 1, "disk_rates": []})", "disk_rates"},
      {R"({"memory_bytes_per_second": 1, "disk_rates": [3]})", "disk_rates"},
      {R"({"memory_bytes_per_second": 1, "disk_bytes_per_second": 1, "disk_rates": [
          {"read_bytes": 1, "depth": 1, "bytes_per_second": 5}]})",
       "keep one of them"},
      {R"({"memory_bytes_per_second": 1, "disk_bytes_per_second": 1, "disk_free_bytes": -1})",
       "disk_free_bytes"},
      {R"({"memory_bytes_per_second": 1, "disk_bytes_per_second": 1, "products": [{}]})", "type"},
      {R"({"memory_bytes_per_second": 1, "disk_bytes_per_second": 1,
          "products": [{"type": "Q9"}]})",
       "Q9"},
      {R"({"memory_bytes_per_second": 1, "disk_rates": [{"read_bytes": 1, "depth": 1,
          "bytes_per_second": 5, "lowest": 7, "highest": 9}]})",
       "do not rise"},
      {R"({"memory_bytes_per_second": 1, "disk_rates": [{"read_bytes": 1, "depth": 1,
          "bytes_per_second": 5, "lowest": 3, "highest": 2}]})",
       "do not rise"},
      {R"({"memory_bytes_per_second": 1, "disk_bytes_per_second": 1, "multiply_add_per_second": 1})",
       "did you mean 'multiply_adds_per_second'?"},
      {R"({"memory_bytes_per_second": 1, "disk_bytes_per_second": 1, "colour": "red"})",
       "no 'colour'"},
      {R"({"memory_bytes_per_second": 1, "disk_rates": [{"read_bytes": 1, "depth": 1,
          "bytes_per_second": 5, "lowset": 7}]})",
       "did you mean 'lowest'?"},
      {R"({"memory_bytes_per_second": 5e-324, "disk_bytes_per_second": 1})",
       "\"memory_bytes_per_second\" of the machine file is 4.94066e-324, less than 1 per second"},
      {R"({"memory_bytes_per_second": 1, "disk_bytes_per_second": 0.5})", "less than 1 per second"},
  };
  for (const auto& [text, part] : cases) {
    const Result<MachineFigures> figures = ParseMachineFigures(text);
    ASSERT_FALSE(figures.ok()) << text;
    EXPECT_NE(figures.status().message().find(part), std::string::npos)
        << figures.status().message();
  }
}

TEST(MachineFigures, AFileWithoutANameGivesItsOwn) {
  const std::string stem = "larder-laptop-" + std::to_string(getpid());
  const std::string path = testing::TempDir() + stem + ".json";
  std::ofstream(path) << R"({"disk_bytes_per_second": 1, "memory_bytes_per_second": 1})";
  EXPECT_EQ(LoadMachineFigures(path).value().name, stem);
  std::ofstream(path)
      << R"({"name": "mine", "disk_bytes_per_second": 1, "memory_bytes_per_second": 1})";
  EXPECT_EQ(LoadMachineFigures(path).value().name, "mine");
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace larder
