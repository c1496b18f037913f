// Numbering of reads and the waiting for whichever comes first: a read, a due time, the timeout.
#include "io/delaying_reader.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <thread>

#include "base/clock.h"

namespace larder {

Status DelayingReader::Submit(std::span<const ReadRequest> requests) {
  std::vector<ReadRequest> numbered(requests.begin(), requests.end());
  for (std::size_t i = 0; i < numbered.size(); ++i) numbered[i].tag = n_submitted_ + i;
  LARDER_RETURN_IF_ERROR(inner_->Submit(numbered));
  const std::int64_t now_us = NowUs();
  for (const ReadRequest& request : requests) reads_[n_submitted_++] = {request, now_us};
  return Status::Ok();
}

Status DelayingReader::TakeFromInner(std::int64_t timeout_us) {
  std::array<ReadCompletion, 64> completions;
  LARDER_ASSIGN_OR_RETURN(const std::size_t n, inner_->Reap(completions, timeout_us));
  for (std::size_t i = 0; i < n; ++i) {
    ReadCompletion completion = completions[i];
    const std::uint64_t number = completion.tag;
    const auto found = reads_.find(number);
    LARDER_CHECK(found != reads_.end());
    const Read read = found->second;
    reads_.erase(found);
    completion.tag = read.request.tag;
    const std::int64_t due_us = Decide(number, read.request, read.submitted_us, completion);
    held_.emplace(due_us, completion);
  }
  return Status::Ok();
}

Result<std::size_t> DelayingReader::Reap(std::span<ReadCompletion> out, std::int64_t timeout_us) {
  if (out.empty()) return std::size_t{0};
  const std::int64_t deadline_us = NowUs() + std::max<std::int64_t>(timeout_us, 0);
  LARDER_RETURN_IF_ERROR(TakeFromInner(0));
  while (n_in_flight() > 0) {
    const std::int64_t now_us = NowUs();
    if (!held_.empty() && held_.begin()->first <= now_us) break;
    std::int64_t wait_us = timeout_us < 0 ? -1 : deadline_us - now_us;
    if (timeout_us >= 0 && wait_us <= 0) break;
    if (timeout_us != 0 && OnlyNeverLeft()) {
      out[0] = held_.begin()->second;
      held_.erase(held_.begin());
      return std::size_t{1};
    }
    if (!held_.empty() && held_.begin()->first != kNever) {
      const std::int64_t until_due_us = held_.begin()->first - now_us;
      wait_us = wait_us < 0 ? until_due_us : std::min(wait_us, until_due_us);
    }
    if (reads_.empty()) {
      std::this_thread::sleep_for(std::chrono::microseconds(wait_us));
    } else {
      LARDER_RETURN_IF_ERROR(TakeFromInner(wait_us));
    }
  }
  std::size_t n = 0;
  const std::int64_t now_us = NowUs();
  while (n < out.size() && !held_.empty() && held_.begin()->first <= now_us) {
    out[n++] = held_.begin()->second;
    held_.erase(held_.begin());
  }
  return n;
}

}  // namespace larder
