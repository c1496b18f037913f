// Names for beginnings of token sequences, and for what is kept of them: pages of keys and values
// of a fixed number of tokens, and snapshots of the recurrent states after some token. A name
// depends on every token from the first; SHA-256, so that nobody can make two prompts meet.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "base/sha256.h"

namespace larder {

using PrefixKey = Sha256Digest;

enum class PrefixKind : std::uint8_t { kPage, kSnapshot };

/// A page ends behind n_tokens, and so does what a snapshot stands for.
struct PrefixId {
  PrefixKind kind = PrefixKind::kPage;
  std::int64_t n_tokens = 0;
  PrefixKey key{};

  bool operator==(const PrefixId& other) const {
    return kind == other.kind && n_tokens == other.n_tokens && key == other.key;
  }
};

struct PrefixIdHash {
  std::size_t operator()(const PrefixId& id) const {
    std::size_t hash = 0;
    std::memcpy(&hash, id.key.data(), sizeof(hash));
    return hash ^ static_cast<std::size_t>(id.kind);
  }
};

/// The keys of all beginnings of one sequence. Borrows the tokens.
class PrefixChain {
 public:
  PrefixChain(std::span<const std::int32_t> tokens, std::int64_t page_tokens);

  std::span<const std::int32_t> tokens() const { return tokens_; }
  std::int64_t page_tokens() const { return page_tokens_; }
  /// Of the first `n_tokens`, 1..tokens().size(): the hash of the key of the whole pages before the
  /// last (perhaps short) page, and of that page's tokens.
  PrefixKey KeyAt(std::int64_t n_tokens) const;
  PrefixId At(PrefixKind kind, std::int64_t n_tokens) const {
    return {kind, n_tokens, KeyAt(n_tokens)};
  }

 private:
  std::span<const std::int32_t> tokens_;
  std::int64_t page_tokens_;
  std::vector<PrefixKey> page_keys_;
};

}  // namespace larder
