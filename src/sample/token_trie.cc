// The tree is laid out while going through the sorted tokens once; the walk through a JSON string
// uses the byte table alone and visits each node at most once.
#include "sample/token_trie.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "sample/json_string.h"

namespace larder {

namespace {

// Longer ones (runs of blanks, mostly) only repeat what shorter ones spell.
constexpr std::size_t kMaxTokenBytes = 128;

bool IsText(TokenType type) { return type == TokenType::kNormal || type == TokenType::kByte; }

}  // namespace

Result<std::shared_ptr<const TokenTrie>> TokenTrie::Make(const Tokenizer& tokenizer) {
  std::shared_ptr<TokenTrie> trie(new TokenTrie(tokenizer));
  trie->Sort();
  trie->BuildTree();
  LARDER_RETURN_IF_ERROR(trie->CheckBytes());
  trie->WorkOutStrings();
  return std::shared_ptr<const TokenTrie>(std::move(trie));
}

bool TokenTrie::InTree(std::int32_t token) const {
  const std::string_view bytes = tokenizer_->TokenBytes(token);
  return IsText(tokenizer_->Type(token)) && !tokenizer_->IsEndOfGeneration(token) &&
         !bytes.empty() && bytes.size() <= kMaxTokenBytes;
}

void TokenTrie::Sort() {
  const std::int32_t n_vocab = tokenizer_->n_vocab();
  n_chars_.assign(static_cast<std::size_t>(n_vocab), kNotInside);
  for (std::int32_t token = 0; token < n_vocab; ++token) {
    if (tokenizer_->IsEndOfGeneration(token)) {
      end_tokens_.push_back(token);
    } else if (InTree(token)) {
      tokens_.push_back(token);
    } else if (!IsText(tokenizer_->Type(token)) && !tokenizer_->TokenBytes(token).empty()) {
      special_tokens_.push_back(token);
    }
  }
  std::sort(tokens_.begin(), tokens_.end(), [this](std::int32_t a, std::int32_t b) {
    const std::string_view left = tokenizer_->TokenBytes(a);
    const std::string_view right = tokenizer_->TokenBytes(b);
    return left != right ? left < right : a < b;
  });
}

void TokenTrie::BuildTree() {
  std::vector<std::uint32_t> open;  // the nodes from the root to the token before
  std::string_view before;
  for (std::size_t rank = 0; rank < tokens_.size(); ++rank) {
    const std::string_view bytes = tokenizer_->TokenBytes(tokens_[rank]);
    const auto shared = static_cast<std::size_t>(
        std::mismatch(bytes.begin(), bytes.end(), before.begin(), before.end()).first -
        bytes.begin());
    for (; open.size() > shared; open.pop_back()) ends_[open.back()] = n_nodes();
    for (std::size_t i = shared; i < bytes.size(); ++i) {
      open.push_back(n_nodes());
      bytes_.push_back(static_cast<std::uint8_t>(bytes[i]));
      ends_.push_back(0);
      first_token_.push_back(static_cast<std::uint32_t>(rank));
    }
    n_levels_ = std::max(n_levels_, bytes.size());
    before = bytes;
  }
  for (const std::uint32_t node : open) ends_[node] = n_nodes();
  first_token_.push_back(static_cast<std::uint32_t>(tokens_.size()));
  bytes_.shrink_to_fit();
  ends_.shrink_to_fit();
  first_token_.shrink_to_fit();
}

// Tabs and other control characters never need to be written; line breaks neither, but bytes of
// UTF-8 do, whatever tokens a character can be made of.
Status TokenTrie::CheckBytes() const {
  std::array<bool, 256> there{};
  for (std::uint32_t node = 0; node < n_nodes(); node = subtree_end(node)) {
    there[byte(node)] = !TokensAt(node).empty();
  }
  for (unsigned value = 0x20; value < 256; ++value) {
    const bool used =
        value < 0x7f || (value >= 0x80 && value < 0xc0) || (value >= 0xc2 && value < 0xf5);
    if (!used || there[value]) continue;
    return Unsupported(
        "the model's vocabulary has no token for the byte 0x{:02x}, so no answer can be held to "
        "a schema; leave the schema out",
        value);
  }
  if (end_tokens_.empty()) {
    return Unsupported(
        "the model's vocabulary has no token that ends an answer, so none can be held to a schema; "
        "leave the schema out");
  }
  return Status::Ok();
}

void TokenTrie::WorkOutStrings() {
  inside_words_.assign(n_words(), 0);
  struct Level {
    std::uint32_t end;
    std::uint8_t phase;
    std::uint8_t n_chars;
  };
  std::vector<Level> levels = {{n_nodes(), kBody, 0}};
  for (std::uint32_t node = 0; node < n_nodes();) {
    while (node >= levels.back().end) levels.pop_back();
    const Level at = levels.back();
    const std::uint8_t phase = kStringTable[at.phase][byte(node)];
    if (phase == kStringCloses) closes_.push_back({node, at.n_chars});
    if (phase == kStringCloses || phase == kStringBreaks) {
      node = subtree_end(node);
      continue;
    }
    const auto done = static_cast<std::uint8_t>(at.n_chars + (phase == kBody ? 1 : 0));
    const auto needed = static_cast<std::uint8_t>(done + (phase == kBody ? 0 : 1));
    for (const std::int32_t token : TokensAt(node)) {
      const auto index = static_cast<std::size_t>(token);
      n_chars_[index] = needed;
      inside_words_[index / 64] |= std::uint64_t{1} << (index % 64);
      most_chars_ = std::max(most_chars_, needed);
    }
    levels.push_back({subtree_end(node), phase, done});
    ++node;
  }
}

std::size_t TokenTrie::n_bytes() const {
  return tokens_.capacity() * sizeof(std::int32_t) + bytes_.capacity() +
         (ends_.capacity() + first_token_.capacity()) * sizeof(std::uint32_t) +
         (end_tokens_.capacity() + special_tokens_.capacity()) * sizeof(std::int32_t) +
         n_chars_.capacity() + inside_words_.capacity() * sizeof(std::uint64_t) +
         closes_.capacity() * sizeof(Close);
}

}  // namespace larder
