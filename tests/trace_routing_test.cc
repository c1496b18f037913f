// What `larder run --trace-routing` writes: read back, replayed, and fed to `larder bench`.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <sstream>

#include "experts/cache_simulation.h"
#include "experts/gzip_text.h"
#include "experts/routing_trace.h"
#include "helpers/tiny_model.h"

namespace larder {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

const std::string kModel = LARDER_SOURCE_DIR "/tests/golden/models/r4-s32-f32.gguf";

int Larder(const std::string& words) {
  const std::string log = TemporaryPath("trace.log");
  const int status = std::system(("'" LARDER_BINARY "' " + words + " >'" + log + "' 2>&1").c_str());
  std::ifstream in(log);
  const std::string said(std::istreambuf_iterator<char>(in), {});
  std::remove(log.c_str());
  EXPECT_TRUE(WIFEXITED(status)) << said;
  if (WEXITSTATUS(status) != 0) std::fputs(said.c_str(), stderr);
  return WEXITSTATUS(status);
}

class TraceRouting : public testing::TestWithParam<const char*> {
 protected:
  ~TraceRouting() override { std::remove(path_.c_str()); }
  const std::string path_ = TemporaryPath(std::string("trace") + GetParam());
};

TEST_P(TraceRouting, GoesRound) {
  const std::string run =
      "run -m '" + kModel + "' --raw --temp 0 --ignore-eos -n 9 -p 'hello there' --trace-routing ";
  const bool is_plain = std::string(GetParam()) == ".csv";
  if (!is_plain) {
    const auto probe = TextFileWriter::Create(path_);
    if (probe.status().code() == StatusCode::kUnsupported) GTEST_SKIP() << "built without zlib";
  }
  ASSERT_EQ(Larder(run + "'" + path_ + "'"), 0);
  const auto text = ReadMaybeGzippedText(path_);
  ASSERT_TRUE(text.ok()) << text.status().message();
  EXPECT_THAT(*text, HasSubstr("\nstep,layer,slot,expert,weight,resident,phase\n"));
  EXPECT_THAT(*text, StartsWith("# larder routing trace v1 n_layer="));

  const auto trace = RoutingTrace::Read(path_);
  ASSERT_TRUE(trace.ok()) << trace.status().message();
  // The last token of an answer is not evaluated.
  EXPECT_EQ(trace->n_steps(), 8);
  RoutingTrace replayed = *trace;
  const RoutingRecord record =
      RecordRouting(replayed, trace->n_layers(), trace->n_experts(), trace->n_steps());
  const CacheComparison all = ComparePolicies(record, trace->n_layers() * trace->n_experts());
  EXPECT_GT(all.ours, 0);
  EXPECT_EQ(all.ours, all.belady);

  const std::string bench = "bench -p 0 -n 4 -r 1 --memory 256M -m '" + kModel + "' --trace ";
  EXPECT_EQ(Larder(bench + "'" + path_ + "'"), 0);
}

TEST_P(TraceRouting, WeightsSumToOneAndSlotsAreInOrder) {
  if (std::string(GetParam()) != ".csv") GTEST_SKIP();
  ASSERT_EQ(
      Larder("run -m '" + kModel + "' --raw --temp 0 -n 3 -p hi --trace-routing '" + path_ + "'"),
      0);
  std::ifstream in(path_);
  std::string line;
  double sum = 0;
  double weight_before = 0;
  int n_lines = 0;
  while (std::getline(in, line)) {
    if (line[0] == '#' || line[0] == 's') continue;
    int step = 0, layer = 0, slot = 0, expert = 0, resident = 0, phase = 0;
    double weight = 0;
    ASSERT_EQ(std::sscanf(line.c_str(), "%d,%d,%d,%d,%lf,%d,%d", &step, &layer, &slot, &expert,
                          &weight, &resident, &phase),
              7)
        << line;
    if (slot == 0) {
      EXPECT_TRUE(n_lines == 0 || std::abs(sum - 1) < 1e-4) << line;
      sum = 0;
    } else {
      EXPECT_LE(weight, weight_before) << line;
    }
    sum += weight_before = weight;
    EXPECT_TRUE(resident == 0 || resident == 1);
    ++n_lines;
  }
  EXPECT_NEAR(sum, 1, 1e-4);
  EXPECT_GT(n_lines, 20);
}

TEST(TraceRoutingErrors, AreKnownBeforeTheModelIsLoaded) {
  EXPECT_EQ(Larder("run -m /nowhere.gguf -p x --trace-routing /no/such/folder/t.csv"), 2);
  EXPECT_EQ(Larder("run -m /nowhere.gguf -p x --trace-routing /"), 2);
}

INSTANTIATE_TEST_SUITE_P(Forms, TraceRouting, testing::Values(".csv", ".csv.gz"),
                         [](const testing::TestParamInfo<const char*>& param) {
                           return std::string(param.index == 0 ? "Plain" : "Compressed");
                         });

}  // namespace
}  // namespace larder
