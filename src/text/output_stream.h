// What every output format needs: text that waits until it is certain, the thinking tags, and calls
// being put together. A format derives from OutputStream and gives Step. One thread.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "text/output_parser.h"

namespace larder {

/// Where the first of some markers stands; `marker` -1: nowhere, and the first `position` bytes are
/// no part of one either (behind them one may be beginning).
struct MarkerMatch {
  std::size_t position = 0;
  int marker = -1;
};

/// `at_end`: nothing more will come, so that an unfinished marker is none. Empty markers are never
/// found. Time: the text times the number of markers.
MarkerMatch FindMarker(std::string_view text, std::initializer_list<std::string_view> markers,
                       bool at_end);

/// Whether `text` begins with `marker`: yes, no, or not known before more has come.
enum class Begins { kYes, kNo, kUnknown };
Begins BeginsWith(std::string_view text, std::string_view marker, bool at_end);

/// How many bytes of white space (space, tab, line ends) `text` begins with.
std::size_t CountBlanks(std::string_view text);

class OutputStream : public OutputParser {
 public:
  /// `thought`: whether thinking tags are looked for, and whether one is open already.
  enum class Thought { kNone, kMayBegin, kOpen };
  explicit OutputStream(Thought thought);

  /// Before the first Feed.
  void SetForm(OutputForm form);

  void Feed(std::string_view text, std::vector<OutputDelta>* deltas) final;
  void Finish(std::vector<OutputDelta>* deltas) final;
  bool in_reasoning() const override { return phase_ == Phase::kThought; }

 protected:
  /// Consumes some of rest() and says whether it got any further; called until it did not. With
  /// `at_end` it must consume everything.
  virtual bool Step(bool at_end) = 0;
  /// After the last Step: an open call fails here.
  virtual void End() {}

  std::string_view rest() const { return std::string_view(pending_).substr(read_); }
  void Skip(std::size_t n_bytes) { read_ += n_bytes; }

  /// Text, without the line breaks that belong to a frame: those at the beginning after a thought
  /// or a call are dropped, those at the end wait.
  void PutText(std::string_view text);
  void PutReasoning(std::string_view text);
  /// The line breaks that wait before a frame, and those that follow it, go.
  void DropLineBreaks();

  void BeginCall(std::string name);
  void PutArguments(std::string_view json);
  /// Checks that the arguments are one JSON object; kCallFailed if not.
  void EndCall();
  void FailCall(const std::string& sentence);
  bool call_open() const { return call_open_; }

 private:
  enum class Phase {
    kStart,
    kThought,
    kChoice,  // calls or a text, not known yet
    kAnswer,
    kHeldText,  // up to the end, whatever it spells
  };
  void Run(bool at_end);
  bool StepStart(bool at_end);
  bool StepThought(bool at_end);
  bool StepChoice(bool at_end);
  bool StepHeldText(bool at_end);
  void Put(OutputDelta::Kind kind, std::string_view text);
  void PutHolding(OutputDelta::Kind kind, std::string_view text);

  Phase phase_;
  Phase answer_phase_ = Phase::kAnswer;  // where the answer begins
  bool calls_only_ = false;
  std::string pending_;
  std::size_t read_ = 0;
  std::vector<OutputDelta>* deltas_ = nullptr;
  std::string line_breaks_;    // at the end of text or reasoning, not yet given out
  bool at_beginning_ = false;  // line breaks that come now belong to a frame
  int n_calls_ = 0;
  bool call_open_ = false;
  std::string arguments_;  // of the open call
};

/// How the tools' schemas, the formats and the parsers' makers meet; each in its format's file.
std::unique_ptr<OutputStream> MakePlainParser(OutputStream::Thought thought);
std::unique_ptr<OutputStream> MakeTagParser(CallFormat format, OutputStream::Thought thought,
                                            const std::vector<ToolDefinition>& tools);
std::unique_ptr<OutputStream> MakeHermesParser(OutputStream::Thought thought);
std::unique_ptr<OutputStream> MakeMarkedJsonParser(CallFormat format,
                                                   OutputStream::Thought thought);
std::unique_ptr<OutputStream> MakeHarmonyParser(bool calls, std::string_view prompt);

}  // namespace larder
