// The pre-tokenizers that are one expression: where the word at a position ends. Pure functions,
// linear in the text over a whole pass.
#pragma once

#include <cstddef>

#include "text/scanner.h"

namespace larder {

/// gpt-2. Every function here takes a position before the end and gives one behind it.
std::size_t EndOfGpt2Word(const Scanner& text, std::size_t position);

/// The family of qwen2 and llama-bpe.
struct PlainRules {
  unsigned word;    // flags of what continues a word: letters, or letters and marks
  int most_digits;  // in one word
};
std::size_t EndOfPlainWord(const Scanner& text, std::size_t position, const PlainRules& rules);

/// The family of gpt-4o, whose words begin anew where a capital follows a small letter.
struct CasedRules {
  int most_digits;
  bool contractions;  // 's and the like belong to the word before them
  bool slashes;       // follow a run of symbols, as line ends do
  bool han_apart;     // Chinese characters are words of their own
};
std::size_t EndOfCasedWord(const Scanner& text, std::size_t position, const CasedRules& rules);

}  // namespace larder
