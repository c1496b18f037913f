// Reads character classes out of a text: what the pre-tokenizers' hand-written expressions are made
// of. A view of the text; used within one call. Positions are byte offsets.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "text/char_class.h"
#include "text/utf8.h"

namespace larder {

/// A position at the end has no class and no width.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  std::size_t size() const { return text_.size(); }
  bool AtEnd(std::size_t position) const { return position >= text_.size(); }

  /// The byte at `position`; 0 at the end.
  char Byte(std::size_t position) const { return AtEnd(position) ? '\0' : text_[position]; }

  /// The class of the character at `position`, whose end goes to `next`.
  unsigned Class(std::size_t position, std::size_t& next) const {
    if (AtEnd(position)) {
      next = position;
      return 0;
    }
    const auto byte = static_cast<unsigned char>(text_[position]);
    if (byte < 0x80) {
      next = position + 1;
      return ascii_[byte];
    }
    const Utf8Char c = DecodeUtf8(text_, position);
    next = position + c.n_bytes;
    return CharClass(c.code_point);
  }

  unsigned Class(std::size_t position) const {
    std::size_t next = 0;
    return Class(position, next);
  }

  /// The end of the run of characters from `position` on that have one of the flags.
  std::size_t EndOfRun(std::size_t position, unsigned flags) const {
    std::size_t next = 0;
    while (!AtEnd(position) && (Class(position, next) & flags) != 0) position = next;
    return position;
  }

  /// The same, at most `n_most` characters.
  std::size_t EndOfShortRun(std::size_t position, unsigned flags, int n_most) const {
    std::size_t next = 0;
    while (n_most-- > 0 && !AtEnd(position) && (Class(position, next) & flags) != 0) {
      position = next;
    }
    return position;
  }

  /// The end of the run of characters that have none of the flags.
  std::size_t EndOfOthers(std::size_t position, unsigned flags) const {
    std::size_t next = 0;
    while (!AtEnd(position) && (Class(position, next) & flags) == 0) position = next;
    return position;
  }

  /// The end of a contraction ('s, 't, 're, 've, 'm, 'll, 'd) at `position`, or `position`.
  std::size_t EndOfContraction(std::size_t position, bool any_case) const {
    if (Byte(position) != '\'' || AtEnd(position + 1)) return position;
    const Utf8Char c = DecodeUtf8(text_, position + 1);
    if (any_case && c.code_point == kLongS) return position + 1 + c.n_bytes;
    const char first = Letter(position + 1, any_case);
    if (first == 's' || first == 't' || first == 'm' || first == 'd') return position + 2;
    const char second = Letter(position + 2, any_case);
    const bool two =
        ((first == 'r' || first == 'v') && second == 'e') || (first == 'l' && second == 'l');
    return two ? position + 3 : position;
  }

  /// The end of the word that \s*[\r\n]+ (if `line_ends`), \s+(?!\S) or \s+ match at `position`,
  /// which is white space: up to the last line end of the run; else the run, less the last
  /// character when something follows.
  std::size_t EndOfSpaces(std::size_t position, bool line_ends) const {
    std::size_t end = position, last_begin = position, line_end = position, next = 0;
    while (!AtEnd(end)) {
      const unsigned flags = Class(end, next);
      if ((flags & kCharSpace) == 0) break;
      if ((flags & kCharLineEnd) != 0) line_end = next;
      last_begin = end;
      end = next;
    }
    if (line_ends && line_end > position) return line_end;
    return AtEnd(end) || last_begin == position ? end : last_begin;
  }

 private:
  static constexpr std::uint32_t kLongS = 0x17f;  // the one letter beyond ASCII that (?i:s) matches

  char Letter(std::size_t position, bool any_case) const {
    const char c = Byte(position);
    return any_case && c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  }

  std::string_view text_;
  const std::uint16_t* ascii_ = AsciiClasses();
};

}  // namespace larder
