// Each function tries its expression's alternatives in their order; where two of them would look at
// the same characters twice, the outcome of the first is kept.
#include "text/word_scanners.h"

namespace larder {
namespace {

// `[^\s\p{L}\p{N}]+` with what may follow it, from behind the first character on.
std::size_t EndOfSymbols(const Scanner& text, std::size_t position, unsigned not_symbol,
                         bool slashes) {
  position = text.EndOfOthers(position, not_symbol);
  while (true) {
    const std::size_t end = text.EndOfRun(position, kCharLineEnd);
    if (!slashes || text.Byte(end) != '/') return end;
    position = end + 1;
  }
}

/// The letters of gpt-4o's words: those that may stand before a small one, those that may stand
/// behind a capital; letters without case and marks are both.
class CasedLetters {
 public:
  CasedLetters(const Scanner& text, bool han_apart)
      : text_(text), not_letter_(han_apart ? unsigned{kCharHan} : 0u) {}

  /// The end of [upper]*[lower]+ at `begin`, or `begin`.
  std::size_t EndOfLower(std::size_t begin) const {
    // Where the greedy run of upper ones must give one back to the lower: behind the last that is
    // both.
    std::size_t end = begin, position = begin, next = 0;
    while (!text_.AtEnd(position)) {
      const unsigned flags = text_.Class(position, next);
      if (!IsUpper(flags)) return IsLower(flags) ? EndOfLowerRun(position) : end;
      if (IsLower(flags)) end = next;
      position = next;
    }
    return end;
  }

  /// The end of [upper]+[lower]* at `begin`, where EndOfLower found nothing, or `begin`.
  std::size_t EndOfUpper(std::size_t begin) const {
    std::size_t next = 0;
    while (!text_.AtEnd(begin) && IsUpper(text_.Class(begin, next))) begin = next;
    return begin;
  }

 private:
  bool IsCased(unsigned flags, unsigned other_case) const {
    const bool letter = (flags & kCharLetter) != 0 && (flags & other_case) == 0;
    return (letter || (flags & kCharMark) != 0) && (flags & not_letter_) == 0;
  }
  bool IsUpper(unsigned flags) const { return IsCased(flags, kCharLower); }
  bool IsLower(unsigned flags) const { return IsCased(flags, kCharUpper); }

  std::size_t EndOfLowerRun(std::size_t position) const {
    std::size_t next = 0;
    while (!text_.AtEnd(position) && IsLower(text_.Class(position, next))) position = next;
    return position;
  }

  const Scanner& text_;
  unsigned not_letter_;
};

// The two alternatives for letters, each with and without a character before them.
std::size_t EndOfCasedLetters(const Scanner& text, std::size_t position, std::size_t next,
                              bool prefix, bool han_apart) {
  const CasedLetters letters(text, han_apart);
  if (prefix) {
    const std::size_t end = letters.EndOfLower(next);
    if (end > next) return end;
  }
  const std::size_t end = letters.EndOfLower(position);
  if (end > position) return end;
  if (prefix) {
    const std::size_t upper_end = letters.EndOfUpper(next);
    if (upper_end > next) return upper_end;
  }
  return letters.EndOfUpper(position);
}

}  // namespace

std::size_t EndOfGpt2Word(const Scanner& text, std::size_t position) {
  const std::size_t contraction = text.EndOfContraction(position, false);
  if (contraction > position) return contraction;
  std::size_t begin = position, next = 0;
  unsigned flags = text.Class(position, next);
  if (text.Byte(position) == ' ' && !text.AtEnd(next)) {
    const unsigned next_flags = text.Class(next);
    if ((next_flags & kCharSpace) == 0) {
      begin = next;
      flags = next_flags;
    }
  }
  if ((flags & kCharLetter) != 0) return text.EndOfRun(begin, kCharLetter);
  if ((flags & kCharNumber) != 0) return text.EndOfRun(begin, kCharNumber);
  if ((flags & kCharSpace) != 0) return text.EndOfSpaces(position, false);
  return text.EndOfOthers(begin, kCharSpace | kCharLetter | kCharNumber);
}

std::size_t EndOfPlainWord(const Scanner& text, std::size_t position, const PlainRules& rules) {
  const std::size_t contraction = text.EndOfContraction(position, true);
  if (contraction > position) return contraction;
  std::size_t next = 0;
  const unsigned flags = text.Class(position, next);
  if ((flags & rules.word) != 0) return text.EndOfRun(next, rules.word);
  if ((flags & kCharNumber) != 0) {
    return text.EndOfShortRun(next, kCharNumber, rules.most_digits - 1);
  }
  const unsigned next_flags = text.Class(next);
  if ((flags & kCharLineEnd) == 0 && (next_flags & rules.word) != 0) {
    return text.EndOfRun(next, rules.word);
  }
  const unsigned not_symbol = kCharSpace | kCharNumber | rules.word;
  const bool space_and_symbol =
      text.Byte(position) == ' ' && !text.AtEnd(next) && (next_flags & not_symbol) == 0;
  if ((flags & kCharSpace) == 0 || space_and_symbol) {
    return EndOfSymbols(text, next, not_symbol, false);
  }
  return text.EndOfSpaces(position, true);
}

std::size_t EndOfCasedWord(const Scanner& text, std::size_t position, const CasedRules& rules) {
  std::size_t next = 0;
  const unsigned flags = text.Class(position, next);
  if (rules.han_apart && (flags & kCharHan) != 0) return text.EndOfRun(next, kCharHan);
  const bool prefix = (flags & (kCharLetter | kCharNumber | kCharLineEnd)) == 0;
  const std::size_t letters_end = EndOfCasedLetters(text, position, next, prefix, rules.han_apart);
  if (letters_end > position) {
    return rules.contractions ? text.EndOfContraction(letters_end, true) : letters_end;
  }
  if ((flags & kCharNumber) != 0) {
    return text.EndOfShortRun(next, kCharNumber, rules.most_digits - 1);
  }
  constexpr unsigned kNotSymbol = kCharSpace | kCharNumber | kCharLetter;
  const bool space_and_symbol =
      text.Byte(position) == ' ' && !text.AtEnd(next) && (text.Class(next) & kNotSymbol) == 0;
  if ((flags & kCharSpace) == 0 || space_and_symbol) {
    return EndOfSymbols(text, next, kNotSymbol, rules.slashes);
  }
  return text.EndOfSpaces(position, true);
}

}  // namespace larder
