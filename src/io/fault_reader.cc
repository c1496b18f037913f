// The fault-injecting reader. Bytes that a fault takes away are overwritten, so that a user of the
// interface who looks at them anyway gets wrong numbers and not, by luck, the right ones.
#include <algorithm>
#include <cerrno>

#include "base/clock.h"
#include "io/delaying_reader.h"
#include "io/test_readers.h"

namespace larder {

namespace {

constexpr std::byte kGarbage{0xA5};

class FaultInjectingReader final : public DelayingReader {
 public:
  FaultInjectingReader(std::unique_ptr<AsyncReader> inner,
                       std::function<Fault(std::uint64_t n)> decide)
      : DelayingReader(std::move(inner)), decide_(std::move(decide)) {}

  std::string name() const override { return inner().name() + " with faults"; }

 protected:
  std::int64_t Decide(std::uint64_t n, const ReadRequest& request, std::int64_t,
                      ReadCompletion& completion) override {
    const Fault fault = decide_(n);
    switch (fault.kind) {
      case FaultKind::kNone:
        return 0;
      case FaultKind::kError:
        completion.error = EIO;
        completion.size_bytes = 0;
        std::fill_n(request.dst, request.size_bytes, kGarbage);
        return 0;
      case FaultKind::kShort:
        completion.size_bytes /= 2;
        std::fill(request.dst + completion.size_bytes, request.dst + request.size_bytes, kGarbage);
        return 0;
      case FaultKind::kLate:
        return fault.delay_us == kUntilNothingElse ? kNever : NowUs() + fault.delay_us;
      case FaultKind::kCorrupt:
        completion.size_bytes = request.size_bytes + 1;
        return 0;
    }
    return 0;
  }

 private:
  std::function<Fault(std::uint64_t n)> decide_;
};

}  // namespace

std::unique_ptr<AsyncReader> MakeFaultInjectingReader(
    std::unique_ptr<AsyncReader> inner, std::function<Fault(std::uint64_t n)> decide) {
  return std::make_unique<FaultInjectingReader>(std::move(inner), std::move(decide));
}

}  // namespace larder
