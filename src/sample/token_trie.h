// A vocabulary as a tree of bytes, so that tokens which begin alike are tried together, and what
// each token does inside a JSON string, worked out beforehand. Immutable; any thread may read. It
// borrows the tokenizer, which must outlive it.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/status.h"
#include "text/tokenizer.h"

namespace larder {

class TokenTrie {
 public:
  /// Tokens that are text go into the tree; control, unknown and user-defined ones do not.
  /// kUnsupported when a byte that text needs has no token of its own, or when no token ends an
  /// answer: it could then come to a point where no token fits.
  static Result<std::shared_ptr<const TokenTrie>> Make(const Tokenizer& tokenizer);

  const Tokenizer& tokenizer() const { return *tokenizer_; }
  std::size_t n_vocab() const { return n_chars_.size(); }
  std::size_t n_words() const { return (n_vocab() + 63) / 64; }

  /// The tree's nodes in depth-first order; the root is not among them. The subtree of node i is
  /// [i, subtree_end(i)), its first child i + 1.
  std::uint32_t n_nodes() const { return static_cast<std::uint32_t>(bytes_.size()); }
  std::uint8_t byte(std::uint32_t node) const { return bytes_[node]; }
  std::uint32_t subtree_end(std::uint32_t node) const { return ends_[node]; }
  /// The tokens whose last byte is this node.
  std::span<const std::int32_t> TokensAt(std::uint32_t node) const {
    return std::span(tokens_).subspan(first_token_[node],
                                      first_token_[node + 1] - first_token_[node]);
  }
  std::size_t n_levels() const { return n_levels_; }

  bool IsEnd(std::int32_t token) const { return tokenizer_->IsEndOfGeneration(token); }
  const std::vector<std::int32_t>& end_tokens() const { return end_tokens_; }
  /// Not in the tree, no end token, and with text.
  const std::vector<std::int32_t>& special_tokens() const { return special_tokens_; }
  bool InTree(std::int32_t token) const;

  /// From between two characters of a JSON string: the characters that the token needs, an
  /// unfinished one included, or kNotInside when it closes or breaks the string.
  static constexpr std::uint8_t kNotInside = 255;
  std::span<const std::uint8_t> string_chars() const { return n_chars_; }
  std::uint8_t most_string_chars() const { return most_chars_; }
  /// The mask of all tokens that stay inside.
  std::span<const std::uint64_t> inside_words() const { return inside_words_; }
  /// Where tokens close the string, after so many characters.
  struct Close {
    std::uint32_t node;
    std::uint8_t n_chars;
  };
  const std::vector<Close>& closes() const { return closes_; }

  std::size_t n_bytes() const;

 private:
  explicit TokenTrie(const Tokenizer& tokenizer) : tokenizer_(&tokenizer) {}
  void Sort();
  void BuildTree();
  void WorkOutStrings();
  Status CheckBytes() const;

  const Tokenizer* tokenizer_;
  std::vector<std::int32_t> tokens_;  // in the order of their bytes
  std::vector<std::uint8_t> bytes_;
  std::vector<std::uint32_t> ends_;
  std::vector<std::uint32_t> first_token_;  // [n_nodes + 1], into tokens_
  std::vector<std::int32_t> end_tokens_;
  std::vector<std::int32_t> special_tokens_;
  std::vector<std::uint8_t> n_chars_;  // [n_vocab]
  std::vector<std::uint64_t> inside_words_;
  std::vector<Close> closes_;
  std::size_t n_levels_ = 0;
  std::uint8_t most_chars_ = 0;
};

}  // namespace larder
