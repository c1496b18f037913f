// Waiting text, thinking tags, calls being put together.
#include "text/output_stream.h"

#include <algorithm>
#include <array>
#include <utility>

#include "text/message_json.h"

namespace larder {

namespace {

constexpr std::string_view kThinkBegin = "<think>";
constexpr std::string_view kThinkEnd = "</think>";

// The longest proper beginning of `marker` that `text` ends with.
std::size_t UnfinishedBytes(std::string_view text, std::string_view marker) {
  for (std::size_t n = std::min(text.size(), marker.size() - 1); n > 0; --n) {
    if (text.substr(text.size() - n) == marker.substr(0, n)) return n;
  }
  return 0;
}

// What stands around a JSON text in harmony; in no other format can an answer begin or end so.
constexpr std::string_view kHeldTextBegin = "<|channel|>final<|message|>";
constexpr std::array<std::string_view, 2> kHeldTextEnds = {"<|return|>", "<|end|>"};

// How many bytes at the end of `text` are, or may become, the end of a JSON text's frame.
std::size_t FrameEndBytes(std::string_view text) {
  std::size_t n_bytes = 0;
  for (const std::string_view end : kHeldTextEnds) {
    const bool whole = text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
    n_bytes = std::max(n_bytes, whole ? end.size() : UnfinishedBytes(text, end));
  }
  return n_bytes;
}

}  // namespace

MarkerMatch FindMarker(std::string_view text, std::initializer_list<std::string_view> markers,
                       bool at_end) {
  MarkerMatch first{text.size(), -1};
  std::size_t n_held = 0;
  int index = -1;
  for (const std::string_view marker : markers) {
    ++index;
    if (marker.empty()) continue;
    const std::size_t found = text.find(marker);
    if (found < first.position) first = {found, index};
    if (!at_end) n_held = std::max(n_held, UnfinishedBytes(text, marker));
  }
  if (first.marker < 0) first.position = text.size() - n_held;
  return first;
}

Begins BeginsWith(std::string_view text, std::string_view marker, bool at_end) {
  if (text.substr(0, marker.size()) == marker) return Begins::kYes;
  const bool may = text.size() < marker.size() && marker.substr(0, text.size()) == text;
  return may && !at_end ? Begins::kUnknown : Begins::kNo;
}

std::size_t CountBlanks(std::string_view text) {
  return std::min(text.find_first_not_of(" \t\r\n"), text.size());
}

OutputStream::OutputStream(Thought thought)
    : phase_(thought == Thought::kNone   ? Phase::kAnswer
             : thought == Thought::kOpen ? Phase::kThought
                                         : Phase::kStart),
      at_beginning_(thought == Thought::kOpen) {}

void OutputStream::SetForm(OutputForm form) {
  calls_only_ = form == OutputForm::kCalls;
  if (form == OutputForm::kCallsOrText) answer_phase_ = Phase::kChoice;
  if (phase_ == Phase::kAnswer) phase_ = answer_phase_;
}

void OutputStream::Feed(std::string_view text, std::vector<OutputDelta>* deltas) {
  deltas_ = deltas;
  pending_ += text;
  Run(false);
}

void OutputStream::Finish(std::vector<OutputDelta>* deltas) {
  deltas_ = deltas;
  Run(true);
  End();
  // A thought's last line breaks are its frame's, even when that is missing.
  if (phase_ != Phase::kThought) Put(OutputDelta::Kind::kText, std::exchange(line_breaks_, ""));
}

void OutputStream::Run(bool at_end) {
  bool further = true;
  while (further) {
    switch (phase_) {
      case Phase::kStart:
        further = StepStart(at_end);
        break;
      case Phase::kThought:
        further = StepThought(at_end);
        break;
      case Phase::kChoice:
        further = StepChoice(at_end);
        break;
      case Phase::kAnswer:
        further = Step(at_end);
        break;
      case Phase::kHeldText:
        further = StepHeldText(at_end);
        break;
    }
  }
  pending_.erase(0, std::exchange(read_, 0));
}

// No JSON begins like the frame of a call, with a "<".
bool OutputStream::StepChoice(bool at_end) {
  const std::string_view tail = rest().substr(CountBlanks(rest()));
  if (tail.empty() && !at_end) return false;
  const Begins text = BeginsWith(tail, kHeldTextBegin, at_end);
  if (text == Begins::kUnknown) return false;
  if (text == Begins::kYes) Skip(rest().size() - tail.size() + kHeldTextBegin.size());
  calls_only_ = text == Begins::kNo && !tail.empty() && tail.front() == '<';
  phase_ = calls_only_ ? Phase::kAnswer : Phase::kHeldText;
  return true;
}

bool OutputStream::StepHeldText(bool at_end) {
  const std::size_t n_end = FrameEndBytes(rest());
  PutText(rest().substr(0, rest().size() - n_end));
  Skip(rest().size() - n_end);
  if (!at_end) return false;
  const bool is_frame =
      std::find(kHeldTextEnds.begin(), kHeldTextEnds.end(), rest()) != kHeldTextEnds.end();
  if (!is_frame) PutText(rest());
  Skip(rest().size());
  return false;
}

bool OutputStream::StepStart(bool at_end) {
  const std::size_t n_blanks = CountBlanks(rest());
  switch (BeginsWith(rest().substr(n_blanks), kThinkBegin, at_end)) {
    case Begins::kUnknown:
      return false;
    case Begins::kYes:
      Skip(n_blanks + kThinkBegin.size());
      phase_ = Phase::kThought;
      at_beginning_ = true;
      return true;
    case Begins::kNo:
      phase_ = answer_phase_;
      return true;
  }
  return false;
}

bool OutputStream::StepThought(bool at_end) {
  const MarkerMatch match = FindMarker(rest(), {kThinkEnd}, at_end);
  PutReasoning(rest().substr(0, match.position));
  Skip(match.position);
  if (match.marker < 0) return false;
  Skip(kThinkEnd.size());
  DropLineBreaks();
  phase_ = answer_phase_;
  return true;
}

void OutputStream::Put(OutputDelta::Kind kind, std::string_view text) {
  const bool may_be_empty =
      kind == OutputDelta::Kind::kCallBegin || kind == OutputDelta::Kind::kCallEnd;
  if (text.empty() && !may_be_empty) return;
  const bool joins = !deltas_->empty() && deltas_->back().kind == kind &&
                     (kind == OutputDelta::Kind::kText || kind == OutputDelta::Kind::kReasoning ||
                      kind == OutputDelta::Kind::kCallArguments);
  const int call = std::max(n_calls_ - 1, 0);
  if (joins && deltas_->back().call == call) {
    deltas_->back().text += text;
  } else {
    deltas_->push_back({kind, std::string(text), call});
  }
}

void OutputStream::PutHolding(OutputDelta::Kind kind, std::string_view text) {
  if (at_beginning_) text.remove_prefix(std::min(text.find_first_not_of('\n'), text.size()));
  if (text.empty()) return;
  at_beginning_ = false;
  const std::size_t last = text.find_last_not_of('\n');
  if (last == std::string_view::npos) {
    line_breaks_ += text;
    return;
  }
  Put(kind, std::exchange(line_breaks_, std::string(text.substr(last + 1))));
  Put(kind, text.substr(0, last + 1));
}

void OutputStream::PutText(std::string_view text) {
  if (!calls_only_) PutHolding(OutputDelta::Kind::kText, text);
}
void OutputStream::PutReasoning(std::string_view text) {
  PutHolding(OutputDelta::Kind::kReasoning, text);
}

void OutputStream::DropLineBreaks() {
  line_breaks_.clear();
  at_beginning_ = true;
}

void OutputStream::BeginCall(std::string name) {
  DropLineBreaks();
  ++n_calls_;
  call_open_ = true;
  arguments_.clear();
  Put(OutputDelta::Kind::kCallBegin, name);
}

void OutputStream::PutArguments(std::string_view json) {
  arguments_ += json;
  Put(OutputDelta::Kind::kCallArguments, json);
}

void OutputStream::EndCall() {
  const Result<OrderedJson> arguments = ParseJson(arguments_, "the text of the arguments");
  if (!arguments.ok()) return FailCall(arguments.status().message());
  if (!arguments->is_object()) return FailCall("the arguments of the call are no JSON object");
  call_open_ = false;
  Put(OutputDelta::Kind::kCallEnd, "");
}

void OutputStream::FailCall(const std::string& sentence) {
  call_open_ = false;
  Put(OutputDelta::Kind::kCallFailed, sentence);
}

namespace {

// Thinking tags only.
class PlainParser final : public OutputStream {
 public:
  using OutputStream::OutputStream;

 protected:
  bool Step(bool) override {
    PutText(rest());
    Skip(rest().size());
    return false;
  }
};

}  // namespace

std::unique_ptr<OutputStream> MakePlainParser(OutputStream::Thought thought) {
  return std::make_unique<PlainParser>(thought);
}

}  // namespace larder
