// DelayingReader: a decorator that may change completions and hand them out later than they came.
// The fault-injecting and the throttling reader are its two forms. Owns the reader it wraps; no
// threads of its own.
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "io/async_reader.h"

namespace larder {

class DelayingReader : public AsyncReader {
 public:
  explicit DelayingReader(std::unique_ptr<AsyncReader> inner) : inner_(std::move(inner)) {}

  Status Submit(std::span<const ReadRequest> requests) override;
  Result<std::size_t> Reap(std::span<ReadCompletion> out, std::int64_t timeout_us) override;
  std::size_t n_in_flight() const override { return reads_.size() + held_.size(); }

 protected:
  /// For Decide: handed out when the caller waits and nothing else is in flight.
  static constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();

  const AsyncReader& inner() const { return *inner_; }

  /// Called once per finished read, the n-th submitted (from 0): may change the completion and the
  /// bytes read, and returns when it may be handed out (a NowUs() time; the past: at once).
  virtual std::int64_t Decide(std::uint64_t n, const ReadRequest& request,
                              std::int64_t submitted_us, ReadCompletion& completion) = 0;

 private:
  struct Read {
    ReadRequest request;
    std::int64_t submitted_us = 0;
  };

  Status TakeFromInner(std::int64_t timeout_us);
  bool OnlyNeverLeft() const { return reads_.empty() && held_.begin()->first == kNever; }

  std::unique_ptr<AsyncReader> inner_;
  std::uint64_t n_submitted_ = 0;
  std::map<std::uint64_t, Read> reads_;               // with the inner reader, by number
  std::multimap<std::int64_t, ReadCompletion> held_;  // finished, by the time they are due
};

}  // namespace larder
