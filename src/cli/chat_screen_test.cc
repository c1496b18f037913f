// What reaches a terminal: no controls of a model's making, colours that end where they should.
#include "cli/chat_screen.h"

#include <gtest/gtest.h>

#include "cli/markdown_painter.h"

namespace larder {
namespace {

TEST(ChatScreen, NoControlsReachATerminal) {
  EXPECT_EQ(WithoutControls("a\033[2Jb\r\n\tc\x07\x7f"), "a[2Jb\n\tc");
  EXPECT_EQ(WithoutControls("\xc2\x9b"
                            "31m\xc2\xa0\xc3\xa9"),
            "31m\xc2\xa0\xc3\xa9");
  EXPECT_EQ(WithoutControls("\xc2"), "\xc2");
}

// Colours as letters: P plain, B bold, C code.
std::string Painted(const std::string& text, std::size_t piece) {
  MarkdownPainter painter;
  std::string shown;
  for (std::size_t i = 0; i < text.size(); i += piece)
    shown += painter.Paint(text.substr(i, piece));
  shown += painter.End();
  for (const auto& [code, letter] :
       {std::pair("\033[0m", "<P>"), std::pair("\033[1m", "<B>"), std::pair("\033[36m", "<C>")}) {
    for (std::size_t at = 0; (at = shown.find(code, at)) != std::string::npos;) {
      shown.replace(at, std::string(code).size(), letter);
    }
  }
  return shown;
}

TEST(MarkdownPainter, HeadingsAndCode) {
  const std::pair<const char*, const char*> cases[] = {
      {"plain * text # here\n", "plain * text # here\n"},
      {"# A\nb", "<B># A<P>\nb"},
      {"  ## A", "  <B>## A<P>"},
      {"a `b` c", "a `<C>b`<P> c"},
      {"`b`\nc", "`<C>b`<P>\nc"},
      {"a ``b`c`` d", "a ``<C>b`c``<P> d"},
      {"a lone ` tick\nnext", "a lone `<C> tick<P>\nnext"},
      {"# `c` h\n", "<B># `<C>c`<P><B> h<P>\n"},
      {"```cpp\n# x `y`\n```\nz", "```<C>cpp\n# x `y`\n```<P>\nz"},
      {"```\nx\n```", "```<C>\nx\n```<P>"},
      {"  ```\n  x\n  ```\n`y`", "  ```<C>\n  x\n  ```<P>\n`<C>y`<P>"},
      {"```\nx", "```<C>\nx<P>"},
      {"", ""},
  };
  for (const auto& [text, shown] : cases) {
    for (const std::size_t piece : {1, 2, 3, 100}) EXPECT_EQ(Painted(text, piece), shown) << piece;
  }
}

}  // namespace
}  // namespace larder
