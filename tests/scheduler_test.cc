// A request gives the same bits alone and in company, whatever the others do, however often it is
// batched, takes turns, or starts from what an earlier prompt left; it can be cancelled at any
// moment; a queue has an end; a disk that fails takes down what it must and nothing else.
#include "engine/scheduler.h"

#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <thread>

#include "base/random.h"
#include "helpers/golden.h"
#include "helpers/scheduler_requests.h"
#include "helpers/scripted_model.h"
#include "helpers/tiny_model.h"
#include "io/test_readers.h"
#include "sample/json_schema.h"

namespace larder {
namespace {

constexpr std::int64_t kVocab = 96;  // of the tiny model
constexpr std::int64_t kContext = 512;
constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;

class SchedulerTest : public testing::Test {
 protected:
  void SetUp() override {
    WriteTinyModel(path_, [](TinyModelParts* parts) {
      parts->metadata.SetUint32("qwen35moe.context_length", kContext);
    });
    options_ = {.model_path = path_, .memory_budget_bytes = 256 * kMiB, .context_tokens = kContext};
    options_.process_bytes = kFixedProcessBytes;
    options_.n_threads = 2;
    options_.max_batch = 64;
    options_.n_sessions = 4;
    options_.prefix_cache_bytes = 8 * kMiB;
  }
  void TearDown() override { std::filesystem::remove_all(path_); }

  void UseSmallestBudget() {
    options_.memory_budget_bytes = NamedSmallestBudget(options_);
    options_.n_threads = 1;
  }

  void Load() {
    auto engine = Engine::Load(options_);
    ASSERT_TRUE(engine.ok()) << engine.status().message();
    engine_ = std::move(*engine);
  }

  std::unique_ptr<Scheduler> Start(SchedulerOptions options = {}) {
    options.prefix_page_tokens = 16;
    auto scheduler = Scheduler::Create(engine_.get(), options);
    EXPECT_TRUE(scheduler.ok()) << scheduler.status().message();
    return std::move(*scheduler);
  }

  // Prompts of all lengths, some with common beginnings; half the answers are drawn at random.
  static std::vector<RequestSpec> MixedRequests(int count) {
    std::vector<RequestSpec> specs;
    SplitMix64 random(99);
    for (int i = 0; i < count; ++i) {
      RequestSpec spec;
      spec.prompt = RandomTokens(1 + static_cast<std::int64_t>(random.NextBelow(150)), kVocab,
                                 static_cast<std::uint64_t>(i));
      if (i % 3 == 2) {
        std::vector<std::int32_t> prompt = specs[static_cast<std::size_t>(i - 1)].prompt;
        prompt.insert(prompt.end(), spec.prompt.begin(), spec.prompt.end());
        spec.boundaries = {static_cast<std::int64_t>(prompt.size() - spec.prompt.size())};
        spec.prompt = prompt;
      }
      spec.max_tokens = 1 + static_cast<std::int64_t>(random.NextBelow(30));
      spec.temperature = i % 2 == 0 ? 0 : 1.0;
      spec.seed = static_cast<std::uint64_t>(i);
      spec.prompt_logprobs = i % 5 == 4;
      spec.side_request = i % 7 == 6;
      specs.push_back(spec);
    }
    return specs;
  }

  std::vector<SeenAnswer> AllAlone(const std::vector<RequestSpec>& specs) {
    std::vector<SeenAnswer> answers;
    for (const RequestSpec& spec : specs) answers.push_back(AnswerAlone(*engine_, spec));
    return answers;
  }

  // All at once; how many answers differ from `right`.
  static int CountWrong(Scheduler& scheduler, const std::vector<RequestSpec>& specs,
                        const std::vector<SeenAnswer>& right) {
    std::vector<std::shared_ptr<RecordingListener>> listeners;
    for (const RequestSpec& spec : specs) {
      listeners.push_back(std::make_shared<RecordingListener>());
      const auto id = scheduler.Submit(MakeRequest(spec), listeners.back());
      EXPECT_TRUE(id.ok()) << id.status().message();
    }
    int n_wrong = 0;
    for (std::size_t i = 0; i < specs.size(); ++i) {
      const GenerationResult result = listeners[i]->Wait();
      EXPECT_EQ(result.reason, FinishReason::kLength) << result.status.message();
      if (!SameBits(listeners[i]->answer, right[i])) ++n_wrong;
    }
    return n_wrong;
  }

  const std::string path_ = TemporaryPath("scheduler.gguf");
  EngineOptions options_;
  std::unique_ptr<Engine> engine_;
};

TEST_F(SchedulerTest, SameBitsAloneAndInCompany) {
  const std::vector<RequestSpec> specs = MixedRequests(14);
  Load();
  const std::vector<SeenAnswer> right = AllAlone(specs);
  int n_runs = 0;
  int n_wrong = 0;
  for (const bool roomy : {true, false}) {
    for (const std::int64_t max_batch : {1, 5, 64}) {
      options_.max_batch = max_batch;
      options_.memory_budget_bytes = 256 * kMiB;
      options_.n_threads = max_batch == 64 ? 2 : 1;
      if (!roomy) UseSmallestBudget();
      Load();
      for (const BatchMode mode : {BatchMode::kAlways, BatchMode::kNever, BatchMode::kAuto}) {
        for (const bool reuse : {false, true}) {
          if (!reuse && max_batch == 5) continue;
          SchedulerOptions options;
          options.batching = mode;
          options.reuse_prefixes = reuse;
          const std::unique_ptr<Scheduler> scheduler = Start(options);
          n_wrong += CountWrong(*scheduler, specs, right);
          const SchedulerStats stats = scheduler->stats();
          const bool shares = mode == BatchMode::kAlways && max_batch > 1;
          EXPECT_GE(stats.n_shared_steps, shares ? 1u : 0u);
          EXPECT_GE(stats.n_reused_tokens, reuse ? 1u : 0u);
          n_runs += static_cast<int>(specs.size());
        }
      }
    }
  }
  PrintFigure("requests-in-company", n_runs, ">=", 100);
  PrintFigure("answers-that-differ-in-company", n_wrong, "==", 0);
  EXPECT_EQ(n_wrong, 0);
}

// ---- Prefixes -----------------------------------------------------------------------------------

TEST_F(SchedulerTest, AConversationGoesOnWhereItParted) {
  Load();
  RequestSpec first;
  first.prompt = RandomTokens(100, kVocab, 5);
  first.boundaries = {30, 97};
  RequestSpec second = first;  // another question behind the first two messages
  second.prompt.resize(97);
  for (const std::int32_t token : RandomTokens(40, kVocab, 6)) second.prompt.push_back(token);
  second.boundaries = {30, 97, 130};
  RequestSpec third = first;  // another conversation with the same beginning
  third.prompt.resize(30);
  for (const std::int32_t token : RandomTokens(70, kVocab, 7)) third.prompt.push_back(token);
  const std::vector<SeenAnswer> right = AllAlone({first, second, third});

  const std::unique_ptr<Scheduler> scheduler = Start({.n_parallel = 1});
  EXPECT_EQ(Serve(*scheduler, first).result.n_reused, 0);
  const Served again = Serve(*scheduler, first);
  EXPECT_EQ(again.result.n_reused, 97);
  EXPECT_TRUE(SameBits(again.answer, right[0]));
  const Served went_on = Serve(*scheduler, second);
  EXPECT_EQ(went_on.result.n_reused, 97);
  EXPECT_TRUE(SameBits(went_on.answer, right[1]));
  const Served parted = Serve(*scheduler, third);
  EXPECT_EQ(parted.result.n_reused, 30);
  EXPECT_TRUE(SameBits(parted.answer, right[2]));
  // The first is no longer in the only session, and is found all the same.
  const Served back = Serve(*scheduler, first);
  EXPECT_GE(back.result.n_reused, 97);
  EXPECT_TRUE(SameBits(back.answer, right[0]));
}

TEST_F(SchedulerTest, AnAnswersOwnTokensAreReused) {
  Load();
  const std::unique_ptr<Scheduler> scheduler = Start({.n_parallel = 1});
  RequestSpec spec;
  spec.prompt = RandomTokens(20, kVocab, 1);
  const Served served = Serve(*scheduler, spec);
  RequestSpec next = spec;
  next.prompt.insert(next.prompt.end(), served.answer.tokens.begin(), served.answer.tokens.end());
  next.prompt.push_back(3);
  const Served went_on = Serve(*scheduler, next);
  // The last token of an answer was never read.
  EXPECT_EQ(went_on.result.n_reused,
            static_cast<std::int64_t>(spec.prompt.size() + served.answer.tokens.size() - 1));
  scheduler->Stop(0);
}

TEST_F(SchedulerTest, SideRequestsTakeNothingFromAConversation) {
  for (const std::uint64_t cache_bytes : {8 * kMiB, 100 * kMiB / 1024}) {
    options_.prefix_cache_bytes = cache_bytes;
    Load();
    const std::unique_ptr<Scheduler> scheduler = Start({.n_parallel = 2});
    RequestSpec talk;
    talk.prompt = RandomTokens(120, kVocab, 1);
    talk.boundaries = {40, 118};
    Serve(*scheduler, talk);
    for (std::uint64_t i = 0; i < 20; ++i) {
      RequestSpec side;
      side.prompt = RandomTokens(90, kVocab, 100 + i);
      side.side_request = true;
      Serve(*scheduler, side);
    }
    EXPECT_GE(Serve(*scheduler, talk).result.n_reused, 118) << cache_bytes;
  }
}

// Where there is room, a side request's beginning is kept like any other.
TEST_F(SchedulerTest, SideRequestsKeepWhatThereIsRoomFor) {
  options_.prefix_cache_bytes = 8 * kMiB;
  Load();
  const std::unique_ptr<Scheduler> scheduler = Start({.n_parallel = 1});
  const RequestSpec side = {.prompt = RandomTokens(90, kVocab, 7), .side_request = true};
  const Served cold = Serve(*scheduler, side);
  Serve(*scheduler, {.prompt = RandomTokens(70, kVocab, 8), .side_request = true});
  const Served again = Serve(*scheduler, side);
  EXPECT_EQ(again.result.n_reused, 89);
  EXPECT_TRUE(SameBits(again.answer, cold.answer));
}

TEST_F(SchedulerTest, MemoryForPrefixesHasALimitAndAnswersStayRight) {
  for (const std::uint64_t cache_bytes : {std::uint64_t{0}, 40 * kMiB / 1024, 200 * kMiB / 1024}) {
    options_.prefix_cache_bytes = cache_bytes;
    Load();
    const std::vector<RequestSpec> specs = MixedRequests(12);
    const std::vector<SeenAnswer> right = AllAlone(specs);
    const std::unique_ptr<Scheduler> scheduler = Start({.n_parallel = 2});
    for (int round = 0; round < 3; ++round) {
      EXPECT_EQ(CountWrong(*scheduler, specs, right), 0) << cache_bytes;
      EXPECT_LE(scheduler->stats().prefix_memory_bytes, cache_bytes);
    }
  }
}

TEST_F(SchedulerTest, ThePromptOfSeveralIsReadOnce) {
  Load();
  const std::unique_ptr<Scheduler> scheduler = Start();
  RequestSpec spec;
  spec.prompt = RandomTokens(300, kVocab, 8);
  std::vector<std::shared_ptr<RecordingListener>> listeners;
  for (int i = 0; i < 4; ++i) {
    listeners.push_back(std::make_shared<RecordingListener>());
    spec.seed = static_cast<std::uint64_t>(i);
    ASSERT_TRUE(scheduler->Submit(MakeRequest(spec), listeners.back()).ok());
  }
  std::int64_t n_read = 0;
  for (const auto& listener : listeners) {
    const GenerationResult result = listener->Wait();
    n_read += result.n_prompt - result.n_reused;
  }
  EXPECT_EQ(n_read, 300 + 3);
}

TEST_F(SchedulerTest, PrefixesOutliveTheProcessOnDisk) {
  Load();
  const std::string folder = TemporaryPath("prefixes");
  SchedulerOptions options = {.n_parallel = 1};
  options.disk_folder = folder;
  options.disk_limit_bytes = 64 * kMiB;
  std::vector<RequestSpec> specs = MixedRequests(9);
  for (RequestSpec& spec : specs) spec.prompt_logprobs = spec.side_request = false;
  const std::vector<SeenAnswer> right = AllAlone(specs);
  {
    const std::unique_ptr<Scheduler> scheduler = Start(options);
    EXPECT_EQ(CountWrong(*scheduler, specs, right), 0);
    scheduler->Stop(60000000);
    EXPECT_GT(scheduler->stats().n_prompt_tokens, 0u);
  }
  Load();  // another engine, as after a restart
  {
    const std::unique_ptr<Scheduler> scheduler = Start(options);
    std::int64_t n_prompt = 0;
    std::int64_t n_reused = 0;
    for (std::size_t i = 0; i < specs.size(); ++i) {
      const Served served = Serve(*scheduler, specs[i]);
      EXPECT_TRUE(SameBits(served.answer, right[i])) << i;
      n_prompt += served.result.n_prompt;
      n_reused += served.result.n_reused;
    }
    EXPECT_GE(n_reused * 2, n_prompt);
    EXPECT_GT(scheduler->stats().n_prefix_disk_hits, 0u);
  }
  // Other settings: foreign files, none of them used.
  options_.kv_dtype = DType::kQ8_0;
  Load();
  {
    const std::unique_ptr<Scheduler> scheduler = Start(options);
    EXPECT_EQ(Serve(*scheduler, specs[0]).result.n_reused, 0);
    EXPECT_EQ(scheduler->stats().prefix_disk_read_bytes, 0u);
  }
  std::filesystem::remove_all(folder);
}

TEST_F(SchedulerTest, DamagedFilesAreIgnored) {
  Load();
  const std::string folder = TemporaryPath("damaged");
  SchedulerOptions options = {.n_parallel = 1};
  options.disk_folder = folder;
  options.disk_limit_bytes = 64 * kMiB;
  RequestSpec spec;
  spec.prompt = RandomTokens(200, kVocab, 3);
  const SeenAnswer right = AnswerAlone(*engine_, spec);
  SplitMix64 random(4);
  int n_ignored = 0;
  for (int round = 0; round < 12; ++round) {
    {
      const std::unique_ptr<Scheduler> scheduler = Start(options);
      EXPECT_TRUE(SameBits(Serve(*scheduler, spec).answer, right)) << round;
      scheduler->Stop(60000000);
      n_ignored += static_cast<int>(scheduler->stats().n_prefix_files_ignored);
    }
    // One bit of one file, or its end.
    std::vector<std::filesystem::path> files;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
      const std::string name = entry.path().filename().string();
      if (name.rfind("page-", 0) == 0 || name.rfind("snapshot-", 0) == 0) {
        files.push_back(entry.path());
      }
    }
    ASSERT_FALSE(files.empty());
    for (const std::filesystem::path& file : files) {
      const std::uint64_t size = std::filesystem::file_size(file);
      if (round % 3 == 0) {
        std::filesystem::resize_file(file, random.NextBelow(size));
        continue;
      }
      std::FILE* stream = std::fopen(file.c_str(), "r+b");
      ASSERT_NE(stream, nullptr);
      const auto at = static_cast<long>(random.NextBelow(size));
      std::fseek(stream, at, SEEK_SET);
      const int byte = std::fgetc(stream);
      std::fseek(stream, at, SEEK_SET);
      std::fputc(byte ^ (1 << random.NextBelow(8)), stream);
      std::fclose(stream);
    }
  }
  EXPECT_GT(n_ignored, 0);
  std::filesystem::remove_all(folder);
}

// ---- Cancelling, queues, faults -----------------------------------------------------------------

TEST_F(SchedulerTest, CancelledAtRandomMomentsAndTheNextIsRight) {
  UseSmallestBudget();
  options_.max_batch = 16;
  options_.memory_budget_bytes = NamedSmallestBudget(options_);
  Load();
  const std::vector<RequestSpec> specs = MixedRequests(6);
  const std::vector<SeenAnswer> right = AllAlone(specs);
  const std::unique_ptr<Scheduler> scheduler = Start({.n_parallel = 3});
  SplitMix64 random(17);
  int n_cancelled = 0;
  int n_wrong = 0;
  constexpr int kRounds = 60;
  for (int round = 0; round < kRounds; ++round) {
    std::vector<std::shared_ptr<RecordingListener>> listeners;
    std::vector<RequestId> ids;
    for (int i = 0; i < 5; ++i) {
      RequestSpec spec;
      spec.prompt =
          RandomTokens(1 + static_cast<std::int64_t>(random.NextBelow(200)), kVocab, random.Next());
      spec.max_tokens = 200;
      listeners.push_back(std::make_shared<RecordingListener>());
      const auto id = scheduler->Submit(MakeRequest(spec), listeners.back());
      ASSERT_TRUE(id.ok());
      ids.push_back(*id);
    }
    std::this_thread::sleep_for(std::chrono::microseconds(random.NextBelow(8000)));
    for (const RequestId id : ids) scheduler->Cancel(id);
    for (const auto& listener : listeners) {
      const GenerationResult result = listener->Wait();
      if (result.reason == FinishReason::kCancelled) ++n_cancelled;
      EXPECT_NE(result.reason, FinishReason::kError) << result.status.message();
    }
    const auto which = static_cast<std::size_t>(random.NextBelow(specs.size()));
    if (!SameBits(Serve(*scheduler, specs[which]).answer, right[which])) ++n_wrong;
  }
  PrintFigure("requests-cancelled", n_cancelled, ">=", kRounds);
  PrintFigure("wrong-answers-after-cancelling", n_wrong, "==", 0);
  EXPECT_GE(n_cancelled, kRounds);
  EXPECT_EQ(n_wrong, 0);
  for (const SlotInfo& slot : scheduler->slots()) EXPECT_EQ(slot.state, SlotInfo::State::kIdle);
}

TEST_F(SchedulerTest, OthersGoOnWhenOneOfAStepIsCancelled) {
  Load();
  RequestSpec stays;
  stays.prompt = RandomTokens(60, kVocab, 1);
  stays.max_tokens = 40;
  const SeenAnswer right = AnswerAlone(*engine_, stays);
  const std::unique_ptr<Scheduler> scheduler = Start({.batching = BatchMode::kAlways});
  for (int n_tokens = 1; n_tokens < 30; n_tokens += 3) {
    const auto one = std::make_shared<RecordingListener>();
    const auto other = std::make_shared<RecordingListener>();
    RequestSpec leaves;
    leaves.prompt = RandomTokens(50, kVocab, 2);
    leaves.max_tokens = 400;
    const auto id = scheduler->Submit(MakeRequest(leaves), other);
    ASSERT_TRUE(id.ok());
    one->on_token = [&, left = n_tokens](std::int32_t) mutable {
      if (--left == 0) scheduler->Cancel(*id);
      return true;
    };
    ASSERT_TRUE(scheduler->Submit(MakeRequest(stays), one).ok());
    EXPECT_EQ(one->Wait().reason, FinishReason::kLength);
    EXPECT_EQ(other->Wait().reason, FinishReason::kCancelled);
    EXPECT_TRUE(SameBits(one->answer, right)) << n_tokens;
  }
}

TEST_F(SchedulerTest, AListenerEndsItsAnswer) {
  Load();
  const std::unique_ptr<Scheduler> scheduler = Start();
  RequestSpec spec;
  spec.prompt = {1, 2, 3};
  const auto listener = std::make_shared<RecordingListener>();
  listener->on_token = [left = 3](std::int32_t) mutable { return --left > 0; };
  ASSERT_TRUE(scheduler->Submit(MakeRequest(spec), listener).ok());
  const GenerationResult result = listener->Wait();
  EXPECT_EQ(result.reason, FinishReason::kStop);
  EXPECT_EQ(result.n_generated, 3);
  EXPECT_EQ(listener->answer.tokens.size(), 3u);
}

TEST_F(SchedulerTest, EndsOfAnswers) {
  Load();
  const std::unique_ptr<Scheduler> scheduler = Start();
  RequestSpec spec;
  spec.prompt = RandomTokens(500, kVocab, 2);
  spec.max_tokens = -1;
  spec.temperature = 1;
  const Served full = Serve(*scheduler, spec);
  EXPECT_EQ(full.result.reason, FinishReason::kContextFull);
  EXPECT_EQ(full.answer.tokens.size(), 13u);  // the last one is not read any more
  spec.max_tokens = 0;
  const Served only_read = Serve(*scheduler, spec);
  EXPECT_EQ(only_read.result.reason, FinishReason::kLength);
  EXPECT_TRUE(only_read.answer.tokens.empty());

  GenerationRequest request = MakeRequest(spec);
  request.max_tokens = 100;
  request.stop_tokens = {full.answer.tokens[4]};
  const auto listener = std::make_shared<RecordingListener>();
  ASSERT_TRUE(scheduler->Submit(std::move(request), listener).ok());
  const GenerationResult stopped = listener->Wait();
  EXPECT_EQ(stopped.reason, FinishReason::kStop);
  EXPECT_EQ(stopped.end_token, full.answer.tokens[4]);
  EXPECT_LE(listener->answer.tokens.size(), 4u);
}

// A model that thinks for ever: closed in its own form, and a schema holds what comes behind.
TEST_F(SchedulerTest, ReasoningEndsAtItsLimit) {
  for (const Script& script : {ChatScript(), HarmonyScript()}) {
    WriteScriptedModel(path_, script);
    Load();
    const std::unique_ptr<Scheduler> scheduler = Start();
    const Tokenizer* tokenizer = *engine_->tokenizer();
    const OutputStyle style = DetectOutputStyle(script.chat_template, tokenizer);
    const bool harmony = style.calls == CallFormat::kHarmony;
    const std::string text = harmony ? "user: why\n<|start|>assistant" : "user: why\n<think>";
    const auto grammar = CompileJsonSchema(R"({"enum": ["ok"]})");
    ASSERT_TRUE(grammar.ok());
    for (const bool held : {false, true}) {
      RequestSpec spec;
      spec.prompt = *tokenizer->Encode(text, {.parse_special = true});
      spec.max_tokens = 100;
      GenerationRequest request = MakeRequest(spec);
      request.ignore_end_tokens = held;  // what a schema ends is over all the same
      request.reader = std::make_unique<OutputReader>(
          tokenizer, style, std::vector<ToolDefinition>(), text, ThinkMode{true, 4});
      if (held) {
        request.reader->HoldText();
        request.constraint = std::make_unique<TokenConstraint>(
            std::make_shared<const Grammar>(*grammar), *TokenTrie::Make(*tokenizer));
      }
      const auto listener = std::make_shared<RecordingListener>();
      ASSERT_TRUE(scheduler->Submit(std::move(request), listener).ok());
      EXPECT_EQ(listener->Wait().reason, FinishReason::kStop);
      const std::string said = tokenizer->Decode(listener->answer.tokens, true);
      const std::string thought = "hm hm hm hm " + style.end_of_thought;
      if (harmony && held) {
        EXPECT_EQ(said, "<|channel|>final<|message|>\"ok\"") << "a held text begins at once";
      } else {
        EXPECT_EQ(said, (harmony ? "<|channel|>analysis<|message|>" : "") + thought +
                            (held ? "\"ok\"" : "Because."));
      }
    }
  }
}

TEST_F(SchedulerTest, TheQueueHasAnEndAndBadRequestsAreNamed) {
  Load();
  const std::unique_ptr<Scheduler> scheduler = Start({.n_parallel = 1, .queue_limit = 2});
  std::mutex gate;
  gate.lock();
  RequestSpec spec;
  spec.prompt = {5, 6, 7};
  const auto first = std::make_shared<RecordingListener>();
  first->on_started = [&gate] { const std::lock_guard wait(gate); };
  ASSERT_TRUE(scheduler->Submit(MakeRequest(spec), first).ok());
  ASSERT_TRUE(first->WaitStarted(10000));
  std::vector<std::shared_ptr<RecordingListener>> waiting;
  for (int i = 0; i < 2; ++i) {
    waiting.push_back(std::make_shared<RecordingListener>());
    ASSERT_TRUE(scheduler->Submit(MakeRequest(spec), waiting.back()).ok());
  }
  const auto refused = scheduler->Submit(MakeRequest(spec), std::make_shared<RecordingListener>());
  ASSERT_EQ(refused.status().code(), StatusCode::kUnavailable);
  EXPECT_GE(scheduler->RetryAfterSeconds(), 1);
  EXPECT_EQ(scheduler->stats().n_waiting, 2u);
  GenerationRequest next = MakeRequest(spec);
  next.goes_on = true;
  EXPECT_TRUE(scheduler->Submit(std::move(next), std::make_shared<RecordingListener>()).ok());
  gate.unlock();
  for (const auto& listener : waiting) EXPECT_EQ(listener->Wait().reason, FinishReason::kLength);

  const auto code_of = [&](const std::function<void(GenerationRequest*)>& change) {
    GenerationRequest request = MakeRequest(spec);
    change(&request);
    const auto id = scheduler->Submit(std::move(request), std::make_shared<RecordingListener>());
    EXPECT_FALSE(id.ok());
    return id.ok() ? StatusCode::kOk : id.status().code();
  };
  using R = GenerationRequest;
  EXPECT_EQ(code_of([](R* r) { r->prompt.clear(); }), StatusCode::kInvalidArgument);
  EXPECT_EQ(code_of([](R* r) { r->prompt[0] = 96; }), StatusCode::kInvalidArgument);
  EXPECT_EQ(code_of([](R* r) { r->prompt[0] = -1; }), StatusCode::kInvalidArgument);
  EXPECT_EQ(code_of([](R* r) { r->prompt.assign(513, 1); }), StatusCode::kInvalidArgument);
  EXPECT_EQ(code_of([](R* r) { r->max_tokens = -2; }), StatusCode::kInvalidArgument);
  EXPECT_EQ(code_of([](R* r) { r->sampling.top_p = 2; }), StatusCode::kInvalidArgument);
  EXPECT_EQ(code_of([](R* r) {
              r->sampling.logit_bias = {{96, 1}};
            }),
            StatusCode::kInvalidArgument);
  EXPECT_FALSE(Scheduler::Create(engine_.get(), {.n_parallel = 5}).ok());
}

TEST_F(SchedulerTest, StoppingCancelsWhatIsLateAndTakesNothingNew) {
  Load();
  const std::unique_ptr<Scheduler> scheduler = Start({.n_parallel = 1});
  RequestSpec spec;
  spec.prompt = RandomTokens(20, kVocab, 2);
  spec.max_tokens = -1;
  std::vector<std::shared_ptr<RecordingListener>> listeners;
  for (int i = 0; i < 40; ++i) {
    listeners.push_back(std::make_shared<RecordingListener>());
    ASSERT_TRUE(scheduler->Submit(MakeRequest(spec), listeners.back()).ok());
  }
  scheduler->Stop(20000);
  int n_cancelled = 0;
  for (const auto& listener : listeners) {
    EXPECT_TRUE(listener->is_finished());
    if (listener->Wait().reason == FinishReason::kCancelled) ++n_cancelled;
  }
  EXPECT_GT(n_cancelled, 0);
  const auto late = scheduler->Submit(MakeRequest(spec), listeners[0]);
  EXPECT_EQ(late.status().code(), StatusCode::kUnavailable);
}

TEST_F(SchedulerTest, ABrokenDiskFailsItsRequestsAndOnlyThose) {
  std::atomic<bool> broken = false;
  options_.wrap_reader = [&broken](std::unique_ptr<AsyncReader> reader) {
    return MakeFaultInjectingReader(std::move(reader), [&broken](std::uint64_t) {
      return broken ? Fault{FaultKind::kError} : Fault();
    });
  };
  UseSmallestBudget();
  Load();
  RequestSpec spec;
  spec.prompt = RandomTokens(60, kVocab, 2);
  const SeenAnswer right = AnswerAlone(*engine_, spec);
  const std::unique_ptr<Scheduler> scheduler = Start({.batching = BatchMode::kAlways});
  broken = true;
  std::vector<std::shared_ptr<RecordingListener>> listeners;
  for (std::uint64_t i = 0; i < 3; ++i) {
    RequestSpec other = spec;
    other.prompt = RandomTokens(40, kVocab, 10 + i);
    listeners.push_back(std::make_shared<RecordingListener>());
    ASSERT_TRUE(scheduler->Submit(MakeRequest(other), listeners.back()).ok());
  }
  for (const auto& listener : listeners) {
    const GenerationResult result = listener->Wait();
    EXPECT_EQ(result.reason, FinishReason::kError);
    EXPECT_EQ(result.status.code(), StatusCode::kIoError) << result.status.message();
  }
  broken = false;
  EXPECT_TRUE(SameBits(Serve(*scheduler, spec).answer, right));
}

}  // namespace
}  // namespace larder
