// Short words by repeated search of the lowest rank, which needs no heap; long ones by places kept
// by rank over a linked list, where a place that no longer fits its rank is dropped when it comes
// up.
#include "text/bpe.h"

#include <algorithm>
#include <bit>
#include <functional>

#include "base/check.h"

namespace larder {
namespace {

constexpr std::size_t kShortWord = 48;
constexpr std::uint32_t kNoMerge = ~std::uint32_t{0};
constexpr std::int32_t kGone = -1;  // merged into its left neighbour

std::uint64_t Key(std::int32_t left, std::int32_t right) {
  return std::uint64_t{static_cast<std::uint32_t>(left)} << 32 | static_cast<std::uint32_t>(right);
}

}  // namespace

void BpeMergeTable::Reserve(std::size_t n_merges) {
  LARDER_CHECK(n_entries_ == 0);
  entries_.assign(std::bit_ceil(n_merges * 2 + 2), Entry());
}

std::size_t BpeMergeTable::Slot(std::uint64_t key) const {
  // Fibonacci hashing: the product's upper half mixes both tokens.
  std::size_t slot = (key * 0x9e3779b97f4a7c15ull >> 32) & (entries_.size() - 1);
  while (entries_[slot].key != key && entries_[slot].key != ~std::uint64_t{0}) {
    slot = (slot + 1) & (entries_.size() - 1);
  }
  return slot;
}

void BpeMergeTable::Add(std::int32_t left, std::int32_t right, BpeMerge merge) {
  LARDER_CHECK(n_entries_ * 2 < entries_.size());
  Entry& entry = entries_[Slot(Key(left, right))];
  if (entry.key != ~std::uint64_t{0}) return;
  entry = {Key(left, right), merge};
  ++n_entries_;
}

const BpeMerge* BpeMergeTable::Find(std::int32_t left, std::int32_t right) const {
  if (n_entries_ == 0) return nullptr;
  const std::uint64_t key = Key(left, right);
  const Entry& entry = entries_[Slot(key)];
  return entry.key == key ? &entry.merge : nullptr;
}

void BpeWorkspace::Merge(const BpeMergeTable& table, const std::atomic<bool>* cancelled) {
  if (word_.size() < 2) return;
  if (word_.size() <= kShortWord) {
    MergeShort(table);
  } else {
    MergeLong(table, cancelled);
  }
}

void BpeWorkspace::MergeShort(const BpeMergeTable& table) {
  std::size_t n = word_.size();
  ranks_.resize(n);
  merged_.resize(n);
  const auto look_up = [&](std::size_t i) {
    const BpeMerge* merge = i + 1 < n ? table.Find(word_[i], word_[i + 1]) : nullptr;
    ranks_[i] = merge != nullptr ? merge->rank : kNoMerge;
    merged_[i] = merge != nullptr ? merge->token : 0;
  };
  for (std::size_t i = 0; i < n; ++i) look_up(i);
  while (n > 1) {
    const auto best = std::min_element(ranks_.begin(), ranks_.begin() + static_cast<long>(n));
    if (*best == kNoMerge) break;
    const std::size_t i = static_cast<std::size_t>(best - ranks_.begin());
    word_[i] = merged_[i];
    --n;
    for (std::size_t j = i + 1; j < n; ++j) {
      word_[j] = word_[j + 1];
      ranks_[j] = ranks_[j + 1];
      merged_[j] = merged_[j + 1];
    }
    look_up(i);
    if (i > 0) look_up(i - 1);
  }
  word_.resize(n);
}

void BpeWorkspace::Push(const BpeMergeTable& table, std::int32_t position) {
  if (position < 0) return;
  const Symbol& left = symbols_[static_cast<std::size_t>(position)];
  if (left.next < 0) return;
  const std::int32_t right = symbols_[static_cast<std::size_t>(left.next)].token;
  const BpeMerge* merge = table.Find(left.token, right);
  if (merge == nullptr) return;
  Bucket& bucket = buckets_[merge->rank];
  if (bucket.positions.empty() || bucket.positions.back() <= position) {
    bucket.positions.push_back(position);
    return;
  }
  bucket.late.push_back(position);
  std::push_heap(bucket.late.begin(), bucket.late.end(), std::greater<>());
}

// -1 when none is left.
std::int32_t BpeWorkspace::PopLowest(Bucket& bucket) {
  const bool any_in_order = bucket.n_done < bucket.positions.size();
  if (bucket.late.empty() ||
      (any_in_order && bucket.positions[bucket.n_done] <= bucket.late.front())) {
    return any_in_order ? bucket.positions[bucket.n_done++] : -1;
  }
  std::pop_heap(bucket.late.begin(), bucket.late.end(), std::greater<>());
  const std::int32_t position = bucket.late.back();
  bucket.late.pop_back();
  return position;
}

// False where the pair of that rank is gone.
bool BpeWorkspace::MergeAt(const BpeMergeTable& table, std::uint32_t rank, std::int32_t position) {
  Symbol& left = symbols_[static_cast<std::size_t>(position)];
  if (left.token == kGone || left.next < 0) return false;
  Symbol& right = symbols_[static_cast<std::size_t>(left.next)];
  const BpeMerge* merge = table.Find(left.token, right.token);
  if (merge == nullptr || merge->rank != rank) return false;
  left.token = merge->token;
  right.token = kGone;
  left.next = right.next;
  if (left.next >= 0) symbols_[static_cast<std::size_t>(left.next)].previous = position;
  return true;
}

void BpeWorkspace::MergeLong(const BpeMergeTable& table, const std::atomic<bool>* cancelled) {
  const std::int32_t n = static_cast<std::int32_t>(word_.size());
  symbols_.clear();
  symbols_.reserve(word_.size());
  buckets_.clear();
  for (std::int32_t i = 0; i < n; ++i) {
    symbols_.push_back({word_[static_cast<std::size_t>(i)], i - 1, i + 1 < n ? i + 1 : -1});
  }
  for (std::int32_t i = 0; i < n; ++i) Push(table, i);
  // The lowest rank is looked up again after each merge, because a merge can bring a lower one.
  while (!buckets_.empty() && (cancelled == nullptr || !*cancelled)) {
    const std::uint32_t rank = buckets_.begin()->first;
    Bucket& bucket = buckets_.begin()->second;
    const std::int32_t position = PopLowest(bucket);
    if (position < 0) {
      buckets_.erase(buckets_.begin());
      continue;
    }
    if (!MergeAt(table, rank, position)) continue;
    Push(table, position);
    Push(table, symbols_[static_cast<std::size_t>(position)].previous);
  }
  word_.clear();
  for (std::int32_t i = 0; i >= 0; i = symbols_[static_cast<std::size_t>(i)].next) {
    word_.push_back(symbols_[static_cast<std::size_t>(i)].token);
  }
}

}  // namespace larder
