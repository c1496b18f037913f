// Default budgets and modes from what the system says is left: fake /proc and cgroup files, and the
// arithmetic of the plan for a tiny model.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/available_memory.h"
#include "engine/memory_plan.h"
#include "helpers/tiny_model.h"

namespace larder {
namespace {

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;
constexpr std::uint64_t kGiB = std::uint64_t{1} << 30;

// A folder that stands for / with a machine's figures in it.
class FakeSystem {
 public:
  FakeSystem() { SetAvailable(0); }
  ~FakeSystem() { std::filesystem::remove_all(root_); }
  FakeSystem(const FakeSystem&) = delete;
  FakeSystem& operator=(const FakeSystem&) = delete;

  void SetAvailable(std::uint64_t size_bytes) {
    Write("/proc/meminfo",
          fmt::format("MemTotal:  1 kB\nMemAvailable: {} kB\n", size_bytes / 1024));
  }
  void Write(const std::string& path, const std::string& text) {
    const std::filesystem::path whole(root_ + path);
    std::filesystem::create_directories(whole.parent_path());
    std::ofstream(whole) << text;
  }
  const std::string& root() const { return root_; }

 private:
  const std::string root_ = TemporaryPath("system");
};

class Budget : public testing::Test {
 protected:
  void SetUp() override {
    WriteTinyModel(path_);
    auto file = OpenGguf(path_);
    ASSERT_TRUE(file.ok()) << file.status().message();
    file_ = std::move(*file);
    auto model = MakeModel(file_, {});
    ASSERT_TRUE(model.ok()) << model.status().message();
    model_ = std::move(*model);
  }
  void TearDown() override { std::remove(path_.c_str()); }

  MemoryRequest Request() const {
    return {.model = model_.get(),
            .process_bytes = 16 * kMiB,
            .available_bytes = AvailableMemoryBytesUnder(system_.root()),
            .context_tokens = 64};
  }

  std::uint64_t DefaultBudgetBytes() const {
    const auto plan = PlanMemory(Request());
    EXPECT_TRUE(plan.ok()) << plan.status().message();
    return plan.ok() ? plan->budget_bytes : 0;
  }

  const std::string path_ = TemporaryPath("budget.gguf");
  FakeSystem system_;
  GgufModel file_;
  std::unique_ptr<Model> model_;
};

TEST_F(Budget, LeavesSomethingToTheSystem) {
  system_.SetAvailable(32 * kGiB);
  const std::uint64_t budget = DefaultBudgetBytes();
  EXPECT_GT(budget, 28 * kGiB);
  EXPECT_LE(budget, 31 * kGiB);
}

TEST_F(Budget, TheSecondSeesWhatTheFirstHasTaken) {
  system_.SetAvailable(32 * kGiB);
  const std::uint64_t first = DefaultBudgetBytes();
  // Slots are anonymous memory, and resident from the start: no longer available.
  system_.SetAvailable(32 * kGiB - first);
  const std::uint64_t second = DefaultBudgetBytes();
  EXPECT_LT(second, 32 * kGiB - first + 16 * kMiB);
  EXPECT_LT(first + second, 32 * kGiB);
  EXPECT_GT(second, kGiB);
}

TEST_F(Budget, CgroupsOfBothVersionsBoundIt) {
  system_.SetAvailable(64 * kGiB);
  system_.Write("/proc/self/cgroup", "0::/user/larder\n");
  system_.Write("/sys/fs/cgroup/user/larder/memory.max", "max\n");
  system_.Write("/sys/fs/cgroup/user/memory.max", std::to_string(8 * kGiB));
  // The first Larder in it: 5 GiB of its own, and 2 GiB of page cache that can go.
  system_.Write("/sys/fs/cgroup/user/memory.current", std::to_string(7 * kGiB));
  system_.Write("/sys/fs/cgroup/user/memory.stat",
                fmt::format("anon {}\ninactive_file {}\n", 5 * kGiB, 2 * kGiB));
  EXPECT_EQ(AvailableMemoryBytesUnder(system_.root()), 3 * kGiB);
  EXPECT_LT(DefaultBudgetBytes(), 3 * kGiB);

  system_.Write("/proc/self/cgroup", "5:memory:/jobs\n0::/\n");
  system_.Write("/sys/fs/cgroup/memory/jobs/memory.limit_in_bytes", std::to_string(6 * kGiB));
  system_.Write("/sys/fs/cgroup/memory/jobs/memory.usage_in_bytes", std::to_string(4 * kGiB));
  system_.Write("/sys/fs/cgroup/memory/jobs/memory.stat", "total_inactive_file 0\n");
  EXPECT_EQ(AvailableMemoryBytesUnder(system_.root()), 2 * kGiB);
}

TEST_F(Budget, ThreeModes) {
  MemoryRequest request = Request();
  request.budget_given = true;
  request.budget_bytes = kGiB;
  request.available_bytes = kGiB;
  auto plan = PlanMemory(request);
  ASSERT_TRUE(plan.ok()) << plan.status().message();
  EXPECT_EQ(plan->mode, "everything fits");
  EXPECT_FALSE(plan->direct_reads);

  request.available_bytes = plan->slots.total_bytes + kMiB / 16;
  plan = PlanMemory(request);
  ASSERT_TRUE(plan.ok()) << plan.status().message();
  EXPECT_EQ(plan->mode, "nearly fits");
  EXPECT_TRUE(plan->slots.holds_all);
  EXPECT_TRUE(plan->direct_reads);

  request.budget_bytes = plan->smallest_budget_bytes;
  plan = PlanMemory(request);
  ASSERT_TRUE(plan.ok()) << plan.status().message();
  EXPECT_EQ(plan->mode, "streams");
  EXPECT_FALSE(plan->mode_reason.empty());
  EXPECT_TRUE(plan->direct_reads);

  // Whoever asks for a way to read gets it in every mode.
  for (const std::uint64_t budget_bytes : {plan->smallest_budget_bytes, kGiB}) {
    request.budget_bytes = budget_bytes;
    request.read_path = ReadPath::kPageCache;
    EXPECT_FALSE(PlanMemory(request)->direct_reads);
    request.read_path = ReadPath::kDirect;
    EXPECT_TRUE(PlanMemory(request)->direct_reads);
  }
}

TEST_F(Budget, APreferredBatchIsTakenWhereTheBudgetAffordsIt) {
  MemoryRequest request = Request();
  request.budget_given = true;
  request.preferred_batch = 16;
  request.budget_bytes = kGiB;
  EXPECT_EQ(PlanMemory(request)->max_batch, 16);
  // What is too small for a batch that was asked for does without one that is only preferred.
  request.budget_bytes = SmallestBudgetOf(request);
  const auto plan = PlanMemory(request);
  ASSERT_TRUE(plan.ok()) << plan.status().message();
  MemoryRequest unasked = request;
  unasked.preferred_batch = 0;
  request.preferred_batch = std::int64_t{1} << 20;
  EXPECT_EQ(PlanMemory(request)->max_batch, PlanMemory(unasked)->max_batch);
  request.max_batch = request.preferred_batch;
  EXPECT_FALSE(PlanMemory(request).ok());
}

}  // namespace
}  // namespace larder
