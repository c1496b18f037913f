// The sentences of the limits.
#include "text/jinja_meter.h"

#include <fmt/format.h>

namespace larder::jinja {

void Meter::FailSteps() const {
  Fail(Fault::kTooLarge,
       fmt::format("the template takes more than {} steps; it does not end or is far too slow",
                   limits_.max_steps));
}

void Meter::FailMemory() const {
  Fail(Fault::kTooLarge, fmt::format("the template needs more than {} MiB of memory",
                                     limits_.max_memory_bytes >> 20));
}

void Meter::FailOutput() const {
  Fail(Fault::kTooLarge,
       fmt::format("the template writes more than {} MiB of text", limits_.max_output_bytes >> 20));
}

}  // namespace larder::jinja
