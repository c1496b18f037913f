// Colours for Markdown as it streams: the text stays as it is, headings become bold and code gets a
// colour. Knows only what has come so far, so it never waits. One thread.
#pragma once

#include <string>
#include <string_view>

namespace larder {

class MarkdownPainter {
 public:
  /// The text with colours begun and ended in it.
  std::string Paint(std::string_view text);
  /// What ends the colours that are on; the next text is a new one.
  std::string End();

 private:
  std::string EndTicks();
  std::string EndLine();

  bool in_fence_ = false;  // ``` to ```
  bool in_heading_ = false;
  bool at_line_start_ = true;  // nothing but spaces so far
  bool ticks_began_line_ = false;
  int n_ticks_ = 0;       // backticks in a row, just now
  int n_code_ticks_ = 0;  // with so many the code that we are in began; 0: in none
};

}  // namespace larder
