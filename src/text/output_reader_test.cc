// Reasoning with a limit: the model's own end of a thought is forced at the right token; what is
// written around a text that is held to a grammar; what --think means.
#include "text/output_reader.h"

#include <gtest/gtest.h>

#include "text/vocabulary_testing.h"

namespace larder {
namespace {

constexpr const char* kQwen = "'<think>\\n' ... '\\n</think>\\n\\n'";

std::unique_ptr<Tokenizer> MakeTokenizer(std::vector<std::string> tags = {"<think>", "</think>"}) {
  auto tokenizer =
      Tokenizer::FromMetadata(SmallVocabulary("qwen2", {}, tags,
                                              {"<|im_end|>", "<tool_call>", "<|start|>", "<|end|>",
                                               "<|message|>", "<|channel|>", "<|return|>"}));
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  return std::move(*tokenizer);
}

// Plays a model that says one thing, and follows what is forced on it.
struct Played {
  std::string text;  // all tokens, markers too
  std::string reasoning, answer;
  std::int64_t n_reasoning_tokens = 0;
};

Played Play(const std::string& chat_template, const std::string& prompt, const std::string& think,
            const std::string& says, bool held = false,
            std::unique_ptr<Tokenizer> tokenizer = MakeTokenizer()) {
  OutputReader reader(tokenizer.get(), DetectOutputStyle(chat_template, nullptr), {}, prompt,
                      *ParseThink(think));
  if (held) reader.HoldText();
  const std::vector<std::int32_t> own = *tokenizer->Encode(says, {.parse_special = true});
  std::vector<OutputDelta> deltas;
  Played played;
  const auto push = [&](std::int32_t token) {
    played.text += tokenizer->TokenBytes(token);
    reader.Push(token, &deltas);
  };
  for (const std::int32_t token : own) {
    for (const std::int32_t forced : reader.Forced()) push(forced);
    push(token);
  }
  for (const std::int32_t forced : reader.Forced()) push(forced);
  reader.Finish(&deltas);
  for (const OutputDelta& delta : deltas) {
    if (delta.kind == OutputDelta::Kind::kReasoning) played.reasoning += delta.text;
    if (delta.kind == OutputDelta::Kind::kText) played.answer += delta.text;
  }
  played.n_reasoning_tokens = reader.n_reasoning_tokens();
  return played;
}

TEST(OutputReader, ClosesAThoughtThatIsTooLong) {
  const Played played = Play(kQwen, "assistant\n<think>\n", "3", "abcYes");
  EXPECT_EQ(played.text, "abc\n</think>\n\nYes");
  EXPECT_EQ(played.reasoning, "abc");
  EXPECT_EQ(played.answer, "Yes");
  EXPECT_EQ(played.n_reasoning_tokens, 3);
  // No second line end behind the model's own.
  EXPECT_EQ(Play(kQwen, "<think>\n", "3", "ab\nYes").text, "ab\n</think>\n\nYes");
  EXPECT_EQ(Play(kQwen, "<think>\n", "4", "ab\n</think>\n\nYes").text, "ab\n</think>\n\nYes");
  EXPECT_EQ(Play("'<think>' '</think>' <|tool_call_begin|>", "<think>", "2", "abYes").text,
            "ab</think>\nYes");
}

// A tag that is several tokens may be begun when the limit comes.
TEST(OutputReader, ATagInPiecesIsNotWrittenTwice) {
  for (const char* says : {"ab<Yes", "ab</tYes", "ab</thinkYes", "ab\n</Yes"}) {
    const std::string thought = std::string(says).substr(0, std::string(says).size() - 3);
    const Played played =
        Play(kQwen, "<think>\n", std::to_string(thought.size()), says, false, MakeTokenizer({}));
    EXPECT_EQ(played.text, std::string(thought[2] == '\n' ? "ab\n" : "ab") + "</think>\n\nYes");
    EXPECT_EQ(played.reasoning, "ab") << says;
    EXPECT_EQ(played.answer, "Yes") << says;
  }
  EXPECT_EQ(Play(kQwen, "<think>\n", "3", "ab<Yes").text, "ab<\n</think>\n\nYes")
      << "where it is one token, '<' is a word";
}

TEST(OutputReader, AThoughtThatTheModelBeginsCountsToo) {
  const Played played = Play(kQwen, "assistant\n", "2", "<think>\nabcYes");
  EXPECT_EQ(played.text, "<think>\na\n</think>\n\nbcYes");
  EXPECT_EQ(played.answer, "bcYes");
  EXPECT_EQ(played.n_reasoning_tokens, 2);
}

TEST(OutputReader, OffClosesWhatATemplateOpensAtOnce) {
  const Played played = Play(kQwen, "assistant\n<think>\n", "off", "Yes");
  EXPECT_EQ(played.text, "\n</think>\n\nYes") << "Qwen's own empty thought";
  EXPECT_EQ(played.answer, "Yes");
  EXPECT_EQ(played.n_reasoning_tokens, 0);
  EXPECT_EQ(Play(kQwen, "<think>\n\n</think>\n\n", "off", "Yes").text, "Yes");
}

TEST(OutputReader, NothingIsForcedWithoutAThoughtOrALimit) {
  EXPECT_EQ(Play(kQwen, "assistant\n", "1", "abcdef").text, "abcdef");
  EXPECT_EQ(Play(kQwen, "<think>", "on", "abcdef").text, "abcdef");
  EXPECT_EQ(Play("", "assistant\n", "off", "abcdef").text, "abcdef");
}

TEST(OutputReader, Harmony) {
  const std::string harmony = "<|channel|>";
  const std::string prompt = "<|start|>assistant";
  const std::string thought = "<|channel|>analysis<|message|>";
  const std::string final = "<|channel|>final<|message|>";
  EXPECT_EQ(Play(harmony, prompt, "2", thought + "abYes").text,
            thought + "ab<|end|><|start|>assistant" + final + "Yes");
  const Played off = Play(harmony, prompt, "off", thought + "Yes");
  EXPECT_EQ(off.answer, "Yes");
  EXPECT_EQ(off.reasoning, "");
  const Played again =
      Play(harmony, prompt, "1", thought + "ab<|end|><|start|>assistant" + thought + "cd");
  EXPECT_EQ(again.reasoning, "a") << "a second thought is beyond the limit too: " << again.text;
  EXPECT_EQ(Play(harmony, prompt, "off", "{}", true).text, final + "{}");
}

TEST(OutputReader, AroundAHeldText) {
  EXPECT_EQ(Play(kQwen, "assistant\n", "on", "ab\n</think>{}", true).text,
            "<think>\nab\n</think>\n\n{}");
  EXPECT_EQ(Play(kQwen, "<think>\n", "on", "ab\n</think>{}", true).text, "ab\n</think>\n\n{}");
  EXPECT_EQ(Play(kQwen, "<think>\n", "1", "a{}", true).text, "a\n</think>\n\n{}");
  EXPECT_EQ(Play(kQwen, "<think>\n\n</think>\n\n", "on", "{}", true).text, "{}");
  EXPECT_EQ(Play(kQwen, "assistant\n", "off", "{}", true).text, "{}");
  EXPECT_EQ(Play("", "assistant\n", "on", "{}", true).text, "{}");
  const Played inside = Play(kQwen, "<think>\n", "1", "a{\"</think>\"}", true);
  EXPECT_EQ(inside.answer, "{\"</think>\"}") << "the text's own bytes stay";
}

TEST(OutputReader, ControlTokensAreSilentButMarkersAreSeen) {
  const auto tokenizer = MakeTokenizer();
  OutputReader reader(tokenizer.get(), DetectOutputStyle(kQwen, nullptr), {}, "", ThinkMode());
  std::vector<OutputDelta> deltas;
  for (const char* token : {"<|im_end|>", "<tool_call>"}) {
    reader.Push(*tokenizer->FindToken(token), &deltas);
  }
  reader.Finish(&deltas);
  ASSERT_EQ(deltas.size(), 1u);
  EXPECT_EQ(deltas[0].text, "<tool_call>") << "no tools: it is text";
}

TEST(Think, Words) {
  EXPECT_FALSE(ParseThink("off")->on);
  EXPECT_EQ(ParseThink("off")->most_tokens(), 0);
  EXPECT_TRUE(ParseThink("on")->on);
  EXPECT_EQ(ParseThink("on")->most_tokens(), std::nullopt);
  EXPECT_TRUE(ParseThink("")->on);
  EXPECT_FALSE(ParseThink("0")->on);
  EXPECT_EQ(ParseThink("256")->most_tokens(), 256);
  EXPECT_EQ(DescribeThink(*ParseThink("256")), "at most 256 tokens");
  for (const char* wrong : {"-1", "yes", "1x", "99999999999999999999"}) {
    EXPECT_FALSE(ParseThink(wrong).ok()) << wrong;
  }
}

}  // namespace
}  // namespace larder
