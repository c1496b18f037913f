// Choice of a reader, and reading a list of requests to the end.
#include "io/async_reader.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "base/log.h"
#include "io/reader_factories.h"

namespace larder {

namespace {

constexpr int kMaxDepth = 1024;

Status CheckCompletion(const ReadRequest& request, const ReadCompletion& completion) {
  const File& file = *request.file;
  if (completion.error != 0) {
    return IoError("reading {} at byte {} failed: {}; check the disk", file.path(), request.offset,
                   std::strerror(completion.error));
  }
  const std::uint64_t size = file.size_bytes();
  const std::uint64_t there = size > request.offset ? size - request.offset : 0;
  const std::uint64_t expected = std::min<std::uint64_t>(there, request.size_bytes);
  if (completion.size_bytes < expected) {
    return IoError("reading {} at byte {} gave {} of {} bytes; did the file become shorter?",
                   file.path(), request.offset, completion.size_bytes, expected);
  }
  if (completion.size_bytes > request.size_bytes) {
    return IoError("reading {} at byte {} gave {} bytes where {} were asked for; check the disk",
                   file.path(), request.offset, completion.size_bytes, request.size_bytes);
  }
  return Status::Ok();
}

}  // namespace

Result<IoMode> ParseIoMode(const std::string& text) {
  if (text == "auto") return IoMode::kAuto;
  if (text == "uring") return IoMode::kUring;
  if (text == "threads") return IoMode::kThreads;
  return InvalidArgument("'{}' is no way of reading; choose auto, uring or threads", text);
}

Result<std::unique_ptr<AsyncReader>> ChooseReader(const AsyncReaderOptions& options,
                                                  const UringFactory& make_uring) {
  if (options.depth < 1) {
    return InvalidArgument("a read depth of {} is too small; give at least 1", options.depth);
  }
  const int depth = std::min(options.depth, kMaxDepth);
  if (options.mode == IoMode::kThreads) return MakeThreadReader(depth);
  auto uring = make_uring(depth);
  if (uring.ok()) return uring;
  if (options.mode == IoMode::kUring) {
    return Status(uring.status().code(), uring.status().message() + "; use --io threads");
  }
  LogDebug("{}; reading with threads", uring.status().message());
  return MakeThreadReader(depth);
}

Result<std::unique_ptr<AsyncReader>> MakeAsyncReader(const AsyncReaderOptions& options) {
  return ChooseReader(options, MakeUringReader);
}

Status ReadAll(AsyncReader& reader, std::span<const ReadRequest> requests) {
  LARDER_CHECK(reader.n_in_flight() == 0);
  std::vector<ReadRequest> numbered(requests.begin(), requests.end());
  for (std::size_t i = 0; i < numbered.size(); ++i) numbered[i].tag = i;
  LARDER_RETURN_IF_ERROR(reader.Submit(numbered));
  Status first_failure;
  std::array<ReadCompletion, 64> completions;
  for (std::size_t n_done = 0; n_done < numbered.size();) {
    LARDER_ASSIGN_OR_RETURN(const std::size_t n, reader.Reap(completions, -1));
    if (n == 0) return Internal("the {} reader lost a read; report this", reader.name());
    for (std::size_t i = 0; i < n; ++i) {
      if (completions[i].tag >= numbered.size()) {
        return Internal("the {} reader returned an unknown read; report this", reader.name());
      }
      const Status status = CheckCompletion(numbered[completions[i].tag], completions[i]);
      // The rest is still waited for: until then the reader may write into the caller's memory.
      if (first_failure.ok() && !status.ok()) first_failure = status;
    }
    n_done += n;
  }
  return first_failure;
}

}  // namespace larder
