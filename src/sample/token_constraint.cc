// Walks of the vocabulary's tree beside the grammar, and the cache of what they found.
#include "sample/token_constraint.h"

#include <algorithm>
#include <bit>

namespace larder {

namespace {

constexpr std::size_t kMaxCacheBytes = std::size_t{8} << 20;
constexpr std::size_t kMaxCells = 100000;
constexpr std::uint32_t kAnyDepth = 1u << 30;

}  // namespace

TokenConstraint::TokenConstraint(std::shared_ptr<const Grammar> grammar,
                                 std::shared_ptr<const TokenTrie> trie)
    : grammar_(std::move(grammar)),
      trie_(std::move(trie)),
      run_(*grammar_),
      probe_(*grammar_, kAnyDepth),
      levels_(trie_->n_levels() + 1),
      first_bytes_(trie_->n_levels() + 1),
      ends_(trie_->n_levels() + 1) {
  has_free_text_ = std::any_of(grammar_->nodes.begin(), grammar_->nodes.end(),
                               [](const GrammarNode& node) { return node.free_text; });
  Reset();
}

void TokenConstraint::Reset() {
  threads_.Clear();
  run_.Rewind(1);
  run_.Enter(0, grammar_->start, &threads_);
  mask_is_current_ = false;
}

void TokenConstraint::Allow(std::uint32_t tree_node, std::vector<std::uint64_t>* words) const {
  for (const std::int32_t token : trie_->TokensAt(tree_node)) {
    const auto index = static_cast<std::size_t>(token);
    (*words)[index / 64] |= std::uint64_t{1} << (index % 64);
  }
}

// Allows the tokens in nodes [begin, end) of the tree, whole subtrees of one parent, that `start`
// reads. Where the bottom is reached before a token's end, the node goes to `escapes`.
void TokenConstraint::Walk(GrammarRun* run, const Threads& start, std::uint32_t begin,
                           std::uint32_t end, std::vector<std::uint64_t>* words,
                           std::vector<std::uint32_t>* escapes) {
  std::size_t depth = 0;
  levels_[0] = start;
  first_bytes_[0] = run->FirstBytes(start);
  ends_[0] = end;
  for (std::uint32_t node = begin; node < end;) {
    while (node >= ends_[depth]) --depth;
    const std::uint32_t subtree_end = trie_->subtree_end(node);
    const std::uint8_t byte = trie_->byte(node);
    if (!first_bytes_[depth].Has(byte)) {
      node = subtree_end;
      continue;
    }
    Threads& after = levels_[depth + 1];
    run->Step(levels_[depth], byte, &after);
    if (!after.cells.empty() || after.ended) Allow(node, words);
    const bool has_children = subtree_end > node + 1;
    if (after.ended && escapes != nullptr && has_children) escapes->push_back(node);
    if (after.cells.empty() || !has_children) {
      node = subtree_end;
      continue;
    }
    ++depth;
    ends_[depth] = subtree_end;
    first_bytes_[depth] = run->FirstBytes(after);
    ++node;
  }
}

const TokenConstraint::NodeMask& TokenConstraint::MaskOf(const Cell& cell) {
  const std::uint64_t key = static_cast<std::uint64_t>(cell.node) << 32 | cell.string_state;
  const auto found = node_masks_.find(key);
  if (found != node_masks_.end()) return found->second;
  if (node_masks_bytes_ > kMaxCacheBytes) {
    node_masks_.clear();
    node_masks_bytes_ = 0;
  }
  NodeMask made;
  made.words.assign(trie_->n_words(), 0);
  probe_.Rewind(1);
  probe_.ResetReach();
  Threads alone;
  alone.cells.push_back(probe_.Intern(0, cell.node, cell.string_state));
  Walk(&probe_, alone, 0, trie_->n_nodes(), &made.words, &made.escapes);
  made.reach = probe_.reach();
  std::size_t n_allowed = 0;
  for (const std::uint64_t word : made.words) {
    n_allowed += static_cast<std::size_t>(std::popcount(word));
  }
  if (n_allowed < trie_->n_words()) {
    for (std::size_t i = 0; i < made.words.size(); ++i) {
      for (std::uint64_t word = made.words[i]; word != 0; word &= word - 1) {
        made.tokens.push_back(static_cast<std::int32_t>(i * 64) + std::countr_zero(word));
      }
    }
    made.words = {};
  }
  made.escapes.shrink_to_fit();
  node_masks_bytes_ += sizeof(NodeMask) + 64 + made.tokens.capacity() * sizeof(std::int32_t) +
                       made.words.capacity() * sizeof(std::uint64_t) +
                       made.escapes.capacity() * sizeof(std::uint32_t);
  return node_masks_.emplace(key, std::move(made)).first->second;
}

void TokenConstraint::AddCell(CellId id) {
  const Cell cell = run_.cell(id);
  const NodeMask& node_mask = MaskOf(cell);
  if (cell.depth - 1 + node_mask.reach > kMaxGrammarDepth) {
    // So deep that what is allowed depends on the depth.
    Threads alone;
    alone.cells.push_back(id);
    Walk(&run_, alone, 0, trie_->n_nodes(), &mask_, nullptr);
    // What leaves the rule is part of the walk: the stack below is the real one.
    return;
  }
  for (const std::int32_t token : node_mask.tokens) {
    const auto index = static_cast<std::size_t>(token);
    mask_[index / 64] |= std::uint64_t{1} << (index % 64);
  }
  for (std::size_t i = 0; i < node_mask.words.size(); ++i) mask_[i] |= node_mask.words[i];
  if (node_mask.escapes.empty()) return;
  below_.Clear();
  run_.Leave(id, &below_);
  if (below_.cells.empty()) return;
  for (const std::uint32_t node : node_mask.escapes) {
    Walk(&run_, below_, node + 1, trie_->subtree_end(node), &mask_, nullptr);
  }
}

// Between two characters of a string, where counting decides.
void TokenConstraint::AddString(CellId id) {
  const Cell cell = run_.cell(id);
  const StringLimits& limits = grammar_->strings[grammar_->nodes[cell.node].string];
  const std::uint32_t n_chars = cell.string_state / 32;
  const std::uint32_t at_least = limits.min_chars - std::min(limits.min_chars, n_chars);
  const std::uint32_t at_most =
      limits.max_chars == kUnlimited ? kUnlimited : limits.max_chars - n_chars;
  if (at_most >= trie_->most_string_chars()) {
    const std::span<const std::uint64_t> inside = trie_->inside_words();
    for (std::size_t i = 0; i < inside.size(); ++i) mask_[i] |= inside[i];
  } else {
    const std::span<const std::uint8_t> chars = trie_->string_chars();
    for (std::size_t i = 0; i < chars.size(); ++i) {
      mask_[i / 64] |= static_cast<std::uint64_t>(chars[i] <= at_most) << (i % 64);
    }
  }
  below_.Clear();
  run_.Enter(cell.parent, limits.exit, &below_);
  for (const TokenTrie::Close& close : trie_->closes()) {
    if (close.n_chars < at_least || close.n_chars > at_most) continue;
    Allow(close.node, &mask_);
    Walk(&run_, below_, close.node + 1, trie_->subtree_end(close.node), &mask_, nullptr);
  }
}

// A special token counts as its text where all of the text is free, and is forbidden elsewhere.
bool TokenConstraint::ReadSpecial(std::int32_t token, Threads* out) {
  Threads now;
  for (const CellId id : threads_.cells) {
    if (run_.NodeOf(id).free_text) now.cells.push_back(id);
  }
  for (const char c : trie_->tokenizer().TokenBytes(token)) {
    if (now.cells.empty()) return false;
    run_.Step(now, static_cast<std::uint8_t>(c), out);
    std::swap(now, *out);
  }
  std::swap(now, *out);
  return !out->cells.empty() || out->ended;
}

void TokenConstraint::AddSpecials() {
  const bool free = std::any_of(threads_.cells.begin(), threads_.cells.end(),
                                [this](CellId id) { return run_.NodeOf(id).free_text; });
  if (!free) return;
  Threads after;
  for (const std::int32_t token : trie_->special_tokens()) {
    if (!ReadSpecial(token, &after)) continue;
    const auto index = static_cast<std::size_t>(token);
    mask_[index / 64] |= std::uint64_t{1} << (index % 64);
  }
}

std::span<const std::uint64_t> TokenConstraint::Mask() {
  if (mask_is_current_) return mask_;
  mask_.assign(trie_->n_words(), 0);
  const std::size_t mark = run_.Mark();
  for (const CellId id : threads_.cells) {
    const bool in_string =
        run_.NodeOf(id).string != kUnlimited && run_.cell(id).string_state % 32 == kBody;
    in_string ? AddString(id) : AddCell(id);
  }
  if (has_free_text_) AddSpecials();
  run_.Rewind(mark);
  if (threads_.ended) {
    for (const std::int32_t token : trie_->end_tokens()) {
      const auto index = static_cast<std::size_t>(token);
      mask_[index / 64] |= std::uint64_t{1} << (index % 64);
    }
  }
  mask_is_current_ = true;
  return mask_;
}

Status TokenConstraint::Accept(std::int32_t token) {
  const auto refuse = [token] {
    return InvalidArgument("token {} does not fit what the answer is held to", token);
  };
  Threads after;
  if (token < 0 || token >= trie_->tokenizer().n_vocab()) return refuse();
  if (trie_->IsEnd(token)) {
    if (!threads_.ended) return refuse();
    // Parts of harmony's answers end with tokens that end other models' answers.
    if (!ReadSpecial(token, &after)) after.Clear();
  } else if (trie_->InTree(token)) {
    Threads now = threads_;
    for (const char c : trie_->tokenizer().TokenBytes(token)) {
      run_.Step(now, static_cast<std::uint8_t>(c), &after);
      std::swap(now, after);
    }
    std::swap(now, after);
    if (after.cells.empty() && !after.ended) return refuse();
  } else if (!ReadSpecial(token, &after)) {
    return refuse();
  }
  threads_ = std::move(after);
  mask_is_current_ = false;
  if (run_.Mark() > kMaxCells) run_.Compact(&threads_);
  return Status::Ok();
}

std::size_t TokenConstraint::n_bytes() const {
  return node_masks_bytes_ + mask_.capacity() * sizeof(std::uint64_t) +
         run_.Mark() * (sizeof(Cell) + 2 * sizeof(std::uint32_t));
}

}  // namespace larder
