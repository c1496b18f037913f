// kill -9 at random moments while prompts are being saved: whatever lies in the folder afterwards,
// answers are those of a cold run. The program runs itself as the one that is killed.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "base/random.h"
#include "helpers/golden.h"
#include "helpers/scheduler_requests.h"
#include "helpers/tiny_model.h"

namespace larder {
namespace {

constexpr std::int64_t kVocab = 96;
constexpr std::int64_t kContext = 512;
constexpr const char* kModelVariable = "LARDER_KILL_TEST_MODEL";
constexpr const char* kFolderVariable = "LARDER_KILL_TEST_FOLDER";
constexpr const char* kSeedVariable = "LARDER_KILL_TEST_SEED";

EngineOptions Options(const std::string& model) {
  EngineOptions options = {.model_path = model, .memory_budget_bytes = std::uint64_t{256} << 20};
  options.context_tokens = kContext;
  options.n_threads = 1;
  options.prefix_cache_bytes = std::uint64_t{16} << 20;
  return options;
}

SchedulerOptions DiskOptions(const std::string& folder) {
  SchedulerOptions options;
  options.prefix_page_tokens = 16;
  options.disk_folder = folder;
  options.disk_limit_bytes = std::uint64_t{4} << 20;  // so small that files are deleted too
  options.disk_daily_bytes = std::uint64_t{1} << 40;
  return options;
}

// A few conversations: 40 + 20 n tokens, with common beginnings.
RequestSpec Spec(std::uint64_t number) {
  RequestSpec spec;
  spec.prompt = RandomTokens(40, kVocab, number % 3);
  const auto more =
      RandomTokens(20 + 20 * static_cast<std::int64_t>(number % 7), kVocab, 100 + number);
  spec.prompt.insert(spec.prompt.end(), more.begin(), more.end());
  spec.boundaries = {40};
  spec.max_tokens = 4;
  return spec;
}

constexpr std::uint64_t kSpecs = 12;

// Not a test: what the killed process does, run by the test below.
TEST(PrefixKillChild, DISABLED_SavesUntilKilled) {
  const char* model = std::getenv(kModelVariable);
  const char* folder = std::getenv(kFolderVariable);
  const char* seed = std::getenv(kSeedVariable);
  if (model == nullptr || folder == nullptr || seed == nullptr) GTEST_SKIP();
  auto engine = Engine::Load(Options(model));
  ASSERT_TRUE(engine.ok()) << engine.status().message();
  auto scheduler = Scheduler::Create(engine->get(), DiskOptions(folder));
  ASSERT_TRUE(scheduler.ok()) << scheduler.status().message();
  SplitMix64 random(std::strtoull(seed, nullptr, 10));
  while (true) {
    RequestSpec spec = Spec(random.NextBelow(kSpecs));
    spec.prompt.push_back(static_cast<std::int32_t>(random.NextBelow(kVocab)));
    Serve(**scheduler, spec);
  }
}

pid_t StartChild(const std::string& model, const std::string& folder, std::uint64_t seed) {
  std::vector<std::string> variables = {std::string(kModelVariable) + "=" + model,
                                        std::string(kFolderVariable) + "=" + folder,
                                        std::string(kSeedVariable) + "=" + std::to_string(seed)};
  std::vector<char*> environment;
  for (std::string& one : variables) environment.push_back(one.data());
  for (char** one = environ; *one != nullptr; ++one) environment.push_back(*one);
  environment.push_back(nullptr);
  std::string program = "/proc/self/exe";
  std::string filter = "--gtest_filter=PrefixKillChild.*";
  std::string disabled = "--gtest_also_run_disabled_tests";
  char* arguments[] = {program.data(), filter.data(), disabled.data(), nullptr};
  posix_spawn_file_actions_t quiet;
  posix_spawn_file_actions_init(&quiet);
  posix_spawn_file_actions_addopen(&quiet, 1, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_addopen(&quiet, 2, "/dev/null", O_WRONLY, 0);
  pid_t pid = -1;
  EXPECT_EQ(posix_spawn(&pid, program.c_str(), &quiet, nullptr, arguments, environment.data()), 0);
  posix_spawn_file_actions_destroy(&quiet);
  return pid;
}

TEST(PrefixKill, AnswersAreRightAfterKillsAtRandomMoments) {
  const char* asked = std::getenv("LARDER_KILLS");
  const int n_kills = asked != nullptr ? std::atoi(asked) : 25;
  const std::string model = TemporaryPath("killed.gguf");
  WriteTinyModel(model, [](TinyModelParts* parts) {
    parts->metadata.SetUint32("qwen35moe.context_length", kContext);
  });
  const std::string folder = TemporaryPath("killed");
  auto engine = Engine::Load(Options(model));
  ASSERT_TRUE(engine.ok()) << engine.status().message();
  std::vector<SeenAnswer> right;
  for (std::uint64_t i = 0; i < kSpecs; ++i) right.push_back(AnswerAlone(**engine, Spec(i)));

  SplitMix64 random(5);
  int n_wrong = 0;
  std::int64_t n_reused = 0;
  std::uint64_t n_disk_hits = 0;
  std::uint64_t n_ignored = 0;
  for (int kill_number = 0; kill_number < n_kills; ++kill_number) {
    const pid_t child = StartChild(model, folder, random.Next());
    ASSERT_GT(child, 0);
    std::this_thread::sleep_for(std::chrono::microseconds(30000 + random.NextBelow(120000)));
    kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << "it ended by itself with " << WEXITSTATUS(status);
    auto scheduler = Scheduler::Create(engine->get(), DiskOptions(folder));
    ASSERT_TRUE(scheduler.ok()) << scheduler.status().message();
    for (int i = 0; i < 3; ++i) {
      const std::uint64_t number = random.NextBelow(kSpecs);
      const Served served = Serve(**scheduler, Spec(number));
      n_reused += served.result.n_reused;
      if (!SameBits(served.answer, right[static_cast<std::size_t>(number)])) ++n_wrong;
    }
    (*scheduler)->Stop(0);
    n_disk_hits += (*scheduler)->stats().n_prefix_disk_hits;
    n_ignored += (*scheduler)->stats().n_prefix_files_ignored;
  }
  PrintFigure("kills-while-saving", n_kills, ">=", 25);
  PrintFigure("wrong-answers-after-a-kill", n_wrong, "==", 0);
  PrintFigure("starts-from-disk-after-a-kill", static_cast<double>(n_disk_hits), ">=", 1);
  PrintFigure("torn-files-met", static_cast<double>(n_ignored), "==", 0);
  EXPECT_EQ(n_wrong, 0);
  EXPECT_GT(n_disk_hits, 0u);
  EXPECT_EQ(n_ignored, 0u) << "a name stands for a whole file";
  EXPECT_GT(n_reused, 0);
  std::filesystem::remove_all(folder);
  std::filesystem::remove_all(model);
}

}  // namespace
}  // namespace larder
