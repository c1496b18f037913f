// The io_uring reader. At most `depth` reads are with the kernel, one slot each; the rest waits in
// `waiting_`. Owns the ring; used by one thread. The destructor drops waiting requests and waits
// for those the kernel has. Keeps to calls that liburing 2.1 has.
#include <liburing.h>
#include <time.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <deque>
#include <vector>

#include "base/clock.h"
#include "io/read_progress.h"
#include "io/reader_factories.h"

namespace larder {

namespace {

class UringReader final : public AsyncReader {
 public:
  explicit UringReader(int depth) : slots_(static_cast<std::size_t>(depth)) {
    for (std::size_t i = slots_.size(); i > 0; --i) free_slots_.push_back(i - 1);
  }

  ~UringReader() override {
    if (!ring_open_) return;
    waiting_.clear();
    retry_slots_.clear();
    while (n_with_kernel_ > 0 && WaitForOne(-1).ok()) TakeCompletions(false);
    io_uring_queue_exit(&ring_);
  }

  Status Open();

  std::string name() const override { return "io_uring"; }

  Status Submit(std::span<const ReadRequest> requests) override {
    waiting_.insert(waiting_.end(), requests.begin(), requests.end());
    n_in_flight_ += requests.size();
    Pump();
    return Status::Ok();
  }

  Result<std::size_t> Reap(std::span<ReadCompletion> out, std::int64_t timeout_us) override;

  std::size_t n_in_flight() const override { return n_in_flight_; }

 private:
  void Pump();
  bool Prepare(std::size_t slot);
  void TakeCompletions(bool resubmit);
  Status WaitForOne(std::int64_t timeout_us);
  // Prepared in the ring and not yet taken by the kernel.
  std::size_t n_unsubmitted() const { return io_uring_sq_ready(&ring_); }

  io_uring ring_{};
  bool ring_open_ = false;
  std::vector<ReadProgress> slots_;       // [depth]
  std::vector<std::size_t> free_slots_;   // indices into slots_
  std::vector<std::size_t> retry_slots_;  // begun reads that must be issued again
  std::deque<ReadRequest> waiting_;       // no slot yet
  std::deque<ReadCompletion> finished_;   // not reaped yet
  std::size_t n_with_kernel_ = 0;         // prepared in the ring and not completed
  std::size_t n_in_flight_ = 0;
};

Status Refused(const char* what, int error) {
  const char* why = std::strerror(error);
  switch (error) {
    case ENOSYS:
      return Unsupported("io_uring is refused ({}: {}; the kernel is too old or built without it)",
                         what, why);
    case EPERM:
    case EACCES:
      return Unsupported(
          "io_uring is refused ({}: {}; a container's filter or kernel.io_uring_disabled)", what,
          why);
    case ENOMEM:
      return Unsupported("io_uring is refused ({}: {}; raise ulimit -l)", what, why);
    default:
      return Unsupported("io_uring is refused ({}: {})", what, why);
  }
}

// Sets the ring up and sends one empty operation through it: filters may allow one and not the
// other.
Status UringReader::Open() {
  int rc = io_uring_queue_init(static_cast<unsigned>(slots_.size()), &ring_, 0);
  if (rc < 0) return Refused("setup", -rc);
  ring_open_ = true;
  io_uring_probe* probe = io_uring_get_probe_ring(&ring_);
  const bool can_read = probe != nullptr && io_uring_opcode_supported(probe, IORING_OP_READ) != 0;
  io_uring_free_probe(probe);
  if (!can_read) return Refused("read", ENOSYS);
  io_uring_sqe* entry = io_uring_get_sqe(&ring_);
  LARDER_CHECK(entry != nullptr);
  io_uring_prep_nop(entry);
  rc = io_uring_submit_and_wait(&ring_, 1);
  if (rc < 0) return Refused("enter", -rc);
  io_uring_cqe* completion = nullptr;
  rc = io_uring_peek_cqe(&ring_, &completion);
  if (rc < 0) return Refused("completion", -rc);
  io_uring_cqe_seen(&ring_, completion);
  return Status::Ok();
}

bool UringReader::Prepare(std::size_t slot) {
  io_uring_sqe* entry = io_uring_get_sqe(&ring_);
  if (entry == nullptr) return false;
  ReadProgress& read = slots_[slot];
  io_uring_prep_read(entry, read.fd(), read.dst(), static_cast<unsigned>(read.size_bytes()),
                     read.offset());
  io_uring_sqe_set_data(entry, &read);
  ++n_with_kernel_;
  return true;
}

// Gives the kernel as many reads as there are slots. What it does not take now (EAGAIN, EBUSY)
// stays prepared and is offered again at the next call.
void UringReader::Pump() {
  while (!retry_slots_.empty() && Prepare(retry_slots_.back())) retry_slots_.pop_back();
  while (!waiting_.empty() && !free_slots_.empty()) {
    ReadProgress read(waiting_.front());
    if (read.finished()) {
      finished_.push_back(read.completion());
      waiting_.pop_front();
      continue;
    }
    const std::size_t slot = free_slots_.back();
    slots_[slot] = read;
    if (!Prepare(slot)) break;
    free_slots_.pop_back();
    waiting_.pop_front();
  }
  if (n_unsubmitted() > 0) io_uring_submit(&ring_);
}

void UringReader::TakeCompletions(bool resubmit) {
  io_uring_cqe* completion = nullptr;
  while (io_uring_peek_cqe(&ring_, &completion) == 0 && completion != nullptr) {
    auto* read = static_cast<ReadProgress*>(io_uring_cqe_get_data(completion));
    const int result = completion->res;
    io_uring_cqe_seen(&ring_, completion);
    --n_with_kernel_;
    const auto slot = static_cast<std::size_t>(read - slots_.data());
    if (read->Advance(result)) {
      finished_.push_back(read->completion());
      free_slots_.push_back(slot);
    } else if (resubmit) {
      retry_slots_.push_back(slot);
    }
  }
}

// Sleeps in the kernel until a completion is there or the time is over (negative: no limit); may
// return early without one.
Status UringReader::WaitForOne(std::int64_t timeout_us) {
  if (n_unsubmitted() > 0) Pump();
  io_uring_cqe* completion = nullptr;
  int rc = 0;
  if (n_with_kernel_ > 0 && n_unsubmitted() == n_with_kernel_) {
    rc = -EAGAIN;  // the kernel took none of ours: nothing would wake us
  } else if (timeout_us < 0) {
    rc = io_uring_wait_cqe(&ring_, &completion);
  } else {
    __kernel_timespec wait{timeout_us / 1'000'000, (timeout_us % 1'000'000) * 1000};
    rc = io_uring_wait_cqe_timeout(&ring_, &completion, &wait);
  }
  if (rc == 0 || rc == -ETIME || rc == -EINTR) return Status::Ok();
  if (rc == -EAGAIN || rc == -EBUSY) {
    const timespec pause{0, 1'000'000};
    nanosleep(&pause, nullptr);
    return Status::Ok();
  }
  return IoError("waiting for io_uring failed: {}; use --io threads", std::strerror(-rc));
}

Result<std::size_t> UringReader::Reap(std::span<ReadCompletion> out, std::int64_t timeout_us) {
  if (n_in_flight_ == 0 || out.empty()) return std::size_t{0};
  const std::int64_t deadline_us = NowUs() + std::max<std::int64_t>(timeout_us, 0);
  while (true) {
    TakeCompletions(true);
    Pump();
    if (!finished_.empty() || timeout_us == 0) break;
    const std::int64_t left_us = timeout_us < 0 ? -1 : deadline_us - NowUs();
    if (timeout_us > 0 && left_us <= 0) break;
    LARDER_RETURN_IF_ERROR(WaitForOne(left_us));
  }
  const std::size_t n = std::min(out.size(), finished_.size());
  for (std::size_t i = 0; i < n; ++i) {
    out[i] = finished_.front();
    finished_.pop_front();
  }
  n_in_flight_ -= n;
  return n;
}

}  // namespace

Result<std::unique_ptr<AsyncReader>> MakeUringReader(int depth) {
  auto reader = std::make_unique<UringReader>(depth);
  LARDER_RETURN_IF_ERROR(reader->Open());
  return std::unique_ptr<AsyncReader>(std::move(reader));
}

}  // namespace larder
