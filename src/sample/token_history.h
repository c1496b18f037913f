// How often each token stands among the last ones of a stream: what the penalties need. Belongs to
// one Sampler.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <unordered_map>

namespace larder {

class TokenHistory {
 public:
  struct Count {
    std::int32_t n_seen = 0;     // in the prompt and the answer
    std::int32_t n_sampled = 0;  // in the answer
  };

  /// Only the last `window` tokens count; 0: all.
  explicit TokenHistory(std::size_t window) : window_(window) {}

  void Add(std::int32_t token, bool sampled) {
    Change(token, sampled, 1);
    if (window_ == 0) return;
    entries_.push_back({token, sampled});
    if (entries_.size() <= window_) return;
    Change(entries_.front().token, entries_.front().sampled, -1);
    entries_.pop_front();
  }

  const std::unordered_map<std::int32_t, Count>& counts() const { return counts_; }

 private:
  struct Entry {
    std::int32_t token;
    bool sampled;
  };

  void Change(std::int32_t token, bool sampled, std::int32_t by) {
    Count& count = counts_[token];
    count.n_seen += by;
    if (sampled) count.n_sampled += by;
    if (count.n_seen == 0) counts_.erase(token);
  }

  std::size_t window_;
  std::deque<Entry> entries_;  // empty when window_ is 0
  std::unordered_map<std::int32_t, Count> counts_;
};

}  // namespace larder
