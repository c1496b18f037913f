// Finds added and control tokens written out in a text: the leftmost, and of those the longest, as
// Hugging Face tokenizers does. Built once, then immutable.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <unordered_map>

namespace larder {

struct AddedTokenMatch {
  std::size_t begin = std::string_view::npos;  // npos: none
  std::size_t n_bytes = 0;
  std::int32_t token = -1;
};

class AddedTokens {
 public:
  /// Empty texts and texts already there are passed over.
  void Add(std::string_view text, std::int32_t token);

  /// The next token at or after `position`. Time: the text walked over, times at most the length of
  /// the longest token.
  AddedTokenMatch FindNext(std::string_view text, std::size_t position) const;

 private:
  static std::uint64_t Edge(std::int32_t node, unsigned char byte) {
    return std::uint64_t{static_cast<std::uint32_t>(node)} << 8 | byte;
  }
  AddedTokenMatch LongestAt(std::string_view text, std::size_t position) const;

  std::array<bool, 256> begins_{};
  std::unordered_map<std::uint64_t, std::int32_t> children_;  // (node, byte) -> node; 0 is the root
  std::unordered_map<std::int32_t, std::int32_t> token_at_;   // node -> token that ends there
  std::int32_t n_nodes_ = 1;
};

}  // namespace larder
