// The yardsticks are one policy with three orders: slots sorted by a key, smallest given up first.
#include "experts/cache_simulation.h"

#include <algorithm>
#include <limits>
#include <set>
#include <utility>

#include "base/check.h"

namespace larder {
namespace {

// Large first component: worth keeping; the second decides between equals.
using Key = std::pair<std::int64_t, std::int64_t>;

std::size_t TableSize(const RoutingRecord& record) {
  return static_cast<std::size_t>(record.n_layers) * static_cast<std::size_t>(record.n_experts);
}

class OrderedPolicy : public CachePolicy {
 public:
  explicit OrderedPolicy(const RoutingRecord& record)
      : n_experts_(record.n_experts), slot_of_(TableSize(record), -1) {}

  void Requested(int layer, std::span<const std::int32_t> experts,
                 const TokenCounts& /*tokens*/) override {
    for (const std::int32_t expert : experts) {
      const std::size_t index = Index(layer, expert);
      Used(index);
      if (slot_of_[index] >= 0) Insert(slot_of_[index], index);
    }
  }

  void Admitted(int slot, int layer, int expert) override {
    const auto at = static_cast<std::size_t>(slot);
    if (at >= places_.size()) places_.resize(at + 1);
    Insert(slot, Index(layer, expert));
  }

  int Victim(int /*layer*/, const std::function<bool(int slot)>& evictable) override {
    for (const auto& [key, slot] : order_) {
      if (!evictable(slot)) continue;
      const int victim = slot;
      Remove(victim);
      return victim;
    }
    return -1;
  }

 protected:
  /// The next use is of `index` (of a layer's expert).
  virtual void Used(std::size_t index) = 0;
  virtual Key KeyOf(std::size_t index) const = 0;

 private:
  struct Place {
    bool is_held = false;
    std::size_t index = 0;
    Key key;
  };

  std::size_t Index(int layer, int expert) const {
    return static_cast<std::size_t>(layer) * static_cast<std::size_t>(n_experts_) +
           static_cast<std::size_t>(expert);
  }

  void Insert(int slot, std::size_t index) {
    Place& place = places_[static_cast<std::size_t>(slot)];
    if (place.is_held) Remove(slot);
    place = {true, index, KeyOf(index)};
    order_.insert({place.key, slot});
    slot_of_[index] = slot;
  }

  void Remove(int slot) {
    Place& place = places_[static_cast<std::size_t>(slot)];
    order_.erase({place.key, slot});
    slot_of_[place.index] = -1;
    place.is_held = false;
  }

  int n_experts_;
  std::set<std::pair<Key, int>> order_;
  std::vector<Place> places_;  // [n_slots]
  std::vector<int> slot_of_;   // [n_layers, n_experts] -1: absent
};

class GlobalLru final : public OrderedPolicy {
 public:
  explicit GlobalLru(const RoutingRecord& record)
      : OrderedPolicy(record), last_use_(TableSize(record), -1) {}

 private:
  void Used(std::size_t index) override { last_use_[index] = ++n_uses_; }
  Key KeyOf(std::size_t index) const override { return {last_use_[index], 0}; }

  std::int64_t n_uses_ = 0;
  std::vector<std::int64_t> last_use_;
};

class GlobalLfu final : public OrderedPolicy {
 public:
  explicit GlobalLfu(const RoutingRecord& record)
      : OrderedPolicy(record), n_uses_(TableSize(record), 0), last_use_(TableSize(record), -1) {}

 private:
  void Used(std::size_t index) override {
    ++n_uses_[index];
    last_use_[index] = ++clock_;
  }
  Key KeyOf(std::size_t index) const override { return {n_uses_[index], last_use_[index]}; }

  std::int64_t clock_ = 0;
  std::vector<std::int64_t> n_uses_;
  std::vector<std::int64_t> last_use_;
};

class Belady final : public OrderedPolicy {
 public:
  explicit Belady(const RoutingRecord& record)
      : OrderedPolicy(record), next_use_(TableSize(record), kNever), n_used_(record.n_used) {
    // Backwards through the record: for every use, which request uses the same expert next.
    next_of_use_.resize(record.experts.size());
    for (std::int64_t i = record.n_requests() - 1; i >= 0; --i) {
      const auto n_used = static_cast<std::size_t>(record.n_used);
      for (std::size_t k = 0; k < n_used; ++k) {
        const std::size_t use = static_cast<std::size_t>(i) * n_used + k;
        const auto layer = static_cast<std::size_t>(i % record.n_layers);
        std::int64_t& next = next_use_[layer * static_cast<std::size_t>(record.n_experts) +
                                       static_cast<std::size_t>(record.experts[use])];
        next_of_use_[use] = std::exchange(next, i);
      }
    }
  }

 private:
  static constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max() / 2;

  void Used(std::size_t index) override {
    const std::int64_t now = static_cast<std::int64_t>(n_uses_++) / n_used_;
    LARDER_CHECK(next_use_[index] == now);  // else it replays another record
    next_use_[index] = next_of_use_[n_uses_ - 1];
  }
  Key KeyOf(std::size_t index) const override { return {-next_use_[index], 0}; }

  std::vector<std::int64_t> next_use_;     // [n_layers, n_experts] request number
  std::vector<std::int64_t> next_of_use_;  // like RoutingRecord::experts
  int n_used_;
  std::size_t n_uses_ = 0;
};

}  // namespace

std::span<const std::int32_t> RoutingRecord::Request(std::int64_t index) const {
  const auto n = static_cast<std::size_t>(n_used);
  return {experts.data() + static_cast<std::size_t>(index) * n, n};
}

RoutingRecord RecordRouting(RoutingSequence& source, int n_layers, int n_experts,
                            std::int64_t n_steps) {
  RoutingRecord record{n_layers, n_experts, 0, n_steps, {}};
  for (std::int64_t step = 0; step < n_steps; ++step) {
    source.NextToken();
    for (int layer = 0; layer < n_layers; ++layer) {
      const auto experts = source.Experts(layer);
      record.n_used = static_cast<int>(experts.size());
      record.experts.insert(record.experts.end(), experts.begin(), experts.end());
    }
  }
  return record;
}

ReplayResult ReplayCache(const RoutingRecord& record, int n_slots, CachePolicy& policy) {
  std::vector<int> slot_of(TableSize(record), -1);
  std::vector<std::int64_t> key_in(static_cast<std::size_t>(n_slots), -1);
  std::vector<std::int64_t> used_by(static_cast<std::size_t>(n_slots), -1);
  int n_free = n_slots;
  ReplayResult result;
  std::int64_t request = 0;
  const std::function<bool(int)> evictable = [&](int slot) {
    return used_by[static_cast<std::size_t>(slot)] != request;
  };
  std::vector<std::int32_t> missing;
  for (; request < record.n_requests(); ++request) {
    const auto layer = static_cast<int>(request % record.n_layers);
    const auto key_of = [&](std::int32_t expert) {
      return static_cast<std::size_t>(layer) * static_cast<std::size_t>(record.n_experts) +
             static_cast<std::size_t>(expert);
    };
    policy.Requested(layer, record.Request(request));
    missing.clear();
    for (const std::int32_t expert : record.Request(request)) {
      ++result.n_asked;
      const int slot = slot_of[key_of(expert)];
      if (slot < 0) {
        missing.push_back(expert);
        continue;
      }
      ++result.n_hits;
      used_by[static_cast<std::size_t>(slot)] = request;
    }
    std::sort(missing.begin(), missing.end());
    for (const std::int32_t expert : missing) {
      const int slot = n_free > 0 ? --n_free : policy.Victim(layer, evictable);
      if (slot < 0) break;
      std::int64_t& key = key_in[static_cast<std::size_t>(slot)];
      if (key >= 0) slot_of[static_cast<std::size_t>(key)] = -1;
      key = static_cast<std::int64_t>(key_of(expert));
      slot_of[static_cast<std::size_t>(key)] = slot;
      used_by[static_cast<std::size_t>(slot)] = request;
      policy.Admitted(slot, layer, expert);
    }
  }
  return result;
}

CacheComparison ComparePolicies(const RoutingRecord& record, int n_slots) {
  const auto rate = [&](const std::unique_ptr<CachePolicy>& policy) {
    return ReplayCache(record, n_slots, *policy).HitRate();
  };
  return {n_slots, rate(MakeGlobalLruPolicy(record)), rate(MakeGlobalLfuPolicy(record)),
          rate(MakeHeatPolicy(n_slots, record.n_layers, record.n_experts)),
          rate(MakeBeladyPolicy(record))};
}

std::unique_ptr<CachePolicy> MakeGlobalLruPolicy(const RoutingRecord& record) {
  return std::make_unique<GlobalLru>(record);
}

std::unique_ptr<CachePolicy> MakeGlobalLfuPolicy(const RoutingRecord& record) {
  return std::make_unique<GlobalLfu>(record);
}

std::unique_ptr<CachePolicy> MakeBeladyPolicy(const RoutingRecord& record) {
  return std::make_unique<Belady>(record);
}

}  // namespace larder
