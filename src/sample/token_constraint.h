// Holds an answer to a grammar: says before each token which may come, and is told which came. The
// mask of a state is worked out once and kept: most tokens are decided by the grammar's node alone,
// and only those that leave its rule are tried against the stack each time (after Dong et al.,
// "XGrammar", 2024). One constraint per stream, used by one thread; grammar and tree are shared.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/status.h"
#include "sample/grammar.h"
#include "sample/grammar_run.h"
#include "sample/token_trie.h"

namespace larder {

class TokenConstraint {
 public:
  TokenConstraint(std::shared_ptr<const Grammar> grammar, std::shared_ptr<const TokenTrie> trie);

  /// Bit i % 64 of word i / 64 says whether token i may come next; [n_vocab / 64, rounded up]. End
  /// tokens may where the text is complete. At least one token may until over(). Valid until the
  /// next call of anything here.
  std::span<const std::uint64_t> Mask();

  /// kInvalidArgument, and nothing has changed, for a token that the mask forbids.
  Status Accept(std::int32_t token);

  /// The text so far is complete.
  bool may_end() const { return threads_.ended; }
  /// Nothing but the end may follow.
  bool must_end() const { return threads_.cells.empty(); }
  /// An end token came and nothing may follow it: Mask must not be asked any more. Where all of the
  /// text is free, it may go on behind an end token.
  bool over() const { return threads_.cells.empty() && !threads_.ended; }

  /// Back to the beginning; what was worked out stays.
  void Reset();

  /// Memory held here, the shared parts not counted; bounded by about 9 MiB and 20 bytes per token
  /// of an answer's nesting.
  std::size_t n_bytes() const;

 private:
  /// What tokens do at a node, whatever lies below it on the stack.
  struct NodeMask {
    std::vector<std::int32_t> tokens;    // allowed, when they are few
    std::vector<std::uint64_t> words;    // the same as a mask, when they are many
    std::vector<std::uint32_t> escapes;  // nodes of the tree where the rule has ended
    std::uint32_t reach = 0;             // see GrammarRun::reach
  };

  const NodeMask& MaskOf(const Cell& cell);
  void AddCell(CellId id);
  void AddString(CellId id);
  void AddSpecials();
  bool ReadSpecial(std::int32_t token, Threads* out);
  void Walk(GrammarRun* run, const Threads& start, std::uint32_t begin, std::uint32_t end,
            std::vector<std::uint64_t>* words, std::vector<std::uint32_t>* escapes);
  void Allow(std::uint32_t tree_node, std::vector<std::uint64_t>* words) const;

  std::shared_ptr<const Grammar> grammar_;
  std::shared_ptr<const TokenTrie> trie_;
  GrammarRun run_;    // of the answer
  GrammarRun probe_;  // of nodes by themselves
  Threads threads_;
  Threads below_;
  std::vector<Threads> levels_;  // one per byte of the longest token
  std::vector<ByteSet> first_bytes_;
  std::vector<std::uint32_t> ends_;
  std::vector<std::uint64_t> mask_;
  bool mask_is_current_ = false;
  bool has_free_text_ = false;
  std::unordered_map<std::uint64_t, NodeMask> node_masks_;
  std::size_t node_masks_bytes_ = 0;
};

}  // namespace larder
