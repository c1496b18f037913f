// PrefixKeeper: the beginnings of prompts that later prompts start from. Keys and values are kept
// in pages of a fixed number of tokens, what linear layers remember in snapshots after chosen
// tokens, in memory and on disk (src/state); what a session still holds is used where it lies. A
// prompt that starts from a kept beginning gives the bits of one read whole. The scheduler's thread
// only.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "engine/session.h"
#include "state/prefix_disk.h"
#include "state/prefix_key.h"
#include "state/prefix_memory.h"

namespace larder {

/// A session and the tokens that its keys and values are of.
struct Timeline {
  std::unique_ptr<Session> session;
  std::vector<std::int32_t> tokens;
  bool is_live = true;   // the recurrent part stands behind the last of them
  bool is_side = false;  // of a small request: kept where that takes no room from others
  std::uint64_t last_use = 0;
};

/// A token of a prompt after which its state is kept.
struct PlannedMark {
  std::int64_t n_tokens = 0;
  bool is_spare = false;  // a regular mark, not the end of a message
  bool for_disk = false;
};

struct PrefixKeeperStats {
  std::uint64_t n_lookups = 0;
  std::uint64_t n_hits = 0;
  std::uint64_t n_disk_hits = 0;
};

/// How many tokens both begin with.
std::int64_t CommonTokens(std::span<const std::int32_t> a, std::span<const std::int32_t> b);

class PrefixKeeper {
 public:
  /// `disk` may be null. With a memory limit of 0 nothing is kept but what sessions hold.
  PrefixKeeper(const StateShape& shape, std::int64_t page_tokens, std::uint64_t memory_limit_bytes,
               std::unique_ptr<PrefixDisk> disk);

  std::int64_t page_tokens() const { return page_tokens_; }

  /// Makes `target`'s session hold the longest kept beginning of the prompt, at most all tokens but
  /// the last, and returns its length; 0: an empty session. `all` are the timelines there are,
  /// target among them.
  std::int64_t Restore(const PrefixChain& chain, std::span<const Timeline* const> all,
                       Timeline* target);

  /// Where snapshots of a prompt pay, ascending, behind n_reused tokens and before the last.
  /// `boundaries` are ends of messages.
  std::vector<PlannedMark> PlanMarks(std::span<const std::int64_t> boundaries,
                                     std::int64_t n_reused, std::int64_t n_prompt) const;

  /// The snapshots of a prompt that are of use on disk, ascending, whether they are there yet or
  /// not.
  std::vector<PrefixId> WantedOnDisk(const PrefixChain& chain,
                                     std::span<const std::int64_t> boundaries) const;

  /// Memory for the snapshot after n_tokens; its first RecurrentBytes() are a StateMark's. Null
  /// when there is no room.
  std::shared_ptr<PageBuffer> BeginSnapshot(std::int64_t n_tokens, bool is_side);
  /// Keeps it; the timeline's session has read beyond the mark.
  void KeepSnapshot(const PrefixChain& chain, const PlannedMark& mark,
                    std::shared_ptr<PageBuffer> blob, const Timeline& timeline);

  /// A session's request has ended: keeps its whole pages and the state after its last token. On
  /// disk, those of the snapshots `for_disk` that there are, and the pages before them, are used
  /// now; what is missing is written, as far as a restart could use it. Nothing of a side request.
  void Keep(const Timeline& timeline, std::span<const PrefixId> for_disk);

  PrefixKeeperStats stats() const { return stats_; }
  const PrefixMemory& memory() const { return memory_; }
  /// What it points to is for any thread.
  const PrefixDisk* disk() const { return disk_.get(); }
  void StopDisk(std::int64_t deadline_us);

 private:
  std::uint64_t PageBytes() const {
    return static_cast<std::uint64_t>(page_tokens_) * kv_bytes_per_token_;
  }
  std::uint64_t SnapshotBytes(std::int64_t n_tokens) const;
  std::int64_t WholePages(std::int64_t n_tokens) const {
    return n_tokens / page_tokens_ * page_tokens_;
  }
  std::vector<std::int64_t> Candidates(const PrefixChain& chain, std::int64_t n_own,
                                       const Timeline& target) const;
  bool Has(const PrefixId& id) const;
  void KeepPages(const PrefixChain& chain, const Timeline& timeline);
  std::vector<PrefixId> UsableOnDisk(const PrefixChain& chain,
                                     std::span<const PrefixId> for_disk) const;
  void KeepOnDisk(const PrefixChain& chain, std::span<const PrefixId> for_disk);
  void KeepFile(const PrefixId& id);
  void TouchDisk(const PrefixChain& chain, std::int64_t n_tokens);
  PrefixBlob Get(const PrefixId& id, std::uint64_t size_bytes, bool is_side);
  bool Load(const PrefixChain& chain, std::int64_t n_tokens, std::int64_t n_own,
            std::pair<const Timeline*, std::int64_t> other, Timeline* target);

  StateShape shape_;
  std::int64_t page_tokens_;
  std::uint64_t kv_bytes_per_token_;
  std::uint64_t recurrent_bytes_;
  PrefixMemory memory_;
  std::unique_ptr<PrefixDisk> disk_;
  PrefixKeeperStats stats_;
  bool used_disk_ = false;  // by the Restore under way
};

}  // namespace larder
