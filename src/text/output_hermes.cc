// Calls as a JSON object between <tool_call> and </tool_call>: Hermes, Qwen2.5, Qwen3 and many
// others. "name" and "arguments" come in either order, "parameters" counts as "arguments", which
// may be an object or its text. Other members are passed over.
#include <utility>

#include "text/json_scan.h"
#include "text/message_json.h"
#include "text/output_stream.h"

namespace larder {

namespace {

constexpr std::string_view kBegin = "<tool_call>";
constexpr std::string_view kEnd = "</tool_call>";

bool IsBlank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

class HermesParser final : public OutputStream {
 public:
  using OutputStream::OutputStream;

 protected:
  bool Step(bool at_end) override {
    if (state_ == State::kText) return StepText(at_end);
    if (state_ == State::kAfter || state_ == State::kBroken) return StepAfter(at_end);
    std::size_t n_read = 0;
    for (const char c : rest()) {
      if (state_ == State::kText || state_ == State::kAfter || state_ == State::kBroken) break;
      if (!begun_) frame_ += c;
      if (FeedByte(c)) ++n_read;
    }
    const bool further = n_read > 0 || state_ == State::kText || state_ == State::kBroken;
    Skip(n_read);
    PutArguments(std::exchange(fragment_, ""));
    if (state_ == State::kText) PutText(std::exchange(frame_, ""));
    if (at_end && rest().empty() && InObject()) return GiveUp();
    return further;
  }

 private:
  enum class State {
    kText,
    kObject,  // before {
    kKey,     // before a key, or }
    kInKey,
    kColon,
    kValue,
    kComma,   // before , or }
    kAfter,   // behind }
    kBroken,  // a call that failed: up to the end marker
  };

  bool InObject() const {
    return state_ != State::kText && state_ != State::kAfter && state_ != State::kBroken;
  }

  bool StepText(bool at_end) {
    const MarkerMatch match = FindMarker(rest(), {kBegin}, at_end);
    PutText(rest().substr(0, match.position));
    Skip(match.position);
    if (match.marker < 0) return false;
    Skip(kBegin.size());
    frame_ = kBegin;
    begun_ = has_name_ = has_arguments_ = false;
    name_.clear();
    buffered_.clear();
    state_ = State::kObject;
    return true;
  }

  // The answer ended inside the object.
  bool GiveUp() {
    if (!begun_) {
      PutText(std::exchange(frame_, ""));
      state_ = State::kText;
    } else {
      Fail("was not finished");
    }
    return false;
  }

  void Fail(const std::string& what) {
    PutArguments(std::exchange(fragment_, ""));
    FailCall("the call of " + name_ + " " + what);
    state_ = State::kBroken;
  }

  // The byte makes the object no call: text if no call has begun.
  bool Bad() {
    if (begun_) {
      Fail("is malformed JSON");
      return false;
    }
    // Left to the text, which may hold a marker from here on.
    frame_.pop_back();
    state_ = State::kText;
    return false;
  }

  // Consumes a byte, or says false and has changed the state.
  bool FeedByte(char c) {
    if (state_ == State::kInKey || state_ == State::kValue) return FeedValue(c);
    if (IsBlank(c)) return true;
    switch (state_) {
      case State::kObject:
        if (c != '{') return Bad();
        state_ = State::kKey;
        return true;
      case State::kKey:
        if (c == '}') return EndObject();
        if (c != '"') return Bad();
        key_.clear();
        scanner_.Reset();
        state_ = State::kInKey;
        return FeedValue(c);
      case State::kColon:
        if (c != ':') return Bad();
        value_.clear();
        scanner_.Reset();
        state_ = State::kValue;
        return true;
      default:
        if (c == '}') return EndObject();
        if (c != ',') return Bad();
        state_ = State::kKey;
        return true;
    }
  }

  bool IsArguments() const { return key_ == "arguments" || key_ == "parameters"; }

  bool FeedValue(char c) {
    const bool was_in_string = scanner_.in_string();
    std::string piece;
    if (was_in_string) AppendJsonByte(scanner_, c, &piece);
    const JsonScanner::State fed = scanner_.Feed(c);
    if (fed == JsonScanner::State::kBad) return Bad();
    if (!was_in_string && scanner_.started()) piece = c;
    if (fed == JsonScanner::State::kDoneBefore) {
      EndValue();
      return InObject() ? FeedByte(c) : false;
    }
    if (state_ == State::kInKey) {
      key_ += piece;
    } else if (IsArguments() && begun_ && scanner_.is_container() && !has_arguments_) {
      fragment_ += piece;
    } else {
      value_ += piece;
    }
    if (fed == JsonScanner::State::kDone) EndValue();
    return InObject() || state_ == State::kAfter;
  }

  void EndValue() {
    if (state_ == State::kInKey) {
      const Result<OrderedJson> key = ParseJson(key_, "a key");
      key_ = key.ok() && key->is_string() ? key->get<std::string>() : "";
      state_ = State::kColon;
      return;
    }
    state_ = State::kComma;
    if (key_ == "name" && !has_name_) {
      TakeName();
    } else if (IsArguments() && !has_arguments_) {
      TakeArguments();
    }
  }

  void TakeName() {
    const Result<OrderedJson> name = ParseJson(value_, "a name");
    if (!name.ok() || !name->is_string() || name->get<std::string>().empty()) return;
    name_ = name->get<std::string>();
    has_name_ = begun_ = true;
    frame_.clear();
    BeginCall(name_);
    PutArguments(std::exchange(buffered_, ""));
  }

  void TakeArguments() {
    has_arguments_ = true;
    if (!value_.empty()) {
      const Result<OrderedJson> text = ParseJson(value_, "arguments");
      const bool unwraps = text.ok() && text->is_string();
      buffered_ = unwraps ? text->get<std::string>() : value_;
      if (buffered_ == "null") buffered_.clear(), has_arguments_ = false;
    }
    if (begun_ && !buffered_.empty()) fragment_ += std::exchange(buffered_, "");
  }

  bool EndObject() {
    if (!has_name_) return Bad();
    if (!has_arguments_) fragment_ += "{}";
    PutArguments(std::exchange(fragment_, ""));
    EndCall();
    state_ = State::kAfter;
    return true;
  }

  // Behind an object: its end marker. Models write a bracket too many, or no marker at all.
  bool StepAfter(bool at_end) {
    if (state_ == State::kBroken) {
      const MarkerMatch match = FindMarker(rest(), {kEnd}, at_end);
      Skip(match.position);
      if (match.marker < 0) return false;
    }
    std::size_t n_blanks = 0;
    while (n_blanks < rest().size() && (IsBlank(rest()[n_blanks]) || rest()[n_blanks] == '}')) {
      ++n_blanks;
    }
    Skip(n_blanks);
    const Begins end = BeginsWith(rest(), kEnd, at_end);
    if (end == Begins::kUnknown) return n_blanks > 0;
    if (end == Begins::kYes) Skip(kEnd.size());
    DropLineBreaks();
    state_ = State::kText;
    return true;
  }

  State state_ = State::kText;
  JsonScanner scanner_;
  std::string frame_;  // all since the marker, until a call has begun: text, should none begin
  std::string key_;
  std::string value_;     // of a member that is not streamed
  std::string fragment_;  // arguments not yet given out
  std::string buffered_;  // arguments that came before the name
  std::string name_;
  bool begun_ = false;
  bool has_name_ = false;
  bool has_arguments_ = false;
};

}  // namespace

std::unique_ptr<OutputStream> MakeHermesParser(OutputStream::Thought thought) {
  return std::make_unique<HermesParser>(thought);
}

}  // namespace larder
