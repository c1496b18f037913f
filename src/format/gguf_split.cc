// Taking part names apart and making them.
#include "format/gguf_split.h"

#include <fmt/format.h>

#include <cctype>
#include <string_view>

namespace larder {

std::string SplitName::PartPath(int part_number) const {
  return fmt::format("{}-{:05}-of-{:05}.gguf", prefix, part_number, n_parts);
}

std::optional<SplitName> ParseSplitName(const std::string& path) {
  constexpr std::string_view kPattern = "-00000-of-00000.gguf";
  if (path.size() <= kPattern.size()) return std::nullopt;
  const std::size_t start = path.size() - kPattern.size();
  for (std::size_t i = 0; i < kPattern.size(); ++i) {
    const char c = path[start + i];
    const bool fits =
        kPattern[i] == '0' ? std::isdigit(static_cast<unsigned char>(c)) != 0 : c == kPattern[i];
    if (!fits) return std::nullopt;
  }
  SplitName name;
  name.prefix = path.substr(0, start);
  name.number = std::stoi(path.substr(start + 1, 5));
  name.n_parts = std::stoi(path.substr(start + 10, 5));
  if (name.number < 1 || name.number > name.n_parts) return std::nullopt;
  return name;
}

}  // namespace larder
