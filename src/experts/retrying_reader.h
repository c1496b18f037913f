// RetryingReader: reads of the experts room over a shared AsyncReader. A read that fails, comes
// back short or reports a count that cannot be is tried again after a delay that doubles; what
// fails for good is reported with file, offset and reason. Owned and called by one thread; borrows
// the AsyncReader, which is its alone while any of its reads is open.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/memory.h"
#include "base/status.h"
#include "experts/expert_store.h"
#include "io/async_reader.h"

namespace larder {

/// `size_bytes` bytes asked for at `offset`, of which the first `needed_bytes` must exist.
struct RetryableRead {
  const File* file = nullptr;
  std::uint64_t offset = 0;
  std::size_t size_bytes = 0;
  std::size_t needed_bytes = 0;
  std::byte* dst = nullptr;
  bool direct = false;
  std::uint64_t owner = 0;  // returned with the outcome
};

struct ReadOutcome {
  std::uint64_t owner = 0;
  Status status;  // kIoError when it failed for good
};

struct RetryOptions {
  int max_retries = 3;
  std::int64_t backoff_us = 2000;  // doubled at each retry
};

/// Never unmaps `buffer`: for targets of reads that a broken reader may still carry out.
void KeepMapped(PageBuffer buffer);

class RetryingReader {
 public:
  /// `reader` and `stats` outlive it. Counts bytes, reads, retries, latency and busy time.
  RetryingReader(AsyncReader* reader, const RetryOptions& options, ExpertStats* stats);

  /// Queues a read until Submit.
  void Add(const RetryableRead& read);
  /// Hands queued reads to the reader in the order added, with the retries that are due, in one
  /// call. Fails only when the reader is broken; the reads are then dropped by Abandon.
  Status Submit();
  /// Appends what finished or failed for good. With `wait`, waits until there is at least one, as
  /// long as any read is open, and not longer than `limit_us` (negative: for as long as it takes).
  /// Fails only when the reader is broken.
  Status Reap(bool wait, std::vector<ReadOutcome>* outcomes, std::int64_t limit_us = -1);
  /// Drops what is queued or waits for a retry, and waits for what is in flight, without retries.
  /// Every open read gets its outcome. Fails only when the reader is broken: then reads may still
  /// be in flight.
  Status Abandon(std::vector<ReadOutcome>* outcomes);

  /// Reads added whose outcome has not been reported.
  std::size_t n_open() const { return queued_.size() + delayed_.size() + n_in_flight_; }
  std::size_t n_in_flight() const { return n_in_flight_; }
  /// Bytes per second while any read is in flight, the latest reads foremost; 0: not known yet.
  double bytes_per_second() const { return recent_us_ > 0 ? 1e6 * recent_bytes_ / recent_us_ : 0; }
  /// Busy time up to now counts as from now.
  void RestartBusyClock();

 private:
  struct Entry {
    RetryableRead read;
    int n_tries = 0;
    std::int64_t submitted_us = 0;
    bool in_flight = false;
  };
  struct Delayed {
    std::uint32_t entry = 0;
    std::int64_t due_us = 0;
  };

  void TakeDue(std::int64_t now_us);
  void BookRate(std::int64_t now_us);
  std::int64_t TimeoutUs(bool wait) const;
  void Complete(const ReadCompletion& completion, std::int64_t now_us, bool may_retry,
                std::vector<ReadOutcome>* outcomes);
  Status ReapOnce(std::int64_t timeout_us, bool may_retry, std::vector<ReadOutcome>* outcomes);
  void Release(std::uint32_t entry);

  AsyncReader* reader_;
  RetryOptions options_;
  ExpertStats* stats_;
  std::vector<Entry> entries_;
  std::vector<std::uint32_t> free_;
  std::vector<std::uint32_t> queued_;
  std::vector<Delayed> delayed_;
  std::vector<ReadRequest> batch_;  // scratch of Submit
  std::size_t n_in_flight_ = 0;
  std::int64_t busy_since_us_ = 0;
  std::int64_t rate_since_us_ = 0;  // as above, never restarted
  std::int64_t busy_bytes_ = 0;     // since then
  double recent_bytes_ = 0;         // of busy times that ended, older ones counting less
  double recent_us_ = 0;
};

}  // namespace larder
