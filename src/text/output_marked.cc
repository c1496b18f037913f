// Calls between a model's own marker tokens, name first, then the arguments as JSON: DeepSeek
// (V3.1, and V3 and R1, which write "function", the name and a fenced block) and Kimi K2.
#include <utility>

#include "text/json_scan.h"
#include "text/message_json.h"
#include "text/output_stream.h"

namespace larder {

namespace {

struct MarkedStyle {
  std::string_view section_begin, section_end;
  std::string_view call_begin, name_end, call_end;
  bool numbers_calls;  // "functions.NAME:3" instead of the name alone
};

constexpr MarkedStyle kDeepseek = {"<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>",
                                   "<｜tool▁call▁begin｜>",  "<｜tool▁sep｜>",
                                   "<｜tool▁call▁end｜>",    false};
constexpr MarkedStyle kKimi = {
    "<|tool_calls_section_begin|>", "<|tool_calls_section_end|>", "<|tool_call_begin|>",
    "<|tool_call_argument_begin|>", "<|tool_call_end|>",          true};

constexpr std::size_t kMaxNameBytes = 256;
constexpr std::size_t kMaxBlanks = 256;

std::string_view Trimmed(std::string_view text) {
  text.remove_prefix(CountBlanks(text));
  return text.substr(0, text.find_last_not_of(" \t\r\n") + 1);
}

// "functions.get:12" -> "get".
std::string_view WithoutNumber(std::string_view name) {
  constexpr std::string_view kPrefix = "functions.";
  if (name.substr(0, kPrefix.size()) == kPrefix) name.remove_prefix(kPrefix.size());
  const std::size_t colon = name.rfind(':');
  const bool numbered = colon != std::string_view::npos && colon + 1 < name.size() &&
                        name.find_first_not_of("0123456789", colon + 1) == std::string_view::npos;
  return numbered ? name.substr(0, colon) : name;
}

class MarkedJsonParser final : public OutputStream {
 public:
  MarkedJsonParser(const MarkedStyle& style, Thought thought)
      : OutputStream(thought), style_(style) {}

 protected:
  bool Step(bool at_end) override {
    switch (state_) {
      case State::kText:
        return StepText(at_end);
      case State::kSection:
        return StepSection(at_end);
      case State::kName:
        return StepName(at_end);
      case State::kFencedName:
        return StepFencedName(at_end);
      case State::kBeforeArguments:
        return StepBeforeArguments(at_end);
      case State::kArguments:
        return StepArguments();
      case State::kAfterArguments:
        return StepAfterArguments(at_end);
    }
    return false;
  }

  void End() override {
    if (call_open()) FailCall("the call of " + name_ + " was not finished");
  }

 private:
  enum class State {
    kText,
    kSection,
    kName,
    kFencedName,  // DeepSeek V3: the name behind "function" and the separator
    kBeforeArguments,
    kArguments,
    kAfterArguments,  // up to the call's end, whatever stands there
  };

  bool StepText(bool at_end) {
    const std::string_view stray = has_calls_ ? style_.section_end : std::string_view();
    const MarkerMatch match =
        FindMarker(rest(), {style_.section_begin, style_.call_begin, stray}, at_end);
    PutText(rest().substr(0, match.position));
    Skip(match.position);
    if (match.marker < 0) return false;
    if (match.marker == 2) {
      Skip(style_.section_end.size());
      DropLineBreaks();
      return true;
    }
    frame_.clear();
    if (match.marker == 0) Take(style_.section_begin.size());
    state_ = State::kSection;
    return true;
  }

  void Take(std::size_t n_bytes) {
    frame_ += rest().substr(0, n_bytes);
    Skip(n_bytes);
  }

  bool NoFrame() {
    state_ = State::kText;
    PutText(std::exchange(frame_, ""));
    return true;
  }

  bool StepSection(bool at_end) {
    const std::size_t n_blanks = CountBlanks(rest());
    if (n_blanks > kMaxBlanks) return NoFrame();
    const std::string_view tail = rest().substr(n_blanks);
    const Begins call = BeginsWith(tail, style_.call_begin, at_end);
    if (call == Begins::kUnknown) return false;
    if (call == Begins::kNo) return frame_.empty() ? Leave() : NoFrame();
    Take(n_blanks + style_.call_begin.size());
    state_ = State::kName;
    return true;
  }

  // Behind a call, where no other follows.
  bool Leave() {
    DropLineBreaks();
    state_ = State::kText;
    return true;
  }

  bool StepName(bool at_end) {
    const MarkerMatch match = FindMarker(rest(), {style_.name_end, style_.call_end}, at_end);
    // What may be the beginning of a marker does not count as name.
    if (match.marker < 0 && match.position <= kMaxNameBytes) {
      if (!at_end) return false;
      return NoFrame();
    }
    std::string_view name = Trimmed(rest().substr(0, match.position));
    if (style_.numbers_calls) name = WithoutNumber(name);
    if (match.marker != 0 || match.position > kMaxNameBytes || name.empty()) return NoFrame();
    const bool fenced = !style_.numbers_calls && name == "function";
    const std::string whole(name);
    Take(match.position + style_.name_end.size());
    if (fenced) {
      state_ = State::kFencedName;
    } else {
      Begin(whole);
    }
    return true;
  }

  // "function<sep>" is followed by the arguments where a tool has that very name.
  bool StepFencedName(bool at_end) {
    const std::size_t n_blanks = CountBlanks(rest());
    const std::string_view tail = rest().substr(n_blanks);
    if (tail.empty() && !at_end && n_blanks <= kMaxBlanks) return false;
    if (!tail.empty() && tail[0] == '{') {
      Begin("function");
      return true;
    }
    const std::size_t end = tail.find('\n');
    if (end == std::string_view::npos && tail.size() <= kMaxNameBytes && !at_end) return false;
    const std::string name(Trimmed(tail.substr(0, end)));
    if (end == std::string_view::npos || end > kMaxNameBytes || name.empty()) return NoFrame();
    Skip(n_blanks + end + 1);
    Begin(name);
    return true;
  }

  void Begin(std::string name) {
    name_ = std::move(name);
    has_calls_ = true;
    frame_.clear();
    BeginCall(name_);
    scanner_.Reset();
    state_ = State::kBeforeArguments;
  }

  bool StepBeforeArguments(bool at_end) {
    constexpr std::string_view kFence = "```json";
    const std::size_t n_blanks = CountBlanks(rest());
    Skip(n_blanks);
    if (rest().empty()) return false;
    const Begins fence = BeginsWith(rest(), kFence, at_end);
    if (fence == Begins::kUnknown) return false;
    if (fence == Begins::kYes) Skip(kFence.size());
    state_ = State::kArguments;
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
    if (scanner_.is_text()) {
      text_ += piece;  // the object as a text: given out whole
    } else {
      PutArguments(piece);
    }
    if (fed == JsonScanner::State::kMore) return false;
    if (fed == JsonScanner::State::kDone) {
      const Result<OrderedJson> text = ParseJson(std::exchange(text_, ""), "arguments");
      if (text.ok() && text->is_string()) PutArguments(text->get<std::string>());
      EndCall();
    } else {
      FailCall("the call of " + name_ + " has arguments that are no JSON object");
    }
    state_ = State::kAfterArguments;
    return true;
  }

  bool StepAfterArguments(bool at_end) {
    const MarkerMatch match =
        FindMarker(rest(), {style_.call_end, style_.section_end, style_.call_begin}, at_end);
    Skip(match.position);
    if (match.marker < 0) return false;
    if (match.marker == 0) Skip(style_.call_end.size());
    DropLineBreaks();
    state_ = State::kSection;
    return true;
  }

  const MarkedStyle& style_;
  State state_ = State::kText;
  JsonScanner scanner_;
  std::string frame_;  // until a call has begun: text, should none begin
  std::string name_;
  std::string text_;  // arguments that come as a text
  bool has_calls_ = false;
};

}  // namespace

std::unique_ptr<OutputStream> MakeMarkedJsonParser(CallFormat format,
                                                   OutputStream::Thought thought) {
  return std::make_unique<MarkedJsonParser>(format == CallFormat::kKimi ? kKimi : kDeepseek,
                                            thought);
}

}  // namespace larder
