// A reader that reads when asked, through the page cache, and completes in the order of submission:
// every run of a test has the same reads in the same order, and none waits for a disk.
#pragma once

#include <memory>

#include "io/async_reader.h"

namespace larder {

std::unique_ptr<AsyncReader> MakeSynchronousReader();

}  // namespace larder
