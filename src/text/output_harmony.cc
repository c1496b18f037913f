// gpt-oss's harmony: an answer is a row of messages, each with a channel.
//
//   <|channel|>analysis<|message|>...<|end|>                      a thought
//   <|start|>assistant<|channel|>final<|message|>...<|return|>    the text; commentary without a
//                                                                 recipient is text too
//   <|start|>assistant to=functions.f<|channel|>commentary json<|message|>{...}<|call|>
//
// The recipient stands before or behind the channel. Where no header is open when the answer
// begins (a prompt of another make), what comes first is text.
#include <utility>

#include "text/json_scan.h"
#include "text/message_json.h"
#include "text/output_stream.h"

namespace larder {

namespace {

constexpr std::string_view kStart = "<|start|>";
constexpr std::string_view kChannel = "<|channel|>";
constexpr std::string_view kMessage = "<|message|>";
constexpr std::string_view kEnd = "<|end|>";
constexpr std::string_view kReturn = "<|return|>";
constexpr std::string_view kCall = "<|call|>";

// A header longer than this is none.
constexpr std::size_t kMaxHeaderBytes = 512;

// The word behind `key` in a header, up to a blank or a marker.
std::string WordBehind(std::string_view header, std::string_view key) {
  const std::size_t found = header.find(key);
  if (found == std::string_view::npos) return "";
  const std::string_view word = header.substr(found + key.size());
  return std::string(word.substr(0, word.find_first_of(" \t\r\n<")));
}

class HarmonyParser final : public OutputStream {
 public:
  HarmonyParser(bool calls, bool in_header, bool in_thought)
      : OutputStream(Thought::kNone),
        calls_(calls),
        state_(in_header    ? State::kHeader
               : in_thought ? State::kReasoning
                            : State::kText) {}

  bool in_reasoning() const override { return state_ == State::kReasoning; }

 protected:
  bool Step(bool at_end) override {
    switch (state_) {
      case State::kHeader:
        return StepHeader(at_end);
      case State::kText:
      case State::kReasoning:
      case State::kDropped:
        return StepContent(at_end);
      case State::kArguments:
        return StepArguments();
      case State::kBetween:
        return StepBetween(at_end);
    }
    return false;
  }

  void End() override {
    if (state_ == State::kReasoning) DropLineBreaks();
    if (call_open()) FailCall("the call of " + name_ + " was not finished");
  }

 private:
  enum class State {
    kHeader,  // up to <|message|>
    kText,
    kReasoning,
    kArguments,
    kDropped,  // what is left of a call
    kBetween,  // behind a message
  };

  bool StepHeader(bool at_end) {
    // Decided by the first bytes alone, so that it does not depend on how the answer was cut.
    if (!after_start_ && !MayBeHeader(at_end)) {
      state_ = State::kText;
      return true;
    }
    const std::size_t end = rest().find(kMessage);
    if (end == std::string_view::npos && rest().size() <= kMaxHeaderBytes + kMessage.size()) {
      if (!at_end) return false;
      Skip(rest().size());
      state_ = State::kText;
      return false;
    }
    if (end == std::string_view::npos || end > kMaxHeaderBytes) {
      state_ = State::kText;
      return true;
    }
    Open(rest().substr(0, end));
    Skip(end + kMessage.size());
    return true;
  }

  // Every header names a channel; text that has none is an answer without headers.
  bool MayBeHeader(bool at_end) const {
    const std::string_view tail = rest().substr(CountBlanks(rest()));
    return tail.empty() || BeginsWith(tail, kChannel, at_end) != Begins::kNo ||
           BeginsWith(tail, "to=", at_end) != Begins::kNo ||
           BeginsWith(tail, "assistant", at_end) != Begins::kNo;
  }

  void Open(std::string_view header) {
    const std::string channel = WordBehind(header, kChannel);
    std::string tool = WordBehind(header, "to=");
    constexpr std::string_view kFunctions = "functions.";
    if (tool.substr(0, kFunctions.size()) == kFunctions) tool.erase(0, kFunctions.size());
    DropLineBreaks();
    if (calls_ && !tool.empty() && tool != "assistant" && tool != "user" && tool != "all") {
      name_ = tool;
      BeginCall(name_);
      scanner_.Reset();
      state_ = State::kArguments;
    } else {
      state_ = channel == "analysis" ? State::kReasoning : State::kText;
    }
  }

  bool StepContent(bool at_end) {
    const MarkerMatch match = FindMarker(rest(), {kEnd, kReturn, kCall, kStart, kChannel}, at_end);
    const std::string_view content = rest().substr(0, match.position);
    if (state_ == State::kText) PutText(content);
    if (state_ == State::kReasoning) PutReasoning(content);
    Skip(match.position);
    if (match.marker < 0) return false;
    if (match.marker == 0) Skip(kEnd.size());
    if (match.marker == 1) Skip(kReturn.size());
    if (match.marker == 2) Skip(kCall.size());
    state_ = State::kBetween;
    return true;
  }

  bool StepBetween(bool at_end) {
    const std::size_t n_blanks = CountBlanks(rest());
    const std::string_view tail = rest().substr(n_blanks);
    if (tail.empty()) {
      if (at_end) Skip(n_blanks);
      return false;
    }
    const Begins start = BeginsWith(tail, kStart, at_end);
    const Begins channel = BeginsWith(tail, kChannel, at_end);
    if (start == Begins::kUnknown || channel == Begins::kUnknown) return false;
    Skip(n_blanks + (start == Begins::kYes ? kStart.size() : 0));
    DropLineBreaks();
    after_start_ = start == Begins::kYes;
    state_ = start == Begins::kYes || channel == Begins::kYes ? State::kHeader : State::kText;
    return true;
  }

  bool StepArguments() {
    std::string piece;
    std::size_t n_read = 0;
    JsonScanner::State fed = JsonScanner::State::kMore;
    for (const char c : rest()) {
      const bool was_in_string = scanner_.in_string();
      if (was_in_string) AppendJsonByte(scanner_, c, &piece);
      fed = scanner_.Feed(c);
      if (fed == JsonScanner::State::kBad || fed == JsonScanner::State::kDoneBefore) break;
      if (!was_in_string && scanner_.started()) piece += c;
      ++n_read;
      if (fed == JsonScanner::State::kDone) break;
    }
    Skip(n_read);
    PutArguments(piece);
    if (fed == JsonScanner::State::kMore) return false;
    if (fed == JsonScanner::State::kDone) {
      EndCall();
    } else {
      FailCall("the call of " + name_ + " has arguments that are no JSON object");
    }
    state_ = State::kDropped;
    return true;
  }

  bool calls_;
  State state_;
  bool after_start_ = false;  // <|start|> has come: a header, whatever it says
  JsonScanner scanner_;
  std::string name_;
};

bool EndsWith(std::string_view text, std::string_view end) {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

}  // namespace

std::unique_ptr<OutputStream> MakeHarmonyParser(bool calls, std::string_view prompt) {
  const std::size_t start = prompt.rfind(kStart);
  const bool in_header =
      start == std::string_view::npos || prompt.find(kMessage, start) == std::string_view::npos;
  const bool in_thought = EndsWith(prompt, "<|channel|>analysis<|message|>");
  return std::make_unique<HarmonyParser>(calls, in_header, in_thought);
}

}  // namespace larder
