// Retries with exponential delay over an AsyncReader.
#include "experts/retrying_reader.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <limits>
#include <new>
#include <system_error>
#include <thread>
#include <utility>

#include "base/clock.h"

namespace larder {
namespace {

constexpr double kRateHalfLifeBytes = 256e6;  // after which a busy time counts half
// A longer busy time is one in which nobody looked, or one read that came late.
constexpr std::int64_t kLongestBusyUs = 500'000;

// Why a completion cannot be used; empty when it can.
std::string Fault(const RetryableRead& read, const ReadCompletion& completion) {
  if (completion.error != 0) return std::generic_category().message(completion.error);
  if (completion.size_bytes > read.size_bytes) {
    return fmt::format("{} bytes came for {} asked", completion.size_bytes, read.size_bytes);
  }
  if (completion.size_bytes < read.needed_bytes) {
    return fmt::format("only {} of {} bytes came; is the file being changed or cut?",
                       completion.size_bytes, read.needed_bytes);
  }
  return std::string();
}

}  // namespace

void KeepMapped(PageBuffer buffer) {
  alignas(PageBuffer) std::byte storage[sizeof(PageBuffer)];
  new (storage) PageBuffer(std::move(buffer));  // its destructor never runs
}

RetryingReader::RetryingReader(AsyncReader* reader, const RetryOptions& options, ExpertStats* stats)
    : reader_(reader), options_(options), stats_(stats) {}

void RetryingReader::Add(const RetryableRead& read) {
  std::uint32_t index = 0;
  if (free_.empty()) {
    index = static_cast<std::uint32_t>(entries_.size());
    entries_.emplace_back();
  } else {
    index = free_.back();
    free_.pop_back();
  }
  entries_[index] = Entry();
  entries_[index].read = read;
  queued_.push_back(index);
}

void RetryingReader::Release(std::uint32_t entry) { free_.push_back(entry); }

void RetryingReader::TakeDue(std::int64_t now_us) {
  const auto is_due = [now_us](const Delayed& delayed) { return delayed.due_us <= now_us; };
  for (const Delayed& delayed : delayed_) {
    if (is_due(delayed)) queued_.push_back(delayed.entry);
  }
  delayed_.erase(std::remove_if(delayed_.begin(), delayed_.end(), is_due), delayed_.end());
}

Status RetryingReader::Submit() {
  if (queued_.empty() && delayed_.empty()) return Status::Ok();
  const std::int64_t now_us = NowUs();
  TakeDue(now_us);
  if (queued_.empty()) return Status::Ok();
  batch_.clear();
  for (const std::uint32_t index : queued_) {
    const RetryableRead& read = entries_[index].read;
    batch_.push_back({read.file, read.offset, read.size_bytes, read.dst, read.direct, index});
  }
  LARDER_RETURN_IF_ERROR(reader_->Submit(batch_));
  if (n_in_flight_ == 0) busy_since_us_ = rate_since_us_ = now_us;
  for (const std::uint32_t index : queued_) {
    Entry& entry = entries_[index];
    entry.in_flight = true;
    entry.submitted_us = now_us;
    ++entry.n_tries;
    ++stats_->n_reads;
    if (entry.n_tries > 1) ++stats_->n_retries;
  }
  n_in_flight_ += queued_.size();
  queued_.clear();
  return Status::Ok();
}

void RetryingReader::Complete(const ReadCompletion& completion, std::int64_t now_us, bool may_retry,
                              std::vector<ReadOutcome>* outcomes) {
  const auto index = static_cast<std::uint32_t>(completion.tag);
  LARDER_CHECK(completion.tag < entries_.size() && entries_[index].in_flight);
  Entry& entry = entries_[index];
  entry.in_flight = false;
  --n_in_flight_;
  stats_->read_latency_us += now_us - entry.submitted_us;
  const std::string fault = Fault(entry.read, completion);
  if (fault.empty()) {
    stats_->bytes_read += completion.size_bytes;
    busy_bytes_ += static_cast<std::int64_t>(completion.size_bytes);
    outcomes->push_back({entry.read.owner, Status::Ok()});
    return Release(index);
  }
  if (may_retry && entry.n_tries <= options_.max_retries) {
    const int doublings = std::min(entry.n_tries - 1, 20);
    delayed_.push_back({index, now_us + (options_.backoff_us << doublings)});
    return;
  }
  outcomes->push_back({entry.read.owner,
                       IoError("{}: reading {} bytes at offset {} failed {} time{} ({}); check the "
                               "disk and the file",
                               entry.read.file->path(), entry.read.size_bytes, entry.read.offset,
                               entry.n_tries, entry.n_tries == 1 ? "" : "s", fault)});
  Release(index);
}

// Ends a busy time.
void RetryingReader::BookRate(std::int64_t now_us) {
  const auto n_bytes = static_cast<double>(std::exchange(busy_bytes_, 0));
  if (now_us - rate_since_us_ > kLongestBusyUs) return;
  const double decay = std::exp2(-n_bytes / kRateHalfLifeBytes);
  recent_bytes_ = recent_bytes_ * decay + n_bytes;
  recent_us_ = recent_us_ * decay + static_cast<double>(now_us - rate_since_us_);
}

Status RetryingReader::ReapOnce(std::int64_t timeout_us, bool may_retry,
                                std::vector<ReadOutcome>* outcomes) {
  std::array<ReadCompletion, 64> completions;
  LARDER_ASSIGN_OR_RETURN(const std::size_t n_reaped, reader_->Reap(completions, timeout_us));
  if (n_reaped == 0) return Status::Ok();
  const std::int64_t now_us = NowUs();
  for (std::size_t i = 0; i < n_reaped; ++i) {
    Complete(completions[i], now_us, may_retry, outcomes);
  }
  if (n_in_flight_ == 0) {
    stats_->read_busy_us += now_us - busy_since_us_;
    BookRate(now_us);
  }
  return Status::Ok();
}

std::int64_t RetryingReader::TimeoutUs(bool wait) const {
  if (!wait) return 0;
  if (delayed_.empty()) return -1;
  std::int64_t due_us = std::numeric_limits<std::int64_t>::max();
  for (const Delayed& delayed : delayed_) due_us = std::min(due_us, delayed.due_us);
  return std::max<std::int64_t>(1, due_us - NowUs());
}

Status RetryingReader::Reap(bool wait, std::vector<ReadOutcome>* outcomes, std::int64_t limit_us) {
  const std::size_t n_before = outcomes->size();
  const std::int64_t end_us = limit_us < 0 ? 0 : NowUs() + limit_us;
  do {
    LARDER_RETURN_IF_ERROR(Submit());
    std::int64_t timeout_us = TimeoutUs(wait);
    if (wait && limit_us >= 0) {
      const std::int64_t left_us = end_us - NowUs();
      if (left_us <= 0) return Status::Ok();
      timeout_us = timeout_us < 0 ? left_us : std::min(timeout_us, left_us);
    }
    if (n_in_flight_ > 0) {
      LARDER_RETURN_IF_ERROR(ReapOnce(timeout_us, true, outcomes));
    } else if (wait && !delayed_.empty()) {
      std::this_thread::sleep_for(std::chrono::microseconds(timeout_us));
    }
  } while (wait && outcomes->size() == n_before && n_open() > 0);
  return Status::Ok();
}

Status RetryingReader::Abandon(std::vector<ReadOutcome>* outcomes) {
  for (const Delayed& delayed : delayed_) queued_.push_back(delayed.entry);
  delayed_.clear();
  for (const std::uint32_t index : queued_) {
    outcomes->push_back({entries_[index].read.owner, Cancelled("the read was given up")});
    Release(index);
  }
  queued_.clear();
  while (n_in_flight_ > 0) LARDER_RETURN_IF_ERROR(ReapOnce(-1, false, outcomes));
  return Status::Ok();
}

void RetryingReader::RestartBusyClock() {
  if (n_in_flight_ > 0) busy_since_us_ = NowUs();
}

}  // namespace larder
