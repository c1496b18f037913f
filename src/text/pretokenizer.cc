// Scanners equal to these expressions, as Hugging Face tokenizers runs them (Oniguruma):
//
//   gpt-2         's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
//   qwen2         (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}
//                 | ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
//   qwen35        the same with [\p{L}\p{M}]+ for \p{L}+ and [^\s\p{L}\p{M}\p{N}]+
//   deepseek-llm  one after the other, each cutting the pieces of the one before: [\r\n];
//                 \s?[its cased letters]+; \s?[!-/:-~！-／：-～‘-‟　-。]+; \s+$;
//                 [一-龥ࠀ-一가-퟿]+; one digit
//
// By hand and not by a regular-expression library, because that library's Unicode version, and with
// it the tokens, would change with the distribution, and because a scanner is linear by
// construction.
#include "text/pretokenizer.h"

#include "text/char_class.h"
#include "text/utf8.h"

namespace larder {
namespace {

constexpr struct {
  std::string_view name;
  PreTokenizer pre;
} kNames[] = {
    {"gpt-2", PreTokenizer::kGpt2},
    {"qwen2", PreTokenizer::kQwen2},
    {"deepseek-r1-qwen", PreTokenizer::kQwen2},
    {"qwen35", PreTokenizer::kQwen35},
    {"deepseek-llm", PreTokenizer::kDeepseekLlm},
};

constexpr std::uint32_t kLongS = 0x17f;  // the one letter beyond ASCII that (?i:'s) matches

/// Reads classes out of a text; a position at the end has no class and no width.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  std::size_t size() const { return text_.size(); }
  bool AtEnd(std::size_t position) const { return position >= text_.size(); }

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

  /// The end of the run of characters that have none of the flags.
  std::size_t EndOfOthers(std::size_t position, unsigned flags) const {
    std::size_t next = 0;
    while (!AtEnd(position) && (Class(position, next) & flags) == 0) position = next;
    return position;
  }

  /// The end of a contraction ('s, 't, 're, 've, 'm, 'll, 'd) at `position`, or `position`.
  std::size_t EndOfContraction(std::size_t position, bool any_case) const {
    if (text_[position] != '\'' || position + 1 >= text_.size()) return position;
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
  char Letter(std::size_t position, bool any_case) const {
    if (position >= text_.size()) return 0;
    const char c = text_[position];
    return any_case && c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  }

  std::string_view text_;
  const std::uint16_t* ascii_ = AsciiClasses();
};

std::size_t EndOfGpt2Word(const Scanner& text, std::size_t position, unsigned flags,
                          std::size_t next, bool is_space) {
  const std::size_t contraction = text.EndOfContraction(position, false);
  if (contraction > position) return contraction;
  std::size_t begin = position;
  if (is_space) {
    const unsigned next_flags = text.Class(next);
    if (!text.AtEnd(next) && (next_flags & kCharSpace) == 0) {
      begin = next;
      flags = next_flags;
    }
  }
  if ((flags & kCharLetter) != 0) return text.EndOfRun(begin, kCharLetter);
  if ((flags & kCharNumber) != 0) return text.EndOfRun(begin, kCharNumber);
  if ((flags & kCharSpace) != 0) return text.EndOfSpaces(position, false);
  return text.EndOfOthers(begin, kCharSpace | kCharLetter | kCharNumber);
}

// `word` is what continues a word: letters, or letters and marks.
std::size_t EndOfQwenWord(const Scanner& text, std::size_t position, unsigned flags,
                          std::size_t next, bool is_space, unsigned word) {
  const std::size_t contraction = text.EndOfContraction(position, true);
  if (contraction > position) return contraction;
  if ((flags & word) != 0) return text.EndOfRun(next, word);
  if ((flags & kCharNumber) != 0) return next;
  const unsigned next_flags = text.Class(next);
  if ((flags & kCharLineEnd) == 0 && (next_flags & word) != 0) return text.EndOfRun(next, word);
  const unsigned not_symbol = kCharSpace | kCharNumber | word;
  const bool space_and_symbol = is_space && !text.AtEnd(next) && (next_flags & not_symbol) == 0;
  if ((flags & kCharSpace) == 0 || space_and_symbol) {
    return text.EndOfRun(text.EndOfOthers(next, not_symbol), kCharLineEnd);
  }
  return text.EndOfSpaces(position, true);
}

void SplitInOnePass(PreTokenizer pre, std::string_view bytes, std::vector<std::size_t>& ends) {
  const Scanner text(bytes);
  for (std::size_t position = 0; position < bytes.size();) {
    std::size_t next = 0;
    const unsigned flags = text.Class(position, next);
    const bool is_space = bytes[position] == ' ';
    if (pre == PreTokenizer::kGpt2) {
      position = EndOfGpt2Word(text, position, flags, next, is_space);
    } else {
      const unsigned marks = pre == PreTokenizer::kQwen35 ? unsigned{kCharMark} : 0u;
      position = EndOfQwenWord(text, position, flags, next, is_space, kCharLetter | marks);
    }
    ends.push_back(position);
  }
}

// The passes of deepseek-llm give the end of the match at `position`, or `position` for none.

std::size_t MatchOne(const Scanner& text, std::size_t position, unsigned flag) {
  std::size_t next = 0;
  return (text.Class(position, next) & flag) != 0 ? next : position;
}

std::size_t MatchSpaceAndRun(const Scanner& text, std::size_t position, unsigned flag) {
  std::size_t next = 0;
  const unsigned flags = text.Class(position, next);
  if ((flags & flag) != 0) return text.EndOfRun(next, flag);
  if ((flags & kCharSpace) == 0) return position;
  const std::size_t end = text.EndOfRun(next, flag);
  return end > next ? end : position;
}

// Cuts one piece: each match becomes a piece, and so does what lies between matches.
template <typename Match>
void CutPiece(std::string_view piece, std::size_t offset, Match match,
              std::vector<std::size_t>& ends) {
  const Scanner text(piece);
  std::size_t begin = 0;
  for (std::size_t position = 0; position < piece.size();) {
    const std::size_t end = match(text, position);
    if (end == position) {
      text.Class(position, position);
      continue;
    }
    if (position > begin) ends.push_back(offset + position);
    ends.push_back(offset + end);
    begin = position = end;
  }
  if (begin < piece.size()) ends.push_back(offset + piece.size());
}

// \s+$ on one piece: its trailing white space, found in one sweep.
void CutTrailingSpace(std::string_view piece, std::size_t offset, std::vector<std::size_t>& ends) {
  const Scanner text(piece);
  std::size_t begin = 0;
  for (std::size_t position = 0; position < piece.size();) {
    if ((text.Class(position, position) & kCharSpace) == 0) begin = position;
  }
  if (begin > 0) ends.push_back(offset + begin);
  if (begin < piece.size()) ends.push_back(offset + piece.size());
}

enum class DeepseekPass { kLineEnds, kLetters, kPunctuation, kTrailingSpace, kCjk, kDigits };

void CutDeepseek(DeepseekPass pass, std::string_view piece, std::size_t offset,
                 std::vector<std::size_t>& ends) {
  const auto one = [](unsigned flag) {
    return [flag](const Scanner& text, std::size_t position) {
      return MatchOne(text, position, flag);
    };
  };
  const auto space_and_run = [](unsigned flag) {
    return [flag](const Scanner& text, std::size_t position) {
      return MatchSpaceAndRun(text, position, flag);
    };
  };
  const auto cjk = [](const Scanner& text, std::size_t position) {
    return text.EndOfRun(position, kCharDsCjk);
  };
  switch (pass) {
    case DeepseekPass::kLineEnds:
      return CutPiece(piece, offset, one(kCharLineEnd), ends);
    case DeepseekPass::kLetters:
      return CutPiece(piece, offset, space_and_run(kCharDsLetter), ends);
    case DeepseekPass::kPunctuation:
      return CutPiece(piece, offset, space_and_run(kCharDsPunct), ends);
    case DeepseekPass::kTrailingSpace:
      return CutTrailingSpace(piece, offset, ends);
    case DeepseekPass::kCjk:
      return CutPiece(piece, offset, cjk, ends);
    case DeepseekPass::kDigits:
      return CutPiece(piece, offset, one(kCharNumeric), ends);
  }
}

void SplitDeepseek(std::string_view text, std::vector<std::size_t>& ends) {
  std::vector<std::size_t> pieces = {text.size()};
  std::vector<std::size_t> cut;
  for (const DeepseekPass pass :
       {DeepseekPass::kLineEnds, DeepseekPass::kLetters, DeepseekPass::kPunctuation,
        DeepseekPass::kTrailingSpace, DeepseekPass::kCjk, DeepseekPass::kDigits}) {
    cut.clear();
    std::size_t begin = 0;
    for (const std::size_t end : pieces) {
      CutDeepseek(pass, text.substr(begin, end - begin), begin, cut);
      begin = end;
    }
    pieces.swap(cut);
  }
  ends.insert(ends.end(), pieces.begin(), pieces.end());
}

}  // namespace

std::optional<PreTokenizer> FindPreTokenizer(std::string_view name) {
  for (const auto& known : kNames) {
    if (known.name == name) return known.pre;
  }
  return std::nullopt;
}

std::string KnownPreTokenizers() {
  std::string names;
  for (const auto& known : kNames) {
    if (!names.empty()) names += ", ";
    names += known.name;
  }
  return names;
}

void SplitWords(PreTokenizer pre, std::string_view text, std::vector<std::size_t>& ends) {
  if (text.empty()) return;
  if (pre == PreTokenizer::kDeepseekLlm) {
    SplitDeepseek(text, ends);
  } else {
    SplitInOnePass(pre, text, ends);
  }
}

}  // namespace larder
