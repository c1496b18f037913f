// The chain of page keys.
#include "state/prefix_key.h"

#include "base/check.h"

namespace larder {

namespace {

PrefixKey Extend(const PrefixKey& before, std::span<const std::int32_t> tokens) {
  Sha256 hash;
  hash.Add(std::as_bytes(std::span(before)));
  hash.Add(std::as_bytes(tokens));
  return hash.Finish();
}

}  // namespace

PrefixChain::PrefixChain(std::span<const std::int32_t> tokens, std::int64_t page_tokens)
    : tokens_(tokens), page_tokens_(page_tokens) {
  const auto size = static_cast<std::size_t>(page_tokens);
  PrefixKey key{};
  for (std::size_t at = 0; at + size <= tokens.size(); at += size) {
    key = Extend(key, tokens.subspan(at, size));
    page_keys_.push_back(key);
  }
}

PrefixKey PrefixChain::KeyAt(std::int64_t n_tokens) const {
  LARDER_CHECK(0 < n_tokens && n_tokens <= static_cast<std::int64_t>(tokens_.size()));
  const std::int64_t n_before = (n_tokens - 1) / page_tokens_;
  if (n_tokens % page_tokens_ == 0) return page_keys_[static_cast<std::size_t>(n_before)];
  const PrefixKey before =
      n_before == 0 ? PrefixKey{} : page_keys_[static_cast<std::size_t>(n_before - 1)];
  const auto begin = static_cast<std::size_t>(n_before * page_tokens_);
  return Extend(before, tokens_.subspan(begin, static_cast<std::size_t>(n_tokens) - begin));
}

}  // namespace larder
