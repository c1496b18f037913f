// A text file, gzip-compressed or not, as one string.
#pragma once

#include <string>

#include "base/status.h"

namespace larder {

/// Fails on missing and damaged files, and on texts of more than 1 GiB. A build without zlib reads
/// plain files only and says so.
Result<std::string> ReadMaybeGzippedText(const std::string& path);

}  // namespace larder
