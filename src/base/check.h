// LARDER_CHECK(condition): a bug when false; prints where and ends the process.
#pragma once

namespace larder {

[[noreturn]] void CheckFailed(const char* condition, const char* file, int line);

}  // namespace larder

#define LARDER_CHECK(condition)                        \
  (static_cast<bool>(condition) ? static_cast<void>(0) \
                                : ::larder::CheckFailed(#condition, __FILE__, __LINE__))
