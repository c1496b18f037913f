// A conversation's session is kept, rewound and read again between answers; what it answers must be
// what a new session answers that reads the whole conversation at once. On a random model, whose
// next words depend on every token before, under templates that change what was said.
#include "cli/conversation.h"

#include <gtest/gtest.h>

#include <random>

#include "helpers/golden.h"
#include "helpers/tiny_model.h"

namespace larder {
namespace {

// Thoughts stay behind the last question only; calls and results are written out; the answer's
// beginning is not what the finished answer begins with.
constexpr const char* kForgetful =
    "{%- set last = namespace(question=-1) -%}"
    "{%- for m in messages %}{% if m.role == 'user' %}{% set last.question = loop.index0 %}"
    "{% endif %}{% endfor -%}"
    "{%- for t in tools or [] %}[{{ t.function.name }}]{% endfor -%}"
    "{%- for m in messages %}<{{ m.role }}>"
    "{%- if m.role == 'assistant' and loop.index0 > last.question %}"
    "<think>\n{{ m.reasoning_content }}\n</think>\n\n{% endif -%}"
    "{{ m.content }}{% for c in m.tool_calls or [] %}<call>{{ c.function.name }}"
    "{{ c.function.arguments | tojson }}{% endfor %}\n{% endfor -%}"
    "{%- if add_generation_prompt %}<assistant><think>\n"
    "{%- if not enable_thinking %}\n</think>\n\n{% endif %}{% endif -%}";
// Nothing ever changes.
constexpr const char* kFaithful =
    "{%- for m in messages %}<{{ m.role }}>{{ m.content }}\n{% endfor -%}"
    "{%- if add_generation_prompt %}<assistant>{% endif -%}";
// The last message's number is at the very beginning: nothing ever stays.
constexpr const char* kRestless =
    "{{ messages | length }}{%- for m in messages %}<{{ m.role }}>{{ m.content }}\n{% endfor -%}";

class ConversationTest : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    EngineOptions options;
    options.model_path = LARDER_SOURCE_DIR "/tests/golden/models/r4-s32-f32.gguf";
    options.memory_budget_bytes = 1u << 30;
    options.context_tokens = 700;
    options.n_threads = 1;
    options.checkpoint = true;
    options.process_bytes = kFixedProcessBytes;
    kept_engine_ = Load(options);
    fresh_engine_ = Load(options);
    kept_ = Make(kept_engine_.get());
  }

  static std::unique_ptr<Engine> Load(const EngineOptions& options) {
    auto engine = Engine::Load(options);
    EXPECT_TRUE(engine.ok()) << engine.status().message();
    return std::move(*engine);
  }

  static std::unique_ptr<Conversation> Make(Engine* engine) {
    auto writer = PromptWriter::Make(engine->metadata(), *engine->tokenizer(),
                                     *ChatTemplate::Parse(GetParam()));
    EXPECT_TRUE(writer.ok()) << writer.status().message();
    return *Conversation::Make(engine, *writer);
  }

  AnswerOptions Options() const {
    AnswerOptions options;
    options.sampler.temperature = 0;
    // What was read before counts too.
    options.sampler.repeat_penalty = 1.3;
    options.sampler.penalty_window = 0;
    options.max_tokens = 7;
    options.think = think_;
    return options;
  }

  // What a new session says to the same messages.
  Answer Fresh() {
    const std::unique_ptr<Conversation> conversation = Make(fresh_engine_.get());
    conversation->messages() = kept_->messages();
    Result<Answer> answer = conversation->Ask(Options());
    EXPECT_TRUE(answer.ok()) << answer.status().message();
    return *answer;
  }

  // Asks both, compares, and gives the kept one's answer.
  Answer Ask() {
    Result<Answer> answer = kept_->Ask(Options());
    EXPECT_TRUE(answer.ok()) << answer.status().message();
    const Answer fresh = Fresh();
    EXPECT_EQ(fresh.n_reused, 0);
    EXPECT_EQ(answer->message.text, fresh.message.text);
    EXPECT_EQ(answer->message.reasoning, fresh.message.reasoning);
    n_reused_ += answer->n_reused;
    n_read_ += answer->prompt.n_tokens;
    return *answer;
  }

  void Say(Message message) { kept_->messages().push_back(std::move(message)); }

  std::unique_ptr<Engine> kept_engine_, fresh_engine_;
  std::unique_ptr<Conversation> kept_;
  ThinkMode think_;
  std::int64_t n_reused_ = 0, n_read_ = 0;
};

TEST_P(ConversationTest, EveryWayGivesTheAnswerOfANewSession) {
  std::mt19937 random(5);
  const auto chance = [&random](unsigned percent) { return random() % 100 < percent; };
  for (int step = 0; step < 60; ++step) {
    std::vector<Message>& messages = kept_->messages();
    if (messages.size() > 9) messages.clear();
    if (!messages.empty() && chance(15)) messages.resize(random() % messages.size());
    if (messages.empty() && chance(50))
      Say(SystemMessage("Answer " + std::to_string(random() % 9)));
    if (chance(10)) think_ = think_.on ? ThinkMode() : ThinkMode{true, std::int64_t{2}};
    const bool after_call = !messages.empty() && !messages.back().tool_calls.empty();
    if (after_call) {
      Say(ToolMessage(messages.back().tool_calls[0], std::string(random() % 30, 'r')));
    } else {
      Say(UserMessage("Question " + std::to_string(random() % 1000)));
    }
    if (chance(15)) {  // stopped at the third token, and asked again or gone on with
      int n_deltas = 0;
      AnswerOptions stopped = Options();
      stopped.interrupted = [&n_deltas] { return ++n_deltas > 3; };
      const Result<Answer> part = kept_->Ask(stopped);
      ASSERT_TRUE(part.ok());
      EXPECT_NE(part->stop, StopReason::kLength);
    }
    if (chance(5)) {  // too long: refused, and what was there is still right
      Say(UserMessage(std::string(20000, 'x')));
      EXPECT_EQ(kept_->Ask(Options()).status().code(), StatusCode::kInvalidArgument);
      messages.pop_back();
    }
    Message answer = Ask().message;
    if (chance(30)) answer.tool_calls = {{"call_1", "f", R"({"a":1})"}};
    Say(std::move(answer));
    if (HasFailure()) FAIL() << "at step " << step;
  }
  std::printf("%lld tokens kept, %lld read\n", static_cast<long long>(n_reused_),
              static_cast<long long>(n_read_));
  if (GetParam() != kRestless) {
    EXPECT_GT(n_reused_, n_read_ / 3);
  }
}

TEST_P(ConversationTest, OnlyWhatIsNewIsRead) {
  Say(SystemMessage(std::string(100, 's')));
  Say(UserMessage(std::string(100, 'a')));
  Say(Ask().message);
  n_read_ = 0;
  Say(UserMessage("b"));
  Ask();
  if (GetParam() == kRestless) return;
  EXPECT_LT(n_read_, 100) << "the last answer, the new question, the frames";
}

INSTANTIATE_TEST_SUITE_P(Templates, ConversationTest,
                         testing::Values(kForgetful, kFaithful, kRestless));

}  // namespace
}  // namespace larder
