// The two real readers and the choice between them, apart from MakeAsyncReader so that tests can
// refuse io_uring.
#pragma once

#include <functional>
#include <memory>

#include "io/async_reader.h"

namespace larder {

/// A pool of min(depth, 16) threads that call pread; always works.
std::unique_ptr<AsyncReader> MakeThreadReader(int depth);

/// io_uring, or why it is refused (kUnsupported): by the kernel, a container's filter, a limit, or
/// the build.
Result<std::unique_ptr<AsyncReader>> MakeUringReader(int depth);

using UringFactory = std::function<Result<std::unique_ptr<AsyncReader>>(int depth)>;

/// MakeAsyncReader with `make_uring` in place of MakeUringReader.
Result<std::unique_ptr<AsyncReader>> ChooseReader(const AsyncReaderOptions& options,
                                                  const UringFactory& make_uring);

}  // namespace larder
