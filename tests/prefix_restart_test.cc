// The cache of prompts on disk over a server's life: a conversation that is used stays there
// whichever way it is served, nothing is written twice, and what was deleted for others is written
// again; the figures say what is written when it is.
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <thread>

#include "helpers/golden.h"
#include "helpers/scheduler_requests.h"
#include "helpers/tiny_model.h"

namespace larder {
namespace {

constexpr std::int64_t kVocab = 96;  // of the tiny model
constexpr std::int64_t kContext = 512;
constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;
constexpr std::int64_t kPromptTokens = 300;

class PrefixRestartTest : public testing::Test {
 protected:
  void SetUp() override {
    WriteTinyModel(path_, [](TinyModelParts* parts) {
      parts->metadata.SetUint32("qwen35moe.context_length", kContext);
    });
    EngineOptions options = {
        .model_path = path_, .memory_budget_bytes = 256 * kMiB, .context_tokens = kContext};
    options.n_threads = 1;
    options.n_sessions = 2;
    options.prefix_cache_bytes = 16 * kMiB;
    auto engine = Engine::Load(options);
    ASSERT_TRUE(engine.ok()) << engine.status().message();
    engine_ = std::move(*engine);
  }
  void TearDown() override {
    std::filesystem::remove_all(folder_);
    std::filesystem::remove_all(path_);
  }

  std::unique_ptr<Scheduler> Start(std::uint64_t limit_bytes) {
    SchedulerOptions options;
    options.prefix_page_tokens = 16;
    options.disk_folder = folder_;
    options.disk_limit_bytes = limit_bytes;
    options.disk_daily_bytes = 1024 * kMiB;
    auto scheduler = Scheduler::Create(engine_.get(), options);
    EXPECT_TRUE(scheduler.ok()) << scheduler.status().message();
    return std::move(*scheduler);
  }

  // A conversation's prompt: instructions, a question, the four tokens before the answer.
  static RequestSpec Talk(std::uint64_t number, std::int64_t n_tokens = kPromptTokens,
                          std::uint64_t instructions = 0) {
    RequestSpec spec;
    spec.prompt = RandomTokens(40, kVocab, 100 + (instructions > 0 ? instructions : number));
    for (const std::int32_t token : RandomTokens(n_tokens - 40, kVocab, number)) {
      spec.prompt.push_back(token);
    }
    spec.boundaries = {40, n_tokens - 4};
    spec.max_tokens = 4;
    return spec;
  }

  // What one conversation takes on disk; the folder is empty again.
  std::uint64_t TalkBytes() {
    const std::unique_ptr<Scheduler> scheduler = Start(64 * kMiB);
    Serve(*scheduler, Talk(0));
    scheduler->Stop(60000000);
    std::filesystem::remove_all(folder_);
    return scheduler->stats().prefix_disk_written_bytes;
  }

  // Serves it; everything it leaves is written before the next.
  static std::int64_t ServeAndWrite(Scheduler& scheduler, const RequestSpec& spec) {
    const std::int64_t n_reused = Serve(scheduler, spec).result.n_reused;
    std::uint64_t before = 0;
    for (int n_same = 0; n_same < 20;) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
      const std::uint64_t now = scheduler.stats().prefix_disk_written_bytes;
      n_same = now == before ? n_same + 1 : 0;
      before = now;
    }
    return n_reused;
  }

  const std::string path_ = TemporaryPath("restarted.gguf");
  const std::string folder_ = TemporaryPath("restarted");
  std::unique_ptr<Engine> engine_;
};

// The disk has room for two; the first is not among the last two that were read from the beginning.
TEST_F(PrefixRestartTest, WhatWasServedFromMemoryIsThereAfterARestart) {
  const std::uint64_t talk_bytes = TalkBytes();
  const std::uint64_t limit_bytes = 5 * talk_bytes / 2;
  {
    const std::unique_ptr<Scheduler> scheduler = Start(limit_bytes);
    for (const std::uint64_t number : {1, 2, 3}) ServeAndWrite(*scheduler, Talk(number));
    for (int i = 0; i < 3; ++i) {
      EXPECT_GE(ServeAndWrite(*scheduler, Talk(1)), kPromptTokens - 4);
    }
    scheduler->Stop(60000000);
    EXPECT_LE(scheduler->stats().prefix_disk_bytes, limit_bytes);
    EXPECT_EQ(scheduler->stats().prefix_disk_read_bytes, 0u);
  }
  const std::unique_ptr<Scheduler> scheduler = Start(limit_bytes);
  EXPECT_EQ(Serve(*scheduler, Talk(1)).result.n_reused, kPromptTokens - 4);
  EXPECT_EQ(Serve(*scheduler, Talk(3)).result.n_reused, kPromptTokens - 4);
}

TEST_F(PrefixRestartTest, UsingAConversationKeepsItsFilesAndWritesNoneAgain) {
  const std::uint64_t talk_bytes = TalkBytes();
  const std::uint64_t limit_bytes = 7 * talk_bytes / 2;
  {
    const std::unique_ptr<Scheduler> scheduler = Start(limit_bytes);
    for (const std::uint64_t number : {1, 2, 3}) ServeAndWrite(*scheduler, Talk(number));
    const std::uint64_t written_bytes = scheduler->stats().prefix_disk_written_bytes;
    for (const std::uint64_t number : {1, 2, 1}) ServeAndWrite(*scheduler, Talk(number));
    EXPECT_EQ(scheduler->stats().prefix_disk_written_bytes, written_bytes);
    ServeAndWrite(*scheduler, Talk(4));
    ServeAndWrite(*scheduler, Talk(5));
  }
  const std::unique_ptr<Scheduler> scheduler = Start(limit_bytes);
  EXPECT_EQ(Serve(*scheduler, Talk(1)).result.n_reused, kPromptTokens - 4);
  EXPECT_LT(Serve(*scheduler, Talk(3)).result.n_reused, kPromptTokens / 2);
}

// What could not be of use after a restart is not written at others' cost; the instructions are the
// same.
TEST_F(PrefixRestartTest, AConversationLargerThanTheLimitLeavesOthers) {
  const std::uint64_t limit_bytes = 5 * TalkBytes() / 4;
  {
    const std::unique_ptr<Scheduler> scheduler = Start(limit_bytes);
    ServeAndWrite(*scheduler, Talk(1));
    ServeAndWrite(*scheduler, Talk(2, 480, 1));
  }
  const std::unique_ptr<Scheduler> scheduler = Start(limit_bytes);
  EXPECT_EQ(Serve(*scheduler, Talk(1)).result.n_reused, kPromptTokens - 4);
}

TEST_F(PrefixRestartTest, FiguresCountWhatIsWrittenBehindTheLastRequest) {
  const std::unique_ptr<Scheduler> scheduler = Start(64 * kMiB);
  ServeAndWrite(*scheduler, Talk(1));
  const SchedulerStats idle = scheduler->stats();
  scheduler->Stop(60000000);
  std::uint64_t file_bytes = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_)) {
    const std::string name = entry.path().filename().string();
    const bool is_kept = name.rfind("page-", 0) == 0 || name.rfind("snapshot-", 0) == 0;
    if (is_kept) file_bytes += entry.file_size();
  }
  EXPECT_GT(file_bytes, 0u);
  EXPECT_EQ(idle.prefix_disk_written_bytes, file_bytes);
  EXPECT_EQ(idle.prefix_disk_bytes, file_bytes);
}

}  // namespace
}  // namespace larder
