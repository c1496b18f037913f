// The names of a split model's parts: "NAME-00002-of-00005.gguf".
#pragma once

#include <optional>
#include <string>

namespace larder {

struct SplitName {
  std::string prefix;  // path and name before "-00002-of-"
  int number = 0;      // from 1
  int n_parts = 0;

  /// The path of part `part_number` (from 1) of the same model.
  std::string PartPath(int part_number) const;
};

/// Nothing when the name does not end that way or its numbers make no sense.
std::optional<SplitName> ParseSplitName(const std::string& path);

}  // namespace larder
