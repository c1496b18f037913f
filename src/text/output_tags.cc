// Calls whose parameters stand between tags as bare text: Qwen3-Coder and Qwen3.5 (Qwen XML),
// DeepSeek V3.2 (DSML) and MiniMax M2. The three differ in their tags only, which are a table here.
//
// A value may contain anything, its own closing tag too: it ends at a closing tag that is followed
// by the next parameter or the end of the call. Values are not escaped, so a value that spells
// that very sequence cannot be told from the end; the models' own templates have the same limit.
#include <array>
#include <set>
#include <utility>

#include "text/message_json.h"
#include "text/output_stream.h"
#include "text/tool_schema.h"

namespace larder {

namespace {

struct TagStyle {
  std::string_view section_begin, section_end;
  std::string_view call_begin, call_end;
  std::string_view parameter_begin, parameter_end;
  bool quotes_names;   // name="f">: heads are attributes; else the head is the name
  bool frames_values;  // one line break after a parameter's head and one before its end are frame
  bool bare_calls;     // models forget section_begin: call_begin and a known name will do
};

constexpr TagStyle kQwen = {"<tool_call>", "</tool_call>", "<function=",
                            "</function>", "<parameter=",  "</parameter>",
                            false,         true,           true};
constexpr TagStyle kDsml = {"<｜DSML｜function_calls>",
                            "</｜DSML｜function_calls>",
                            "<｜DSML｜invoke name=\"",
                            "</｜DSML｜invoke>",
                            "<｜DSML｜parameter name=\"",
                            "</｜DSML｜parameter>",
                            true,
                            false,
                            false};
constexpr TagStyle kMiniMax = {"<minimax:tool_call>",
                               "</minimax:tool_call>",
                               "<invoke name=\"",
                               "</invoke>",
                               "<parameter name=\"",
                               "</parameter>",
                               true,
                               false,
                               false};

// Names longer than this, or with a line break, are no names.
constexpr std::size_t kMaxHeadBytes = 256;
// White space between tags beyond this is no frame any more; it also bounds what is held back.
constexpr std::size_t kMaxBlanks = 256;

// The inside of a JSON string, byte by byte: a character may come in pieces.
std::string Escaped(std::string_view text) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += {'\\', c};
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (byte < 0x20) {
      out += {'\\', 'u', '0', '0', kHex[byte >> 4], kHex[byte & 15]};
    } else {
      out += c;
    }
  }
  return out;
}

class TagParser final : public OutputStream {
 public:
  TagParser(const TagStyle& style, Thought thought, const std::vector<ToolDefinition>& tools)
      : OutputStream(thought), style_(style), schemas_(tools) {}

 protected:
  bool Step(bool at_end) override {
    switch (state_) {
      case State::kText:
        return StepText(at_end);
      case State::kSection:
        return StepSection(at_end);
      case State::kCallHead:
        return StepCallHead(at_end);
      case State::kCall:
        return StepCall(at_end);
      case State::kParameterHead:
        return StepParameterHead(at_end);
      case State::kValueStart:
        return StepValueStart(at_end);
      case State::kValue:
        return StepValue(at_end);
      case State::kBroken:
        return StepBroken(at_end);
    }
    return false;
  }

  void End() override {
    if (state_ == State::kBroken || !call_open()) return;
    FailCall("the call of " + tool_ + " was not finished");
  }

 private:
  enum class State {
    kText,
    kSection,   // inside a section, outside a call
    kCallHead,  // the name
    kCall,      // inside a call, outside a parameter
    kParameterHead,
    kValueStart,
    kValue,
    kBroken,  // up to the section's end
  };

  bool StepText(bool at_end) {
    const std::string_view bare = style_.bare_calls ? style_.call_begin : std::string_view();
    const std::string_view stray = end_missing_ ? style_.section_end : std::string_view();
    const MarkerMatch match = FindMarker(rest(), {style_.section_begin, bare, stray}, at_end);
    PutText(rest().substr(0, match.position));
    Skip(match.position);
    if (match.marker < 0) return false;
    if (match.marker == 1) return StepBareCall(at_end);
    end_missing_ = false;
    if (match.marker == 2) {
      Skip(style_.section_end.size());
      DropLineBreaks();
      return true;
    }
    frame_ = style_.section_begin;
    Skip(style_.section_begin.size());
    n_section_calls_ = 0;
    state_ = State::kSection;
    return true;
  }

  // "<function=name>" without a section around it.
  bool StepBareCall(bool at_end) {
    const std::string_view head = rest().substr(style_.call_begin.size());
    const std::size_t end = head.find('>');
    if (end == std::string_view::npos && head.size() <= kMaxHeadBytes && !at_end) return false;
    if (end == std::string_view::npos || !schemas_.Has(head.substr(0, end))) {
      PutText(style_.call_begin);
      Skip(style_.call_begin.size());
      return true;
    }
    n_section_calls_ = 0;
    Begin(std::string(head.substr(0, end)));
    Skip(style_.call_begin.size() + end + 1);
    return true;
  }

  // What was taken for a frame is text after all.
  bool NoFrame() {
    state_ = State::kText;
    if (n_section_calls_ > 0) {
      end_missing_ = true;
      DropLineBreaks();
    } else {
      PutText(frame_);
    }
    frame_.clear();
    return true;
  }

  void Take(std::size_t n_bytes) {
    frame_ += rest().substr(0, n_bytes);
    Skip(n_bytes);
  }

  bool StepSection(bool at_end) {
    const std::size_t n_blanks = CountBlanks(rest());
    if (n_blanks > kMaxBlanks) return NoFrame();
    const std::string_view tail = rest().substr(n_blanks);
    const Begins call = BeginsWith(tail, style_.call_begin, at_end);
    const Begins end = BeginsWith(tail, style_.section_end, at_end);
    if (call == Begins::kYes) {
      Take(n_blanks + style_.call_begin.size());
      state_ = State::kCallHead;
      return true;
    }
    if (end == Begins::kYes && n_section_calls_ > 0) {
      Skip(n_blanks + style_.section_end.size());
      DropLineBreaks();
      state_ = State::kText;
      return true;
    }
    if (call == Begins::kUnknown || end == Begins::kUnknown) return false;
    if (n_section_calls_ > 0) Skip(n_blanks);
    return NoFrame();
  }

  // The name in a head: all of it, or what stands before the closing quote. Empty: none.
  std::string_view NameIn(std::string_view head) const {
    if (!style_.quotes_names) return head;
    const std::size_t quote = head.find('"');
    return quote == std::string_view::npos ? std::string_view() : head.substr(0, quote);
  }

  bool StepCallHead(bool at_end) {
    const std::size_t end = rest().find_first_of(">\n");
    if (end == std::string_view::npos && rest().size() <= kMaxHeadBytes) {
      if (!at_end) return false;
      Take(rest().size());
      return NoFrame();
    }
    const std::string_view name =
        end < kMaxHeadBytes && rest()[end] == '>' ? NameIn(rest().substr(0, end)) : "";
    if (name.empty()) return NoFrame();
    Begin(std::string(name));
    Skip(end + 1);
    return true;
  }

  void Begin(std::string tool) {
    tool_ = std::move(tool);
    ++n_section_calls_;
    names_.clear();
    frame_.clear();
    BeginCall(tool_);
    PutArguments("{");
    state_ = State::kCall;
  }

  void Break(const std::string& what) {
    FailCall("the call of " + tool_ + " is malformed: " + what);
    state_ = State::kBroken;
  }

  bool StepCall(bool at_end) {
    const std::size_t n_blanks = CountBlanks(rest());
    if (n_blanks > kMaxBlanks) {
      Break("white space without end");
      return true;
    }
    const std::string_view tail = rest().substr(n_blanks);
    const Begins parameter = BeginsWith(tail, style_.parameter_begin, at_end);
    const Begins end = BeginsWith(tail, style_.call_end, at_end);
    // A section's end ends its call too: models forget the other.
    const Begins section = BeginsWith(tail, style_.section_end, at_end);
    if (parameter == Begins::kYes) {
      Skip(n_blanks + style_.parameter_begin.size());
      state_ = State::kParameterHead;
    } else if (end == Begins::kYes || section == Begins::kYes) {
      Skip(n_blanks + (end == Begins::kYes ? style_.call_end.size() : 0));
      PutArguments("}");
      EndCall();
      state_ = State::kSection;
    } else if (parameter == Begins::kUnknown || end == Begins::kUnknown ||
               section == Begins::kUnknown) {
      return false;
    } else if (tail.empty()) {
      Skip(n_blanks);
      return false;
    } else {
      Break("neither a parameter nor its end follows");
    }
    return true;
  }

  bool StepParameterHead(bool at_end) {
    const std::size_t end = rest().find_first_of(">\n");
    if (end == std::string_view::npos && rest().size() <= kMaxHeadBytes && !at_end) return false;
    const bool whole = end < kMaxHeadBytes && rest()[end] == '>';
    const std::string_view head = whole ? rest().substr(0, end) : std::string_view();
    const std::string name(NameIn(head));
    if (name.empty() || !names_.insert(name).second) {
      if (at_end && !whole) {
        Skip(rest().size());
        return false;
      }
      Break(name.empty() ? "a parameter without a name" : "parameter " + name + " is there twice");
      return true;
    }
    types_ = schemas_.Types(tool_, name);
    if (head.find("string=\"true\"") != std::string_view::npos) {
      types_ = ValueTypes{.string = true};
    } else if (head.find("string=\"false\"") != std::string_view::npos) {
      types_ = ValueTypes{};
    }
    Skip(end + 1);
    PutArguments((names_.size() > 1 ? ",\"" : "\"") + Escaped(name) + "\":");
    if (types_.only_string()) PutArguments("\"");
    value_.clear();
    state_ = style_.frames_values ? State::kValueStart : State::kValue;
    return true;
  }

  bool StepValueStart(bool at_end) {
    if (rest().empty() && !at_end) return false;
    if (!rest().empty() && rest()[0] == '\n') {
      // "\n</parameter>" after the head: the one line break is both frames'.
      const Begins end = BeginsWith(rest().substr(1), style_.parameter_end, at_end);
      if (end == Begins::kUnknown) return false;
      if (end == Begins::kNo) Skip(1);
    }
    state_ = State::kValue;
    return true;
  }

  void PutValue(std::string_view text) {
    if (types_.only_string()) {
      PutArguments(Escaped(text));
    } else {
      value_ += text;
    }
  }

  bool StepValue(bool at_end) {
    const MarkerMatch match = FindMarker(rest(), {style_.parameter_end}, at_end);
    // The line break before a closing tag is the frame's.
    std::size_t n_value = match.position;
    if (style_.frames_values && n_value > 0 && rest()[n_value - 1] == '\n' &&
        (match.marker == 0 || !at_end)) {
      --n_value;
    }
    if (match.marker < 0) {
      PutValue(rest().substr(0, n_value));
      Skip(n_value);
      return false;
    }
    const std::size_t after = match.position + style_.parameter_end.size();
    const Begins ends = ValueEnds(rest().substr(after), at_end);
    if (ends == Begins::kUnknown) {
      PutValue(rest().substr(0, n_value));
      Skip(n_value);
      return false;
    }
    if (ends == Begins::kNo) {
      PutValue(rest().substr(0, after));
      Skip(after);
      return true;
    }
    PutValue(rest().substr(0, n_value));
    Skip(after);
    PutArguments(types_.only_string() ? "\"" : ValueToJson(value_, types_));
    state_ = State::kCall;
    return true;
  }

  // Whether what follows a closing tag makes it the value's end.
  Begins ValueEnds(std::string_view tail, bool at_end) const {
    const std::size_t n_blanks = CountBlanks(tail);
    if (n_blanks > kMaxBlanks) return Begins::kNo;
    tail.remove_prefix(n_blanks);
    if (tail.empty()) return at_end ? Begins::kYes : Begins::kUnknown;
    Begins best = Begins::kNo;
    for (const std::string_view next :
         {style_.parameter_begin, style_.call_end, style_.section_end}) {
      const Begins begins = BeginsWith(tail, next, at_end);
      if (begins == Begins::kYes) return Begins::kYes;
      if (begins == Begins::kUnknown) best = Begins::kUnknown;
    }
    return best;
  }

  bool StepBroken(bool at_end) {
    const MarkerMatch match = FindMarker(rest(), {style_.section_end}, at_end);
    Skip(match.position);
    if (match.marker < 0) return false;
    Skip(style_.section_end.size());
    DropLineBreaks();
    state_ = State::kText;
    return true;
  }

  const TagStyle& style_;
  ToolSchemas schemas_;
  State state_ = State::kText;
  std::string frame_;  // of a section until a call has begun: text, should none begin
  int n_section_calls_ = 0;
  bool end_missing_ = false;  // a section with calls went over into text without its end
  std::string tool_;
  std::set<std::string> names_;  // parameters of the call so far
  ValueTypes types_;
  std::string value_;  // of a parameter that is not only a text
};

}  // namespace

std::unique_ptr<OutputStream> MakeTagParser(CallFormat format, OutputStream::Thought thought,
                                            const std::vector<ToolDefinition>& tools) {
  const TagStyle& style = format == CallFormat::kDeepseekDsml ? kDsml
                          : format == CallFormat::kMiniMax    ? kMiniMax
                                                              : kQwen;
  return std::make_unique<TagParser>(style, thought, tools);
}

}  // namespace larder
