// Expected failures: Status and Result<T>. A Status carries a code and one sentence that says what
// to do. Bugs are not statuses: see base/check.h. Value types, safe to move between threads.
#pragma once

#include <fmt/format.h>

#include <optional>
#include <string>
#include <utility>

#include "base/check.h"

namespace larder {

enum class StatusCode {
  kOk,
  kInvalidArgument,  // wrong use or a wrong request
  kNotFound,         // a file, key or tensor that is not there
  kDataError,        // a file whose contents are damaged or contradict themselves
  kUnsupported,      // valid, but not something Larder implements
  kOutOfMemory,      // does not fit the memory budget
  kIoError,          // the disk or the kernel failed
  kCancelled,
  kUnavailable,  // busy now; the same may work later
  kInternal,
};

const char* StatusCodeName(StatusCode code);

class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(StatusCode code, std::string message) : code_(code), message_(std::move(message)) {}

  static Status Ok() { return Status(); }

  bool ok() const { return code_ == StatusCode::kOk; }
  StatusCode code() const { return code_; }
  const std::string& message() const { return message_; }

  /// The same failure with "context: " in front of its sentence; an ok status stays as it is.
  Status WithContext(const std::string& context) const;

 private:
  StatusCode code_ = StatusCode::kOk;
  std::string message_;
};

template <typename... Args>
Status InvalidArgument(fmt::format_string<Args...> format, Args&&... args) {
  return Status(StatusCode::kInvalidArgument, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
Status NotFound(fmt::format_string<Args...> format, Args&&... args) {
  return Status(StatusCode::kNotFound, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
Status DataError(fmt::format_string<Args...> format, Args&&... args) {
  return Status(StatusCode::kDataError, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
Status Unsupported(fmt::format_string<Args...> format, Args&&... args) {
  return Status(StatusCode::kUnsupported, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
Status OutOfMemory(fmt::format_string<Args...> format, Args&&... args) {
  return Status(StatusCode::kOutOfMemory, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
Status IoError(fmt::format_string<Args...> format, Args&&... args) {
  return Status(StatusCode::kIoError, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
Status Cancelled(fmt::format_string<Args...> format, Args&&... args) {
  return Status(StatusCode::kCancelled, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
Status Unavailable(fmt::format_string<Args...> format, Args&&... args) {
  return Status(StatusCode::kUnavailable, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
Status Internal(fmt::format_string<Args...> format, Args&&... args) {
  return Status(StatusCode::kInternal, fmt::format(format, std::forward<Args>(args)...));
}

/// A value or the Status that says why there is none.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(Status status) : status_(std::move(status)) {  // NOLINT: implicit on purpose
    LARDER_CHECK(!status_.ok());
  }
  Result(T value) : value_(std::move(value)) {}  // NOLINT: implicit on purpose

  bool ok() const { return value_.has_value(); }
  const Status& status() const { return status_; }

  T& value() & {
    LARDER_CHECK(ok());
    return *value_;
  }
  const T& value() const& {
    LARDER_CHECK(ok());
    return *value_;
  }
  T&& value() && {
    LARDER_CHECK(ok());
    return std::move(*value_);
  }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

 private:
  Status status_;
  std::optional<T> value_;
};

}  // namespace larder

#define LARDER_CONCAT_INNER(a, b) a##b
#define LARDER_CONCAT(a, b) LARDER_CONCAT_INNER(a, b)

/// Returns from the calling function when `expression` (a Status) is a failure.
#define LARDER_RETURN_IF_ERROR(expression)           \
  do {                                               \
    ::larder::Status larder_status_ = (expression);  \
    if (!larder_status_.ok()) return larder_status_; \
  } while (false)

/// `LARDER_ASSIGN_OR_RETURN(auto x, MakeX());` unpacks a Result or returns its status.
#define LARDER_ASSIGN_OR_RETURN(declaration, expression) \
  LARDER_ASSIGN_OR_RETURN_INNER(LARDER_CONCAT(larder_result_, __LINE__), declaration, expression)
#define LARDER_ASSIGN_OR_RETURN_INNER(result, declaration, expression) \
  auto result = (expression);                                          \
  if (!result.ok()) return result.status();                            \
  declaration = std::move(result).value()
