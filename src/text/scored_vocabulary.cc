// SentencePiece's way: any two neighbours whose text together is a token may merge, the highest
// score first. All such pairs become merges whose rank is the place of the score.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>

#include "text/utf8.h"
#include "text/vocabulary_kinds.h"

namespace larder {
namespace {

constexpr std::string_view kSpaceMark = "\xe2\x96\x81";  // U+2581
constexpr std::size_t kLongestMadeBytes = 1024;

struct ScoredPair {
  std::int32_t left, right, both;
};

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// Appends every way to make `token` of two others. A byte inside a character begins no token.
void AddPairs(const Vocabulary& vocabulary, std::int32_t token, std::vector<ScoredPair>& pairs) {
  const std::string_view text = vocabulary.Bytes(token);
  for (std::size_t i = DecodeUtf8(text, 0).n_bytes; i < text.size();
       i += DecodeUtf8(text, i).n_bytes) {
    const auto left = vocabulary.FindMade(text.substr(0, i));
    if (!left) continue;
    const auto right = vocabulary.FindMade(text.substr(i));
    if (right) pairs.push_back({*left, *right, token});
  }
}

// A text that goes from another character to a space.
bool HasSpaceInside(std::string_view text) {
  const std::size_t first = text.find_first_not_of(' ');
  return first != std::string_view::npos && text.find(' ', first) != std::string_view::npos;
}

Result<std::vector<double>> LoadScores(const Metadata& metadata, std::size_t n_vocab) {
  LARDER_ASSIGN_OR_RETURN(std::vector<double> scores, metadata.GetFloats("tokenizer.ggml.scores"));
  if (scores.size() != n_vocab) {
    return DataError(
        "tokenizer.ggml.scores has {} entries for {} tokens; the file is damaged, get it again",
        scores.size(), n_vocab);
  }
  for (std::size_t i = 0; i < n_vocab; ++i) {
    if (std::isnan(scores[i])) {
      return DataError("the score of token {} is not a number; the file is damaged, get it again",
                       i);
    }
  }
  return scores;
}

void IndexBytes(Vocabulary& vocabulary) {
  vocabulary.of_byte.fill(-1);
  for (std::int32_t token = vocabulary.n_vocab() - 1; token >= 0; --token) {
    if (vocabulary.types[static_cast<std::size_t>(token)] != TokenType::kByte) continue;
    vocabulary.of_byte[static_cast<unsigned char>(vocabulary.Bytes(token)[0])] = token;
  }
}

}  // namespace

Status AppendScoredToken(std::string_view text, TokenType type, std::string& out) {
  if (type == TokenType::kControl || type == TokenType::kUnknown) {
    out += text;
    return Status::Ok();
  }
  if (type == TokenType::kByte) {
    const bool framed = text.size() == 6 && text.substr(0, 3) == "<0x" && text[5] == '>';
    const int high = framed ? HexDigit(text[3]) : -1;
    const int low = framed ? HexDigit(text[4]) : -1;
    if (high < 0 || low < 0) {
      return DataError("{} is no byte token such as <0x41>; the file is damaged, get it again",
                       Shown(text));
    }
    out.push_back(static_cast<char>(high * 16 + low));
    return Status::Ok();
  }
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t mark = std::min(text.find(kSpaceMark, begin), text.size());
    out += text.substr(begin, mark - begin);
    if (mark < text.size()) out.push_back(' ');
    begin = mark + kSpaceMark.size();
  }
  return Status::Ok();
}

Status LoadScoredMerges(const Metadata& metadata, Vocabulary& vocabulary) {
  const auto n_vocab = static_cast<std::size_t>(vocabulary.n_vocab());
  LARDER_ASSIGN_OR_RETURN(const std::vector<double> scores, LoadScores(metadata, n_vocab));
  LARDER_ASSIGN_OR_RETURN(vocabulary.add_space_prefix,
                          metadata.GetBoolOr("tokenizer.ggml.add_space_prefix", true));
  LARDER_ASSIGN_OR_RETURN(vocabulary.remove_extra_spaces,
                          metadata.GetBoolOr("tokenizer.ggml.remove_extra_whitespaces", false));
  IndexBytes(vocabulary);
  std::vector<double> ranking = scores;
  std::sort(ranking.begin(), ranking.end(), std::greater<>());
  ranking.erase(std::unique(ranking.begin(), ranking.end()), ranking.end());
  std::vector<ScoredPair> pairs;
  for (std::int32_t token = 0; token < vocabulary.n_vocab(); ++token) {
    const std::string_view text = vocabulary.Bytes(token);
    if (!vocabulary.MadeByMerges(token) || vocabulary.Find(text) != token) continue;
    if (text.size() > kLongestMadeBytes) {
      return DataError("token {} is {} bytes long, more than any vocabulary's; get the file again",
                       token, text.size());
    }
    if (HasSpaceInside(text)) vocabulary.words_begin_with_spaces = false;
    AddPairs(vocabulary, token, pairs);
  }
  vocabulary.merges.Reserve(pairs.size());
  for (const ScoredPair& pair : pairs) {
    const double score = scores[static_cast<std::size_t>(pair.both)];
    const auto place =
        std::lower_bound(ranking.begin(), ranking.end(), score, std::greater<>()) - ranking.begin();
    vocabulary.merges.Add(pair.left, pair.right, {static_cast<std::uint32_t>(place), pair.both});
  }
  return Status::Ok();
}

}  // namespace larder
