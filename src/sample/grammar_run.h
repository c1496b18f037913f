// Runs a grammar over bytes: all the ways it may be read at once, each a stack of the rules it is
// inside of. Stacks share their lower parts and equal stacks are one, so that a set of them is a
// short list of numbers. One thread; borrows the grammar, which must outlive it.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "sample/grammar.h"
#include "sample/json_string.h"

namespace larder {

using CellId = std::uint32_t;

/// The top of a stack: a node, and the stack of what is to be done after its rule. Cell 0 is the
/// bottom, below which nothing is known.
struct Cell {
  CellId parent = 0;
  NodeId node = 0;
  std::uint32_t string_state = 0;  // inside a string: characters so far * 32 + phase
  std::uint32_t depth = 0;         // cells below
  CellId next = 0;                 // of equal hash
};

/// The ways to read what was read so far.
struct Threads {
  std::vector<CellId> cells;  // each may read a byte; no cell twice
  bool ended = false;         // one way ends here, the stack empty

  void Clear() {
    cells.clear();
    ended = false;
  }
};

struct ByteSet {
  std::array<std::uint64_t, 4> words{};

  bool Has(std::uint8_t byte) const { return (words[byte / 64] >> (byte % 64) & 1) != 0; }
  void Add(std::uint8_t low, std::uint8_t high) {
    for (unsigned byte = low; byte <= high; ++byte) {
      words[byte / 64] |= std::uint64_t{1} << (byte % 64);
    }
  }
  void AddAll(const ByteSet& other) {
    for (std::size_t i = 0; i < words.size(); ++i) words[i] |= other.words[i];
  }
};

class GrammarRun {
 public:
  /// Ways that need more than `max_depth` cells do not exist.
  explicit GrammarRun(const Grammar& grammar, std::uint32_t max_depth = kMaxGrammarDepth);

  const Grammar& grammar() const { return *grammar_; }
  const Cell& cell(CellId id) const { return cells_[id]; }
  const GrammarNode& NodeOf(CellId id) const { return grammar_->nodes[cells_[id].node]; }

  /// Adds the ways that enter `node` on top of `parent`.
  void Enter(CellId parent, NodeId node, Threads* out);
  /// Adds the ways that go on when the rule of `cell` has ended.
  void Leave(CellId cell, Threads* out);
  /// One cell as it is, without asking what it may do.
  CellId Intern(CellId parent, NodeId node, std::uint32_t string_state);

  /// Replaces `out` by the ways of `in` that read `byte`.
  void Step(const Threads& in, std::uint8_t byte, Threads* out);
  /// The bytes that Step would take.
  ByteSet FirstBytes(const Threads& in) const;

  /// Everything interned after `Mark` goes with `Rewind`.
  std::size_t Mark() const { return cells_.size(); }
  void Rewind(std::size_t mark);
  /// Keeps only what `threads` needs, under new numbers.
  void Compact(Threads* threads);

  /// The deepest that any way since ResetReach needs to go, its shortest end included.
  std::uint32_t reach() const { return reach_; }
  void ResetReach() { reach_ = 0; }

 private:
  void StepString(const Cell& cell, std::uint8_t byte, Threads* out);
  void Add(CellId id, Threads* out);
  bool Fits(std::uint32_t depth, NodeId node);
  void Grow();
  std::size_t Bucket(CellId parent, NodeId node, std::uint32_t string_state) const;

  const Grammar* grammar_;
  std::uint32_t max_depth_;
  std::uint32_t reach_ = 0;
  std::vector<Cell> cells_;
  std::vector<CellId> buckets_;      // 0: empty; a power of two of them
  std::vector<std::uint32_t> seen_;  // per cell: the last list it was put into
  std::uint32_t list_ = 0;
  std::vector<std::pair<CellId, NodeId>> pending_;
  std::array<ByteSet, kStringPhases> string_first_;
};

/// Whether `text` as a whole is one of the grammar's texts.
bool GrammarReads(const Grammar& grammar, std::string_view text);

}  // namespace larder
