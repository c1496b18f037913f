// GPT-2's way of writing: tokens made by merges are in an alphabet where each byte is a printable
// character, and a merge is two of them with a space between.
#include <array>
#include <cstdint>

#include "text/utf8.h"
#include "text/vocabulary_kinds.h"

namespace larder {
namespace {

/// GPT-2's byte alphabet: printable Latin-1 bytes stand for themselves, the others, in order, are
/// the code points from 256 on (bytes_to_unicode in its published encoder).
class ByteAlphabet {
 public:
  ByteAlphabet() {
    byte_of_.fill(-1);
    std::size_t next = 256;
    for (int byte = 0; byte < 256; ++byte) {
      const bool printable =
          (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
      byte_of_[printable ? static_cast<std::size_t>(byte) : next++] = byte;
    }
  }

  /// Appends the bytes that `text` stands for; false if some character is not of the alphabet,
  /// which is then appended as it is.
  bool AppendBytes(std::string_view text, std::string& out) const {
    bool all_known = true;
    for (std::size_t position = 0; position < text.size();) {
      const Utf8Char c = DecodeUtf8(text, position);
      const int byte = c.code_point < byte_of_.size() ? byte_of_[c.code_point] : -1;
      if (byte >= 0) {
        out.push_back(static_cast<char>(byte));
      } else {
        out.append(text, position, c.n_bytes);
        all_known = false;
      }
      position += c.n_bytes;
    }
    return all_known;
  }

 private:
  std::array<int, 256 + 68> byte_of_;  // by code point
};

}  // namespace

void AppendByteLevelToken(std::string_view text, TokenType type, std::string& out) {
  static const ByteAlphabet alphabet;
  const bool as_it_is =
      type == TokenType::kUnknown || type == TokenType::kControl || type == TokenType::kUserDefined;
  if (as_it_is) {
    out += text;
  } else {
    alphabet.AppendBytes(text, out);
  }
}

Status LoadByteLevelMerges(const Metadata& metadata, Vocabulary& vocabulary) {
  const ByteAlphabet alphabet;
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    vocabulary.of_byte[static_cast<std::size_t>(byte)] =
        vocabulary.FindMade(std::string_view(&c, 1)).value_or(-1);
  }
  const std::vector<std::string>* merges = metadata.FindStrings("tokenizer.ggml.merges");
  if (merges == nullptr) {
    return NotFound("the file has no tokenizer.ggml.merges; convert the model again with merges");
  }
  vocabulary.merges.Reserve(merges->size());
  std::string pair;
  for (std::size_t rank = 0; rank < merges->size(); ++rank) {
    const std::string& merge = (*merges)[rank];
    const std::size_t space = merge.find(' ', 1);
    if (space == std::string::npos || space + 1 == merge.size()) {
      return DataError("merge {} ({}) is not two tokens; the file is damaged, get it again", rank,
                       Shown(merge));
    }
    pair.clear();
    bool known = alphabet.AppendBytes(std::string_view(merge).substr(0, space), pair);
    const std::size_t n_left = pair.size();
    known &= alphabet.AppendBytes(std::string_view(merge).substr(space + 1), pair);
    const auto left = vocabulary.FindMade(std::string_view(pair).substr(0, n_left));
    const auto right = vocabulary.FindMade(std::string_view(pair).substr(n_left));
    const auto both = vocabulary.FindMade(pair);
    // A merge may name a token that the model overrode by an added one: it never happens in a text.
    if (!known || !left || !right || !both) continue;
    vocabulary.merges.Add(*left, *right, {static_cast<std::uint32_t>(rank), *both});
  }
  if (vocabulary.merges.size() == 0 && !merges->empty()) {
    return DataError("none of the {} merges is of tokens of the vocabulary; get the file again",
                     merges->size());
  }
  return Status::Ok();
}

}  // namespace larder
