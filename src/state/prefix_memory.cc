// Which kept item goes first: a side request's; then the one unused for longest; of those, spare
// snapshots, then whatever stands deepest in its prompt, because the beginning is of use without
// the end and not the other way.
#include "state/prefix_memory.h"

#include <algorithm>
#include <tuple>

namespace larder {

PrefixBlob PrefixMemory::Find(const PrefixId& id, bool is_side) {
  const auto found = items_.find(id);
  if (found == items_.end()) return nullptr;
  found->second.last_use = moment_;
  if (!is_side) found->second.is_side = false;
  return found->second.blob;
}

PrefixMemory::Items::iterator PrefixMemory::Victim(bool is_side) {
  auto best = items_.end();
  const auto rank = [](const Items::value_type& item) {
    return std::make_tuple(!item.second.is_side, item.second.last_use, !item.second.is_spare,
                           -item.first.n_tokens);
  };
  for (auto it = items_.begin(); it != items_.end(); ++it) {
    if (it->second.last_use == moment_ || it->second.blob.use_count() > 1) continue;
    if (is_side && !it->second.is_side) continue;
    if (best == items_.end() || rank(*it) < rank(*best)) best = it;
  }
  return best;
}

std::shared_ptr<PageBuffer> PrefixMemory::Allocate(std::uint64_t size_bytes, bool is_side) {
  const std::uint64_t rounded = AlignUp(size_bytes, kPageBytes);
  while (used_bytes() + rounded > limit_bytes_) {
    const auto victim = Victim(is_side);
    if (victim == items_.end()) return nullptr;
    items_.erase(victim);
  }
  Result<PageBuffer> buffer = PageBuffer::Allocate(size_bytes, false);
  if (!buffer.ok()) return nullptr;
  *used_bytes_ += rounded;
  const auto let_go = [used = used_bytes_, rounded](PageBuffer* gone) {
    delete gone;
    *used -= rounded;
  };
  return {new PageBuffer(std::move(*buffer)), let_go};
}

void PrefixMemory::Insert(const PrefixId& id, PrefixBlob blob, bool is_spare, bool is_side) {
  const auto [it, is_new] = items_.try_emplace(id);
  Item& item = it->second;
  item.last_use = moment_;
  item.is_spare = is_spare && (is_new || item.is_spare);
  item.is_side = is_side && (is_new || item.is_side);
  if (is_new) item.blob = std::move(blob);
}

std::vector<std::int64_t> PrefixMemory::SnapshotLengths() const {
  std::vector<std::int64_t> lengths;
  for (const auto& [id, item] : items_) {
    if (id.kind == PrefixKind::kSnapshot) lengths.push_back(id.n_tokens);
  }
  std::sort(lengths.rbegin(), lengths.rend());
  lengths.erase(std::unique(lengths.begin(), lengths.end()), lengths.end());
  return lengths;
}

}  // namespace larder
