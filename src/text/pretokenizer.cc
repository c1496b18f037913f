// Scanners equal to these expressions, as Hugging Face tokenizers runs them (Oniguruma):
//
//   gpt-2         's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
//   llama-bpe     (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}
//                 | ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
//   qwen2         the same with \p{N}
//   qwen35        qwen2 with [\p{L}\p{M}]+ for \p{L}+ and [^\s\p{L}\p{M}\p{N}]+
//   gpt-4o        [^\r\n\p{L}\p{N}]?U*L+C?|[^\r\n\p{L}\p{N}]?U+L*C?|\p{N}{1,3}
//                 | ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+
//                 with U [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}], L [\p{Ll}\p{Lm}\p{Lo}\p{M}], C
//                 (?i:'s|'t|...)
//   tekken        the same with \p{N}, without C
//   kimi-k2       \p{Han}+ first; then gpt-4o, with U and L without Han, and [\r\n]* for [\r\n/]*
//   starcoder     one digit; then gpt-2
//
// and of several passes, each cutting the pieces of the one before:
//
//   deepseek-llm    [\r\n]; \s?[its cased letters]+; \s?[!-/:-~！-／：-～‘-‟　-。]+; \s+$;
//                   [一-龥ࠀ-一가-퟿]+; one digit
//   deepseek-coder  [\r\n]; \s?\p{L}+; \s?\p{P}+; [一-龥ࠀ-一가-퟿]+; one digit
//   deepseek-v3     \p{N}{1,3}; [一-龥぀-ゟ゠-ヿ]+; [ASCII punctuation][A-Za-z]+
//                   |[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*
//                   |\s*[\r\n]+|\s+(?!\S)|\s+
//
// By hand and not by a regular-expression library, because that library's Unicode version, and with
// it the tokens, would change with the distribution, and because a scanner is linear by
// construction.
#include "text/pretokenizer.h"

#include "text/word_scanners.h"

namespace larder {
namespace {

constexpr struct {
  std::string_view name;
  PreTokenizerTraits traits;
} kNames[] = {
    {"gpt-2", {.pre = PreTokenizer::kGpt2}},
    {"olmo", {.pre = PreTokenizer::kGpt2, .nfc = true}},
    {"exaone4", {.pre = PreTokenizer::kGpt2}},
    {"llama-bpe", {.pre = PreTokenizer::kLlama3, .whole_words = true, .add_bos = true}},
    {"llama3", {.pre = PreTokenizer::kLlama3, .whole_words = true, .add_bos = true}},
    {"llama-v3", {.pre = PreTokenizer::kLlama3, .whole_words = true, .add_bos = true}},
    {"lfm2", {.pre = PreTokenizer::kLlama3, .whole_words = true, .add_bos = true}},
    {"dbrx", {.pre = PreTokenizer::kLlama3}},
    {"glm4", {.pre = PreTokenizer::kLlama3}},
    {"chatglm-bpe", {.pre = PreTokenizer::kLlama3}},
    {"qwen2", {.pre = PreTokenizer::kQwen2, .nfc = true}},
    {"deepseek-r1-qwen", {.pre = PreTokenizer::kQwen2}},
    {"megrez", {.pre = PreTokenizer::kQwen2}},
    {"hunyuan", {.pre = PreTokenizer::kQwen2}},
    {"grok-2", {.pre = PreTokenizer::kQwen2}},
    {"solar-open", {.pre = PreTokenizer::kQwen2}},
    {"bailingmoe", {.pre = PreTokenizer::kQwen2}},
    {"bailingmoe2", {.pre = PreTokenizer::kQwen2}},
    {"llada-moe", {.pre = PreTokenizer::kQwen2}},
    {"qwen35", {.pre = PreTokenizer::kQwen35, .nfc = true}},
    {"gpt-4o", {.pre = PreTokenizer::kGpt4o}},
    {"gpt-oss", {.pre = PreTokenizer::kGpt4o}},
    {"llama4", {.pre = PreTokenizer::kGpt4o}},
    {"kanana2", {.pre = PreTokenizer::kGpt4o}},
    {"minimax-m2", {.pre = PreTokenizer::kGpt4o}},
    {"tekken", {.pre = PreTokenizer::kTekken, .whole_words = true, .add_bos = true}},
    {"kimi-k2", {.pre = PreTokenizer::kKimiK2}},
    {"starcoder", {.pre = PreTokenizer::kStarcoder}},
    {"refact", {.pre = PreTokenizer::kStarcoder}},
    {"smollm", {.pre = PreTokenizer::kStarcoder}},
    {"deepseek-llm", {.pre = PreTokenizer::kDeepseekLlm}},
    {"deepseek-coder", {.pre = PreTokenizer::kDeepseekCoder}},
    {"deepseek-v3", {.pre = PreTokenizer::kDeepseekV3}},
    {"hunyuan-dense", {.pre = PreTokenizer::kDeepseekV3}},
    {"joyai-llm", {.pre = PreTokenizer::kDeepseekV3}},
};

constexpr std::size_t kNoLimit = std::numeric_limits<std::size_t>::max();

// `end_of_word` gives the end of the word at a position; offsets are moved on by `offset`. Stops
// with more ends than `most_ends`.
template <typename EndOfWord>
void SplitInOnePass(std::string_view bytes, std::size_t offset, EndOfWord end_of_word,
                    std::vector<std::size_t>& ends, std::size_t most_ends = kNoLimit) {
  const Scanner text(bytes);
  for (std::size_t position = 0; position < bytes.size() && ends.size() <= most_ends;) {
    position = end_of_word(text, position);
    ends.push_back(offset + position);
  }
}

void SplitPlain(std::string_view bytes, const PlainRules& rules, std::vector<std::size_t>& ends,
                std::size_t most_ends) {
  SplitInOnePass(
      bytes, 0,
      [&](const Scanner& text, std::size_t position) {
        return EndOfPlainWord(text, position, rules);
      },
      ends, most_ends);
}

void SplitCased(std::string_view bytes, const CasedRules& rules, std::vector<std::size_t>& ends,
                std::size_t most_ends) {
  SplitInOnePass(
      bytes, 0,
      [&](const Scanner& text, std::size_t position) {
        return EndOfCasedWord(text, position, rules);
      },
      ends, most_ends);
}

// What a pass looks for: the end of its match at `position`, or `position` for none.

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

bool IsAsciiLetter(char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'); }

bool IsAsciiPunctuation(char c) {
  return c > ' ' && c < 0x7f && !IsAsciiLetter(c) && (c < '0' || c > '9');
}

// The last pass of deepseek-v3. What it does not match (digits, control characters) stays a piece.
std::size_t MatchDeepseekV3Word(const Scanner& text, std::size_t position) {
  constexpr unsigned kWord = kCharLetter | kCharMark;
  constexpr unsigned kSymbols = kCharPunct | kCharSymbol;
  if (IsAsciiPunctuation(text.Byte(position)) && IsAsciiLetter(text.Byte(position + 1))) {
    std::size_t end = position + 2;
    while (IsAsciiLetter(text.Byte(end))) ++end;
    return end;
  }
  std::size_t next = 0;
  const unsigned flags = text.Class(position, next);
  if ((flags & kWord) != 0) return text.EndOfRun(next, kWord);
  const unsigned next_flags = text.Class(next);
  const bool can_lead = (flags & (kCharLineEnd | kSymbols)) == 0;
  if (can_lead && (next_flags & kWord) != 0) return text.EndOfRun(next, kWord);
  const bool space_and_symbol = text.Byte(position) == ' ' && (next_flags & kSymbols) != 0;
  if ((flags & kSymbols) != 0 || space_and_symbol) {
    return text.EndOfRun(text.EndOfRun(next, kSymbols), kCharLineEnd);
  }
  return (flags & kCharSpace) != 0 ? text.EndOfSpaces(position, true) : position;
}

/// A text cut by one pass after the other, each within the pieces of the one before.
class Passes {
 public:
  explicit Passes(std::string_view text) : text_(text), pieces_{text.size()} {}

  /// cut(piece, offset, ends) appends the ends of a piece's pieces.
  template <typename Cut>
  void Run(Cut cut) {
    cut_.clear();
    std::size_t begin = 0;
    for (const std::size_t end : pieces_) {
      cut(text_.substr(begin, end - begin), begin, cut_);
      begin = end;
    }
    pieces_.swap(cut_);
  }

  template <typename Match>
  void Isolate(Match match) {
    Run([&](std::string_view piece, std::size_t offset, std::vector<std::size_t>& ends) {
      CutPiece(piece, offset, match, ends);
    });
  }
  void IsolateEach(unsigned flag, int n_most) {
    Isolate([=](const Scanner& text, std::size_t position) {
      return text.EndOfShortRun(position, flag, n_most);
    });
  }
  void IsolateRuns(unsigned flag) {
    Isolate(
        [=](const Scanner& text, std::size_t position) { return text.EndOfRun(position, flag); });
  }
  void IsolateSpaceAndRuns(unsigned flag) {
    Isolate([=](const Scanner& text, std::size_t position) {
      return MatchSpaceAndRun(text, position, flag);
    });
  }

  const std::vector<std::size_t>& ends() const { return pieces_; }

 private:
  std::string_view text_;
  std::vector<std::size_t> pieces_;
  std::vector<std::size_t> cut_;
};

void SplitInPasses(PreTokenizer pre, std::string_view text, std::vector<std::size_t>& ends) {
  Passes passes(text);
  if (pre == PreTokenizer::kStarcoder) {
    passes.IsolateEach(kCharNumeric, 1);
    passes.Run([](std::string_view piece, std::size_t offset, std::vector<std::size_t>& cut) {
      SplitInOnePass(piece, offset, EndOfGpt2Word, cut);
    });
  } else if (pre == PreTokenizer::kDeepseekV3) {
    passes.IsolateEach(kCharNumber, 3);
    passes.IsolateRuns(kCharDs3Cjk);
    passes.Isolate(MatchDeepseekV3Word);
  } else {
    const bool coder = pre == PreTokenizer::kDeepseekCoder;
    passes.IsolateEach(kCharLineEnd, 1);
    passes.IsolateSpaceAndRuns(coder ? kCharLetter : kCharDsLetter);
    passes.IsolateSpaceAndRuns(coder ? kCharPunct : kCharDsPunct);
    if (!coder) passes.Run(CutTrailingSpace);
    passes.IsolateRuns(kCharDsCjk);
    passes.IsolateEach(kCharNumeric, 1);
  }
  ends.insert(ends.end(), passes.ends().begin(), passes.ends().end());
}

}  // namespace

std::optional<PreTokenizerTraits> FindPreTokenizer(std::string_view name) {
  for (const auto& known : kNames) {
    if (known.name == name) return known.traits;
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

void SplitWords(PreTokenizer pre, std::string_view text, std::vector<std::size_t>& ends,
                std::size_t max_words) {
  if (text.empty()) return;
  const std::size_t most_ends =
      max_words > kNoLimit - ends.size() ? kNoLimit : ends.size() + max_words;
  switch (pre) {
    case PreTokenizer::kGpt2:
      return SplitInOnePass(text, 0, EndOfGpt2Word, ends, most_ends);
    case PreTokenizer::kLlama3:
      return SplitPlain(text, {.word = kCharLetter, .most_digits = 3}, ends, most_ends);
    case PreTokenizer::kQwen2:
      return SplitPlain(text, {.word = kCharLetter, .most_digits = 1}, ends, most_ends);
    case PreTokenizer::kQwen35:
      return SplitPlain(text, {.word = kCharLetter | kCharMark, .most_digits = 1}, ends, most_ends);
    case PreTokenizer::kGpt4o:
      return SplitCased(
          text, {.most_digits = 3, .contractions = true, .slashes = true, .han_apart = false}, ends,
          most_ends);
    case PreTokenizer::kTekken:
      return SplitCased(
          text, {.most_digits = 1, .contractions = false, .slashes = true, .han_apart = false},
          ends, most_ends);
    case PreTokenizer::kKimiK2:
      return SplitCased(
          text, {.most_digits = 3, .contractions = true, .slashes = false, .han_apart = true}, ends,
          most_ends);
    case PreTokenizer::kStarcoder:
    case PreTokenizer::kDeepseekLlm:
    case PreTokenizer::kDeepseekCoder:
    case PreTokenizer::kDeepseekV3:
      return SplitInPasses(pre, text, ends);
  }
}

}  // namespace larder
