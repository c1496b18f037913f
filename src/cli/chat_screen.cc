// Colours, where there are any.
#include "cli/chat_screen.h"

#include <unistd.h>

#include <cstdlib>
#include <string>

#include "cli/output.h"

namespace larder {

namespace {

constexpr const char* kPlain = "\033[0m";
constexpr const char* kDim = "\033[2m";

bool WantsColour() {
  const char* no_colour = std::getenv("NO_COLOR");
  const char* terminal = std::getenv("TERM");
  const bool refused = no_colour != nullptr && no_colour[0] != '\0';
  return !refused && terminal != nullptr && std::string(terminal) != "dumb";
}

}  // namespace

std::string WithoutControls(std::string_view text) {
  std::string kept;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const bool control = (byte < 0x20 && byte != '\n' && byte != '\t') || byte == 0x7f;
    // U+0080 to U+009F: C2 80 to C2 9F.
    const bool c1 = byte == 0xc2 && i + 1 < text.size() &&
                    static_cast<unsigned char>(text[i + 1]) >= 0x80 &&
                    static_cast<unsigned char>(text[i + 1]) < 0xa0;
    if (c1) ++i;
    if (!control && !c1) kept += text[i];
  }
  return kept;
}

ChatScreen::ChatScreen() {
  out_ = {stdout, isatty(STDOUT_FILENO) != 0, false, false};
  err_ = {stderr, isatty(STDERR_FILENO) != 0, false, false};
  out_.colour = out_.terminal && WantsColour();
  err_.colour = err_.terminal && WantsColour();
}

Status ChatScreen::Answer(std::string_view text) {
  if (text.empty()) return Status::Ok();
  if (err_.line_open) EndLine();
  out_.line_open = text.back() != '\n';
  if (!out_.terminal) return WriteStdout(text);
  const std::string clean = WithoutControls(text);
  return WriteStdout(out_.colour ? painter_.Paint(clean) : clean);
}

void ChatScreen::Reasoning(std::string_view text) {
  if (text.empty()) return;
  if (out_.line_open) EndLine();
  if (err_.colour && !dimmed_) PutText(stderr, kDim);
  dimmed_ = true;
  err_.line_open = true;
  PutText(stderr, err_.terminal ? WithoutControls(text) : std::string(text));
  std::fflush(stderr);
}

void ChatScreen::EndLine() {
  PutText(stdout, painter_.End());
  if (out_.line_open) PutText(stdout, "\n");
  std::fflush(stdout);
  if (dimmed_ && err_.colour) PutText(stderr, kPlain);
  if (err_.line_open) PutText(stderr, "\n");
  dimmed_ = false;
  out_.line_open = err_.line_open = false;
}

void ChatScreen::Note(const std::string& line) {
  EndLine();
  PutText(stderr, (err_.terminal ? WithoutControls(line) : line) + "\n");
  std::fflush(stderr);
}

void ChatScreen::Figures(const std::string& line) {
  EndLine();
  if (err_.colour) PutText(stderr, kDim);
  PutText(stderr, line);
  if (err_.colour) PutText(stderr, kPlain);
  PutText(stderr, "\n");
  std::fflush(stderr);
}

}  // namespace larder
