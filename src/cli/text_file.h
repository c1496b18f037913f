// Whole text files, written at once.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"

namespace larder {

/// Writes a whole file; kIoError says why not. An existing file is replaced.
Status WriteTextFile(const std::string& path, std::string_view text);

}  // namespace larder
