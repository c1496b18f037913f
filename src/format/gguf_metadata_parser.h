// The key-value section of a GGUF header.
#pragma once

#include <cstdint>

#include "base/status.h"
#include "format/header_cursor.h"
#include "format/metadata.h"

namespace larder {

/// Reads `n_keys` pairs at the cursor.
Result<Metadata> ParseGgufMetadata(HeaderCursor& cursor, std::uint64_t n_keys);

/// The bytes one scalar of this type takes in a file; 0 for texts, arrays and unknown types.
std::size_t ScalarBytes(MetadataType type);

}  // namespace larder
