// What a chat shows: the answer on stdout, all else on stderr. Colours and dimming only on a
// terminal and without NO_COLOR; a model's control characters never reach a terminal. One thread.
#pragma once

#include <cstdio>
#include <string>
#include <string_view>

#include "base/status.h"
#include "cli/markdown_painter.h"

namespace larder {

class ChatScreen {
 public:
  ChatScreen();

  /// A piece of the answer, as it comes: Markdown stays as it is, headings and code get a colour.
  Status Answer(std::string_view text);
  /// A piece of reasoning.
  void Reasoning(std::string_view text);
  /// Ends reasoning that is being shown, if any.
  void EndReasoning() {
    if (err_.line_open) EndLine();
  }
  /// Ends a line that Answer or Reasoning left open, and all colours.
  void EndLine();
  /// A line of the program itself.
  void Note(const std::string& line);
  /// The same, dimmed: figures.
  void Figures(const std::string& line);

 private:
  struct Stream {
    std::FILE* file = nullptr;
    bool terminal = false;
    bool colour = false;
    bool line_open = false;
  };
  Stream out_;
  Stream err_;
  MarkdownPainter painter_;
  bool dimmed_ = false;
};

/// Without what moves cursors and changes terminals: control characters other than line ends and
/// tabs, C1 controls in UTF-8 too.
std::string WithoutControls(std::string_view text);

}  // namespace larder
