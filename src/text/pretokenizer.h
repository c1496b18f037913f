// Cuts text into the words inside which BPE merges: hand-written scanners that split as the
// models' published regular expressions do. Pure functions without state; linear time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace larder {

enum class PreTokenizer : std::uint8_t { kGpt2, kQwen2, kQwen35, kDeepseekLlm };

/// By GGUF's name (tokenizer.ggml.pre); nothing for a name Larder does not know.
std::optional<PreTokenizer> FindPreTokenizer(std::string_view name);

/// The names FindPreTokenizer knows, for an error's sentence.
std::string KnownPreTokenizers();

/// Appends the end offset of each word of `text` to `ends`; the last one is text.size(). Empty
/// text gives no word. Bytes that are not valid UTF-8 are one character each, of no class.
void SplitWords(PreTokenizer pre, std::string_view text, std::vector<std::size_t>& ends);

}  // namespace larder
