// Byte-pair merges inside one word. The table is built once and then immutable; a BpeWorkspace
// belongs to one thread's call and holds the scratch that is reused from word to word.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

namespace larder {

/// What two neighbouring tokens become, and how early. In byte-level BPE ranks are the merges'
/// places in the list; with scores, all pairs whose merged tokens score the same share a rank.
struct BpeMerge {
  std::uint32_t rank;
  std::int32_t token;
};

/// (left, right) -> merge, by open addressing: 16 bytes for an entry, at most half full.
class BpeMergeTable {
 public:
  void Reserve(std::size_t n_merges);

  /// A pair that is already there keeps its first, lower rank. Reserve enough beforehand.
  void Add(std::int32_t left, std::int32_t right, BpeMerge merge);
  const BpeMerge* Find(std::int32_t left, std::int32_t right) const;

  std::size_t size() const { return n_entries_; }
  std::size_t n_bytes() const { return entries_.capacity() * sizeof(Entry); }

 private:
  struct Entry {
    std::uint64_t key = ~std::uint64_t{0};  // all ones: empty
    BpeMerge merge{};
  };
  std::size_t Slot(std::uint64_t key) const;

  std::vector<Entry> entries_;
  std::size_t n_entries_ = 0;
};

/// Stands for a character that is no token: it never merges.
constexpr std::int32_t kNoSymbol = -2;

class BpeWorkspace {
 public:
  /// The tokens of one word, to be filled by the caller before Merge.
  std::vector<std::int32_t>& word() { return word_; }

  /// Merges word() in place: always the pair of the lowest rank, the leftmost of equals, until none
  /// is left, or `cancelled` (may be null) is true. O(n log n) for long words.
  void Merge(const BpeMergeTable& table, const std::atomic<bool>* cancelled = nullptr);

 private:
  struct Symbol {
    std::int32_t token;  // kGone: merged into its left neighbour
    std::int32_t previous;
    std::int32_t next;
  };
  // All places where a pair of one rank stood when they were noted. Most are noted in ascending
  // order; the others are a heap with the lowest in front.
  struct Bucket {
    std::size_t n_done = 0;               // positions[0, n_done) were dealt with
    std::vector<std::int32_t> positions;  // of the left symbol
    std::vector<std::int32_t> late;
  };

  void MergeShort(const BpeMergeTable& table);
  void MergeLong(const BpeMergeTable& table, const std::atomic<bool>* cancelled);
  void Push(const BpeMergeTable& table, std::int32_t position);
  std::int32_t PopLowest(Bucket& bucket);
  bool MergeAt(const BpeMergeTable& table, std::uint32_t rank, std::int32_t position);

  std::vector<std::int32_t> word_;
  std::vector<std::uint32_t> ranks_;
  std::vector<std::int32_t> merged_;
  std::vector<Symbol> symbols_;
  std::map<std::uint32_t, Bucket> buckets_;  // by rank
};

}  // namespace larder
