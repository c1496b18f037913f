// Stop texts and pieces, however the tokens cut them.
#include "server/answer_reader.h"

#include <gtest/gtest.h>

#include <map>

#include "text/vocabulary_testing.h"

namespace larder {
namespace {

TEST(StopFinder, FindsTheFirstWhereverItIsCut) {
  const std::string text = "abcabdabx";
  for (std::size_t n = 1; n <= text.size(); ++n) {
    StopFinder finder({"abd", "bx", "zzz"});
    std::string out;
    for (std::size_t at = 0; at < text.size(); at += n) out += finder.Push(text.substr(at, n));
    EXPECT_TRUE(finder.found()) << n;
    EXPECT_EQ(finder.which(), "abd");
    EXPECT_EQ(out, "abc");
    EXPECT_EQ(finder.Push("more"), "");
    EXPECT_EQ(finder.Flush(), "");
  }
}

TEST(StopFinder, HoldsBackNoMoreThanItMust) {
  StopFinder finder({"</end>"});
  EXPECT_EQ(finder.Push("a<"), "a");
  EXPECT_EQ(finder.Push("b"), "<b");
  EXPECT_EQ(finder.Push("</en"), "");
  EXPECT_EQ(finder.Push("<"), "</en");
  EXPECT_EQ(finder.Flush(), "<");
  EXPECT_FALSE(finder.found());
  StopFinder none({});
  EXPECT_EQ(none.Push("all"), "all");
  StopFinder again({"aab"});
  EXPECT_EQ(again.Push("aa"), "");
  EXPECT_EQ(again.Push("a"), "a");
  EXPECT_EQ(again.Push("b"), "");
  EXPECT_TRUE(again.found());
}

class Reader {
 public:
  explicit Reader(AnswerReaderOptions options)
      : metadata_(SmallVocabulary("gpt-2", {}, {"<think>", "</think>"},
                                  {"<|im_end|>", "<tool_call>", "</tool_call>"})),
        tokenizer_(*Tokenizer::FromMetadata(metadata_)),
        reader_(*tokenizer_, std::move(options)) {}

  // Feeds text a byte a token; says how many tokens were taken.
  int Feed(const std::string& text) {
    int n = 0;
    const auto tokens = tokenizer_->Encode(text, {.parse_special = true});
    for (const std::int32_t token : *tokens) {
      ++n;
      if (!reader_.OnToken(token, nullptr, &pieces_)) break;
    }
    return n;
  }
  ChoiceEnd Finish(StopCause cause = StopCause::kEnd) { return reader_.Finish(cause, &pieces_); }
  Message message() const {
    MessageBuilder builder;
    for (const AnswerPiece& piece : pieces_) builder.Add(piece.delta);
    return builder.Build();
  }
  const std::vector<AnswerPiece>& pieces() const { return pieces_; }

 private:
  Metadata metadata_;
  std::unique_ptr<Tokenizer> tokenizer_;
  AnswerReader reader_;
  std::vector<AnswerPiece> pieces_;
};

AnswerReaderOptions Chat(std::vector<std::string> stops = {}) {
  AnswerReaderOptions options;
  options.style.calls = CallFormat::kQwenXml;
  options.style.reasons = true;
  options.tools = {MakeTool("f", "", R"({"type": "object"})")};
  options.stops = std::move(stops);
  return options;
}

constexpr const char* kCall =
    "<tool_call>\n<function=f>\n<parameter=x>\ny\n</parameter>\n</function>\n</tool_call>";

TEST(AnswerReader, StopTextsAreLookedForInWordsOnly) {
  Reader reader(Chat({"stop"}));
  reader.Feed("<think>stop\n</think>\n\nwords stopped");
  EXPECT_EQ(reader.Finish().cause, StopCause::kStopText);
  EXPECT_EQ(reader.message().reasoning, "stop");
  EXPECT_EQ(reader.message().text, "words ");
}

TEST(AnswerReader, CallsDecideHowItEnded) {
  Reader reader(Chat({"never"}));
  reader.Feed(std::string("nev") + kCall);
  EXPECT_EQ(reader.Finish().cause, StopCause::kToolCalls);
  EXPECT_EQ(reader.message().text, "nev");  // what was held back comes before the call
  EXPECT_EQ(reader.message().tool_calls.size(), 1u);
  Reader cut(Chat());
  cut.Feed(std::string(kCall) + "<tool_call>\n<function=f>\n<para");
  EXPECT_EQ(cut.Finish(StopCause::kLength).cause, StopCause::kLength);
  EXPECT_EQ(cut.message().tool_calls.size(), 1u);
}

// Nobody should run the calls of an answer in which one is broken because its reason says so.
TEST(AnswerReader, ABrokenCallIsNoReasonToCall) {
  Reader reader(Chat());
  reader.Feed(std::string(kCall) + "<tool_call>\n<function=f>\nwords</function>\n</tool_call>");
  EXPECT_EQ(reader.Finish().cause, StopCause::kEnd);
  EXPECT_EQ(reader.message().tool_calls.size(), 1u);
}

TEST(AnswerReader, OneCallOnlyWhereAskedFor) {
  AnswerReaderOptions options = Chat();
  options.parallel_calls = false;
  Reader reader(std::move(options));
  reader.Feed(std::string(kCall) + kCall);
  EXPECT_EQ(reader.Finish().cause, StopCause::kToolCalls);
  EXPECT_EQ(reader.message().tool_calls.size(), 1u);
}

TEST(AnswerReader, PlainTextIsLeftAlone) {
  AnswerReaderOptions options = Chat();
  options.is_chat = false;
  Reader reader(std::move(options));
  reader.Feed("<think>\xc3\xa9\xff");
  reader.Finish();
  std::string text;
  for (const AnswerPiece& piece : reader.pieces()) {
    EXPECT_NE(piece.delta.text, "\xc3");
    text += piece.delta.text;
  }
  EXPECT_EQ(text, "<think>\xc3\xa9\xef\xbf\xbd");
}

TEST(AnswerReader, DetailsComeOnceEach) {
  AnswerReaderOptions options = Chat({"zz"});
  options.details = true;
  const Metadata metadata = SmallVocabulary("gpt-2", {});
  const auto tokenizer = *Tokenizer::FromMetadata(metadata);
  AnswerReader reader(*tokenizer, std::move(options));
  std::vector<AnswerPiece> pieces;
  Logprobs logprobs;
  logprobs.chosen = -1;
  for (const char c : std::string("azb\xc3")) {
    reader.OnToken(static_cast<unsigned char>(c), &logprobs, &pieces);
  }
  const ChoiceEnd end = reader.Finish(StopCause::kEnd, &pieces);
  std::string bytes;
  for (const AnswerPiece& piece : pieces) {
    for (const TokenDetail& token : piece.tokens) bytes += token.bytes;
  }
  for (const TokenDetail& token : end.tokens) bytes += token.bytes;
  EXPECT_EQ(bytes, "azb\xc3");
}

TEST(AnswerReader, TokensOfAStopTextAreNotShown) {
  const Metadata metadata = SmallVocabulary("gpt-2", {});
  const auto tokenizer = *Tokenizer::FromMetadata(metadata);
  for (const auto& [stop, shown] :
       std::map<std::string, std::string>{{"cd", "ab"}, {"ab", ""}, {"bc", "a"}, {"x", "abcd"}}) {
    AnswerReaderOptions options = Chat({stop});
    options.details = true;
    AnswerReader reader(*tokenizer, std::move(options));
    std::vector<AnswerPiece> pieces;
    const Logprobs logprobs;
    for (const char c : std::string("abcd")) {
      if (!reader.OnToken(static_cast<unsigned char>(c), &logprobs, &pieces)) break;
    }
    const ChoiceEnd end = reader.Finish(StopCause::kEnd, &pieces);
    std::string bytes;
    for (const AnswerPiece& piece : pieces) {
      for (const TokenDetail& token : piece.tokens) bytes += token.bytes;
    }
    for (const TokenDetail& token : end.tokens) bytes += token.bytes;
    EXPECT_EQ(bytes, shown) << stop;
  }
}

// Each byte that is no UTF-8 is one U+FFFD, as a stream and whole.
TEST(AnswerReader, BrokenCharactersAreTheSameEitherWay) {
  Reader reader(Chat());
  reader.Feed("a\xe2\x82z\xff\xff");
  reader.Finish();
  std::string streamed;
  for (const AnswerPiece& piece : reader.pieces()) {
    streamed += OrderedJson::parse(JsonText(piece.delta.text)).get<std::string>();
  }
  EXPECT_EQ(streamed, "a\xef\xbf\xbd\xef\xbf\xbdz\xef\xbf\xbd\xef\xbf\xbd");
  EXPECT_EQ(reader.message().text, streamed);
}

}  // namespace
}  // namespace larder
