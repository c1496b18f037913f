// What the program prints: answers to stdout, where a failure to write ends the command, and notes
// to stderr, where it is of no consequence. One thread.
#pragma once

#include <fmt/format.h>

#include <cstdio>
#include <string_view>
#include <utility>

#include "base/status.h"

namespace larder {

/// Opens what is missing of stdin, stdout and stderr, so that no file of ours gets their numbers:
/// stdin and stdout such that using them fails, stderr such that what goes there is lost. Makes
/// writing to a closed pipe an error instead of the end of the process. Called once, by LarderMain.
void PrepareStandardStreams();

/// Writes and flushes; kIoError when stdout is full, closed, or a pipe that nobody reads.
Status WriteStdout(std::string_view text);

/// kIoError when anything written to stdout so far was lost.
Status CheckStdout();

/// Writes what can be written; a failure is kept in ferror(out), nothing is thrown.
void PutText(std::FILE* out, std::string_view text);

/// As fmt::print, but does not throw when `out` cannot be written.
template <typename... Args>
void PrintTo(std::FILE* out, fmt::format_string<Args...> format, Args&&... args) {
  PutText(out, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace larder
