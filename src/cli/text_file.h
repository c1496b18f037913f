// Whole text files, written at once.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"

namespace larder {

/// Writes a whole file; kIoError says why not. An existing file is replaced.
Status WriteTextFile(const std::string& path, std::string_view text);

/// The same, but a failure leaves the older file as it was: written beside it first. Links are
/// followed; a new file is its owner's alone, an older one keeps its mode. kInvalidArgument for
/// what is no regular file.
Status ReplaceTextFile(const std::string& path, std::string_view text);

}  // namespace larder
