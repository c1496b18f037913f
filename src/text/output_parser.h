// A model's answer, as it arrives, taken apart into text, reasoning and tool calls. A parser reads
// one answer, on one thread; the text may be cut anywhere, even inside a character. How calls and
// thoughts look is the model's own; each format is a file (output_*.cc).
//
// What holds for all formats:
// - Nothing of a call's or a thought's frame comes out as text, and what may be the beginning of a
//   frame is held back until it is known. All else comes out at once.
// - A frame that breaks before the tool's name is known is text, byte for byte (nothing, where an
//   answer can be no text). One that breaks later ends with kCallFailed and a sentence; the rest of
//   its frame is dropped.
// - Arguments of a call that ended with kCallEnd, joined, are a valid JSON object.
// - A thought is recognised at the beginning of an answer only; inside one, nothing is a call.
// - Line breaks between a thought, text and calls belong to the frame.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/message.h"
#include "text/tokenizer.h"

namespace larder {

struct OutputDelta {
  enum class Kind {
    kText,
    kReasoning,
    kCallBegin,      // text: the tool's name
    kCallArguments,  // text: the next piece of the arguments' JSON
    kCallEnd,
    kCallFailed,  // text: what was wrong, a sentence
  };
  Kind kind = Kind::kText;
  std::string text;
  int call = 0;  // which call of this answer, from 0; of the last four kinds
};

class OutputParser {
 public:
  virtual ~OutputParser() = default;

  /// Appends to `deltas` what is certain now. Pieces of one kind that follow each other are joined.
  virtual void Feed(std::string_view text, std::vector<OutputDelta>* deltas) = 0;

  /// The answer is over: what was held back comes out; a call that is not whole fails. Once.
  virtual void Finish(std::vector<OutputDelta>* deltas) = 0;

  /// True inside a thought: what arrives next is reasoning unless it ends it.
  virtual bool in_reasoning() const = 0;
};

enum class CallFormat {
  kNone,        // calls look like nothing Larder knows: all is text
  kQwenXml,     // <tool_call><function=f><parameter=k>v</parameter></function></tool_call>
  kHermesJson,  // <tool_call>{"name": "f", "arguments": {...}}</tool_call>
  kDeepseek,  // <｜tool▁call▁begin｜>f<｜tool▁sep｜>{...}<｜tool▁call▁end｜>, V3 and R1 too
  kDeepseekDsml,  // <｜DSML｜invoke name="f"><｜DSML｜parameter name="k" string="true">v..., V3.2
  kKimi,          // <|tool_call_begin|>functions.f:0<|tool_call_argument_begin|>{...}
  kMiniMax,       // <minimax:tool_call><invoke name="f"><parameter name="k">v</parameter>
  kHarmony,       // gpt-oss: <|channel|>commentary to=functions.f<|message|>{...}<|call|>
};

const char* CallFormatName(CallFormat format);

/// What a model's output looks like.
struct OutputStyle {
  CallFormat calls = CallFormat::kNone;
  bool reasons = false;  // thoughts between <think> and </think>, or harmony's analysis channel
  /// Ends a thought that is cut short, in the model's own way: "\n</think>\n\n".
  std::string end_of_thought;

  /// True for a token that ends generation elsewhere, but only a part of the answer here: harmony's
  /// <|end|>. Its text is fed to the parser like any other.
  bool GoesOnAfter(std::string_view token) const;
  /// True for tokens that formats are made of: control tokens in some vocabularies, but a parser
  /// has to see them.
  bool IsMarker(std::string_view token) const;
};

/// From the markers in a chat template; where it has none (or is empty), from the vocabulary's.
/// `tokenizer` may be null.
OutputStyle DetectOutputStyle(std::string_view chat_template, const Tokenizer* tokenizer);

/// What a grammar lets an answer be.
enum class OutputForm {
  kFree,         // text, calls, or both
  kCalls,        // calls only: of one that breaks before the tool's name is known, nothing is shown
  kCallsOrText,  // calls only, or one JSON text, in which nothing is a call: its beginning decides
};

/// `prompt`: the rendered prompt, whose end says whether a thought is open already. Calls are
/// looked for only where `tools` is not empty; their schemas say which parameters are texts. A call
/// of a tool that is not among them is a call too: the caller answers it.
std::unique_ptr<OutputParser> MakeOutputParser(const OutputStyle& style,
                                               const std::vector<ToolDefinition>& tools,
                                               std::string_view prompt,
                                               OutputForm form = OutputForm::kFree);

/// Puts deltas together to the message they make. One thread.
class MessageBuilder {
 public:
  void Add(const OutputDelta& delta);

  /// The message so far. A text or reasoning that was never begun is absent; calls are those that
  /// ended well, with ids call_1, call_2, ... counted on from `first_id`. Bytes that are not UTF-8
  /// (an answer may be cut inside a character) become U+FFFD, so that templates and JSON take it.
  Message Build(int first_id = 1) const { return BuildFrom(first_id, false); }
  /// The same with the calls that did not end well in their places, as far as they came: their
  /// arguments are no JSON object.
  Message BuildWithBrokenCalls() const { return BuildFrom(1, true); }

  /// The sentences of calls that failed.
  const std::vector<std::string>& failures() const { return failures_; }

 private:
  struct Call {
    ToolCall call;
    bool ended = false;
  };
  Message BuildFrom(int first_id, bool broken_calls) const;

  std::string text_;
  std::string reasoning_;
  std::vector<Call> calls_;
  std::vector<std::string> failures_;
};

}  // namespace larder
