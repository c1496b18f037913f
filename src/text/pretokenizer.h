// Cuts text into the words inside which BPE merges: hand-written scanners that split as the
// models' published regular expressions do. Pure functions without state; linear time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace larder {

enum class PreTokenizer : std::uint8_t {
  kGpt2,
  kLlama3,
  kQwen2,
  kQwen35,
  kGpt4o,
  kTekken,
  kKimiK2,
  kStarcoder,
  kDeepseekLlm,
  kDeepseekCoder,
  kDeepseekV3,
};

/// What GGUF's name (tokenizer.ggml.pre) says besides: properties of the models' tokenizers that
/// the file has no key for, or whose key may be missing.
struct PreTokenizerTraits {
  PreTokenizer pre;
  bool nfc = false;          // texts are brought to Unicode's normalization form C first
  bool whole_words = false;  // a word that is a token is that token, whatever the merges say
  bool add_bos = false;      // when tokenizer.ggml.add_bos_token is missing
};

/// Nothing for a name Larder does not know.
std::optional<PreTokenizerTraits> FindPreTokenizer(std::string_view name);

/// The names FindPreTokenizer knows, for an error's sentence.
std::string KnownPreTokenizers();

/// Appends the end offset of each word of `text` to `ends`; the last one is text.size(). Empty
/// text gives no word. Bytes that are not valid UTF-8 are one character each, of no class.
/// May stop once there are more than `max_words`.
void SplitWords(PreTokenizer pre, std::string_view text, std::vector<std::size_t>& ends,
                std::size_t max_words = std::numeric_limits<std::size_t>::max());

}  // namespace larder
