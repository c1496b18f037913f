// The two halves of reading a vocabulary that differ between byte-level and scored ones; for
// LoadVocabulary. Functions append to or complete what they are given.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"
#include "format/metadata.h"
#include "text/token_type.h"
#include "text/vocabulary.h"

namespace larder {

/// A file's text, made fit for a sentence on a terminal.
std::string Shown(std::string_view text);

/// Appends the bytes that a token's text in GPT-2's byte alphabet stands for. Added and control
/// tokens are written as they are.
void AppendByteLevelToken(std::string_view text, TokenType type, std::string& out);

/// Reads the merges; needs the indexed tokens. kNotFound, kDataError.
Status LoadByteLevelMerges(const Metadata& metadata, Vocabulary& vocabulary);

/// Appends the bytes that a token's text in SentencePiece's writing stands for: U+2581 is a space,
/// <0x41> of type kByte a byte. kDataError for a byte token of another form.
Status AppendScoredToken(std::string_view text, TokenType type, std::string& out);

/// Makes merges of the scores; needs the indexed tokens. kNotFound, kDataError.
Status LoadScoredMerges(const Metadata& metadata, Vocabulary& vocabulary);

}  // namespace larder
