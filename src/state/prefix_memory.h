// PrefixMemory: kept pages and snapshots in memory, within a limit, the least recently used going
// first, and before them whatever only side requests used: those keep what there is room for, and
// push out nothing but each other's. One thread; what it gave out may be read by others and
// outlives it.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "base/memory.h"
#include "state/prefix_key.h"

namespace larder {

using PrefixBlob = std::shared_ptr<const PageBuffer>;

class PrefixMemory {
 public:
  explicit PrefixMemory(std::uint64_t limit_bytes) : limit_bytes_(limit_bytes) {}

  /// A new moment of use: what is used from now on goes after everything used before.
  void BeginUse() { ++moment_; }

  bool Has(const PrefixId& id) const { return items_.count(id) != 0; }
  /// Null when it is not here; else used now, by a side request or one that is none.
  PrefixBlob Find(const PrefixId& id, bool is_side);

  /// Memory for something new; null when it does not fit even without everything that was last used
  /// before this moment; `is_side`: without what side requests left. What somebody else holds (a
  /// writer) stays, and counts until it lets go.
  std::shared_ptr<PageBuffer> Allocate(std::uint64_t size_bytes, bool is_side);
  /// Keeps what Allocate gave, full by now; used now. `is_spare`: goes first among equals. An id
  /// that is here already is left alone.
  void Insert(const PrefixId& id, PrefixBlob blob, bool is_spare, bool is_side);

  /// The n_tokens of all snapshots, each once, descending.
  std::vector<std::int64_t> SnapshotLengths() const;

  std::uint64_t limit_bytes() const { return limit_bytes_; }
  std::uint64_t used_bytes() const { return used_bytes_->load(std::memory_order_relaxed); }

 private:
  struct Item {
    PrefixBlob blob;
    std::uint64_t last_use = 0;
    bool is_spare = false;
    bool is_side = false;  // used by side requests only
  };
  using Items = std::unordered_map<PrefixId, Item, PrefixIdHash>;

  Items::iterator Victim(bool is_side);

  std::uint64_t limit_bytes_;
  /// Of all that Allocate gave and somebody still holds; whoever lets go last counts it off.
  std::shared_ptr<std::atomic<std::uint64_t>> used_bytes_ =
      std::make_shared<std::atomic<std::uint64_t>>(0);
  std::uint64_t moment_ = 1;
  Items items_;
};

}  // namespace larder
