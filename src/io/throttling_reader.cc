// The throttling reader: a disk that serves one byte after another at a fixed rate. A read is done
// when the disk has served it, which is not before the reads that finished earlier.
#include <algorithm>

#include "io/delaying_reader.h"
#include "io/test_readers.h"

namespace larder {

namespace {

class ThrottlingReader final : public DelayingReader {
 public:
  ThrottlingReader(std::unique_ptr<AsyncReader> inner, double bytes_per_second)
      : DelayingReader(std::move(inner)), bytes_per_second_(bytes_per_second) {}

  std::string name() const override {
    return fmt::format("{} throttled to {:.3g} GB/s", inner().name(), bytes_per_second_ * 1e-9);
  }

 protected:
  std::int64_t Decide(std::uint64_t, const ReadRequest&, std::int64_t submitted_us,
                      ReadCompletion& completion) override {
    const double service_us = 1e6 * static_cast<double>(completion.size_bytes) / bytes_per_second_;
    busy_until_us_ = std::max(busy_until_us_, static_cast<double>(submitted_us)) + service_us;
    return static_cast<std::int64_t>(busy_until_us_);
  }

 private:
  double bytes_per_second_;
  double busy_until_us_ = 0;
};

}  // namespace

std::unique_ptr<AsyncReader> MakeThrottlingReader(std::unique_ptr<AsyncReader> inner,
                                                  double bytes_per_second) {
  LARDER_CHECK(bytes_per_second > 0);
  return std::make_unique<ThrottlingReader>(std::move(inner), bytes_per_second);
}

}  // namespace larder
